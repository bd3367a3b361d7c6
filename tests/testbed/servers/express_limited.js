// A messaging API behind a limiter of the npm world, which enforces the limit by itself: this file only serves it, says
// what it was told to say, and writes down what it decided.
//
//   node-limited express_limited.js --port 8081 --log limited.log --limit 100 --window-ms 1000 --headers draft-7
//
//   --limiter   express-rate-limit (a window that begins with a client's first request and ends by itself), or
//               flexible (RateLimiterMemory of rate-limiter-flexible: the same kind of window, and --block-s)
//   --headers   none, legacy (X-RateLimit-*), draft-6, draft-7, draft-8; flexible knows none and legacy
//   --retry-after   on, off
//   --block-s   flexible only: a client that was refused stays refused for so long
//   --key       who shares the limit: address, path, or the name of a request header
//   --delay-ms  how long an accepted request takes
//
// POST to any path answers 202 or 429. GET /stats tells how many it admitted and refused; GET /-/healthy answers 204.
"use strict";

const fs = require("node:fs");
const { parseArgs } = require("node:util");
const express = require("express");
const { rateLimit } = require("express-rate-limit");
const { RateLimiterMemory } = require("rate-limiter-flexible");

const options = { port: "8081", log: "limited.log", limiter: "express-rate-limit", limit: "100", "window-ms": "1000",
  headers: "none", "retry-after": "on", "block-s": "0", key: "address", "delay-ms": "0" };
const { values: settings } = parseArgs({
  options: Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, { type: "string", default: value }])),
});
const number = (name) => {
  const value = Number(settings[name]);
  if (!(value >= 0)) throw new Error(`--${name}: not a number: ${settings[name]}`);
  return value;
};
const [limit, windowMs, blockS, delayMs] = ["limit", "window-ms", "block-s", "delay-ms"].map(number);
const legacy = settings.headers === "legacy";
const saysRetryAfter = settings["retry-after"] === "on";

function keyOf(request) {
  switch (settings.key) {
    case "address": return request.socket.remoteAddress;
    case "path": return request.path;
    default: return request.get(settings.key) ?? "";
  }
}

const log = fs.openSync(settings.log, "a");
const counts = { admitted: 0, refused: 0 };

// Written at once: whoever has read an answer finds its line in the log.
function decided(request, response, admitted) {
  counts[admitted ? "admitted" : "refused"] += 1;
  const retryAfter = response.get("Retry-After");
  fs.writeSync(log, JSON.stringify({
    arrived_ns: request.arrivedNs,
    admitted,
    key: keyOf(request),
    path: request.path,
    request_id: request.get("X-Request-Id") ?? "",
    retry_after_s: retryAfter === undefined ? null : Number(retryAfter),
  }) + "\n");
}

function refuse(request, response, waitMs) {
  response.removeHeader("Retry-After");
  if (saysRetryAfter) response.set("Retry-After", String(Math.max(1, Math.ceil(waitMs / 1000))));
  decided(request, response, false);
  response.status(429).json({ status: 429, code: "too.many.requests" });
}

function expressRateLimit() {
  return rateLimit({
    windowMs,
    limit,
    standardHeaders: settings.headers.startsWith("draft-") && settings.headers,
    legacyHeaders: legacy,
    keyGenerator: keyOf,
    handler: (request, response) =>
      refuse(request, response, request.rateLimit.resetTime.getTime() - Date.now()),
  });
}

function flexible() {
  if (settings.headers !== "none" && !legacy) throw new Error(`--headers ${settings.headers}: flexible has none such`);
  const limiter = new RateLimiterMemory({ points: limit, duration: windowMs / 1000, blockDuration: blockS });
  const hint = (response, state) => {
    if (!legacy) return;
    response.set("X-RateLimit-Limit", String(limit));
    response.set("X-RateLimit-Remaining", String(Math.max(0, state.remainingPoints)));
    response.set("X-RateLimit-Reset", String(Math.ceil((Date.now() + state.msBeforeNext) / 1000)));
  };
  return async (request, response, next) => {
    let state;
    try {
      state = await limiter.consume(keyOf(request));
    } catch (refusal) {
      if (refusal instanceof Error) throw refusal;
      hint(response, refusal);
      refuse(request, response, refusal.msBeforeNext);
      return;
    }
    hint(response, state);
    next();
  };
}

const limiters = { "express-rate-limit": expressRateLimit, flexible };
if (!(settings.limiter in limiters)) throw new Error(`--limiter ${settings.limiter}: unknown`);

const app = express();
app.disable("x-powered-by");
app.get("/-/healthy", (_request, response) => response.status(204).end());
app.get("/stats", (_request, response) => response.json(counts));
app.use((request, _response, next) => {
  // Since 1970, and finer than the millisecond of Date.now().
  request.arrivedNs = Math.round((performance.timeOrigin + performance.now()) * 1e6);
  next();
});
app.use(limiters[settings.limiter]());
app.post("/{*path}", (request, response) => {
  decided(request, response, true);
  // The body is nobody's business, but a connection is only kept when it was read.
  request.resume();
  const answer = () => response.status(202).json({ id: request.get("X-Request-Id") ?? "" });
  if (delayMs > 0) setTimeout(answer, delayMs); else answer();
});

const server = app.listen(number("port"), "127.0.0.1");
// A client that pauses for as long as it was asked to finds its connections as it left them.
server.keepAliveTimeout = 120_000;
server.on("error", (error) => { throw error; });
