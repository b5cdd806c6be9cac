/**
 * What finished transcoders make of a text: the features of each counted token, read back to the host.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Decoder } from "../model/forward.ts";
import type { Tap } from "../model/sites.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import type { LinearMap } from "../transcoder/linear_map.ts";
import type { Transcoder } from "../transcoder/weights.ts";
import type { NormSettings } from "./norm_limits.ts";
import { type Analysis, type ContextSource, type Piece, recordTaken } from "./over_text.ts";

/** A finished transcoder and what its config.json says of it. */
export interface PlacedTranscoder {
  /** The transcoder. */
  readonly transcoder: Transcoder;
  /** What an evaluation holds it against; null, or left out, where the run has none. */
  readonly linearMap?: LinearMap | null;
  /** Its place in the model, and how it was trained. */
  readonly config: {
    /** Where its input is read. */
    readonly source: Tap;
    /** Where its outputs are held against the model's own. */
    readonly targets: readonly Tap[];
    /** What each of several targets is multiplied by to weigh the same as the others; left out for one. */
    readonly target_scales?: readonly number[];
    /** Features kept per token in training. */
    readonly k: number;
    /** Where it was trained, if not here. */
    readonly imported?: object;
  };
}

/** What a run's settings say of its text. */
export interface TextSettings extends NormSettings {
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** Whether BOS counts. */
  readonly include_bos: boolean;
  /** Ids of tokens that do not count wherever else they stand; none if left out. */
  readonly exclude_tokens?: readonly number[];
}

/** Finished transcoders of one run, and a text that they are taken over. */
export interface TranscodersOnText {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with every source and target among its taps. */
  readonly decoder: Decoder;
  /** Text, at its beginning. */
  readonly source: ContextSource;
  /** How the source's contexts are, and what counts of them. */
  readonly settings: TextSettings;
  /** The transcoders, all on the same tokens. */
  readonly transcoders: readonly PlacedTranscoder[];
  /** The tokens to count, rounded up to whole contexts; fewer where the text ends before. */
  readonly tokens: number;
  /** Hears of the tokens counted so far of those to count. */
  readonly onProgress?: (done: number, tokens: number) => void;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** Encodes with several transcoders; what becomes of their features is the taker's business. */
export class FeatureReader implements Analysis<readonly HostFeatures[]> {
  /** The sources of the transcoders. */
  readonly taps: readonly Tap[];
  /** What the encoder with the least room takes. */
  readonly tokensAtOnce: number;
  /** Hears of the features of a piece's tokens, one entry per transcoder. */
  readonly take: (piece: Piece, features: readonly HostFeatures[]) => void;
  readonly #encoders: readonly Encoder[];
  /** f32 [tokensAtOnce, d_in] of the transcoder that is recorded. */
  readonly #x: Tensor;

  /**
   * Uploads the encoders.
   *
   * @param gpu The device.
   * @param transcoders What to encode with.
   * @param maxTokens The most counted tokens of a forward pass.
   * @param take Hears of the features of each piece, in the order of the text.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(
    gpu: Gpu,
    transcoders: readonly PlacedTranscoder[],
    maxTokens: number,
    take: (piece: Piece, features: readonly HostFeatures[]) => void,
  ) {
    this.taps = transcoders.map(({ config }) => config.source);
    this.#encoders = transcoders.map(({ transcoder }) => new Encoder(gpu, transcoder, maxTokens));
    this.tokensAtOnce = Math.min(...this.#encoders.map(({ batchTokens }) => batchTokens));
    const width = Math.max(...transcoders.map(({ transcoder }) => transcoder.shape.d_in));
    this.#x = createTensor(gpu, "encoded source", [this.tokensAtOnce, width]);
    this.take = take;
  }

  /** Records encoding the piece with each transcoder. */
  record(pass: Pass, piece: Piece): void {
    for (const [i, encoder] of this.#encoders.entries()) {
      recordTaken(pass, piece, this.taps[i], this.#x);
      encoder.recordEncode(pass, this.#x, piece.places.length);
    }
  }

  /** Fetches what each transcoder kept. */
  async read({ places }: Piece): Promise<readonly HostFeatures[]> {
    const features: HostFeatures[] = [];
    for (const encoder of this.#encoders) features.push(await encoder.readKept(places.length));
    return features;
  }
}
