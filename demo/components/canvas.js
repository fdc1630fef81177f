// Wires pointer, touch, keyboard, photo and the shared value. `element`, `props`, `trigger`, `watch`
// and `upload` come from Gradio; the value is always replaced as a whole, because identity is compared.

const one = (selector) => element.querySelector(selector);
const stage = one(".stage");
const photo = one(".photo");
const surface = one(".mask");
const trail = one(".ink polyline");
const hintLine = one(".hint");
const fileInput = one(".drop input");
const takesPhoto = Boolean(props.takes_photo);

const model = createModel();
const page = { mode: "box", photo: null, width: props.width, height: props.height, photoTurn: 0 };
let gesture = null;

const actions = {
  select(id) { model.selected = id; redraw(); },
  remove(id) { change(() => removeRegion(model, id)); },
  toggle(id) { change(() => { const region = find(id); region.visible = !region.visible; }); },
  duplicate(id) {
    if (isFull()) return;
    change(() => {
      const { box, phrase, image, thumb } = find(id);
      Object.assign(addRegion(model, moved(box, 0.04, 0.04), phrase), { image, thumb });
    });
  },
  raise(id) {
    change(() => {
      const index = model.regions.findIndex((region) => region.id === id);
      if (index > 0) model.regions.splice(index - 1, 0, ...model.regions.splice(index, 1));
    });
  },
  async choosePicture(id, file) {
    const picture = file && await readPicture(file, say);
    if (!picture) return;
    say("Uploading the picture...");
    const stored = await storePicture(file, say);
    const region = find(id);
    if (!stored || !region) return;
    change(() => { region.image = stored; region.thumb = picture.address; });
    say("Box " + (model.regions.indexOf(region) + 1) + " shows what is on the picture; a name may be added.");
  },
  removePicture(id) { change(() => { find(id).image = find(id).thumb = null; }); },
  bindLabel(input, id) {
    let before = null;
    input.addEventListener("pointerdown", (event) => { event.stopPropagation(); model.selected = id; });
    input.addEventListener("focus", () => { before = snapshot(model); model.selected = id; redraw(); });
    input.addEventListener("input", () => { find(id).phrase = input.value.slice(0, 200); redraw(); emit(); });
    input.addEventListener("blur", () => {
      // A label also loses the focus when its box is taken away, in the middle of a redraw.
      if (!find(id)) return;
      if (before && before !== snapshot(model)) remember(model, before);
      before = null;
      redraw();
    });
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); stage.focus({ preventScroll: true }); }
    });
  },
};

const draw = createView({ boxes: one(".boxes"), list: one(".regions"), instruction: one(".instruction"), count: one(".count") }, actions);
const find = (id) => model.regions.find((region) => region.id === id);

function redraw() {
  draw(model);
  one(".empty").hidden = model.regions.length > 0 || takesPhoto || Boolean(gesture);
  one('[data-action="undo"]').disabled = !model.past.length;
  one('[data-action="redo"]').disabled = !model.future.length;
}

function say(text, isWarning = false) {
  hintLine.textContent = text;
  hintLine.classList.toggle("warn", isWarning);
}

function isFull() {
  if (model.regions.length < MAX_REGIONS) return false;
  say("There are already " + MAX_REGIONS + " boxes, as many as the model has slots for. Delete one first.", true);
  return true;
}

// Give the drawing to Gradio. This changes a property on the page; nothing is sent before a button is pressed.
function emit() {
  props.value = {
    regions: model.regions.map(({ phrase, box, visible }) => ({ phrase, box, visible })),
    pictures: model.regions.map((region) => region.image || null),
    pending: [...model.pending],
    photo: page.photo,
    mask: page.mask ?? null,
    width: page.width,
    height: page.height,
  };
  trigger("change");
}

function change(edit) {
  remember(model);
  edit();
  refreshMask();
  redraw();
  emit();
}

function refreshMask() {
  repaintMask(surface, model.strokes);
  page.mask = takesPhoto && page.photo ? exportMask(surface, model.strokes) : null;
}

function step(from, to) {
  if (!travel(model, from, to)) return;
  refreshMask();
  redraw();
  emit();
}

function setMode(mode) {
  page.mode = mode;
  stage.dataset.mode = mode;
  element.querySelectorAll("[data-mode][role=radio]").forEach((button) => {
    button.setAttribute("aria-checked", String(button.dataset.mode === mode));
  });
  one(".brush").hidden = mode !== "mask" && mode !== "erase";
  say({
    box: "Drag a rectangle. Click a box to select it; drag it or its handles to change it.",
    scribble: "Draw freehand; the stroke becomes the box around it.",
    mask: "Paint what may be repainted. Everything else stays as it is.",
    erase: "Rub out paint of the mask.",
  }[mode]);
}

// ---- pointer -------------------------------------------------------------------------------------

function pointOf(event) {
  const rect = stage.getBoundingClientRect();
  return [clamp((event.clientX - rect.left) / rect.width, 0, 1), clamp((event.clientY - rect.top) / rect.height, 0, 1)];
}

// The least side of a box: 8 pixels on the screen, and one hundredth of the picture.
function leastSides() {
  const rect = stage.getBoundingClientRect();
  return [Math.max(8 / rect.width, 0.01), Math.max(8 / rect.height, 0.01)];
}

function gestureFor(event) {
  const start = pointOf(event);
  const base = { start, last: start, points: [start], before: snapshot(model) };
  if (page.mode === "mask" || page.mode === "erase") return { ...base, kind: "paint" };
  const selected = selectedRegion(model);
  if (event.target.dataset.edges && selected) return { ...base, kind: "resize", edges: event.target.dataset.edges, box: selected.box };
  const target = event.target.closest(".box");
  const onId = target ? Number(target.dataset.id) : null;
  if (page.mode === "box" && selected && onId === selected.id && !event.shiftKey) return { ...base, kind: "move", box: selected.box };
  return { ...base, kind: page.mode, onId };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary || event.target.closest("input, label.drop")) return;
  if (takesPhoto && !page.photo) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  gesture = gestureFor(event);
  stage.classList.add("gesture");
  if (gesture.kind === "paint") {
    gesture.stroke = { erase: page.mode === "erase", radius: Number(one(".brush input").value) / 200, points: [gesture.start] };
    model.strokes.push(gesture.stroke);
    paintStroke(surface, gesture.stroke, "#e11d48");
  }
});

stage.addEventListener("pointermove", (event) => {
  if (!gesture || !event.isPrimary) return;
  const point = pointOf(event);
  const [dx, dy] = [point[0] - gesture.start[0], point[1] - gesture.start[1]];
  gesture.last = point;
  const selected = selectedRegion(model);
  if (gesture.kind === "move" && selected) selected.box = moved(gesture.box, dx, dy);
  if (gesture.kind === "resize" && selected) selected.box = resized(gesture.box, gesture.edges, dx, dy, leastSides());
  if (gesture.kind === "paint") {
    paintStroke(surface, { ...gesture.stroke, points: [gesture.stroke.points.at(-1), point] }, "#e11d48");
    gesture.stroke.points.push(point);
  }
  if (gesture.kind === "scribble") { gesture.points.push(point); showTrail(gesture.points); }
  if (gesture.kind === "box") {
    const [x0, y0, x1, y1] = normalised(...gesture.start, ...point);
    showTrail([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]);
  }
  redraw();
});

function showTrail(points) {
  trail.setAttribute("points", points.map((point) => point.join(",")).join(" "));
}

function finishGesture(event, cancelled) {
  if (!gesture || !event.isPrimary) return;
  const done = gesture;
  gesture = null;
  stage.classList.remove("gesture");
  showTrail([]);
  if (cancelled) {
    Object.assign(model, JSON.parse(done.before));
  } else if (done.kind === "box" || done.kind === "scribble") {
    finishNewBox(done, event.pointerType === "mouse");
  } else if (snapshot(model) !== done.before) {
    remember(model, done.before);
  }
  refreshMask();
  redraw();
  emit();
}

function finishNewBox(done, focusLabel) {
  const box = done.kind === "box" ? normalised(...done.start, ...done.last) : boundsOf(done.points);
  const [leastX, leastY] = leastSides();
  if (box[2] - box[0] < leastX || box[3] - box[1] < leastY) {
    const isClick = box[2] - box[0] < leastX && box[3] - box[1] < leastY;
    const hadSelection = model.selected !== null;
    model.selected = isClick ? done.onId : model.selected;
    if (!isClick || (done.onId === null && !hadSelection)) {
      say("That was too small to be a box, so nothing was added. Drag at least 8 pixels in both directions.", true);
    }
    return;
  }
  if (isFull()) return;
  remember(model);
  const region = addRegion(model, box);
  say(region.phrase ? "Box " + model.regions.length + " is " + region.phrase + "." : "Type what goes into box " + model.regions.length + ".");
  redraw();
  if (focusLabel && !region.phrase) one('.box[data-id="' + region.id + '"] input').focus({ preventScroll: true });
}

stage.addEventListener("pointerup", (event) => finishGesture(event, false));
stage.addEventListener("pointercancel", (event) => finishGesture(event, true));

// ---- keyboard and buttons --------------------------------------------------------------------------

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

stage.addEventListener("keydown", (event) => {
  if (event.target !== stage) return;
  const key = event.key.toLowerCase();
  const control = event.ctrlKey || event.metaKey;
  const selected = selectedRegion(model);
  if (control && key === "z") { event.preventDefault(); event.shiftKey ? step(model.future, model.past) : step(model.past, model.future); }
  else if (control && key === "y") { event.preventDefault(); step(model.future, model.past); }
  else if (!selected) return;
  else if (control && key === "d") { event.preventDefault(); actions.duplicate(selected.id); }
  else if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); actions.remove(selected.id); }
  else if (event.key === "Escape") actions.select(null);
  else if (event.key === "Enter") { event.preventDefault(); one('.box[data-id="' + selected.id + '"] input').focus({ preventScroll: true }); }
  else if (ARROWS[event.key]) {
    event.preventDefault();
    const [dx, dy] = ARROWS[event.key].map((direction) => direction * 0.01);
    change(() => { selected.box = event.shiftKey ? resized(selected.box, "es", dx, dy, leastSides()) : moved(selected.box, dx, dy); });
  }
});

const buttons = {
  add() {
    if (isFull()) return;
    const shift = (model.regions.length % 6) * 0.06;
    change(() => addRegion(model, [0.2 + shift, 0.2 + shift, 0.5 + shift, 0.5 + shift]));
    say("Added a box. Arrow keys move it, Shift and arrow keys resize it.");
    stage.focus({ preventScroll: true });
  },
  undo() { step(model.past, model.future); },
  redo() { step(model.future, model.past); },
  clear() { change(() => { model.regions = []; model.pending = []; model.strokes = []; model.selected = null; }); },
  "clear-mask"() { change(() => { model.strokes = []; }); },
  replace() { fileInput.click(); },
  "remove-photo"() { forgetDrawing(); setPhoto(null, "", props.width, props.height); emit(); },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  else if (button.dataset.action) buttons[button.dataset.action]();
});

const instruction = one(".instruction");
instruction.id = (props.name || "canvas") + "-grounding-instruction";
let beforeTyping = null;
instruction.addEventListener("focus", () => { beforeTyping = snapshot(model); });
instruction.addEventListener("input", () => {
  readInstruction(model, instruction.value);
  const waiting = model.pending.length;
  say(waiting ? "Draw " + (waiting === 1 ? "a box" : waiting + " boxes") + " for: " + model.pending.join(", ") + "." : "");
  redraw();
  emit();
});
instruction.addEventListener("blur", () => {
  if (beforeTyping && beforeTyping !== snapshot(model)) remember(model, beforeTyping);
  beforeTyping = null;
  redraw();
});

// ---- values set from Python ------------------------------------------------------------------------

function receive() {
  const value = props.value || {};
  forgetDrawing();
  (value.regions || []).forEach((region, index) => {
    const image = (value.pictures || [])[index] || null;
    const visible = region.visible !== false;
    Object.assign(addRegion(model, region.box, region.phrase), { visible, image, thumb: image && image.url });
  });
  model.selected = null;
  model.pending = [...(value.pending || [])];
  page.photoTurn++;
  const file = takesPhoto ? value.photo : null;
  setPhoto(file || null, file ? file.url : "", value.width || props.width, value.height || props.height);
  say("");
}

element.querySelectorAll("[data-needs-photo]").forEach((node) => { node.hidden = !takesPhoto; });
if (takesPhoto) listenForPhotos();
watch("value", receive);
receive();
setMode("box");
