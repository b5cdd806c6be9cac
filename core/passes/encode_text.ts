/**
 * Encodes a text that is at hand: model and transcoders over its contexts, one after the other.
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { openScope } from "../gpu/scope.ts";
import type { Decoder } from "../model/forward.ts";
import { countedPerContext, NO_DOCUMENT, type TokenBatch } from "../text/contexts.ts";
import { type HostFeatures, joinFeatures } from "../transcoder/encode.ts";
import { FeatureReader, type PlacedTranscoder } from "./features.ts";
import { contextsAtHand, overText } from "./over_text.ts";

/** What is encoded with what. */
export interface EncodeOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with every source among its taps. */
  readonly decoder: Decoder;
  /** The transcoders; the model runs once for all. */
  readonly transcoders: readonly PlacedTranscoder[];
  /** From {@link textContexts}, none longer than the model was loaded for. */
  readonly contexts: readonly TokenBatch[];
  /** Whether BOS is encoded too. */
  readonly includeBos: boolean;
  /** Hears of the contexts encoded so far. */
  readonly onProgress?: (contexts: number) => void;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
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
 * @returns The contexts, each a batch of its own; the text is document 0.
 */
export function textContexts(ids: Uint32Array, bosId: number, context: number): TokenBatch[] {
  return Array.from({ length: Math.ceil(ids.length / (context - 1)) }, (_, piece) => {
    const begin = piece * (context - 1), tokens = ids.subarray(begin, begin + context - 1);
    return {
      contexts: 1,
      context: 1 + tokens.length,
      ids: Uint32Array.from([bosId, ...tokens]),
      document: Uint32Array.from([NO_DOCUMENT, ...tokens.map(() => 0)]),
      position: Uint32Array.from([0, ...tokens.map((_, i) => begin + i)]),
    };
  });
}

/**
 * Encodes contexts, the model running once for all transcoders.
 *
 * @param options What with what.
 * @returns Each context in turn.
 * @throws {UserError} When the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function encodeContexts(options: EncodeOptions): Promise<EncodedContext[]> {
  const { gpu, transcoders, contexts, includeBos, onProgress } = options;
  const longest = Math.max(...contexts.map(({ context }) => context));
  // A context with more tokens than an encoder takes at once comes in several pieces.
  const pieces: (readonly HostFeatures[])[][] = contexts.map(() => []);
  using scratch = openScope(gpu);
  const reader = new FeatureReader(
    scratch,
    transcoders,
    countedPerContext(longest, includeBos),
    ({ contextsBefore }, features) => pieces[contextsBefore].push(features),
  );
  await overText({
    ...options,
    source: contextsAtHand(contexts),
    contexts: contexts.length,
    onProgress: (done) => onProgress?.(done.contexts),
  }, [reader]);
  return contexts.map(({ ids }, c) => ({
    ids,
    features: transcoders.map((_, i) => joinFeatures(pieces[c].map((features) => features[i]))),
  }));
}
