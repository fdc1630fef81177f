// Saving, loading and sharing what stands on a tab. Text goes in through textContent only.

const one = (selector) => element.querySelector(selector);
const texts = props.texts;
const said = one(".said");
const frame = one(".keeper");
const linkField = one(".link");
const fileInput = one("input[type=file]");
let content = null; // what stands on the tab now

function say(text, isBad = false) {
  said.textContent = text || "";
  said.classList.toggle("bad", isBad);
}

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => name in values ? values[name] : whole);

// ---- saving and sharing

function isEmpty() {
  return !content || !["regions", "persons", "pending"].some((name) => (content[name] || []).length) && !content.prompt && !content.negative_prompt;
}

function save() {
  if (isEmpty()) return say(texts.nothing, true);
  const name = "gligen-" + content.tab + "-" + new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-") + ".json";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(filled(texts.saved, { name }));
}

async function packed(text) {
  let [how, bytes] = ["p", new TextEncoder().encode(text)];
  if (window.CompressionStream) {
    const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
    [how, bytes] = ["z", new Uint8Array(await new Response(stream).arrayBuffer())];
  }
  let binary = "";
  bytes.forEach((byte) => { binary += String.fromCharCode(byte); });
  return how + btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function share() {
  if (isEmpty()) return say(texts.nothing, true);
  const text = await packed(JSON.stringify(content));
  if (text.length > props.max_link) return say(filled(texts.link_too_long, { length: text.length, limit: props.max_link }), true);
  const address = location.origin + location.pathname + location.search + "#" + props.fragment + text;
  linkField.value = address;
  linkField.hidden = false;
  try {
    await navigator.clipboard.writeText(address);
    say(texts.copied);
  } catch { // not allowed, or the page did not come over https
    linkField.focus();
    linkField.select();
    say(texts.copy_this);
  }
}

// ---- loading

async function load(file) {
  if (!file) return;
  if (file.size > props.max_file_bytes) {
    return say(filled(texts.file_too_big, { size: Math.ceil(file.size / 1e6), limit: Math.round(props.max_file_bytes / 1e6) }), true);
  }
  say(texts.loading);
  try {
    const stored = await upload(file);
    props.value = { file: { path: stored.path, url: stored.url, orig_name: file.name, meta: { _type: "gradio.FileData" } } };
    trigger("upload");
  } catch (error) {
    say(filled(texts.upload_failed, { error: error.message }), true);
  }
}

fileInput.addEventListener("change", () => { load(fileInput.files[0]); fileInput.value = ""; });
element.addEventListener("dragover", (event) => { event.preventDefault(); frame.classList.add("dropping"); });
element.addEventListener("dragleave", () => frame.classList.remove("dropping"));
element.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("dropping");
  load(event.dataTransfer.files[0]);
});

// ---- starting afresh, which asks once more

const afreshButton = one('[data-action="afresh"]');
let doubt = null;

function afresh() {
  if (doubt !== null) { settle(); trigger("clear"); return; }
  afreshButton.textContent = texts.really_afresh;
  afreshButton.classList.add("sure");
  doubt = setTimeout(settle, 8000);
}

function settle() {
  clearTimeout(doubt);
  doubt = null;
  afreshButton.textContent = texts.afresh;
  afreshButton.classList.remove("sure");
}

const actions = { export: save, link: share, afresh };
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) actions[button.dataset.action]();
});

// ---- what stands on the tab, from keeper_document.js; and what to say, from Python

function take() {
  content = (window.gligenDocuments || {})[props.tab] || null;
  linkField.hidden = true;
}

window.addEventListener("gligen:document", (event) => { if (event.detail === props.tab) take(); });

function receive() {
  const value = props.value || {};
  if (value.message !== undefined && value.message !== null) say(value.message, value.is_bad);
}

one("summary").textContent = texts.title;
one('[data-action="export"]').textContent = texts.export;
one(".file span").textContent = texts.import;
one('[data-action="link"]').textContent = texts.link;
one(".help").textContent = texts.help;
fileInput.setAttribute("aria-label", texts.file_label);
linkField.setAttribute("aria-label", texts.link_label);
settle();
watch("value", receive);
receive();
take();
