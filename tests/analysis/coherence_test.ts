/** Semantic coherence: against NumPy going through all pairs, and of a world with a planted topic, a token detector and random features. */

import assert from "node:assert/strict";
import {
  type Coherence,
  CoherenceTally,
  EXAMPLES,
  featureExamples,
  type SourceColumns,
} from "../../core/analysis/coherence.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";
import { golden, goldenRecord } from "./layer_golden.ts";
import { bursty, chanceOf, CONTEXT, plantedRecord } from "./planted_record.ts";

/** Takes a source in, some tokens at a time. */
function coherenceOf(
  record: FeatureRecord,
  source: Float32Array,
  columns: SourceColumns,
  products: Float32Array,
  atOnce: number,
  most = Infinity,
): Coherence {
  const features = record.groups.reduce((sum, size) => sum + size, 0), width = columns.mean.length;
  const directions = products.length / record.place.length;
  const { judged, ...missed } = featureExamples(record, features, most);
  const tally = new CoherenceTally({ record, judged, columns, directions });
  for (let first = 0; first < record.place.length; first += atOnce) {
    const tokens = Array.from({ length: Math.min(atOnce, record.place.length - first) }, (_, n) => first + n);
    const rows = (all: Float32Array, size: number) => all.subarray(first * size, (first + tokens.length) * size);
    tally.add(tokens, rows(source, width), rows(products, directions));
  }
  return tally.figures(missed);
}

Deno.test("examples, cosines, what tokens explain and random directions are those of NumPy", () => {
  const flat = (rows: number[][]) => Float32Array.from(rows.flat()), close = { floor: 1e-6, relative: 1e-5 };
  const columns = { mean: Float64Array.from(golden.centre), scale: Float64Array.from(golden.scale) };
  const found = coherenceOf(goldenRecord, flat(golden.source), columns, flat(golden.products), 25);
  assert.deepEqual(found.features.map(({ examples }) => examples), golden.examples);
  assertClose("cosine", found.features.map(({ cosine }) => cosine), golden.cosine, close);
  assertClose("by token", found.features.map(({ by_token }) => by_token), golden.by_token, close);
  const expected = golden.cosine.map((cosine, i) => cosine - golden.by_token[i]);
  assertClose("coherence", found.features.map(({ coherence }) => coherence), expected, close);
  const { random } = golden, at = 0.99 * (random.length - 1), below = Math.floor(at);
  assert.equal(found.random.directions, random.length);
  const limit = random[below] + (at - below) * (random[below + 1] - random[below]);
  assertClose("chance", [found.random.median, found.random.limit], [random[(random.length - 1) / 2], limit], close);
});

// A planted world: what the model has is its token, what its context is about, and noise; one context in ten is about the same.
const TOKENS = 9600, WIDTH = 120, IDS = 50, perContext = CONTEXT - 1;
const contextOf = (t: number) => Math.floor(t / perContext);
const CONTEXTS = TOKENS / perContext, about = chanceOf(1, CONTEXTS);
const isTopic = (t: number) => about[contextOf(t)] < 0.1, topicOf = (t: number) => isTopic(t) ? CONTEXTS : contextOf(t);
const noise = gaussians(TOKENS * WIDTH, 2),
  tokens = gaussians(IDS * WIDTH, 3),
  topics = gaussians((CONTEXTS + 1) * WIDTH, 4);
const draws = [5, 6, 7, 8].map((seed) => chanceOf(seed, TOKENS));
const planted: FeatureRecord = {
  ...plantedRecord([2, 3], TOKENS, [
    (t) => t % IDS === 7 ? 1 + draws[0][t] : 0,
    (t) => isTopic(t) && draws[1][t] < 0.3 ? 1 + draws[1][t] : 0,
    (t) => draws[2][t] < 0.05 ? 1 + draws[2][t] : 0,
    (t) => isTopic(t) && t % IDS < 3 ? 1 + draws[3][t] : 0,
    (t) => t < 10 * perContext && draws[3][t] < 0.5 ? 1 : 0,
  ]),
  document: Uint32Array.from({ length: TOKENS }, (_, t) => Math.floor(contextOf(t) / 10)),
};
const source = Float32Array.from({ length: TOKENS * WIDTH }, (_, at) => {
  const t = Math.floor(at / WIDTH), d = at % WIDTH;
  return 5 + 2 * tokens[t % IDS * WIDTH + d] + 1.5 * topics[topicOf(t) * WIDTH + d] + noise[at];
});
const columns = { mean: new Float64Array(WIDTH), scale: new Float64Array(WIDTH).fill(1) };
source.forEach((value, at) => columns.mean[at % WIDTH] += value / TOKENS);
const DIRECTIONS = 150, directions = gaussians(DIRECTIONS * WIDTH, 9);
const products = Float32Array.from({ length: TOKENS * DIRECTIONS }, (_, at) => {
  const t = Math.floor(at / DIRECTIONS), direction = at % DIRECTIONS;
  let sum = 0;
  for (let d = 0; d < WIDTH; d++) sum += source[t * WIDTH + d] * directions[direction * WIDTH + d];
  return sum;
});

Deno.test("a planted topic is coherent beyond its tokens, a token detector and random firings come to 0", () => {
  const found = coherenceOf(planted, source, columns, products, 999);
  const [detector, semantic, random, topical] = found.features;
  assert.deepEqual(found.features.map(({ feature }) => feature), [0, 1, 2, 3]);
  assert.deepEqual([found.rare, found.left_out, found.tokens], [1, 0, TOKENS], "the last fires in ten contexts alone");
  assert.ok(detector.cosine > 0.5 && Math.abs(detector.coherence) < 0.03, JSON.stringify(detector));
  assert.ok(detector.token_entropy === 0 && Math.abs(detector.by_token - detector.cosine) < 0.03);
  assert.ok(Math.abs(random.coherence) < 0.06 && random.token_entropy > 5, JSON.stringify(random));
  for (const one of [semantic, topical]) {
    assert.ok(one.coherence > found.random.limit && one.ci95[0] > 0.1, JSON.stringify(one));
  }
  assert.ok(topical.by_token > 0.1, "its few tokens explain a part, and not the topic");
  assert.ok(found.random.limit > 0.02 && found.random.median < found.random.limit);
  assert.equal(found.beyond, 2);
  for (const { coherence, ci95: [low, high], examples, documents } of found.features) {
    assert.ok(low < coherence && coherence < high, `${low} ${coherence} ${high}`);
    assert.equal(new Set(examples.map(contextOf)).size, EXAMPLES);
    assert.ok(documents > 5 && documents <= EXAMPLES);
  }
});

Deno.test("the figures do not hang on how many tokens come at once, and only what there is room for is kept", () => {
  const whole = coherenceOf(planted, source, columns, products, TOKENS);
  assert.deepEqual(coherenceOf(planted, source, columns, products, 64), whole);
  const fires = whole.features.map(({ fires }) => fires), most = 2 * EXAMPLES;
  const short = coherenceOf(planted, source, columns, products, TOKENS, most);
  assert.deepEqual([short.left_out, short.rare], [2, 1]);
  const kept = fires.toSorted((a, b) => b - a).slice(0, 2);
  assert.deepEqual(short.features, whole.features.filter((one) => kept.includes(one.fires)));
});

Deno.test("where all contexts are of one document, intervals resample the examples", () => {
  const one = { ...planted, document: new Uint32Array(TOKENS) };
  const found = coherenceOf(one, source, columns, products, TOKENS), [, semantic] = found.features;
  assert.ok(semantic.documents === 1 && semantic.ci95[0] > 0.1 && semantic.ci95[1] > semantic.coherence);
  assert.equal(featureExamples({ ...planted, ...plantedRecord([1], TOKENS, [bursty(3, 320, 0.5)]) }, 1, 99).rare, 1);
});
