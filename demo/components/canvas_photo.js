// Pictures under the boxes: the photo to repaint, which is part of the drawing, or a background
// picture that is only to draw over and never leaves the page.

const fileInput = one(".drop input");
const drop = one(".drop");
const backdrop = one(".backdrop");
const backdropChoice = one(".backdrop-choice input");

function forgetDrawing() {
  Object.assign(model, { ...createModel(), nextId: model.nextId });
}

function setPhoto(file, address, width, height) {
  page.photo = file;
  page.width = width;
  page.height = height;
  showImage(photo, address);
  surface.hidden = !address;
  stage.classList.toggle("has-photo", Boolean(address));
  drop.hidden = !takesPhoto || Boolean(address);
  one(".photo-tools").hidden = !takesPhoto || !address;
  fitStage();
  sizeMask(surface, page.width, page.height);
  refreshMask();
  redraw();
}

function showImage(image, address) {
  if (image.src.startsWith("blob:") && image.src !== address) URL.revokeObjectURL(image.src);
  if (address) image.src = address;
  else image.removeAttribute("src");
  image.hidden = !address;
}

async function takePhoto(file) {
  if (!file) return;
  const turn = ++page.photoTurn;
  const picture = await readPicture(file, say);
  if (!picture) return;
  say(words("uploading_photo"));
  const stored = await storePicture(file, say);
  if (!stored || turn !== page.photoTurn) return;
  // Boxes that came without their photo (from a file, a link or the last visit) wait for it.
  if (page.photo) forgetDrawing();
  setPhoto(stored, picture.address, picture.width, picture.height);
  emit();
  say(words("has_photo", picture));
}

async function takeBackdrop(file) {
  const picture = file && await readPicture(file, say);
  if (picture) showBackdrop(picture.address);
}

function showBackdrop(address) {
  showImage(backdrop, address);
  stage.classList.toggle("has-backdrop", Boolean(address));
  one('[data-action="no-backdrop"]').hidden = one(".backdrop-note").hidden = !address;
}

Object.assign(buttons, {
  replace() { fileInput.click(); },
  "remove-photo"() { forgetDrawing(); setPhoto(null, "", props.width, props.height); emit(); },
  "no-backdrop"() { showBackdrop(""); backdropChoice.focus(); },
});

function listenForChoice(input, take) {
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
}

// A pasted picture goes where the focus is: to the box of a row or the selected one, else under the boxes.
function pasteTarget() {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const row = focused && focused.closest(".row");
  const onStage = focused === stage && selectedRegion(model);
  if (props.takes_pictures && row) return (file) => actions.choosePicture(Number(row.dataset.id), file);
  if (props.takes_pictures && onStage) return (file) => actions.choosePicture(onStage.id, file);
  if (takesPhoto) return takePhoto;
  return focused ? takeBackdrop : null;
}

function listenForPaste() {
  const paste = (event) => {
    if (!element.isConnected) { document.removeEventListener("paste", paste); return; }
    const file = [...(event.clipboardData?.files || [])].find((entry) => entry.type.startsWith("image/"));
    const take = file && !event.defaultPrevented && element.offsetParent ? pasteTarget() : null;
    if (!take) return;
    event.preventDefault();
    take(file);
  };
  document.addEventListener("paste", paste);
}

listenForChoice(fileInput, takePhoto);
listenForChoice(backdropChoice, takeBackdrop);
listenForDrops(stage, takesPhoto ? takePhoto : takeBackdrop);
listenForPaste();
