// Shows the map as the model reads it, and the classes in it. Text goes in through textContent only.
const image = element.querySelector(".shown");
const message = element.querySelector(".message");
const legend = element.querySelector(".legend");

function entryOf({ colour, name, share }) {
  const item = document.createElement("li");
  const patch = document.createElement("i");
  patch.style.background = colour;
  const label = document.createElement("span");
  label.textContent = name;
  const part = document.createElement("b");
  part.textContent = share < 0.01 ? "under 1 %" : Math.round(share * 100) + " %";
  item.append(patch, label, part);
  return item;
}

function show() {
  const value = props.value || {};
  const hasImage = Boolean(value.image && value.image.startsWith("data:image/"));
  if (hasImage) image.src = value.image;
  image.hidden = !hasImage;
  element.querySelector(".empty").hidden = hasImage;
  element.querySelector(".frame").hidden = Boolean(value.is_bad);
  message.textContent = value.message || "";
  message.classList.toggle("bad", Boolean(value.is_bad));
  message.setAttribute("role", value.is_bad ? "alert" : "status");
  legend.replaceChildren(...(value.legend || []).map(entryOf));
  legend.hidden = !(value.legend || []).length;
}

watch("value", show);
show();
