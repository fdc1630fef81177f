// The keyboard: on the drawing area everything, elsewhere on the canvas what every editor has.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NUDGE = 0.01;
const LARGE_NUDGE = 0.05;
const modeButtons = [...element.querySelectorAll("[role=radio]")];
const MODE_KEYS = { b: "box", s: "scribble", m: "mask", e: "erase" };

const isControl = (event) => event.ctrlKey || event.metaKey;
const isReorder = (event) => event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown");

function setMode(mode) {
  if (page.pen?.stroke) liftPen();
  page.mode = mode;
  page.pen = null;
  stage.dataset.mode = mode;
  modeButtons.forEach((button) => {
    const isChosen = button.dataset.mode === mode;
    button.setAttribute("aria-checked", String(isChosen));
    button.tabIndex = isChosen ? 0 : -1;
  });
  one(".brush").hidden = !isPainting();
  showRing(null);
  say(words("hint_" + mode));
}

// Radio buttons are one stop of the Tab key; arrow keys go from one to the next.
one(".modes").addEventListener("keydown", (event) => {
  const direction = ARROWS[event.key];
  if (!direction) return;
  event.preventDefault();
  const shown = modeButtons.filter((button) => button.isConnected);
  const at = shown.findIndex((button) => button.dataset.mode === page.mode);
  const next = shown[(at + direction[0] + direction[1] + shown.length) % shown.length];
  setMode(next.dataset.mode);
  next.focus();
});

// Return whether the key meant something wherever the focus is, if it is not in a text.
function pressCommand(event) {
  const key = event.key.toLowerCase();
  if (!isControl(event)) return false;
  if (key === "z") { event.shiftKey ? redo() : undo(); return true; }
  if (key === "y") { redo(); return true; }
  if (key === "d" && model.selected !== null) { actions.duplicate(model.selected); return true; }
  return false;
}

element.addEventListener("keydown", (event) => {
  if (event.target.matches('input[type="text"]') || event.isComposing) return;
  const isDone = pressCommand(event) || (event.target === stage && !gesture && pressOnStage(event));
  if (isDone) event.preventDefault();
});

function pressOnStage(event) {
  if (isPainting() && pressPen(event)) return true;
  if (!isControl(event) && !event.altKey && (startNaming(event.key) || pressTool(event.key.toLowerCase()))) return true;
  if (event.key === "PageDown" || event.key === "PageUp") return selectNext(event.key === "PageDown" ? 1 : -1);
  const selected = selectedRegion(model);
  return selected ? pressOnBox(event, selected) : false;
}

// A letter on a selected box is meant for its name, and is the first of it where there is none yet.
function startNaming(key) {
  const region = isPainting() ? null : selectedRegion(model);
  if (!region || !/^\p{L}$/u.test(key)) return false;
  if (region.phrase) return true;
  openName(region.id);
  view.of(region.id).onCanvas.label.value = region.phrase = key;
  redraw();
  emitSoon();
  return true;
}

const openName = (id) => view.of(id).onCanvas.label.focus({ preventScroll: true });

stage.addEventListener("dblclick", (event) => {
  if (isPainting() || event.target.closest("input, label")) return;
  const pile = regionsAt(model, pointIn(stage.getBoundingClientRect(), placeOf(event)));
  const region = pile.find(({ id }) => id === model.selected) || pile[0];
  if (region) openName(region.id);
});

function pressTool(key) {
  const mode = MODE_KEYS[key];
  if (mode && modeButtons.some((button) => button.isConnected && button.dataset.mode === mode)) { setMode(mode); return true; }
  if (key === "+" || key === "=") buttons["zoom-in"]();
  else if (key === "-") buttons["zoom-out"]();
  else if (key === "0") buttons["zoom-fit"]();
  else return false;
  return true;
}

function selectNext(direction) {
  const count = model.regions.length;
  if (!count) return false;
  const at = indexOf(model.selected);
  const next = at < 0 ? (direction > 0 ? 0 : count - 1) : (at + direction + count) % count;
  actions.select(model.regions[next].id);
  tellPlace();
  revealSelected();
  return true;
}

function pressOnBox(event, region) {
  if (event.key === "Delete" || event.key === "Backspace") actions.remove(region.id);
  else if (event.key === "Escape") actions.select(null);
  else if (event.key === "Enter") openName(region.id);
  else if (isReorder(event)) actions.move(region.id, ARROWS[event.key][1]);
  else if (ARROWS[event.key] && !event.altKey) nudge(event, region);
  else return false;
  return true;
}

// A key that is held down is one step of the history.
function nudge(event, region) {
  const [dx, dy] = ARROWS[event.key].map((direction) => direction * (event.shiftKey ? LARGE_NUDGE : NUDGE));
  if (!event.repeat) remember(model);
  region.box = isControl(event) ? resized(region.box, "es", dx, dy, leastSides()) : moved(region.box, dx, dy);
  settle(model.strokes);
  tellPlace();
  revealSelected();
}

// ---- the brush without a pointer: arrow keys move it, the space bar puts it down and lifts it ----------

function pressPen(event) {
  if (!page.photo || isControl(event) || event.altKey) return false;
  const direction = ARROWS[event.key];
  if (!direction && event.key !== " ") return false;
  page.pen ||= { at: [0.5, 0.5], stroke: null, before: null };
  if (direction) movePen(direction, event.shiftKey ? LARGE_NUDGE : NUDGE);
  else if (page.pen.stroke) liftPen();
  else {
    page.pen.before = snapshot(model);
    page.pen.stroke = beginStroke(page.pen.at);
    say(words("brush_down"));
  }
  showRing(page.pen.at);
  return true;
}

function movePen([dx, dy], distance) {
  const from = page.pen.at;
  page.pen.at = [clamp(from[0] + dx * distance, 0, 1), clamp(from[1] + dy * distance, 0, 1)];
  if (!page.pen.stroke) return;
  page.pen.stroke.points.push(page.pen.at);
  paintStroke(surface, { ...page.pen.stroke, points: [from, page.pen.at] });
}

function liftPen() {
  remember(model, page.pen.before);
  Object.assign(page.pen, { stroke: null, before: null });
  settle(null);
  say(words("brush_up"));
}

// Leaving the drawing area, by Tab or by mouse, lifts the brush too.
stage.addEventListener("blur", () => {
  if (page.pen?.stroke) liftPen();
  if (!gesture) showRing(null);
});
