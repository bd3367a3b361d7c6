// Numbers and events as people say them. Draws nothing.

export const rate = (value) => (value == null || !Number.isFinite(value) ? "–" : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(1));
export function percent(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  return value > 0 && value < 0.0005 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`;
}
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB");
export const count = (value) => value.toLocaleString("en");

export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const pausesSaid = (n) => (n === 1 ? "1 pause" : `${count(n)} pauses`);

const KINDS = {
  fixed_window: "fixed window", sliding_log: "sliding log", sliding_counter: "sliding counter",
  token_bucket: "token bucket", queue: "queue", concurrency: "concurrency limit",
};
const REASONS = {
  start: "nothing is known yet: the search begins", remembered: "what an earlier run had learned is taken up",
  admitted: "all was admitted so far: faster", throttled: "a refusal: slower", estimated: "a new estimate",
  hinted: "the API's own quota says so", explored: "a look above the limit", limit_fell: "the limit has fallen",
  limit_rose: "the limit has risen", latency: "answers take too long: slower", ceiling: "another ceiling",
};
const STATES = { seeking: "looking for the limit", holding: "holding just under the limit", exploring: "asking whether the limit has risen", paused: "waiting for the gate", ceiling: "sending all that is configured" };

/** What is true now, in a sentence, one more in small, and whether it is good. */
export function story(status, gate, minute) {
  if (status.state !== "running") {
    return { tone: "warn", head: status.state === "drained" ? "Drained: nothing more is sent." : "Draining: nothing new is sent.", more: "" };
  }
  if (status.paused) return { tone: "warn", head: "Everything is paused: nothing is sent until somebody resumes it.", more: "" };
  if (!gate) return { tone: "warn", head: "No stream is configured.", more: "" };
  const pace = gate.pace;
  const estimate = gate.limit.estimate;
  const doing = pace ? `Now ${STATES[pace.state] || pace.state}; the rate changed last at ${clock(pace.changed_at)}: ${REASONS[pace.reason] || pace.reason}.` : "";
  if (gate.state !== "open") {
    const known = estimate ? ` The limit is about ${rate(estimate.rate.value)} a second.` : "";
    const more = `${gate.level > 1 ? `The ${ordinal(gate.level)} time in a row. ` : ""}${gate.long ? "Longer than configuration allows: an operator may end it. " : ""}Everybody behind ${gate.name} waits.${known}`;
    if (gate.state === "half_open") return { tone: "warn", head: "The silence is over: one request asks whether traffic may resume.", more };
    return { tone: "bad", head: `Silence until ${clock(gate.until)}, for ${duration(Math.max(0, gate.until - status.at))} more: the API refused.`, more };
  }
  const refused = minute && minute.throttled > 0 ? minute.throttled / Math.max(1, minute.throttled + minute.accepted + minute.rejected + minute.failed) : 0;
  const sent = minute ? minute.sent / minute.seconds : 0;
  if (estimate) {
    const ours = pace ? pace.rate : sent;
    const room = 1 - ours / estimate.rate.value;
    const where = room >= 0 ? `${percent(room)} below it` : `${percent(-room)} above it`;
    return {
      tone: refused > 0.01 ? "warn" : "good",
      head: `The limit is about ${rate(estimate.rate.value)} a second. We send ${rate(ours)}: ${where}.`,
      more: `${doing} Most likely a ${KINDS[estimate.kind] || estimate.kind} (${percent(estimate.confidence)}), between ${rate(estimate.rate.low)} and ${rate(estimate.rate.high)}.`,
    };
  }
  if (refused > 0) {
    return { tone: "warn", head: `${percent(refused)} of the past minute was refused: ${rate(sent)} a second are more than the API takes.`, more: doing || "Streams at a fixed rate do not follow the limit; adaptive ones hold just under it." };
  }
  return { tone: "good", head: `No limit has shown: nothing was refused in the past minute, at ${rate(sent)} a second.`, more: doing || "Streams at a fixed rate do not look for the limit." };
}

export function limitNote(estimate) {
  if (!estimate) return "unknown";
  const source = { throttles: "from refusals", hints: "from quota hints", memory: "from an earlier run" }[estimate.source];
  return `${rate(estimate.rate.low)} to ${rate(estimate.rate.high)}, ${source || estimate.source}`;
}

function ordinal(n) { return `${n}${["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] || "th"}`; }

/** An event as [tone, text]; null for one that says nothing to people. */
export function told(kind, data) {
  if (kind === "gate") {
    const by = data.cause ? ` (${data.cause})` : "";
    switch (data.change) {
      case "closed": return ["bad", `Refused${by}: ${data.advice_seconds == null ? "silence" : `the API asks for ${duration(data.advice_seconds)} of silence, kept`} until ${clock(data.until)}`];
      case "remembered": return ["bad", `Still silent from an earlier run, until ${clock(data.until)}`];
      case "half_open": return ["warn", "One request asks whether traffic may resume"];
      case "opened": return ["good", `Traffic resumes after ${duration(data.held_seconds)}`];
      case "opened_by_operator": return ["warn", "An operator ended a long silence"];
      case "violated": return ["bad", "A request went out inside a silence: a defect of Plimsoll"];
      default: return null;
    }
  }
  if (kind === "limit") {
    if (data.change !== "fell" && data.change !== "rose") return null;
    const about = (end) => `${end.high == null ? "at least " : ""}${rate(end.value)}`;
    const text = `The limit ${data.change} from ${about(data.from)} to ${about(data.to)} a second at ${clock(data.since)} (${percent(data.confidence)} sure)`;
    return [data.change === "fell" ? "bad" : "good", text];
  }
  if (kind === "pace") {
    if (data.change === "removed" || data.state === "paused") return null;
    const limit = data.estimate ? ` The limit is about ${rate(data.estimate.rate.value)}.` : "";
    const tone = data.reason === "limit_fell" || data.reason === "throttled" ? "warn" : "good";
    return [tone, `Rate ${rate(data.rate)} a second: ${REASONS[data.reason] || data.reason}.${limit}`];
  }
  if (kind === "stream") return ["", `Stream ${data.stream} ${data.change === "rate" ? `now at ${rate(data.rate)} a second` : data.change}`];
  if (kind === "reload") return data.ok ? ["", "A configuration was applied"] : ["bad", "A configuration was refused; nothing changed"];
  if (kind === "token") {
    if (data.change === "granted") return ["", `A token was granted to ${data.credential}`];
    if (data.change === "unavailable") return ["bad", `No token for ${data.credential}; next try at ${clock(data.retry_at)}`];
    if (data.change === "revoked") return ["warn", `The API refused the token of ${data.credential}`];
    return null;
  }
  if (kind === "breaker") {
    if (data.change === "opened") return ["bad", `${data.domain} fails: ${data.failures} in a row; nothing is sent until ${clock(data.until)}`];
    if (data.change === "half_open") return ["warn", `One request asks whether ${data.domain} is back`];
    return data.change === "closed" ? ["good", `${data.domain} answers again, after ${duration(data.held_seconds)}`] : null;
  }
  if (kind === "safety") {
    const who = data.stream === "*" ? "Everything" : `Stream ${data.stream}`;
    if (data.change === "paused") return ["warn", `${who} is paused`];
    if (data.change === "resumed") return ["good", `${who} is resumed`];
    if (data.change === "cap_reached") return ["warn", `${who} has reached its cap of ${count(data.limit)} messages (${data.window})`];
    if (data.change === "cap_freed") return ["good", `${who} is below its cap again (${data.window})`];
    return ["", `${who} ${data.active ? "begins" : "ends"} its hours`];
  }
  if (kind === "drain") return ["warn", "Draining: nothing new is sent"];
  return null;
}
