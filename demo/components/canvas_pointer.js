// Mouse, pen and fingers on the drawing area. A gesture follows the pointer once a frame and changes
// only its own box; the drawing is handed over when it ends.

const SNAP_PIXELS = 6;
const LEAST_PIXELS = 8; // sides of a box on the screen
const MOST_OF_THE_FRAME = 0.6;
const trail = one(".ink polyline");
const guides = { x: one(".guide.upright"), y: one(".guide.level") };
const ring = one(".ring");
const brush = one(".brush input");
const fingers = new Map();
let pinch = null;
let frame = 0;

const placeOf = (event) => [event.clientX, event.clientY];
const pointIn = (area, [x, y]) => [clamp((x - area.left) / area.width, 0, 1), clamp((y - area.top) / area.height, 0, 1)];

function leastSides(area = stage.getBoundingClientRect()) {
  return [Math.max(LEAST_PIXELS / area.width, 0.01), Math.max(LEAST_PIXELS / area.height, 0.01)];
}

// How near a line must be to attract; nothing attracts while Alt is held.
function reachIn(area, isFree) {
  return isFree ? [-1, -1] : [SNAP_PIXELS / area.width, SNAP_PIXELS / area.height];
}

// A visible box is taken by its body. One that fills most of the frame must be selected first, or
// nothing could be drawn over it; neither is taken while Shift is held.
function boxToMove(event) {
  const node = event.target.closest(".box");
  const region = node && !event.shiftKey ? find(Number(node.dataset.id)) : null;
  if (!region || region.id === model.selected) return region;
  const [x0, y0, x1, y1] = region.box;
  return region.visible && (x1 - x0) * (y1 - y0) < MOST_OF_THE_FRAME ? region : null;
}

function gestureFor(event) {
  const area = stage.getBoundingClientRect();
  const start = pointIn(area, placeOf(event));
  const base = {
    ...{ pointer: event.pointerId, isMouse: event.pointerType === "mouse", from: placeOf(event), start, last: start, points: [start] },
    ...{ latest: placeOf(event), isFree: event.altKey, hasMoved: false, before: snapshot(model), selectedBefore: model.selected },
  };
  if (page.mode === "mask" || page.mode === "erase") return { ...base, kind: "paint", stroke: beginStroke(start), hasMoved: true };
  const selected = selectedRegion(model);
  const edges = event.target.dataset.edges;
  if (edges && selected) return { ...base, kind: "resize", id: selected.id, box: selected.box, edges, targets: snapTargets(model.regions, selected.id) };
  if (page.mode === "scribble") return { ...base, kind: "scribble" };
  const region = boxToMove(event);
  if (region) return { ...base, kind: "move", id: region.id, box: region.box, targets: snapTargets(model.regions, region.id) };
  const targets = snapTargets(model.regions, null);
  return { ...base, kind: "draw", start: snapPoint(start, targets, reachIn(area, event.altKey)).point, targets };
}

function beginStroke(start) {
  const stroke = { erase: page.mode === "erase", radius: brush.value / 200, points: [start] };
  model.strokes = [...model.strokes, stroke];
  paintStroke(surface, stroke);
  return stroke;
}

const followers = {
  move(point, area, reach) {
    const { id, box, start, targets } = gesture;
    actions.select(id);
    place(id, snapMoved(moved(box, point[0] - start[0], point[1] - start[1]), targets, reach));
  },
  resize(point, area, reach) {
    const { id, box, edges, start, targets } = gesture;
    const least = leastSides(area);
    place(id, snapResized(resized(box, edges, point[0] - start[0], point[1] - start[1], least), edges, targets, reach, least));
  },
  draw(point, area, reach) {
    const snapped = snapPoint(point, gesture.targets, reach);
    gesture.last = snapped.point;
    const [x0, y0, x1, y1] = normalised(...gesture.start, ...snapped.point);
    showTrail([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]);
    showGuides(snapped);
  },
  scribble() { showTrail(gesture.points); },
  paint() {
    const { stroke, points } = gesture;
    if (points.length < 2) return;
    paintStroke(surface, { ...stroke, points });
    stroke.points.push(...points.slice(1));
    gesture.points = points.slice(-1);
  },
};

function place(id, snapped) {
  const region = find(id);
  region.box = snapped.box;
  view.drawSides(region);
  showGuides(snapped);
}

function follow() {
  frame = 0;
  if (!gesture) return;
  const slack = gesture.isMouse ? 2 : 6;
  gesture.hasMoved ||= Math.hypot(gesture.latest[0] - gesture.from[0], gesture.latest[1] - gesture.from[1]) > slack;
  if (!gesture.hasMoved) return;
  const area = stage.getBoundingClientRect();
  followers[gesture.kind](pointIn(area, gesture.latest), area, reachIn(area, gesture.isFree));
}

function showTrail(points) {
  trail.setAttribute("points", points.map((point) => point.join(",")).join(" "));
}

function showGuides({ x, y }) {
  guides.x.hidden = x === null;
  guides.y.hidden = y === null;
  if (x !== null) guides.x.style.left = x * 100 + "%";
  if (y !== null) guides.y.style.top = y * 100 + "%";
}

// The ring shows how much the brush covers; `share` is its middle.
function showRing(share) {
  ring.hidden = !share;
  if (!share) return;
  const longest = Math.max(page.width, page.height);
  ring.style.width = brush.value * (longest / page.width) + "%";
  ring.style.left = share[0] * 100 + "%";
  ring.style.top = share[1] * 100 + "%";
}

const isPainting = () => page.mode === "mask" || page.mode === "erase";

stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest("input, label.drop")) return;
  if (event.pointerType === "touch") fingers.set(event.pointerId, placeOf(event));
  if (fingers.size === 2) { beginPinch(); return; }
  if (event.button === 1) { beginPan(event); return; }
  if (event.button !== 0 || gesture || pinch || (takesPhoto && !page.photo)) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  page.pen = null;
  gesture = gestureFor(event);
  stage.classList.add("gesture");
});

stage.addEventListener("pointermove", (event) => {
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, placeOf(event));
  if (pinch) { followPinch(event); return; }
  if (isPainting()) showRing(pointIn(stage.getBoundingClientRect(), placeOf(event)));
  if (!gesture || event.pointerId !== gesture.pointer) return;
  gesture.latest = placeOf(event);
  gesture.isFree = event.altKey;
  if (gesture.kind === "scribble" || gesture.kind === "paint") {
    const area = stage.getBoundingClientRect();
    const between = event.getCoalescedEvents?.() || [];
    gesture.points.push(...(between.length ? between : [event]).map((each) => pointIn(area, placeOf(each))));
  }
  frame ||= requestAnimationFrame(follow);
});

function endGesture(event, isCancelled) {
  fingers.delete(event.pointerId);
  if (pinch) {
    if (pinch.pointer === event.pointerId || (pinch.pointer === undefined && !fingers.size)) pinch = null;
    return;
  }
  if (!gesture || event.pointerId !== gesture.pointer) return;
  follow();
  const done = gesture;
  stopGesture();
  if (isCancelled) restore(model, done.before);
  else if (!done.hasMoved) clickAt(done);
  else if (done.kind === "draw" || done.kind === "scribble") finishNewBox(done);
  else if (!isUnchanged(model, done.before)) remember(model, done.before);
  settle(done.kind === "paint" ? null : model.strokes);
  if (!isCancelled && done.kind !== "paint") focusNewLabel(done);
}

function stopGesture() {
  cancelAnimationFrame(frame);
  frame = 0;
  gesture = null;
  stage.classList.remove("gesture");
  showTrail([]);
  showGuides({ x: null, y: null });
}

// A click selects what lies there; again, what lies under it; beside all boxes it selects nothing.
function clickAt({ start, kind, selectedBefore }) {
  if (kind === "resize") return;
  const pile = regionsAt(model, start);
  if (!pile.length && selectedBefore === null) say(words("too_small"), true);
  const at = pile.findIndex((region) => region.id === selectedBefore);
  model.selected = pile.length ? pile[(at + 1) % pile.length].id : null;
}

function finishNewBox(done) {
  const box = done.kind === "draw" ? normalised(...done.start, ...done.last) : boundsOf(done.points);
  const [leastX, leastY] = leastSides();
  if (box[2] - box[0] < leastX || box[3] - box[1] < leastY) { say(words("too_small"), true); return; }
  if (isFull()) return;
  remember(model, done.before);
  const region = addRegion(model, box);
  if (region.phrase) say(words("named", { number: model.regions.length, phrase: region.phrase }));
  else askForName();
  done.newId = region.phrase ? null : region.id;
}

// On a touch screen the keyboard would cover the drawing.
function focusNewLabel({ newId, isMouse }) {
  if (newId && isMouse) view.of(newId).onCanvas.label.focus({ preventScroll: true });
}

// Two fingers enlarge and move the view; what the first one began is given up.
function beginPinch() {
  if (gesture) {
    const strokes = gesture.kind === "paint" ? null : model.strokes;
    restore(model, gesture.before);
    stopGesture();
    settle(strokes);
  }
  pinch = { ...measureFingers(), zoom: page.zoom };
}

function measureFingers() {
  const [[ax, ay], [bx, by]] = [...fingers.values()];
  return { span: Math.max(Math.hypot(ax - bx, ay - by), 1), middle: [(ax + bx) / 2, (ay + by) / 2] };
}

// The middle button moves the view like two fingers that keep their distance.
function beginPan(event) {
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  pinch = { pointer: event.pointerId, middle: placeOf(event) };
}

function followPinch(event) {
  if (pinch.pointer === undefined && fingers.size < 2) return;
  const now = pinch.pointer === undefined ? measureFingers() : { middle: placeOf(event) };
  viewport.scrollLeft -= now.middle[0] - pinch.middle[0];
  viewport.scrollTop -= now.middle[1] - pinch.middle[1];
  pinch.middle = now.middle;
  if (now.span) zoomTo((pinch.zoom * now.span) / pinch.span, now.middle);
}

stage.addEventListener("pointerup", (event) => endGesture(event, false));
stage.addEventListener("pointercancel", (event) => endGesture(event, true));
stage.addEventListener("pointerleave", () => { if (!gesture && !page.pen) showRing(null); });
