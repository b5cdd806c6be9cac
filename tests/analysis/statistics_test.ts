import assert from "node:assert/strict";
import { histogram, leastSquares, median, moments, quantile, summarize } from "../../core/analysis/statistics.ts";
import { matrixStatistics, rowNorms, weightStatistics } from "../../core/analysis/weight_statistics.ts";

Deno.test("moments are the population's, and NaN or nothing gives NaN", () => {
  assert.deepEqual(moments([2, 4, 4, 4, 5, 5, 7, 9]), { mean: 5, std: 2, min: 2, max: 9 });
  assert.ok(Number.isNaN(moments([1, NaN]).max));
  assert.ok(Number.isNaN(moments([]).mean));
});

Deno.test("moments keep their precision when the mean is large", () => {
  assert.equal(moments([1e9, 1e9 + 2]).std, 1);
});

Deno.test("quantiles are linear between neighbours", () => {
  assert.equal(quantile([0, 10], 0.25), 2.5);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(summarize([1, 2, 3, 4, 5]).p95, 4.8);
  assert.ok(Number.isNaN(median([])));
});

Deno.test("a histogram holds its upper edge and leaves out what lies outside", () => {
  assert.deepEqual(histogram([0, 0.9, 1, 2, 2.1, NaN, -1], 2, 0, 2), { edges: [0, 1, 2], counts: [2, 2] });
});

Deno.test("a histogram of a constant is one bar around it", () => {
  const { edges, counts } = histogram([3, 3, 3], 4, 3, 3);
  assert.deepEqual([edges[0], edges[4]], [1.5, 4.5]);
  assert.equal(counts.reduce((sum, count) => sum + count), 3);
});

Deno.test("the line through points on a line is that line", () => {
  const { slope, intercept, correlation } = leastSquares([0, 1, 2, 3], [1, 3, 5, 7]);
  assert.deepEqual([slope, intercept, correlation], [2, 1, 1]);
  assert.ok(Number.isNaN(leastSquares([1, 1, 1], [1, 2, 3]).slope));
});

Deno.test("row norms of a row-major matrix", () => {
  const matrix = Float32Array.of(3, 0, 0, 4, 5, 12);
  assert.deepEqual([...rowNorms(matrix, 3, 2)], [3, 4, 13]);
});

Deno.test("weight statistics count what is not finite and what the histogram leaves out", () => {
  const encoder = new Float32Array(1000).map((_, i) => i % 2 === 0 ? 1 : -1);
  encoder[7] = 100;
  const tensors = {
    encoder,
    encoderBias: new Float32Array(100),
    decoder: new Float32Array(100).fill(2),
    decoderBias: Float32Array.of(Infinity),
  };
  const statistics = weightStatistics(
    tensors,
    matrixStatistics(tensors.encoder, 100, "width, features"),
    matrixStatistics(tensors.decoder, 100, "features, width"),
  );
  assert.equal(statistics.encoderOutside, 1);
  assert.equal(statistics.decoderBias.nonFinite, 1);
  assert.equal(statistics.decoderNorms.mean, 2);
  assert.deepEqual(statistics.encoder.shape, [10, 100]);
  assert.deepEqual(statistics.decoder.shape, [100, 1]);
  // Feature 0 has the elements 0 to 9, one of which is 100.
  assert.equal(statistics.encoderNorms.max, Math.sqrt(100 ** 2 + 9));
});
