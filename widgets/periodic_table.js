// A periodic table whose elements are chosen by click, by drag, by a whole group or
// period, or with the keyboard.

const STYLE = `
.gnndesign-elements { display: grid; gap: 1px; max-width: 640px; user-select: none;
  grid-template-columns: 20px repeat(18, minmax(0, 1fr));
  grid-template-rows: 15px repeat(7, 21px) 3px repeat(2, 21px); }
.gnndesign-elements button { min-width: 0; margin: 0; padding: 0; cursor: pointer;
  overflow: hidden; font: 10px/1 var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #222); border: 1px solid transparent;
  border-radius: 2px; background: var(--gnndesign-tint, transparent); }
.gnndesign-elements button.axis { font-size: 9px; background: none;
  color: var(--jp-ui-font-color2, #666); }
.gnndesign-elements button:hover { border-color: var(--jp-ui-font-color2, #666); }
.gnndesign-elements button:focus-visible { outline: 2px solid
  var(--jp-ui-font-color1, #222); outline-offset: 0; }
.gnndesign-elements .s { --gnndesign-tint: rgba(214, 79, 79, 0.20); }
.gnndesign-elements .p { --gnndesign-tint: rgba(219, 160, 24, 0.22); }
.gnndesign-elements .d { --gnndesign-tint: rgba(64, 128, 214, 0.20); }
.gnndesign-elements .f { --gnndesign-tint: rgba(54, 163, 98, 0.20); }
.gnndesign-elements .marked { border: 1px dashed var(--jp-ui-font-color2, #666); }
.gnndesign-elements button[aria-pressed="true"] { font-weight: 700; color: #fff;
  background: #1565c0; border: 1px solid #1565c0; }
.gnndesign-elements button[aria-disabled="true"] { cursor: not-allowed; opacity: 0.32;
  background: none; text-decoration: line-through; }
`;

function render({ model, el }) {
  const style = document.createElement("style");
  style.textContent = STYLE;
  const grid = document.createElement("div");
  grid.className = "gnndesign-elements";
  grid.setAttribute("role", "group");
  grid.setAttribute("aria-label", "Periodic table");
  el.append(style, grid);

  const cells = model.get("cells"); // symbol, name, row, column, block
  const buttons = new Map(); // by symbol
  const places = new Map(); // by "row,column"; row and column 0 are the axes
  let chosen = new Set(model.get("selected"));
  let painting = null; // whether a drag adds or takes away

  const disabled = () => new Set(model.get("disabled"));

  function commit() {
    const ordered = cells.map(([symbol]) => symbol).filter((s) => chosen.has(s));
    model.set("selected", ordered);
    model.save_changes();
  }

  function turn(symbol, on) {
    // What the potential does not know can still be taken away.
    if (on && disabled().has(symbol)) return;
    if (on) chosen.add(symbol);
    else chosen.delete(symbol);
    buttons.get(symbol).setAttribute("aria-pressed", String(on));
  }

  function turnAll(symbols) {
    const off = disabled();
    const known = symbols.filter((symbol) => !off.has(symbol));
    const on = known.some((symbol) => !chosen.has(symbol));
    (on ? known : symbols).forEach((symbol) => turn(symbol, on));
    commit();
  }

  function mark() {
    chosen = new Set(model.get("selected"));
    const off = disabled();
    const marked = model.get("marked");
    for (const [symbol, name] of cells) {
      const button = buttons.get(symbol);
      button.setAttribute("aria-pressed", String(chosen.has(symbol)));
      button.setAttribute("aria-disabled", String(off.has(symbol)));
      button.classList.toggle("marked", symbol in marked);
      const notes = [name];
      if (symbol in marked) notes.push(marked[symbol]);
      if (off.has(symbol)) notes.push("the potential does not know it");
      button.title = notes.join(", ");
    }
  }

  function put(button, row, column) {
    button.type = "button";
    button.tabIndex = -1;
    button.style.gridRow = row + 1;
    button.style.gridColumn = column + 1;
    button.dataset.place = `${row},${column}`;
    places.set(button.dataset.place, button);
    grid.append(button);
  }

  function axis(text, label, row, column, symbols) {
    const button = document.createElement("button");
    button.className = "axis";
    button.textContent = text;
    button.title = label;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => turnAll(symbols));
    put(button, row, column);
  }

  function draw() {
    const of = (test) => cells.filter(test).map(([symbol]) => symbol);
    const clear = document.createElement("button");
    clear.className = "axis";
    clear.textContent = "✕";
    clear.title = "Choose none";
    clear.setAttribute("aria-label", clear.title);
    clear.addEventListener("click", () => {
      [...chosen].forEach((symbol) => turn(symbol, false));
      commit();
    });
    put(clear, 0, 0);
    for (let group = 1; group <= 18; group += 1) {
      const own = of(([, , row, column]) => column === group && row <= 7);
      axis(String(group), `Group ${group}`, 0, group, own);
    }
    const rows = [...new Set(cells.map(([, , row]) => row))];
    for (const row of rows) {
      const own = of(([, , own]) => own === row);
      const series = { 9: ["La", "Lanthanides"], 10: ["Ac", "Actinides"] }[row];
      const [text, label] = series ?? [String(row), `Period ${row}`];
      axis(text, label, row, 0, own);
    }
    for (const [symbol, name, row, column, block] of cells) {
      const button = document.createElement("button");
      button.className = block;
      button.textContent = symbol;
      button.dataset.symbol = symbol;
      button.setAttribute("aria-label", name);
      buttons.set(symbol, button);
      put(button, row, column);
    }
    buttons.get("H").tabIndex = 0;
  }

  function symbolAt(event) {
    return document
      .elementFromPoint(event.clientX, event.clientY)
      ?.closest("[data-symbol]")?.dataset.symbol;
  }

  grid.addEventListener("pointerdown", (event) => {
    const symbol = event.target.closest("[data-symbol]")?.dataset.symbol;
    if (!symbol || event.button !== 0) return;
    event.target.releasePointerCapture?.(event.pointerId);
    painting = !chosen.has(symbol);
    turn(symbol, painting);
  });
  grid.addEventListener("pointermove", (event) => {
    const symbol = painting === null ? undefined : symbolAt(event);
    if (symbol && grid.contains(buttons.get(symbol))) turn(symbol, painting);
  });
  function release() {
    if (painting === null) return;
    painting = null;
    commit();
  }
  window.addEventListener("pointerup", release);
  window.addEventListener("pointercancel", release);

  // A click without a pointer is one of the keyboard or of a screen reader.
  grid.addEventListener("click", (event) => {
    const symbol = event.target.closest("[data-symbol]")?.dataset.symbol;
    if (!symbol || event.detail !== 0) return;
    turn(symbol, !chosen.has(symbol));
    commit();
  });

  grid.addEventListener("focusin", (event) => {
    for (const button of places.values()) button.tabIndex = -1;
    event.target.tabIndex = 0;
  });
  grid.addEventListener("keydown", (event) => {
    // JupyterLab has uses of its own for these keys.
    event.stopPropagation();
    const step = {
      ArrowDown: [1, 0],
      ArrowUp: [-1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    }[event.key];
    const from = event.target.dataset.place;
    if (!step || !from) return;
    event.preventDefault();
    let [row, column] = from.split(",").map(Number);
    for (let tries = 0; tries < 19; tries += 1) {
      row += step[0];
      column += step[1];
      const next = places.get(`${row},${column}`);
      if (next) {
        next.focus();
        return;
      }
    }
  });

  draw();
  mark();
  model.on("change:selected", mark);
  model.on("change:disabled", mark);
  model.on("change:marked", mark);
  return () => {
    window.removeEventListener("pointerup", release);
    window.removeEventListener("pointercancel", release);
    model.off("change:selected", mark);
    model.off("change:disabled", mark);
    model.off("change:marked", mark);
  };
}

export default { render };
