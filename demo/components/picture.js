// One picture: choosing or dropping it, showing it, taking it away. Text goes in through textContent only.

const one = (selector) => element.querySelector(selector);
const shown = one(".shown");
const frame = one(".frame");
const hintLine = one(".hint");
let turn = 0;

function say(text, isWarning = false) {
  hintLine.textContent = text;
  hintLine.classList.toggle("warn", isWarning);
}

function show(address) {
  if (shown.src.startsWith("blob:") && shown.src !== address) URL.revokeObjectURL(shown.src);
  if (address) shown.src = address;
  else shown.removeAttribute("src");
  shown.hidden = one(".tools").hidden = !address;
  one(".drop").hidden = Boolean(address);
}

function emit(file) {
  props.value = { file };
  trigger("change");
}

async function take(file) {
  if (!file) return;
  const mine = ++turn;
  const picture = await readPicture(file, say);
  if (!picture) return;
  say("Uploading...");
  const stored = await storePicture(file, say);
  if (!stored || mine !== turn) return;
  show(picture.address);
  say(picture.width + " x " + picture.height + " pixels.");
  emit(stored);
}

function receive() {
  turn++;
  const file = (props.value || {}).file;
  show(file ? file.url : "");
  say("");
}

one(".caption").textContent = props.caption;
one(".call").textContent = props.call;
shown.alt = props.caption;
element.style.setProperty("--tallest", props.tallest + "px");
element.querySelectorAll("input[type=file]").forEach((input, index) => {
  input.setAttribute("aria-label", (index ? "Another picture: " : "") + props.caption);
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
});
one(".remove").setAttribute("aria-label", "Remove: " + props.caption);
one(".remove").addEventListener("click", () => { turn++; show(""); say(""); emit(null); });
frame.addEventListener("dragover", (event) => { event.preventDefault(); frame.classList.add("dropping"); });
frame.addEventListener("dragleave", () => frame.classList.remove("dropping"));
frame.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
});
watch("value", receive);
receive();
