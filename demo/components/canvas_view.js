// Turns the model into elements. Text goes in through value and textContent only, never as markup.

const HANDLES = [["nw", 0, 0], ["n", 50, 0], ["ne", 100, 0], ["e", 100, 50], ["se", 100, 100], ["s", 50, 100], ["sw", 0, 100], ["w", 0, 50]];

function make(name, className, attributes = {}) {
  const node = document.createElement(name);
  node.className = className;
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
}

function setValue(input, text) {
  if (document.activeElement !== input && input.value !== text) input.value = text;
}

function makeBox(region, actions) {
  const box = make("div", "box", { "data-id": region.id });
  const tag = make("div", "tag");
  const number = make("span", "number");
  const label = make("input", "", { type: "text", placeholder: "name it", maxlength: 200, autocomplete: "off" });
  actions.bindLabel(label, region.id);
  tag.append(number, label);
  const thumb = make("img", "thumb", { alt: "", draggable: "false" });
  box.append(tag, thumb);
  for (const [edges, left, top] of HANDLES) {
    const handle = make("div", "handle", { "data-edges": edges });
    handle.style.cssText = "left:" + left + "%;top:" + top + "%;cursor:" + edges + "-resize";
    box.append(handle);
  }
  return { box, number, label, thumb };
}

function makeRow(region, actions) {
  const row = make("li", "row", { "data-id": region.id });
  const chip = make("span", "chip");
  const label = make("input", "", { type: "text", placeholder: "what goes here", maxlength: 200, autocomplete: "off" });
  actions.bindLabel(label, region.id);
  const tools = make("div", "row-tools");
  const button = (name, title, run) => {
    const node = make("button", "", { type: "button", title });
    node.textContent = name;
    node.addEventListener("click", run);
    tools.append(node);
    return node;
  };
  const eye = button("Hide", "Leave this box out of the picture", () => actions.toggle(region.id));
  const copy = button("Copy", "Duplicate this box", () => actions.duplicate(region.id));
  const up = button("Up", "Move this box up in the list", () => actions.raise(region.id));
  const bin = button("Delete", "Delete this box", () => actions.remove(region.id));
  row.append(chip, label, tools);
  const picture = props.takes_pictures ? makePicture(region, actions) : null;
  if (picture) {
    tools.before(picture.thumb);
    tools.append(picture.choose, picture.remove);
  }
  row.addEventListener("pointerdown", () => actions.select(region.id));
  return { row, chip, label, eye, copy, up, bin, picture };
}

// The reference picture of a row: a button that opens the file dialog, a thumbnail, and a way to take it away.
function makePicture(region, actions) {
  const thumb = make("img", "thumb", { alt: "" });
  const choose = make("label", "choose", { title: "Show by a picture what goes into this box" });
  const words = make("span", "");
  const input = make("input", "", { type: "file", accept: "image/png,image/jpeg,image/webp" });
  input.addEventListener("change", () => { actions.choosePicture(region.id, input.files[0]); input.value = ""; });
  choose.append(words, input);
  const remove = make("button", "", { type: "button", title: "Take the picture away" });
  remove.textContent = "No picture";
  remove.addEventListener("click", () => actions.removePicture(region.id));
  return { thumb, choose, words, input, remove };
}

function placeThumb(thumb, region) {
  thumb.hidden = !region.thumb;
  if (region.thumb && thumb.getAttribute("src") !== region.thumb) thumb.src = region.thumb;
}

function placePicture(picture, region, number) {
  placeThumb(picture.thumb, region);
  picture.thumb.alt = "Picture of box " + number;
  picture.remove.hidden = !region.image;
  picture.words.textContent = region.image ? "Other picture" : "Picture";
  picture.input.setAttribute("aria-label", "Picture for box " + number);
  picture.remove.setAttribute("aria-label", "Take the picture of box " + number + " away");
}

function placeBox(view, region, index, isSelected) {
  const [x0, y0, x1, y1] = region.box.map((value) => value * 100);
  view.box.style.cssText = "left:" + x0 + "%;top:" + y0 + "%;width:" + (x1 - x0) + "%;height:" + (y1 - y0) + "%;--tint:" + tintOf(index);
  view.box.classList.toggle("selected", isSelected);
  view.box.classList.toggle("off", !region.visible);
  view.number.textContent = index + 1;
  placeThumb(view.thumb, region);
  view.label.setAttribute("aria-label", "Name of box " + (index + 1) + " on the canvas");
  setValue(view.label, region.phrase);
  view.label.style.width = clamp(view.label.value.length + 2, 8, 24) + "ch";
}

function placeRow(view, region, index, isSelected) {
  view.row.style.setProperty("--tint", tintOf(index));
  view.row.classList.toggle("selected", isSelected);
  view.row.classList.toggle("off", !region.visible);
  view.chip.textContent = index + 1;
  view.label.setAttribute("aria-label", "Name of box " + (index + 1));
  view.eye.textContent = region.visible ? "Hide" : "Show";
  view.eye.setAttribute("aria-pressed", String(!region.visible));
  view.eye.setAttribute("aria-label", (region.visible ? "Hide box " : "Show box ") + (index + 1));
  view.copy.setAttribute("aria-label", "Duplicate box " + (index + 1));
  view.up.setAttribute("aria-label", "Move box " + (index + 1) + " up");
  view.up.disabled = index === 0;
  view.bin.setAttribute("aria-label", "Delete box " + (index + 1));
  if (view.picture) placePicture(view.picture, region, index + 1);
  setValue(view.label, region.phrase);
}

// Elements are kept by region id, so that a redraw never takes the focus from a label.
function createView(parts, actions) {
  const known = new Map();
  return function draw(model) {
    const alive = new Set(model.regions.map((region) => region.id));
    for (const [id, views] of known) {
      if (alive.has(id)) continue;
      known.delete(id);
      views.onCanvas.box.remove();
      views.inList.row.remove();
    }
    model.regions.forEach((region, index) => {
      if (!known.has(region.id)) {
        known.set(region.id, { onCanvas: makeBox(region, actions), inList: makeRow(region, actions) });
      }
      const { onCanvas, inList } = known.get(region.id);
      placeBox(onCanvas, region, index, region.id === model.selected);
      placeRow(inList, region, index, region.id === model.selected);
      if (parts.boxes.children[index] !== onCanvas.box) parts.boxes.insertBefore(onCanvas.box, parts.boxes.children[index] || null);
      if (parts.list.children[index] !== inList.row) parts.list.insertBefore(inList.row, parts.list.children[index] || null);
    });
    setValue(parts.instruction, writeInstruction(model));
    const count = model.regions.length;
    const waiting = model.pending.length ? ", next: " + model.pending[0] : "";
    parts.count.textContent = (count ? count + (count === 1 ? " box" : " boxes") : "No boxes yet") + waiting;
  };
}
