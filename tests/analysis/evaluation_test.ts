import assert from "node:assert/strict";
import { drawResamples, interval95, resampledSquaredLengths, resampledSums } from "../../core/analysis/bootstrap.ts";
import { type Evaluation, EvaluationSums, type MeasuredBatch } from "../../core/analysis/evaluation.ts";
import { summarizeThresholds } from "../../core/analysis/threshold_summary.ts";
import { assertClose } from "../compare.ts";
import { gaussians, uniform } from "../random.ts";

const ENDS = [3, 8], WIDTH = 5, CONTEXTS = 7, PER_CONTEXT = 4, TOKENS = CONTEXTS * PER_CONTEXT;

/** Targets far from zero, so that a variance about the wrong mean shows, and errors with a mean of their own. */
const target = gaussians(TOKENS * WIDTH, 1).map((x, i) => x * (1 + i % WIDTH) + 10 * (i % WIDTH));
const errors = ENDS.map((_, p) => gaussians(TOKENS * WIDTH, 2 + p).map((x) => (x + 0.3) / (p + 1)));
const next = uniform(9);
const active = Array.from({ length: TOKENS }, () => Math.floor(6 * next()));
const fires = Uint32Array.of(3, 0, 1, 0, 9, 2, 0, 1);
const squaresOf = (error: Float32Array, token: number) =>
  error.subarray(token * WIDTH, (token + 1) * WIDTH).reduce((sum, e) => sum + e * e, 0);

function batch(first: number, end: number, firedHere: Uint32Array): MeasuredBatch {
  const tokens = Array.from({ length: end - first }, (_, b) => first + b);
  const rowStart = new Uint32Array(tokens.length + 1);
  tokens.forEach((token, b) => rowStart[b + 1] = rowStart[b] + active[token]);
  return {
    context: tokens.map((token) => Math.floor(token / PER_CONTEXT)),
    document: tokens.map((token) => documentOf[Math.floor(token / PER_CONTEXT)]),
    target: target.slice(first * WIDTH, end * WIDTH),
    residual: errors[1].slice(first * WIDTH, end * WIDTH),
    squares: Float32Array.from(tokens.flatMap((token) => errors.map((error) => squaresOf(error, token)))),
    rowStart,
    fires: firedHere,
  };
}

/** The threshold of all eight features, and thresholds that differ, one of them of a feature that is never active. */
const SHARED = new Float32Array(8).fill(0.25), OWN = Float32Array.of(0.5, 0, -1, Infinity, 2, 0.25, 0.75, 1);

/** The document of each context: three of them, or six. */
const THREE = [5, 5, 5, 2, 2, 2, 9], SIX = [5, 5, 4, 2, 1, 0, 9];
let documentOf = SIX;
const text = { split: "test", documents: 8, excluded: 2, documentName: (document: number) => `d${document}` } as const;

function evaluate(cuts: number[], thresholds = SHARED, documents = SIX): Evaluation {
  documentOf = documents;
  const sums = new EvaluationSums(ENDS, WIDTH);
  cuts.slice(1).forEach((end, i) => {
    // A feature that fires in the first batch alone is alive all the same.
    sums.add(batch(cuts[i], end, i === 0 ? fires : new Uint32Array(8)));
  });
  return sums.result({ thresholds, k: 3, text });
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
  close("l0", evaluation.l0, sum(active) / TOKENS);
  const ascending = active.toSorted((a, b) => a - b);
  assert.equal(evaluation.l0_quantiles.p50, (ascending[TOKENS / 2 - 1] + ascending[TOKENS / 2]) / 2);
  const { tokens, contexts, threshold, k, dead_features, dead_fraction } = evaluation;
  assert.deepEqual(
    { tokens, contexts, threshold, k, dead_features, dead_fraction },
    { tokens: TOKENS, contexts: CONTEXTS, threshold: 0.25, k: 3, dead_features: 3, dead_fraction: 3 / 8 },
  );
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
        l0: sum(rows.map((row) => active[row])) / rows.length,
      };
    });
    for (const [name, actual] of [["fvu", evaluation.fvu_ci95], ["l0", evaluation.l0_ci95]] as const) {
      const wanted = interval95(Float64Array.from(expected, (figures) => figures[name]));
      assertClose(name, actual, wanted, { floor: 0, relative: 1e-6 });
      assert.ok(actual[0] < evaluation[name] && evaluation[name] < actual[1]);
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

Deno.test("many documents are not listed, their spread is told all the same", () => {
  const sums = new EvaluationSums(ENDS, WIDTH);
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

Deno.test("bootstrap: squared lengths of resampled vectors, wider than a block", () => {
  const resamples = drawResamples(6), width = 71;
  const vectors = Array.from({ length: 6 }, (_, i) => Float64Array.from(gaussians(width, 20 + i)));
  const expected = resamples.map((counts) =>
    sum(Array.from({ length: width }, (_, d) => sum([...counts].map((count, i) => count * vectors[i][d])) ** 2))
  );
  assertClose("squares", resampledSquaredLengths(resamples, vectors), expected, { floor: 0, relative: 1e-12 });
});

Deno.test("a diverged transcoder's figures are NaN, not a crash", () => {
  const sums = new EvaluationSums(ENDS, WIDTH);
  const { squares, residual, ...rest } = batch(0, TOKENS, fires);
  sums.add({ ...rest, squares: squares.fill(NaN), residual: residual.fill(NaN) });
  const evaluation = sums.result({ thresholds: SHARED.map(() => NaN), k: 3, text });
  assert.deepEqual([evaluation.fvu, evaluation.fvu_ci95, evaluation.explained_variance], [NaN, [NaN, NaN], NaN]);
  assert.ok(Number.isFinite(evaluation.l0));
});
