// The photo to repaint: choosing, dropping or pasting one, and showing it under the boxes.

function forgetDrawing() {
  Object.assign(model, createModel());
  refreshMask();
}

function setPhoto(file, address, width, height) {
  page.photo = file;
  page.width = width;
  page.height = height;
  if (photo.src.startsWith("blob:") && photo.src !== address) URL.revokeObjectURL(photo.src);
  if (address) photo.src = address;
  else photo.removeAttribute("src");
  showPhoto(Boolean(address));
}

function showPhoto(isShown) {
  photo.hidden = !isShown;
  surface.hidden = !isShown;
  stage.classList.toggle("has-photo", isShown);
  one(".drop").hidden = !takesPhoto || isShown;
  one(".photo-tools").hidden = !takesPhoto || !isShown;
  fitStage();
  sizeMask(surface, page.width, page.height);
  refreshMask();
  redraw();
}

// A tall photo is shown no higher than 75 % of the window; its aspect is kept.
function fitStage() {
  stage.style.aspectRatio = page.width + " / " + page.height;
  stage.style.maxWidth = page.height > page.width ? "calc(75vh * " + page.width / page.height + ")" : "";
}

async function takePhoto(file) {
  if (!file) return;
  const turn = ++page.photoTurn;
  const picture = await readPicture(file, say);
  if (!picture) return;
  say("Uploading the photo...");
  const stored = await storePicture(file, say);
  if (!stored || turn !== page.photoTurn) return;
  forgetDrawing();
  setPhoto(stored, picture.address, picture.width, picture.height);
  emit();
  say("Photo of " + picture.width + " x " + picture.height + " pixels. Draw a box or paint a mask where it may change.");
}

function listenForPhotos() {
  fileInput.addEventListener("change", () => { takePhoto(fileInput.files[0]); fileInput.value = ""; });
  stage.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("dropping"); });
  stage.addEventListener("dragleave", () => stage.classList.remove("dropping"));
  stage.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("dropping");
    takePhoto(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((entry) => entry.type.startsWith("image/"));
    if (file && element.isConnected && element.offsetParent) takePhoto(file);
  });
}
