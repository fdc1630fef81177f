// Shows sections of text. Text goes in through textContent only; links are those that Python names.
function node(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

function formed({ text, form }) {
  if (form === "keys") {
    const holder = node("span");
    text.split(" ").forEach((key, index) => holder.append(index ? " " : "", node("kbd", key)));
    return holder;
  }
  if (form !== "link") return node(form === "code" ? "code" : "span", text);
  const link = node("a", text);
  link.href = text;
  link.rel = "noreferrer";
  return link;
}

function rowOf(row) {
  const [term, text] = [node("dt"), node("dd")];
  // Keys are what a row is about; elsewhere it is the term.
  if (row.form === "keys") { term.append(formed(row)); text.textContent = row.term; }
  else { term.textContent = row.term; text.append(formed(row)); }
  return [term, text];
}

function sectionOf({ title, paragraphs, code, rows }) {
  const section = node("section");
  section.append(node("h2", title), ...paragraphs.map((text) => node("p", text)));
  if (code) section.append(node("pre", code));
  if (rows.length) {
    const list = node("dl");
    list.append(...rows.flatMap(rowOf));
    section.append(list);
  }
  return section;
}

const blocks = element.querySelector(".blocks");
blocks.classList.toggle("single", props.sections.length === 1);
blocks.replaceChildren(...props.sections.map(sectionOf));
