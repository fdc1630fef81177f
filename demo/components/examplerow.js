// One button for each example; Python fills the tab when one is pressed.
element.querySelector(".examples").append(...props.examples.map(({ title, picture }, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.id = props.name + "-example-" + (index + 1);
  const image = document.createElement("img");
  image.alt = "";
  image.width = image.height = 52;
  image.src = picture;
  const label = document.createElement("span");
  label.textContent = title;
  button.append(...(picture ? [image] : []), label);
  button.setAttribute("aria-label", words("label", { title }));
  button.addEventListener("click", () => trigger("select", { index, value: title }));
  return button;
}));
