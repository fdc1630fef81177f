// Keyboard and buttons of the canvas for people: everything that a pointer can do.

const STEP = 0.01;
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
    ? { z: () => step(event.shiftKey ? redo(model) : undo(model)), y: () => step(redo(model)), d: person && (() => actions.copy(person.id)) }[key]
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
  undo() { step(undo(model)); },
  redo() { step(redo(model)); },
  clear() { if (model.persons.length) change(() => { model.persons = []; model.selected = model.joint = null; }); },
  save() {
    if (!model.persons.length) { say(words("nothingToSave"), true); return; }
    download(JSON.stringify(asCoco(model.persons, props.width, props.height), null, 1));
    say(words("saved", { count: countOf(model.persons.length) }));
  },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button && !button.disabled) buttons[button.dataset.action]();
});
