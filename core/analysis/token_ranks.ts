/**
 * Which tokens of a vocabulary lie along some directions, taken in block by block.
 * @module
 */

import { Spread } from "./spread.ts";

/** A token and what it was ranked by. */
export interface RankedToken {
  /** Its id. */
  readonly id: number;
  /** The value. */
  readonly value: number;
}

/** How a direction's values are spread over the vocabulary. */
export interface TokenRanking {
  /** The largest, in falling order; of equal ones the smaller id first. */
  readonly highest: readonly RankedToken[];
  /** The smallest, in rising order. */
  readonly lowest: readonly RankedToken[];
  /** Mean of all. */
  readonly mean: number;
  /** Their standard deviation. */
  readonly std: number;
  /** How many there are of each size. */
  readonly spread: Spread;
}

/** Ranks tokens by each of several directions. */
export class TokenRanks {
  readonly #most: number;
  readonly #directions: readonly {
    readonly highest: RankedToken[];
    readonly lowest: RankedToken[];
    sum: number;
    squares: number;
    readonly spread: Spread;
  }[];
  #tokens = 0;

  /**
   * Begins with nothing.
   *
   * @param directions How many.
   * @param most How many tokens are kept at either end.
   */
  constructor(directions: number, most: number) {
    this.#most = most;
    this.#directions = Array.from({ length: directions }, () => {
      return { highest: [], lowest: [], sum: 0, squares: 0, spread: new Spread() };
    });
  }

  /**
   * Takes in the tokens behind those before.
   *
   * @param values [tokens, directions]
   */
  add(values: ArrayLike<number>): void {
    const count = this.#directions.length, tokens = values.length / count;
    this.#directions.forEach((direction, n) => {
      const { highest, lowest, spread } = direction;
      for (let token = 0; token < tokens; token++) {
        const value = values[token * count + n], ranked = { id: this.#tokens + token, value };
        direction.sum += value;
        direction.squares += value * value;
        spread.add(value);
        if (highest.length < this.#most || value > highest[this.#most - 1].value) {
          insert(highest, ranked, this.#most, (one) => value > one.value);
        }
        if (lowest.length < this.#most || value < lowest[this.#most - 1].value) {
          insert(lowest, ranked, this.#most, (one) => value < one.value);
        }
      }
    });
    this.#tokens += tokens;
  }

  /** What was found, by direction. */
  get rankings(): TokenRanking[] {
    return this.#directions.map(({ highest, lowest, sum, squares, spread }) => {
      const mean = sum / this.#tokens;
      return { highest, lowest, spread, mean, std: Math.sqrt(Math.max(0, squares / this.#tokens - mean * mean)) };
    });
  }
}

function insert(list: RankedToken[], ranked: RankedToken, most: number, isBefore: (one: RankedToken) => boolean): void {
  const place = list.findIndex(isBefore);
  list.splice(place < 0 ? list.length : place, 0, ranked);
  list.length = Math.min(list.length, most);
}
