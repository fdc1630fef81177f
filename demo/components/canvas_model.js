// What was drawn: regions, phrases waiting for a box, mask strokes, and the history of all three.
// Coordinates are fractions of the picture, x to the right, y down.

const MAX_REGIONS = 30;
const tintOf = (index) => props.tints[index % props.tints.length];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function createModel() {
  return { regions: [], pending: [], strokes: [], selected: null, nextId: 1, past: [], future: [] };
}

function snapshot(model) {
  return JSON.stringify({ regions: model.regions, pending: model.pending, strokes: model.strokes });
}

// Call before a change; `before` is given where the change has already happened (a finished drag).
function remember(model, before) {
  model.past.push(before || snapshot(model));
  if (model.past.length > 100) model.past.shift();
  model.future = [];
}

function travel(model, from, to) {
  if (!from.length) return false;
  to.push(snapshot(model));
  Object.assign(model, JSON.parse(from.pop()));
  if (!model.regions.some((region) => region.id === model.selected)) model.selected = null;
  return true;
}

// A new box takes the first phrase that was typed without a box, if there is one.
function addRegion(model, box, phrase) {
  const region = { id: model.nextId++, phrase: phrase ?? model.pending.shift() ?? "", box, visible: true, image: null, thumb: null };
  model.regions.push(region);
  model.selected = region.id;
  return region;
}

function removeRegion(model, id) {
  model.regions = model.regions.filter((region) => region.id !== id);
  if (model.selected === id) model.selected = null;
}

function selectedRegion(model) {
  return model.regions.find((region) => region.id === model.selected) || null;
}

function normalised(ax, ay, bx, by) {
  const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  return box.map((value) => clamp(value, 0, 1));
}

function boundsOf(points) {
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  return normalised(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
}

function moved(box, dx, dy) {
  const x = clamp(dx, -box[0], 1 - box[2]);
  const y = clamp(dy, -box[1], 1 - box[3]);
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}

// `edges` names the sides that follow the pointer, for example "nw"; a box never turns inside out.
function resized(box, edges, dx, dy, least) {
  let [x0, y0, x1, y1] = box;
  if (edges.includes("w")) x0 = clamp(x0 + dx, 0, x1 - least[0]);
  if (edges.includes("e")) x1 = clamp(x1 + dx, x0 + least[0], 1);
  if (edges.includes("n")) y0 = clamp(y0 + dy, 0, y1 - least[1]);
  if (edges.includes("s")) y1 = clamp(y1 + dy, y0 + least[1], 1);
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
  const phrases = parts.map((part) => part.replace(/\\;/g, ";").trim());
  model.regions.forEach((region, index) => { region.phrase = phrases[index] || ""; });
  model.pending = phrases.slice(model.regions.length).filter((phrase) => phrase);
}
