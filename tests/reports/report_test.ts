import assert from "node:assert/strict";
import { join } from "node:path";
import { ATTRIBUTION_DEFINITIONS } from "../../core/analysis/attribution.ts";
import { type FeatureSet, importanceFigures } from "../../core/analysis/importance.ts";
import { analyzeTranscoder, comparePair, pairsToCompare, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { readConfig } from "../../core/runs/config.ts";
import { chooseTranscoders, findTranscoders } from "../../core/runs/discovery.ts";
import { lockRun } from "../../core/runs/lock.ts";
import { SILENT_DEFINITIONS } from "../../core/analysis/silent.ts";
import { type StoredAttribution, writeAttribution } from "../../core/runs/attribution.ts";
import { type StoredImportance, writeImportance } from "../../core/runs/importance.ts";
import { groupOf } from "../../core/transcoder/shape.ts";
import { agreementTable } from "../../reports/importance_table.ts";
import { analysisReport } from "../../reports/markdown/analysis_report.ts";
import { comparisonReport, differences } from "../../reports/markdown/comparison_report.ts";
import { indexPage } from "../../reports/markdown/index_page.ts";
import { comparisonFigure } from "../../reports/plots/comparison.ts";
import { importanceFigure } from "../../reports/plots/importance.ts";
import { curvesFigure } from "../../reports/plots/curves.ts";
import { overviewFigure, scatterFigure } from "../../reports/plots/overview.ts";
import { renderPng } from "../../reports/plots/render.ts";
import { trainingSummary } from "../../reports/markdown/training_summary.ts";
import { mtc } from "../cli/tiny_run.ts";
import { analyzeSynthetic, syntheticAnalysis, writeSyntheticRun } from "./synthetic_run.ts";

const small = { groups: [32, 64, 32], dIn: 16, dOut: 16 };
const generated = new Date("2026-01-02T03:04:05Z");

async function withDirectory(test: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await test(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("the analysis report has every section and figure of the original", async () => {
  const report = analysisReport(await syntheticAnalysis(small), generated);
  const headings = report.match(/^#+ .*/gm)!;
  for (
    const heading of [
      "# Layer 2 Matryoshka Transcoder Analysis Report",
      "## Executive Summary",
      "## Training Configuration",
      "## Held-out Evaluation",
      "## Model Weight Analysis",
      "## Top Features by Activation",
      "## Feature Analysis",
      "### High-Activation Features",
      "## Matryoshka Hierarchy",
      "## Key Insights",
      "## Recommendations",
      "## Definitions",
      "## Files Generated",
    ]
  ) assert.ok(headings.includes(heading), heading);
  for (
    const figure of [
      /Generated on:\*\* 2026-01-02 03:04:05 UTC/,
      /Total Features:\*\* 128/,
      /Dead Features:\*\* 0 \(0\.0 %\)/,
      /Features with Samples:\*\* \d/,
      /Total Samples Collected:\*\* \d/,
      /Average Samples per Feature:\*\* \d/,
      /Model:\*\* tiny-gemma2/,
      /Matryoshka: \[32, 64, 32\]/,
      /Top-k:\*\* 48/,
      /Learning Rate:\*\* 0\.0003/,
      /Encoder weights \(W_enc\) +\| 16 × 128/,
      /Feature norms \(encoder columns\)/,
      /Top tokens \(of the samples\): .* \d+ \(\d+\)/,
      /95 % CI/,
    ]
  ) assert.match(report, figure);
  assert.equal(report.match(/^\| +\d+ \| +\d+ \| +[012] \|/gm)!.length, 20);
  assert.equal(report.match(/^```text$/gm)!.length, 10);
  assert.match(report.split("\n")[2], /Good run/);
});

Deno.test("the report says whether the features share a threshold or have their own", async () => {
  const layer = await syntheticAnalysis(small);
  const report = analysisReport(layer, generated);
  assert.match(report, /active above one fixed threshold\./);
  assert.match(report, /^\| Inference threshold +\| +0\.8100 \|/m);
  Object.assign(layer.evaluation, { threshold: 0.5, threshold_range: [0.125, 2] });
  const own = analysisReport(layer, generated);
  assert.match(own, /active above a fixed threshold each\./);
  assert.match(own, /^\| Inference threshold +\| +0\.5000 \(median; 0\.1250 to 2\.000\) \|/m);
});

Deno.test("the words of a bad run are other words, in the third line of both reports", async () => {
  const bad = await syntheticAnalysis({ ...small, fvu: 0.6, deadShare: 0.3, stoppedAt: 300 });
  for (const text of [analysisReport(bad, generated), trainingSummary(bad, generated)]) {
    assert.match(text.split("\n")[2], /Bad run.*stopped at step 300.*FVU is 0\.600.*dead/);
    assert.match(text, /❌ \*\*fail\*\* \| Held-out FVU below 0\.30/);
  }
});

Deno.test("table rows have as many cells as their heading", async () => {
  const layers = [await syntheticAnalysis(small), await syntheticAnalysis({ ...small, layer: 4, deadShare: 0.3 })];
  const texts = [
    ...layers.map((layer) => analysisReport(layer, generated) + trainingSummary(layer, generated)),
    comparisonReport(comparePair(layers[0], layers[1]), generated),
  ];
  for (const table of texts.flatMap((text) => text.match(/(^\|.*\n)+/gm)!)) {
    const widths = new Set(table.trim().split("\n").map((row) => row.split("|").length));
    assert.equal(widths.size, 1, table);
  }
});

Deno.test("the comparison says which layer is better only when the intervals are apart", async () => {
  const a = await syntheticAnalysis(small);
  const better = await syntheticAnalysis({ ...small, layer: 4, fvu: 0.12 });
  const alike = await syntheticAnalysis({ ...small, layer: 4, fvu: 0.184 });
  const worse = await syntheticAnalysis({ ...small, layer: 4, fvu: 0.25 });
  const first = (b: typeof a) => differences(comparePair(a, b))[0];
  assert.match(first(better), /Layer 4 is reconstructed better than layer 2/);
  assert.match(first(alike), /no clear difference/);
  assert.match(first(worse), /Layer 2 is reconstructed better than layer 4/);
});

/** Width and height from a PNG's header. */
function pngSize(png: Uint8Array): [number, number] {
  assert.deepEqual([...png.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const view = new DataView(png.buffer, png.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
}

Deno.test("figures are PNG of fair size, the same bytes each time, for broken and for empty runs too", async () => {
  const good = await syntheticAnalysis(small);
  const diverged = await syntheticAnalysis({ ...small, layer: 4, divergesAt: 10 });
  const silent = await syntheticAnalysis({ ...small, layer: 5, deadShare: 1 });
  const drawn: Uint8Array[] = [];
  for (const layer of [good, diverged, silent]) {
    for (const figure of [scatterFigure(layer), overviewFigure(layer), curvesFigure(layer)]) {
      const png = await renderPng(figure);
      const [width, height] = pngSize(png);
      assert.ok(width > 1500 && width < 3000 && height > 900 && height < 2000, `${width} x ${height}`);
      drawn.push(png);
    }
  }
  pngSize(await renderPng(comparisonFigure(comparePair(diverged, silent))));
  assert.deepEqual(await renderPng(scatterFigure(good)), drawn[0]);
});

Deno.test("mtc report writes every file and each link leads to one", () =>
  withDirectory(async (root) => {
    const runs = join(root, "runs"), out = join(root, "new", "out");
    await writeSyntheticRun(runs, "demo", small);
    await writeSyntheticRun(runs, "demo", { ...small, layer: 4, fvu: 0.5 });
    await writeSyntheticRun(runs, "older", { ...small, created: "2025-01-01T00:00:00.000Z" });
    const { code, stdout, stderr } = await mtc("report", "--quick", "--runs", runs, "--out", out, "--json");
    assert.equal(code, 0, stderr);
    const summary = JSON.parse(stdout);
    assert.deepEqual(summary.layers.map(({ verdict }: { verdict: string }) => verdict), ["good", "bad"]);
    assert.match(summary.left_out[0], /older.*passed over.*demo/);
    const written = Array.from(Deno.readDirSync(out), ({ name }) => name).sort();
    const layer = (n: number) => [
      `LAYER${n}_TRAINING_SUMMARY.md`,
      `layer${n}_activation_vs_samples.png`,
      `layer${n}_analysis_overview.png`,
      `layer${n}_analysis_report.md`,
      `layer${n}_training_curves.png`,
    ];
    const pair = ["layer2_vs_layer4_comparison.md", "layer2_vs_layer4_comparison.png"];
    assert.deepEqual(written, [...layer(2), ...layer(4), ...pair, "index.md"].sort());
    for (const page of written.filter((name) => name.endsWith(".md"))) {
      const text = await Deno.readTextFile(join(out, page));
      for (const [, target] of text.matchAll(/\]\(([^)#]+)(?:#\w+)?\)/g)) assert.ok(written.includes(target), target);
      assert.ok(!text.includes("undefined"), page);
    }
  }));

Deno.test("two transcoders of one layer are both reported and compared; an older run of one of them is passed over", () =>
  withDirectory(async (root) => {
    const runs = join(root, "runs"), out = join(root, "out");
    await writeSyntheticRun(runs, "demo", small);
    await writeSyntheticRun(runs, "k96", { ...small, k: 96, fvu: 0.12 });
    const old = await writeSyntheticRun(runs, "old", { ...small, k: 96, created: "2025-01-01T00:00:00.000Z" });
    await writeSyntheticRun(runs, "deep", { ...small, layer: 4 });
    const { code, stdout, stderr } = await mtc("report", "--quick", "--runs", runs, "--out", out, "--json");
    assert.equal(code, 0, stderr);
    const { layers, left_out } = JSON.parse(stdout);
    const names = ["layer2-k48", "layer2-k96", "layer4"];
    assert.deepEqual(layers.map(({ name, layer, k }: { name: string; layer: number; k: number }) => [name, layer, k]), [
      [names[0], 2, 48],
      [names[1], 2, 96],
      [names[2], 4, 48],
    ]);
    assert.equal(left_out.length, 1);
    assert.match(
      left_out[0],
      /old.layer2 .*was passed over: .*k96.layer2 .*newest run of the same transcoder, .*groups 32 \+ 64 \+ 32, k 96, learning rate [\d.e-]+, seed 1$/,
    );
    const written = Array.from(Deno.readDirSync(out), ({ name }) => name).sort();
    const ofEach = names.flatMap((name) => [
      `${name.toUpperCase()}_TRAINING_SUMMARY.md`,
      ...["activation_vs_samples.png", "analysis_overview.png", "analysis_report.md", "training_curves.png"]
        .map((kind) => `${name}_${kind}`),
    ]);
    const pairs = ["layer2-k48_vs_layer2-k96", "layer2-k48_vs_layer4", "layer2-k96_vs_layer4"];
    const ofPairs = pairs.flatMap((pair) => [`${pair}_comparison.md`, `${pair}_comparison.png`]);
    assert.deepEqual(written, [...ofEach, ...ofPairs, "index.md"].sort());
    const text = (name: string) => Deno.readTextFile(join(out, name));
    const comparison = await text("layer2-k48_vs_layer2-k96_comparison.md");
    assert.match(comparison, /^# Layer 2 \(k 48\) vs Layer 2 \(k 96\)\n/);
    assert.match(comparison, /\| +Layer 2 \(k 48\) \| +Layer 2 \(k 96\) \|/);
    assert.match(comparison, /Layer 2 \(k 96\) is reconstructed better than layer 2 \(k 48\)/);
    assert.doesNotMatch(comparison, /both layers|either layer/);
    assert.match(await text("layer2-k48_vs_layer4_comparison.md"), /both layers' targets/);
    assert.match(await text("layer2-k96_analysis_report.md"), /^# Layer 2 \(k 96\) Matryoshka[^]*Top-k:\*\* 96 /);
    const index = await text("index.md");
    for (const name of written.filter((name) => name !== "index.md")) assert.ok(index.includes(`](${name})`), name);
    assert.ok(index.includes(old));
  }));

Deno.test("the members of a sweep are not compared with each other, few others each with each, many each with the next", async () => {
  const layer2 = await syntheticAnalysis(small), layer4 = await syntheticAnalysis({ ...small, layer: 4 });
  const at = (path: string, { config }: TranscoderAnalysis) => ({ path, config });
  const pairs = (transcoders: Parameters<typeof pairsToCompare>[0]) =>
    pairsToCompare(transcoders).map(([a, b]) => `${a.path} ${b.path}`);
  const two = [at("s/a", layer2), at("s/b", layer2), at("s/c", layer4), at("s/d", layer4)];
  assert.deepEqual(pairs(two.slice(0, 2)), []);
  assert.deepEqual(pairs(two), ["s/a s/c"]);
  assert.deepEqual(pairs([...two.slice(0, 2), at("t/a", layer2)]), ["s/a t/a"]);
  const runs = (count: number) => Array.from({ length: count }, (_, i) => at(`${i}/a`, layer2));
  assert.deepEqual(pairs(runs(4)), ["0/a 1/a", "0/a 2/a", "0/a 3/a", "1/a 2/a", "1/a 3/a", "2/a 3/a"]);
  assert.deepEqual(pairs(runs(5)), ["0/a 1/a", "1/a 2/a", "2/a 3/a", "3/a 4/a"]);
  const rule = /Of the transcoders of one run that differ only in dictionary, k, learning rate or seed/;
  const rest = { comparisons: [comparePair(layer2, layer4)], sweeps: [], notes: [], generated };
  assert.match(indexPage({ ...rest, transcoders: [layer2, layer2, layer4] }), rule);
  assert.doesNotMatch(indexPage({ ...rest, transcoders: [layer2, layer4] }), rule);
});

Deno.test("a figure of two transcoders of one layer keeps them apart", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await writeSyntheticRun(directory, "a", small);
    await writeSyntheticRun(directory, "b", { ...small, seed: 2, source: { layer: 1, site: "resid_mid" } });
    const { chosen } = chooseTranscoders(await findTranscoders(directory));
    const [a, b] = await Promise.all(chosen.map((transcoder) => analyzeTranscoder(transcoder, 10)));
    const { title, concat } = JSON.parse(JSON.stringify(comparisonFigure(comparePair(a, b))));
    assert.match(title.text, /^Layer 2 \(from layer 1, seed 2\) and layer 2 \(seed 1\) side by side$/);
    const mappings = ["tiny-gemma2, layer1.resid_mid → layer2.mlp_out", "tiny-gemma2, resid_mid → mlp_out"];
    assert.equal(title.subtitle, mappings.join(" and "));
    assert.match(
      comparisonReport(comparePair(a, b), new Date()),
      /\(tiny-gemma2, `layer1\.resid_mid` → `layer2\.mlp_out`\)/,
    );
    for (const panel of concat) {
      const [{ encoding: { color } }] = [panel, ...panel.layer ?? []].filter(({ encoding }) => encoding?.color);
      assert.deepEqual(color.scale.domain, ["layer 2 (from layer 1, seed 2)", "layer 2 (seed 1)"]);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what cannot be reported is one sentence, and nothing is written", () =>
  withDirectory(async (root) => {
    const runs = join(root, "runs"), out = join(root, "out");
    const refuses = async (pattern: RegExp, ...args: string[]) => {
      const { code, stdout, stderr } = await mtc("report", "--runs", runs, "--out", out, ...args);
      const lines = stderr.trim().split("\n");
      assert.equal(code, 1, stderr);
      assert.equal(stdout, "");
      assert.match(lines[lines.length - 1], pattern);
      assert.ok(!Array.from(Deno.readDirSync(root), ({ name }) => name).includes("out"));
    };
    await refuses(/^mtc: Cannot look for runs in .*runs: .*does not exist/);
    const path = await writeSyntheticRun(runs, "demo", small);
    await Deno.writeTextFile(join(root, "file"), "mine");
    await refuses(/Cannot write reports to .*file: it must be a directory, it is a file/, "--out", join(root, "file"));
    await Deno.truncate(join(path, "transcoder.safetensors"), 5000);
    await refuses(/Cannot read .*transcoder\.safetensors/);
    await Deno.remove(join(path, "transcoder.safetensors"));
    await refuses(/must be finished, transcoder\.safetensors is missing.*--resume/);
  }));

Deno.test("a training that has not ended is told as far as it has come, beside what is finished", () =>
  withDirectory(async (root) => {
    const runs = join(root, "runs"), out = join(root, "out");
    const path = await writeSyntheticRun(runs, "begun", small), metrics = join(path, "metrics.csv");
    for (const name of ["transcoder.safetensors", "evaluation.json", "features.csv", "samples.jsonl"]) {
      await Deno.remove(join(path, name));
    }
    const [head, ...rows] = (await Deno.readTextFile(metrics)).trimEnd().split("\n"), half = rows.length >> 1;
    const report = async () => {
      const { code, stderr, stdout } = await mtc("report", "--quick", "--runs", runs, "--out", out, "--json");
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    await Deno.writeTextFile(metrics, head + "\n");
    const { code, stderr } = await mtc("report", "--runs", runs, "--out", out);
    assert.equal(code, 1);
    assert.match(stderr, /the run must be finished, .* are missing; finish it with `mtc train --resume/);

    await Deno.writeTextFile(metrics, [head, ...rows.slice(0, half)].join("\n") + "\n");
    const { steps } = await readConfig(path), last = rows[half - 1].split(",")[0];
    const page = () => Deno.readTextFile(join(out, "LAYER2_TRAINING_SO_FAR.md"));
    const { layers, left_out, files } = await report();
    assert.deepEqual([layers, left_out], [[], []]);
    assert.equal(files.length, 3);
    const stopped = new RegExp(
      `^Stopped at step ${last} of ${steps} .*mtc train --resume .*begun.* from the beginning`,
      "m",
    );
    assert.match(await page(), stopped);
    assert.match(await page(), new RegExp(`^\\| +${last} \\|`, "m"));
    const index = () => Deno.readTextFile(join(out, "index.md"));
    assert.match(await index(), stopped);
    assert.doesNotMatch(await index(), /Checklist/);

    await writeSyntheticRun(runs, "done", { ...small, layer: 4 });
    await Deno.mkdir(join(path, "checkpoints", `step_${last.padStart(6, "0")}`), { recursive: true });
    const lock = await lockRun(join(runs, "begun"));
    try {
      assert.deepEqual((await report()).layers.map(({ layer }: { layer: number }) => layer), [4]);
    } finally {
      await lock.release();
    }
    assert.match(
      await page(),
      new RegExp(
        `^In progress: step ${last} of .*trained by process ${Deno.pid} on .*; step ${last} is saved, and`,
        "m",
      ),
    );
    assert.match(await index(), /Checklist/);

    await Deno.remove(path, { recursive: true });
    await writeSyntheticRun(runs, "begun", small);
    await report();
    await assert.rejects(page(), Deno.errors.NotFound);
  }));

Deno.test("a broken run among good ones is named, and the others are reported on", () =>
  withDirectory(async (root) => {
    const runs = join(root, "runs"), out = join(root, "out");
    await writeSyntheticRun(runs, "demo", small);
    const weights = await writeSyntheticRun(runs, "cut", { ...small, layer: 4 });
    const figures = await writeSyntheticRun(runs, "figures", { ...small, layer: 5 });
    await writeSyntheticRun(runs, "diverged", { ...small, layer: 6, divergesAt: 10 });
    await Deno.truncate(join(weights, "transcoder.safetensors"), 5000);
    await Deno.truncate(join(figures, "evaluation.json"), 100);
    const { code, stdout, stderr } = await mtc("report", "--quick", "--runs", runs, "--out", out, "--json");
    assert.equal(code, 0, stderr);
    const { layers, left_out } = JSON.parse(stdout);
    assert.deepEqual(layers.map(({ layer }: { layer: number }) => layer), [2, 6]);
    assert.equal(left_out.length, 2);
    assert.match(left_out[0], /cut.layer4 was skipped: Cannot read .*transcoder\.safetensors/);
    assert.match(left_out[1], /figures.layer5 was skipped: Cannot read .*evaluation\.json/);
    const index = await Deno.readTextFile(join(out, "index.md"));
    for (const note of left_out) assert.ok(index.includes(`- ${note}`), index);
  }));

Deno.test("what was analysed of a transcoder has its section and plot; what was not is named with its command", () =>
  withDirectory(async (root) => {
    const path = await writeSyntheticRun(root, "demo", small), out = join(root, "out");
    const found = await analyzeSynthetic(path), without = analysisReport(found, generated);
    assert.match(without, /^## Not Analysed Yet$/m);
    for (const command of ["mtc evaluate --loss", "mtc analyze importance", "mtc analyze attribution"]) {
      assert.ok(without.includes(`\`${command} --run ${path}\``), command);
    }
    for (const title of ["Feature Importance", "What Features Are Made Of"]) {
      assert.ok(!without.includes(`## ${title}`));
    }
    const elsewhere = { ...found, config: { ...found.config, source: { layer: 2, site: "attn_out" as const } } };
    assert.ok(
      !analysisReport(elsewhere, generated).includes("mtc analyze attribution"),
      "it cannot be made of that source",
    );
    await writeImportance(path, syntheticImportance(found.config));
    await writeAttribution(path, syntheticAttribution(found.config));
    const { code, stderr, stdout } = await mtc("report", "--runs", root, "--out", out, "--json", "--model", "nowhere");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^mtc: without record, loss recovered and coherence: Cannot open the model nowhere: /m);
    assert.match(stderr, /^mtc: not analysed yet: .*; `mtc evaluate --loss --run .*layer2` does it$/m);
    assert.ok(!stderr.includes("analyze importance"), stderr);
    const [{ not_analysed }] = JSON.parse(stdout).layers;
    assert.deepEqual(not_analysed.map(({ command }: { command: string }) => command), [
      `mtc analyze features --run ${path}`,
      `mtc evaluate --loss --run ${path}`,
      `mtc analyze coherence --run ${path}`,
    ]);
    for (const { why } of not_analysed) assert.match(why, /^Cannot open the model nowhere/);
    const report = await Deno.readTextFile(join(out, "layer2_analysis_report.md"));
    assert.match(report, /`mtc evaluate --loss --run .*`: what .* \(not made here: Cannot open the model nowhere/);
    const made = report.slice(
      report.indexOf("## What Features Are Made Of"),
      report.indexOf("## Matryoshka Hierarchy"),
    );
    // Of 4 features a half comes from the embedding; one reads what is told, which lies beyond chance, and raises nothing that does.
    assert.match(made, /splits into what the embedding, each attention and each MLP have added/);
    assert.match(made, /comes from one of these for 4 of 5: 3 from embedding and 1 from attention of this layer\./);
    assert.match(made, /^\| +4 \| .* 80 % \| +20 % \| `␣is` \| – +\| +0\.50 \|$/m);
    assert.match(made, /\]\(layer2_attribution\.png\)/);
    pngSize(await Deno.readFile(join(out, "layer2_attribution.png")));
    const section = report.slice(
      report.indexOf("## Feature Importance"),
      report.indexOf("## What Features Are Made Of"),
    );
    assert.match(section, /^\| +1 \| +\d+ \| +[012] \| .*\| top, random \|$/m);
    assert.match(section, /1 feature never fired, and 0 on at most one .* covered by its neighbour for 1\.$/m);
    assert.match(section, /^\| +7 \| +0 \| +0 \| .*\| +9\.0 \| +9 \| +0\.95 \| covered by its neighbour \|$/m);
    assert.match(section, /\]\(layer2_importance\.png\)/);
    assert.match(section, /^\| activation mass and FVU rise +\| +1\.00 \[1\.00, 1\.00\] \|/m);
    pngSize(await Deno.readFile(join(out, "layer2_importance.png")));
    // Nothing is known of the ranks of features that are all alike, nor of intervals over one context.
    const alike = syntheticImportance(found.config, true);
    pngSize(await renderPng(importanceFigure(found.name, alike)));
    assert.match(agreementTable(alike), /\| +NaN \|/);
  }));

/** Five features at layer 0's middle, each with a share of its own from the embedding. */
function syntheticAttribution({ steps }: TranscoderAnalysis["config"]): StoredAttribution {
  const shares = [0.9, 0.1, 0.6, 0.5, 0.8], ci95: [number, number] = [0.5, 0.7];
  const told = [{ id: 1, token: " is", value: 0.4 }, { id: 2, token: "was", value: 0.1 }];
  const none = { earlier_attention: 0, earlier_mlps: 0, own_mlp: 0 };
  return {
    ...{ steps, source: "layer0.resid_mid", is_norm_fixed: false, cosine_chance: 0.1, largest_error: 1e-7 },
    ...{ tokens: 200, contexts: 10, documents: 5, resampled: "documents", firings: 15 },
    components: [
      { name: "embedding", kind: "embedding", share: 0.6, ci95 },
      { name: "layer0.attn_out", kind: "own_attention", share: 0.4, ci95 },
    ],
    kinds: [{ kind: "embedding", share: 0.6, ci95 }, { kind: "own_attention", share: 0.4, ci95 }],
    features: shares.map((share, feature) => ({
      ...{ feature, group: 0, fires: 1 + feature, activation: 2, bias: 0, parts: [2 * share, 2 - 2 * share] },
      ...{ typical: [0, 0], shares: { ...none, embedding: share, own_attention: 1 - share }, cosine: 0.5 },
      tokens: feature < 4
        ? null
        : { reads: told, chance: 0.2, writes: { raised: told, lowered: told, chance: 0.5, std: 1 } },
    })),
    definitions: { ...ATTRIBUTION_DEFINITIONS },
  };
}

/** The importance of features whose every measure grows with their number, or is the same. */
function syntheticImportance(
  { groups, steps, features }: TranscoderAnalysis["config"],
  isAlike = false,
): StoredImportance {
  const contexts = isAlike ? 1 : 12, size = (feature: number) => isAlike ? 1 : 1 + feature;
  const sums = (feature: number) => new Float64Array(contexts).fill(size(feature));
  const all = Float64Array.from({ length: features }, (_, feature) => contexts * size(feature));
  const measured = {
    targets: 1,
    documents: Array.from({ length: contexts }, (_, c) => Math.floor(c / 2)),
    ...{ tokens: 63 * contexts, variance: 1e6, fires: new Uint32Array(features).fill(3), mass: all, error: all },
    ...{ predictions: new Float64Array(contexts).fill(62), cleanLoss: new Float64Array(contexts).fill(200) },
    ablated: Array.from({ length: 20 }, (_, n) => {
      const feature = features - 1 - n, one = sums(feature);
      const sets: FeatureSet[] = n < 10 ? ["top", "random"] : n % 2 ? ["top"] : ["random"];
      return { feature, sets, mass: one, error: one, loss: one.map((x) => x - 120), kl: one };
    }),
  };
  const near = { encoder_norm: 0.1, gap: 9, cosine: 0.95 }, living = { ...near, features: 50, gap_p95: 5 };
  const one = { ...near, feature: 7, group: 0, fires: 0, bias: -3, threshold: 0.5, mean: -3, std: 0.4, largest: 0.1 };
  const silent = isAlike ? null : {
    ...{ dead: 1, ultra_rare: 0, living, features: [{ ...one, neighbour: 9, why: "covered" as const }] },
    definitions: { ...SILENT_DEFINITIONS },
  };
  return { steps, ...importanceFigures(measured, (feature) => groupOf(groups, feature)), silent };
}
