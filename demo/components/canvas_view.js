// Turns the regions into elements on the drawing area and keeps those and the list in step with them.
// Text goes in through value and textContent only, never as markup. Elements are kept by region id,
// so that a redraw never takes the focus from a label, and only what changed is written.

const HANDLES = [["nw", 0, 0], ["n", 50, 0], ["ne", 100, 0], ["e", 100, 50], ["se", 100, 100], ["s", 50, 100], ["sw", 0, 100], ["w", 0, 50]];

const tintOf = (region, index) => region.colour || props.tints[index % props.tints.length];

function setValue(input, text) {
  if (document.activeElement !== input && input.value !== text) input.value = text;
}

function makeBox(region, actions) {
  const box = make("div", "box", { "data-id": region.id });
  const tag = make("div", "tag");
  const number = make("span", "number");
  // The row in the list has the same label; one of them is enough for the Tab key.
  const label = make("input", "", { type: "text", placeholder: words("tag_placeholder"), maxlength: props.max_phrase, autocomplete: "off", tabindex: -1 });
  actions.bindLabel(label, region.id);
  tag.append(number, label);
  const thumb = make("img", "thumb", { alt: "", draggable: "false" });
  box.append(tag, thumb);
  for (const [edges, left, top] of HANDLES) {
    const handle = make("div", "handle", { "data-edges": edges });
    handle.style.cssText = "left:" + left + "%;top:" + top + "%;cursor:" + edges + "-resize";
    box.append(handle);
  }
  return { box, number, label, thumb };
}

function placeThumb(thumb, region) {
  thumb.hidden = !region.thumb;
  if (region.thumb && thumb.getAttribute("src") !== region.thumb) thumb.src = region.thumb;
}

// All that a drag changes.
function placeSides(box, sides) {
  const [x0, y0, x1, y1] = sides.map((value) => value * 100);
  box.style.left = x0 + "%";
  box.style.top = y0 + "%";
  box.style.width = x1 - x0 + "%";
  box.style.height = y1 - y0 + "%";
}

function placeBox(view, region, index, isSelected) {
  const tint = tintOf(region, index);
  placeSides(view.box, region.box);
  view.box.style.setProperty("--tint", tint);
  view.box.style.setProperty("--on-tint", inkOn(tint));
  view.box.classList.toggle("selected", isSelected);
  view.box.classList.toggle("off", !region.visible);
  placeThumb(view.thumb, region);
  view.number.textContent = index + 1;
  view.label.setAttribute("aria-label", words("tag_name", { number: index + 1 }));
  setValue(view.label, region.phrase);
  view.label.style.width = clamp(view.label.value.length + 2, 8, 24) + "ch";
}

function createView(parts, actions) {
  const known = new Map();
  const inOrder = (parent, child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] || null);
  };

  function draw(model) {
    const alive = new Set(model.regions.map((region) => region.id));
    for (const [id, views] of known) {
      if (alive.has(id)) continue;
      known.delete(id);
      views.onCanvas.box.remove();
      views.inList.row.remove();
    }
    model.regions.forEach((region, index) => {
      if (!known.has(region.id)) known.set(region.id, { onCanvas: makeBox(region, actions), inList: makeRow(region, actions), drawn: "" });
      const views = known.get(region.id);
      const isSelected = region.id === model.selected;
      // An input that has the focus keeps what is typed, so what is not drawn then is drawn when it is left.
      const state = [index, model.regions.length, isSelected, region.visible, region.colour, region.thumb, region.phrase, ...region.box].join("\n");
      if (views.drawn !== state || views.inList.row.contains(document.activeElement) || views.onCanvas.box.contains(document.activeElement)) {
        placeBox(views.onCanvas, region, index, isSelected);
        placeRow(views.inList, region, index, isSelected, model.regions.length);
        views.drawn = state;
      }
      inOrder(parts.boxes, views.onCanvas.box, index);
      inOrder(parts.list, views.inList.row, index);
    });
    setValue(parts.instruction, writeInstruction(model));
    const count = model.regions.length;
    const counted = count === 0 ? words("no_boxes") : count === 1 ? words("one_box") : words("many_boxes", { count });
    parts.count.textContent = model.pending.length ? words("next_phrase", { count: counted, phrase: model.pending[0] }) : counted;
  }

  // During a drag only the sides of one box change.
  function drawSides(region) {
    const views = known.get(region.id);
    placeSides(views.onCanvas.box, region.box);
    views.drawn = "";
  }

  return { draw, drawSides, of: (id) => known.get(id) };
}
