/** Scores of other projects: against NumPy, SciPy and scikit-learn, and what they say of planted worlds. */

import assert from "node:assert/strict";
import { comparableContexts, weighWords, wordCosine } from "../../core/analysis/context_similarity.ts";
import { cosine, directionsOf } from "../../core/analysis/directions.ts";
import { monosemanticities, ORIGINAL_DEFINITIONS, originalScores } from "../../core/analysis/original_scores.ts";
import type { LossEvaluation } from "../../core/analysis/loss.ts";
import { columnsOf, type FeatureRecord } from "../../core/analysis/record.ts";
import { SAEBENCH_DEFINITIONS, SaebenchSums, toldSaebench } from "../../core/analysis/saebench.ts";
import { CosineTally } from "../../core/analysis/similarity.ts";
import { similarRows } from "../../core/analysis/similar_rows.ts";
import { binomialTail, surroundingWords } from "../../core/analysis/surrounding_words.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";
import { CONTEXT, plantedRecord } from "./planted_record.ts";

interface Golden {
  groups: number[];
  rows: [number, number][][];
  decoder: number[][];
  original: {
    absorption_score: number;
    splitting_score: number;
    monosemanticity: number[];
    median: number;
    within: number[];
    between: number[];
    ratio: number[];
  };
  y: number[][];
  y_hat: number[][];
  saebench: Record<string, Record<string, number>>;
  texts: string[];
  tfidf: number[][];
}

const golden: Golden = JSON.parse(await Deno.readTextFile(new URL("../golden/scores.json", import.meta.url)));
const FEATURES = golden.decoder.length, TOKENS = golden.rows.length, WIDTH = golden.decoder[0].length;
const record: FeatureRecord = {
  ...plantedRecord(golden.groups, TOKENS, []),
  rowStart: Uint32Array.from(
    [0, ...golden.rows],
    (_, t) => golden.rows.slice(0, t).reduce((sum, row) => sum + row.length, 0),
  ),
  index: Uint32Array.from(golden.rows.flat(), ([feature]) => feature),
  value: Float32Array.from(golden.rows.flat(), ([, value]) => value),
};
const EXACT = { floor: 1e-12, relative: 1e-9 };

/** All cosines of a matrix's rows, in one block. */
function cosinesOf(rows: Float32Array, width: number, groups: readonly number[]) {
  const directions = directionsOf(rows, width), count = rows.length / width, tally = new CosineTally(groups);
  const values = Float32Array.from(
    { length: count ** 2 },
    (_, at) => cosine(directions, Math.floor(at / count), at % count),
  );
  tally.take({ firstRow: 0, rows: count, firstColumn: 0, columns: count, values });
  return tally.result();
}

const decoder = Float32Array.from(golden.decoder.flat());
const random = gaussians(FEATURES * WIDTH, 3);
const compared = {
  cosines: cosinesOf(decoder, WIDTH, golden.groups),
  by_chance: cosinesOf(random, WIDTH, golden.groups),
};

Deno.test("the original project's scores are those of NumPy and SciPy", () => {
  const found = originalScores(record, compared), { monosemanticity, group_stats } = found, { original } = golden;
  assert.ok(original.absorption_score > 0 && original.splitting_score > 0, "both have something to find");
  assert.equal(found.absorption_score, original.absorption_score);
  assert.equal(found.splitting_score, original.splitting_score);
  assert.equal(found.absorbed_pairs, 1);
  assertClose(
    "monosemanticity",
    monosemanticities(columnsOf(record, FEATURES), TOKENS),
    original.monosemanticity,
    EXACT,
  );
  assertClose("median", [monosemanticity.median], [original.median], EXACT);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  assertClose("mean", [monosemanticity.mean], [mean(original.monosemanticity)], EXACT);
  const near = { floor: 1e-7, relative: 1e-6 };
  const of = (key: "within_similarity" | "between_similarity" | "separation_ratio") =>
    group_stats.map(({ [key]: value }) => value ?? NaN);
  assertClose("within", of("within_similarity"), original.within, near);
  assertClose("between", of("between_similarity").slice(0, -1), original.between, near);
  assertClose("ratio", of("separation_ratio").slice(0, -1), original.ratio, near);
  assert.equal(group_stats[2].between_similarity, null);
  assert.deepEqual(Object.keys(ORIGINAL_DEFINITIONS).filter((key) => !(key in found)), []);
});

Deno.test("what the original's monosemanticity cannot say: a feature that never fires is best, and tokens do not matter", () => {
  const columns = columnsOf(record, FEATURES), scores = monosemanticities(columns, TOKENS);
  assert.equal(scores[2], 1);
  assert.equal(originalScores(record, compared).monosemanticity.never_fire, 1);
  const elsewhere = { ...columns, token: columns.token.map((t) => (t * 7 + 3) % TOKENS) };
  assert.deepEqual(monosemanticities(elsewhere, TOKENS), scores);
});

Deno.test("SAEBench's figures are its formulas", () => {
  const sums = new SaebenchSums(WIDTH), dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  golden.y.forEach((y, t) => {
    const hat = golden.y_hat[t], error = y.map((value, i) => value - hat[i]);
    sums.add(dot(y, y), dot(hat, hat), dot(y, hat), dot(error, error));
  });
  const fires = new Float64Array(FEATURES);
  for (const [feature] of golden.rows.flat()) fires[feature]++;
  const { definitions, ...found } = sums.result(golden.rows.flat().length / TOKENS, fires);
  assert.deepEqual(
    Object.entries(found).map(([category, figures]) => [category, Object.keys(figures)]),
    Object.entries(golden.saebench).map(([category, figures]) => [category, Object.keys(figures)]),
  );
  for (const [category, figures] of Object.entries(found)) {
    assertClose(category, Object.values(figures), Object.values(golden.saebench[category]), {
      floor: 0,
      relative: 1e-6,
    });
  }
  assert.deepEqual(definitions, SAEBENCH_DEFINITIONS);
});

Deno.test("SAEBench's figures of loss and cosines join where they were measured, each with its definition", () => {
  const interval: [number, number] = [NaN, NaN];
  const figures = (ce: number, kl: number) => {
    return { ce, ce_ci95: interval, kl, kl_ci95: interval, top1: 0.5, top1_ci95: interval };
  };
  const recovered = {
    recovered_zero: 0.8,
    recovered_zero_ci95: interval,
    recovered_mean: 0.7,
    recovered_mean_ci95: interval,
  };
  const loss: LossEvaluation = {
    ...{ tokens: 9, contexts: 3, documents: 1, resampled: "contexts", definitions: {} },
    clean: { ce: 3, ce_ci95: interval },
    zero: figures(4, 2),
    mean: figures(3.9, 1.5),
    per_prefix: [figures(3.5, 1), figures(3.2, 0.5)].map((one, p) => ({ prefix: p + 1, ...one, ...recovered })),
  };
  const base = new SaebenchSums(2).result(0, new Float64Array(2));
  const told = toldSaebench(base, { loss, cosines: { encoder: compared.by_chance, decoder: compared.cosines } });
  assert.deepEqual(told.model_behavior_preservation, {
    kl_div_score: 0.75,
    kl_div_with_ablation: 2,
    kl_div_with_sae: 0.5,
  });
  assert.deepEqual(told.model_performance_preservation, {
    ce_loss_score: 0.8,
    ce_loss_with_ablation: 4,
    ce_loss_with_sae: 3.2,
    ce_loss_without_sae: 3,
  });
  const largest = compared.cosines.neighbours.map(([{ value }]) => value);
  const { average_max_decoder_cosine_sim } = told.misc_metrics;
  assertClose("largest", [average_max_decoder_cosine_sim!], [largest.reduce((a, b) => a + b) / FEATURES], EXACT);
  const { definitions, ...categories } = told, named = Object.values(categories).flatMap((one) => Object.keys(one));
  assert.deepEqual(named.sort(), Object.keys(definitions).sort());
  assert.deepEqual(toldSaebench(base, {}), base);
});

Deno.test("words weigh as scikit-learn's TfidfVectorizer weighs them", () => {
  const words = weighWords(golden.texts);
  const found = words.flatMap((a) => words.map((b) => wordCosine(a, b)));
  assertClose("cosines", found, golden.tfidf.flat(), { floor: 1e-12, relative: 0 });
});

Deno.test("contexts: features among the same words are alike, others are not more than random places", () => {
  const tokens = 64 * (CONTEXT - 1), context = (t: number) => Math.floor(t / (CONTEXT - 1));
  const ships = (t: number) => context(t) % 4 === 0, banks = (t: number) => context(t) % 4 === 1;
  // Around features 0 and 1 there are ships, around 2 banks; each fires once in a context, 0 and 1 in different ones.
  const middle = (t: number, of: boolean) => of && t % (CONTEXT - 1) === 16 ? 1 + context(t) / 64 : 0;
  const planted = plantedRecord([3], tokens, [
    (t) => middle(t, ships(t) && context(t) % 8 === 0),
    (t) => middle(t, ships(t) && context(t) % 8 === 4),
    (t) => middle(t, banks(t)),
  ]);
  const id = planted.id.map((_, t) => (ships(t) ? 0 : banks(t) ? 100 : 200) + t % 5);
  const text = (id: number) => ` ${["ship", "bank", "town"][Math.floor(id / 100)]}${id % 100}`;
  const tokenTexts = new Map([...id].map((id) => [id, text(id)]));
  const { between, by_chance } = comparableContexts({ ...planted, id, tokenTexts }, columnsOf(planted, 3), [0, 1, 2]);
  assert.ok(between(0, 1) > 0.9 && between(0, 2) === 0, `${between(0, 1)} ${between(0, 2)}`);
  assert.ok(by_chance > 0 && by_chance < between(0, 1) / 2, `${by_chance}`);
  assert.equal(between(0, 1), between(1, 0));
});

Deno.test("contexts: features that fire in one context alone have no other to be compared with", () => {
  const planted = plantedRecord([2], 2 * CONTEXT, [(t) => t === 3 ? 1 : 0, (t) => t === 5 ? 1 : 0]);
  assert.ok(Number.isNaN(comparableContexts(planted, columnsOf(planted, 2), [0, 1]).between(0, 1)));
});

Deno.test("words around: a planted word is told with its share of the text, the firing's own and those of chance are not", () => {
  const tokens = 100 * (CONTEXT - 1),
    planted = plantedRecord([2], tokens, [
      (t) => t % (CONTEXT - 1) === 16 ? 1 + t / tokens : 0,
      (t) => t % 97 === 5 ? 1 : 0,
    ]);
  // Every tenth token is "harbour" in the last 20 contexts, the firing itself is "anchor", all else one of 500 words in no order.
  const own = (t: number) =>
    t >= 0.8 * tokens ? t % 10 === 0 ? 900 : t % (CONTEXT - 1) === 16 ? 901 : undefined : undefined;
  const draw = uniform(8), id = planted.id.map((_, t) => own(t) ?? Math.floor(500 * draw()));
  const text = (id: number) => id === 900 ? " harbour" : id === 901 ? " anchor" : ` w${id}`;
  const record = { ...planted, id, tokenTexts: new Map([...id].map((id) => [id, text(id)])) };
  const [first, second] = surroundingWords(record, columnsOf(planted, 2), [0, 1]);
  assert.deepEqual([first.excerpts, first.words.map(({ word, excerpts }) => [word, excerpts])], [10, [[
    "harbour",
    10,
  ]]]);
  assert.ok(Math.abs(first.words[0].share_of_text - 0.2) < 0.05);
  assert.deepEqual(second.words, []);
});

Deno.test("binomial tails", () => {
  assert.ok(Math.abs(binomialTail(10, 0, 0.3) - 1) < 1e-14);
  assert.ok(Math.abs(binomialTail(10, 10, 0.5) - 2 ** -10) < 1e-15);
  assert.ok(Math.abs(binomialTail(3, 2, 0.25) - (3 * 0.25 ** 2 * 0.75 + 0.25 ** 3)) < 1e-15);
});

Deno.test("like rows: the planted pair is nearest and counted in its band, with its distance", () => {
  const { pairs, bands, bands_by_chance, l2_of_any } = similarRows(decoder, WIDTH, compared);
  const [{ a, b, l2, cosine }] = pairs;
  assert.deepEqual([a, b], [1, 9]);
  assertClose("distance", [l2], [Math.hypot(...golden.decoder[1].map((x, c) => x - golden.decoder[9][c]))], EXACT);
  assert.ok(cosine > 0.95 && l2 < l2_of_any.p05);
  assert.deepEqual(bands.map(({ pairs }) => pairs), [1, 1, 1]);
  assert.deepEqual(bands_by_chance.map(({ pairs }) => pairs), [0, 0, 0]);
  assert.equal(new Set(pairs.map(({ a, b }) => `${a} ${b}`)).size, pairs.length, "no pair twice");
  assert.ok(pairs.every(({ a, b }) => a < b));
  assert.deepEqual(pairs.map(({ cosine }) => cosine), pairs.map(({ cosine }) => cosine).sort((x, y) => y - x));
});
