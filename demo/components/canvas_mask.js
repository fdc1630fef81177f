// The painted mask: strokes are kept as lines so that they can be undone, and drawn at photo aspect.

const MASK_LONGEST_SIDE = 1024;
const MASK_COLOUR = "#e11d48";

function sizeMask(surface, width, height) {
  const scale = Math.min(1, MASK_LONGEST_SIDE / Math.max(width, height));
  surface.width = Math.max(1, Math.round(width * scale));
  surface.height = Math.max(1, Math.round(height * scale));
}

function paintStroke(surface, stroke, colour = MASK_COLOUR) {
  const context = surface.getContext("2d");
  const { width, height } = surface;
  context.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
  context.strokeStyle = colour;
  context.lineWidth = 2 * stroke.radius * Math.max(width, height);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  stroke.points.forEach(([x, y], index) => {
    if (index) context.lineTo(x * width, y * height);
    else context.moveTo(x * width, y * height);
  });
  if (stroke.points.length === 1) context.lineTo(stroke.points[0][0] * width + 0.01, stroke.points[0][1] * height);
  context.stroke();
}

function repaintMask(surface, strokes, colour = MASK_COLOUR) {
  surface.getContext("2d").clearRect(0, 0, surface.width, surface.height);
  strokes.forEach((stroke) => paintStroke(surface, stroke, colour));
}

// White where painted, black elsewhere; null when nothing is left of the paint.
function exportMask(surface, strokes) {
  if (!strokes.some((stroke) => !stroke.erase)) return null;
  const sheet = document.createElement("canvas");
  sheet.width = surface.width;
  sheet.height = surface.height;
  repaintMask(sheet, strokes, "#ffffff");
  const pixels = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height).data;
  let painted = false;
  for (let i = 3; i < pixels.length && !painted; i += 4) painted = pixels[i] > 127;
  if (!painted) return null;
  const context = sheet.getContext("2d");
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#000000";
  context.fillRect(0, 0, sheet.width, sheet.height);
  return sheet.toDataURL("image/png");
}
