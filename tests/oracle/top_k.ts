/**
 * Batch top-k by sorting, thresholds by comparing, and the sparse forms of what they keep.
 * @module
 */

/** For each token (row) and feature (column), whether it is kept. */
export type Mask = boolean[][];

/**
 * Keeps the largest entries of a whole batch: positive ones only, ties to the lowest flat index token * features + feature.
 *
 * @param activations [tokens][features]; NaN and -0 count as not positive.
 * @param wanted How many to keep; fewer when fewer are positive.
 * @param takesPart [features] which features may be kept.
 * @returns What is kept.
 */
export function keepLargest(activations: number[][], wanted: number, takesPart: boolean[]): Mask {
  const candidates: { value: number; token: number; feature: number }[] = [];
  activations.forEach((row, token) =>
    row.forEach((value, feature) => {
      if (takesPart[feature] && value > 0) candidates.push({ value, token, feature });
    })
  );
  // Candidates are in flat order, and a stable sort leaves equal values in it.
  candidates.sort((a, b) => a.value === b.value ? 0 : b.value > a.value ? 1 : -1);
  const kept: Mask = activations.map((row) => row.map(() => false));
  for (const { token, feature } of candidates.slice(0, wanted)) kept[token][feature] = true;
  return kept;
}

/**
 * Keeps what is above its feature's threshold, strictly: f = a where a > threshold, else 0, and f = 0 is not kept.
 *
 * @param activations [tokens][features], not negative.
 * @param thresholds [features], of any sign; infinity keeps nothing.
 * @returns What is kept.
 */
export function keepAbove(activations: number[][], thresholds: ArrayLike<number>): Mask {
  return activations.map((row) => row.map((a, feature) => (a > thresholds[feature] ? a : 0) > 0));
}

/** A kept activation. */
export interface Entry {
  token: number;
  feature: number;
  value: number;
}

/** Kept activations as parallel arrays, grouped by token or by feature. */
export interface Sparse {
  /** [groups + 1]: the entries of group g are start[g] .. start[g + 1] - 1. */
  start: Uint32Array<ArrayBuffer>;
  /** The other coordinate of each entry, ascending within a group. */
  index: Uint32Array<ArrayBuffer>;
  value: Float32Array<ArrayBuffer>;
}

/**
 * Lists what a mask keeps, token by token.
 *
 * @param activations [tokens][features].
 * @param kept The mask.
 * @returns The entries in flat order.
 */
export function entriesOf(activations: number[][], kept: Mask): Entry[] {
  return activations.flatMap((row, token) =>
    row.flatMap((value, feature) => kept[token][feature] ? [{ token, feature, value }] : [])
  );
}

/** Groups entries that are in flat order by one of their coordinates. */
function group(entries: Entry[], by: "token" | "feature", other: "token" | "feature", groups: number): Sparse {
  const sorted = entries.toSorted((a, b) => a[by] - b[by]);
  const start = new Uint32Array(groups + 1);
  for (const entry of entries) start[entry[by] + 1]++;
  for (let g = 0; g < groups; g++) start[g + 1] += start[g];
  return {
    start,
    index: Uint32Array.from(sorted, (entry) => entry[other]),
    value: Float32Array.from(sorted, (entry) => entry.value),
  };
}

/** The entries by token; `index` is the feature. */
export function rowsOf(entries: Entry[], tokens: number): Sparse {
  return group(entries, "token", "feature", tokens);
}

/** The entries by feature; `index` is the token. */
export function columnsOf(entries: Entry[], features: number): Sparse {
  return group(entries, "feature", "token", features);
}
