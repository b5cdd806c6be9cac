import assert from "node:assert/strict";
import { solvePositiveDefinite } from "../../core/analysis/least_squares.ts";
import { assertClose } from "../compare.ts";
import { gaussians } from "../random.ts";

/** A = M M^T + identity, with which any x can be turned into its b. */
function matrixOf(n: number): Float64Array {
  const m = gaussians(n * n, n), a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (let k = 0; k < n; k++) a[i * n + j] += m[i * n + k] * m[j * n + k];
      if (i === j) a[i * n + j] += 1;
    }
  }
  return a;
}

for (const [n, count] of [[1, 1], [2, 3], [4, 4], [7, 1], [13, 6], [64, 9]]) {
  Deno.test(`solvePositiveDefinite: ${n} equations, ${count} right-hand sides`, () => {
    const a = matrixOf(n), x = Float64Array.from(gaussians(count * n, 99)), b = new Float64Array(count * n);
    for (let v = 0; v < count; v++) {
      for (let i = 0; i < n; i++) {
        for (let k = 0; k < n; k++) b[v * n + i] += a[i * n + k] * x[v * n + k];
      }
    }
    // The lower triangle is enough.
    for (let i = 0; i < n; i++) a.fill(NaN, i * n + i + 1, (i + 1) * n);
    solvePositiveDefinite(a, b, n);
    assertClose("x", b, x, { floor: 1e-9, relative: 1e-9 });
  });
}

Deno.test("solvePositiveDefinite refuses a matrix that is not positive definite", () => {
  const singular = Float64Array.of(1, 2, 2, 4);
  assert.throws(() => solvePositiveDefinite(singular, new Float64Array(2), 2), /pivot 1 is 0/);
  assert.throws(() => solvePositiveDefinite(Float64Array.of(NaN), new Float64Array(1), 1), /pivot 0 is NaN/);
});
