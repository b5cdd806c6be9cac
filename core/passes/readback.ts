/**
 * Reading the model's activations back whole, BOS included.
 * @module
 */

import { downloadAll, type Gpu } from "../gpu/device.ts";
import { viewOf } from "../gpu/tensor.ts";
import type { Decoder, ForwardOptions } from "../model/forward.ts";
import type { Analysis, Piece } from "./over_text.ts";

/**
 * An analysis that fetches what the model computed at each of its taps, a forward pass at a time.
 *
 * @param gpu The device.
 * @param decoder The model.
 * @param take Hears of f32 [contexts * context, width] for each tap, in the model's order.
 * @param forward How the model is to run; as it was loaded if left out.
 * @returns The analysis. The host holds the activations of a forward pass twice while they are fetched.
 */
export function readActivations(
  gpu: Gpu,
  { taps }: Pick<Decoder, "taps">,
  take: (piece: Piece, activations: readonly Float32Array<ArrayBuffer>[]) => void,
  forward?: ForwardOptions,
): Analysis<readonly ArrayBuffer[]> {
  return {
    taps,
    forward,
    tokensAtOnce: Infinity,
    record() {},
    read: ({ activations }) =>
      downloadAll(gpu, activations.map(({ tensor, tokens, width }) => viewOf(tensor, [tokens, width]))),
    take: (piece, bytes) => take(piece, bytes.map((taken) => new Float32Array(taken))),
  };
}
