/** What is drawn of features: the data of each specification is what the analyses found; and what is said where there is nothing to draw. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { dictionaryOf, type Multiplier } from "../../commands/report/dictionary.ts";
import type { ParentFigures } from "../../core/analysis/parents.ts";
import { loopedCosines, loopedMoment } from "../../core/analysis/looped_products.ts";
import { analyzeTranscoder } from "../../core/runs/analysed.ts";
import { chooseTranscoders, findTranscoders } from "../../core/runs/discovery.ts";
import { flatCounterpart, regroupingsFor, withFlat } from "../../core/runs/flat.ts";
import { analyzeRecord } from "../../core/runs/recorded.ts";
import { openTranscoder } from "../../core/runs/transcoder.ts";
import { onMatrix } from "../../core/transcoder/weights.ts";
import { hierarchySection } from "../../reports/markdown/sections/hierarchy.ts";
import { featureSections } from "../../reports/markdown/feature_analysis.ts";
import type { RecordedTranscoder, Section } from "../../reports/markdown/sections/section.ts";
import { similaritySection } from "../../reports/markdown/sections/similarity.ts";
import { weightsSection } from "../../reports/markdown/sections/weights.ts";
import { renderPng } from "../../reports/plots/render.ts";
import { mapSentences, writtenSentence } from "../../reports/similarity_table.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "../analysis/planted_record.ts";
import { writeSyntheticRun } from "./synthetic_run.ts";

const TOKENS = 2048;

const multiplier: Multiplier = {
  moment: (rows, width) => Promise.resolve(loopedMoment(rows, width)),
  cosines: (...rows) => Promise.resolve(loopedCosines(...rows)),
  most: 24 * 24 * 32,
  phrase: "without a GPU",
  [Symbol.dispose]() {},
};

/** A run whose record was planted, with all that a report computes of it. */
async function planted(
  { groups, rules, most = multiplier.most, regroupings }: {
    groups: number[];
    rules: readonly Rule[];
    most?: number;
    regroupings?: number[][];
  },
): Promise<RecordedTranscoder> {
  const root = await Deno.makeTempDir();
  try {
    await writeSyntheticRun(join(root, "runs"), "demo", { groups, dIn: 16, dOut: 16 });
    const [one] = chooseTranscoders(await findTranscoders(join(root, "runs"))).chosen;
    const transcoder = await openTranscoder(one.path, one.config), { path: directory, name, config } = one;
    const dictionary = await dictionaryOf({ ...multiplier, most }, { directory, name, config, transcoder });
    const { shape } = transcoder, record = plantedRecord(groups, TOKENS, rules);
    const recorded = await onMatrix(transcoder, "decoder", (decoder) => {
      return analyzeRecord(record, { shape, weights: { decoder } }, { dictionary, regroupings });
    });
    return { ...await analyzeTranscoder(one, 3, { recorded, reasons: {} }), recorded };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Features 8 to 15 fire under feature 0, 16 to 23 under 1 to 7 each. */
const rules: Rule[] = Array.from({ length: 24 }, (_, i) => bursty(i, TOKENS, 0.08));
for (let i = 8; i < 24; i++) {
  const parent = rules[i < 16 ? 0 : 1 + i % 7], within = chanceOf(500 + i, TOKENS);
  rules[i] = (t) => within[t] < 0.4 ? parent(t) : 0;
}
const nested = await planted({ groups: [8, 8, 8], rules });

type Row = Record<string, number | string>;

interface View {
  title?: { text: string; subtitle: string };
  data?: { values: Row[] };
  mark?: { type: string };
  encoding?: Record<string, { field?: string }>;
  layer?: View[];
  concat?: View[];
}

const view = ({ figures: [{ spec }] }: Section) => spec as View;
const panel = (section: Section, title: string) =>
  view(section).concat!.find((one) => one.title!.text.startsWith(title)) ?? assert.fail(`no panel ${title}`);

Deno.test("similarity: cells above the diagonal are cosines, those below it correlations, of the clusters' features", () => {
  const [cells, bounds] = panel(similaritySection(nested), "The largest clusters").layer!;
  const { features, cosine, correlation, clusters } = nested.recorded.patterns.matrix, n = features.length;
  assert.ok(n >= 8);
  const drawn = new Map(cells.data!.values.map(({ x, y, value }) => [`${y} ${x}`, Number(value)]));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const value = i === j ? 0 : (j > i ? cosine : correlation)[i * n + j];
      assert.ok(Math.abs((drawn.get(`${i} ${j}`) ?? 0) - value) < (drawn.has(`${i} ${j}`) ? 1e-3 : 0.03), `${i} ${j}`);
    }
  }
  assert.equal(bounds.data!.values.length, new Set(clusters).size);
});

Deno.test("similarity: the map has all features in the colours of their groups", () => {
  const { data } = panel(similaritySection(nested), "All features"), { dictionary } = nested.recorded;
  assert.ok(typeof dictionary !== "string");
  assert.deepEqual(data!.values.map(({ group }) => group), [0, 1, 2].flatMap((g) => Array(8).fill(`group ${g}`)));
  data!.values.forEach(({ x }, i) => assert.ok(Math.abs(Number(x) - dictionary.map.x[i]) < 1e-4));
});

Deno.test("weights: bars hold all elements within five standard deviations, beside as many of a normal distribution", () => {
  const { dictionary } = nested.recorded;
  assert.ok(typeof dictionary !== "string");
  for (const [title, elements] of [["W_enc", 16 * 24], ["W_dec", 16 * 24], ["b_enc", 24], ["b_dec", 16]] as const) {
    const [bars, normal] = panel(weightsSection(nested), title).layer!;
    assert.equal(bars.data!.values.reduce((sum, { count }) => sum + Number(count), 0), elements);
    const { low, high } = bars.data!.values[0], wide = Number(high) - Number(low);
    const curve = normal.data!.values.map(({ low, count }) => ({ low: Number(low), count: Number(count) }));
    const area = curve.slice(1).reduce((sum, { low, count }, i) => {
      return sum + (low - curve[i].low) * (count + curve[i].count) / 2 / wide;
    }, 0);
    assert.ok(area > 0.8 * elements && area < 1.001 * elements, `${title}: ${area} of ${elements}`);
  }
});

Deno.test("hierarchy: each edge joins a child to its parent, with its lift; what is not drawn is counted", () => {
  const { hierarchy } = nested.recorded, [curves, , lifts, points, notes] = view(hierarchySection(nested)).layer!;
  const largest = hierarchy!.families[0];
  assert.equal(largest.parent, 0);
  assert.ok(largest.children.length > 5);
  assert.equal(notes.data!.values[0].text, `5 of ${largest.children.length} children`);
  const feature = ({ label }: Row) => Number(String(label).split(":")[0]);
  const at = (x: number, row: number) => points.data!.values.filter((point) => point.x === x && point.row === row);
  const byEdge = Map.groupBy(curves.data!.values, ({ edge }) => edge);
  assert.equal(byEdge.size, lifts.data!.values.length);
  for (const steps of byEdge.values()) {
    const first = steps[0], last = steps[steps.length - 1];
    const [child] = at(Number(last.x) + 5, Number(last.row)), found = hierarchy!.parents[feature(child)]!;
    assert.ok(points.data!.values.some((point) => point.row === first.row && feature(point) === found.parent));
    assert.equal(first.lift, found.lift);
  }
});

Deno.test("a transcoder without nesting that differs in nothing else stands beside a nested one, without being asked", async () => {
  const flat = await planted({ groups: [24], rules, regroupings: [[8, 8, 8]] });
  const other = { ...flat, config: { ...flat.config, k: flat.config.k + 1 } };
  assert.equal(flatCounterpart(nested, [other, nested, flat]), flat);
  assert.equal(flatCounterpart(nested, [other, nested]), undefined);
  assert.equal(flatCounterpart(flat, [nested, flat]), undefined);
  const shorter = { ...flat, config: { ...flat.config, steps: flat.config.steps - 1 } };
  assert.equal(flatCounterpart(nested, [shorter]), undefined);
  assert.deepEqual(regroupingsFor(flat, [nested, flat, other]), [[8, 8, 8]]);
  assert.deepEqual(regroupingsFor(nested, [nested, flat]), []);

  const [beside, same] = withFlat([nested, flat]) as RecordedTranscoder[];
  assert.equal(same, flat);
  const { flat: found, hierarchy } = beside.recorded;
  // The same features fire in both: ordered by how often they fire they are the same, whatever they write.
  const fired = ({ judged, kept, mean_excess, median_lift }: ParentFigures) => [judged, kept, mean_excess, median_lift];
  assert.deepEqual(fired(found!.parents), fired(hierarchy!.by_density));
  assert.equal(found!.l0, found!.nested_l0);
  const said = hierarchySection(beside as RecordedTranscoder).parts.join("\n");
  assert.match(
    said,
    /(Nesting adds|A flat dictionary has more).*, trained without nesting, has 0\.\d+ ± 0\.\d+ by how/,
  );
  assert.doesNotMatch(said, /--against/);
  assert.match(hierarchySection(nested).parts.join("\n"), /--against RUN/);
  assert.equal(withFlat([nested, other])[0], nested);
});

Deno.test("whether features that fire alike write alike is said three ways", () => {
  const said = (within: number) => writtenSentence({ within, by_chance: 0.02, by_chance_std: 0.01 }).join("");
  assert.match(said(0.1), /^Features that fire alike write alike: .* 0\.100 on average, 0\.020 ± 0\.020 /);
  assert.match(said(0.03), /^Features that fire alike do not write alike: /);
  assert.match(said(-0.1), /^Features that fire alike write less alike than others: /);
  assert.equal(said(NaN), "");
  assert.deepEqual(
    mapSentences({ x: new Float32Array(), y: new Float32Array(), shares: [NaN, NaN], share_by_chance: 1 }),
    [],
  );
});

Deno.test("a dictionary whose rows were not compared has its other sections, and says so", async () => {
  const large = await planted({ groups: [8, 8, 8], rules, most: 24 * 24 * 32 - 1 }), sections = featureSections(large);
  const why =
    "to compare all pairs of 24 features takes too long for a report without a GPU; `mtc analyze similarity --run ";
  assert.ok(typeof large.recorded.dictionary === "string" && large.recorded.dictionary.startsWith(why));
  assert.ok(
    sections.find(({ title }) => title === "Weights")!.parts[0].startsWith(`The weights were not analysed: ${why}`),
  );
  const similarity = sections.find(({ title }) => title === "Similarity")!;
  assert.equal(view(similarity).concat!.length, 2);
  assert.doesNotMatch(similarity.parts.join("\n"), /decoder row|The map/);
});

Deno.test("a dictionary that never fires has all figures, and no sentence about nothing", async () => {
  const sections = featureSections(await planted({ groups: [8, 16], rules: rules.map(() => () => 0) }));
  for (const { figures } of sections) for (const { spec } of figures) await renderPng(spec);
  const page = sections.flatMap(({ parts }) => parts).join("\n");
  for (const word of ["undefined", "Infinity", "NaN"]) assert.ok(!page.includes(word), word);
  assert.match(page, /^\| correlation +\| +– \|/m);
  assert.match(page, /No two features fire on one token/);
});

Deno.test("a dictionary of one group has no tree, and all else", async () => {
  const sections = featureSections(await planted({ groups: [24], rules }));
  assert.deepEqual(sections.filter(({ figures }) => figures.length === 0).map(({ title }) => title), [
    "Hierarchy",
    "Semantic Coherence",
    "Tokens, Context and Other Layers",
    "Scores of the Original Project",
    "First-Letter Absorption",
  ]);
});
