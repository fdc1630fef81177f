// One picture as large as the window allows. A native dialog: Escape closes it, the focus stays in
// it and returns to the button that opened it.

const lightbox = element.querySelector(".lightbox");
const inBox = (selector) => lightbox.querySelector(selector);
const shownNow = { pictures: [], value: {}, index: 0 };

function measure(picture) {
  const [width, height] = picture.size;
  const image = inBox(".room img");
  const scale = image ? image.getBoundingClientRect().width / width : 1;
  const sentence = scale > 1.02 ? texts.size_enlarged : scale < 0.98 ? texts.size_reduced : texts.size;
  inBox(".measure").textContent = fill(sentence, { width, height });
}

function turnTo(index) {
  const { pictures, value } = shownNow;
  shownNow.index = (index + pictures.length) % pictures.length;
  const picture = pictures[shownNow.index];
  const holder = holderOf(picture, value);
  holder.style.setProperty("--aspect", picture.size[0] / picture.size[1]);
  inBox(".room").replaceChildren(holder);
  inBox(".room").classList.toggle("plain", !toggle.checked);
  inBox(".title").textContent = picture.caption;
  inBox(".position").textContent = pictures.length > 1 ? fill(texts.position, { index: shownNow.index + 1, count: pictures.length }) : "";
  inBox(".save").replaceWith(saveLink(picture, texts.download));
  inBox(".earlier").hidden = inBox(".later").hidden = pictures.length < 2;
  measure(picture);
}

function openLightbox(picture, value) {
  shownNow.value = value;
  shownNow.pictures = value.pictures.filter((entry) => entry.shown);
  lightbox.showModal();
  turnTo(shownNow.pictures.indexOf(picture));
  inBox(".close").focus();
}

lightbox.setAttribute("aria-label", texts.lightbox);
inBox(".close").textContent = texts.close;
inBox(".earlier").setAttribute("aria-label", texts.earlier);
inBox(".later").setAttribute("aria-label", texts.later);
inBox(".close").addEventListener("click", () => lightbox.close());
inBox(".earlier").addEventListener("click", () => turnTo(shownNow.index - 1));
inBox(".later").addEventListener("click", () => turnTo(shownNow.index + 1));
lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });
lightbox.addEventListener("close", () => inBox(".room").replaceChildren());
lightbox.addEventListener("keydown", (event) => {
  event.stopPropagation();
  // On the slider the arrows move the divider.
  if (event.target.matches("input") || shownNow.pictures.length < 2) return;
  if (event.key === "ArrowLeft") turnTo(shownNow.index - 1);
  if (event.key === "ArrowRight") turnTo(shownNow.index + 1);
});
window.addEventListener("resize", () => { if (lightbox.open) measure(shownNow.pictures[shownNow.index]); });
