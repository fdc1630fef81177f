// Shows finished pictures with their boxes over them. Text goes in through textContent only.
const sheet = element.querySelector(".sheet");
const head = element.querySelector(".head");
const facts = element.querySelector(".facts");
const toggle = element.querySelector(".toggle");

function node(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
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

function figureOf(picture, regions, persons) {
  const figure = node("figure", "");
  const holder = node("div", "picture");
  const image = node("img", "");
  image.src = picture.shown.url;
  image.alt = picture.caption;
  holder.append(image, ...regions.map(frameOf));
  if (persons.length) holder.append(skeletonOf(persons));
  const link = node("a", "", "Download PNG");
  link.href = picture.file.url;
  link.download = picture.file.orig_name;
  const caption = node("figcaption", "");
  caption.append(node("span", "", picture.caption), link);
  figure.append(holder, caption);
  return figure;
}

function show() {
  const value = props.value || {};
  const pictures = value.pictures || [];
  sheet.replaceChildren(...pictures.map((picture) => figureOf(picture, value.regions || [], value.persons || [])));
  sheet.classList.toggle("empty", !pictures.length);
  if (!pictures.length) sheet.append(node("p", "", value.placeholder || props.placeholder));
  head.hidden = !pictures.length;
  const [regions, persons] = [value.regions || [], value.persons || []];
  head.querySelector("label").hidden = !regions.length && !persons.length;
  head.querySelector(".what").textContent = persons.length ? "Show the people's joints" : "Show the boxes";
  head.querySelector(".note").textContent = value.note || "";
  facts.replaceChildren(...(value.facts || []).map((line) => node("p", "", line)));
}

toggle.addEventListener("change", () => sheet.classList.toggle("plain", !toggle.checked));
watch("value", show);
show();
