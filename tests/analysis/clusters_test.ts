/** Clusters, patterns and graphs: against SciPy and scikit-learn, and of worlds whose structure was planted. */

import assert from "node:assert/strict";
import { averageLinkage, cutTree, leafOrder, nestedSilhouettes, silhouettes } from "../../core/analysis/clustering.ts";
import { clusterFeatures, coactivationGraph, correlationDistances } from "../../core/analysis/clusters.ts";
import { featurePatterns } from "../../core/analysis/feature_patterns.ts";
import { POSITION_BINS } from "../../core/analysis/places.ts";
import { columnsOf, type FeatureRecord, rowsOf } from "../../core/analysis/record.ts";
import { shuffledColumns } from "../../core/analysis/shuffled_record.ts";
import { firingSimilarities } from "../../core/analysis/similarity.ts";
import { analyzeWeights } from "../../core/analysis/weight_groups.ts";
import { randomGenerator } from "../../core/random.ts";
import { assertClose } from "../compare.ts";
import { bursty, chanceOf, CONTEXT, plantedRecord, type Rule } from "./planted_record.ts";

interface Golden {
  context: number;
  document: number[];
  rows: [number, number][][];
  correlation: number[][];
  jaccard: number[][];
  linkage: [height: number, size: number][];
  cuts: number[];
  labels: number[][];
  silhouettes: number[][];
  ari: number;
  skewness: number[];
  gini: number[];
  matrix: number[][];
  participation_ratio: number;
}

const golden: Golden = JSON.parse(await Deno.readTextFile(new URL("../golden/analysis.json", import.meta.url)));
const FEATURES = golden.correlation.length, TOKENS = golden.rows.length;
const record: FeatureRecord = {
  ...plantedRecord([FEATURES], TOKENS, []),
  rowStart: Uint32Array.from(
    [0, ...golden.rows],
    (_, t) => golden.rows.slice(0, t).reduce((sum, row) => sum + row.length, 0),
  ),
  index: Uint32Array.from(golden.rows.flat(), ([feature]) => feature),
  value: Float32Array.from(golden.rows.flat(), ([, value]) => value),
  document: Uint32Array.from(golden.document),
  documents: Array.from({ length: 5 }, (_, d) => ({ name: `${d}`, split: "train" })),
};
const ALL = Array.from({ length: FEATURES }, (_, i) => i);

/** Whether two clusterings are the same but for their numbers. */
function sameClusters(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  const pairs = new Set(Array.from(a, (one, i) => `${one} ${b[i]}`));
  return pairs.size === new Set(Array.from(a)).size && pairs.size === new Set(Array.from(b)).size;
}

/** Hubert and Arabie's adjusted Rand index. */
function adjustedRand(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const pairs = (n: number) => n * (n - 1) / 2;
  const counted = (keys: string[]) =>
    [...Map.groupBy(keys, (key) => key).values()].reduce((sum, { length }) => sum + pairs(length), 0);
  const of = (x: ArrayLike<number>) => counted(Array.from(x, String)),
    both = counted(Array.from(a, (one, i) => `${one} ${b[i]}`));
  const expected = of(a) * of(b) / pairs(a.length), most = (of(a) + of(b)) / 2;
  return (both - expected) / (most - expected);
}

Deno.test("correlation distances, average linkage, cuts and silhouettes are those of NumPy, SciPy and scikit-learn", () => {
  const matrix = correlationDistances(columnsOf(record, FEATURES), record, ALL, TOKENS);
  assertClose("correlation", matrix.distances.map((d) => 1 - d), golden.correlation.flat(), {
    floor: 1e-6,
    relative: 0,
  });
  const merges = averageLinkage({ ...matrix, distances: matrix.distances.slice() });
  assertClose("heights", merges.map(({ distance }) => distance), golden.linkage.map(([height]) => height), {
    floor: 1e-5,
    relative: 0,
  });
  assert.deepEqual(merges.map(({ size }) => size), golden.linkage.map(([, size]) => size));
  golden.cuts.forEach((count, n) => {
    const clusters = cutTree(merges, count);
    assert.ok(sameClusters(clusters, golden.labels[n]), `${count} clusters`);
    assertClose("silhouettes", silhouettes(matrix, clusters), golden.silhouettes[n], { floor: 1e-5, relative: 0 });
  });
  const cuts = [2, 3, 5, FEATURES - 1].map((count) => cutTree(merges, count));
  nestedSilhouettes(matrix, cuts).forEach((each, n) =>
    assertClose("nested silhouettes", each, silhouettes(matrix, cuts[n]), { floor: 1e-12, relative: 0 })
  );
  assert.ok(Math.abs(adjustedRand(cutTree(merges, 3), ALL.map((i) => i % 3)) - golden.ari) < 1e-12);
  const order = leafOrder(merges), groups = order.map((i) => cutTree(merges, 3)[i]);
  assert.deepEqual(order.toSorted((a, b) => a - b), ALL);
  assert.equal(groups.filter((cluster, i) => i > 0 && cluster !== groups[i - 1]).length, 2, "clusters stand together");
});

Deno.test("Jaccard indices, skewness, Gini coefficients and participation ratio are theirs too", async () => {
  const { jaccard } = firingSimilarities(record, { rows: new Float32Array(FEATURES), width: 1 });
  jaccard.neighbours.forEach((nearest, i) =>
    assertClose(
      "jaccard",
      nearest.map(({ value }) => value),
      nearest.map(({ feature }) => golden.jaccard[i][feature]),
      {
        floor: 1e-12,
        relative: 0,
      },
    )
  );
  const patterns = featurePatterns(record, FEATURES);
  assertClose("skewness", patterns.map(({ skewness }) => skewness), golden.skewness, { floor: 1e-6, relative: 1e-6 });
  assertClose("gini", patterns.map(({ document_gini }) => document_gini), golden.gini, { floor: 1e-9, relative: 0 });
  const rows = Float32Array.from(golden.matrix.flat()), width = golden.matrix[0].length, count = golden.matrix.length;
  const secondMoment = (rows: Float32Array) => {
    const moment = new Float64Array(width * width);
    rows.forEach((value, at) => {
      for (let c = 0; c < width; c++) moment[(at % width) * width + c] += value * rows[at - at % width + c] / count;
    });
    return Promise.resolve(moment);
  };
  const weights = {
    encoder: rows,
    decoder: rows,
    encoderBias: new Float32Array(count),
    decoderBias: new Float32Array(width),
  };
  const [{ decoder_rank }] = (await analyzeWeights(weights, [count], secondMoment)).groups;
  assertClose("participation", [decoder_rank.participation_ratio], [golden.participation_ratio], {
    floor: 0,
    relative: 1e-6,
  });
});

const MANY = 4096, GROUPS = [30, 30];
/** Twelve clusters of five features that fire on common occasions, which come in bursts. */
const clustered: Rule[] = Array.from({ length: 60 }, (_, i) => {
  const occasion = bursty(400 + i % 12, MANY, 0.03), own = chanceOf(900 + i, MANY);
  return (t) => occasion(t) > 0 && own[t] < 0.8 || own[t] > 0.998 ? 1 + own[t] : 0;
});

Deno.test("planted clusters are found, named by their tokens, and joined by edges; shuffled contexts have neither", () => {
  const world = plantedRecord(GROUPS, MANY, clustered);
  // Where the first cluster fires, the token is 50 more often than not.
  const first = clustered[0];
  const id = world.id.map((one, t) => first(t) > 0 ? 50 : one);
  const found = clusterFeatures({ ...world, id }, 60), labels = new Array<number>(60).fill(-1);
  found.clusters.forEach(({ features }, cluster) => features.forEach((feature) => labels[feature] = cluster));
  assert.ok(adjustedRand(labels, labels.map((_, i) => i % 12)) > 0.95, "adjusted Rand index above 0.95");
  assert.equal(found.clusters.length, 12);
  assert.ok(found.silhouette > 0.5 && found.silhouette_by_chance < 0.1, `${found.silhouette_by_chance} by chance`);
  for (const { silhouette, correlation } of found.clusters) assert.ok(silhouette > 0.5 && correlation > 0.5);
  const cluster = found.clusters.find(({ features }) => features.includes(0))!;
  assert.equal(cluster.tokens[0].id, 50);
  assert.ok(cluster.tokens[0].share > 10 * cluster.tokens[0].share_of_text);
  const graph = coactivationGraph(world, 60);
  assert.ok(graph.edges.length >= 12 * 10 * 0.95);
  const strangers = graph.edges.filter(({ a, b }) => a % 12 !== b % 12);
  assert.ok(strangers.length <= 6, `${strangers.length} edges between clusters`);
  assert.deepEqual([graph.features, graph.connected, graph.largest_part > 4], [60, 60, true]);
  for (const { a, b, npmi, together } of graph.edges.slice(0, 20)) {
    const of = (i: number) => Array.from({ length: MANY }, (_, t) => clustered[i](t) > 0);
    const [x, y] = [of(a), of(b)], both = x.filter((fires, t) => fires && y[t]).length;
    const share = (fires: boolean[]) => fires.filter(Boolean).length / MANY;
    assert.equal(together, both);
    assert.ok(Math.abs(npmi - Math.log(both / MANY / (share(x) * share(y))) / -Math.log(both / MANY)) < 1e-12);
  }
});

Deno.test("features alone have no clusters beyond chance, and edges only as often as the threshold lets them", () => {
  const alone = plantedRecord(GROUPS, MANY, Array.from({ length: 60 }, (_, i) => bursty(i, MANY, 0.05)));
  const { silhouette, silhouette_by_chance, silhouette_error } = clusterFeatures(alone, 60);
  assert.ok(Math.abs(silhouette - silhouette_by_chance) < 0.02, `${silhouette} against ${silhouette_by_chance}`);
  assert.ok(silhouette - silhouette_by_chance < 1.96 * silhouette_error, `± ${silhouette_error}`);
  const { edges } = coactivationGraph(alone, 60);
  assert.ok(edges.length <= 4, `${edges.length} edges`);
});

Deno.test("a record without company: every feature fires as often in bursts as before, none with another", () => {
  const world = plantedRecord(GROUPS, MANY, clustered), columns = columnsOf(world, 60);
  const shuffled = shuffledColumns(columns, world, randomGenerator(3));
  assert.deepEqual([...shuffled.start], [...columns.start]);
  assert.deepEqual([...shuffled.value].sort(), [...columns.value].sort());
  const contexts = ({ start, token }: typeof columns, i: number) =>
    [...Map.groupBy(token.subarray(start[i], start[i + 1]), (t) => Math.floor(t / (CONTEXT - 1))).values()]
      .map((tokens) => tokens.map((t) => t % (CONTEXT - 1)).join()).sort();
  for (const i of [0, 7, 59]) assert.deepEqual(contexts(shuffled, i), contexts(columns, i), "whole contexts move");
  assert.deepEqual(columnsOf(rowsOf(shuffled, MANY), 60), shuffled);
  const { correlation } = firingSimilarities({ ...world, ...rowsOf(shuffled, MANY) }, {
    rows: new Float32Array(60),
    width: 1,
  });
  assert.ok(correlation.largest.median < correlation.by_chance.median + 0.02);
});

Deno.test("patterns: bursts, positions, documents and tails that were planted", () => {
  const per = CONTEXT - 1, single = chanceOf(1, MANY), pareto = chanceOf(2, MANY);
  const rules: Rule[] = [
    (t) => single[t] < 0.05 ? 1 : 0,
    (t) => t % 64 < 8 ? 1 : 0,
    (t) => t % per === 0 ? 1 : 0,
    (t) => t < MANY / 4 && single[t] < 0.2 ? 1 : 0,
    (t) => (1 - pareto[t]) ** (-1 / 3),
    () => 0,
  ];
  const world = plantedRecord([6], MANY, rules),
    documents = Array.from({ length: 16 }, (_, d) => ({ name: `${d}`, split: "train" }));
  const document = world.document.map((_, t) => Math.floor(t * 16 / MANY));
  const [alone, bursts, first, early, tail, silent] = featurePatterns({ ...world, document, documents }, 6);
  assert.ok(Math.abs(alone.burstiness - 1) < 0.3, `${alone.burstiness}`);
  // Eight in a row: 7 of the 8 + 7 tokens behind one of them fire, which an eighth of all tokens do.
  assert.ok(Math.abs(bursts.burstiness - 7 / 15 * 8) < 1e-9, `${bursts.burstiness}`);
  assert.ok(Math.abs(alone.position_bits) < 0.05 && alone.position_profile.length === POSITION_BINS);
  assert.ok(first.position_profile[0] > 7 && first.position_profile[1] === 0 && first.position_bits > 2.5);
  // As many tokens anywhere do neither come in bursts nor at a position.
  assert.ok(Math.abs(bursts.burstiness_by_chance - 1) < 0.4 && Math.abs(first.position_bits_by_chance) < 0.1);
  // A quarter of the documents has all of them; within it they are not all alike. Shuffled, its lively contexts are anywhere.
  assert.ok(early.document_gini >= 0.75 && early.document_gini < 0.8 && early.document_gini_by_chance < 0.45);
  assert.ok(alone.document_gini < 0.25 && Math.abs(alone.document_gini - alone.document_gini_by_chance) < 0.1);
  assert.ok(Math.abs(tail.tail_exponent - 3) < 0.4, `${tail.tail_exponent}`);
  assert.ok(Math.abs(tail.mean - 1.5) < 0.1 && tail.fires === MANY);
  assert.deepEqual([silent.fires, silent.mean, silent.burstiness, silent.document_gini], [0, NaN, NaN, NaN]);
});

Deno.test("fewer than four features that fire are not clustered", () => {
  const { clusters, often, clustered, order } = clusterFeatures(
    plantedRecord([4], 640, [() => 1, () => 1, () => 0, (t) => t === 1 ? 1 : 0]),
    4,
  );
  assert.deepEqual([clusters, often, clustered, order], [[], 2, 2, [0, 1]]);
});
