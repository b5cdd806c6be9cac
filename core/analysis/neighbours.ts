/**
 * The nearest of many: for each feature the few others that it resembles most, while pairs come in any order.
 * @module
 */

/** Another feature and how near it is. */
export interface Neighbour {
  /** The other feature. */
  readonly feature: number;
  /** The measure by which it is near; larger is nearer. */
  readonly value: number;
}

/** For each feature the others with the largest values, equal ones by their numbers. */
export class Neighbours {
  readonly #most: number;
  /** [features, most], falling; -1 where there is none yet. */
  readonly #index: Int32Array;
  readonly #value: Float64Array;

  /**
   * Begins with none.
   *
   * @param features Features of the dictionary.
   * @param most How many are kept of each.
   */
  constructor(features: number, most: number) {
    this.#most = most;
    this.#index = new Int32Array(features * most).fill(-1);
    this.#value = new Float64Array(features * most).fill(-Infinity);
  }

  /**
   * Takes in a pair, for its first feature alone.
   *
   * @param feature The feature.
   * @param other The other one.
   * @param value How near that is.
   */
  offer(feature: number, other: number, value: number): void {
    const first = feature * this.#most, last = first + this.#most - 1, values = this.#value, index = this.#index;
    if (!(value >= values[last])) return;
    const isBehind = (at: number) =>
      values[at] > value || (values[at] === value && index[at] < other && index[at] >= 0);
    if (isBehind(last)) return;
    let at = last;
    for (; at > first && !isBehind(at - 1); at--) {
      values[at] = values[at - 1];
      index[at] = index[at - 1];
    }
    values[at] = value;
    index[at] = other;
  }

  /**
   * The nearest of a feature.
   *
   * @param feature The feature.
   * @returns The nearest first; as many as were offered, at most as many as are kept.
   */
  of(feature: number): Neighbour[] {
    const found: Neighbour[] = [];
    for (let at = feature * this.#most; at < (feature + 1) * this.#most && this.#index[at] >= 0; at++) {
      found.push({ feature: this.#index[at], value: this.#value[at] });
    }
    return found;
  }

  /**
   * How near the nearest is.
   *
   * @param feature The feature.
   * @returns The largest value; -Infinity where none was offered.
   */
  largest(feature: number): number {
    return this.#value[feature * this.#most];
  }
}
