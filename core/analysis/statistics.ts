/**
 * Descriptive statistics that the analyses share: moments, quantiles, histograms and the least-squares line.
 * @module
 */

/** Moments and quantiles of a list of numbers. Every field but `count` is NaN when the list is empty. */
export interface Summary {
  /** How many numbers there were. */
  count: number;
  /** Arithmetic mean. */
  mean: number;
  /** Population standard deviation (divided by `count`). */
  std: number;
  /** Smallest value. */
  min: number;
  /** 5th percentile. */
  p05: number;
  /** Median. */
  median: number;
  /** 95th percentile. */
  p95: number;
  /** Largest value. */
  max: number;
}

/** Counts in equally wide bins; a bin holds its lower edge and not its upper one, the last bin holds both. */
export interface Histogram {
  /** Bin edges, one more than there are bins, ascending. */
  edges: number[];
  /** Values per bin. */
  counts: number[];
}

/** The straight line that minimises the squared vertical distances to the points. */
export interface Line {
  /** Change of y per unit of x. */
  slope: number;
  /** y at x = 0. */
  intercept: number;
  /** Pearson's correlation of x and y. */
  correlation: number;
}

/** Mean, population standard deviation and extremes of `values`, in float64; NaN when empty or when a value is NaN. */
export function moments(values: ArrayLike<number>): { mean: number; std: number; min: number; max: number } {
  const n = values.length;
  let sum = 0, min = Infinity, max = -Infinity;
  for (let i = 0; i < n; i++) {
    const value = values[i];
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const mean = sum / n;
  if (Number.isNaN(mean)) return { mean, std: NaN, min: NaN, max: NaN };
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i] - mean) ** 2;
  return { mean, std: Math.sqrt(squares / n), min, max };
}

/** The q-quantile, 0 <= q <= 1, of an ascending list, linear between neighbours; NaN when the list is empty. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  if (ascending.length === 0) return NaN;
  const at = q * (ascending.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, ascending.length - 1);
  return ascending[below] + (at - below) * (ascending[above] - ascending[below]);
}

/** The median, without changing `values`; NaN when empty. */
export function median(values: ArrayLike<number>): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

/** Moments and quantiles of `values`. */
export function summarize(values: ArrayLike<number>): Summary {
  const sorted = Float64Array.from(values).sort();
  return {
    count: sorted.length,
    ...moments(sorted),
    p05: quantile(sorted, 0.05),
    median: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
  };
}

/**
 * Counts `values` in `bins` equal bins over [low, high]. Values outside and NaN are not counted.
 * When `high` is not above `low` the range is widened by half a unit on both sides, so that a constant fills one bin.
 */
export function histogram(values: ArrayLike<number>, bins: number, low: number, high: number): Histogram {
  if (!(high > low)) {
    const half = low === 0 ? 0.5 : Math.abs(low) / 2;
    [low, high] = [low - half, low + half];
  }
  const width = (high - low) / bins;
  const edges = Array.from({ length: bins + 1 }, (_, i) => i === bins ? high : low + i * width);
  const counts = new Array<number>(bins).fill(0);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value >= low && value <= high) counts[Math.min(Math.floor((value - low) / width), bins - 1)]++;
  }
  return { edges, counts };
}

/** The least-squares line through the points (x[i], y[i]); all NaN for fewer than three points or when x does not vary. */
export function leastSquares(x: ArrayLike<number>, y: ArrayLike<number>): Line {
  const n = x.length;
  const meanX = moments(x).mean;
  const meanY = moments(y).mean;
  let xx = 0, xy = 0, yy = 0;
  for (let i = 0; i < n; i++) {
    xx += (x[i] - meanX) ** 2;
    xy += (x[i] - meanX) * (y[i] - meanY);
    yy += (y[i] - meanY) ** 2;
  }
  if (n < 3 || !(xx > 0)) return { slope: NaN, intercept: NaN, correlation: NaN };
  const slope = xy / xx;
  return {
    slope,
    intercept: meanY - slope * meanX,
    correlation: yy > 0 ? xy / Math.sqrt(xx * yy) : NaN,
  };
}

/** The rank of each value, 1 for the least; equal values share the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]), found = new Array<number>(values.length);
  for (let first = 0, end = 0; first < order.length; first = end) {
    while (end < order.length && values[order[end]] === values[order[first]]) end++;
    for (let at = first; at < end; at++) found[order[at]] = (first + 1 + end) / 2;
  }
  return found;
}

/** Spearman's correlation: Pearson's of the ranks; NaN for fewer than three values, or where all of a side are alike. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  return leastSquares(ranks(x), ranks(y)).correlation;
}
