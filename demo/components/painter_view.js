// Shows the map and the classes. Names of classes come from a model file: textContent only.

function rgbOf(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function createView(parts, onChoose) {
  const { surface, palette } = parts;
  surface.width = props.width;
  surface.height = props.height;
  const context = surface.getContext("2d");
  const pixels = context.createImageData(props.width, props.height);
  // A label that this model does not know has no class; it is shown in grey.
  const colours = Array.from({ length: 256 }, (_, label) => props.classes[label] ? rgbOf(props.classes[label].colour) : [128, 128, 128]);
  const entries = props.classes.map(({ name, colour }, label) => {
    const holder = document.createElement("label");
    const input = document.createElement("input");
    input.type = "radio";
    input.name = props.name + "-class";
    input.addEventListener("change", () => onChoose(label));
    const patch = document.createElement("i");
    if (label) patch.style.background = colour;
    const text = document.createElement("span");
    text.textContent = name;
    holder.append(input, patch, text);
    palette.append(holder);
    return { holder, input, name: name.toLowerCase() };
  });
  return {
    paint(labels) {
      labels.forEach((label, at) => {
        const [red, green, blue] = colours[label];
        pixels.data.set([red, green, blue, label ? 255 : 0], at * 4); // the ground shows through
      });
      context.putImageData(pixels, 0, 0);
    },
    choose(chosen) {
      entries.forEach(({ holder, input }, label) => {
        input.checked = label === chosen;
        holder.classList.toggle("chosen", label === chosen);
      });
    },
    find(text) {
      const wanted = text.trim().toLowerCase();
      entries.forEach(({ holder, name }) => { holder.hidden = !name.includes(wanted); });
      return entries.some(({ holder }) => !holder.hidden);
    },
  };
}
