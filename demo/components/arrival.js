// What a browser brings along: the secret of its visit, what it kept of each tab, and a link's recipe.

const SECRET = "gligen:visit";

function stored(area, name) {
  try { return area().getItem(name); } catch { return null; } // storage is blocked
}

// Kept for this browser tab, through reloads; nobody else knows it.
function secretOfVisit() {
  const known = stored(() => sessionStorage, SECRET);
  if (known) return known;
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try { sessionStorage.setItem(SECRET, made); } catch { return ""; }
  return made;
}

function recipeOfLink() {
  const fragment = location.hash.slice(1);
  if (!fragment.startsWith(props.fragment)) return null;
  // A reload shall show what stands on the page then, not the link again.
  history.replaceState(null, "", location.pathname + location.search);
  return fragment.slice(props.fragment.length);
}

function arrive() {
  const kept = Object.fromEntries(props.tabs.map((tab) => [tab, stored(() => localStorage, "gligen:" + tab)]));
  props.value = { secret: secretOfVisit(), kept, link: recipeOfLink() };
  trigger("load");
}

window.addEventListener("hashchange", () => {
  const link = recipeOfLink();
  if (link === null) return;
  props.value = { secret: secretOfVisit(), kept: {}, link };
  trigger("load");
});

// The server has answered: what was kept is back, and from now on changes are kept. Tabs that are not
// shown tell no changes, so that all are kept after each answer. What this script sets has no turn, and the page comes with a first one.
const turn = () => (props.value || {}).turn;
const firstTurn = turn();
watch("value", () => {
  if (!turn() || turn() === firstTurn) return;
  document.documentElement.dataset.gligen = "ready";
  trigger("submit");
});
arrive();
