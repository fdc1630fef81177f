// Shows what a run is doing. Text goes in through textContent only.
const message = element.querySelector(".message");
const track = element.querySelector(".track");
const bar = element.querySelector(".bar");
const preview = element.querySelector(".preview");

function show() {
  const value = props.value || {};
  message.textContent = value.message || "";
  message.hidden = !value.message;
  message.dataset.tone = value.tone || "plain";
  message.setAttribute("role", value.tone === "bad" ? "alert" : "status");
  track.hidden = value.share === null || value.share === undefined;
  bar.style.width = 100 * (value.share || 0) + "%";
  if (value.preview && value.preview.startsWith("data:image/")) {
    preview.firstElementChild.src = value.preview;
    preview.hidden = false;
  } else if (!value.keeps_preview) preview.hidden = true;
}

watch("value", show);
show();
