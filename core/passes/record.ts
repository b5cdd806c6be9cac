/**
 * Making records: a reading set through the model once, and what each transcoder does on it.
 * @module
 */

import { errorRemoved } from "../../wgsl/transcoder/figures.ts";
import type { FeatureRecord, RecordedTokens } from "../analysis/record.ts";
import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import { columnsOf, type Tap, type Widths } from "../model/sites.ts";
import { countedPerContext } from "../text/contexts.ts";
import type { ReadingSet } from "../text/reading_set.ts";
import { Encoder, type HostFeatures, joinFeatures } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import { featureCount, prefixEnds } from "../transcoder/shape.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, overText, type Piece, recordTaken, recordTakenBeside } from "./over_text.ts";
import { weighed } from "./weighed.ts";

/** Whose records are made on what. */
export interface RecordOptions extends Omit<TranscodersOnText, "source"> {
  /** The text, at its beginning. */
  readonly source: ReadingSet;
  /** A token's own text. */
  readonly tokenText: (id: number) => string;
}

/**
 * Records what transcoders do on a reading set, with threshold inference.
 *
 * @param options Whose, and on what. `tokens` is what the reading set was asked for.
 * @returns One record per transcoder, in their order.
 * @throws {UserError} When no token counts, or the text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function recordFeatures(options: RecordOptions): Promise<FeatureRecord[]> {
  const { gpu, decoder, transcoders, tokens, source, tokenText, onProgress } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = options.settings;
  using scratch = openScope(gpu);
  const maxTokens = decoder.contextsAtOnce * countedPerContext(context, includeBos);
  const recorder = new Recorder(scratch, transcoders, decoder.config, maxTokens);
  const taken = await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    limits: normLimits(options.settings),
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, [recorder]);
  if (taken.tokens > 0) return recorder.records(source, context, tokenText);
  throw new UserError({
    action: "record the features of the reading set",
    requirement: "the text must hold a token that is not left out",
    found: "it has none",
    remedy: "give more text",
  });
}

/** What is read back of a piece for one transcoder. */
interface Measured {
  readonly features: HostFeatures;
  /** f32 [tokens, d_out] */
  readonly target: Float32Array;
  /** f32 [tokens, prefixes] */
  readonly squares: Float32Array<ArrayBuffer>;
  /** f32 [features, prefixes] */
  readonly removed: Float32Array;
}

/** One transcoder's tensors, and what it did so far. */
class RecordedTranscoder {
  readonly #placed: PlacedTranscoder;
  /** How raw targets become what is measured. */
  readonly #columns: Tensor;
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  readonly #gpu: Gpu;
  readonly #x: Tensor;
  readonly #y: Tensor;
  readonly #removed: Tensor;
  readonly #features: HostFeatures[] = [];
  readonly #residualSquares: Float32Array<ArrayBuffer>[] = [];
  readonly #targetSquares: Float32Array<ArrayBuffer>[] = [];
  /** [features, prefixes] */
  readonly #removedSums: Float64Array;
  /** [d_out] what targets are measured about, and their sum about it. */
  readonly #centre: Float32Array;
  readonly #sum: Float64Array;

  constructor(gpu: Gpu, placed: PlacedTranscoder, widths: Widths, encoder: Encoder, tokens: number) {
    const { transcoder, linearMap, columns } = weighed(gpu, placed, columnsOf(widths, placed.config.targets));
    const { d_in, d_out, groups } = transcoder.shape;
    const features = featureCount(groups);
    this.#gpu = gpu;
    this.#placed = placed;
    this.#columns = columns;
    this.#encoder = encoder;
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.#x = createTensor(gpu, "recorded source", [tokens, d_in]);
    this.#y = createTensor(gpu, "recorded target", [tokens, d_out]);
    this.#removed = createTensor(gpu, "error removed", [features, groups.length]);
    this.#removedSums = new Float64Array(features * groups.length);
    // Without a training mean the target's length itself is what is kept; the variation is the same.
    this.#centre = linearMap?.targetMean ?? new Float32Array(d_out);
    this.#sum = new Float64Array(d_out);
  }

  record(pass: Pass, piece: Piece): void {
    const { config: { source, targets }, transcoder: { shape: { d_out: width, groups } } } = this.#placed;
    const { places: { length: tokens } } = piece, encoder = this.#encoder, reconstructor = this.#reconstructor;
    recordTaken(pass, piece, source, this.#x);
    recordTakenBeside(pass, piece, targets, this.#columns, this.#y);
    encoder.recordEncode(pass, this.#x, tokens);
    reconstructor.record(pass, encoder.kept, this.#x, this.#y, tokens);
    const { activations } = encoder, { residuals: residual, decoder } = reconstructor;
    pass.run(
      errorRemoved,
      { activations, residual, decoder, removed: this.#removed },
      { tokens, width, features: featureCount(groups), prefixes: groups.length },
      { LANES: this.#gpu.isCpu ? 8 : 64 },
    );
  }

  async read(tokens: number): Promise<Measured> {
    const features = await this.#encoder.readKept(tokens), { squares } = this.#reconstructor;
    const wanted = [front(this.#y, tokens), front(squares, tokens), this.#removed];
    const [target, residual, removed] = (await downloadAll(this.#gpu, wanted)).map((bytes) => new Float32Array(bytes));
    return { features, target, squares: residual, removed };
  }

  take({ features, target, squares, removed }: Measured): void {
    this.#features.push(features);
    this.#residualSquares.push(squares);
    for (let at = 0; at < removed.length; at++) this.#removedSums[at] += removed[at];
    const width = this.#centre.length, sums = this.#sum, centre = this.#centre;
    const lengths = new Float32Array(target.length / width);
    for (let t = 0, at = 0; t < lengths.length; t++) {
      let squared = 0;
      for (let c = 0; c < width; c++, at++) {
        const distance = target[at] - centre[c];
        squared += distance * distance;
        sums[c] += distance;
      }
      lengths[t] = squared;
    }
    this.#targetSquares.push(lengths);
  }

  result(): Omit<FeatureRecord, keyof RecordedTokens> {
    const { groups } = this.#placed.transcoder.shape, ends = prefixEnds(groups);
    const { rowStart, index, value } = joinFeatures(this.#features), targetSquares = joined(this.#targetSquares);
    const squares = targetSquares.reduce((sum, square) => sum + square, 0);
    const ofMean = this.#sum.reduce((sum, value) => sum + value * value, 0) / targetSquares.length;
    return {
      ...{ groups, rowStart, index, value, targetSquares, residualSquares: joined(this.#residualSquares) },
      targetVariation: Math.max(0, squares - ofMean),
      errorRemoved: Float32Array.from(this.#removedSums, (sum, at) => {
        return Math.floor(at / groups.length) < ends[at % groups.length] ? sum : 0;
      }),
    };
  }
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Takes in piece after piece, all transcoders behind one forward pass. */
class Recorder implements Analysis<readonly Measured[]> {
  readonly taps: readonly Tap[];
  /** What the encoder with the least room takes. */
  readonly tokensAtOnce: number;
  readonly #lanes: readonly RecordedTranscoder[];
  readonly #tokens: Record<"place" | "id" | "document" | "position", number[]> = {
    place: [],
    id: [],
    document: [],
    position: [],
  };

  constructor(gpu: Gpu, transcoders: readonly PlacedTranscoder[], widths: Widths, maxTokens: number) {
    const encoders = transcoders.map(({ transcoder }) => new Encoder(gpu, transcoder, maxTokens));
    const tokens = Math.min(...encoders.map(({ batchTokens }) => batchTokens));
    this.taps = transcoders.flatMap(({ config: { source, targets } }) => [source, ...targets]);
    this.tokensAtOnce = tokens;
    this.#lanes = transcoders.map((placed, i) => new RecordedTranscoder(gpu, placed, widths, encoders[i], tokens));
  }

  record(pass: Pass, piece: Piece): void {
    for (const lane of this.#lanes) lane.record(pass, piece);
  }

  async read({ places }: Piece): Promise<readonly Measured[]> {
    const measured: Measured[] = [];
    for (const lane of this.#lanes) measured.push(await lane.read(places.length));
    return measured;
  }

  take({ places, batch: { context, ids, document, position }, contextsBefore }: Piece, all: readonly Measured[]): void {
    const tokens = this.#tokens;
    for (const place of places) {
      tokens.place.push(contextsBefore * context + place);
      tokens.id.push(ids[place]);
      // BOS is of no document; what stands behind it is.
      tokens.document.push(document[place % context === 0 ? place + 1 : place]);
      tokens.position.push(position[place]);
    }
    this.#lanes.forEach((lane, i) => lane.take(all[i]));
  }

  records({ documents }: ReadingSet, context: number, tokenText: RecordOptions["tokenText"]): FeatureRecord[] {
    const { place, id, document, position } = this.#tokens, column = (values: number[]) => Uint32Array.from(values);
    const tokenTexts = new Map([...new Set(id)].sort((a, b) => a - b).map((one) => [one, tokenText(one)]));
    const tokens = {
      ...{ context, documents, place: column(place), id: column(id), tokenTexts },
      ...{ document: column(document), position: column(position) },
    };
    return this.#lanes.map((lane) => ({ ...tokens, ...lane.result() }));
  }
}
