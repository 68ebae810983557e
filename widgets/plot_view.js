// Draws plotly figures sent as JSON, one at a time, and reports clicks on points.

const SHARE = 0.2; // of the browser's time that drawing may take
const HEIGHT = 420; // of a figure that does not say
const SHORTEST_PAUSE_MS = 200;
const CONFIG = { displaylogo: false, responsive: true };

// plotly.js is 5 MB: it is asked for once a page, whatever the number of plots.
function loadPlotly(model) {
  window.__gnndesignPlotly ??= new Promise((resolve) => {
    const take = (message, buffers) => {
      if (message.type !== "library") return;
      model.off("msg:custom", take);
      const script = document.createElement("script");
      script.textContent = new TextDecoder().decode(buffers[0]);
      document.head.append(script);
      resolve(window.Plotly);
    };
    model.on("msg:custom", take);
    model.send({ type: "library" });
  });
  return window.__gnndesignPlotly;
}

// While a kernel restarts there is nobody to hear it.
function tell(model, message) {
  try {
    model.send(message);
  } catch (error) {
    if (!/Cannot send/.test(error.message)) throw error;
  }
}

async function render({ model, el }) {
  const Plotly = await loadPlotly(model);
  const plot = document.createElement("div");
  plot.className = "gnndesign-plot";
  plot.style.width = "100%";
  el.append(plot);
  let listening = false;

  async function draw(message, buffers) {
    if (message.type !== "figure") return;
    const began = performance.now();
    const figure = JSON.parse(new TextDecoder().decode(buffers[0]));
    const empty = figure.data.length === 0;
    plot.style.display = empty ? "none" : "";
    // A figure without a height of its own would overflow a box without one.
    plot.style.height = figure.layout?.height ? "" : `${HEIGHT}px`;
    // plotly waits for ever for a figure that is out of sight to be drawn.
    if (!empty) await Plotly.react(plot, figure.data, figure.layout, CONFIG);
    if (!empty && !listening) {
      listening = true;
      plot.on("plotly_click", ({ points }) => {
        const [point] = points;
        tell(model, {
          type: "click",
          curve: point.curveNumber,
          x: point.x,
          y: point.y,
          customdata: point.customdata ?? null,
        });
      });
    }
    const pause = Math.max(
      SHORTEST_PAUSE_MS,
      (performance.now() - began) * (1 / SHARE - 1),
    );
    setTimeout(() => tell(model, { type: "drawn", sequence: message.sequence }), pause);
  }

  model.on("msg:custom", draw);
  // A plot that was drawn while it was out of sight has no width yet.
  const observer = new ResizeObserver(() => {
    if (plot.offsetWidth > 0 && listening) Plotly.Plots.resize(plot);
  });
  observer.observe(el);
  tell(model, { type: "ready" });
  return () => {
    observer.disconnect();
    model.off("msg:custom", draw);
    Plotly.purge(plot);
  };
}

export default { render };
