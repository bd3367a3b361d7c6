// Draws a dashboard from what its queries returned: panels where its grid puts them, in the manner of each kind.
//   node-browser preview.js CHROMIUM DASHBOARD.json PICTURE.png
"use strict";
const fs = require("fs");
const path = require("path");
const puppeteer = require("puppeteer-core");

const [, , executablePath, data, picture] = process.argv;
const vendor = path.join(__dirname, "../../../src/web/page/vendor/uplot-1.6.32");

const STYLE = `
  body { margin: 0; padding: 8px; background: #111217; color: #ccccdc; font: 13px system-ui, sans-serif; width: 1600px; }
  #grid { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 34px; gap: 8px; }
  .panel { background: #181b1f; border: 1px solid #2a2c33; border-radius: 3px; padding: 6px 8px; overflow: hidden; display: flex; flex-direction: column; min-width: 0; }
  .panel h3 { margin: 0 0 4px; font-size: 13px; font-weight: 500; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; } .panel .body { flex: 1; min-height: 0; position: relative; }
  .row { align-self: end; font-size: 15px; font-weight: 600; } .stat { display: grid; place-content: center; font-size: 30px; font-weight: 600; border-radius: 3px; height: 100%; }
  .legend { font-size: 11px; max-height: 30px; overflow: hidden; } .legend b { display: inline-block; width: 10px; height: 3px; margin: 0 4px 3px 8px; } .u-legend { display: none; }
  table { border-collapse: collapse; width: 100%; font-size: 12px; } td, th { text-align: left; border-bottom: 1px solid #2a2c33; padding: 3px 6px; } .none { color: #8e8e99; display: grid; place-content: center; height: 100%; }
  .u-axis { color: #8e8e99; }`;

/** Runs in the page. */
function draw(dashboard) {
  const PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc", "#c15c17"];
  const NAMED = { green: "#73bf69", yellow: "#fade2a", orange: "#ff9830", red: "#f2495c", blue: "#5794f2", purple: "#b877d9", text: "#ccccdc" };
  const empty = [];
  const unit = (value, kind, decimals) => {
    if (value == null || Number.isNaN(value)) return "–";
    const fixed = (v, d) => Number(v.toFixed(decimals ?? d)).toString();
    if (kind === "percentunit") return `${fixed(value * 100, 1)}%`;
    if (kind === "reqps") return `${fixed(value, 1)} req/s`;
    if (kind === "ops") return `${fixed(value, 1)} ops/s`;
    if (kind === "bytes") return `${fixed(value / 2 ** 20, 1)} MiB`;
    if (kind === "s") return !Number.isFinite(value) ? "∞" : Math.abs(value) >= 120 ? `${fixed(value / 60, 1)} min` : Math.abs(value) >= 1 ? `${fixed(value, 2)} s` : `${fixed(value * 1000, 2)} ms`;
    return fixed(value, 2);
  };
  const legend = (format, labels) => (format ? format.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? "") : Object.values(labels).join(" ")) || "value";
  const seriesOf = (panel) => panel.targets.flatMap((target) => target.result.map((one) => ({ name: legend(target.legendFormat, one.metric), labels: one.metric, target, points: one.values.map(([at, v]) => [at, Number(v.replace("+Inf", "Infinity"))]) })));
  const overridesOf = (panel, name) => panel.fieldConfig.overrides.filter(({ matcher }) => (matcher.id === "byName" ? matcher.options === name : new RegExp(matcher.options.replace(/^\/|\/$/g, "")).test(name))).flatMap((o) => o.properties);
  const property = (panel, name, id) => overridesOf(panel, name).find((p) => p.id === id)?.value;
  const colourAt = (steps, value) => NAMED[steps.filter((s) => s.value == null || value >= s.value).pop()?.color] || "#ccccdc";
  const mapped = (panel, value) => panel.fieldConfig.defaults.mappings?.[0]?.options[String(value)];
  const last = (points) => points.filter(([, v]) => !Number.isNaN(v)).pop()?.[1];

  const kinds = {
    stat(panel, body, series) {
      const { thresholds, unit: kind, decimals } = panel.fieldConfig.defaults;
      const value = last(series[0].points);
      const map = mapped(panel, value);
      const colour = map ? NAMED[map.color] : colourAt(thresholds.steps, value);
      const box = document.createElement("div");
      box.className = "stat";
      box.textContent = panel.options.textMode === "name" ? series[0].name : map ? map.text : unit(value, kind, decimals);
      if (panel.options.colorMode === "background") { box.style.background = colour; box.style.color = "#fff"; } else box.style.color = colour;
      body.append(box);
    },
    timeseries(panel, body, series) {
      const at = [...new Set(series.flatMap((s) => s.points.map(([t]) => t)))].sort((a, b) => a - b);
      const custom = panel.fieldConfig.defaults.custom;
      const stacked = custom.stacking?.mode === "normal";
      const total = at.map(() => 0);
      // On a stack, what is nothing throughout would only hide what is below it.
      const shown = stacked ? series.filter((s) => s.points.some(([, v]) => v > 0)) : series;
      const lines = shown.map((s, i) => {
        const by = new Map(s.points);
        const fixed = property(panel, s.name, "color")?.fixedColor;
        const right = property(panel, s.name, "custom.axisPlacement") === "right";
        const values = at.map((t, j) => { const v = by.get(t); const n = v == null || !Number.isFinite(v) ? null : v; if (stacked && n != null) { total[j] += n; return total[j]; } return n; });
        const colour = NAMED[fixed] || PALETTE[i % PALETTE.length];
        const width = property(panel, s.name, "custom.lineWidth") ?? custom.lineWidth;
        const dash = property(panel, s.name, "custom.lineStyle")?.dash;
        const fill = stacked ? `${colour}55` : property(panel, s.name, "custom.fillOpacity") ? `${colour}26` : undefined;
        return { name: s.name, last: last(s.points), values, right, hidden: property(panel, s.name, "custom.hideFrom")?.legend, option: { label: s.name, stroke: colour, width, dash, fill, scale: right ? "r" : "y", points: { show: false }, spanGaps: false } };
      });
      const order = stacked ? lines.slice().reverse() : lines;
      const key = document.createElement("div");
      key.className = "legend";
      for (const line of lines.filter((l) => !l.hidden)) { const dot = document.createElement("b"); dot.style.background = line.option.stroke; key.append(dot, `${line.name} ${unit(line.last, property(panel, line.name, "unit") || panel.fieldConfig.defaults.unit)}`); }
      const kind = panel.fieldConfig.defaults.unit;
      const axis = (scale, side, of) => ({ scale, side, stroke: "#8e8e99", grid: { stroke: "#25272e", show: scale !== "r" }, size: 74, values: (_, splits) => splits.map((v) => unit(v, of)) });
      const rightKind = property(panel, lines.find((l) => l.right)?.name ?? "", "unit") || "short";
      const axes = [{ stroke: "#8e8e99", grid: { stroke: "#25272e" } }, axis("y", 3, kind)];
      if (lines.some((l) => l.right)) axes.push(axis("r", 1, rightKind));
      const range = (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 1, 1e-6) * 1.05];
      new uPlot({ width: body.clientWidth, height: body.clientHeight - 34, series: [{}, ...order.map((l) => l.option)], axes, scales: { y: { range }, r: { range } }, cursor: { show: false } }, [at, ...order.map((l) => l.values)], body);
      body.append(key);
    },
    "state-timeline"(panel, body, series) {
      const canvas = Object.assign(document.createElement("canvas"), { width: body.clientWidth, height: body.clientHeight });
      body.append(canvas);
      const ctx = canvas.getContext("2d");
      const times = series.flatMap((s) => s.points.map(([t]) => t));
      const [from, to] = [Math.min(...times), Math.max(...times)];
      const x = (t) => 8 + (t - from) / (to - from) * (canvas.width - 16);
      const height = Math.min(40, (canvas.height - 40) / series.length);
      series.forEach((s, i) => {
        ctx.fillStyle = "#ccccdc"; ctx.fillText(s.name, 8, 12 + i * (height + 16));
        s.points.forEach(([t, v], j) => { ctx.fillStyle = NAMED[mapped(panel, v)?.color] || "#555"; const end = s.points[j + 1]?.[0] ?? t + 1; ctx.fillRect(x(t), 16 + i * (height + 16), x(end) - x(t) + 1, height); });
      });
      const seen = [...new Set(series.flatMap((s) => s.points.map(([, v]) => v)))].sort();
      ctx.fillStyle = "#8e8e99"; ctx.fillText(seen.map((v) => mapped(panel, v)?.text ?? v).join(" · "), 8, canvas.height - 6);
    },
    heatmap(panel, body, series) {
      const rows = series.map((s) => ({ bound: Number(s.labels.le.replace("+Inf", "Infinity")), points: s.points })).sort((a, b) => a.bound - b.bound);
      const canvas = Object.assign(document.createElement("canvas"), { width: body.clientWidth, height: body.clientHeight });
      body.append(canvas);
      const ctx = canvas.getContext("2d");
      const cells = rows.map((row, i) => row.points.map(([t, v], j) => [t, v - (i ? rows[i - 1].points[j]?.[1] ?? 0 : 0)]));
      const most = Math.max(...cells.flat().map(([, v]) => v));
      const times = cells[0].map(([t]) => t);
      const [w, h] = [(canvas.width - 70) / times.length, (canvas.height - 10) / rows.length];
      rows.forEach((row, i) => { ctx.fillStyle = "#8e8e99"; ctx.fillText(row.bound === Infinity ? "+Inf" : unit(row.bound, "s"), 4, canvas.height - 8 - i * h - h / 2 + 4); cells[i].forEach(([, v], j) => { if (v > 0) { ctx.fillStyle = `rgba(255,152,48,${0.15 + 0.85 * Math.sqrt(v / most)})`; ctx.fillRect(66 + j * w, canvas.height - 8 - (i + 1) * h, w + 0.5, h - 1); } }); });
    },
    table(panel, body, series) {
      const organize = panel.transformations.find((t) => t.id === "organize").options;
      const rows = new Map();
      for (const s of series) {
        const values = { ...s.labels };
        values[panel.targets.length > 1 ? `Value #${s.target.refId}` : "Value"] = last(s.points);
        const key = panel.targets.length > 1 ? s.labels.gate : JSON.stringify(s.labels);
        // Kinds that were true earlier have ended; the latest is the one that is.
        rows.set(key, { ...rows.get(key), ...values });
      }
      const columns = [...new Set([...rows.values()].flatMap((row) => Object.keys(row)))].filter((c) => !organize.excludeByName[c]);
      const table = document.createElement("table");
      const line = (tag, cells) => { const tr = document.createElement("tr"); for (const cell of cells) tr.append(Object.assign(document.createElement(tag), { textContent: cell })); table.append(tr); };
      const name = (c) => organize.renameByName[c] || c;
      line("th", columns.map(name));
      for (const row of rows.values()) line("td", columns.map((c) => (typeof row[c] === "number" ? unit(row[c], property(panel, name(c), "unit") || "none", property(panel, name(c), "decimals")) : row[c] ?? "")));
      body.append(table);
    },
  };

  document.title = dashboard.title;
  const grid = document.getElementById("grid");
  const bodies = dashboard.panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    const box = document.createElement("div");
    box.style.gridArea = `${y + 1} / ${x + 1} / span ${h} / span ${w}`;
    grid.append(box);
    if (panel.type === "row") { box.className = "row"; box.textContent = `⌄ ${panel.title}`; return null; }
    box.className = "panel";
    const body = Object.assign(document.createElement("div"), { className: "body" });
    box.append(Object.assign(document.createElement("h3"), { textContent: panel.title }), body);
    return body;
  });
  dashboard.panels.forEach((panel, i) => {
    if (!bodies[i]) return;
    const series = seriesOf(panel).filter((s) => s.points.some(([, v]) => !Number.isNaN(v)));
    if (series.length === 0) { empty.push(panel.title); bodies[i].textContent = panel.fieldConfig.defaults.noValue || "No data"; return; }
    kinds[panel.type](panel, bodies[i], series);
  });
  return { panels: dashboard.panels.length, empty };
}

async function main() {
  const browser = await puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"] });
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => { throw error; });
    await page.setViewport({ width: 1616, height: 900 });
    await page.setContent('<!doctype html><meta charset="utf-8"><body><div id="grid"></div></body>');
    await page.addStyleTag({ path: path.join(vendor, "uPlot.min.css") });
    await page.addStyleTag({ content: STYLE });
    await page.addScriptTag({ path: path.join(vendor, "uPlot.iife.min.js") });
    const drawn = await page.evaluate(draw, JSON.parse(fs.readFileSync(data, "utf8")));
    await page.screenshot({ path: picture, fullPage: true });
    console.log(JSON.stringify(drawn));
  } finally {
    await browser.close();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
