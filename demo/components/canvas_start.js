// Values set from Python, and the first drawing.

// What Python sets replaces the drawing; while no photo is concerned, undo brings the old one back.
function receive() {
  const value = props.value || {};
  const before = snapshot(model);
  const past = model.past;
  // What is under way belongs to the drawing that goes.
  if (gesture) stopGesture();
  page.pen = null;
  clearTimeout(emission);
  emission = 0;
  forgetDrawing();
  (value.regions || []).forEach((region, index) => {
    const image = (value.pictures || [])[index] || null;
    const visible = region.visible !== false;
    Object.assign(addRegion(model, region.box, region.phrase), { visible, colour: region.colour || null, image, thumb: image && image.url });
  });
  model.selected = null;
  model.pending = [...(value.pending || [])];
  if (!takesPhoto) {
    model.past = past;
    if (before.regions.length || before.pending.length) remember(model, before);
  }
  page.photoTurn++;
  const file = takesPhoto ? value.photo : null;
  const size = value.width && value.height ? [value.width, value.height] : takesPhoto ? [props.width, props.height] : [page.width, page.height];
  setPhoto(file || null, file ? file.url : "", ...size);
  zoomTo(1);
  say(words("hint_" + page.mode));
}

function addStyle() {
  const sheet = make("style", "");
  sheet.textContent = "#" + element.id + " {\n" + props.styles + "\n}";
  element.prepend(sheet);
}

function start() {
  addStyle();
  fillTexts(element);
  instruction.id = (props.name || "canvas") + "-grounding-instruction";
  element.querySelectorAll(takesPhoto ? "[data-drawing-only]" : "[data-photo-only]").forEach((node) => node.remove());
  watch("value", receive);
  receive();
  setMode("box");
}

start();
