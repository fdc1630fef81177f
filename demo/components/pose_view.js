// Turns the people into elements. Text goes in through textContent only, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const ROW_ACTIONS = ["copy", "mirror", "shrink", "grow", "remove"];

const countOf = (count) => words(count === 0 ? "nobody" : count === 1 ? "onePerson" : "manyPeople", { count });

function make(name, className, attributes = {}) {
  const node = document.createElement(name);
  node.className = className;
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
}

const sideOf = (name) => name.startsWith("left") ? "left" : name.startsWith("right") ? "right" : "middle";

function boneSide(bone) {
  const sides = bone.map((joint) => sideOf(props.joints[joint]));
  return sides[0] === sides[1] ? sides[0] : "middle";
}

function drawLine(from, to, className) {
  const line = document.createElementNS(SVG, "line");
  line.setAttribute("class", className);
  [["x1", from.x], ["y1", from.y], ["x2", to.x], ["y2", to.y]].forEach(([key, value]) => line.setAttribute(key, value));
  return line;
}

function drawBones(person, isSelected) {
  const more = isSelected ? " selected" : "";
  const lines = props.bones
    .map((bone) => ({ side: boneSide(bone), ends: bone.map((joint) => person.joints[joint]) }))
    .filter(({ ends }) => ends.every((joint) => joint.seen))
    .map(({ side, ends }) => drawLine(...ends, "bone " + side + more));
  // The joints have no neck; without one the head would seem to float.
  const [nose, left, right] = ["nose", "left shoulder", "right shoulder"].map((name) => person.joints[props.joints.indexOf(name)]);
  if (!(nose.seen && left.seen && right.seen)) return lines;
  const middle = { x: (left.x + right.x) / 2, y: (left.y + right.y) / 2 };
  return [drawLine(nose, middle, "bone middle" + more), ...lines];
}

function drawJoint(person, index, model) {
  const joint = person.joints[index];
  const dot = make("div", "joint " + sideOf(props.joints[index]), { "data-person": person.id, "data-joint": index });
  dot.style.left = joint.x * 100 + "%";
  dot.style.top = joint.y * 100 + "%";
  dot.classList.toggle("unseen", !joint.seen);
  dot.classList.toggle("selected", person.id === model.selected && index === model.joint);
  dot.title = props.joints[index];
  return dot;
}

function drawFrame(person) {
  const [x0, y0, x1, y1] = boundsOf(person.joints).map((value) => value * 100);
  const frame = make("div", "person-frame");
  frame.style.cssText = "left:" + x0 + "%;top:" + y0 + "%;width:" + (x1 - x0) + "%;height:" + (y1 - y0) + "%";
  for (const corner of ["nw", "ne", "se", "sw"]) frame.append(make("div", "grip " + corner, { "data-corner": corner }));
  return frame;
}

function drawNumber(person, index) {
  const [x0, y0, x1] = boundsOf(person.joints);
  const tag = make("div", "tag");
  tag.textContent = index + 1;
  tag.style.left = 50 * (x0 + x1) + "%";
  tag.style.top = y0 * 100 + "%";
  return tag;
}

function drawStage(parts, model) {
  const isOther = (person) => person.id !== model.selected;
  // The selected person is drawn last, on top of the others.
  const order = [...model.persons.filter(isOther), ...model.persons.filter((person) => !isOther(person))];
  parts.bones.replaceChildren(...order.flatMap((person) => drawBones(person, !isOther(person))));
  const dots = order.flatMap((person) => person.joints
    .map((joint, index) => ({ joint, index }))
    .filter(({ joint }) => joint.seen || !isOther(person))
    .map(({ index }) => drawJoint(person, index, model)));
  const numbers = model.persons.length > 1 ? model.persons.map(drawNumber) : [];
  const frame = selectedPerson(model);
  parts.dots.replaceChildren(...(frame ? [drawFrame(frame)] : []), ...numbers, ...dots);
}

function makeRow(person, actions) {
  const row = make("li", "row", { "data-id": person.id });
  const name = make("button", "name", { type: "button" });
  const count = make("span", "count-seen");
  const tools = make("div", "row-tools");
  const buttons = {};
  for (const key of ROW_ACTIONS) {
    buttons[key] = make("button", "", { type: "button" });
    buttons[key].textContent = words(key);
    buttons[key].addEventListener("click", () => actions[key](person.id));
    tools.append(buttons[key]);
  }
  name.addEventListener("click", () => actions.select(person.id));
  row.append(name, count, tools);
  return { row, name, count, buttons };
}

function placeRow(view, person, index, model) {
  const seen = person.joints.filter((joint) => joint.seen).length;
  const isSelected = person.id === model.selected;
  view.row.classList.toggle("selected", isSelected);
  view.name.textContent = words("person", { number: index + 1 });
  view.name.setAttribute("aria-pressed", String(isSelected));
  view.count.textContent = words("jointsSeen", { seen, all: person.joints.length });
  for (const key of ROW_ACTIONS) view.buttons[key].setAttribute("aria-label", words(key + "Label", { number: index + 1 }));
}

// One checkbox for each joint of the selected person; unticked joints are not shown to the model.
function makeJoints(holder, actions) {
  return props.joints.map((name, index) => {
    const label = make("label", sideOf(name));
    const box = make("input", "", { type: "checkbox" });
    const text = make("span", "");
    text.textContent = name;
    box.addEventListener("change", () => { actions.show(index, box.checked); box.checked = actions.isSeen(index); });
    box.addEventListener("focus", () => actions.pick(index));
    label.append(box, text);
    holder.append(label);
    return { label, box };
  });
}

// Rows are kept by the person's id, so that a redraw never takes the focus from a button.
function createView(parts, actions) {
  const known = new Map();
  const joints = makeJoints(parts.joints, actions);
  return function draw(model) {
    drawStage(parts, model);
    for (const [id, view] of known) {
      if (model.persons.some((person) => person.id === id)) continue;
      known.delete(id);
      view.row.remove();
    }
    model.persons.forEach((person, index) => {
      if (!known.has(person.id)) known.set(person.id, makeRow(person, actions));
      const view = known.get(person.id);
      placeRow(view, person, index, model);
      if (parts.list.children[index] !== view.row) parts.list.insertBefore(view.row, parts.list.children[index] || null);
    });
    const person = selectedPerson(model);
    parts.panel.hidden = !person;
    joints.forEach(({ label, box }, index) => {
      box.checked = Boolean(person && person.joints[index].seen);
      label.classList.toggle("selected", Boolean(person) && index === model.joint);
    });
    const total = model.persons.length;
    parts.count.textContent = countOf(total);
  };
}
