// Wires pointer, touch, keyboard and the shared value. `element`, `props`, `trigger` and `watch`
// come from Gradio; the value is always replaced as a whole, because identity is compared.

const one = (selector) => element.querySelector(selector);
const stage = one(".stage");
const hintLine = one(".hint");
const aspect = props.width / props.height;
const LEAST = 0.05; // the least longer side of a person, as a share of the picture
const HOLD_MS = 550; // a press as long as this hides or shows a joint
const STEP = 0.01;

const model = createModel();
let gesture = null;
let holding = 0;

const indexOf = (id) => model.persons.findIndex((person) => person.id === id);
const find = (id) => model.persons[indexOf(id)];

const actions = {
  select(id) { choose(id, null); },
  remove(id) { change(() => removePerson(model, id)); say("Deleted. Undo brings the person back."); },
  copy(id) {
    if (isFull()) return;
    change(() => addPerson(model, movedBy(find(id).joints, 0.06, 0.02)));
  },
  mirror(id) { change(() => { find(id).joints = mirrored(find(id).joints, props.joints); }); },
  shrink(id) { scale(id, 1 / 1.1); },
  grow(id) { scale(id, 1.1); },
  pick(index) { if (model.joint !== index) { model.joint = index; redraw(); } },
  isSeen(index) { const person = selectedPerson(model); return Boolean(person && person.joints[index].seen); },
  show(index, isSeen) { setSeen(selectedPerson(model), index, isSeen); },
};

const draw = createView(
  { bones: one(".bones"), dots: one(".dots"), list: one(".persons"), joints: one(".joints"), panel: one(".joint-panel"), count: one(".count") },
  actions,
);

function redraw() {
  draw(model);
  one(".empty").hidden = model.persons.length > 0 || Boolean(gesture);
  one('[data-action="undo"]').disabled = !model.past.length;
  one('[data-action="redo"]').disabled = !model.future.length;
}

function say(text, isWarning = false) {
  hintLine.textContent = text;
  hintLine.classList.toggle("warn", isWarning);
}

function isFull() {
  if (model.persons.length < props.max_persons) return false;
  say("There are already " + props.max_persons + " people, as many as the model has slots for. Delete one first.", true);
  return true;
}

// Give the people to Gradio. This changes a property on the page; nothing is sent before a button is pressed.
function emit() {
  const persons = model.persons.map((person) => person.joints.map(({ x, y, seen }) => seen ? [x, y] : null));
  props.value = { persons };
  trigger("change");
}

function change(edit) {
  remember(model);
  edit();
  redraw();
  emit();
}

function step(from, to) {
  if (!travel(model, from, to)) return;
  redraw();
  emit();
}

function choose(id, joint) {
  model.selected = id;
  model.joint = joint;
  redraw();
  if (id === null) return;
  const person = "Person " + (indexOf(id) + 1);
  if (joint === null) say(person + ". Drag it to move it, its corners to scale it, a joint to bend it.");
  else say(person + ", " + props.joints[joint] + (find(id).joints[joint].seen ? "." : " (hidden).") + " Double-click or hold it to hide or show it.");
}

function scale(id, factor) {
  const [x0, y0, x1, y1] = boundsOf(find(id).joints);
  change(() => { find(id).joints = scaledBy(find(id).joints, factor, [(x0 + x1) / 2, (y0 + y1) / 2], LEAST); });
}

function setSeen(person, index, isSeen) {
  if (!person || person.joints[index].seen === isSeen) return;
  if (!isSeen && person.joints.filter((joint) => joint.seen).length === 1) {
    say("This is the last joint that is seen; delete the person instead.", true);
    return;
  }
  model.joint = index;
  change(() => { person.joints = person.joints.map((joint, at) => at === index ? { ...joint, seen: isSeen } : joint); });
  say("The " + props.joints[index] + " is " + (isSeen ? "shown." : "hidden: the model decides where it is."));
}

// ---- pointer ---------------------------------------------------------------------------------------

function pointOf(event) {
  const rect = stage.getBoundingClientRect();
  return [clamp((event.clientX - rect.left) / rect.width, 0, 1), clamp((event.clientY - rect.top) / rect.height, 0, 1)];
}

// Distances are in pixels of the screen, so that a finger hits as well on a small picture.
function pixelsBetween([ax, ay], [bx, by]) {
  const rect = stage.getBoundingClientRect();
  return Math.hypot((ax - bx) * rect.width, (ay - by) * rect.height);
}

function cornerAt(point, reach) {
  const person = selectedPerson(model);
  if (!person) return null;
  const [x0, y0, x1, y1] = boundsOf(person.joints);
  const rect = stage.getBoundingClientRect();
  // The grips stand a little outside the frame, apart from hands and feet.
  const [mx, my] = [10 / rect.width, 10 / rect.height];
  const corners = { nw: [x0 - mx, y0 - my, x1, y1], ne: [x1 + mx, y0 - my, x0, y1], se: [x1 + mx, y1 + my, x0, y0], sw: [x0 - mx, y1 + my, x1, y0] };
  for (const [x, y, fixedX, fixedY] of Object.values(corners)) {
    if (pixelsBetween(point, [x, y]) <= reach) return { person, fixed: [fixedX, fixedY] };
  }
  return null;
}

function jointAt(point, reach) {
  let best = null;
  for (const person of model.persons) {
    const isSelected = person.id === model.selected;
    person.joints.forEach((joint, index) => {
      if (!joint.seen && !isSelected) return;
      // Of two joints at one place the selected person's is meant.
      const distance = pixelsBetween(point, [joint.x, joint.y]) - (isSelected ? 3 : 0);
      if (distance <= reach && (!best || distance < best.distance)) best = { person, index, distance };
    });
  }
  return best;
}

function personAt([x, y]) {
  const order = [...model.persons].sort((a, b) => (b.id === model.selected) - (a.id === model.selected));
  return order.find((person) => {
    const [x0, y0, x1, y1] = boundsOf(person.joints);
    return x >= x0 && x <= x1 && y >= y0 && y <= y1;
  });
}

function gestureFor(event) {
  const start = pointOf(event);
  const isTouch = event.pointerType !== "mouse";
  const base = { start, last: start, before: snapshot(model), moved: false };
  const joint = jointAt(start, isTouch ? 20 : 11);
  if (joint) return { ...base, kind: "joint", person: joint.person, index: joint.index };
  const corner = cornerAt(start, isTouch ? 24 : 12);
  if (corner) return { ...base, kind: "scale", person: corner.person, fixed: corner.fixed, joints: corner.person.joints };
  const person = personAt(start);
  if (person) return { ...base, kind: "move", person, joints: person.joints };
  return { ...base, kind: "new" };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  event.preventDefault();
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  gesture = gestureFor(event);
  if (gesture.person) choose(gesture.person.id, gesture.kind === "joint" ? gesture.index : null);
  if (gesture.kind === "joint") holding = setTimeout(holdJoint, HOLD_MS);
});

function holdJoint() {
  if (!gesture || gesture.moved) return;
  const { person, index } = gesture;
  gesture = null;
  setSeen(person, index, !person.joints[index].seen);
}

stage.addEventListener("pointermove", (event) => {
  if (!gesture || !event.isPrimary) return;
  const point = pointOf(event);
  // A finger trembles; a drag begins after four pixels.
  if (!gesture.moved && pixelsBetween(point, gesture.start) < 4) return;
  gesture.moved = true;
  gesture.last = point;
  clearTimeout(holding);
  const { person, start } = gesture;
  if (gesture.kind === "joint") person.joints[gesture.index] = { ...person.joints[gesture.index], x: point[0], y: point[1] };
  if (gesture.kind === "move") person.joints = movedBy(gesture.joints, point[0] - start[0], point[1] - start[1]);
  if (gesture.kind === "scale") {
    const factor = pixelsBetween(point, gesture.fixed) / pixelsBetween(start, gesture.fixed);
    person.joints = scaledBy(gesture.joints, factor, gesture.fixed, LEAST);
  }
  showArea(gesture.kind === "new" ? areaOf(gesture) : null);
  redraw();
});

function areaOf({ start, last }) {
  return [Math.min(start[0], last[0]), Math.min(start[1], last[1]), Math.max(start[0], last[0]), Math.max(start[1], last[1])];
}

function showArea(area) {
  const node = one(".area");
  node.hidden = !area;
  if (!area) return;
  const [x0, y0, x1, y1] = area.map((value) => value * 100);
  node.style.cssText = "left:" + x0 + "%;top:" + y0 + "%;width:" + (x1 - x0) + "%;height:" + (y1 - y0) + "%";
}

function finishGesture(event, isCancelled) {
  clearTimeout(holding);
  if (!gesture || !event.isPrimary) return;
  const done = gesture;
  gesture = null;
  showArea(null);
  if (isCancelled) Object.assign(model, JSON.parse(done.before));
  else if (done.kind === "new") finishNew(done);
  else if (done.moved) remember(model, done.before);
  redraw();
  emit();
}

function finishNew(done) {
  const area = areaOf(done);
  if (Math.max(area[2] - area[0], area[3] - area[1]) < LEAST) {
    choose(null, null);
    say(model.persons.length ? "" : "Drag over the place for a person, or press Add person.");
    return;
  }
  if (isFull()) return;
  remember(model);
  const person = addPerson(model, standing(props.figure, area, aspect));
  choose(person.id, null);
}

stage.addEventListener("pointerup", (event) => finishGesture(event, false));
stage.addEventListener("pointercancel", (event) => finishGesture(event, true));
stage.addEventListener("contextmenu", (event) => event.preventDefault());
stage.addEventListener("dblclick", (event) => {
  const hit = jointAt(pointOf(event), 14);
  if (hit) setSeen(hit.person, hit.index, !hit.person.joints[hit.index].seen);
});

// ---- keyboard and buttons --------------------------------------------------------------------------

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function nudge(person, key, isFar) {
  const [dx, dy] = ARROWS[key].map((direction) => direction * STEP * (isFar ? 5 : 1));
  change(() => {
    if (model.joint === null) { person.joints = movedBy(person.joints, dx, dy); return; }
    person.joints = person.joints.map((joint, index) => index === model.joint
      ? { ...joint, x: clamp(joint.x + dx, 0, 1), y: clamp(joint.y + dy, 0, 1) } : joint);
  });
}

function nextPerson(direction) {
  const total = model.persons.length;
  if (!total) return;
  const at = indexOf(model.selected);
  choose(model.persons[at < 0 ? 0 : (at + direction + total) % total].id, null);
}

function nextJoint(person, direction) {
  const total = props.joints.length;
  const start = direction > 0 ? -1 : 0;
  choose(person.id, ((model.joint ?? start) + direction + total) % total);
}

const keys = {
  Delete: (person) => actions.remove(person.id),
  Backspace: (person) => actions.remove(person.id),
  "+": (person) => actions.grow(person.id),
  "=": (person) => actions.grow(person.id),
  "-": (person) => actions.shrink(person.id),
  ".": (person) => nextJoint(person, 1),
  ",": (person) => nextJoint(person, -1),
  m: (person) => actions.mirror(person.id),
  h: (person) => { if (model.joint !== null) setSeen(person, model.joint, !person.joints[model.joint].seen); },
  Escape: (person) => choose(model.joint === null ? null : person.id, null),
};

stage.addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const person = selectedPerson(model);
  const run = control
    ? { z: () => event.shiftKey ? step(model.future, model.past) : step(model.past, model.future), y: () => step(model.future, model.past), d: person && (() => actions.copy(person.id)) }[key]
    : { n: () => nextPerson(1), p: () => nextPerson(-1) }[key] || (person && ARROWS[key] && (() => nudge(person, key, event.shiftKey))) || (person && keys[key] && (() => keys[key](person)));
  if (!run) return;
  event.preventDefault();
  run();
});

const buttons = {
  add() {
    if (isFull()) return;
    const places = [0.5, 0.18, 0.82, 0.34, 0.66, 0.26, 0.74, 0.42];
    const centre = places[model.persons.length % places.length];
    change(() => addPerson(model, standing(props.figure, [Math.max(0, centre - 0.3), 0.1, Math.min(1, centre + 0.3), 0.9], aspect)));
    choose(model.selected, null);
    stage.focus({ preventScroll: true });
  },
  undo() { step(model.past, model.future); },
  redo() { step(model.future, model.past); },
  clear() { if (model.persons.length) change(() => { model.persons = []; model.selected = model.joint = null; }); },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button && !button.disabled) buttons[button.dataset.action]();
});

// ---- values set from Python ------------------------------------------------------------------------

function receive() {
  const value = props.value || {};
  const before = snapshot(model);
  model.persons = [];
  (value.persons || []).forEach((points) => addPerson(model, completed(points, props.figure, aspect)));
  model.selected = model.joint = null;
  if (before !== snapshot(model)) remember(model, before);
  redraw();
}

stage.style.aspectRatio = props.width + " / " + props.height;
watch("value", receive);
receive();
model.past = [];
redraw();
