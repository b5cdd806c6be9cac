/** The map of features, and the matrix of clusters: against what was planted, and against plain loops. */

import assert from "node:assert/strict";
import { clusterMatrix, writtenAlike } from "../../core/analysis/cluster_matrix.ts";
import { clusterFeatures, type FeatureCluster } from "../../core/analysis/clusters.ts";
import { cosine, directionsOf } from "../../core/analysis/directions.ts";
import { featureMap } from "../../core/analysis/feature_map.ts";
import { loopedMoment } from "../../core/analysis/looped_products.ts";
import { columnsOf } from "../../core/analysis/record.ts";
import { firingSimilarities } from "../../core/analysis/similarity.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";
import { bursty, chanceOf, plantedRecord, type Rule } from "./planted_record.ts";

const WIDTH = 24;

/** Rows that differ along some axes more than along others, in a space that is turned by reflections, about a common mean. */
function turnedRows(count: number, lengths: readonly number[]): { rows: Float32Array<ArrayBuffer>; axes: number[][] } {
  const turn = (vector: number[]) => {
    for (const seed of [1, 2, 3]) {
      const mirror = gaussians(WIDTH, seed), squares = mirror.reduce((sum, value) => sum + value * value, 0);
      const along = vector.reduce((sum, value, c) => sum + value * mirror[c], 0);
      vector = vector.map((value, c) => value - 2 * along / squares * mirror[c]);
    }
    return vector;
  };
  const draws = gaussians(count * WIDTH, 7), rows = new Float32Array(count * WIDTH);
  for (let i = 0; i < count; i++) {
    const row = Array.from({ length: WIDTH }, (_, c) => draws[i * WIDTH + c] * lengths[c] + (c === 5 ? 3 : 0));
    rows.set(turn(row), i * WIDTH);
  }
  const axis = (n: number) => turn(Array.from({ length: WIDTH }, (_, c) => c === n ? 1 : 0));
  return { rows, axes: [axis(0), axis(1)] };
}

Deno.test("the map lies along the two directions in which rows differ most, whatever they have in common", () => {
  const lengths = Array.from({ length: WIDTH }, (_, c) => [3, 2][c] ?? 0.3), count = 3000;
  const { rows, axes } = turnedRows(count, lengths),
    { x, y, shares } = featureMap(
      { rows, width: WIDTH },
      loopedMoment(rows, WIDTH),
    );
  const all = lengths.reduce((sum, length) => sum + length ** 2, 0);
  assertClose("shares", shares, [9 / all, 4 / all], { floor: 0.02, relative: 0 });
  for (const [found, axis] of [[x, axes[0]], [y, axes[1]]] as const) {
    const along = Float64Array.from(
      { length: count },
      (_, i) => axis.reduce((sum, v, c) => sum + v * rows[i * WIDTH + c], 0),
    );
    const mean = along.reduce((sum, value) => sum + value, 0) / count;
    const product = along.reduce((sum, value, i) => sum + (value - mean) * found[i], 0);
    const sides = Math.hypot(...along.map((value) => value - mean)) * Math.hypot(...found);
    assert.ok(Math.abs(product / sides) > 0.999, `${product / sides}`);
  }
  // A shadow: never further apart than the rows are.
  const next = uniform(3);
  for (let n = 0; n < 200; n++) {
    const [i, j] = [0, 1].map(() => Math.floor(next() * count));
    const apart = Math.hypot(...Array.from({ length: WIDTH }, (_, c) => rows[i * WIDTH + c] - rows[j * WIDTH + c]));
    assert.ok(Math.hypot(x[i] - x[j], y[i] - y[j]) <= apart + 1e-4);
  }
});

Deno.test("of directions drawn at random the map shows the share that is called chance", () => {
  for (const [count, width] of [[600, 100], [2000, 40]]) {
    const directions = directionsOf(gaussians(count * width, count), width);
    const { shares, share_by_chance } = featureMap(directions, loopedMoment(directions.rows, width));
    assert.ok(Math.abs((shares[0] + shares[1]) / share_by_chance - 1) < 0.08, `${shares} ${share_by_chance}`);
  }
});

Deno.test("rows that do not vary, and rows of two dimensions, have a map without surprises", () => {
  const same = new Float32Array(8 * 3).fill(0.5), none = featureMap({ rows: same, width: 3 }, loopedMoment(same, 3));
  assert.ok(none.shares.every((share) => Number.isNaN(share)) && none.x.every((value) => Math.abs(value) < 1e-6));
  const flat = gaussians(50 * 2, 5), all = featureMap({ rows: flat, width: 2 }, loopedMoment(flat, 2));
  assertClose("all of the variance", [all.shares[0] + all.shares[1]], [1], { floor: 1e-6, relative: 0 });
});

const TOKENS = 2048, GROUPS = [40];

/** Eight clusters of four, which fire where their own rule says so, and eight features by themselves. */
function planted() {
  const rules: Rule[] = Array.from({ length: 40 }, (_, i) => {
    if (i >= 32) return bursty(900 + i, TOKENS, 0.05);
    const shared = bursty(100 + i % 8, TOKENS, 0.05), within = chanceOf(300 + i, TOKENS);
    return (t) => within[t] < 0.9 ? shared(t) : 0;
  });
  const record = plantedRecord(GROUPS, TOKENS, rules);
  return { record, columns: columnsOf(record, 40), found: clusterFeatures(record, 40) };
}

Deno.test("the matrix has whole clusters beside each other, with the cosines and correlations of their features", () => {
  const { record, columns, found } = planted(), decoder = directionsOf(gaussians(40 * WIDTH, 11), WIDTH);
  const { features, clusters, cosine: cosines, correlation } = clusterMatrix(record, columns, decoder, found);
  const n = features.length;
  assert.deepEqual(features.toSorted((a, b) => a - b), Array.from({ length: 32 }, (_, i) => i));
  assert.deepEqual(clusters, clusters.toSorted((a, b) => a - b));
  features.forEach((feature, at) => assert.ok(found.clusters[clusters[at]].features.includes(feature)));
  const { correlation: { neighbours } } = firingSimilarities(record, decoder);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i !== j) assert.equal(cosines[i * n + j], Math.fround(cosine(decoder, features[i], features[j])));
      const near = neighbours[features[i]].find(({ feature }) => feature === features[j]);
      if (near) assert.ok(Math.abs(correlation[i * n + j] - near.value) < 1e-6);
    }
  }
});

Deno.test("no more features are shown than a reader can tell apart, and the largest clusters first", () => {
  const { record, columns } = planted(), decoder = directionsOf(gaussians(40 * WIDTH, 11), WIDTH);
  const cluster = (features: number[]): FeatureCluster => ({ features, silhouette: 0, correlation: 0, tokens: [] });
  const all = Array.from({ length: 40 }, (_, i) => i);
  const { features, clusters } = clusterMatrix(record, columns, decoder, {
    clusters: [cluster(all.slice(0, 30)), cluster(all.slice(30))],
    order: all.toReversed(),
  });
  assert.deepEqual(clusters, [...Array<number>(24).fill(0), ...Array<number>(10).fill(1)]);
  assert.deepEqual(features, [...all.slice(0, 24).toReversed(), ...all.slice(30).toReversed()]);
});

Deno.test("features of a cluster write alike where that was planted, and otherwise as those dealt out anew", () => {
  const { found } = planted(), matrix = gaussians(40 * WIDTH, 13), random = directionsOf(matrix, WIDTH);
  const chance = writtenAlike(random, found);
  assert.ok(Math.abs(chance.within - chance.by_chance) < 3 * chance.by_chance_std, JSON.stringify(chance));
  const pairs = found.clusters.flatMap(({ features }) =>
    features.flatMap((a, at) => features.slice(at + 1).map((b) => cosine(random, a, b)))
  );
  assertClose("mean over pairs", [chance.within], [pairs.reduce((sum, value) => sum + value, 0) / pairs.length], {
    floor: 1e-6,
    relative: 0,
  });
  for (let i = 0; i < 32; i++) {
    for (let c = 0; c < WIDTH; c++) {
      matrix[i * WIDTH + c] = 0.6 * matrix[i * WIDTH + c] + matrix[(32 + i % 8) * WIDTH + c];
    }
  }
  const alike = writtenAlike(directionsOf(matrix, WIDTH), found);
  assert.ok(alike.within > 0.5 && alike.within > alike.by_chance + 6 * alike.by_chance_std, JSON.stringify(alike));
  assert.ok(Number.isNaN(writtenAlike(random, { clusters: [] }).within));
});
