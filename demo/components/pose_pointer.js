// Mouse and touch on the canvas for people: what is hit, and what a drag does to it.

const HOLD_MS = 550; // a press as long as this hides or shows a joint
const TOUCH_REACH = 22; // pixels from the middle: what a finger aims at is 44 pixels wide
let holding = 0;

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
  const joint = jointAt(start, isTouch ? TOUCH_REACH : 11);
  if (joint) return { ...base, kind: "joint", person: joint.person, index: joint.index };
  const corner = cornerAt(start, isTouch ? TOUCH_REACH + 2 : 12);
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
    say(model.persons.length ? "" : words("dragOrAdd"));
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
