// A table whose rows can be chosen with a click, or with the arrow keys.

const STYLE = `
.gnndesign-rows { max-height: 260px; overflow: auto; }
.gnndesign-rows table { border-collapse: collapse; width: 100%; line-height: 1.4; }
.gnndesign-rows th { position: sticky; top: 0; text-align: left;
  background: var(--jp-layout-color1, white); }
.gnndesign-rows th, .gnndesign-rows td { padding: 1px 8px 1px 4px; vertical-align: top; }
.gnndesign-rows tbody tr { cursor: pointer; }
.gnndesign-rows tbody tr:hover { background: var(--jp-layout-color2, #eee); }
.gnndesign-rows tbody tr[aria-selected="true"] {
  background: var(--jp-brand-color3, #bbdefb); }
`;

function cell(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = STYLE;
  const box = document.createElement("div");
  box.className = "gnndesign-rows";
  box.tabIndex = 0;
  el.append(style, box);
  let body = document.createElement("tbody");

  function pick(place) {
    if (place < 0 || place >= model.get("rows").length) return;
    model.set("picked", place);
    model.save_changes();
  }

  function mark() {
    [...body.children].forEach((row, place) => {
      row.setAttribute("aria-selected", String(place === model.get("picked")));
    });
  }

  function draw() {
    const rows = model.get("rows");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    head.append(...model.get("columns").map((text) => cell("th", text)));
    body = table.createTBody();
    rows.forEach((texts, place) => {
      const row = body.insertRow();
      row.append(...texts.map((text) => cell("td", text)));
      row.addEventListener("click", () => pick(place));
    });
    const scrolled = box.scrollTop;
    box.style.display = rows.length ? "" : "none";
    box.replaceChildren(table);
    box.scrollTop = scrolled;
    mark();
  }

  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    pick(model.get("picked") + step);
    body.children[model.get("picked")]?.scrollIntoView({ block: "nearest" });
  });
  model.on("change:rows", draw);
  model.on("change:picked", mark);
  draw();
  return () => {
    model.off("change:rows", draw);
    model.off("change:picked", mark);
  };
}

export default { render };
