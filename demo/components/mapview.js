// Shows the map as the model reads it. Text goes in through textContent only.
const image = element.querySelector(".shown");
const message = element.querySelector(".message");
image.alt = words("alt");

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
}

watch("value", show);
show();
