// The parts of a picture: boxes, joints, and the slider between before and after.
// Text goes in through textContent only.

const texts = props.texts;
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

function node(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function pictureNode(address, description) {
  const image = node("img", "");
  image.src = address;
  image.alt = description;
  image.draggable = false;
  return image;
}

function frameOf(region) {
  const [x0, y0, x1, y1] = region.box.map((value) => value * 100);
  const frame = node("div", "frame");
  frame.style.cssText = "left:" + x0 + "%;top:" + y0 + "%;width:" + (x1 - x0) + "%;height:" + (y1 - y0) + "%";
  frame.style.setProperty("--tint", props.tints[(region.number - 1) % props.tints.length]);
  frame.append(node("span", "", (region.number + " " + region.phrase).trim()));
  return frame;
}

// The bones of people as lines; a joint that is not seen has none.
function skeletonOf(persons) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("class", "frame skeleton");
  drawing.setAttribute("viewBox", "0 0 1 1");
  drawing.setAttribute("preserveAspectRatio", "none");
  persons.forEach((joints, index) => props.bones.forEach(([from, to]) => {
    if (!joints[from] || !joints[to]) return;
    const line = document.createElementNS(space, "line");
    [["x1", joints[from][0]], ["y1", joints[from][1]], ["x2", joints[to][0]], ["y2", joints[to][1]]].forEach(([key, value]) => line.setAttribute(key, value));
    line.style.stroke = props.tints[index % props.tints.length];
    drawing.append(line);
  }));
  return drawing;
}

function overlaysOf(value) {
  const persons = value.persons || [];
  const overlays = (value.regions || []).map(frameOf);
  return persons.length ? [...overlays, skeletonOf(persons)] : overlays;
}

// Lay the photo over the left of the result. The divider follows pointer and finger; the range
// field below it, which is not seen, gives keys and screen readers the same.
function addSlider(holder, before, caption) {
  const photo = pictureNode(before.url, texts.before);
  photo.classList.add("before");
  const divider = node("div", "divider");
  divider.append(node("span", "grip"));
  const range = node("input", "range");
  Object.assign(range, { type: "range", min: 0, max: 100, step: 1 });
  range.setAttribute("aria-label", fill(texts.slider, { caption }));

  function put(share) {
    const percent = Math.min(Math.max(share, 0), 1) * 100;
    holder.style.setProperty("--share", percent + "%");
    range.value = Math.round(percent);
    range.setAttribute("aria-valuetext", fill(texts.slider_value, { share: Math.round(percent) }));
  }
  function follow(event) {
    const area = holder.getBoundingClientRect();
    put((event.clientX - area.left) / area.width);
  }

  range.addEventListener("input", () => put(range.value / 100));
  holder.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    range.focus({ preventScroll: true });
    holder.setPointerCapture(event.pointerId);
    follow(event);
  });
  holder.addEventListener("pointermove", (event) => {
    if (holder.hasPointerCapture(event.pointerId)) follow(event);
  });
  holder.classList.add("sliding");
  holder.append(photo, node("span", "side left", texts.before), node("span", "side right", texts.after), divider, range);
  put(0.5);
}

// A picture with everything that lies over it; where it is not made yet, its free place.
function holderOf(picture, value) {
  const holder = node("div", "picture");
  const [width, height] = picture.size;
  holder.style.aspectRatio = width + " / " + height;
  if (picture.shown) {
    holder.append(pictureNode(picture.shown.url, picture.caption));
    if (value.before) addSlider(holder, value.before, picture.caption);
  } else {
    holder.classList.add("waiting");
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", picture.caption + ": " + texts.waiting);
  }
  holder.append(...overlaysOf(value));
  return holder;
}

function saveLink(picture, text) {
  const link = node("a", "save", text);
  link.href = picture.file.url;
  link.download = picture.file.orig_name;
  link.setAttribute("aria-label", fill(texts.download_named, { caption: picture.caption }));
  return link;
}
