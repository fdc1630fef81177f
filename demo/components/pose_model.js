// The people on the canvas: where their joints are, which are seen, and the history.
// Coordinates are fractions of the picture, x to the right, y down; left and right are the person's own.

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function createModel() {
  return { persons: [], selected: null, joint: null, nextId: 1, past: [], future: [] };
}

function snapshot(model) {
  return JSON.stringify({ persons: model.persons });
}

// After undo or redo a person may be gone that was selected.
function settle(model) {
  if (!model.persons.some((person) => person.id === model.selected)) model.selected = model.joint = null;
}

function selectedPerson(model) {
  return model.persons.find((person) => person.id === model.selected) || null;
}

function addPerson(model, joints) {
  const person = { id: model.nextId++, joints };
  model.persons.push(person);
  model.selected = person.id;
  model.joint = null;
  return person;
}

function removePerson(model, id) {
  model.persons = model.persons.filter((person) => person.id !== id);
  if (model.selected === id) model.selected = model.joint = null;
}

// All joints count, those that are hidden too, so that nothing is lost at an edge.
function boundsOf(joints) {
  const xs = joints.map((joint) => joint.x);
  const ys = joints.map((joint) => joint.y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

// Put the standing figure into a box, as large as fits, without stretching it. `aspect` is the
// width of the picture divided by its height.
function standing(figure, box, aspect) {
  const xs = figure.map((point) => point[0]);
  const ys = figure.map((point) => point[1]);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [wide, high] = [Math.max(...xs) - left, Math.max(...ys) - top];
  const scale = Math.min((box[3] - box[1]) / high, (box[2] - box[0]) * aspect / wide);
  const [startX, startY] = [(box[0] + box[2] - wide * scale / aspect) / 2, (box[1] + box[3] - high * scale) / 2];
  return figure.map(([x, y]) => ({
    x: clamp(startX + (x - left) * scale / aspect, 0, 1),
    y: clamp(startY + (y - top) * scale, 0, 1),
    seen: true,
  }));
}

function movedBy(joints, dx, dy) {
  const [x0, y0, x1, y1] = boundsOf(joints);
  const x = clamp(dx, -x0, 1 - x1);
  const y = clamp(dy, -y0, 1 - y1);
  return joints.map((joint) => ({ ...joint, x: joint.x + x, y: joint.y + y }));
}

// Scale around a fixed point; a person never leaves the picture, nor shrinks to less than `least`.
function scaledBy(joints, factor, [cx, cy], least) {
  const [x0, y0, x1, y1] = boundsOf(joints);
  const room = (low, high, centre) => Math.min(
    high > centre + 1e-9 ? (1 - centre) / (high - centre) : Infinity,
    low < centre - 1e-9 ? centre / (centre - low) : Infinity,
  );
  const most = Math.min(room(x0, x1, cx), room(y0, y1, cy));
  const fewest = least / Math.max(x1 - x0, y1 - y0, 1e-6);
  const used = Math.min(Math.max(factor, fewest), most);
  return joints.map((joint) => ({ ...joint, x: cx + (joint.x - cx) * used, y: cy + (joint.y - cy) * used }));
}

// The person seen from behind: left and right change places. `names` are the names of the joints.
function mirrored(joints, names) {
  const [x0, , x1] = boundsOf(joints);
  const other = (name) => name.startsWith("left") ? name.replace("left", "right") : name.replace("right", "left");
  return joints.map((_, index) => {
    const twin = joints[names.indexOf(other(names[index]))];
    return { ...twin, x: x0 + x1 - twin.x };
  });
}

// Where a joint probably is that a file leaves out: at its place in a standing figure of that size.
function completed(points, figure, aspect) {
  const known = points.filter(Boolean).map(([x, y]) => ({ x, y }));
  const box = boundsOf(known);
  const guess = standing(figure, [box[0], box[1], Math.max(box[2], box[0] + 0.05), Math.max(box[3], box[1] + 0.05)], aspect);
  return points.map((point, index) => point ? { x: point[0], y: point[1], seen: true } : { ...guess[index], seen: false });
}
