/** Features that were planted alike are found alike, and random ones no more than chance has it. */

import assert from "node:assert/strict";
import { eachWithPartners, shuffledContexts } from "../../core/analysis/coactivation.ts";
import { cosine, type Directions, directionsOf } from "../../core/analysis/directions.ts";
import { Neighbours } from "../../core/analysis/neighbours.ts";
import { columnsOf, contextStarts } from "../../core/analysis/record.ts";
import { CosineTally, firingSimilarities, randomDirections } from "../../core/analysis/similarity.ts";
import { randomGenerator } from "../../core/random.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";
import { bursty, chanceOf, CONTEXT, plantedRecord, type Rule } from "./planted_record.ts";

const TOKENS = 4096, FEATURES = 60, WIDTH = 32;
const alone: Rule[] = Array.from({ length: FEATURES }, (_, i) => bursty(i, TOKENS, 0.05));
const random = directionsOf(gaussians(FEATURES * WIDTH, 3), WIDTH);

/** Dense activations [features][tokens] of a record's rules. */
const dense = (rules: readonly Rule[]) =>
  rules.map((rule) => Float64Array.from({ length: TOKENS }, (_, t) => Math.fround(rule(t))));

function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length, mean = (x: ArrayLike<number>) => Array.from(x).reduce((s, v) => s + v, 0) / n;
  const [ma, mb] = [mean(a), mean(b)];
  let ab = 0, aa = 0, bb = 0;
  for (let t = 0; t < n; t++) {
    ab += (a[t] - ma) * (b[t] - mb);
    aa += (a[t] - ma) ** 2;
    bb += (b[t] - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** All cosines as one block. */
function tallied(directions: Directions, blocks = 1) {
  const count = directions.rows.length / directions.width, tally = new CosineTally([count]);
  const side = Math.ceil(count / blocks);
  for (let firstRow = 0; firstRow < count; firstRow += side) {
    for (let firstColumn = firstRow; firstColumn < count; firstColumn += side) {
      const rows = Math.min(side, count - firstRow), columns = Math.min(side, count - firstColumn);
      const values = Float32Array.from(
        { length: rows * columns },
        (_, at) => cosine(directions, firstRow + Math.floor(at / columns), firstColumn + at % columns),
      );
      tally.take({ firstRow, rows, firstColumn, columns, values });
    }
  }
  return tally.result();
}

Deno.test("neighbours: the largest values of each in falling order, whatever order pairs come in; equal ones by number", () => {
  const next = uniform(5), values = Array.from({ length: 40 }, () => Math.floor(next() * 8));
  for (let trial = 0; trial < 20; trial++) {
    const order = values.map((_, i) => i).sort(() => next() - 0.5), kept = new Neighbours(2, 5);
    for (const other of order) kept.offer(1, other, values[other]);
    const expected = values.map((value, feature) => ({ feature, value }))
      .sort((a, b) => b.value - a.value || a.feature - b.feature).slice(0, 5);
    assert.deepEqual(kept.of(1), expected);
    assert.equal(kept.largest(1), expected[0].value);
  }
  assert.deepEqual(new Neighbours(2, 5).of(0), []);
});

Deno.test("firing: correlations and Jaccard indices of all pairs are those of loops over all tokens", () => {
  const rules = alone.slice();
  rules[7] = (t) => alone[6](t) * 2;
  rules[9] = (t) => Math.max(alone[8](t), alone[6](t));
  const record = plantedRecord([FEATURES], TOKENS, rules), activations = dense(rules);
  const { correlation, jaccard, tokens } = firingSimilarities(record, random);
  assert.equal(tokens, TOKENS);
  for (let i = 0; i < FEATURES; i++) {
    const others = activations.map((_, j) => j).filter((j) => j !== i);
    const both = (j: number) => activations[i].filter((a, t) => a > 0 && activations[j][t] > 0).length;
    const either = (j: number) => activations[i].filter((a, t) => a > 0 || activations[j][t] > 0).length;
    const nearest = (of: (j: number) => number) =>
      others.map((feature) => ({ feature, value: of(feature) })).sort((a, b) => b.value - a.value).slice(0, 10);
    const byCorrelation = nearest((j) => pearson(activations[i], activations[j]));
    assert.deepEqual(
      correlation.neighbours[i].map(({ feature }) => feature),
      byCorrelation.map(({ feature }) => feature),
    );
    const values = (of: readonly { value: number }[]) => of.map(({ value }) => value);
    assertClose("correlation", values(correlation.neighbours[i]), values(byCorrelation), { floor: 1e-9, relative: 0 });
    const byJaccard = nearest((j) => both(j) / either(j));
    assertClose("jaccard", values(jaccard.neighbours[i]), values(byJaccard), { floor: 1e-12, relative: 0 });
  }
});

Deno.test("planted duplicates and absorbed features are listed, those alone are not; shuffling leaves none", () => {
  const rules = alone.slice(), rows = random.rows.slice();
  const copy = (to: number, from: number) => {
    rules[to] = (t) => 1.5 * rules[from](t);
    for (let c = 0; c < WIDTH; c++) rows[to * WIDTH + c] = rows[from * WIDTH + c] + 0.2 * rows[to * WIDTH + c];
  };
  copy(20, 3);
  copy(21, 4);
  // They fire together but write other things.
  rules[22] = (t) => rules[5](t);
  const within = chanceOf(77, TOKENS);
  rules[30] = (t) => within[t] < 0.3 ? alone[6](t) : 0;
  const found = firingSimilarities(plantedRecord([FEATURES], TOKENS, rules), directionsOf(rows, WIDTH));
  assert.deepEqual(found.duplicates.map(({ a, b }) => [a, b]).sort(), [[3, 20], [4, 21]]);
  assert.equal(found.duplicate_pairs, 2);
  for (const { cosine, correlation, jaccard } of found.duplicates) {
    assert.ok(cosine > 0.95 && correlation > 0.999 && jaccard === 1);
  }
  const pairs = found.absorbed.map(({ inner, outer }) => `${inner} in ${outer}`).sort();
  const mutual = [[3, 20], [4, 21], [5, 22]].flatMap(([a, b]) => [`${a} in ${b}`, `${b} in ${a}`]);
  assert.deepEqual(pairs, [...mutual, "30 in 6"].sort());
  assert.deepEqual([found.absorbed_pairs, found.absorbed_by_chance], [7, 0]);
  assert.deepEqual(found.nearest.slice(0, 3).map(({ a, b }) => [a, b]), [[3, 20], [4, 21], [5, 22]]);
  assert.ok(
    found.nearest[0].cosine > 0.95 &&
      Math.abs(found.nearest[2].cosine - cosine(directionsOf(rows, WIDTH), 5, 22)) < 1e-9,
  );
  const { share } = found.absorbed.find(({ inner }) => inner === 30)!;
  assert.ok(Math.abs(share - 0.3) < 0.1);
});

Deno.test("features alone correlate no more than they do with shuffled contexts", () => {
  const { correlation: { largest, by_chance }, duplicates, absorbed } = firingSimilarities(
    plantedRecord([FEATURES], TOKENS, alone),
    random,
  );
  assert.ok(Math.abs(largest.median - by_chance.median) < 0.02, `${largest.median} against ${by_chance.median}`);
  assert.deepEqual([duplicates, absorbed], [[], []]);
});

Deno.test("shuffled contexts: each token once, in its column, other contexts beside each; ends of other lengths among themselves", () => {
  const whole = plantedRecord([1], TOKENS, [() => 1]);
  // The last token of every tenth context is left out.
  const kept = [...whole.place].filter((place) =>
    !(Math.floor(place / CONTEXT) % 10 === 0 && place % CONTEXT === CONTEXT - 1)
  );
  const record = { context: CONTEXT, place: Uint32Array.from(kept) };
  const beside = shuffledContexts(record, randomGenerator(1));
  assert.deepEqual([...beside].sort((a, b) => a - b), kept.map((_, t) => t));
  const column = (t: number) => kept[t] % CONTEXT, context = (t: number) => Math.floor(kept[t] / CONTEXT);
  assert.ok(kept.every((_, t) => column(t) === column(beside[t])));
  const starts = contextStarts(record).slice(0, -1);
  const still = starts.filter((t) => context(t) === context(beside[t])).length;
  assert.ok(still <= 5, `${still} of ${starts.length} contexts stand beside themselves`);
  const short = starts.filter((t) => context(t) % 10 === 0);
  assert.ok(short.every((t) => context(beside[t]) % 10 === 0));
});

Deno.test("partners: only those below the limit, counted once, nothing left of the feature before", () => {
  const rules: Rule[] = [
    (t) => t < 6 ? 1 : 0,
    (t) => t % 2 === 0 ? 2 : 0,
    (t) => t < 3 ? 3 : 0,
    (t) => t === 500 ? 1 : 0,
  ];
  const record = plantedRecord([4], 640, rules), columns = columnsOf(record, 4), seen: unknown[] = [];
  eachWithPartners(columns, record, 4, ({ feature, partners, together, products }) => {
    seen.push([feature, [...partners].sort(), [...together], [...products]]);
  }, { features: [0, 2, 3], limit: (feature) => feature });
  assert.deepEqual(seen, [
    [0, [], [0, 0, 0, 0], [0, 0, 0, 0]],
    [2, [0, 1], [3, 2, 0, 0], [9, 12, 0, 0]],
    [3, [1], [0, 1, 0, 0], [0, 2, 0, 0]],
  ]);
});

Deno.test("cosines: bands, histogram and neighbours of a dictionary with planted neighbours, in any blocks", () => {
  const rows = random.rows.slice();
  const near = (to: number, from: number, noise: number) => {
    for (let c = 0; c < WIDTH; c++) rows[to * WIDTH + c] = rows[from * WIDTH + c] + noise * rows[to * WIDTH + c];
  };
  near(40, 2, 0.1);
  near(41, 2, 0.35);
  near(50, 10, 0.6);
  const directions = directionsOf(rows, WIDTH), found = tallied(directions);
  assert.deepEqual(tallied(directions, 7), found);
  assert.equal(found.histogram.counts.reduce((a, b) => a + b), FEATURES * (FEATURES - 1) / 2);
  const pairs: [number, number, number][] = [];
  for (let i = 0; i < FEATURES; i++) {
    for (let j = i + 1; j < FEATURES; j++) pairs.push([i, j, cosine(directions, i, j)]);
  }
  for (const { least, pairs: count, features } of found.bands) {
    const within = pairs.filter(([, , value]) => value >= least);
    assert.deepEqual(
      [count, features],
      [within.length, new Set(within.flatMap(([i, j]) => [i, j])).size],
      `band ${least}`,
    );
  }
  assert.ok(found.bands[0].pairs >= 1 && found.bands[2].pairs > found.bands[0].pairs);
  assert.equal(found.neighbours[40][0].feature, 2);
  assert.ok(found.neighbours.every((of) => of.length === 10));
});

Deno.test("random directions have the second moment that is asked for", () => {
  const count = 20_000, width = 8, from = gaussians(50 * width, 9).map((x, at) => x * (1 + at % width));
  const moment = new Float64Array(width * width);
  for (let at = 0; at < from.length; at++) {
    const row = at - at % width;
    for (let c = 0; c < width; c++) moment[(at % width) * width + c] += from[at] * from[row + c] / 50;
  }
  const expected = moment.slice(),
    { u, draw } = randomDirections(moment, width, count),
    z = draw(count),
    found = new Float64Array(width * width);
  for (let r = 0; r < count; r++) {
    const made = Array.from(
      { length: width },
      (_, c) => Array.from({ length: width }, (_, k) => z[r * width + k] * u[k * width + c]).reduce((a, b) => a + b),
    );
    for (let i = 0; i < width; i++) for (let j = 0; j < width; j++) found[i * width + j] += made[i] * made[j] / count;
  }
  const scale = Array.from(expected, (_, at) => {
    const i = Math.floor(at / width), j = at % width;
    // Four standard errors of a mean of products of normal numbers.
    return 4 * Math.sqrt((expected[at] ** 2 + expected[i * width + i] * expected[j * width + j]) / count);
  });
  assertClose("second moment", found, expected, scale);
});

Deno.test("rows that are all alike have random directions too, though float32 leaves their second moment no longer definite", () => {
  const width = 128, row = gaussians(width, 3);
  // As a GPU adds it up: rank one, each product rounded.
  const moment = Float64Array.from({ length: width * width }, (_, at) => {
    const i = Math.floor(at / width), j = at % width;
    return Math.fround(row[Math.min(i, j)] * row[Math.max(i, j)]) * (1 + 3e-7 * ((i * 31 + j * 31) % 7 - 3));
  });
  const { draw, u } = randomDirections(moment, width, 4), z = draw(4);
  assert.ok([...z, ...u].every(Number.isFinite));
  const variance = (c: number) =>
    Array.from({ length: width }, (_, k) => u[k * width + c] ** 2).reduce((a, b) => a + b);
  for (let c = 0; c < width; c++) assert.ok(Math.abs(variance(c) - row[c] ** 2) < 0.01, `column ${c}`);
});
