import assert from "node:assert/strict";
import {
  drawResamples,
  interval95,
  resampledMeanRatios,
  resampledSquaredLengths,
  resampledSums,
} from "../../core/analysis/bootstrap.ts";
import type { Evaluation } from "../../core/analysis/evaluation.ts";
import {
  EvaluationSums,
  type MeasuredBatch,
  type MeasuredReconstructions,
} from "../../core/analysis/evaluation_sums.ts";
import { varianceSpread } from "../../core/analysis/target_variance.ts";
import { summarizeThresholds } from "../../core/analysis/threshold_summary.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";

const ENDS = [3, 8], WIDTH = 5, CONTEXTS = 7, PER_CONTEXT = 4, TOKENS = CONTEXTS * PER_CONTEXT;

const coarse = (x: number) => Math.round(64 * x) / 64;

/** Of five dimensions the second is massive, and the fourth does not vary. */
const MASSIVE = 1, CONSTANT = 3, SIZES = [1, 40, 3, 0, 5];

/** Targets far from zero, so that a variance about the wrong mean shows, and errors with a mean of their own.
 * Errors are multiples of 1/64, so that float32 sums of their squares are exact wherever batches are cut. */
const target = gaussians(TOKENS * WIDTH, 1).map((x, i) => x * SIZES[i % WIDTH] + 10.7 * (i % WIDTH));
const errors = ENDS.map((_, p) => gaussians(TOKENS * WIDTH, 2 + p).map((x) => coarse((x + 0.3) / (p + 1))));
/** Those of a linear map, which has the massive dimension almost right. */
const linearErrors = gaussians(TOKENS * WIDTH, 5).map((x, i) => coarse(i % WIDTH === MASSIVE ? x / 10 : 2 * x));
const MAP_TOKENS = 77, MAP_MEAN = [0.5, 10, 20, 30, 43];
const next = uniform(9);
/** Active features of each token below the first end, and below the second. */
const active = Array.from({ length: TOKENS }, () => {
  const below = Math.floor(4 * next());
  return [below, below + Math.floor(3 * next())];
});
const allActive = active.map(([, all]) => all);
const fires = Uint32Array.of(3, 0, 1, 0, 9, 2, 0, 1);
const squaresOf = (error: Float32Array, token: number) =>
  error.subarray(token * WIDTH, (token + 1) * WIDTH).reduce((sum, e) => sum + e * e, 0);

/** The cosine between target and reconstruction, both less the map's mean. */
function cosineOf(error: Float32Array, token: number): number {
  let dot = 0, y = 0, reconstructed = 0;
  for (let d = 0; d < WIDTH; d++) {
    const from = target[token * WIDTH + d] - MAP_MEAN[d], to = from + error[token * WIDTH + d];
    dot += from * to;
    y += from ** 2;
    reconstructed += to ** 2;
  }
  return dot / Math.sqrt(y * reconstructed);
}

/** What would be measured of some reconstructions. */
function measured(tokens: number[], of: Float32Array[], hasMean: boolean): MeasuredReconstructions {
  const each = (value: (error: Float32Array, token: number) => number) =>
    Float32Array.from(tokens.flatMap((token) => of.map((error) => value(error, token))));
  return {
    squares: each(squaresOf),
    columnSquares: Float32Array.from(
      of.flatMap((error) => dimensions.map((d) => sum(tokens.map((token) => error[token * WIDTH + d] ** 2)))),
    ),
    cosines: hasMean ? each(cosineOf) : null,
  };
}

function batch(first: number, end: number, firedHere: Uint32Array, hasMap = true): MeasuredBatch {
  const tokens = Array.from({ length: end - first }, (_, b) => first + b);
  return {
    context: tokens.map((token) => Math.floor(token / PER_CONTEXT)),
    document: tokens.map((token) => documentOf[Math.floor(token / PER_CONTEXT)]),
    target: target.slice(first * WIDTH, end * WIDTH),
    residual: errors[1].slice(first * WIDTH, end * WIDTH),
    active: Uint32Array.from(tokens.flatMap((token) => active[token])),
    fires: firedHere,
    prefixes: measured(tokens, errors, hasMap),
    linear: hasMap ? measured(tokens, [linearErrors], true) : null,
    skip: null,
  };
}

const ONE_TARGET = [{ target: "layer3.mlp_out", width: WIDTH }];

/** The threshold of all eight features, and thresholds that differ, one of them of a feature that is never active. */
const SHARED = new Float32Array(8).fill(0.25), OWN = Float32Array.of(0.5, 0, -1, Infinity, 2, 0.25, 0.75, 1);

/** The document of each context: three of them, or six. */
const THREE = [5, 5, 5, 2, 2, 2, 9], SIX = [5, 5, 4, 2, 1, 0, 9];
let documentOf = SIX;
const text = { split: "test", documents: 8, excluded: 2, documentName: (document: number) => `d${document}` } as const;

function evaluate(cuts: number[], thresholds = SHARED, documents = SIX, hasMap = true): Evaluation {
  documentOf = documents;
  const sums = new EvaluationSums(ENDS, ONE_TARGET);
  cuts.slice(1).forEach((end, i) => {
    // A feature that fires in the first batch alone is alive all the same.
    sums.add(batch(cuts[i], end, i === 0 ? fires : new Uint32Array(8), hasMap));
  });
  return sums.result({ thresholds, k: 3, linearMapTokens: hasMap ? MAP_TOKENS : undefined, text });
}

const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
const column = (matrix: Float32Array, d: number) => [...matrix].filter((_, i) => i % WIDTH === d);
const deviation = (values: number[]) => {
  const mean = sum(values) / values.length;
  return sum(values.map((x) => (x - mean) ** 2));
};
const dimensions = [...Array(WIDTH).keys()];

Deno.test("every figure is its definition, evaluated naively", () => {
  const evaluation = evaluate([0, TOKENS]);
  const variance = sum(dimensions.map((d) => deviation(column(target, d))));
  const close = (name: string, actual: number, expected: number) =>
    assertClose(name, [actual], [expected], { floor: 0, relative: 1e-6 });
  ENDS.forEach((prefix, p) => {
    assert.equal(evaluation.fvu_per_prefix[p].prefix, prefix);
    close(`fvu of ${prefix}`, evaluation.fvu_per_prefix[p].fvu, sum(errors[p].map((e) => e * e)) / variance);
  });
  assert.equal(evaluation.fvu, evaluation.fvu_per_prefix[1].fvu);
  assert.deepEqual(evaluation.fvu_ci95, evaluation.fvu_per_prefix[1].ci95);
  const residualVariance = sum(dimensions.map((d) => deviation(column(errors[1], d))));
  close("explained variance", evaluation.explained_variance, 1 - residualVariance / variance);
  close("all elements", evaluation.fvu_all_elements, sum(errors[1].map((e) => e * e)) / deviation([...target]));
  close("l0", evaluation.l0, sum(allActive) / TOKENS);
  const ascending = allActive.toSorted((a, b) => a - b);
  assert.equal(evaluation.l0_quantiles.p50, (ascending[TOKENS / 2 - 1] + ascending[TOKENS / 2]) / 2);
  const { tokens, contexts, threshold, k, dead_features, dead_fraction } = evaluation;
  assert.deepEqual(
    { tokens, contexts, threshold, k, dead_features, dead_fraction },
    { tokens: TOKENS, contexts: CONTEXTS, threshold: 0.25, k: 3, dead_features: 3, dead_fraction: 3 / 8 },
  );
});

/** The mean over the dimensions that vary of squared error / squared deviation, token by token. */
const unitVarianceFvu = (error: Float32Array, rows = [...Array(TOKENS).keys()]) => {
  const varying = dimensions.filter((d) => d !== CONSTANT);
  return sum(varying.map((d) => {
    const at = (matrix: Float32Array) => rows.map((row) => matrix[row * WIDTH + d]);
    return sum(at(error).map((e) => e * e)) / deviation(at(target));
  })) / varying.length;
};

Deno.test("a massive dimension decides FVU, not FVU at unit variance; a dimension that does not vary is left out", () => {
  const evaluation = evaluate([0, 5, 17, TOKENS]), { target_variance: spread } = evaluation;
  const close = (name: string, actual: number | undefined, expected: number) =>
    assertClose(name, [actual!], [expected], { floor: 0, relative: 1e-6 });
  ENDS.forEach((_, p) =>
    close("FVU at unit variance", evaluation.fvu_per_prefix[p].fvu_unit_variance, unitVarianceFvu(errors[p]))
  );
  assert.equal(evaluation.fvu_unit_variance, evaluation.fvu_per_prefix[1].fvu_unit_variance);
  close("linear map", evaluation.linear_map!.fvu_unit_variance, unitVarianceFvu(linearErrors));
  assert.ok(evaluation.linear_map!.fvu_unit_variance! > 20 * evaluation.linear_map!.fvu, "it has one dimension right");
  const deviations = dimensions.map((d) => deviation(column(target, d))).sort((a, b) => b - a);
  close("top dimension", spread!.top_1, deviations[0] / sum(deviations));
  assert.ok(spread!.top_1 > 0.9);
  assert.deepEqual({ ...spread, top_1: 0 }, {
    ...{ top_1: 0, top_5: 1, top_20: 1 },
    ...{ largest_dimension: MASSIVE, constant_dimensions: 1 },
  });
});

Deno.test("the spread of a variance: shares of the 1, 5 and 20 largest", () => {
  const variance = Float64Array.from({ length: 40 }, (_, d) => d === 7 ? 100 : d === 30 ? 0 : 1);
  assert.deepEqual(varianceSpread(variance), {
    ...{ top_1: 100 / 138, top_5: 104 / 138, top_20: 119 / 138 },
    ...{ largest_dimension: 7, constant_dimensions: 1 },
  });
  assert.ok(Number.isNaN(varianceSpread(new Float64Array(3)).top_1), "nothing varies");
});

Deno.test("the linear map is measured as the prefixes are, and cosines are about its mean", () => {
  const { linear_map, ...evaluation } = evaluate([0, 9, TOKENS]);
  const variance = sum(dimensions.map((d) => deviation(column(target, d))));
  const meanOf = (values: (token: number) => number) =>
    sum(Array.from({ length: TOKENS }, (_, token) => values(token))) / TOKENS;
  const near = { floor: 0, relative: 1e-6 };
  assert.equal(linear_map!.tokens, MAP_TOKENS);
  assertClose("fvu", [linear_map!.fvu], [sum(linearErrors.map((e) => e * e)) / variance], near);
  assertClose("cosine", [linear_map!.cosine!], [meanOf((token) => cosineOf(linearErrors, token))], near);
  for (const [p, { cosine, l0 }] of evaluation.fvu_per_prefix.entries()) {
    assertClose("cosine", [cosine!], [meanOf((token) => cosineOf(errors[p], token))], near);
    assertClose("l0", [l0!], [meanOf((token) => active[token][p])], near);
  }
  const { cosine, cosine_ci95, l0, l0_ci95 } = evaluation.fvu_per_prefix[1];
  assert.deepEqual([cosine, cosine_ci95, l0, l0_ci95], [
    ...[evaluation.cosine, evaluation.cosine_ci95, evaluation.l0, evaluation.l0_ci95],
  ]);
  assert.ok(cosine_ci95![0] < cosine! && cosine! < cosine_ci95![1]);
});

Deno.test("without a linear map its figures and the cosines are absent, and nothing else changes", () => {
  const { linear_map: _, cosine: __, cosine_ci95: ___, fvu_per_prefix, definitions, ...rest } = evaluate([0, TOKENS]);
  const bare = evaluate([0, TOKENS], SHARED, SIX, false);
  const { fvu_per_prefix: prefixes, definitions: defined, ...others } = bare;
  assert.deepEqual(others, rest);
  assert.deepEqual(prefixes, fvu_per_prefix.map(({ cosine: _, cosine_ci95: __, ...figures }) => figures));
  assert.deepEqual(Object.keys(defined).sort(), Object.keys({ ...others, fvu_per_prefix }).sort());
  assert.equal(Object.keys(definitions).length - Object.keys(defined).length, 3);
});

Deno.test("every measured key of the file is defined", () => {
  const { definitions, ...measured } = evaluate([0, TOKENS]);
  assert.deepEqual(Object.keys(definitions).sort(), Object.keys(measured).sort());
});

Deno.test("thresholds that differ are told as median and range, defined as such, and change nothing else", () => {
  const { threshold, threshold_range, definitions, ...rest } = evaluate([0, TOKENS], OWN);
  assert.deepEqual([threshold, threshold_range], [0.5, [-1, 2]]);
  const { threshold: _, definitions: shared, ...others } = evaluate([0, TOKENS]);
  assert.deepEqual(rest, others);
  assert.deepEqual(Object.keys(definitions).sort(), [...Object.keys(shared), "threshold_range"].sort());
  assert.match(definitions.threshold, /its own threshold; this is the median/);
  assert.match(shared.threshold, /the same number for all features/);
});

Deno.test("a summary of thresholds: one number where there is one, whatever it is, and none where no feature can be active", () => {
  const summaryOf = (...thresholds: number[]) => summarizeThresholds(Float32Array.from(thresholds));
  for (const one of [0.5, 0, -1, Infinity, NaN]) {
    assert.deepEqual(summaryOf(one), { threshold: one });
    assert.deepEqual(summaryOf(one, one, one), { threshold: one });
  }
  assert.deepEqual(summaryOf(-0, 0), { threshold: -0 });
  assert.deepEqual(summaryOf(3, 1), { threshold: 2, threshold_range: [1, 3] });
  assert.deepEqual(summaryOf(Infinity, -Infinity), { threshold: NaN, threshold_range: [NaN, NaN] });
});

Deno.test("batches may be cut anywhere, inside contexts too", () => {
  assert.deepEqual(evaluate([0, 6, 7, 22, TOKENS]), evaluate([0, TOKENS]));
});

/** The rows of each context, and of each document in the order of the text. */
const contextRows = Array.from(
  { length: CONTEXTS },
  (_, c) => Array.from({ length: PER_CONTEXT }, (_, i) => c * PER_CONTEXT + i),
);
const documentRows = (documents: number[]) =>
  [...new Set(documents)].map((document) => contextRows.filter((_, c) => documents[c] === document).flat());

for (
  const [resampled, documents, units] of [
    ["documents", SIX, documentRows(SIX)],
    ["contexts", THREE, contextRows],
  ] as const
) {
  Deno.test(`intervals are those of resamples of ${resampled} written out, and come out the same twice`, () => {
    const evaluation = evaluate([0, TOKENS], SHARED, documents);
    assert.equal(evaluation.resampled, resampled);
    const expected = drawResamples(units.length).map((counts) => {
      const rows = [...counts].flatMap((count, unit) => Array.from({ length: count }, () => units[unit]).flat());
      const variance = sum(dimensions.map((d) => deviation(rows.map((row) => target[row * WIDTH + d]))));
      return {
        fvu: sum(rows.map((row) => squaresOf(errors[1], row))) / variance,
        l0: sum(rows.map((row) => allActive[row])) / rows.length,
        fvu_unit_variance: unitVarianceFvu(errors[1], rows),
        cosine: sum(rows.map((row) => cosineOf(errors[1], row))) / rows.length,
      };
    });
    for (const name of ["fvu", "l0", "fvu_unit_variance", "cosine"] as const) {
      const actual = evaluation[`${name}_ci95`]!;
      const wanted = interval95(Float64Array.from(expected, (figures) => figures[name]));
      assertClose(name, actual, wanted, { floor: 0, relative: 1e-6 });
      assert.ok(actual[0] < evaluation[name]! && evaluation[name]! < actual[1]);
    }
    assert.deepEqual(evaluate([0, TOKENS], SHARED, documents), evaluation);
  });
}

for (const documents of [SIX, THREE, Array(CONTEXTS).fill(3)]) {
  Deno.test(`${new Set(documents).size} documents: each has its own FVU about the mean of all, and the whole is their mean`, () => {
    const evaluation = evaluate([0, 6, 7, TOKENS], SHARED, documents), names = [...new Set(documents)];
    const means = dimensions.map((d) => sum(column(target, d)) / TOKENS);
    const distance = (row: number) => sum(dimensions.map((d) => (target[row * WIDTH + d] - means[d]) ** 2));
    const squares = documentRows(documents).map((rows) => [
      sum(rows.map((row) => squaresOf(errors[1], row))),
      sum(rows.map(distance)),
    ]);
    const each = evaluation.fvu_per_document!, fvus = squares.map(([error, variance]) => error / variance);
    assert.deepEqual(each.map(({ document }) => document), names.map((document) => `d${document}`));
    assert.deepEqual(each.map(({ tokens }) => tokens), documentRows(documents).map((rows) => rows.length));
    assertClose("fvu of documents", each.map(({ fvu }) => fvu), fvus, { floor: 0, relative: 1e-6 });
    const whole = sum(squares.map(([error]) => error)) / sum(squares.map(([, variance]) => variance));
    assertClose("fvu", [evaluation.fvu], [whole], { floor: 0, relative: 1e-6 });
    const { documents: count, split, split_documents, fvu_over_documents: spread } = evaluation;
    assert.deepEqual([count, split, split_documents], [names.length, "test", 8]);
    const ascending = fvus.toSorted((a, b) => a - b), middle = ascending.length >> 1;
    const median = ascending.length % 2 === 1 ? ascending[middle] : (ascending[middle - 1] + ascending[middle]) / 2;
    assertClose(
      "spread",
      [spread!.min.fvu, spread!.median, spread!.max.fvu],
      [ascending[0], median, ascending.at(-1)!],
      {
        floor: 0,
        relative: 1e-6,
      },
    );
    assert.equal(spread!.max.document, each[fvus.indexOf(ascending.at(-1)!)].document);
  });
}

Deno.test("the figures of each of several targets are those of its columns alone, without the others", () => {
  documentOf = SIX;
  const targets = [{ target: "a", width: 2 }, { target: "b", width: 3 }], sums = new EvaluationSums(ENDS, targets);
  const cut = (first: number, width: number) => (values: Float32Array) =>
    values.filter((_, at) => at % WIDTH >= first && at % WIDTH < first + width);
  const alone = targets.map(({ width }, t) => ({
    sums: new EvaluationSums(ENDS, [targets[t]]),
    part: cut(2 * t, width),
  }));
  for (const [first, end] of [[0, 9], [9, TOKENS]]) {
    const measured = batch(first, end, fires);
    sums.add(measured);
    for (const { sums, part } of alone) {
      const tokens = Array.from({ length: end - first }, (_, b) => first + b);
      const squares = (errors: Float32Array[]) =>
        Float32Array.from(tokens.flatMap((token) =>
          errors.map((error) => {
            const mine = part(error), width = mine.length / TOKENS;
            return mine.subarray(token * width, (token + 1) * width).reduce((sum, e) => sum + e * e, 0);
          })
        ));
      const reconstructions = (of: MeasuredReconstructions, errors: Float32Array[]) => {
        return { ...of, squares: squares(errors), columnSquares: part(of.columnSquares) };
      };
      sums.add({
        ...measured,
        ...{ target: part(measured.target), residual: part(measured.residual) },
        prefixes: reconstructions(measured.prefixes, errors),
        linear: reconstructions(measured.linear!, [linearErrors]),
      });
    }
  }
  const settings = { thresholds: SHARED, k: 3, linearMapTokens: MAP_TOKENS, text };
  const { fvu_per_target, definitions, fvu } = sums.result(settings), near = { floor: 0, relative: 1e-9 };
  assert.deepEqual(fvu_per_target!.map(({ target }) => target), ["a", "b"]);
  assert.match(definitions.fvu_per_target, /of its raw activations/);
  for (const [t, { sums }] of alone.entries()) {
    const found = fvu_per_target![t], expected = sums.result(settings), { linear_map } = expected;
    assert.deepEqual([expected.fvu_per_target, "fvu_per_target" in expected.definitions], [undefined, false]);
    assertClose("fvu", [found.fvu, ...found.ci95], [expected.fvu, ...expected.fvu_ci95], near);
    const prefixes = expected.fvu_per_prefix.map(({ fvu }) => fvu);
    assertClose("prefixes", found.fvu_per_prefix.map(({ fvu }) => fvu), prefixes, near);
    assert.deepEqual(found.fvu_per_prefix.map(({ prefix }) => prefix), ENDS);
    assertClose("at unit variance", [found.fvu_unit_variance], [expected.fvu_unit_variance!], near);
    assert.deepEqual(found.target_variance, expected.target_variance);
    assertClose("map", Object.values(found.linear_map!), [linear_map!.fvu, linear_map!.fvu_unit_variance!], near);
  }
  assert.ok(fvu_per_target!.some(({ fvu: other }) => Math.abs(other - fvu) > 0.1 * fvu), "they differ");
});

Deno.test("many documents are not listed, their spread is told all the same", () => {
  const sums = new EvaluationSums(ENDS, ONE_TARGET);
  for (let n = 0; n < 8; n++) {
    const { context, ...rest } = batch(0, TOKENS, fires);
    sums.add({
      ...rest,
      context: Array.from(context, (c) => c + n * CONTEXTS),
      document: Array.from(context, (c) => c + n * CONTEXTS),
    });
  }
  const evaluation = sums.result({ thresholds: SHARED, k: 3, text });
  assert.deepEqual([evaluation.documents, "fvu_per_document" in evaluation], [56, false]);
  assert.equal("fvu_per_document" in evaluation.definitions, false);
  assert.ok(evaluation.fvu_over_documents!.min.fvu < evaluation.fvu_over_documents!.max.fvu);
});

Deno.test("bootstrap: resamples have as many draws as there are items, means the right mean and spread", () => {
  const resamples = drawResamples(400), values = gaussians(400, 5);
  assert.equal(resamples.length, 1000);
  for (const counts of resamples) assert.equal(sum(counts), 400);
  assert.deepEqual(drawResamples(400), resamples);
  const mean = sum(values) / 400, spread = Math.sqrt(sum(values.map((x) => (x - mean) ** 2)) / 400 / 400);
  const [low, high] = interval95(resampledSums(resamples, values).map((total) => total / 400));
  assertClose("interval", [low, high], [mean - 1.96 * spread, mean + 1.96 * spread], {
    floor: 0.2 * spread,
    relative: 0,
  });
});

Deno.test("bootstrap: few items have no interval, rather than one of next to no width", () => {
  const ends = (values: number[]) => {
    const resamples = drawResamples(values.length), tokens = resampledSums(resamples, values.map(() => 63));
    return interval95(resampledSums(resamples, values).map((sum, r) => sum / tokens[r]));
  };
  assert.deepEqual([[31.5], [31.5, 63, 31.5, 63]].map(ends), [[NaN, NaN], [NaN, NaN]]);
  assert.ok(ends([31.5, 63, 31.5, 63, 63]).every(Number.isFinite));
});

Deno.test("bootstrap: squared lengths of resampled vectors, wider than a block", () => {
  const resamples = drawResamples(6), width = 71;
  const vectors = Array.from({ length: 6 }, (_, i) => Float64Array.from(gaussians(width, 20 + i)));
  const expected = resamples.map((counts) =>
    sum(Array.from({ length: width }, (_, d) => sum([...counts].map((count, i) => count * vectors[i][d])) ** 2))
  );
  assertClose("squares", resampledSquaredLengths(resamples, vectors), expected, { floor: 0, relative: 1e-12 });
});

Deno.test("bootstrap: mean ratios leave out a dimension that does not vary in a resample", () => {
  const resamples = [Uint16Array.of(2, 0), Uint16Array.of(1, 1), Uint16Array.of(0, 2)];
  const of = (...values: number[]) => Float64Array.from(values);
  // Two tokens each: the first item has (0, 1), (2, 1), the second (4, 4), (4, 6).
  const items = [
    { target: of(2, 2), targetSquares: of(4, 2), residualSquares: of(1, 3) },
    { target: of(8, 10), targetSquares: of(32, 52), residualSquares: of(5, 8) },
  ];
  // Variances: (4, 0), (36 - 25, 54 - 36), (0, 4).
  const expected = [2 / 4, (6 / 11 + 11 / 18) / 2, 16 / 4];
  assertClose("ratios", resampledMeanRatios(resamples, of(4, 4, 4), items), expected, { floor: 0, relative: 1e-12 });
});

Deno.test("a diverged transcoder's figures are NaN, not a crash", () => {
  const sums = new EvaluationSums(ENDS, ONE_TARGET);
  const { prefixes, residual, ...rest } = batch(0, TOKENS, fires, false);
  const { squares, columnSquares } = prefixes;
  const broken = { squares: squares.fill(NaN), columnSquares: columnSquares.fill(NaN), cosines: null };
  sums.add({ ...rest, prefixes: broken, residual: residual.fill(NaN) });
  const evaluation = sums.result({ thresholds: SHARED.map(() => NaN), k: 3, text });
  const { fvu, fvu_ci95, fvu_unit_variance, fvu_unit_variance_ci95, explained_variance } = evaluation;
  assert.deepEqual([fvu, fvu_ci95, explained_variance], [NaN, [NaN, NaN], NaN]);
  assert.deepEqual([fvu_unit_variance, fvu_unit_variance_ci95], [NaN, [NaN, NaN]]);
  assert.ok(Number.isFinite(evaluation.l0) && Number.isFinite(evaluation.target_variance!.top_1));
});
