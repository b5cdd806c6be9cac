/**
 * The tables and sentences of the reports against numbers worked out here from the files of a synthetic run, or by
 * hand: figures in their own row and column, with their own sign.
 */

import assert from "node:assert/strict";
import { comparePair } from "../../core/runs/analysed.ts";
import { LOSS_DEFINITIONS, type LossEvaluation } from "../../core/analysis/loss.ts";
import { evaluationTable } from "../../reports/evaluation_table.ts";
import { documentFvus, intervalBasis, leftOut, leftOutOfRun, spreadText, textRead } from "../../reports/held_out.ts";
import { lossTables } from "../../reports/loss_table.ts";
import { analysisReport } from "../../reports/markdown/analysis_report.ts";
import { comparisonReport, differences } from "../../reports/markdown/comparison_report.ts";
import { indexPage } from "../../reports/markdown/index_page.ts";
import { insights } from "../../reports/markdown/insights.ts";
import { plain } from "../../reports/markdown/markdown.ts";
import { trainingSummary } from "../../reports/markdown/training_summary.ts";
import { prefixFigure } from "../../reports/plots/prefixes.ts";
import {
  alive,
  type Cells,
  columnNorms,
  FEATURES,
  GROUPS,
  middle,
  numbers,
  PREFIXES,
  rowNorms,
  synthetic,
} from "./synthetic_files.ts";

const generated = new Date("2026-01-02T03:04:05Z");
const a = await synthetic({ deadShare: 0.1 });
const b = await synthetic({ layer: 4, fvu: 0.25, seed: 2 });

const report = analysisReport(a.layer, generated), summary = trainingSummary(a.layer, generated);
const comparison = comparisonReport(comparePair(a.layer, b.layer), generated);

/** The cells of the one table of a text that has such a column or row, by the first cell of each row. */
function tableWith(text: string, name: string): Map<string, Cells> {
  const cellsOf = (line: string) => line.split("|").slice(1, -1).map((cell) => cell.trim());
  const tables = text.match(/(^\|.*\n?)+/gm)!.map((table) => table.trim().split("\n").map(cellsOf));
  const found = tables.filter(([header, ...rows]) => header.includes(name) || rows.some(([first]) => first === name));
  assert.equal(found.length, 1, `tables with ${name}`);
  const [header, , ...rows] = found[0];
  return new Map(rows.map((cells) => [cells[0], Object.fromEntries(cells.map((cell, i) => [header[i], cell]))]));
}

const fixed = (digits: number) => (value: number) => value.toFixed(digits);
const percent = (digits: number) => (share: number) => `${(100 * share).toFixed(digits)} %`;
/** Three significant digits of numbers between 0.001 and 1,000. */
const three = (value: number) => Number(value.toPrecision(3));

Deno.test("reconstructions: mean and linear map above the prefixes, each with its own figures, in both reports", () => {
  const expected = [
    ["mean (1.0)", "1.0000", "–", "1.0000", "–", "–", "–"],
    ["best linear map", "0.5300", "0.5240 to 0.5360", "0.6360", "0.735", "–", "–"],
    // 0.18 times 1.7, 1.35 and 1; a group's gain is what the prefix before had more.
    ["first 32 features", "0.3060", "0.3000 to 0.3120", "0.3672", "0.847", "15.4", "0.6940"],
    ["first 96 features", "0.2430", "0.2370 to 0.2490", "0.2916", "0.879", "30.9", "0.0630"],
    ["all 128 features", "0.1800", "0.1740 to 0.1860", "0.2160", "0.910", "46.3", "0.0630"],
  ];
  const columns = ["Reconstruction", "FVU", "95 % CI", "FVU, unit var.", "Cosine", "L0", "Group's gain"];
  for (const text of [report, summary]) {
    const rows = [...tableWith(text, "Group's gain").values()];
    assert.deepEqual(rows.map((row) => columns.map((column) => row[column])), expected);
  }
});

Deno.test("without references, as in a file of an older version, their rows and columns are left out", async () => {
  const { layer } = await synthetic({ linearFvu: NaN }), text = analysisReport(layer, generated);
  const rows = tableWith(text, "Group's gain");
  assert.deepEqual([...rows.keys()], ["mean (1.0)", "first 32 features", "first 96 features", "all 128 features"]);
  assert.deepEqual(Object.keys(rows.get("all 128 features")!), ["Reconstruction", "FVU", "95 % CI", "Group's gain"]);
  const table = evaluationTable([{ ...layer, name: "layer 2" }], false);
  for (
    const said of [
      text,
      trainingSummary(layer, generated),
      comparisonReport(comparePair(layer, layer), generated),
      table,
    ]
  ) {
    const found = said.match(/.*(linear map|FVU, unit|at unit variance|\bCosine\b|largest dimensions|undefined).*/)
      ?.[0];
    assert.equal(found, undefined);
  }
});

Deno.test("tables of a real width are no wider than 100 columns", async () => {
  const { layer } = await synthetic({ groups: [1152, 2304, 1152] });
  const evaluated = [{ ...layer, name: "layer 2" }, { ...layer, name: "layer 17" }];
  for (const line of evaluationTable(evaluated, false).split("\n")) {
    if (line.startsWith("|")) assert.ok([...line].length <= 100, line);
  }
});

Deno.test("held-out metrics: each figure of evaluation.json in its own row", () => {
  const rows = Object.fromEntries(
    [...tableWith(report, "Metric")].map(([name, row]) => [name, [row.Value, row["95 % CI"]]]),
  );
  const dead = Math.round(0.1 * FEATURES);
  assert.deepEqual(rows, {
    "FVU": ["0.1800", "0.1740 to 0.1860"],
    "FVU at unit variance": ["0.2160", "0.2080 to 0.2240"],
    "Cosine": ["0.9100", "0.9070 to 0.9130"],
    "Explained variance": ["0.8220", ""],
    "FVU, all elements": ["0.1728", ""],
    "L0": ["46.30", "45.90 to 46.70"],
    "L0 at 5 / 25 / 50 / 75 / 95 % of the tokens": ["21 / 36 / 45 / 56 / 78", ""],
    "Target variance in the 1 / 5 / 20 largest dimensions": ["6.0 % / 43.0 % / 62.0 %", ""],
    "Dead features": [`${dead} (${percent(1)(dead / FEATURES)})`, ""],
    "Inference threshold": ["0.8100", ""],
  });
});

Deno.test("predictions: each figure of the section in its own row, with all transcoders at once below; none where there is no section", () => {
  const figures = (ce: number) => {
    const around = (value: number): [number, number] => [value - 0.25, value + 0.5];
    return {
      ce,
      ce_ci95: around(ce),
      kl: ce / 2,
      kl_ci95: around(ce / 2),
      top1: 0.25,
      top1_ci95: [0.125, 0.375] as [number, number],
    };
  };
  const spliced = (ce: number) => ({
    ...figures(ce),
    recovered_zero: 0.75,
    recovered_zero_ci95: [0.5, 0.875] as [number, number],
    recovered_mean: -0.5,
    recovered_mean_ci95: [-0.75, -0.25] as [number, number],
  });
  const loss: LossEvaluation = {
    ...{
      tokens: 2046,
      contexts: 33,
      documents: 6,
      resampled: "documents",
      clean: { ce: 3, ce_ci95: [2.75, 3.25] },
      zero: figures(6),
      mean: figures(5),
    },
    per_prefix: [{ prefix: 1152, ...spliced(4) }],
    replacement_model: {
      transcoders: ["layer2.resid_mid -> layer2.mlp_out", "layer4.resid_mid -> layer4.mlp_out"],
      ...{ zero: figures(16), mean: figures(15), per_prefix: [{ prefixes: [1152, 1152], ...spliced(14) }] },
    },
    definitions: LOSS_DEFINITIONS,
  };
  assert.ok(!report.includes("Loss Recovered"));
  const told = analysisReport({ ...a.layer, evaluation: { ...a.layer.evaluation, loss } }, generated);
  assert.match(told, /^2,046 held-out predictions in 33 contexts of 6 documents; .*bootstrap over documents/m);
  for (const [name, sentence] of Object.entries(LOSS_DEFINITIONS)) assert.ok(told.includes(plain(sentence)), name);
  const [own, together] = told.match(/(^\|.*\n?)+/gm)!.filter((table) => table.includes("Same top token"));
  const cells = (table: string) =>
    Object.fromEntries(
      table.trim().split("\n").slice(2).map((line) => {
        const [name, ...values] = line.split("|").slice(1, -1).map((cell) => cell.trim());
        return [name, values];
      }),
    );
  const same = "25.0 % [12.5 %, 37.5 %]", shares = ["75.0 % [50.0 %, 87.5 %]", "-50.0 % [-75.0 %, -25.0 %]"];
  assert.deepEqual(cells(own), {
    "the model's own": ["3.000 [2.750, 3.250]", "", "", "", ""],
    "zeros": ["6.000 [5.750, 6.500]", "3.000 [2.750, 3.500]", same, "", ""],
    "means": ["5.000 [4.750, 5.500]", "2.500 [2.250, 3.000]", same, "", ""],
    "1,152 features": ["4.000 [3.750, 4.500]", "2.000 [1.750, 2.500]", same, ...shares],
  });
  assert.deepEqual(cells(together)["1,152 features each"], [
    "14.000 [13.750, 14.500]",
    "7.000 [6.750, 7.500]",
    same,
    ...shares,
  ]);
  assert.equal(lossTables([{ name: "layer 2", loss }]).match(/^\| zeros/gm)!.length, 2);
  // Beside FVU: of the 3 nats that zeros cost, means give back one.
  const beside = cells(told.match(/(^\|.*\n?)+/gm)!.find((table) => table.includes("Group's gain"))!);
  const column = (row: string) => beside[row][beside[row].length - 2];
  assert.deepEqual(["mean (1.0)", "best linear map"].map(column), ["33.3 %", "–"]);
  assert.ok(Object.values(beside).some((row) => row.includes("75.0 % (50.0 % to 87.5 %)")));
  const together2 = "recovers 75.0 % [50.0 %, 87.5 %] with 1,152 features each of what zeros cost its loss";
  const withLoss = { ...a.layer, evaluation: { ...a.layer.evaluation, loss } };
  assert.ok(
    indexPage({ transcoders: [withLoss, withLoss], comparisons: [], sweeps: [], notes: [], generated }).split(together2)
      .length === 2,
    "once for the run",
  );
  const compared = comparisonReport(comparePair(withLoss, withLoss), generated);
  assert.match(compared, /^\| Loss recovered +\| +75\.0 % \| +75\.0 % \|$/m);
  assert.match(compared, /^\| Loss recovered, 2 in place at once +\| +75\.0 % \|/m);
  const panels = prefixFigure(withLoss, loss).concat as { layer: { data: { values: Record<string, unknown>[] } }[] }[];
  assert.deepEqual(panels[1].layer[0].data.values, [
    { series: "this transcoder", prefix: 1152, value: 0.75, low: 0.5, high: 0.875 },
    { series: "2 transcoders at once", prefix: 1152, value: 0.75, low: 0.5, high: 0.875 },
  ]);
  assert.deepEqual(panels[1].layer[1].data.values, [{ series: "means in place", value: 1 / 3 }]);
  const { fvu_per_prefix } = withLoss.evaluation;
  assert.deepEqual(panels[0].layer[0].data.values.map(({ value }) => value), fvu_per_prefix.map(({ fvu }) => fvu));

  assert.match(JSON.stringify(panels[1]), /documents; bars: 95 % CI"/);

  // Of several targets each has a line of its own; without intervals there are no bars, and none are spoken of.
  const none: [number, number] = [NaN, NaN];
  const several = {
    ...withLoss.evaluation,
    fvu_per_prefix: fvu_per_prefix.map((figures) => ({ ...figures, ci95: none })),
    fvu_per_target: ["layer2.mlp_out", "layer4.mlp_out"].map((target, t) => ({
      ...{
        target,
        fvu: t + 0.1,
        ci95: none,
        fvu_unit_variance: 1,
        target_variance: withLoss.evaluation.target_variance!,
      },
      fvu_per_prefix: fvu_per_prefix.map(({ prefix }, p) => ({ prefix, fvu: t + p / 10 })),
    })),
  };
  const [panel] = prefixFigure({ ...withLoss, evaluation: several }, loss).concat as typeof panels;
  const lines = Map.groupBy(panel.layer[0].data.values, ({ series }) => series);
  assert.deepEqual([...lines.keys()], ["all targets", "layer2.mlp_out", "layer4.mlp_out"]);
  assert.deepEqual(
    lines.get("layer4.mlp_out")!.map(({ prefix, value }) => [prefix, value]),
    fvu_per_prefix.map(({ prefix }, p) => [prefix, 1 + p / 10]),
  );
  assert.doesNotMatch(JSON.stringify(panel), /bars/);
});

Deno.test("weights: mean, deviation and range of every tensor, and of the norms of encoder columns and decoder rows", () => {
  const rows = tableWith(report, "Std");
  const { W_enc, W_dec, b_enc, b_dec } = a.tensors;
  const expected: [string, ArrayLike<number>][] = [
    ["Encoder weights (W_enc)", W_enc],
    ["Decoder weights (W_dec)", W_dec],
    ["Feature norms (encoder columns)", columnNorms(W_enc)],
    ["Decoder norms (decoder rows)", rowNorms(W_dec)],
    ["Encoder bias (b_enc)", b_enc],
    ["Decoder bias (b_dec)", b_dec],
  ];
  assert.deepEqual([...rows.keys()], expected.map(([name]) => name));
  for (const [name, list] of expected) {
    const values = Array.from(list), mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    const row = rows.get(name)!, range = /^\[(\S+), (\S+)\]$/.exec(row.Range)!.slice(1).map(Number);
    const near = (what: string, found: number, value: number) =>
      assert.ok(Math.abs(found - value) <= 0.0051 * Math.abs(value), `${name}, ${what}: ${found}, not ${value}`);
    near("mean", Number(row.Mean), mean);
    near("std", Number(row.Std), std);
    near("least", range[0], Math.min(...values));
    near("most", range[1], Math.max(...values));
  }
});

Deno.test("groups: medians over the living features of each group, and its share of all activations", () => {
  const rows = [...tableWith(report, "FVU of its prefix").values()];
  const all = numbers(a.features, "fires").reduce((sum, fires) => sum + fires, 0);
  const expected = GROUPS.map((size, group) => {
    const members = a.features.filter((row) => row.group === String(group)), living = alive(members);
    const full = living.filter((row) => row.sample_count === "100");
    const start = PREFIXES[group] - size, median = (column: string) => middle(numbers(living, column));
    return {
      "Group": String(group),
      "Features": `${start}–${start + size - 1}`,
      "Dead": String(size - living.length),
      "Density": percent(2)(median("density")),
      "Max activation": fixed(2)(median("max_activation")),
      "Feature norm": fixed(3)(median("encoder_norm")),
      "Sample entropy": full.length === 0 ? "–" : `${fixed(2)(middle(numbers(full, "token_entropy_bits")))} bits`,
      "Activations": percent(1)(numbers(members, "fires").reduce((sum, fires) => sum + fires, 0) / all),
      "FVU of its prefix": fixed(3)(a.evaluation.fvu_per_prefix[group].fvu),
    };
  });
  assert.deepEqual(rows, expected);
});

Deno.test("strongest features: by falling maximum, each with its own counts", () => {
  const strongest = alive(a.features).sort((x, y) => Number(y.max_activation) - Number(x.max_activation)).slice(0, 20);
  const rows = [...tableWith(report, "Rank").values()];
  assert.deepEqual(
    rows.map(({ "Top token, id, share": _, ...row }) => row),
    strongest.map((row, i) => ({
      "Rank": String(i + 1),
      "Feature ID": row.feature,
      "Group": row.group,
      "Max Activation": fixed(2)(Number(row.max_activation)),
      "Sample Count": row.sample_count,
      "Fires": Number(row.fires).toLocaleString("en-US"),
      "Density": Number(row.density) < 5e-5 ? "< 0.01 %" : percent(2)(Number(row.density)),
    })),
  );
  rows.forEach((row, i) => {
    const { top_token_id, top_token_share } = strongest[i];
    assert.ok(row["Top token, id, share"].endsWith(` ${top_token_id} (${percent(0)(Number(top_token_share))})`));
  });
});

/** Without the auxiliary loss, which comes and goes with the dead features. */
const lossesOf = (rows: typeof a.metrics) => rows.map((row) => Number(row.loss) - Number(row.aux_loss));

Deno.test("training summary: the milestones' loss, FVU, L0, dead features and learning rate are their columns of metrics.csv", () => {
  const rows = [...tableWith(summary, "Dead").values()];
  const milestones = [0, 0.1, 0.25, 0.5, 0.75, 1].map((share) => a.metrics[Math.round(share * (a.metrics.length - 1))]);
  assert.deepEqual(rows.map((row) => row.Step), milestones.map((row) => row.step));
  assert.deepEqual(rows.map((row) => row.L0), numbers(milestones, "l0").map(fixed(1)));
  assert.deepEqual(rows.map((row) => row.Dead), milestones.map((row) => row.dead_features));
  assert.deepEqual(
    rows.map((row) => Number(row.Loss)),
    lossesOf(milestones).map((loss) => Number(loss.toPrecision(4))),
  );
  assert.deepEqual(rows.map((row) => Number(row["Learning rate"])), numbers(milestones, "learning_rate").map(three));
  for (const end of PREFIXES) {
    const found = rows.map((row) => row[`FVU, first ${end}`]);
    assert.deepEqual(found, numbers(milestones, `fvu_prefix_${end}`).map(fixed(3)));
  }
});

Deno.test("training summary: the dead features' peak and end are those of metrics.csv", () => {
  const dead = numbers(a.metrics, "dead_features"), peak = dead.indexOf(Math.max(...dead));
  const sentence = `at most ${dead[peak]} (step ${a.metrics[peak].step}), ${dead.at(-1)} at the end`;
  assert.ok(summary.includes(sentence), sentence);
});

Deno.test("insights: what the first group explains and by how much the last one lowers FVU", () => {
  const { text: hierarchy } = insights(a.layer).find(({ id }) => id === "hierarchy")!;
  // (1 - 0.306) / (1 - 0.18)
  const fires = numbers(a.features, "fires"), sum = (values: number[]) => values.reduce((x, y) => x + y, 0);
  const [first, last] = [fires.slice(0, 32), fires.slice(96)].map((group) => percent(0)(sum(group) / sum(fires)));
  assert.ok(
    hierarchy.startsWith(
      `**Hierarchy: the first 25 % of the features, with ${first} of all activations, explain 85 % of`,
    ),
  );
  assert.ok(
    hierarchy.endsWith(`(FVU 0.306 alone). The last group, with ${last} of the activations, lowers FVU by 0.063.`),
  );
});

/** What the comparison says of one layer: the cells of its column, by row. */
const sideOf = (row: string, name: string) =>
  Object.fromEntries([...tableWith(comparison, row)].map(([first, cells]) => [first, cells[name]]));

Deno.test("comparison: each layer's metrics stand in its own column", () => {
  for (const [name, run, fvu] of [["Layer 2", a, 0.18], ["Layer 4", b, 0.25]] as const) {
    const { layer: { evaluation, course } } = run;
    assert.deepEqual(sideOf("Held-out FVU", name), {
      "Held-out FVU": fixed(4)(fvu),
      "95 % CI": `${fixed(4)(fvu - 0.006)} to ${fixed(4)(fvu + 0.006)}`,
      "FVU, first 32 features": fixed(4)(1.7 * fvu),
      "FVU, first 96 features": fixed(4)(1.35 * fvu),
      "FVU of the best linear map": "0.5300",
      "FVU of the mean": "1",
      "FVU at unit variance": fixed(4)(1.2 * fvu),
      "Cosine": fixed(4)(1 - fvu / 2),
      "Target variance in the 1 / 5 / 20 largest dimensions": "6.0 % / 43.0 % / 62.0 %",
      "Explained variance": fixed(4)(1 - fvu + 0.002),
      "Held-out L0": "46.30",
      "k": "48",
      "Dead features": `${evaluation.dead_features} (${percent(1)(evaluation.dead_features / FEATURES)})`,
      "Features": String(FEATURES),
      "Inference threshold": "0.8100",
      "Final training loss": fixed(4)(middle(lossesOf(run.metrics).slice(-5))),
      "Steps": "600",
      "Training time": "1 min 54 s",
    });
    assert.equal(course?.lastStep, 600);
  }
});

Deno.test("comparison: densities, maxima, entropies and norms are those of each layer's features", () => {
  for (const [name, run] of [["Layer 2", a], ["Layer 4", b]] as const) {
    const found = sideOf("Median density", name), living = alive(run.features);
    const density = numbers(living, "density"), maxima = numbers(living, "max_activation");
    const judged = living.filter(({ fires, main_token_share: least, main_token_share_most: most }) =>
      Number(fires) >= 50 && (Number(least) >= 0.5 || Number(most) < 0.5)
    );
    const detectors = judged.filter(({ main_token_share }) => Number(main_token_share) >= 0.5);
    const full = living.filter((row) => row.sample_count === "100");
    assert.equal(found["Median density"], percent(3)(10 ** middle(density.map(Math.log10))));
    // Ten times as often as the average feature, 48 of 128 per token, would be more than always; half of the tokens is
    // the limit.
    assert.equal(found["Dense features"], String(density.filter((share) => share > 0.5).length));
    assert.equal(found["Rare features"], String(numbers(living, "fires").filter((fires) => fires < 10).length));
    assert.equal(found["Largest activation"], fixed(2)(Math.max(...maxima)));
    assert.equal(found["Median of the maxima"], fixed(3)(middle(maxima)));
    assert.equal(found["Median sample entropy"], `${fixed(2)(middle(numbers(full, "token_entropy_bits")))} bits`);
    assert.equal(found["Token detectors"], percent(0)(detectors.length / judged.length));
    assert.equal(found["Median feature norm"], fixed(3)(middle(columnNorms(run.tensors.W_enc))));
  }
});

/** A layer whose features are these, with as many of the token on which half of their firings are as given. */
function withDetectors(layer: typeof a.layer, counts: Record<number, number>): typeof a.layer {
  const tokens = Object.entries(counts).flatMap(([id, count]) => Array<number>(count).fill(Number(id)));
  const features = layer.features.map((row, i) => ({
    ...row,
    fires: i < 100 ? 50 : 49,
    main_token_id: tokens[i] ?? 5,
    main_token: ` t${tokens[i] ?? 5}`,
    main_token_share: i < tokens.length ? 0.5 : 0.49,
    main_token_share_most: i < tokens.length ? 0.51 : i < 40 ? 0.499 : 0.5,
    main_token_occurrences: 250,
  }));
  return { ...layer, features };
}

Deno.test("comparison: token detectors are counted and shared as worked out by hand", () => {
  const first = withDetectors(a.layer, { 7: 8, 8: 1, 9: 1, 10: 1, 11: 1 }),
    second = withDetectors(b.layer, { 7: 3, 9: 3 });
  const compared = comparePair(first, second);
  assert.deepEqual(compared.detectors, {
    a: { features: 12, tokens: 5, judged: 40 },
    b: { features: 6, tokens: 2, judged: 40 },
  });
  assert.deepEqual(compared.sharedTokens.map(({ id, a, b }) => [id, a, b]), [[7, 8, 3], [9, 1, 3]]);
  const [sentence] = differences(compared).slice(-1);
  const counts =
    "12 of 40 judged features on 5 different tokens in layer 2, 6 of 40 judged features on 2 different tokens";
  assert.equal(sentence, `**Token detectors:** ${counts} in layer 4.`);
  const text = comparisonReport(compared, generated);
  assert.match(text, /^2 tokens have detectors in both layers\. .* not evidence that they are alike\.$/m);
  const rows = [...tableWith(text, "Detectors in layer 4").values()];
  const cells = rows.map((row) => [row.Token, row.Id, row["Detectors in layer 2"], row["Detectors in layer 4"]]);
  assert.deepEqual(cells, [["`␣t7`", "7", "8", "3"], ["`␣t9`", "9", "1", "3"]]);
});

Deno.test("insights: token detectors of those that can be judged, beside what chance and their token's occurrences give", () => {
  const layer = withDetectors(a.layer, { 7: 8, 8: 2 });
  const { text } = insights(layer).find(({ id }) => id === "selectivity")!;
  const living = layer.features.filter(({ dead }) => !dead).length;
  const few = layer.features.filter(({ dead, fires }) => !dead && fires < 50).length;
  assert.match(
    text,
    /^\*\*Token selectivity: 25 % of the features are token detectors\*\*, with one token on at least 50 % of all/,
  );
  assert.ok(
    text.includes(`(10 of 40; ${few} with fewer than 50 activations are not judged; ${living - few - 40} lie too near`),
  );
  // 250 of 100,000 tokens, of which 0.5 * 50 are met.
  assert.match(
    text,
    /the token's own in the text, 0\.25 % for the median one; they fire on 10 % of their token's occurrences/,
  );
});

Deno.test("comparison: which layer fires more often and more strongly follows the medians, where they are surely apart", () => {
  const summary = (median: number) => ({ ...a.layer.statistics.maxActivation, median });
  const withMedians = (layer: typeof a.layer, density: number, max: number, entropy: number) => ({
    ...layer,
    statistics: {
      ...layer.statistics,
      logDensity: summary(Math.log10(density)),
      maxActivation: summary(max),
      tokenEntropy: summary(entropy),
    },
  });
  const pair = comparePair(withMedians(a.layer, 0.01, 5, 3), withMedians(b.layer, 0.02, 4, 3.5));
  const between = (low: number, high: number) => ({ ...pair.logDensity, ci95: [low, high] as [number, number] });
  const apart = {
    ...pair,
    logDensity: between(Math.log10(1.5), Math.log10(2.5)),
    logMaxActivation: between(Math.log10(0.7), Math.log10(0.9)),
    tokenEntropy: between(0.2, 0.8),
  };
  const [, frequency, strength, selectivity] = differences(apart);
  assert.match(
    frequency,
    /layer 4 fires more often: on 2\.00 % of the tokens, against 1\.00 % in layer 2 .* 1\.50 to 2\.50\)/,
  );
  assert.match(strength, /is smaller in layer 4: 4\.00 against 5\.00 .* 0\.70 to 0\.90\)/);
  assert.match(
    selectivity,
    /of layer 4 are on more mixed tokens: median entropy 3\.5 against 3\.0 bits .* 0\.20 to 0\.80\)/,
  );
  const unsure = between(-0.1, 0.3);
  const alike = differences({ ...pair, logDensity: unsure, logMaxActivation: unsure, tokenEntropy: unsure });
  assert.deepEqual(alike.slice(1, 4).map((text) => /about [a-z ]* (often|same|mixed)/.test(text)), [true, true, true]);
});

Deno.test("held-out documents: how many of how many, their spread, and a row for each", () => {
  const sentence =
    "FVU of single documents: median 0.1800, from 0.1500 (d.txt, 10,000 tokens) to 0.2000 (c.txt, 30,640 tokens).";
  for (const text of [report, summary]) {
    assert.ok(text.includes("80,640 tokens in 1,280 contexts of 3 of 12 test documents"));
    assert.match(text, /[iI]ntervals cover 95 % \(bootstrap over contexts\)\.$/m);
    assert.ok(text.includes(sentence));
    const rows = [...tableWith(text, "FVU of the document")];
    assert.deepEqual(rows.map(([name, row]) => [name, row.Tokens, row["FVU of the document"]]), [
      ["a_b.txt", "40,000", "0.1800"],
      ["c.txt", "30,640", "0.2000"],
      ["d.txt", "10,000", "0.1500"],
    ]);
  }
});

Deno.test("held-out documents: what is said of a whole part, of a streamed text, of one document, of an old file", () => {
  const { evaluation } = a.layer, read = "80,640 tokens in 1,280 contexts of ";
  const said = (changes: Partial<typeof evaluation>) => textRead({ ...evaluation, ...changes });
  assert.equal(said({ documents: 12 }), `${read}all 12 test documents`);
  assert.equal(said({ split: "validation", split_documents: null }), `${read}3 validation documents`);
  assert.equal(said({ documents: 1, split_documents: 1 }), `${read}the only test document`);
  const { split: _, documents: __, split_documents: ___, resampled: ____, ...rest } = evaluation;
  const { fvu_over_documents: _____, fvu_per_document: ______, ...old } = rest;
  assert.equal(textRead(old), `${read}documents that were never trained on`);
  assert.deepEqual([intervalBasis(old), spreadText(old, 3), documentFvus(old)], [
    "intervals cover 95 % (bootstrap over contexts)",
    "",
    "",
  ]);
  assert.equal(intervalBasis({ contexts: 4 }), "no intervals, since there are fewer than 5 contexts");
  const many = documentFvus({ ...rest, documents: 300, fvu_per_document: undefined });
  assert.match(many, /^FVU of single documents: median 0\.1800, from .* tokens\)\.$/);
  assert.equal(leftOut(old, true), "BOS included");
  assert.equal(leftOut({ ...evaluation, excluded_tokens: 1 }, false), "BOS excluded, 1 token left out for its id");
  assert.equal(
    leftOut({ ...evaluation, excluded_tokens: 1200 }, false),
    "BOS excluded, 1,200 tokens left out for their ids",
  );
  const samples = { tokens: 31_999, excluded_tokens: 1 }, training = { tokens: 102_000, excluded_tokens: 1200 };
  assert.equal(leftOutOfRun({ samples }), "for their ids 1 of 32,000 tokens of the samples' pass");
  const both = "for their ids 1,200 of 103,200 tokens of training, 1 of 32,000 tokens of the samples' pass";
  assert.equal(leftOutOfRun({ samples, training }), both);
  const withNorms = { samples: { ...samples, outlier_tokens: 0 }, training: { ...training, outlier_tokens: 800 } };
  assert.equal(
    leftOutOfRun(withNorms),
    "for their ids 1,200 of 104,000 tokens of training, 1 of 32,000 tokens of the samples' pass; " +
      "for their norms 800 of 104,000 tokens of training, 0 of 32,000 tokens of the samples' pass",
  );
  assert.equal(
    leftOut({ ...evaluation, excluded_tokens: 2, outlier_tokens: 1 }, false),
    "BOS excluded, 2 tokens left out for their ids, 1 token left out for its norm",
  );
  const median_norms = [{ layer: 2, site: "resid_mid", norm: 12.3456 }, { layer: 4, site: "mlp_in", norm: 3 }] as const;
  const limited = { ...a.layer, config: { ...a.layer.config, exclude_norm_above: 6, median_norms } };
  assert.match(
    analysisReport(limited, generated),
    /longer than 6 times the median there, 12\.35 at `layer2\.resid_mid` and 3\.000 at `layer4\.mlp_in`/,
  );
  assert.doesNotMatch(report, /Left out for their norms/);
  const counted = { ...a.layer, evaluation: { ...evaluation, token_counts: { samples, training } } };
  assert.ok(trainingSummary(counted, generated).includes(`**Left out:** ${both}`));
  assert.ok(!summary.includes("**Left out:**"), "a run that did not count says nothing");
  assert.equal(spreadText(evaluation, 3), "0.150 (d.txt), 0.180, 0.200 (c.txt)");
  assert.equal(spreadText({ ...evaluation, documents: 1 }, 3), "");
});

Deno.test("mtc evaluate's table: a table of prefixes per layer, then a row per figure and a column per layer", () => {
  const evaluations = [a.layer, b.layer].map((layer, i) => ({ ...layer, name: `layer ${2 + 2 * i}` }));
  const text = evaluationTable(evaluations, false), [first, second] = text.split("Layer 4\n");
  assert.match(first, /^Layer 2$/m);
  const of = (row: string) => {
    const cells = tableWith(second, "k in training").get(row)!;
    return [cells["layer 2"], cells["layer 4"]];
  };
  const prefixes = [tableWith(first, "Group's gain"), tableWith(second, "Group's gain")];
  assert.deepEqual(prefixes.map((rows) => rows.get("first 32 features")!.FVU), ["0.3060", "0.4250"]);
  assert.deepEqual(prefixes.map((rows) => rows.get("best linear map")!.FVU), ["0.5300", "0.5300"]);
  assert.deepEqual(of("FVU"), ["0.1800 [0.1740, 0.1860]", "0.2500 [0.2440, 0.2560]"]);
  assert.deepEqual(of("FVU at unit variance"), ["0.2160 [0.2080, 0.2240]", "0.3000 [0.2920, 0.3080]"]);
  assert.deepEqual(of("Cosine"), ["0.9100 [0.9070, 0.9130]", "0.8750 [0.8720, 0.8780]"]);
  assert.deepEqual(of("Target variance in 1 / 5 / 20 dimensions"), Array(2).fill("6.0 % / 43.0 % / 62.0 %"));
  assert.deepEqual(of("Explained variance (dictionary_learning)"), ["0.8220", "0.7520"]);
  assert.deepEqual(of("FVU, variance of all elements"), ["0.1728", "0.2400"]);
  assert.deepEqual(of("L0"), ["46.30 [45.90, 46.70]", "46.30 [45.90, 46.70]"]);
  assert.deepEqual(of("L0 at 5, 25, 50, 75, 95 % of tokens"), Array(2).fill("21, 36, 45, 56, 78"));
  assert.deepEqual(of("FVU of documents: least, median, largest"), [
    "0.1500, 0.1800, 0.2000",
    "0.2200, 0.2500, 0.2700",
  ]);
  const documents = tableWith(text, "FVU of the document");
  assert.deepEqual([...documents.keys()], ["a_b.txt", "c.txt", "d.txt"]);
  const { Tokens, "layer 2": shallow, "layer 4": deep } = documents.get("c.txt")!;
  assert.deepEqual([Tokens, shallow, deep], ["30,640", "0.2000", "0.2700"]);
  assert.deepEqual(of("k in training"), ["48", "48"]);
  assert.deepEqual(of("Dead features"), ["13 (10.2 %)", "0 (0.0 %)"]);
});
