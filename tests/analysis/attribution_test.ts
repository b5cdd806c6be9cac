/** What features are made of: the tally against float64 loops, a planted world, and tokens ranked by directions. */

import assert from "node:assert/strict";
import { AttributionTally, type Component, normScales, partsAt } from "../../core/analysis/attribution.ts";
import { Spread } from "../../core/analysis/spread.ts";
import { TokenRanks } from "../../core/analysis/token_ranks.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";

const WIDTH = 10, CONTEXTS = 6, CONTEXT = 7, TOKENS = CONTEXTS * CONTEXT;
const COMPONENTS: Component[] = [
  { name: "embedding", kind: "embedding" },
  { name: "layer0.attn_out", kind: "earlier_attention" },
  { name: "layer0.mlp_out", kind: "earlier_mlps" },
  { name: "layer1.attn_out", kind: "own_attention" },
];
const close = { floor: 1e-9, relative: 1e-9 };

/** Features that fire where their pre-activation over random components is above 0. */
function planted(reads: Float32Array, biases: Float32Array, isNormed: boolean) {
  const parts = COMPONENTS.map((_, k) => gaussians(TOKENS * WIDTH, 20 + k).map((x) => x + 0.5 * k));
  const scales = isNormed ? normScales(parts, WIDTH, 1e-6) : null, features = biases.length;
  const pre = (token: number, feature: number) =>
    parts.reduce((sum, _, k) => sum + partOf(reads, parts, scales, token, feature, k), biases[feature]);
  const tally = new AttributionTally(reads, biases, COMPONENTS.length, CONTEXTS);
  for (const [first, end] of [[0, 19], [19, TOKENS]]) {
    const rowStart = [0], index: number[] = [], value: number[] = [];
    for (let token = first; token < end; token++) {
      for (let i = 0; i < features; i++) if (pre(token, i) > 0) void (index.push(i), value.push(pre(token, i)));
      rowStart.push(index.length);
    }
    tally.add({
      contexts: Uint32Array.from({ length: end - first }, (_, i) => Math.floor((first + i) / CONTEXT)),
      features: {
        rowStart: Uint32Array.from(rowStart),
        index: Uint32Array.from(index),
        value: Float32Array.from(value),
      },
      parts: parts.map((part) => part.subarray(first * WIDTH, end * WIDTH)),
      scales: scales && scales.subarray(first, end),
    });
  }
  const attribution = tally.figures(COMPONENTS, [0, 0, 1, 2, 3, 4], (feature) => feature % 2);
  return { parts, scales, pre, attribution };
}

function partOf(
  reads: Float32Array,
  parts: readonly Float32Array[],
  scales: Float64Array | null,
  token: number,
  feature: number,
  k: number,
): number {
  let sum = 0;
  for (let d = 0; d < WIDTH; d++) sum += reads[feature * WIDTH + d] * parts[k][token * WIDTH + d];
  return sum * (scales ? scales[token] : 1);
}

for (const isNormed of [false, true]) {
  Deno.test(`parts, typical values and shares are those of float64 loops${isNormed ? ", behind a norm" : ""}`, () => {
    const reads = gaussians(5 * WIDTH, 1), biases = Float32Array.of(-1, 0.2, -3, 0, -1e6);
    const { parts, scales, pre, attribution } = planted(reads, biases, isNormed);
    const all = Array.from({ length: TOKENS }, (_, token) => token);
    if (scales) {
      const token = 11;
      const mean = all.slice(0, WIDTH).reduce((sum, d) => {
        return sum + parts.reduce((part, one) => part + one[token * WIDTH + d], 0) ** 2 / WIDTH;
      }, 0);
      assertClose("scale", [scales[token]], [(mean + 1e-6) ** -0.5], close);
    }
    const living = [0, 1, 2, 3].filter((i) => all.some((token) => pre(token, i) > 0));
    assert.deepEqual(attribution.features.map(({ feature }) => feature), living);
    for (const { feature, group, fires, activation, bias, parts: means, typical, shares } of attribution.features) {
      const fired = all.filter((token) => pre(token, feature) > 0);
      const mean = (tokens: number[], of: (token: number) => number) =>
        tokens.reduce((sum, token) => sum + of(token), 0) / tokens.length;
      const expected = (tokens: number[]) =>
        COMPONENTS.map((_, k) => mean(tokens, (token) => partOf(reads, parts, scales, token, feature, k)));
      assert.deepEqual([group, fires, bias], [feature % 2, fired.length, biases[feature]]);
      assertClose("parts", means, expected(fired), close);
      assertClose("typical", typical, expected(all), close);
      assertClose("sum", [means.reduce((a, b) => a + b) + bias], [activation], { floor: 1e-6, relative: 1e-6 });
      const rise = expected(fired).map((part, k) => part - expected(all)[k]), total = rise.reduce((a, b) => a + b);
      assertClose("shares", COMPONENTS.map(({ kind }) => shares[kind]), rise.map((one) => one / total), {
        floor: 1e-7,
        relative: 1e-7,
      });
      assert.equal(shares.own_mlp, 0);
    }
    const rises = COMPONENTS.map((_, k) =>
      attribution.features.reduce((sum, { fires, parts, typical }) => sum + fires * (parts[k] - typical[k]), 0)
    );
    const total = rises.reduce((a, b) => a + b);
    assertClose("whole", attribution.components.map(({ share }) => share), rises.map((one) => one / total), close);
    assertClose("kinds", [attribution.kinds.reduce((sum, { share }) => sum + share, 0)], [1], close);
    assert.deepEqual(attribution.kinds.map(({ kind }) => kind), [
      "embedding",
      "earlier_attention",
      "earlier_mlps",
      "own_attention",
    ]);
    for (const { share, ci95: [low, high] } of attribution.kinds) assert.ok(low < share && share < high);
    assert.deepEqual([attribution.tokens, attribution.documents, attribution.resampled], [TOKENS, 5, "documents"]);
    assert.ok(attribution.largest_error < 1e-7, String(attribution.largest_error));
  });
}

Deno.test("a feature that reads what one attention alone writes is attributed to it", () => {
  // Components write into dimensions of their own; the first feature reads that of layer 1's attention.
  const reads = new Float32Array(2 * WIDTH), biases = Float32Array.of(-1, -0.5);
  reads[3] = 2;
  reads[WIDTH + 2] = 1;
  const parts = COMPONENTS.map((_, k) => {
    const part = new Float32Array(TOKENS * WIDTH), noise = gaussians(TOKENS, k + 1);
    noise.forEach((value, token) => part[token * WIDTH + k] = value);
    return part;
  });
  const tally = new AttributionTally(reads, biases, COMPONENTS.length, CONTEXTS);
  const entries = Array.from(
    { length: TOKENS },
    (_, t) =>
      [2 * parts[3][t * WIDTH + 3] - 1, parts[2][t * WIDTH + 2] - 0.5].flatMap((f, i) =>
        f > 0 ? [[i, f] as const] : []
      ),
  );
  const rowStart = entries.reduce((starts, one) => [...starts, starts.at(-1)! + one.length], [0]),
    flat = entries.flat();
  tally.add({
    contexts: Uint32Array.from({ length: TOKENS }, (_, token) => Math.floor(token / CONTEXT)),
    features: {
      rowStart: Uint32Array.from(rowStart),
      index: Uint32Array.from(flat, ([i]) => i),
      value: Float32Array.from(flat, ([, f]) => f),
    },
    parts,
    scales: null,
  });
  const { features: [one, two] } = tally.figures(COMPONENTS, [0, 1, 2, 3, 4, 5], () => 0);
  const none = { embedding: 0, earlier_attention: 0, earlier_mlps: 0, own_attention: 0, own_mlp: 0 };
  assert.deepEqual(one.shares, { ...none, own_attention: 1 });
  assert.deepEqual(two.shares, { ...none, earlier_mlps: 1 });
  assert.deepEqual(one.parts.slice(0, 3), [0, 0, 0]);
});

Deno.test("a token's parts are those of its own row", () => {
  const reads = gaussians(2 * WIDTH, 3), parts = [gaussians(3 * WIDTH, 4), gaussians(3 * WIDTH, 5)];
  const scales = Float64Array.of(1, 2, 3);
  const expected = parts.map((_, k) => partOf(reads, parts, scales, 2, 1, k));
  assertClose("parts", partsAt(reads, 1, { parts, scales }, 2, WIDTH), expected, close);
});

Deno.test("a spread is the histogram of all numbers, however far the later ones lie from the first", () => {
  const next = gaussians(4000, 11);
  for (const scale of [1e-6, 1, 37]) {
    const values = Array.from(
      next,
      (value, i) => i === 0 ? 1e-3 * scale : i === 7 ? 0 : scale * value * (i > 2000 ? 50 : 1),
    );
    const spread = new Spread();
    for (const value of [...values, NaN, Infinity]) spread.add(value);
    const { from, to, counts } = spread.histogram(2)!, width = (to - from) / counts.length;
    assert.ok(counts.length >= 32 && counts.length <= 64, `${counts.length} bins`);
    counts.forEach((count, bin) => {
      const low = from + 2 + bin * width, high = low + width;
      assert.equal(count, values.filter((value) => value >= low && value < high).length, `bin ${bin}`);
    });
    assert.deepEqual([counts[0] > 0, counts.at(-1)! > 0], [true, true]);
  }
  const still = new Spread();
  assert.equal(still.histogram(0), null);
  still.add(0);
  assert.equal(still.histogram(0), null);
});

Deno.test("tokens are ranked at both ends as if all values were sorted, and of equal ones the smaller id is first", () => {
  const next = uniform(9), tokens = 57, directions = 3, most = 6;
  const values = Float32Array.from({ length: tokens * directions }, () => Math.floor(20 * next()) - 10);
  const ranks = new TokenRanks(directions, most);
  for (const [first, end] of [[0, 5], [5, 40], [40, 57]]) {
    ranks.add(values.subarray(first * directions, end * directions));
  }
  ranks.rankings.forEach(({ highest, lowest, mean, std }, n) => {
    const column = Array.from({ length: tokens }, (_, id) => ({ id, value: values[id * directions + n] }));
    assert.deepEqual(highest, column.toSorted((a, b) => b.value - a.value || a.id - b.id).slice(0, most));
    assert.deepEqual(lowest, column.toSorted((a, b) => a.value - b.value || a.id - b.id).slice(0, most));
    const expected = column.reduce((sum, { value }) => sum + value / tokens, 0);
    const variance = column.reduce((sum, { value }) => sum + (value - expected) ** 2 / tokens, 0);
    assertClose("moments", [mean, std], [expected, Math.sqrt(variance)], close);
  });
});
