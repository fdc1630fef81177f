// Shows finished pictures: boxes over them on demand, enlarging, going on with one, downloads.

const sheet = element.querySelector(".sheet");
const lead = element.querySelector(".lead");
const head = element.querySelector(".head");
const facts = element.querySelector(".facts");
const toggle = element.querySelector(".toggle");
const sheetLink = element.querySelector(".sheet-link");

function buttonOf(text, name, act) {
  const button = node("button", "", text);
  button.type = "button";
  button.setAttribute("aria-label", name);
  button.addEventListener("click", act);
  return button;
}

function toolsOf(picture, index, value) {
  const { caption } = picture;
  const tools = node("div", "tools");
  tools.append(buttonOf(texts.enlarge, fill(texts.enlarge_named, { caption }), () => openLightbox(picture, value)));
  if (props.can_reuse) {
    const reuse = buttonOf(texts.reuse, fill(texts.reuse_named, { caption }), () => trigger("select", { index }));
    reuse.title = texts.reuse_hint;
    tools.append(reuse);
  }
  tools.append(saveLink(picture, props.compact ? texts.download_short : texts.download));
  return tools;
}

function figureOf(picture, index, value) {
  const figure = node("figure", "");
  const holder = holderOf(picture, value);
  const line = node("figcaption", "");
  line.append(node("span", "", picture.caption));
  if (picture.shown) {
    line.append(toolsOf(picture, index, value));
    if (!value.before) {
      holder.classList.add("opens");
      holder.addEventListener("click", () => openLightbox(picture, value));
    }
  }
  figure.append(holder, line);
  return figure;
}

function showHead(value) {
  const [regions, persons] = [value.regions || [], value.persons || []];
  const isMade = value.pictures.some((picture) => picture.shown);
  head.hidden = !isMade;
  head.querySelector("label").hidden = !regions.length && !persons.length;
  head.querySelector(".what").textContent = persons.length ? texts.joints : texts.boxes;
  head.querySelector(".note").textContent = value.note || "";
}

// The one picture of all is saved as it is seen: with boxes or without.
function showSheetLink() {
  const files = (props.value || {}).sheets || [];
  sheetLink.hidden = !files.length;
  if (!files.length) return;
  const file = files[toggle.checked ? 1 : 0];
  sheetLink.textContent = texts.sheet;
  sheetLink.href = file.url;
  sheetLink.download = file.orig_name;
}

function show() {
  const value = { pictures: [], ...(props.value || {}) };
  if (lightbox.open) lightbox.close();
  sheet.replaceChildren(...value.pictures.map((picture, index) => figureOf(picture, index, value)));
  sheet.classList.toggle("empty", !value.pictures.length);
  sheet.classList.toggle("in-rows", value.columns > 0);
  sheet.style.setProperty("--columns", value.columns || 1);
  sheet.style.setProperty("--few", Math.min(value.columns || 1, 3));
  if (!value.pictures.length) sheet.append(node("p", "", props.placeholder));
  lead.textContent = value.lead || "";
  lead.hidden = !value.lead;
  showHead(value);
  showSheetLink();
  facts.replaceChildren(...(value.facts || []).map((line) => node("p", "", line)));
}

// On a wide screen the first picture is brought into view, by no more than it takes: the page's own
// column scrolls. On a phone, where a person looks somewhere else meanwhile, nothing moves.
function reveal() {
  const first = sheet.querySelector("figure img");
  if (props.compact || !first || !element.offsetParent || !window.matchMedia("(min-width: 1024px)").matches) return;
  requestAnimationFrame(() => first.scrollIntoView({ block: "nearest" }));
}

toggle.checked = Boolean(props.shows_boxes);
sheet.classList.toggle("plain", !toggle.checked);
sheet.classList.toggle("compact", Boolean(props.compact));
toggle.addEventListener("change", () => { sheet.classList.toggle("plain", !toggle.checked); showSheetLink(); });
watch("value", () => { show(); reveal(); });
show();
