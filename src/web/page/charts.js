// The two charts, and the scale that shows load against the limit. They are drawn from columns of numbers.
/* global uPlot */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const hours = (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }));

function axes(unit) {
  const look = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px system-ui, sans-serif" };
  return [{ ...look, values: hours, space: 90 }, { ...look, size: 56, values: (_, splits) => splits.map((v) => `${v}${unit}`) }];
}

function highest(columns) {
  return columns.reduce((most, column) => column.reduce((a, b) => (b > a ? b : a), most), 1);
}

/** Shades the times at which the gate was closed: pairs of when it closed and when it opened. */
function shade(pauses) {
  return (chart) => {
    const { ctx, bbox } = chart;
    const x = (at) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, chart.valToPos(at, "x", true)));
    ctx.save();
    ctx.fillStyle = colour("closed");
    for (const [from, to] of pauses()) {
      if (to <= chart.scales.x.min || from >= chart.scales.x.max) continue;
      ctx.fillRect(x(from), bbox.top, Math.max(2, x(to) - x(from)), bbox.height);
    }
    ctx.restore();
  };
}

/** A chart that fills its element and is made anew when the theme changes. */
class Chart {
  constructor(element, make) {
    this.element = element;
    this.make = make;
    this.data = null;
    this.chart = null;
    new ResizeObserver(() => this.chart && this.chart.setSize(this.size())).observe(element);
  }

  size() { return { width: Math.max(200, this.element.clientWidth), height: this.element.clientHeight }; }

  draw(data) {
    this.data = data;
    if (this.chart) { this.chart.setData(data); return; }
    this.chart = new uPlot({ ...this.make(), ...this.size() }, data, this.element);
  }

  redraw() {
    if (!this.chart) return;
    this.chart.destroy();
    this.chart = null;
    this.draw(this.data);
  }
}

export class Rates {
  constructor(element) {
    this.pauses = [];
    this.chart = new Chart(element, () => this.options());
    this.element = element;
  }

  options() {
    const line = (name, extra) => ({ stroke: colour(name), width: 2, points: { show: false }, ...extra });
    return {
      cursor: { y: false, drag: { x: false, y: false } },
      // An interval that is still wide would press everything else flat, so it has no say.
      scales: { x: { time: true }, y: { range: (chart) => [0, highest(chart.data.slice(3)) * 1.12] } },
      axes: axes(""),
      series: [{},
        line("limit", { width: 0 }), line("limit", { width: 0 }), line("limit", {}),
        line("ceiling", { width: 1.5, dash: [6, 5] }),
        line("refused", { fill: colour("closed") }), line("accepted", {}), line("sent", {})],
      bands: [{ series: [1, 2], fill: colour("band") }],
      hooks: { drawAxes: [shade(() => this.pauses)] },
    };
  }

  draw(columns, ceiling, pauses) {
    this.pauses = pauses;
    const flat = columns.at.map(() => ceiling);
    this.chart.draw([columns.at, columns.high, columns.low, columns.limit, flat, columns.throttled, columns.accepted, columns.sent]);
    const last = columns.at.length - 1;
    if (last >= 0) this.element.setAttribute("aria-label", `Rates over time; now ${columns.sent[last].toFixed(1)} sent, ${columns.accepted[last].toFixed(1)} accepted and ${columns.throttled[last].toFixed(1)} refused a second`);
  }

  redraw() { this.chart.redraw(); }
}

export class Times {
  constructor(element) {
    this.chart = new Chart(element, () => ({
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(1, (high || 1) * 1.1)] } },
      axes: axes(" ms"),
      series: [{}, { stroke: colour("sent"), width: 2, points: { show: false } }, { stroke: colour("declared"), width: 2, points: { show: false } }],
    }));
  }

  draw(columns) { this.chart.draw(columns); }

  redraw() { this.chart.redraw(); }
}

const SVG = "http://www.w3.org/2000/svg";

/** Load against the limit on one scale: the bar is what is sent, the mark is the limit with its interval. */
export function scale(element, { sent, estimate, ceiling, declared }) {
  const width = Math.max(280, element.clientWidth);
  const top = Math.max(sent || 0, ceiling || 0, estimate ? Math.min(estimate.high, estimate.value * 1.5) : 0, declared || 0, 1) * 1.12;
  const x = (value) => Math.max(0, Math.min(1, value / top)) * (width - 4) + 2;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} 90`);
  const put = (tag, attributes, text) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text != null) node.textContent = text;
    svg.append(node);
  };
  const label = (value, y, text, strong) => {
    const at = x(value);
    const anchor = at < 70 ? "start" : at > width - 70 ? "end" : "middle";
    put("text", { x: anchor === "middle" ? at : anchor === "start" ? Math.max(2, at - 4) : Math.min(width - 2, at + 4), y, "text-anchor": anchor, class: strong ? "strong" : "" }, text);
  };
  put("rect", { x: 0, y: 36, width, height: 18, rx: 9, fill: colour("line") });
  put("rect", { x: 0, y: 36, width: x(sent || 0), height: 18, rx: 9, fill: colour("sent") });
  label(sent || 0, 72, `sent ${(sent || 0).toFixed(1)}`, true);
  // The labels below share a line each, or they would lie on one another.
  if (ceiling) {
    put("path", { d: `M${x(ceiling)} 32v26`, stroke: colour("ceiling"), "stroke-width": 2, "stroke-dasharray": "4 3" });
    label(ceiling, 87, `configured ${ceiling.toFixed(0)}`);
  }
  if (declared) {
    put("path", { d: `M${x(declared)} 30v30`, stroke: colour("declared"), "stroke-width": 2 });
    label(declared, estimate && Math.abs(x(declared) - x(estimate.value)) < 190 ? 12 : 26, `declared ${declared.toFixed(0)}`);
  }
  if (estimate) {
    put("rect", { x: x(estimate.low), y: 30, width: Math.max(3, x(estimate.high) - x(estimate.low)), height: 30, fill: colour("band") });
    put("circle", { cx: x(estimate.value), cy: 45, r: 9, fill: "none", stroke: colour("limit"), "stroke-width": 3 });
    put("path", { d: `M${x(estimate.value) - 16} 45h32`, stroke: colour("limit"), "stroke-width": 3 });
    label(estimate.value, 26, `limit ${estimate.value.toFixed(1)}`, true);
  }
  element.replaceChildren(svg);
  const limit = estimate ? `the limit is about ${estimate.value.toFixed(1)}` : "no limit is known";
  element.setAttribute("aria-label", `${(sent || 0).toFixed(1)} a second are sent; ${limit}`);
}
