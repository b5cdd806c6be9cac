/**
 * Widening of 16-bit floats. It is exact: every value of either format is a float32.
 * @module
 */

/**
 * Widens bfloat16, the upper half of a float32.
 *
 * @param bits The values' bits.
 * @returns The same values.
 */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/**
 * Finds infinity or NaN among bfloat16s; fast, because models have billions of them.
 *
 * @param bits The values' bits.
 * @returns The index of the first that is not finite, -1 when all are.
 */
export function firstNotFinite(bits: Uint16Array): number {
  // An exponent of all ones. Two values at a time where they lie so that a word holds them.
  const isAligned = bits.byteOffset % 4 === 0;
  const words = isAligned ? new Uint32Array(bits.buffer, bits.byteOffset, bits.length >> 1) : new Uint32Array(0);
  let pair = 0;
  for (; pair < words.length; pair++) {
    const word = words[pair];
    if ((word & 0x7f80) === 0x7f80 || (word & 0x7f800000) === 0x7f800000) break;
  }
  for (let i = 2 * pair; i < bits.length; i++) if ((bits[i] & 0x7f80) === 0x7f80) return i;
  return -1;
}

/** All 65,536 IEEE half-precision values, built on first use. */
let halves: Float32Array | undefined;

/**
 * Widens IEEE float16.
 *
 * @param bits The values' bits.
 * @returns The same values.
 */
export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, value) => widenHalf(value));
  const floats = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) floats[i] = halves[bits[i]];
  return floats;
}

function widenHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
