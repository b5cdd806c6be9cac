/**
 * The angles of the rotary embedding.
 * @module
 */

import type { Rope } from "./config.ts";

/**
 * Tabulates (cos, sin) of position * theta^(-2 i / head_dim) / factor. Frequencies and angles are rounded to f32 as Hugging Face does:
 * at position 8,000 a more exact angle would differ by 5e-4.
 *
 * @param headDim Width of a head.
 * @param rope The wavelengths.
 * @param context How many positions.
 * @returns f32 [context, head_dim / 2, 2].
 */
export function rotaryTurns(headDim: number, { theta, factor }: Rope, context: number): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const frequencies = Float32Array.from(
    { length: half },
    (_, i) => Math.fround(1 / Math.fround(theta ** Math.fround(2 * i / headDim))) / factor,
  );
  const turns = new Float32Array(context * half * 2);
  for (let position = 0; position < context; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      turns[(position * half + i) * 2] = Math.cos(angle);
      turns[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return turns;
}
