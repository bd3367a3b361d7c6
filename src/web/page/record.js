// What is known so far: samples of counters, newest last, and what follows from them. Draws nothing.

const KEPT_S = 3900;
// Rates are means over at least this long: the daemon counts whole requests.
const MEAN_S = 2;

/** A sample out of a status: one entry for each gate, with the sums of the streams behind it. */
export function sampleOf(status) {
  const gates = status.gates.map((gate) => {
    const streams = status.streams.filter((stream) => stream.gate === gate.name);
    const sum = (of) => streams.reduce((total, stream) => total + of(stream), 0);
    const ended = (outcome) => sum((stream) => stream.outcomes[outcome] || 0);
    const rate = gate.limit.estimate && gate.limit.estimate.rate;
    return {
      name: gate.name, state: gate.state, sent: sum((s) => s.sent),
      accepted: ended("accepted"), throttled: ended("throttled"), rejected: ended("rejected"), failed: ended("failed"),
      skipped: sum((s) => Object.values(s.skipped).reduce((a, b) => a + b, 0)),
      pace: gate.pace ? gate.pace.rate : null,
      low: rate ? rate.low : null, limit: rate ? rate.value : null, high: rate ? rate.high : null,
    };
  });
  return { at: status.at, gates };
}

/** The samples of one daemon, in order. */
export class Record {
  constructor() { this.samples = []; }

  /** Takes the history of the daemon, and keeps of its own what is newer. */
  replace(samples) {
    const last = samples.length ? samples[samples.length - 1].at : -Infinity;
    this.samples = [...samples, ...this.samples.filter((sample) => sample.at > last)];
  }

  add(sample) {
    const last = this.samples[this.samples.length - 1];
    if (last && sample.at <= last.at) return;
    if (last && restarted(last, sample)) this.samples = [];
    this.samples.push(sample);
    while (this.samples[0].at < sample.at - KEPT_S) this.samples.shift();
  }

  /** Counters of a gate between the newest sample and one at least `seconds` older: what was added, over how long. */
  since(gate, seconds) {
    const end = this.samples.length - 1;
    const start = this.start(end, seconds);
    if (start < 0) return null;
    return difference(this.samples[start], this.samples[end], gate);
  }

  /** The newest sample before `end` that is at least `seconds` older, or the oldest. */
  start(end, seconds) {
    if (end < 1) return -1;
    let start = end - 1;
    while (start > 0 && this.samples[end].at - this.samples[start].at < seconds) start -= 1;
    return start;
  }

  /** Columns for a chart of one gate over the last `seconds`. */
  columns(gate, seconds) {
    const columns = { at: [], sent: [], accepted: [], throttled: [], low: [], limit: [], high: [] };
    const count = this.samples.length;
    const from = count ? this.samples[count - 1].at - seconds : 0;
    for (let i = 1; i < count; i += 1) {
      if (this.samples[i].at < from) continue;
      const entry = entryOf(this.samples[i], gate);
      const added = difference(this.samples[this.start(i, MEAN_S)], this.samples[i], gate);
      if (!entry || !added) continue;
      columns.at.push(this.samples[i].at);
      for (const name of ["sent", "accepted", "throttled"]) columns[name].push(added[name] / added.seconds);
      for (const name of ["low", "limit", "high"]) columns[name].push(entry[name]);
    }
    return columns;
  }
}

/** When each gate was closed, as pairs of times; a pause that is not over has no end. */
export class Pauses {
  constructor() { this.gates = new Map(); }

  /** Takes note of a change of a gate, in the order of time. */
  note({ gate, change, at }) {
    const pauses = this.gates.get(gate) || [];
    this.gates.set(gate, pauses);
    const last = pauses[pauses.length - 1];
    const going = last && last[1] === Infinity;
    if ((change === "closed" || change === "remembered") && !going) pauses.push([at, Infinity]);
    if ((change === "opened" || change === "removed") && going) last[1] = at;
    while (pauses.length && pauses[0][1] < at - KEPT_S) pauses.shift();
  }

  of(gate) { return this.gates.get(gate) || []; }
}

function entryOf(sample, gate) { return sample.gates.find((entry) => entry.name === gate); }

function difference(before, after, gate) {
  const [a, b] = [entryOf(before, gate), entryOf(after, gate)];
  if (!a || !b || after.at <= before.at) return null;
  const added = { seconds: after.at - before.at };
  for (const name of ["sent", "accepted", "throttled", "rejected", "failed", "skipped"]) added[name] = Math.max(0, b[name] - a[name]);
  return added;
}

function restarted(before, after) {
  return before.gates.some((gate) => {
    const now = entryOf(after, gate.name);
    return now && now.sent < gate.sent;
  });
}

/** Buckets of accepted requests by upper bound, summed over targets, out of a text exposition. */
export function buckets(text) {
  const sums = new Map();
  for (const line of text.split("\n")) {
    if (!line.startsWith("plimsoll_service_duration_seconds_bucket{") || !line.includes('outcome="accepted"')) continue;
    const le = /le="([^"]+)"/.exec(line);
    const bound = le[1] === "+Inf" ? Infinity : Number(le[1]);
    sums.set(bound, (sums.get(bound) || 0) + Number(line.slice(line.lastIndexOf(" ") + 1)));
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

/** A quantile of what came between two scrapes, as Prometheus reckons it; null when nothing came. */
export function quantile(q, before, after) {
  const old = new Map(before);
  const grown = after.map(([bound, count]) => [bound, count - (old.get(bound) || 0)]);
  const total = grown.length ? grown[grown.length - 1][1] : 0;
  if (total <= 0) return null;
  const rank = q * total;
  let [low, below] = [0, 0];
  for (const [bound, count] of grown) {
    if (count >= rank) return bound === Infinity ? low : low + (bound - low) * (rank - below) / Math.max(count - below, 1e-9);
    [low, below] = [bound, count];
  }
  return low;
}
