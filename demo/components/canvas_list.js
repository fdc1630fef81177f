// The rows of the list: name, order, visibility, colour, copy, reference picture, delete.

function makeRow(region, actions) {
  const row = make("li", "row", { "data-id": region.id });
  const grip = make("button", "chip", { type: "button", title: words("grip_title") });
  listenForReorder(grip, region.id, actions);
  const label = make("input", "", { type: "text", placeholder: words("row_placeholder"), maxlength: props.max_phrase, autocomplete: "off" });
  actions.bindLabel(label, region.id);
  const tools = make("div", "row-tools");
  const button = (iconName, titleKey, run) => {
    const node = make("button", "icon", { type: "button", title: words(titleKey) });
    node.append(icon(iconName));
    node.addEventListener("click", run);
    tools.append(node);
    return node;
  };
  const eye = button("eye", "hide_title", () => actions.toggle(region.id));
  const colour = make("input", "", { type: "color", title: words("colour_title") });
  actions.bindColour(colour, region.id);
  tools.append(colour);
  const up = button("up", "move_up_title", () => actions.move(region.id, -1));
  const down = button("down", "move_down_title", () => actions.move(region.id, 1));
  const copy = button("copy", "copy_title", () => actions.duplicate(region.id));
  const picture = props.takes_pictures ? makePicture(region, actions) : null;
  if (picture) {
    tools.append(picture.choose);
    listenForDrops(row, (file) => actions.choosePicture(region.id, file));
  }
  const bin = button("bin", "bin_title", () => actions.remove(region.id));
  row.append(grip, label, tools);
  if (picture) row.append(picture.shown);
  row.addEventListener("pointerdown", () => actions.select(region.id));
  row.addEventListener("focusin", () => { actions.select(region.id); revealSelected(); });
  return { row, grip, label, eye, colour, copy, up, down, bin, picture };
}

// The reference picture of a row: a button that opens the file dialog, a thumbnail, and a way to take it away.
function makePicture(region, actions) {
  const shown = make("div", "shown");
  const thumb = make("img", "thumb", { alt: "" });
  const remove = make("button", "icon", { type: "button", title: words("no_picture_title") });
  remove.append(icon("cross"));
  remove.addEventListener("click", () => actions.removePicture(region.id));
  shown.append(thumb, remove);
  const choose = make("label", "choose icon", { title: words("picture_title") });
  const input = make("input", "", { type: "file", accept: "image/png,image/jpeg,image/webp" });
  input.addEventListener("change", () => { actions.choosePicture(region.id, input.files[0]); input.value = ""; });
  choose.append(icon("picture"), input);
  return { shown, thumb, choose, input, remove };
}

function placePicture(picture, region, number) {
  placeThumb(picture.thumb, region);
  picture.shown.hidden = !region.image;
  picture.thumb.alt = words("picture_alt", { number });
  picture.input.setAttribute("aria-label", words("picture", { number }));
  picture.remove.setAttribute("aria-label", words("no_picture", { number }));
}

function placeRow(view, region, index, isSelected, count) {
  const number = index + 1;
  const tint = tintOf(region, index);
  const name = (node, key) => node.setAttribute("aria-label", words(key, { number }));
  view.row.style.setProperty("--tint", tint);
  view.row.style.setProperty("--on-tint", inkOn(tint));
  view.row.classList.toggle("selected", isSelected);
  view.row.classList.toggle("off", !region.visible);
  view.grip.textContent = number;
  name(view.grip, "grip");
  name(view.label, "row_name");
  name(view.colour, "colour");
  name(view.copy, "copy");
  name(view.up, "move_up");
  name(view.down, "move_down");
  name(view.bin, "bin");
  name(view.eye, region.visible ? "hide" : "show");
  view.eye.title = words(region.visible ? "hide_title" : "show_title");
  view.eye.replaceChildren(icon(region.visible ? "eye" : "shut"));
  view.up.disabled = index === 0;
  view.down.disabled = index === count - 1;
  if (view.colour.value !== tint) view.colour.value = tint;
  if (view.picture) placePicture(view.picture, region, number);
  setValue(view.label, region.phrase);
}

// Dragging the number moves the row. The moves are heard on the document: putting a row elsewhere
// takes it out of the page for a moment, which ends a pointer capture.
function listenForReorder(grip, id, actions) {
  grip.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    event.stopPropagation();
    actions.move(id, event.key === "ArrowUp" ? -1 : 1);
  });
  grip.addEventListener("pointerdown", (start) => {
    if (start.button !== 0) return;
    const finish = actions.beginReorder(id);
    const follow = (event) => { if (event.pointerId === start.pointerId) finish.moveTo(event.clientY); };
    const end = (event) => {
      if (event.pointerId !== start.pointerId) return;
      document.removeEventListener("pointermove", follow);
      document.removeEventListener("pointerup", end);
      document.removeEventListener("pointercancel", end);
      finish.end();
    };
    document.addEventListener("pointermove", follow);
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
  });
}

// Files dropped onto `target` go to `take`; what else is dropped there is not ours.
function listenForDrops(target, take) {
  const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
  target.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    target.classList.add("dropping");
  });
  target.addEventListener("dragleave", (event) => {
    if (!target.contains(event.relatedTarget)) target.classList.remove("dropping");
  });
  target.addEventListener("drop", (event) => {
    target.classList.remove("dropping");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
}
