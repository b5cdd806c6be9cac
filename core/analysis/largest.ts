/**
 * The largest few of many.
 * @module
 */

/** Keeps the items with the largest values, of equal ones those that came first. */
export class Largest<T> {
  readonly #most: number;
  readonly #kept: { readonly item: T; readonly value: number }[] = [];

  /**
   * Keeps nothing yet.
   *
   * @param most How many to keep.
   */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Takes an item.
   *
   * @param item The item.
   * @param value Its value.
   */
  add(item: T, value: number): void {
    const kept = this.#kept;
    if (kept.length === this.#most && !(value > kept[kept.length - 1].value)) return;
    const rank = kept.findIndex((other) => other.value < value);
    kept.splice(rank < 0 ? kept.length : rank, 0, { item, value });
    kept.length = Math.min(kept.length, this.#most);
  }

  /** The items, the largest first. */
  get items(): T[] {
    return this.#kept.map(({ item }) => item);
  }
}
