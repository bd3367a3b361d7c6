// Holds a dashboard to Grafana's own types: its JSON becomes the initial value of a typed constant, and TypeScript says
// what does not fit, unknown keys included.  node-browser grafana.js FOLDER-FOR-THE-SOURCE DASHBOARD.json
"use strict";
const fs = require("fs");
const path = require("path");
const ts = require("typescript");

const [, , folder, file] = process.argv;
const schema = path.dirname(require.resolve("@grafana/schema/package.json"));
const raw = path.join(schema, "dist/types/raw");
const sdk = path.join(schema, "../grafana-foundation-sdk/dist/prometheus/types.gen");

/** The types of a kind of panel: its options and its field configuration. */
const PANELS = {
  stat: ["stat/panelcfg/x/types.gen", null],
  timeseries: ["timeseries/panelcfg/x/types.gen", "FieldConfig"],
  "state-timeline": ["statetimeline/panelcfg/x/types.gen", "FieldConfig"],
  heatmap: ["heatmap/panelcfg/x/types.gen", "FieldConfig"],
  table: ["table/panelcfg/x/types.gen", null],
};

function source(dashboard) {
  const out = [
    `import type { Dashboard, Panel, RowPanel } from ${JSON.stringify(path.join(raw, "dashboard/x/types.gen"))};`,
    `import type { Dataquery } from ${JSON.stringify(sdk)};`,
    // Enumerations are texts in JSON: a type says which.
    "type Written<T> = T extends string ? `${T}` : T extends number ? T | (`${T}` extends `${infer N extends number}` ? N : never) : T extends (infer I)[] ? Written<I>[] : T extends object ? { [K in keyof T]: Written<T[K]> } : T;",
  ];
  const { panels, ...rest } = dashboard;
  // Grafana's types leave to the data source what an annotation asks it; these are the Prometheus data source's keys.
  for (const annotation of rest.annotations.list) for (const key of ["expr", "step", "tagKeys", "titleFormat", "textFormat", "useValueForTime"]) delete annotation[key];
  out.push(`export const dashboard: Written<Omit<Dashboard, "panels">> = ${JSON.stringify(rest)};`);
  const kinds = [...new Set(panels.map((panel) => panel.type))].filter((type) => PANELS[type]);
  kinds.forEach((type, i) => out.push(`import type * as kind${i} from ${JSON.stringify(path.join(raw, "composable", PANELS[type][0]))};`));
  panels.forEach((panel, i) => {
    if (panel.type === "row") { out.push(`export const panel${i}: Written<RowPanel> = ${JSON.stringify(panel)};`); return; }
    if (!PANELS[panel.type]) throw new Error(`no types are known for ${panel.type}`);
    const { targets, options, ...bare } = panel;
    const kind = `kind${kinds.indexOf(panel.type)}`;
    out.push(`export const panel${i}: Written<Omit<Panel, "targets" | "options">> = ${JSON.stringify(bare)};`);
    out.push(`export const options${i}: Written<Partial<${kind}.Options>> = ${JSON.stringify(options)};`);
    const custom = panel.fieldConfig.defaults.custom;
    if (custom && PANELS[panel.type][1]) out.push(`export const custom${i}: Written<${kind}.FieldConfig> = ${JSON.stringify(custom)};`);
    targets.forEach((target, j) => out.push(`export const target${i}_${j}: Written<Omit<Dataquery, "_implementsDataqueryVariant">> = ${JSON.stringify(target)};`));
  });
  return out.join("\n");
}

const name = path.join(folder, `${path.basename(file, ".json")}.ts`);
fs.writeFileSync(name, source(JSON.parse(fs.readFileSync(file, "utf8"))));
const program = ts.createProgram([name], {
  noEmit: true, strict: true, skipLibCheck: true, types: [], module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, target: ts.ScriptTarget.ES2022,
});
const problems = ts.getPreEmitDiagnostics(program).map((problem) => {
  const at = problem.file ? problem.file.text.slice(problem.start, problem.start + 60) : "";
  return `${ts.flattenDiagnosticMessageText(problem.messageText, "\n")} at ${at}`;
});
console.log(JSON.stringify({ checked: program.getSourceFiles().length, problems }));
