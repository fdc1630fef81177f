// Undo and redo of an editor. The editor gives `snapshot(model)`, which writes what can be undone as
// text, and `settle(model)`, which puts right what belongs to the page only, such as the selection.

const MAX_PAST = 100;

// Call before a change; `before` is given where the change has already happened (a finished drag).
function remember(model, before) {
  model.past.push(before || snapshot(model));
  if (model.past.length > MAX_PAST) model.past.shift();
  model.future = [];
}

function travel(model, from, to) {
  if (!from.length) return false;
  to.push(snapshot(model));
  Object.assign(model, JSON.parse(from.pop()));
  settle(model);
  return true;
}

const undo = (model) => travel(model, model.past, model.future);
const redo = (model) => travel(model, model.future, model.past);
