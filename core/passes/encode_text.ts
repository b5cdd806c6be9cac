/**
 * Encodes a text: model and transcoders over its contexts, one after the other.
 * @module
 */

import type { Decoder } from "../model/forward.ts";
import { type Tap, tapName } from "../model/sites.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** A transcoder with the site that it reads. */
export interface TextEncoder {
  /** Where its input is read. */
  readonly source: Tap;
  /** The transcoder. */
  readonly transcoder: Transcoder;
}

/** One context of the text. */
export interface EncodedContext {
  /** Its tokens, BOS first. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** The features of its counted tokens, one entry per transcoder. Without BOS, row 0 is the token behind it. */
  readonly features: readonly HostFeatures[];
}

/**
 * Cuts a text as training does: pieces of context - 1 tokens, each behind a BOS. The last one may be shorter.
 *
 * @param ids The text's tokens without special ones.
 * @param bosId The token in front of each piece.
 * @param context Tokens per context, BOS included.
 * @returns The contexts.
 */
export function textContexts(ids: Uint32Array, bosId: number, context: number): Uint32Array<ArrayBuffer>[] {
  return Array.from({ length: Math.ceil(ids.length / (context - 1)) }, (_, piece) => {
    const tokens = ids.subarray(piece * (context - 1), (piece + 1) * (context - 1));
    return Uint32Array.from([bosId, ...tokens]);
  });
}

/**
 * Encodes contexts, the model running once for all transcoders.
 *
 * @param gpu The device.
 * @param gemma2 The model, loaded with every source among its taps.
 * @param encoders The transcoders.
 * @param contexts From {@link textContexts}, none longer than the model was loaded for.
 * @param includeBos Whether BOS is encoded too.
 * @yields Each context in turn.
 * @throws {UserError} When the device fails.
 */
export async function* encodeContexts(
  gpu: Gpu,
  decoder: Decoder,
  encoders: readonly TextEncoder[],
  contexts: readonly Uint32Array<ArrayBuffer>[],
  includeBos: boolean,
): AsyncGenerator<EncodedContext> {
  const longest = Math.max(...contexts.map((ids) => ids.length)), skip = includeBos ? 0 : 1;
  const lanes = encoders.map(({ source, transcoder }) => ({
    name: tapName(source),
    width: transcoder.shape.d_in,
    x: createTensor(gpu, "encoded source", [longest, transcoder.shape.d_in]),
    encoder: new Encoder(gpu, transcoder, longest),
  }));
  for (const ids of contexts) {
    const counted = ids.length - skip;
    const pass = new Pass(gpu);
    const activations = decoder.forward(pass, { contexts: 1, context: ids.length, ids });
    for (const { name, width, x } of lanes) {
      const taken = activations.find(({ tap }) => tapName(tap) === name);
      if (!taken) {
        throw new RangeError(`Cannot encode: the model must be loaded with ${name} among its taps, it is not`);
      }
      pass.copy(taken.tensor, skip * width, x, 0, counted * width);
    }
    pass.submit();
    const features: HostFeatures[] = [];
    for (const { encoder, x } of lanes) features.push(await encoder.encode(x, counted));
    yield { ids, features };
  }
}
