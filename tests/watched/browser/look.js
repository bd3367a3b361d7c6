// Opens a page in headless Chromium, does what it is told, and prints what it saw as one line of JSON.
//   node-browser look.js CHROMIUM URL STEPS      STEPS: a JSON list of {"do": …} objects, see below
"use strict";
const puppeteer = require("puppeteer-core");

const [, , executablePath, url, steps] = process.argv;

/** The contrast of two colours as WCAG reckons it. */
function contrasts() {
  const channel = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const numbers = (text) => text.match(/[\d.]+/g).map(Number);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const nodes = [...document.querySelectorAll("h1, h2, p, dt, output, small, li, td, th, button, a, span")];
  return nodes.filter((node) => node.textContent.trim() && node.offsetParent).map((node) => {
    const [a, b] = [luminance(numbers(getComputedStyle(node).color)), luminance(ground(node))].sort((x, y) => y - x);
    return { text: node.textContent.trim().slice(0, 30), ratio: (a + 0.05) / (b + 0.05) };
  });
}

function facts() {
  const text = (id) => document.getElementById(id)?.textContent.trim() ?? null;
  const streams = {};
  for (const row of document.querySelectorAll("#streams tr")) {
    streams[row.dataset.stream] = Object.fromEntries([...row.querySelectorAll("td")].map((cell) => [cell.className, cell.textContent]));
  }
  const outputs = Object.fromEntries([...document.querySelectorAll("output")].map((node) => [node.id, node.textContent]));
  return {
    headline: text("headline"), detail: text("detail"), run_state: text("run-state"), held: text("held"),
    limit_note: text("limit-note"), declared_note: text("declared-note"), outputs, streams,
    events: [...document.querySelectorAll("#events li")].map((item) => item.textContent),
    scale: document.getElementById("scale")?.getAttribute("aria-label"),
    rates: document.getElementById("rates")?.getAttribute("aria-label"),
    at: Number(document.documentElement.dataset.at || 0), theme: document.documentElement.dataset.theme ?? "auto",
    span: document.querySelector('input[name="span"]:checked')?.value,
    focus: document.activeElement?.id || document.activeElement?.value || document.activeElement?.tagName,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    outside: [...document.querySelectorAll("body *")]
      .filter((node) => !node.closest(".wide") && node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .map((node) => `${node.tagName}.${node.className}: ${node.textContent.slice(0, 40)}`).slice(0, 5),
    canvases: [...document.querySelectorAll("canvas")].map((canvas) => {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const seen = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return seen.size;
    }),
  };
}

async function main() {
  const browser = await puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"] });
  const seen = { requests: [], complaints: [], facts: [], contrasts: [] };
  try {
    const page = await browser.newPage();
    page.on("request", (request) => seen.requests.push(request.url()));
    page.on("console", (message) => { if (["error", "warn"].includes(message.type()) && !message.text().includes("getImageData")) seen.complaints.push(message.text()); });
    page.on("pageerror", (error) => seen.complaints.push(String(error)));
    const act = {
      look: async ({ width = 1280, height = 900, scheme = "light" }) => {
        await page.setViewport({ width, height, deviceScaleFactor: 1 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      },
      open: () => page.goto(url, { waitUntil: "load" }),
      wait: ({ for: condition, ms = 10000 }) => page.waitForFunction(condition, { timeout: ms, polling: 100 }),
      press: ({ key }) => page.keyboard.press(key),
      facts: async () => { seen.facts.push(await page.evaluate(facts)); },
      contrasts: async () => { seen.contrasts.push(...(await page.evaluate(contrasts))); },
      picture: ({ path, full = true }) => page.screenshot({ path, fullPage: full }),
    };
    for (const step of JSON.parse(steps)) await act[step.do](step);
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => { console.error(error); process.exit(1); });
