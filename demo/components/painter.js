// The painter of semantic maps: pointer, keyboard and the shared value. `element`, `props`, `trigger`
// and `watch` come from Gradio; the value is always replaced as a whole, because identity is compared.

const one = (selector) => element.querySelector(selector);
const stage = one(".stage");
const size = one(".size input");
const hintLine = one(".hint");
const model = createModel(props.width, props.height);
const page = { mode: "brush", label: Math.min(1, props.classes.length - 1), source: "", cursor: null, drag: null };
const view = createView({ surface: one(".paint"), palette: one(".palette") }, choose);

const nameOf = (label) => props.classes[label] ? props.classes[label].name : words("unknown", { label });
const radius = () => Number(size.value) / 200 * props.width;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function say(text, isWarning = false) {
  hintLine.textContent = text;
  hintLine.classList.toggle("warn", isWarning);
  hintLine.setAttribute("role", isWarning ? "alert" : "status");
}

function described({ label, share }) {
  return nameOf(label) + " " + (share < 0.01 ? words("little") : words("share", { percent: Math.round(share * 100) }));
}

function redraw() {
  view.paint(model.labels);
  one(".contents").textContent = isBlank(model) ? "" : words("contents", { list: contentsOf(model).map(described).join(", ") });
  one(".empty").hidden = !isBlank(model);
  one('[data-action="undo"]').disabled = !model.past.length;
  one('[data-action="redo"]').disabled = !model.future.length;
  showCursor();
}

// Give the map to Gradio. This changes a property on the page; nothing is sent before a button is pressed.
function emit() {
  props.value = { labels: isBlank(model) ? null : pack(model.labels), source: page.source, message: "", is_bad: false };
  trigger("change");
}

function change(edit) {
  const before = snapshot(model);
  edit();
  if (snapshot(model) === before) return;
  remember(model, before);
  redraw();
  emit();
}

function step(travelled) {
  if (!travelled) return;
  redraw();
  emit();
}

function choose(label) {
  page.label = label;
  view.choose(label);
  say(words("painting", { name: nameOf(label) }));
}

function setMode(mode) {
  page.mode = mode;
  element.querySelectorAll("[data-mode]").forEach((button) => button.setAttribute("aria-checked", String(button.dataset.mode === mode)));
}

// ---- pointer ---------------------------------------------------------------------------------------

function pointOf(event) {
  const rect = stage.getBoundingClientRect();
  const [x, y] = [(event.clientX - rect.left) / rect.width, (event.clientY - rect.top) / rect.height];
  return [clamp(x, 0, 0.9999) * props.width, clamp(y, 0, 0.9999) * props.height];
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  page.cursor = null;
  const point = pointOf(event);
  if (page.mode === "fill") { change(() => fill(model, Math.floor(point[0]), Math.floor(point[1]), page.label)); return; }
  stage.setPointerCapture(event.pointerId);
  page.drag = { before: snapshot(model), last: point };
  spot(model, ...point, radius(), page.label);
  one(".empty").hidden = true;
  view.paint(model.labels);
});

stage.addEventListener("pointermove", (event) => {
  if (!page.drag || !event.isPrimary) return;
  const point = pointOf(event);
  stroke(model, page.drag.last, point, radius(), page.label);
  page.drag.last = point;
  view.paint(model.labels);
});

function finish(event, isCancelled) {
  if (!page.drag || !event.isPrimary) return;
  const { before } = page.drag;
  page.drag = null;
  if (isCancelled) { Object.assign(model, JSON.parse(before)); settle(model); }
  else if (snapshot(model) !== before) remember(model, before);
  redraw();
  emit();
}

stage.addEventListener("pointerup", (event) => finish(event, false));
stage.addEventListener("pointercancel", (event) => finish(event, true));

// ---- keyboard and buttons --------------------------------------------------------------------------

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function showCursor() {
  const cursor = one(".cursor");
  cursor.hidden = !page.cursor;
  if (!page.cursor) return;
  cursor.style.left = 100 * page.cursor[0] / props.width + "%";
  cursor.style.top = 100 * page.cursor[1] / props.height + "%";
  const wide = Math.max(2 * radius(), 1);
  cursor.style.width = 100 * wide / props.width + "%";
  cursor.style.height = 100 * wide / props.height + "%";
}

function moveCursor([dx, dy], isFar) {
  const stride = props.width / 64 * (isFar ? 5 : 1);
  const [x, y] = page.cursor || [props.width / 2, props.height / 2];
  page.cursor = [clamp(x + dx * stride, 0, props.width - 0.01), clamp(y + dy * stride, 0, props.height - 0.01)];
  const label = model.labels[Math.floor(page.cursor[1]) * props.width + Math.floor(page.cursor[0])];
  const percent = (value, whole) => Math.round(100 * value / whole);
  say(words("cursor", { x: percent(page.cursor[0], props.width), y: percent(page.cursor[1], props.height), name: nameOf(label) }));
  showCursor();
}

function resize(by) {
  size.value = clamp(Number(size.value) + by, 1, 40);
  showCursor();
}

const atCursor = () => { page.cursor ||= [props.width / 2, props.height / 2]; return page.cursor; };
const keys = {
  " ": () => change(() => spot(model, ...atCursor(), radius(), page.label)),
  f: () => change(() => fill(model, ...atCursor().map(Math.floor), page.label)),
  "[": () => resize(-2),
  "]": () => resize(2),
  Escape: () => { page.cursor = null; showCursor(); },
};

stage.addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const run = event.ctrlKey || event.metaKey
    ? { z: () => step(event.shiftKey ? redo(model) : undo(model)), y: () => step(redo(model)) }[key]
    : keys[key] || (ARROWS[key] && (() => moveCursor(ARROWS[key], event.shiftKey)));
  if (!run) return;
  event.preventDefault();
  run();
});

const buttons = {
  undo() { step(undo(model)); },
  redo() { step(redo(model)); },
  clear() { change(() => model.labels.fill(0)); },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  else buttons[button.dataset.action]();
});

const search = one(".find");
search.placeholder = words("find");
search.hidden = props.classes.length <= 30;
search.addEventListener("input", () => { one(".none-found").hidden = view.find(search.value); });
size.addEventListener("input", showCursor);

// ---- values set from Python ------------------------------------------------------------------------

function receive() {
  const value = props.value || {};
  say(value.message || "", Boolean(value.is_bad));
  if (value.is_bad) return;
  const before = snapshot(model);
  model.labels = unpack(value.labels, props.width * props.height);
  page.source = value.source || "";
  if (before !== snapshot(model)) remember(model, before);
  redraw();
}

stage.style.aspectRatio = props.width + " / " + props.height;
watch("value", receive);
receive();
model.past = [];
setMode("brush");
view.choose(page.label);
redraw();
