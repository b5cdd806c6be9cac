/**
 * The commonest token of each feature over everything it fires on, counted in memory of fixed size while the text goes by
 * (the frequent items of Misra and Gries, 1982).
 * @module
 */

/**
 * Tokens counted at once for each feature. A token's count is too small by at most 1 / (COUNTERS + 1) of the feature's other
 * firings, so that one on half of them lacks no more than 1.6 % of all; a feature that fires on no more than COUNTERS
 * different tokens is counted exactly.
 */
export const COUNTERS = 32;

/** Stands for no token. */
const FREE = 0xffffffff;

/** A count that is known between two bounds. */
export interface BoundedCount {
  /** The counted token. */
  readonly token: number;
  /** How often it was seen at least. */
  readonly least: number;
  /** How often at most; no other token was seen more often than this either. */
  readonly most: number;
}

/** For each feature the tokens that it fires on most; the same for equal sequences, however they are cut into batches. */
export class HeavyTokens {
  /** [features, COUNTERS] the counted tokens, {@link FREE} where none is. */
  readonly #tokens: Uint32Array;
  /** [features, COUNTERS] how often each was seen, less what it was lowered by. */
  readonly #counts: Uint32Array;
  /** [features] how often all counters were lowered by one: the most that any token's count can lack. */
  readonly #lowered: Uint32Array;

  /**
   * Allocates counters.
   *
   * @param features Features of the dictionary.
   */
  constructor(features: number) {
    this.#tokens = new Uint32Array(features * COUNTERS).fill(FREE);
    this.#counts = new Uint32Array(features * COUNTERS);
    this.#lowered = new Uint32Array(features);
  }

  /** The memory that the counters take. */
  get bytes(): number {
    return this.#tokens.byteLength + this.#counts.byteLength + this.#lowered.byteLength;
  }

  /**
   * Counts one firing.
   *
   * @param feature The feature.
   * @param token What it fired on.
   */
  add(feature: number, token: number): void {
    const first = feature * COUNTERS, end = first + COUNTERS, tokens = this.#tokens, counts = this.#counts;
    let free = -1;
    for (let at = first; at < end; at++) {
      const counted = tokens[at];
      if (counted === token) {
        counts[at]++;
        return;
      }
      if (counted === FREE) free = at;
    }
    if (free >= 0) {
      tokens[free] = token;
      counts[free] = 1;
      return;
    }
    // The new token and one firing of each counted one go out together: at most to 1 / (COUNTERS + 1) of all.
    for (let at = first; at < end; at++) if (--counts[at] === 0) tokens[at] = FREE;
    this.#lowered[feature]++;
  }

  /**
   * The token that a feature fired on most.
   *
   * @param feature The feature.
   * @returns The token with the highest count, the lowest id among equals; null where none has one left. Where another was
   * seen more often, both lie between these bounds.
   */
  commonest(feature: number): BoundedCount | null {
    let best = -1;
    for (let at = feature * COUNTERS; at < (feature + 1) * COUNTERS; at++) {
      const count = this.#counts[at], most = best < 0 ? 0 : this.#counts[best];
      if (count > most || (count > 0 && count === most && this.#tokens[at] < this.#tokens[best])) best = at;
    }
    if (best < 0) return null;
    const least = this.#counts[best];
    return { token: this.#tokens[best], least, most: least + this.#lowered[feature] };
  }
}
