/**
 * What becomes of a transcoder in tools that know no thresholds, but keep the k largest activations of each token: FVU of each prefix both ways, on
 * the same tokens.
 * @module
 */

import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu, upload } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import { columnsOf, type Tap, type Widths } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import { featureCount, prefixEnds } from "../transcoder/shape.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, overText, type Piece, recordTaken, recordTakenBeside } from "./over_text.ts";
import { weighed } from "./weighed.ts";

/** Whose, on what. */
export interface KeptPerTokenOptions extends TranscodersOnText {
  /** [transcoders][prefixes] how many activations of each token are kept. */
  readonly k: readonly (readonly number[])[];
}

/** A prefix both ways. */
export interface KeptPerToken {
  /** Its features. */
  readonly prefix: number;
  /** How many of them each token keeps at most. */
  readonly k: number;
  /** FVU so. */
  readonly fvu: number;
  /** FVU with the features above their thresholds, however many a token has, as evaluations have it. */
  readonly fvuOfThresholds: number;
}

/**
 * Measures prefixes both ways.
 *
 * @param options Whose, on what.
 * @returns [transcoders][prefixes], and how many tokens were read.
 * @throws {UserError} When no token counts, or the text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function measureKeptPerToken(
  options: KeptPerTokenOptions,
): Promise<{ readonly tokens: number; readonly prefixes: KeptPerToken[][] }> {
  const { gpu, decoder, transcoders, tokens, k, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = options.settings;
  using scratch = openScope(gpu);
  const maxTokens = decoder.contextsAtOnce * countedPerContext(context, includeBos);
  const measured = transcoders.map((one, i) => new BothWays(scratch, one, decoder.config, maxTokens, k[i]));
  const taken = await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    limits: normLimits(options.settings),
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, measured);
  if (taken.tokens > 0) return { tokens: taken.tokens, prefixes: measured.map((one) => one.result()) };
  throw new UserError({
    action: "measure what keeping the largest activations costs",
    requirement: "the text must hold a token that is not left out",
    found: "it has none",
    remedy: "give more text",
  });
}

/** Squared lengths of one piece. */
interface Read {
  /** f32 [tokens, d_out] */
  readonly target: Float32Array;
  /** [1 + prefixes] f32 [tokens, prefixes]: with thresholds, then with each prefix's own k. */
  readonly squares: readonly Float32Array[];
}

/** One transcoder: all positive activations are read back, chosen from on the host, and given back to be decoded. */
class BothWays implements Analysis<Read> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #placed: PlacedTranscoder;
  readonly #k: readonly number[];
  readonly #columns: Tensor;
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  readonly #x: Tensor;
  readonly #y: Tensor;
  /** What was chosen; its capacity is that of every activation. */
  readonly #chosen: { readonly rowStart: Tensor; readonly index: Tensor; readonly value: Tensor };
  /** [1 + prefixes][prefixes] */
  readonly #squares: Float64Array[];
  readonly #sum: Float64Array;
  /** The first token's target, which sums are taken about so that they stay small. */
  #centre: Float64Array | null = null;
  #ofTarget = 0;
  #tokens = 0;

  constructor(gpu: Gpu, placed: PlacedTranscoder, widths: Widths, maxTokens: number, k: readonly number[]) {
    const { transcoder, columns } = weighed(gpu, placed, columnsOf(widths, placed.config.targets));
    const { shape: { d_in, d_out, groups }, thresholds } = transcoder, features = featureCount(groups);
    this.#gpu = gpu;
    this.#placed = placed;
    this.#k = k;
    this.#columns = columns;
    this.#encoder = new Encoder(gpu, { ...transcoder, thresholds: new Float32Array(thresholds.length) }, maxTokens);
    const tokens = this.tokensAtOnce = this.#encoder.batchTokens;
    this.taps = [placed.config.source, ...placed.config.targets];
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.#x = createTensor(gpu, "source", [tokens, d_in]);
    this.#y = createTensor(gpu, "target", [tokens, d_out]);
    this.#chosen = {
      rowStart: createTensor(gpu, "row start of the chosen", [tokens + 1], "u32"),
      index: createTensor(gpu, "chosen features", [tokens * features], "u32"),
      value: createTensor(gpu, "chosen activations", [tokens * features]),
    };
    this.#squares = Array.from({ length: 1 + groups.length }, () => new Float64Array(groups.length));
    this.#sum = new Float64Array(d_out);
  }

  record(pass: Pass, piece: Piece): void {
    const { source, targets } = this.#placed.config;
    recordTaken(pass, piece, source, this.#x);
    recordTakenBeside(pass, piece, targets, this.#columns, this.#y);
    this.#encoder.recordEncode(pass, this.#x, piece.places.length);
  }

  async read({ places: { length: tokens } }: Piece): Promise<Read> {
    const all = await this.#encoder.readKept(tokens), { thresholds, shape: { groups } } = this.#placed.transcoder;
    const squares = [await this.#decoded(aboveThresholds(all, thresholds), tokens)];
    for (const [p, end] of prefixEnds(groups).entries()) {
      squares.push(await this.#decoded(largest(all, end, this.#k[p]), tokens));
    }
    const [target] = await downloadAll(this.#gpu, [front(this.#y, tokens)]);
    return { target: new Float32Array(target), squares };
  }

  async #decoded({ rowStart, index, value }: HostFeatures, tokens: number): Promise<Float32Array> {
    const chosen = this.#chosen, pass = new Pass(this.#gpu);
    upload(this.#gpu, chosen.rowStart, rowStart);
    if (index.length > 0) {
      upload(this.#gpu, chosen.index, index);
      upload(this.#gpu, chosen.value, value);
    }
    this.#reconstructor.record(pass, chosen, this.#x, this.#y, tokens);
    pass.submit();
    const [squares] = await downloadAll(this.#gpu, [front(this.#reconstructor.squares, tokens)]);
    return new Float32Array(squares);
  }

  take(_piece: Piece, { target, squares }: Read): void {
    const width = this.#sum.length, centre = this.#centre ??= Float64Array.from(target.subarray(0, width));
    for (let at = 0; at < target.length; at++) {
      const distance = target[at] - centre[at % width];
      this.#sum[at % width] += distance;
      this.#ofTarget += distance * distance;
    }
    this.#tokens += target.length / width;
    squares.forEach((part, way) => part.forEach((square, at) => this.#squares[way][at % this.#k.length] += square));
  }

  result(): KeptPerToken[] {
    const ofMean = this.#sum.reduce((sum, value) => sum + value * value, 0) / this.#tokens;
    const variation = this.#ofTarget - ofMean, [thresholds, ...own] = this.#squares;
    return prefixEnds(this.#placed.transcoder.shape.groups).map((prefix, p) => ({
      prefix,
      k: this.#k[p],
      fvu: own[p][p] / variation,
      fvuOfThresholds: thresholds[p] / variation,
    }));
  }
}

/**
 * The features above their thresholds.
 *
 * @param features All that are above 0.
 * @param thresholds [features]
 * @returns Those of them.
 */
export function aboveThresholds(features: HostFeatures, thresholds: ArrayLike<number>): HostFeatures {
  const { index, value } = features;
  return chosenOf(features, (first, end) => range(first, end).filter((e) => value[e] > thresholds[index[e]]));
}

/**
 * The largest activations of each token.
 *
 * @param features All that are above 0.
 * @param end Features from here on are passed over.
 * @param k How many each token keeps; ties go to the lower feature.
 * @returns Those, features ascending within a token.
 */
export function largest(features: HostFeatures, end: number, k: number): HostFeatures {
  const { index, value } = features;
  return chosenOf(
    features,
    (first, last) =>
      range(first, last).filter((e) => index[e] < end).sort((a, b) => value[b] - value[a] || a - b).slice(0, k)
        .sort((a, b) => a - b),
  );
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

function chosenOf(
  { rowStart, index, value }: HostFeatures,
  choose: (first: number, end: number) => readonly number[],
): HostFeatures {
  const starts = new Uint32Array(rowStart.length), entries: number[] = [];
  for (let token = 0; token + 1 < rowStart.length; token++) {
    for (const e of choose(rowStart[token], rowStart[token + 1])) entries.push(e);
    starts[token + 1] = entries.length;
  }
  return {
    rowStart: starts,
    index: Uint32Array.from(entries, (e) => index[e]),
    value: Float32Array.from(entries, (e) => value[e]),
  };
}
