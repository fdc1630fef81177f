// The heading: what this is, which model paints, and the choice between light and dark.
const one = (selector) => element.querySelector(selector);
const MODE_KEY = "gligen-colours"; // in the browser's own store: "dark" or "light"; nothing: as the system
const system = matchMedia("(prefers-color-scheme: dark)");

one("h1").textContent = props.title;
one(".sentence").textContent = props.sentence;
one(".model").textContent = words("modelOn", { name: props.model, device: props.device });
one(".why").replaceChildren(...props.lines.map((line) => {
  const paragraph = document.createElement("p");
  paragraph.textContent = line;
  return paragraph;
}));
// More than the reason means that something that was asked for is missing: that is not hidden.
one(".card").open = props.lines.length > 1;

function chosenMode() {
  try { return localStorage.getItem(MODE_KEY); } catch { return null; }
}

function keepMode(mode) {
  try { mode ? localStorage.setItem(MODE_KEY, mode) : localStorage.removeItem(MODE_KEY); } catch { /* A browser without a store forgets. */ }
}

const isDark = () => (chosenMode() ?? (system.matches ? "dark" : "light")) === "dark";

function applyMode() {
  const dark = isDark();
  document.body.classList.toggle("dark", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  one(".mode").textContent = words(dark ? "light" : "dark");
  one(".mode").setAttribute("aria-label", words(dark ? "toLight" : "toDark"));
}

one(".mode").addEventListener("click", () => {
  const wanted = isDark() ? "light" : "dark";
  // What the system has anyway is not kept, so that the page follows the system again.
  keepMode(wanted === (system.matches ? "dark" : "light") ? null : wanted);
  applyMode();
});
system.addEventListener("change", applyMode);
window.addEventListener("storage", (event) => { if (event.key === MODE_KEY) applyMode(); });
applyMode();
