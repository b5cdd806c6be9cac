/**
 * What transcoders read and do at the counted tokens of contexts that are at hand, such as the words that prompts end with.
 * @module
 */

import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Decoder } from "../model/forward.ts";
import type { Tap } from "../model/sites.ts";
import { sliceBatch, type TokenBatch } from "../text/contexts.ts";
import { Encoder, type HostFeatures, joinFeatures } from "../transcoder/encode.ts";
import type { PlacedTranscoder } from "./features.ts";
import { type Analysis, contextsAtHand, overText, type Piece, recordTaken } from "./over_text.ts";

/** What is read where. */
export interface CountedTokensOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with every source among its taps. */
  readonly decoder: Decoder;
  /** The transcoders; the model runs once for all. */
  readonly transcoders: readonly PlacedTranscoder[];
  /** The contexts, none longer than the model was loaded for. What belongs to no document does not count. */
  readonly contexts: TokenBatch;
  /** Hears of the contexts read so far. */
  readonly onProgress?: (contexts: number) => void;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** What one transcoder reads and does. */
export interface CountedTokens {
  /** f32 [tokens, d_in]: its source as it is. */
  readonly source: Float32Array<ArrayBuffer>;
  /** The features of each token, with threshold inference. */
  readonly features: HostFeatures;
}

/**
 * Reads the counted tokens of contexts; BOS is none of them.
 *
 * @param options Where, and with which transcoders.
 * @returns What each transcoder reads and does, in their order.
 * @throws {UserError} When the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function readCountedTokens(options: CountedTokensOptions): Promise<CountedTokens[]> {
  const { gpu, decoder, transcoders, contexts, onProgress, signal } = options, { contextsAtOnce } = decoder;
  using scratch = openScope(gpu);
  const readers = transcoders.map((placed) => new Reader(scratch, placed, decoder.maxTokens));
  const batches = Array.from({ length: Math.ceil(contexts.contexts / contextsAtOnce) }, (_, n) => {
    return sliceBatch(contexts, n * contextsAtOnce, Math.min(contexts.contexts, (n + 1) * contextsAtOnce));
  });
  await overText({
    ...{ gpu, decoder, source: contextsAtHand(batches), contexts: contexts.contexts, includeBos: false, signal },
    onProgress: (done) => onProgress?.(done.contexts),
  }, readers);
  return readers.map((reader) => reader.all());
}

/** Reads with one transcoder. */
class Reader implements Analysis<CountedTokens> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #encoder: Encoder;
  /** f32 [tokensAtOnce, d_in] */
  readonly #x: Tensor;
  readonly #parts: CountedTokens[] = [];

  constructor(gpu: Gpu, { transcoder, config }: PlacedTranscoder, maxTokens: number) {
    this.taps = [config.source];
    this.#gpu = gpu;
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    this.tokensAtOnce = this.#encoder.batchTokens;
    this.#x = createTensor(gpu, "source of counted tokens", [this.tokensAtOnce, transcoder.shape.d_in]);
  }

  record(pass: Pass, piece: Piece): void {
    recordTaken(pass, piece, this.taps[0], this.#x);
    this.#encoder.recordEncode(pass, this.#x, piece.places.length);
  }

  async read({ places: { length: tokens } }: Piece): Promise<CountedTokens> {
    const features = await this.#encoder.readKept(tokens);
    const [source] = await downloadAll(this.#gpu, [front(this.#x, tokens)]);
    return { source: new Float32Array(source), features };
  }

  take(_: Piece, part: CountedTokens): void {
    this.#parts.push(part);
  }

  all(): CountedTokens {
    const parts = this.#parts, source = new Float32Array(parts.reduce((sum, part) => sum + part.source.length, 0));
    let at = 0;
    for (const part of parts) {
      source.set(part.source, at);
      at += part.source.length;
    }
    return { source, features: joinFeatures(parts.map(({ features }) => features)) };
  }
}
