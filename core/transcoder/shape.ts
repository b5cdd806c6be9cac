/**
 * The sizes of a transcoder: its widths, and the nested groups of its dictionary.
 * @module
 */

/** The sizes of one transcoder. */
export interface TranscoderShape {
  /** Width of the source activations. */
  readonly d_in: number;
  /** Width of the target activations. */
  readonly d_out: number;
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Whether the source reaches the targets linearly too, beside the features; not if left out. */
  readonly skip?: boolean;
}

/**
 * Counts the features of a dictionary.
 *
 * @param groups Features per group.
 * @returns Their sum, F.
 */
export function featureCount(groups: readonly number[]): number {
  return groups.reduce((sum, size) => sum + size, 0);
}

/**
 * The nested prefixes of a dictionary: [1152, 2304, 1152] gives [1152, 3456, 4608].
 *
 * @param groups Features per group.
 * @returns The end of each prefix, ascending; the last is F.
 */
export function prefixEnds(groups: readonly number[]): number[] {
  let end = 0;
  return groups.map((size) => end += size);
}

/**
 * The group that a feature belongs to.
 *
 * @param groups Features per group.
 * @param feature The feature, below F.
 * @returns The group's index.
 */
export function groupOf(groups: readonly number[], feature: number): number {
  return prefixEnds(groups).findIndex((end) => feature < end);
}
