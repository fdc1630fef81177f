// The finished pictures of this visit, newest first. Text goes in through textContent only.

const one = (selector) => element.querySelector(selector);
const texts = props.texts;
const list = one(".entries");
const clearButton = one('[data-action="clear"]');

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => name in values ? values[name] : whole);

function node(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function buttonFor(entry, event, text, label) {
  const button = node("button", "", text);
  button.type = "button";
  button.setAttribute("aria-label", filled(label, entry));
  button.addEventListener("click", () => {
    if (event === "delete") one(".said").textContent = texts.deleted;
    trigger(event, { name: entry.name });
  });
  return button;
}

function factsOf(entry) {
  const details = node("details");
  const facts = node("dl");
  entry.facts.forEach(([name, value]) => facts.append(node("dt", "", name), node("dd", "", value)));
  details.append(node("summary", "", texts.details), facts);
  return details;
}

function rowOf(entry) {
  const row = node("li");
  const image = node("img");
  image.loading = "lazy";
  image.src = entry.thumbnail.url;
  image.alt = filled(texts.picture, entry);
  const link = node("a", "", texts.download);
  link.href = entry.file.url;
  link.download = entry.file.orig_name;
  link.setAttribute("aria-label", filled(texts.download_label, entry));
  const buttons = node("div", "actions");
  buttons.append(
    buttonFor(entry, "select", texts.load, texts.load_label),
    link,
    buttonFor(entry, "delete", texts.delete, texts.delete_label),
  );
  const words = node("div");
  words.append(node("p", "prompt", entry.prompt), node("p", "line", entry.line), factsOf(entry), buttons);
  row.append(image, words);
  return row;
}

let doubt = null;

function settle() {
  clearTimeout(doubt);
  doubt = null;
  clearButton.textContent = texts.delete_all;
  clearButton.classList.remove("sure");
}

clearButton.addEventListener("click", () => {
  if (doubt !== null) {
    settle();
    one(".said").textContent = texts.all_deleted;
    trigger("clear");
    return;
  }
  clearButton.textContent = texts.really_delete_all;
  clearButton.classList.add("sure");
  doubt = setTimeout(settle, 8000);
});

function show() {
  const entries = (props.value || {}).entries || [];
  // Rows that are open stay open, and rows that are there already keep their picture.
  const rows = new Map([...list.children].map((row) => [row.dataset.name, row]));
  list.replaceChildren(...entries.map((entry) => {
    const row = rows.get(entry.name) || rowOf(entry);
    row.dataset.name = entry.name;
    return row;
  }));
  if (entries.length && !rows.has(entries[0].name)) one(".said").textContent = "";
  one(".summary").textContent = (props.value || {}).summary || "";
  one(".head").hidden = !entries.length;
  one(".empty").hidden = entries.length > 0;
}

one(".empty").textContent = texts.empty;
settle();
watch("value", show);
show();
