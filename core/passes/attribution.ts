/**
 * Text through a model for what features are made of: of each token its features, and every term of the sum that their source is.
 * @module
 */

import { AttributionTally, type Component, normScales, type SplitTokens } from "../analysis/attribution.ts";
import { UserError } from "../errors.ts";
import type { TensorSource } from "../files/tensor_source.ts";
import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { DecoderConfig } from "../model/config.ts";
import { type ResidualPart, residualSum, STREAM_SITES } from "../model/residual.ts";
import { type Tap, tapName } from "../model/sites.ts";
import { readGain } from "../model/weights.ts";
import { countedPerContext } from "../text/contexts.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, contextsAtHand, overText, type Piece, recordTaken } from "./over_text.ts";
import type { EncodeOptions } from "./encode_text.ts";

/** What a transcoder's features read, and what their source is the sum of. */
export interface ReadSum {
  /** The terms, in the order in which the model adds them. */
  readonly parts: readonly ResidualPart[];
  /** What they are called in the figures. */
  readonly components: readonly Component[];
  /** f32 [features, d_model]: the encoder, the gain of the norm included where there is one between sum and source. */
  readonly reads: Float32Array;
  /** What that norm adds to the mean square; null where there is no norm. */
  readonly epsilon: number | null;
}

/**
 * Finds what a transcoder's features read.
 *
 * @param placed The transcoder.
 * @param weights The model's.
 * @param config The model's.
 * @returns The sum, and the encoder as it reads it.
 * @throws {UserError} When the source is no sum, nor the norm of one, or the norm's weights cannot be read.
 */
export async function readSum(
  { transcoder: { weights: { encoder } }, config: { source } }: PlacedTranscoder,
  weights: TensorSource,
  { dModel, rmsNormEps }: Pick<DecoderConfig, "dModel" | "rmsNormEps">,
): Promise<ReadSum> {
  const { parts, norm } = requireSum(source);
  const components = parts.map(({ tap, by }): Component => {
    const own = tap.layer === source.layer;
    const name = by === "embedding" ? by : tapName(tap);
    if (by === "embedding") return { name, kind: by };
    return {
      name,
      kind: by === "attention" ? own ? "own_attention" : "earlier_attention" : own ? "own_mlp" : "earlier_mlps",
    };
  });
  if (norm === null) return { parts, components, reads: encoder, epsilon: null };
  const gain = await readGain(weights, norm, dModel);
  return { parts, components, reads: encoder.map((w, i) => w * gain[i % dModel]), epsilon: rmsNormEps };
}

function requireSum(source: Tap) {
  const sum = residualSum(source);
  if (sum !== null) return sum;
  throw new UserError({
    action: `attribute features that read ${tapName(source)}`,
    requirement: `their source must be the residual stream or the norm of it (${STREAM_SITES.join(", ")})`,
    found: "what a single attention or MLP computes is no sum of what came before",
    remedy: "train with one of these as --source",
  });
}

/**
 * The taps that the measurement needs.
 *
 * @param source The transcoder's.
 * @returns Them, each once.
 * @throws {UserError} When the source is no sum, nor the norm of one.
 */
export function attributionTaps(source: Tap): Tap[] {
  const taps = [source, ...requireSum(source).parts.map(({ tap }) => tap)];
  return [...new Map(taps.map((tap) => [tapName(tap), tap])).values()];
}

/** The most elements of all terms together that are read back at once: 64 MiB. */
const MOST_READ = 2 ** 24;

/**
 * How many contexts are to go through the model at once, so that the terms, all of which are kept until they are read, take no more
 * than a few times as much memory as the model's own activations.
 *
 * @param source The transcoder's.
 * @param dModel The model's width.
 * @param context Tokens of a context.
 * @returns The most, at least 1.
 */
export function attributedContexts(source: Tap, dModel: number, context: number): number {
  return Math.max(1, Math.floor(4 * MOST_READ / (attributionTaps(source).length * dModel * context)));
}

/** What was read of a piece. */
interface Read {
  readonly features: HostFeatures;
  readonly parts: readonly Float32Array[];
}

/** Encodes, and hands the host the features with the terms of their source. */
class PartsReader implements Analysis<Read> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly take: (piece: Piece, read: Read) => void;
  readonly #gpu: Gpu;
  readonly #source: Tap;
  readonly #parts: readonly Tap[];
  readonly #encoder: Encoder;
  readonly #x: Tensor;
  readonly #terms: readonly Tensor[];

  constructor(
    gpu: Gpu,
    { transcoder, config: { source } }: PlacedTranscoder,
    { parts }: ReadSum,
    maxTokens: number,
    take: (piece: Piece, read: Read) => void,
  ) {
    const width = transcoder.shape.d_in, most = Math.max(1, Math.floor(MOST_READ / (parts.length * width)));
    this.taps = attributionTaps(source);
    this.take = take;
    this.#gpu = gpu;
    this.#source = source;
    this.#parts = parts.map(({ tap }) => tap);
    this.#encoder = new Encoder(gpu, transcoder, Math.min(maxTokens, most));
    const tokens = this.tokensAtOnce = this.#encoder.batchTokens;
    this.#x = createTensor(gpu, "source", [tokens, width]);
    this.#terms = parts.map(({ tap }) => createTensor(gpu, `${tapName(tap)} of a piece`, [tokens, width]));
  }

  record(pass: Pass, piece: Piece): void {
    recordTaken(pass, piece, this.#source, this.#x);
    this.#encoder.recordEncode(pass, this.#x, piece.places.length);
    this.#parts.forEach((tap, i) => recordTaken(pass, piece, tap, this.#terms[i]));
  }

  async read({ places: { length: tokens } }: Piece): Promise<Read> {
    const features = await this.#encoder.readKept(tokens);
    const bytes = await downloadAll(this.#gpu, this.#terms.map((term) => front(term, tokens)));
    return { features, parts: bytes.map((part) => new Float32Array(part)) };
  }
}

function scalesOf({ epsilon }: ReadSum, parts: readonly Float32Array[], width: number): Float64Array | null {
  return epsilon === null ? null : normScales(parts, width, epsilon);
}

/** A transcoder, what it reads, and a text that is read to its end; the model must have the taps of {@link attributionTaps}. */
export interface AttributionOptions extends Omit<TranscodersOnText, "transcoders"> {
  /** The transcoder. */
  readonly transcoder: PlacedTranscoder;
  /** From {@link readSum}. */
  readonly sum: ReadSum;
}

/** What features are made of on a text. */
export interface MeasuredAttribution {
  /** The sums. */
  readonly tally: AttributionTally;
  /** Each context's document, by number. */
  readonly documents: readonly number[];
}

/**
 * Measures what features are made of.
 *
 * @param options Whose, on what.
 * @returns The sums.
 * @throws {UserError} When no feature fires, or text or device fail.
 * @throws {RangeError} When the model was loaded without one of the taps.
 * @throws The signal's reason once it is aborted.
 */
export async function measureAttribution(options: AttributionOptions): Promise<MeasuredAttribution> {
  const { gpu, decoder, transcoder, sum, settings, tokens, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = settings;
  const perContext = countedPerContext(context, includeBos), contexts = Math.ceil(tokens / perContext);
  const { shape: { d_in }, weights: { encoderBias } } = transcoder.transcoder;
  const tally = new AttributionTally(sum.reads, encoderBias, sum.components.length, contexts), documents: number[] = [];
  using scratch = openScope(gpu);
  const most = decoder.contextsAtOnce * perContext;
  const taken = await overText({
    ...options,
    ...{ contexts, includeBos, excluded, isReadOnce: true, limits: normLimits(settings) },
    onProgress: (done) => onProgress?.(done.tokens, tokens),
  }, [
    new PartsReader(scratch, transcoder, sum, most, (piece, { features, parts }) => {
      const { places, contextsBefore, batch } = piece;
      for (let c = 0; c < batch.contexts; c++) documents[contextsBefore + c] = batch.document[c * batch.context + 1];
      const rows = places.map((place) => contextsBefore + Math.floor(place / batch.context));
      tally.add({ contexts: rows, features, parts, scales: scalesOf(sum, parts, d_in) });
    }),
  ]);
  if (tally.fires.every((fires) => fires === 0)) throw nothingFires(taken.tokens);
  return { tally, documents: Array.from({ length: taken.contexts }, (_, c) => documents[c] ?? 0) };
}

function nothingFires(tokens: number): UserError {
  return new UserError({
    action: "attribute features",
    requirement: "a feature must fire on the held-out text",
    found: tokens === 0 ? "it has no token that is not left out" : `none fires on its ${tokens} tokens`,
    remedy: tokens === 0 ? "give more text" : "give more --tokens or train longer",
  });
}

/** What is split of a text that is at hand. */
export interface SplitOptions extends Pick<EncodeOptions, "gpu" | "decoder" | "contexts" | "includeBos" | "signal"> {
  /** The transcoder. */
  readonly transcoder: PlacedTranscoder;
  /** From {@link readSum}. */
  readonly sum: ReadSum;
}

/** A counted token of a text: what its source is made of. */
export interface SplitToken {
  /** Which context, from 0. */
  readonly context: number;
  /** Its place in that context; BOS is 0. */
  readonly position: number;
  /** Where its terms are, */
  readonly split: SplitTokens;
  /** and its row there. */
  readonly row: number;
}

/**
 * Splits the source of every counted token of some contexts.
 *
 * @param options What of what.
 * @returns The tokens, in the order of the text.
 * @throws {UserError} When the device fails.
 * @throws {RangeError} When the model was loaded without one of the taps.
 * @throws The signal's reason once it is aborted.
 */
export async function splitContexts(options: SplitOptions): Promise<SplitToken[]> {
  const { gpu, transcoder, sum, contexts, includeBos } = options, found: SplitToken[] = [];
  const longest = Math.max(...contexts.map(({ context }) => context));
  using scratch = openScope(gpu);
  const reader = new PartsReader(
    scratch,
    transcoder,
    sum,
    countedPerContext(longest, includeBos),
    ({ places, contextsBefore }, { features, parts }) => {
      const scales = scalesOf(sum, parts, transcoder.transcoder.shape.d_in);
      const split = { contexts: new Uint32Array(places.length), features, parts, scales };
      places.forEach((position, row) => found.push({ context: contextsBefore, position, split, row }));
    },
  );
  await overText({ ...options, source: contextsAtHand(contexts), contexts: contexts.length }, [reader]);
  return found;
}
