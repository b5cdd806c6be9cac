import assert from "node:assert/strict";
import { aboveThresholds, largest } from "../../core/passes/kept_per_token.ts";

/** Three tokens: with three, no and two features above 0. */
const features = {
  rowStart: Uint32Array.of(0, 3, 3, 5),
  index: Uint32Array.of(0, 2, 3, 1, 2),
  value: Float32Array.of(0.5, 2, 0.5, 1, 3),
};

Deno.test("the largest activations of each token are kept, features ascending, ties to the lower feature", () => {
  assert.deepEqual(largest(features, 4, 2), {
    rowStart: Uint32Array.of(0, 2, 2, 4),
    index: Uint32Array.of(0, 2, 1, 2),
    value: Float32Array.of(0.5, 2, 1, 3),
  });
  assert.deepEqual(largest(features, 4, 1).index, Uint32Array.of(2, 2));
  assert.deepEqual(largest(features, 4, 9), features);
  // Of a prefix only its own features are chosen from.
  assert.deepEqual(largest(features, 2, 1), {
    rowStart: Uint32Array.of(0, 1, 1, 2),
    index: Uint32Array.of(0, 1),
    value: Float32Array.of(0.5, 1),
  });
});

Deno.test("features above their thresholds are those that an encoder with these thresholds keeps: strictly above", () => {
  assert.deepEqual(aboveThresholds(features, [0.4, 1, 2, -1]), {
    rowStart: Uint32Array.of(0, 2, 2, 3),
    index: Uint32Array.of(0, 3, 2),
    value: Float32Array.of(0.5, 0.5, 3),
  });
});
