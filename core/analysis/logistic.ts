/**
 * Logistic regression in float64, to its optimum and without chance: L-BFGS (Nocedal 1980), and with an l1 penalty its orthant-wise form OWL-QN
 * (Andrew and Gao 2007).
 *
 *     least  sum_i s_i log(1 + exp(-+ (x_i w + b))) + l2 / 2 |w|^2 + l1 |w|_1      - where i is positive, + elsewhere; s_i depends on that too
 * @module
 */

/** A matrix that is only multiplied with. */
export interface Design {
  /** Its rows: examples. */
  readonly rows: number;
  /** Its columns: what is known of each. */
  readonly columns: number;
  /** Overwrites z [rows] with X w. */
  times(w: Float64Array, z: Float64Array): void;
  /** Overwrites g [columns] with X^T r. */
  transposedTimes(r: Float64Array, g: Float64Array): void;
}

/** Rows of numbers as they lie in memory. */
export interface SparseRows {
  /** [rows + 1] */
  readonly rowStart: Uint32Array;
  /** Columns. */
  readonly index: Uint32Array;
  /** Values in them. */
  readonly value: Float32Array;
}

/** What is minimised. */
export interface Penalties {
  /** The weight of each positive example. */
  readonly positive: number;
  /** The weight of each other. */
  readonly negative: number;
  /** Of squares; none if left out. */
  readonly l2?: number;
  /** Of magnitudes; none if left out. */
  readonly l1?: number;
}

/** A fit. */
export interface LogisticFit {
  /** [columns] */
  readonly weights: Float64Array;
  /** What is added; it is not penalised. */
  readonly bias: number;
}

/** Pairs of steps that L-BFGS remembers, and steps at most. */
const MEMORY = 10, MOST_STEPS = 1000;

/** A fit has come to its end where no slope is larger than this share of all the weight of the examples. */
const FLAT = 1e-7;

/** What a step must gain of what its slope promises, and how often it is halved until it does. */
const GAIN = 1e-4, MOST_HALVINGS = 40;

/**
 * Rows of a full matrix.
 *
 * @param matrix [rows, columns] row-major.
 * @param columns Its columns.
 */
export function denseRows(matrix: Float32Array | Float64Array, columns: number): Design {
  const rows = matrix.length / columns;
  return {
    rows,
    columns,
    times(w, z) {
      for (let i = 0; i < rows; i++) {
        let sum = 0;
        for (let c = 0, at = i * columns; c < columns; c++, at++) sum += matrix[at] * w[c];
        z[i] = sum;
      }
    },
    transposedTimes(r, g) {
      g.fill(0);
      for (let i = 0; i < rows; i++) {
        const factor = r[i];
        for (let c = 0, at = i * columns; c < columns; c++, at++) g[c] += factor * matrix[at];
      }
    },
  };
}

/**
 * The first rows of a sparse matrix.
 *
 * @param matrix The matrix.
 * @param rows How many.
 * @param columns Its columns.
 * @param scale What each value is multiplied by.
 */
export function sparseRows({ rowStart, index, value }: SparseRows, rows: number, columns: number, scale = 1): Design {
  return {
    rows,
    columns,
    times(w, z) {
      for (let i = 0; i < rows; i++) {
        let sum = 0;
        for (let at = rowStart[i]; at < rowStart[i + 1]; at++) sum += value[at] * w[index[at]];
        z[i] = scale * sum;
      }
    },
    transposedTimes(r, g) {
      g.fill(0);
      for (let i = 0; i < rows; i++) {
        const factor = scale * r[i];
        for (let at = rowStart[i]; at < rowStart[i + 1]; at++) g[index[at]] += factor * value[at];
      }
    },
  };
}

/**
 * Fits weights to examples.
 *
 * @param x What is known of each.
 * @param isPositive Which of them are positive.
 * @param penalties What is minimised.
 * @returns The weights at the optimum, or where a thousand steps lead.
 */
export function fitLogistic(x: Design, isPositive: (row: number) => boolean, penalties: Penalties): LogisticFit {
  const { l1 = 0 } = penalties, { columns } = x, size = columns + 1;
  const objective = objectiveOf(x, isPositive, penalties);
  let point = new Float64Array(size), slope = new Float64Array(size), value = objective(point, slope);
  const memory: { readonly step: Float64Array; readonly bend: Float64Array; readonly product: number }[] = [];
  for (let n = 0; n < MOST_STEPS; n++) {
    const downhill = steepest(point, slope, l1);
    if (downhill.every((one) => Math.abs(one) <= FLAT * objective.weight)) break;
    const direction = bent(downhill, memory);
    // Where memory points against what the penalty allows, the coordinate rests.
    if (l1 > 0) { for (let c = 0; c < columns; c++) if (direction[c] * downhill[c] <= 0) direction[c] = 0; }
    let length = memory.length === 0 ? 1 / Math.sqrt(dot(direction, direction)) : 1, halvings = 0;
    const next = new Float64Array(size), nextSlope = new Float64Array(size);
    for (;; halvings++, length /= 2) {
      if (halvings > MOST_HALVINGS) return { weights: point.slice(0, columns), bias: point[columns] };
      for (let c = 0; c < size; c++) next[c] = point[c] + length * direction[c];
      if (l1 > 0) stayInOrthant(point, downhill, next, columns);
      let promised = 0;
      for (let c = 0; c < size; c++) promised += downhill[c] * (next[c] - point[c]);
      const reached = objective(next, nextSlope);
      if (reached > value - GAIN * promised) continue;
      value = reached;
      break;
    }
    const step = next.map((one, c) => one - point[c]), bend = nextSlope.map((one, c) => one - slope[c]);
    const product = dot(step, bend);
    if (product > 1e-12 * dot(bend, bend)) memory.push({ step, bend, product });
    if (memory.length > MEMORY) memory.shift();
    [point, slope] = [next, nextSlope];
  }
  return { weights: point.slice(0, columns), bias: point[columns] };
}

/**
 * What a fit says of examples.
 *
 * @param x The examples.
 * @param fit The fit.
 * @returns [rows] x w + b, above 0 where it takes an example for positive.
 */
export function scoresOf(x: Design, { weights, bias }: LogisticFit): Float64Array<ArrayBuffer> {
  const z = new Float64Array(x.rows);
  x.times(weights, z);
  return z.map((one) => one + bias);
}

/** The value at a point, weights first and the bias last, the l1 penalty included; it overwrites the slope of all but that. */
function objectiveOf(
  x: Design,
  isPositive: (row: number) => boolean,
  { positive, negative, l2 = 0, l1 = 0 }: Penalties,
) {
  const { rows, columns } = x, z = new Float64Array(rows), residual = new Float64Array(rows);
  const signs = Float64Array.from({ length: rows }, (_, i) => isPositive(i) ? 1 : -1);
  const weight = signs.reduce((sum, sign) => sum + (sign > 0 ? positive : negative), 0);
  const objective = (point: Float64Array, slope: Float64Array): number => {
    const w = point.subarray(0, columns);
    x.times(w, z);
    let value = 0, sum = 0;
    for (let i = 0; i < rows; i++) {
      const margin = signs[i] * (z[i] + point[columns]), share = signs[i] > 0 ? positive : negative;
      const small = Math.exp(-Math.abs(margin));
      value += share * (Math.log1p(small) + Math.max(0, -margin));
      residual[i] = -signs[i] * share * (margin > 0 ? small : 1) / (1 + small);
      sum += residual[i];
    }
    x.transposedTimes(residual, slope.subarray(0, columns));
    slope[columns] = sum;
    for (let c = 0; c < columns; c++) {
      value += l2 / 2 * w[c] * w[c] + l1 * Math.abs(w[c]);
      slope[c] += l2 * w[c];
    }
    return value;
  };
  return Object.assign(objective, { weight });
}

/** The direction of steepest descent, the l1 penalty included; 0 where that holds a weight at 0. */
function steepest(point: Float64Array, slope: Float64Array, l1: number): Float64Array<ArrayBuffer> {
  const bias = point.length - 1;
  return Float64Array.from(slope, (one, c) => {
    if (c === bias || l1 === 0) return -one;
    if (point[c] !== 0) return -one - l1 * Math.sign(point[c]);
    return Math.abs(one) > l1 ? -one + l1 * Math.sign(one) : 0;
  });
}

/** A direction bent by what the last steps told of the curvature (the two loops of L-BFGS). */
function bent(
  downhill: Float64Array,
  memory: readonly { readonly step: Float64Array; readonly bend: Float64Array; readonly product: number }[],
): Float64Array<ArrayBuffer> {
  const direction = Float64Array.from(downhill), shares: number[] = [];
  for (const { step, bend, product } of memory.toReversed()) {
    const share = dot(step, direction) / product;
    shares.push(share);
    add(direction, bend, -share);
  }
  const last = memory.at(-1);
  if (last) {
    const scale = last.product / dot(last.bend, last.bend);
    for (let c = 0; c < direction.length; c++) direction[c] *= scale;
  }
  for (const { step, bend, product } of memory) add(direction, step, shares.pop()! - dot(bend, direction) / product);
  return direction;
}

/** Sets to 0 the weights that a step has taken through it. */
function stayInOrthant(point: Float64Array, downhill: Float64Array, next: Float64Array, columns: number): void {
  for (let c = 0; c < columns; c++) {
    if (next[c] * (point[c] !== 0 ? point[c] : downhill[c]) < 0) next[c] = 0;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

function add(to: Float64Array, from: Float64Array, factor: number): void {
  for (let c = 0; c < to.length; c++) to[c] += factor * from[c];
}
