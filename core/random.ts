/**
 * Seeded random numbers that are the same on every machine: integer arithmetic, and for floats only operations that
 * IEEE 754 rounds correctly (+ - * / and square root), never `Math.log` or `Math.cos`, whose last bit differs by platform.
 * @module
 */

/** A stream of random numbers; each call advances it. */
export interface RandomGenerator {
  /** Uniform integer in [0, 2^32). */
  u32(): number;
  /** Uniform number in [0, 1), a multiple of 2^-32. */
  float(): number;
  /** Uniform integer in [0, n) without modulo bias, for an integer n in [1, 2^32]. */
  below(n: number): number;
  /** Standard normal number: mean 0, variance 1. */
  gaussian(): number;
}

/**
 * The generator xoshiro128** (Blackman and Vigna, 2018) in the stream named by a seed and any number of stream ids.
 *
 * Different (seed, ids) give unrelated streams, so that each purpose, epoch or buffer can have its own and none depends
 * on how many numbers another one has drawn.
 *
 * @param seed Safe integer >= 0.
 * @param streamIds Safe integers >= 0; their number and order matter.
 */
export function randomGenerator(seed: number, ...streamIds: number[]): RandomGenerator {
  return xoshiro128(seedState([seed, ...streamIds]));
}

/** The generator xoshiro128** started from its raw state, four 32-bit words that are not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): RandomGenerator {
  let [a, b, c, d] = state;
  let spare: number | undefined;

  function u32(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return scrambled;
  }

  const float = () => u32() / TWO_32;

  function below(n: number): number {
    const limit = TWO_32 - TWO_32 % n;
    for (;;) {
      const draw = u32();
      if (draw < limit) return draw % n;
    }
  }

  // Marsaglia's polar method: a uniform point of the unit disc gives two independent normal numbers.
  function gaussian(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const x = 2 * float() - 1;
      const y = 2 * float() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const stretch = Math.sqrt(-2 * naturalLog(square) / square);
      spare = y * stretch;
      return x * stretch;
    }
  }

  return { u32, float, below, gaussian };
}

/** A uniform random permutation of 0 .. n-1 (Fisher-Yates), n < 2^32. */
export function permutation(n: number, random: RandomGenerator): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const j = random.below(i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  return order;
}

const TWO_32 = 2 ** 32;

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** A bijection of 32-bit words whose every output bit depends on every input bit (MurmurHash3's finaliser). */
function scramble(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}

/** Four lanes, each a hash of all the numbers; the lanes start from different words of the golden ratio's multiples. */
function seedState(numbers: number[]): [number, number, number, number] {
  const lane = (start: number) => {
    let hash = scramble(start ^ numbers.length);
    for (const number of numbers) {
      if (!Number.isSafeInteger(number) || number < 0) {
        throw new RangeError(`Cannot seed a generator: seeds are integers from 0 to 2^53 - 1, got ${number}`);
      }
      hash = scramble(Math.imul(hash, 5) + (number >>> 0));
      hash = scramble(Math.imul(hash, 5) + Math.floor(number / TWO_32) + start);
    }
    return hash;
  };
  const state: [number, number, number, number] = [
    lane(0x9e3779b9),
    lane(0x3c6ef372),
    lane(0xdaa66d2b),
    lane(0x78dde6e4),
  ];
  if (state.every((word) => word === 0)) state[0] = 1; // the one state that xoshiro never leaves
  return state;
}

/** ln x for 0 < x <= 1 within 2 units in the last place, by arithmetic alone. */
function naturalLog(x: number): number {
  let exponent = 0;
  while (x < Math.SQRT1_2) {
    x *= 2;
    exponent++;
  }
  // ln x = 2 artanh z with |z| < 0.172, where the series falls below one rounding after eleven terms.
  const z = (x - 1) / (x + 1);
  const square = z * z;
  let series = 0;
  for (let odd = 21; odd >= 1; odd -= 2) series = series * square + 1 / odd;
  return 2 * z * series - exponent * Math.LN2;
}
