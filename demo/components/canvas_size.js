// The shape of the drawing area and how much it is enlarged.

const MAX_ZOOM = 8;
const ZOOM_STEP = 1.5;
const fitButton = one(".fit");

// A tall picture is shown no higher than 75 % of the window; its aspect is kept.
function fitStage() {
  const ratio = page.width + " / " + page.height;
  viewport.style.aspectRatio = stage.style.aspectRatio = ratio;
  viewport.style.maxWidth = page.height > page.width ? "calc(75vh * " + page.width / page.height + ")" : "";
}

// Enlarge; what lies under the point `at` (of the window) stays there. At 1 the whole picture fits.
function zoomTo(level, at) {
  const area = viewport.getBoundingClientRect();
  const [x, y] = at || [area.left + area.width / 2, area.top + area.height / 2];
  const before = stage.getBoundingClientRect();
  const [shareX, shareY] = [(x - before.left) / before.width, (y - before.top) / before.height];
  page.zoom = clamp(level, 1, MAX_ZOOM);
  stage.style.width = page.zoom * 100 + "%";
  viewport.classList.toggle("zoomed", page.zoom > 1);
  const after = stage.getBoundingClientRect();
  showZoom();
  if (!before.width) return; // on a tab that is not shown
  viewport.scrollLeft += after.left + shareX * after.width - x;
  viewport.scrollTop += after.top + shareY * after.height - y;
}

function showZoom() {
  const percent = Math.round(page.zoom * 100);
  fitButton.textContent = percent + " %";
  fitButton.setAttribute("aria-label", words("zoom_fit", { percent }));
  one('[data-action="zoom-out"]').disabled = page.zoom <= 1;
  one('[data-action="zoom-in"]').disabled = page.zoom >= MAX_ZOOM;
}

// Bring the selected box into the part that is shown, without moving the page.
function revealSelected() {
  const region = selectedRegion(model);
  if (!region || page.zoom === 1) return;
  const [area, box] = [viewport, view.of(region.id).onCanvas.box].map((node) => node.getBoundingClientRect());
  const shift = (low, high, least, most) => (low < least ? low - least : high > most ? Math.min(high - most, low - least) : 0);
  viewport.scrollLeft += shift(box.left, box.right, area.left, area.right);
  viewport.scrollTop += shift(box.top, box.bottom, area.top, area.bottom);
}

Object.assign(buttons, {
  "zoom-in"() { zoomTo(page.zoom * ZOOM_STEP); },
  "zoom-out"() { zoomTo(page.zoom / ZOOM_STEP); },
  "zoom-fit"() { zoomTo(1); },
});

viewport.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoomTo(page.zoom * Math.exp(-event.deltaY / 300), [event.clientX, event.clientY]);
}, { passive: false });

// The settings of the page tell the size of the picture; a photo has its own.
element.addEventListener("picture-size", (event) => {
  const [width, height] = event.detail.map(Number);
  if (page.photo || !(width > 0 && height > 0) || (width === page.width && height === page.height)) return;
  Object.assign(page, { width, height });
  fitStage();
  emit();
});
