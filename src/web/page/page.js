// The live page: takes status, events, history and metrics from the daemon that serves it, and shows them.

import { Pauses, Record, buckets, quantile, sampleOf } from "./record.js";
import { Rates, Times, scale } from "./charts.js";
import { clock, count, duration, limitNote, pausesSaid, percent, rate, story, told } from "./words.js";

const EVENTS_SHOWN = 80;
const METRICS_PERIOD_MS = 5000;
const THEMES = ["auto", "light", "dark"];

const $ = (id) => document.getElementById(id);
const record = new Record();
let pauses = new Pauses();
const rates = new Rates($("rates"));
const times = new Times($("times"));
const state = { status: null, gate: null, span: 300, past: false, held: false, scrapes: [], times: [[], [], []], paces: new Map() };

function set(id, text, tone) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
  if (tone !== undefined) node.closest("div, section, span").className = tone;
}

/** The gate that is looked at: the chosen one, or else the one nearest to its limit. */
function chosen(status) {
  const pressed = (gate) => {
    if (gate.state !== "open") return 2;
    return gate.limit.headroom == null ? 0 : 1 - gate.limit.headroom;
  };
  const known = status.gates.find((gate) => gate.name === state.gate);
  return known || status.gates.slice().sort((a, b) => pressed(b) - pressed(a))[0];
}

function streamsOf(status, gate) { return status.streams.filter((stream) => !gate || stream.gate === gate.name); }

/** The quota that is stated with the least left: [limit, left, hint]. */
function declaredBy(streams) {
  const hints = streams.flatMap((stream) => stream.hints).filter((hint) => hint.limit != null);
  return hints.sort((a, b) => (a.remaining ?? Infinity) / a.limit - (b.remaining ?? Infinity) / b.limit)[0];
}

function show() {
  const status = state.status;
  if (!status || !state.past || state.held) return;
  const gate = chosen(status);
  const name = gate ? gate.name : "";
  const streams = streamsOf(status, gate);
  const now = record.since(name, 5);
  const minute = record.since(name, 60);
  const estimate = gate ? gate.limit.estimate : null;
  const sent = now ? now.sent / now.seconds : null;
  const accepted = now ? now.accepted / now.seconds : null;
  const ceiling = gate && gate.pace ? gate.pace.ceiling : streams.reduce((sum, s) => sum + s.configured_rate, 0);

  const words = story(status, gate, minute);
  set("headline", words.head);
  set("detail", words.more);
  $("story").className = words.tone;
  set("run-state", status.state, `badge ${status.state === "running" ? "good" : "warn"}`);
  $("run-state").className = `badge ${status.state === "running" ? "good" : "warn"}`;
  set("uptime", `for ${duration(status.uptime_seconds)}`);

  const ended = minute ? minute.accepted + minute.throttled + minute.rejected + minute.failed : 0;
  const refused = ended > 0 ? minute.throttled / ended : null;
  set("sent", rate(sent));
  set("accepted", rate(accepted));
  set("refused", percent(refused), refused > 0.01 ? "bad" : refused > 0 ? "warn" : "");
  set("limit", estimate ? rate(estimate.rate.value) : "–");
  set("limit-note", limitNote(estimate));
  const ours = gate && gate.pace ? gate.pace.rate : sent;
  const room = estimate && ours != null ? 1 - ours / estimate.rate.value : null;
  set("headroom", percent(room), room == null ? "" : room < 0 ? "bad" : "good");
  const hint = declaredBy(streams);
  set("declared", hint ? count(hint.limit) : "–");
  set("declared-note", hint ? `${hint.window_seconds ? `in ${duration(hint.window_seconds)}, ` : ""}${hint.remaining ?? "?"} left` : "nothing");
  const open = gate && gate.state === "open";
  set("gate-state", gate ? { open: "open", closed: `${Math.max(0, gate.until - status.at).toFixed(0)} s`, half_open: "asking" }[gate.state] : "–", gate ? (open ? "good" : gate.state === "closed" ? "bad" : "warn") : "");
  set("gate-note", gate ? (gate.state === "closed" ? "of silence to go" : `${pausesSaid(gate.epochs)} so far`) : "");

  const declared = hint && hint.window_seconds ? hint.limit / hint.window_seconds : null;
  scale($("scale"), { sent, estimate: estimate ? estimate.rate : null, ceiling, declared });
  rates.draw(record.columns(name, state.span), ceiling, pauses.of(name));
  showStreams(status.streams);
  const held = status.gates.reduce((sum, g) => sum + g.held_seconds, 0);
  const epochs = status.gates.reduce((sum, g) => sum + g.epochs, 0);
  set("held", `${pausesSaid(epochs)}, ${duration(held)} of silence kept in all.`);
  showGates(status.gates, name);
  document.documentElement.dataset.at = status.at;
}

function showGates(gates, name) {
  $("gate-choice").hidden = gates.length < 2;
  const select = $("gate");
  const names = gates.map((gate) => gate.name);
  if (names.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    select.replaceChildren(...names.map((n) => new Option(n, n)));
  }
  if (document.activeElement !== select) select.value = name;
}

function showStreams(streams) {
  const rows = streams.map((stream) => {
    const row = document.createElement("tr");
    row.dataset.stream = stream.name;
    const head = document.createElement("th");
    head.scope = "row";
    head.append(stream.name, Object.assign(document.createElement("small"), { textContent: `${stream.target}, ${stream.mode}` }));
    row.append(head);
    const skipped = Object.values(stream.skipped).reduce((a, b) => a + b, 0);
    const quota = declaredBy([stream]);
    const cell = (name, text) => row.append(Object.assign(document.createElement("td"), { textContent: text, className: name }));
    cell("rate", `${rate(stream.scheduled_rate)} of ${rate(stream.configured_rate)}`);
    cell("sent", count(stream.sent));
    for (const outcome of ["accepted", "throttled", "rejected", "failed"]) cell(outcome, count(stream.outcomes[outcome] || 0));
    cell("skipped", count(skipped));
    row.lastChild.title = Object.entries(stream.skipped).filter(([, n]) => n > 0).map(([why, n]) => `${why}: ${count(n)}`).join(", ");
    cell("in_flight", count(stream.in_flight));
    cell("quota", quota ? `${quota.remaining ?? "?"} of ${count(quota.limit)}` : "–");
    return row;
  });
  $("streams").replaceChildren(...rows);
}

/** Whether a pace is hardly news: for the same reason, nearly the same rate and limit. */
function sameAsBefore(pace) {
  const limit = pace.estimate ? pace.estimate.rate.value : 0;
  const near = (a, b) => Math.abs(a - b) <= 0.02 * Math.max(a, b);
  const before = state.paces.get(pace.gate);
  if (before && before.reason === pace.reason && near(before.rate, pace.rate) && near(before.limit, limit)) return true;
  state.paces.set(pace.gate, { reason: pace.reason, rate: pace.rate, limit });
  return false;
}

/** Adds one event on top of the list. */
function happened(kind, data) {
  if (kind === "gate") pauses.note(data);
  const words = told(kind, data);
  if (!words || data.at == null || (kind === "pace" && sameAsBefore(data))) return;
  const list = $("events");
  if (list.firstElementChild && list.firstElementChild.classList.contains("quiet")) list.replaceChildren();
  const item = document.createElement("li");
  item.className = words[0];
  const time = Object.assign(document.createElement("time"), { textContent: clock(data.at), dateTime: new Date(data.at * 1000).toISOString() });
  item.append(time, document.createElement("i"), Object.assign(document.createElement("span"), { textContent: words[1] }));
  list.prepend(item);
  while (list.children.length > EVENTS_SHOWN) list.lastElementChild.remove();
}

async function past() {
  const history = await (await fetch("/api/v1/history")).json();
  record.replace(history.samples);
  state.paces.clear();
  pauses = new Pauses();
  $("events").replaceChildren(Object.assign(document.createElement("li"), { textContent: "Nothing yet.", className: "quiet" }));
  for (const { kind, data } of history.events) happened(kind, data);
  state.past = true;
  show();
}

async function scrape() {
  if (document.hidden) return;
  const text = await (await fetch("/metrics")).text();
  const latest = buckets(text);
  const before = state.scrapes[0];
  state.scrapes = [...state.scrapes, latest].slice(-6);
  if (!before) return;
  const ms = (q) => { const value = quantile(q, before, latest); return value == null ? null : value * 1000; };
  state.times[0].push(Date.now() / 1000);
  state.times[1].push(ms(0.5));
  state.times[2].push(ms(0.95));
  for (const column of state.times) if (column.length > 720) column.shift();
  if (!state.held && state.times[0].length > 1) times.draw(state.times);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  // A daemon that came back has another past.
  source.addEventListener("open", () => past().catch(() => {}));
  source.addEventListener("error", () => {
    set("run-state", "no connection");
    $("run-state").className = "badge bad";
  });
  source.addEventListener("status", (event) => {
    state.status = JSON.parse(event.data);
    record.add(sampleOf(state.status));
    show();
  });
  for (const kind of ["gate", "limit", "pace", "stream", "token", "reload", "drain", "breaker", "safety"]) {
    source.addEventListener(kind, (event) => happened(kind, JSON.parse(event.data)));
  }
}

function theme(name) {
  const root = document.documentElement;
  if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
  $("theme").textContent = `Theme: ${name}`;
  try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing shows the system's */ }
  rates.redraw();
  times.redraw();
  show();
}

function nextTheme() {
  const now = document.documentElement.dataset.theme || "auto";
  theme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function hold() {
  state.held = !state.held;
  $("hold").setAttribute("aria-pressed", String(state.held));
  $("hold").textContent = state.held ? "Go on" : "Hold";
  show();
}

function span(input) {
  input.checked = true;
  state.span = Number(input.value);
  show();
}

function wire() {
  const spans = [...document.querySelectorAll('input[name="span"]')];
  for (const input of spans) input.addEventListener("change", () => span(input));
  $("hold").addEventListener("click", hold);
  $("theme").addEventListener("click", nextTheme);
  $("gate").addEventListener("change", (event) => { state.gate = event.target.value; show(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    if (event.key === "p") hold();
    if (event.key === "t") nextTheme();
    if (spans[Number(event.key) - 1]) span(spans[Number(event.key) - 1]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { rates.redraw(); times.redraw(); show(); });
  addEventListener("resize", show);
  let kept = "auto";
  try { kept = localStorage.getItem("theme") || "auto"; } catch { /* as above */ }
  theme(THEMES.includes(kept) ? kept : "auto");
}

wire();
listen();
scrape().catch(() => {});
setInterval(() => scrape().catch(() => {}), METRICS_PERIOD_MS);
