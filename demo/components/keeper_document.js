// What stands on a tab, as a document (see demo/recipes.py), kept in this browser. Runs in the
// browser at each change; `names` say what `values` are.
(tab, names, values) => {
  const given = Object.fromEntries(names.map((name, index) => [name, values[index]]));
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const content = { gligen: 1, tab };
  const drawn = given.canvas;
  if (drawn) {
    if (isNumber(drawn.width) && isNumber(drawn.height)) Object.assign(content, { width: drawn.width, height: drawn.height });
    content.regions = (drawn.regions || []).map(({ phrase, box, visible }) => visible === false ? { phrase, box, visible } : { phrase, box });
    if ((drawn.pending || []).length) content.pending = drawn.pending;
  }
  if (given.people) content.persons = given.people.persons || [];
  if (given.kind) content.kind = given.kind;
  // An emptied number is left out, so that its usual value comes back.
  for (const name of ["guidance_scale", "num_inference_steps", "num_images", "mask_feather"]) {
    if (isNumber(given[name])) content[name] = given[name];
  }
  for (const name of ["prompt", "negative_prompt", "sampler", "preset", "repaint", "style_box"]) {
    if (typeof given[name] === "string") content[name] = given[name];
  }
  for (const name of ["append_grounding", "crop_references"]) {
    if (typeof given[name] === "boolean") content[name] = given[name];
  }
  const shares = [given.full_share, given.decay_share, given.off_share];
  if (given.use_shares && shares.every(isNumber)) content.gate_schedule = shares;
  else if (isNumber(given.tau)) content.gate_schedule = given.tau;
  content.seed = given.seed_mode === "fixed" && isNumber(given.seed) ? given.seed : null;
  // Nothing is written before what was kept has been read back.
  if (document.documentElement.dataset.gligen === "ready") {
    try { localStorage.setItem("gligen:" + tab, JSON.stringify(content)); } catch { /* storage is blocked or full */ }
  }
  // For the part below the results, which may not be on the page yet (see keeper.js).
  window.gligenDocuments = { ...window.gligenDocuments, [tab]: content };
  window.dispatchEvent(new CustomEvent("gligen:document", { detail: tab }));
  return [];
}
