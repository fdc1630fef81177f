// What was drawn: regions, phrases waiting for a box, mask strokes, and the history of all three.
// Coordinates are fractions of the picture, x to the right, y down. Boxes and finished strokes are
// replaced, never changed, so that the history can share them.

const MAX_HISTORY = 200;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function createModel() {
  return { regions: [], pending: [], strokes: [], selected: null, nextId: 1, past: [], future: [] };
}

function snapshot(model) {
  return { regions: model.regions.map((region) => ({ ...region })), pending: [...model.pending], strokes: [...model.strokes] };
}

const sameItems = (a, b, isSame = Object.is) => a.length === b.length && a.every((item, index) => isSame(item, b[index]));
const sameRegion = (a, b) => Object.keys(a).every((key) => (key === "box" ? sameItems(a.box, b.box) : a[key] === b[key]));

function isUnchanged(model, before) {
  return sameItems(model.regions, before.regions, sameRegion) && sameItems(model.pending, before.pending) && sameItems(model.strokes, before.strokes);
}

// Call before a change; `before` is given where the change has already happened (a finished drag).
function remember(model, before) {
  model.past.push(before || snapshot(model));
  if (model.past.length > MAX_HISTORY) model.past.shift();
  model.future = [];
}

function restore(model, state) {
  Object.assign(model, state);
  if (!model.regions.some((region) => region.id === model.selected)) model.selected = null;
}

function travel(model, from, to) {
  if (!from.length) return false;
  to.push(snapshot(model));
  restore(model, from.pop());
  return true;
}

// A new box takes the first phrase that was typed without a box, if there is one.
function addRegion(model, box, phrase) {
  const region = { id: model.nextId++, phrase: phrase ?? model.pending.shift() ?? "", box, visible: true, colour: null, image: null, thumb: null };
  model.regions.push(region);
  model.selected = region.id;
  return region;
}

// A copy lies beside the original; in a corner, on the other side of it.
function copyRegion(model, region) {
  const { box, phrase, colour, image, thumb } = region;
  const aside = [moved(box, 0.04, 0.04), moved(box, -0.04, -0.04)].find((place) => !sameItems(place, box)) || box;
  return Object.assign(addRegion(model, aside, phrase), { colour, image, thumb });
}

function removeRegion(model, id) {
  model.regions = model.regions.filter((region) => region.id !== id);
  if (model.selected === id) model.selected = null;
}

// Put a region at another place in the list; places outside the list are its ends.
function placeInList(model, id, place) {
  const from = model.regions.findIndex((region) => region.id === id);
  const [region] = model.regions.splice(from, 1);
  model.regions.splice(clamp(place, 0, model.regions.length), 0, region);
}

function selectedRegion(model) {
  return model.regions.find((region) => region.id === model.selected) || null;
}

// The regions under a point, the topmost first.
function regionsAt(model, [x, y]) {
  return model.regions.filter(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]).reverse();
}

function normalised(ax, ay, bx, by) {
  const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  return box.map((value) => clamp(value, 0, 1));
}

function boundsOf(points) {
  let [x0, y0, x1, y1] = [1, 1, 0, 0];
  for (const [x, y] of points) [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
  return normalised(x0, y0, x1, y1);
}

// A sum of fractions may miss 1 by a rounding; the server takes nothing outside of [0, 1].
function moved(box, dx, dy) {
  const x = clamp(dx, -box[0], 1 - box[2]);
  const y = clamp(dy, -box[1], 1 - box[3]);
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y].map((value) => clamp(value, 0, 1));
}

// `edges` names the sides that follow the pointer, for example "nw"; a box never turns inside out.
function resized(box, edges, dx, dy, least) {
  let [x0, y0, x1, y1] = box;
  if (edges.includes("w")) x0 = clamp(x0 + dx, 0, Math.max(x1 - least[0], 0));
  if (edges.includes("e")) x1 = clamp(x1 + dx, Math.min(x0 + least[0], 1), 1);
  if (edges.includes("n")) y0 = clamp(y0 + dy, 0, Math.max(y1 - least[1], 0));
  if (edges.includes("s")) y1 = clamp(y1 + dy, Math.min(y0 + least[1], 1), 1);
  return [x0, y0, x1, y1];
}

// The semicolon-separated field. A semicolon inside a phrase is written as \; there.
function writeInstruction(model) {
  const phrases = [...model.regions.map((region) => region.phrase), ...model.pending];
  while (phrases.length && !phrases[phrases.length - 1].trim()) phrases.pop();
  return phrases.map((phrase) => phrase.replace(/;/g, "\\;")).join("; ");
}

function readInstruction(model, text) {
  const parts = text.split(/(?<!\\);/);
  const phrases = parts.map((part) => part.replace(/\\;/g, ";").trim().slice(0, props.max_phrase));
  model.regions.forEach((region, index) => { region.phrase = phrases[index] || ""; });
  model.pending = phrases.slice(model.regions.length).filter((phrase) => phrase);
}
