// The map that is painted: a label for each pixel of the picture, row by row, and its history.

function createModel(width, height) {
  return { width, height, labels: new Uint8Array(width * height), packed: "", past: [], future: [] };
}

function pack(labels) {
  let text = "";
  for (let at = 0; at < labels.length; at += 8192) text += String.fromCharCode(...labels.subarray(at, at + 8192));
  return btoa(text);
}

function unpack(packed, length) {
  const labels = new Uint8Array(length);
  const text = packed ? atob(packed) : "";
  for (let at = 0; at < length && at < text.length; at++) labels[at] = text.charCodeAt(at);
  return labels;
}

function snapshot(model) {
  return JSON.stringify({ packed: pack(model.labels) });
}

function settle(model) {
  model.labels = unpack(model.packed, model.width * model.height);
}

const isBlank = (model) => model.labels.every((label) => label === 0);

// Paint a round spot; `x`, `y` and `radius` are in pixels of the map, and at least one pixel is painted.
function spot(model, x, y, radius, label) {
  const { width, height, labels } = model;
  for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
    for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(width - 1, x + radius); column++) {
      if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) labels[row * width + column] = label;
    }
  }
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column >= 0 && column < width && row >= 0 && row < height) labels[row * width + column] = label;
}

function stroke(model, from, to, radius, label) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(radius / 2, 0.5)));
  for (let step = 0; step <= steps; step++) {
    const share = step / steps;
    spot(model, from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share, radius, label);
  }
}

// Give the patch of one class around a pixel another class; patches touch along edges, not at corners.
function fill(model, column, row, label) {
  const { width, height, labels } = model;
  const old = labels[row * width + column];
  if (old === label) return false;
  const waiting = [row * width + column];
  while (waiting.length) {
    const at = waiting.pop();
    if (labels[at] !== old) continue;
    labels[at] = label;
    const x = at % width;
    if (x > 0) waiting.push(at - 1);
    if (x < width - 1) waiting.push(at + 1);
    if (at >= width) waiting.push(at - width);
    if (at < width * (height - 1)) waiting.push(at + width);
  }
  return true;
}

// The classes in the map and their shares of it, in [0, 1], the largest first.
function contentsOf(model) {
  const counts = new Map();
  for (const label of model.labels) counts.set(label, (counts.get(label) || 0) + 1);
  const entries = [...counts].map(([label, count]) => ({ label, share: count / model.labels.length }));
  return entries.sort((a, b) => b.share - a.share || a.label - b.label);
}
