// The people and the shared value. `element`, `props`, `trigger` and `watch` come from Gradio; the
// value is always replaced as a whole, because identity is compared. Pointer and keyboard have their
// own scripts, which come after this one.

const one = (selector) => element.querySelector(selector);
const stage = one(".stage");
const hintLine = one(".hint");
const aspect = props.width / props.height;
const LEAST = 0.05; // the least longer side of a person, as a share of the picture

const model = createModel();
let gesture = null;

const indexOf = (id) => model.persons.findIndex((person) => person.id === id);
const find = (id) => model.persons[indexOf(id)];

const actions = {
  select(id) { choose(id, null); },
  remove(id) { change(() => removePerson(model, id)); say(words("deleted")); },
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
  say(words("full", { most: props.max_persons }), true);
  return true;
}

// Give the people to Gradio. This changes a property on the page; nothing is sent before a button is pressed.
function emit() {
  const persons = model.persons.map((person) => person.joints.map(({ x, y, seen }) => seen ? [x, y] : null));
  props.value = { persons };
  trigger("change");
  trigger("input"); // a person did it; what Python sets is a change only
}

function change(edit) {
  remember(model);
  edit();
  redraw();
  emit();
}

function step(travelled) {
  if (!travelled) return;
  redraw();
  emit();
}

function choose(id, joint) {
  model.selected = id;
  model.joint = joint;
  redraw();
  if (id === null) return;
  const number = indexOf(id) + 1;
  if (joint === null) { say(words("chosenPerson", { number })); return; }
  const isSeen = find(id).joints[joint].seen;
  say(words(isSeen ? "chosenJoint" : "chosenHiddenJoint", { number, joint: props.joints[joint] }));
}

function scale(id, factor) {
  const [x0, y0, x1, y1] = boundsOf(find(id).joints);
  change(() => { find(id).joints = scaledBy(find(id).joints, factor, [(x0 + x1) / 2, (y0 + y1) / 2], LEAST); });
}

function setSeen(person, index, isSeen) {
  if (!person || person.joints[index].seen === isSeen) return;
  if (!isSeen && person.joints.filter((joint) => joint.seen).length === 1) {
    say(words("lastJoint"), true);
    return;
  }
  model.joint = index;
  change(() => { person.joints = person.joints.map((joint, at) => at === index ? { ...joint, seen: isSeen } : joint); });
  say(words(isSeen ? "jointShown" : "jointHidden", { joint: props.joints[index] }));
}

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
