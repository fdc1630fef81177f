// Sentences come from Python as `props.texts`; {names} in them are filled in here.

function words(key, values = {}) {
  return props.texts[key].replace(/\{(\w+)\}/g, (whole, name) => name in values ? String(values[name]) : whole);
}

// Elements of the template name what they say: data-text, data-title (tooltip), data-label (for screen readers).
element.querySelectorAll("[data-text]").forEach((node) => { node.textContent = words(node.dataset.text); });
element.querySelectorAll("[data-title]").forEach((node) => { node.title = words(node.dataset.title); });
element.querySelectorAll("[data-label]").forEach((node) => { node.setAttribute("aria-label", words(node.dataset.label)); });
