// The middle of the canvas: the drawing, what can be done to it, and the shared value. `element`, `props`,
// `trigger`, `watch` and `upload` come from Gradio; the value is always replaced as a whole, because
// identity is compared.

const one = (selector) => element.querySelector(selector);
const viewport = one(".viewport");
const stage = one(".stage");
const photo = one(".photo");
const surface = one(".mask");
const instruction = one(".instruction");
const hintLine = one(".hint");
const takesPhoto = Boolean(props.takes_photo);

const model = createModel();
const page = { mode: "box", photo: null, mask: null, width: props.width, height: props.height, zoom: 1, photoTurn: 0, pen: null };
const TYPING_PAUSE = 150; // milliseconds
let gesture = null;
let emission = 0;
let asksForName = false; // whether the hint does

const actions = {
  select(id) {
    if (model.selected === id) return;
    model.selected = id;
    redraw();
  },
  remove(id) {
    const index = indexOf(id);
    const hadFocus = element.contains(document.activeElement);
    change(() => removeRegion(model, id));
    // The button that was pressed is gone; the keyboard goes on where the next one is.
    const next = model.regions[Math.min(index, model.regions.length - 1)];
    if (!hadFocus || element.contains(document.activeElement)) return;
    (next ? view.of(next.id).inList.bin : stage).focus({ preventScroll: true });
  },
  toggle(id) { change(() => { const region = find(id); region.visible = !region.visible; }); },
  duplicate(id) {
    if (isFull()) return;
    change(() => copyRegion(model, find(id)));
    tellPlace();
  },
  // Move a row up (-1) or down (1) and keep the focus, which the page loses when a row goes elsewhere.
  move(id, direction) {
    const place = indexOf(id) + direction;
    if (place < 0 || place >= model.regions.length) return;
    const focused = document.activeElement;
    change(() => placeInList(model, id, place));
    model.selected = id;
    redraw();
    const target = focused.disabled ? view.of(id).inList.grip : focused;
    if (element.contains(target) && document.activeElement !== target) target.focus({ preventScroll: true });
    say(words("moved_to", { number: place + 1, count: model.regions.length }));
  },
  beginReorder(id) {
    const before = snapshot(model);
    return {
      moveTo(y) {
        const others = model.regions.filter((region) => region.id !== id);
        const middles = others.map((region) => view.of(region.id).inList.row.getBoundingClientRect()).map((area) => (area.top + area.bottom) / 2);
        const place = middles.filter((middle) => middle < y).length;
        if (place === indexOf(id)) return;
        placeInList(model, id, place);
        redraw();
      },
      end() {
        if (isUnchanged(model, before)) return;
        remember(model, before);
        settle(model.strokes);
        view.of(id).inList.grip.focus({ preventScroll: true });
      },
    };
  },
  async choosePicture(id, file) {
    const picture = file && await readPicture(file, say);
    if (!picture) return;
    say(words("uploading_picture"));
    const stored = await storePicture(file, say);
    if (!stored || !find(id)) return;
    change(() => Object.assign(find(id), { image: stored, thumb: picture.address }));
    say(words("has_picture", { number: indexOf(id) + 1 }));
  },
  removePicture(id) { change(() => { find(id).image = find(id).thumb = null; }); },
  bindLabel(input, id) {
    let before = null;
    const commit = () => {
      if (before && !isUnchanged(model, before)) remember(model, before);
      before = null;
    };
    input.addEventListener("pointerdown", (event) => { event.stopPropagation(); model.selected = id; });
    input.addEventListener("focus", () => { before = snapshot(model); model.selected = id; redraw(); });
    input.addEventListener("input", () => { find(id).phrase = input.value.slice(0, props.max_phrase); redraw(); emitSoon(); });
    input.addEventListener("blur", () => {
      // A label also loses the focus when its box is taken away, in the middle of a redraw.
      if (!find(id)) return;
      commit();
      redraw();
      emitNow();
    });
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); stage.focus({ preventScroll: true }); }
      else if (isReorder(event)) { event.preventDefault(); commit(); actions.move(id, ARROWS[event.key][1]); }
      else if (isControl(event) && event.key.toLowerCase() === "d") { event.preventDefault(); commit(); actions.duplicate(id); }
    });
  },
  // The colour follows while it is chosen, and is one step of the history when that is over.
  bindColour(input, id) {
    let before = null;
    input.addEventListener("input", () => {
      before ||= snapshot(model);
      find(id).colour = input.value;
      redraw();
    });
    input.addEventListener("change", () => {
      if (before) remember(model, before);
      before = null;
      redraw();
      emit();
    });
  },
};

const view = createView({ boxes: one(".boxes"), list: one(".regions"), instruction, count: one(".count") }, actions);
const find = (id) => model.regions.find((region) => region.id === id);
const indexOf = (id) => model.regions.findIndex((region) => region.id === id);

function redraw() {
  view.draw(model);
  one(".empty").hidden = model.regions.length > 0 || takesPhoto || Boolean(gesture);
  one('[data-action="undo"]').disabled = !model.past.length;
  one('[data-action="redo"]').disabled = !model.future.length;
  one('[data-action="duplicate"]').disabled = one('[data-action="remove"]').disabled = model.selected === null;
  if (asksForName) askForName();
}

// Ask for the name of the selected box, as long as it has none.
function askForName() {
  const region = selectedRegion(model);
  const isAsked = region && !region.phrase;
  say(isAsked ? words("name_it", { number: indexOf(region.id) + 1 }) : words("hint_" + page.mode));
  asksForName = Boolean(isAsked);
}

function say(text, isWarning = false) {
  asksForName = false;
  if (hintLine.textContent === text && hintLine.classList.contains("warn") === isWarning) return;
  hintLine.textContent = text;
  hintLine.classList.toggle("warn", isWarning);
}

// Where the selected box is, for those who cannot see it.
function tellPlace() {
  const region = selectedRegion(model);
  if (!region) return;
  const [left, top, right, bottom] = region.box.map((side) => Math.round(side * 100));
  const phrase = region.phrase ? " (" + region.phrase + ")" : "";
  say(words("where", { number: indexOf(region.id) + 1, count: model.regions.length, phrase, left, top, width: right - left, height: bottom - top }));
}

function isFull() {
  if (model.regions.length < props.max_regions) return false;
  say(words("full", { most: props.max_regions }), true);
  return true;
}

// Give the drawing to Gradio. This changes a property on the page; nothing is sent before a button is pressed.
function emit() {
  clearTimeout(emission);
  emission = 0;
  props.value = {
    regions: model.regions.map(({ phrase, box, visible, colour }) => (colour ? { phrase, box, visible, colour } : { phrase, box, visible })),
    pictures: model.regions.map((region) => region.image || null),
    pending: [...model.pending],
    photo: page.photo,
    mask: page.mask,
    width: page.width,
    height: page.height,
  };
  trigger("change");
  trigger("input"); // a person did it; what Python sets is a change only
}

// While a person types, Gradio's share of the work waits for a pause, or for the text to be left.
function emitSoon() {
  clearTimeout(emission);
  emission = setTimeout(emit, TYPING_PAUSE);
}

function emitNow() {
  if (emission) emit();
}

function change(edit) {
  remember(model);
  const strokes = model.strokes;
  edit();
  settle(strokes);
}

// Show and hand over a drawing whose strokes were `strokes` before. Making the mask anew takes long, boxes are quick.
function settle(strokes) {
  if (model.strokes !== strokes) refreshMask();
  redraw();
  emit();
}

function refreshMask() {
  repaintMask(surface, model.strokes);
  page.mask = takesPhoto && page.photo ? exportMask(surface, model.strokes) : null;
}

function step(from, to) {
  if (gesture) return;
  const strokes = model.strokes;
  if (!travel(model, from, to)) return;
  settle(sameItems(strokes, model.strokes) ? model.strokes : null);
}

const undo = () => step(model.past, model.future);
const redo = () => step(model.future, model.past);

const buttons = {
  add() {
    if (isFull()) return;
    const shift = (model.regions.length % 6) * 0.06;
    change(() => addRegion(model, [0.2 + shift, 0.2 + shift, 0.5 + shift, 0.5 + shift]));
    say(words("added"));
    stage.focus({ preventScroll: true });
  },
  duplicate() { actions.duplicate(model.selected); stage.focus({ preventScroll: true }); },
  remove() { actions.remove(model.selected); stage.focus({ preventScroll: true }); },
  undo,
  redo,
  clear() { change(() => Object.assign(model, { regions: [], pending: [], strokes: [], selected: null })); },
  "clear-mask"() { change(() => { model.strokes = []; }); },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  else if (button.dataset.action) buttons[button.dataset.action]();
});

let beforeTyping = null;
instruction.addEventListener("focus", () => { beforeTyping = snapshot(model); });
instruction.addEventListener("input", () => {
  readInstruction(model, instruction.value);
  const count = model.pending.length;
  say(count ? words(count === 1 ? "draw_one" : "draw_many", { count, phrases: model.pending.join(", ") }) : "");
  redraw();
  emitSoon();
});
instruction.addEventListener("blur", () => {
  if (beforeTyping && !isUnchanged(model, beforeTyping)) remember(model, beforeTyping);
  beforeTyping = null;
  redraw();
  emitNow();
});
