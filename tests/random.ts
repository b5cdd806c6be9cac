/**
 * Seeded inputs for tests, independent of the program's own generator.
 * @module
 */

/**
 * Uniform numbers in [0, 1) by mulberry32.
 *
 * @param seed Any integer.
 * @returns The generator.
 */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Standard normal numbers (Box-Muller).
 *
 * @param count How many.
 * @param seed Any integer.
 * @returns They.
 */
export function gaussians(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}
