// The sentences of the page, which come from Python, and the making of elements and icons.

const words = (key, values = {}) => props.texts[key].replace(/\{(\w+)\}/g, (gap, name) => (name in values ? String(values[name]) : gap));

const TEXT_TARGETS = [["title", "title"], ["name", "aria-label"], ["alt", "alt"], ["placeholder", "placeholder"]];

// Fill the template: data-text, data-title, data-name, data-alt and data-placeholder hold keys of `texts`.
function fillTexts(root) {
  root.querySelectorAll("[data-text]").forEach((node) => { node.textContent = words(node.dataset.text); });
  for (const [key, attribute] of TEXT_TARGETS) {
    root.querySelectorAll("[data-" + key + "]").forEach((node) => node.setAttribute(attribute, words(node.dataset[key])));
  }
}

function make(name, className, attributes = {}) {
  const node = document.createElement(name);
  node.className = className;
  Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
  return node;
}

const ICONS = {
  eye: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM15 12a3 3 0 1 1-6 0a3 3 0 1 1 6 0",
  shut: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM4 21L20 3",
  up: "M12 20V5M5 11l7-7l7 7",
  down: "M12 4v15M5 13l7 7l7-7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  picture: "M3 5h18v14H3zM3 16l6-6l5 5l3-3l4 4",
  bin: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  cross: "M6 6l12 12M18 6L6 18",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

// Labels stand on a darker shade of the colour of their box.
const TAG_SHADE = 0.78;

// Black or white, whichever reads better on the shade of a colour that is given as #rrggbb.
function inkOn(colour) {
  const parts = [1, 3, 5].map((at) => (TAG_SHADE * parseInt(colour.slice(at, at + 2), 16)) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}
