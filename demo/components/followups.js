// What follows in the browser when a person changes an editor; `examples` are its examples' prompts
// and regions, `shelf` names the place where a prompt waits that was taken away.
(examples, shelf, drawn, prompt, notice) => {
  const same = { __type__: "update" };
  const now = drawn ? drawn.regions || drawn.persons || [] : [];
  const isPlace = (region, other) => JSON.stringify(region.box) === JSON.stringify(other.box);
  const remains = (example, isAlike) => (example.regions.length ? now.some((region) => example.regions.some((other) => isAlike(region, other))) : now.length > 0);
  const isOfExample = (region, other) => isPlace(region, other) || region.phrase === other.phrase;
  const find = (text) => examples.find((example) => example.prompt === text);
  const shelves = (window.gligenTakenPrompts = window.gligenTakenPrompts || {});
  let next = same;
  const [standing, taken] = [find(prompt), find(shelves[shelf])];
  // A prompt that an example brought would overrule boxes that have nothing to do with it.
  if (standing && !remains(standing, isOfExample)) [shelves[shelf], next] = [prompt, ""];
  // Undo brings the boxes back to their places, and with them the prompt.
  else if (taken && !prompt && remains(taken, isPlace)) [shelves[shelf], next] = ["", taken.prompt];
  // A fault was about what stood there before.
  return [next, notice && notice.tone === "bad" ? { message: "" } : same];
}
