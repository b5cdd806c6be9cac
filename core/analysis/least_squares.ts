/**
 * Systems of linear equations with a symmetric positive definite matrix, as least squares have, in float64.
 * @module
 */

/** Vectors that are substituted together: each row of the triangle is read once for all of them. */
const TOGETHER = 4;

/**
 * Solves A x = b for many b by Cholesky's factors A = L L^T. At n = 2,304 with as many right-hand sides it takes about ten seconds.
 *
 * @param matrix [n, n] A, row-major, symmetric; its lower triangle is overwritten with L, and its upper one with L^T.
 * @param right [count, n] one b after the other, each overwritten with its x.
 * @param n The size of A.
 * @throws {RangeError} When A is not positive definite.
 */
export function solvePositiveDefinite(matrix: Float64Array, right: Float64Array, n: number): void {
  factorize(matrix, n);
  const count = right.length / n;
  for (let first = 0; first < count; first += TOGETHER) {
    const vectors = Math.min(TOGETHER, count - first);
    substitute(matrix, n, right, first * n, vectors, n);
    substituteBack(matrix, n, right, first * n, vectors);
  }
}

/**
 * Cholesky's factors: overwrites A with L in its lower triangle and L^T in its upper one. Row i of L solves L x = A[i, 0 .. i - 1].
 *
 * @param matrix [n, n] A, row-major, symmetric; its lower triangle alone is read.
 * @param n The size of A.
 * @throws {RangeError} When A is not positive definite.
 */
export function factorize(matrix: Float64Array, n: number): void {
  for (let first = 0; first < n; first += TOGETHER) {
    const end = Math.min(first + TOGETHER, n);
    substitute(matrix, n, matrix, first * n, end - first, first);
    for (let i = first; i < end; i++) {
      const row = i * n;
      for (let j = first; j <= i; j++) {
        let sum = matrix[row + j];
        for (let k = 0; k < j; k++) sum -= matrix[row + k] * matrix[j * n + k];
        if (j < i) matrix[row + j] = sum / matrix[j * n + j];
        else if (sum > 0) matrix[row + i] = Math.sqrt(sum);
        else throw new RangeError(`Cannot factorize a matrix: it must be positive definite, pivot ${i} is ${sum}`);
      }
    }
  }
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) matrix[i * n + j] = matrix[j * n + i];
}

/** Where each of four vectors begins; the last one stands in for those that there are too few of, and is then solved several times over. */
function places(n: number, at: number, vectors: number): [number, number, number, number] {
  const place = (v: number) => at + Math.min(v, vectors - 1) * n;
  return [place(0), place(1), place(2), place(3)];
}

/** Overwrites the first `size` numbers of up to four vectors, n apart from `at` on, with the solution of L x = them. */
function substitute(l: Float64Array, n: number, x: Float64Array, at: number, vectors: number, size: number): void {
  const [a, b, c, d] = places(n, at, vectors);
  for (let i = 0; i < size; i++) {
    const row = i * n;
    let p = x[a + i], q = x[b + i], r = x[c + i], s = x[d + i];
    for (let k = 0; k < i; k++) {
      const factor = l[row + k];
      p -= factor * x[a + k];
      q -= factor * x[b + k];
      r -= factor * x[c + k];
      s -= factor * x[d + k];
    }
    const pivot = l[row + i];
    x[a + i] = p / pivot;
    x[b + i] = q / pivot;
    x[c + i] = r / pivot;
    x[d + i] = s / pivot;
  }
}

/** Overwrites up to four vectors with the solution of L^T x = them, L^T being the upper triangle. */
function substituteBack(l: Float64Array, n: number, x: Float64Array, at: number, vectors: number): void {
  const [a, b, c, d] = places(n, at, vectors);
  for (let i = n - 1; i >= 0; i--) {
    const row = i * n;
    let p = x[a + i], q = x[b + i], r = x[c + i], s = x[d + i];
    for (let k = i + 1; k < n; k++) {
      const factor = l[row + k];
      p -= factor * x[a + k];
      q -= factor * x[b + k];
      r -= factor * x[c + k];
      s -= factor * x[d + k];
    }
    const pivot = l[row + i];
    x[a + i] = p / pivot;
    x[b + i] = q / pivot;
    x[c + i] = r / pivot;
    x[d + i] = s / pivot;
  }
}
