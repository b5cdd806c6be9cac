/**
 * Figures by the data of their Vega-Lite specifications: every series is the column, tensor or count that it claims to
 * be. The expected numbers come from the files of a synthetic run, read here without the program's readers.
 */

import assert from "node:assert/strict";
import type { Histogram } from "../../core/analysis/statistics.ts";
import { comparePair } from "../../core/runs/analysed.ts";
import { comparisonFigure } from "../../reports/plots/comparison.ts";
import { curvesFigure } from "../../reports/plots/curves.ts";
import { signedAxis } from "../../reports/plots/importance.ts";
import { matchingFigure } from "../../reports/plots/matching.ts";
import { overviewFigure, scatterFigure } from "../../reports/plots/overview.ts";
import { assertClose } from "../compare.ts";
import { evolutionWith, toldComparison } from "./told_comparison.ts";
import { alive, columnNorms, numbers, PREFIXES, synthetic } from "./synthetic_files.ts";

const a = await synthetic({ deadShare: 0.1 });
const b = await synthetic({ layer: 4, fvu: 0.25, seed: 2 });

type Row = Record<string, number | string>;

/** The parts of a specification that these tests look at. */
interface View {
  title?: { text: string; subtitle: string };
  data?: { values: Row[] };
  mark?: { type: string };
  encoding?: Record<string, { field?: string; title?: string | null; scale?: { domain?: unknown[]; type?: string } }>;
  layer?: View[];
  concat?: View[];
}

function panelOf(figure: unknown, title: string): View {
  const { concat } = figure as View;
  return concat!.find((panel) => panel.title!.text === title) ?? assert.fail(`no panel ${title}`);
}

const column = (rows: Row[], name: string) => rows.map((row) => row[name]);

/** Fails unless the axes of a view show these fields. */
function assertAxes({ encoding }: View, fields: Record<string, string>): void {
  for (const [channel, field] of Object.entries(fields)) assert.equal(encoding![channel].field, field, channel);
}

const curves = curvesFigure(a.layer);

/** The lines of a panel of the training curves, by series. */
function linesOf(title: string): Map<string, { step: number; value: number }[]> {
  const [lines] = panelOf(curves, title).layer!;
  assertAxes(lines, { x: "step", y: "value", color: "series" });
  const rows = lines.data!.values as unknown as { step: number; value: number; series: string }[];
  return Map.groupBy(rows, ({ series }) => series);
}

function assertLine(title: string, series: string, values: number[]): void {
  const line = linesOf(title).get(series) ?? assert.fail(`no series ${series} in ${title}`);
  assert.deepEqual(line.map(({ step }) => step), numbers(a.metrics, "step"), `${title}, ${series}: steps`);
  assert.deepEqual(line.map(({ value }) => value), values, `${title}, ${series}`);
}

const goalsOf = (view: View, field: string) =>
  view.layer!.slice(1).map(({ data }) => column(data!.values, field)).flat();

const single: [title: string, series: string, column: string, unit: string][] = [
  ["L0", "L0", "l0", "active features per token"],
  ["Dead features", "dead", "dead_features", "features"],
  ["Learning rate", "rate", "learning_rate", "learning rate"],
  ["Speed", "speed", "tokens_per_s", "tokens per second"],
];
for (const [title, series, name, unit] of single) {
  Deno.test(`training curves: ${title} is ${name} of metrics.csv`, () => {
    assertLine(title, series, numbers(a.metrics, name));
    assert.equal(panelOf(curves, title).layer![0].encoding!.y.title, unit);
  });
}

/** Without the auxiliary loss, which comes and goes with the dead features. */
const losses = a.metrics.map((row) => Number(row.loss) - Number(row.aux_loss));

Deno.test("training curves: Loss is loss less aux_loss of metrics.csv", () => {
  assert.notDeepEqual(losses, numbers(a.metrics, "loss"));
  assertLine("Loss", "each logged step", losses);
  assert.equal(panelOf(curves, "Loss").layer![0].encoding!.y.title, "loss");
});

Deno.test("training curves: the FVU of each prefix is its column of metrics.csv", () => {
  PREFIXES.forEach((end) => assertLine("FVU of each prefix", `first ${end}`, numbers(a.metrics, `fvu_prefix_${end}`)));
  assert.equal(linesOf("FVU of each prefix").size, PREFIXES.length);
});

Deno.test("training curves: the running median of the loss is that of up to four values on either side", () => {
  const medians = losses.map((_, i) => {
    const window = losses.slice(i - Math.min(4, i), i + Math.min(4, i) + 1).sort((x, y) => x - y);
    const half = (window.length - 1) / 2;
    return (window[Math.floor(half)] + window[Math.ceil(half)]) / 2;
  });
  assertLine("Loss", "running median", medians);
});

Deno.test("training curves: dashed lines stand at the FVU to reach and at k, and nowhere else", () => {
  const goals = (curves as View).concat!.map((panel) => [panel.title!.text, goalsOf(panel, "value")]);
  assert.deepEqual(goals.filter(([, values]) => values.length > 0), [["FVU of each prefix", [0.3]], ["L0", [48]]]);
});

Deno.test("training curves: what is said of each panel are the run's numbers", () => {
  const said = Object.fromEntries((curves as View).concat!.map(({ title }) => [title!.text, title!.subtitle]));
  assert.match(said["FVU of each prefix"], /held-out at the end 0\.180/);
  assert.match(said["Loss"], / to 0\.\d+ \(running median\); logarithmic/);
  assert.match(said["L0"], /held-out at the end 46\.3; dashed: k = 48/);
  assert.match(said["Dead features"], new RegExp(`at the end ${a.metrics.at(-1)!.dead_features} of 128`));
  assert.match(said["Learning rate"], /largest logged 0\.0003 at step 50/);
});

const overview = overviewFigure(a.layer);

/** As edges are rounded, a number on one may fall to either side: so many may stand in another bin. */
const ON_EDGES = 4;

/** Counts numbers as a histogram's bars claim to. */
function assertCounts(view: View, values: ArrayLike<number>): void {
  assertAxes(view, { x: "low", x2: "high", y: "count" });
  const bars = view.data!.values as unknown as { low: number; high: number; count: number }[];
  const last = bars.length - 1;
  const counted = bars.map(({ low, high }, i) =>
    Array.from(values).filter((value) => value >= low && (i === last ? value <= high : value < high)).length
  );
  const total = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0);
  const drawn = bars.map(({ count }) => count);
  assert.equal(total(drawn), total(counted));
  const off = drawn.reduce((sum, count, i) => sum + Math.abs(count - counted[i]), 0);
  assert.ok(off <= ON_EDGES, `${off} numbers in other bars than they belong: ${drawn} instead of ${counted}`);
}

Deno.test("overview: the bars of the strongest features are their largest activations, by group", () => {
  const panel = panelOf(overview, "The 50 features with the largest activation");
  assertAxes(panel, { x: "feature", y: "value", color: "group" });
  const strongest = alive(a.features).sort((x, y) => Number(y.max_activation) - Number(x.max_activation)).slice(0, 50);
  assert.deepEqual(
    panel.data!.values,
    strongest.map((row) => ({ feature: row.feature, group: `group ${row.group}`, value: Number(row.max_activation) })),
  );
});

Deno.test("overview: histograms count samples per feature, encoder weights and feature norms", () => {
  const samples = numbers(a.features, "sample_count");
  assertCounts(panelOf(overview, "Samples kept per feature"), samples);
  const [full] = panelOf(overview, "Samples kept per feature").data!.values.slice(-1);
  assert.equal(full.count, samples.filter((count) => count === 100).length, "the last bar is the limit");
  assertCounts(panelOf(overview, "Encoder weights (W_enc)"), a.tensors.W_enc);
  assertCounts(panelOf(overview, "Feature norms (lengths of the encoder columns)"), columnNorms(a.tensors.W_enc));
});

Deno.test("scatter: a dot per living feature, the limit of the samples, and no trend", () => {
  const [points, limit, ...others] = (scatterFigure(a.layer) as View).layer!;
  assert.deepEqual(others, []);
  assertAxes(points, { x: "fires", y: "value", color: "group" });
  const rows = alive(a.features), fires = numbers(rows, "fires"), maxima = numbers(rows, "max_activation");
  const dot = (x: Row) => `${x.fires} ${x.value} ${x.group}`;
  const expected = rows.map((row, i) => dot({ fires: fires[i], value: maxima[i], group: `group ${row.group}` }));
  assert.deepEqual(points.data!.values.map(dot).sort(), expected.sort());
  assert.deepEqual(column(limit.data!.values, "fires"), [100]);
});

const comparison = comparisonFigure(comparePair(a.layer, b.layer));

Deno.test("comparison: FVU per prefix and its intervals are those of each layer's evaluation.json", () => {
  const panel = panelOf(comparison, "Held-out FVU of each Matryoshka prefix"), [measured] = panel.layer!;
  const rowsOf = (transcoder: string, { evaluation }: typeof a) =>
    evaluation.fvu_per_prefix.map(({ prefix, fvu, ci95: [low, high] }) => ({ transcoder, prefix, fvu, low, high }));
  const expected = [...rowsOf("layer 2", a), ...rowsOf("layer 4", b)];
  assert.deepEqual(measured.data!.values, expected);
  assertAxes(measured, { x: "prefix", color: "transcoder" });
  const [line, dots, bars] = measured.layer!;
  assertAxes(line, { y: "fvu" });
  assertAxes(dots, { y: "fvu" });
  assertAxes(bars, { y: "low", y2: "high" });
  assert.deepEqual(goalsOf(panel, "goal"), [0.3]);
});

const outlines: [title: string, value: (row: Record<string, string>) => number, subtitle: RegExp][] = [
  ["How often features fire", (row) => Math.log10(Number(row.density)), /of the tokens/],
  ["How strongly features fire", (row) => Math.log10(Number(row.max_activation)), /medians/],
  [
    "How mixed their tokens are",
    (row) => row.sample_count === "100" ? Number(row.token_entropy_bits) : NaN,
    /bits; features with all their samples/,
  ],
];
for (const [title, value, subtitle] of outlines) {
  Deno.test(`comparison: ${title}: each outline has the shares of its layer's features`, () => {
    const panel = panelOf(comparison, title);
    assertAxes(panel, { x: "x", y: "share", color: "transcoder" });
    assert.match(panel.title!.subtitle, subtitle);
    const rows = panel.data!.values as unknown as { transcoder: string; x: number; share: number }[];
    for (const [name, run] of [["layer 2", a], ["layer 4", b]] as const) {
      const outline = rows.filter(({ transcoder }) => transcoder === name);
      const values = alive(run.features).map(value).filter((x) => !Number.isNaN(x));
      const bins = outline.slice(0, -1).map(({ x, share }, i) => ({ low: x, high: outline[i + 1].x, share }));
      const off = bins.map(({ low, high, share }, i) => {
        const isIn = (x: number) => x >= low && (i === bins.length - 1 ? x <= high : x < high);
        return Math.abs(share * values.length - values.filter(isIn).length);
      }).reduce((sum, features) => sum + features, 0);
      assert.ok(off <= ON_EDGES, `${name}: ${off} features in other bins than they belong`);
      assertClose(`${name}, all shares`, [bins.reduce((sum, { share }) => sum + share, 0)], [1], {
        floor: 1e-9,
        relative: 0,
      });
      assert.equal(outline.at(-1)!.share, bins.at(-1)!.share, "the last bin is drawn to its end");
    }
  });
}

const told = toldComparison(20, { evolution: evolutionWith({ driving: 90, matched: 3 }) });

Deno.test("features found again: best matches, groups and responses are those that are told, as shares", () => {
  const figure = matchingFigure(told, ["layer 2", "layer 4"]), { matching: { a, b }, evolution } = told;
  assert.ok(typeof evolution !== "string");
  const { figures } = evolution;
  const outlines: [string, Histogram, Histogram, number[]][] = [
    ["Features of layer 2 in layer 4", a.histogram, a.histogram_by_chance, [a.chance_limit, 0.7]],
    ["Features of layer 4 in layer 2", b.histogram, b.histogram_by_chance, [b.chance_limit, 0.7]],
    ["What features of layer 2 drive in layer 4", figures.histogram, figures.histogram_by_chance, [4]],
  ];
  for (const [title, found, chance, limits] of outlines) {
    const [area, rules] = panelOf(figure, title).layer!, rows = area.data!.values;
    assertAxes(area, { x: "x", y: "share", color: "of" });
    assert.deepEqual(column(rules.data!.values, "limit"), limits);
    for (const [of, { edges, counts }] of [["features", found], ["by chance", chance]] as const) {
      const all = counts.reduce((sum, count) => sum + count, 0);
      const shown = rows.filter((row) => row.of === of).slice(0, -1);
      assert.deepEqual(column(shown, "x"), edges.slice(0, shown.length));
      assertClose(
        title,
        column(shown, "share") as number[],
        counts.slice(0, shown.length).map((count) => count / all),
        {
          floor: 1e-12,
          relative: 0,
        },
      );
      assert.ok(counts.slice(shown.length).every((count) => count === 0), "nothing is left out");
    }
  }
  const bars = panelOf(figure, "Groups"), rows = bars.data!.values;
  assertAxes(bars, { y: "group", x: "share", color: "kind" });
  assert.deepEqual([...new Set(column(rows, "group"))], ["layer 2, 0", "layer 2, 1", "layer 4, 0", "layer 4, 1"]);
  const [{ judged, same, unique }] = b.groups, first = rows.filter((row) => row.group === "layer 4, 0");
  assert.deepEqual(first.map(({ kind, share }) => [kind, share]), [
    ["above 0.7", same / judged],
    ["beyond chance", (judged - same - unique) / judged],
    ["no match", unique / judged],
  ]);
});

Deno.test("without a way from one to the other there is no panel of responses", () => {
  const { concat } = matchingFigure(toldComparison(3), ["layer 2", "layer 4"]) as View;
  assert.equal(concat!.length, 3);
});

Deno.test("an axis through 0 has numbers beside it, also where the median is near the largest value", () => {
  const ticks = (...values: number[]) =>
    (signedAxis(values, "").axis as { values: number[] }).values.toSorted((a, b) => a - b);
  const spread = (...values: number[]) => [...new Set(ticks(...values).map((tick) => tick + 0))];
  assert.deepEqual(spread(-8e-5, 0.0031, 0.0028, 0.0043, 0.0049), [0, 0.001, 0.002]);
  assert.deepEqual(spread(0.1, 0.1, 0.1, -7, 30), [-5, -2, -1, -0.5, -0.2, -0.1, 0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]);
  assert.deepEqual(spread(0, 0), [0]);
});
