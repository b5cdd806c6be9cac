/**
 * A reading set through a model for semantic coherence: what the model has at the source of transcoders, where their features fire most.
 * @module
 */

import { matmul, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { type Coherence, CoherenceTally, featureExamples, type SourceColumns } from "../analysis/coherence.ts";
import { directionsOf, mixedDirection } from "../analysis/directions.ts";
import type { FeatureProgress } from "../analysis/coactivation.ts";
import type { FeatureRecord } from "../analysis/record.ts";
import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu, tensorFrom } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Tap } from "../model/sites.ts";
import { randomGenerator } from "../random.ts";
import { countedPerContext } from "../text/contexts.ts";
import type { ReadingSet } from "../text/reading_set.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, overText, type Piece, recordTaken } from "./over_text.ts";

/** Random directions that features are held against. */
const DIRECTIONS = 512;

/** The most elements of all examples' activations together: 1 GiB. */
const MOST_KEPT = 2 ** 28;

/** The most elements of a piece's activations that are read back at once: 16 MiB. */
const MOST_READ = 2 ** 22;

/** Separates these draws from other uses of the generator. */
const DIRECTION_STREAM = 0x636f6865;

/** A transcoder with its record. */
export interface RecordedTranscoder extends Omit<PlacedTranscoder, "linearMap"> {
  /** What it does on the reading set. */
  readonly record: FeatureRecord;
  /** How its source is prepared. */
  readonly columns: SourceColumns;
}

/** Whose features are measured on what. */
export interface CoherenceOptions extends Omit<TranscodersOnText, "source" | "transcoders"> {
  /** The text that the records were made on, at its beginning. */
  readonly source: ReadingSet;
  /** The transcoders; the model must have their sources among its taps. */
  readonly transcoders: readonly RecordedTranscoder[];
  /** Hears of the features and directions compared, of all transcoders, once the text has been read. */
  readonly onFeature?: FeatureProgress;
}

/**
 * Measures the semantic coherence of features.
 *
 * @param options Whose, on what.
 * @returns One per transcoder, in their order.
 * @throws {UserError} When a record is of other tokens, or the text or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function measureCoherence(options: CoherenceOptions): Promise<Coherence[]> {
  const { gpu, decoder, transcoders, tokens, onProgress, onFeature } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = options.settings;
  using scratch = openScope(gpu);
  const maxTokens = decoder.contextsAtOnce * countedPerContext(context, includeBos);
  const readers = transcoders.map((one) => new SourceReader(scratch, one, maxTokens, MOST_KEPT / transcoders.length));
  await overText({
    ...options,
    contexts: Infinity,
    includeBos,
    excluded,
    limits: normLimits(options.settings),
    onProgress: (done) => onProgress?.(Math.min(done.tokens, tokens), tokens),
  }, readers);
  const compared = readers.map(({ compared }) => compared), total = compared.reduce((sum, count) => sum + count, 0);
  return readers.map((reader, i) => {
    const before = compared.slice(0, i).reduce((sum, count) => sum + count, 0);
    return reader.result((done) => onFeature?.(before + done, total));
  });
}

/** What is read back of a piece. */
interface Read {
  /** f32 [tokens, d_in] */
  readonly source: Float32Array;
  /** f32 [tokens, DIRECTIONS] */
  readonly products: Float32Array;
}

/** Takes in the source of one transcoder, and how far each token lies along random directions. */
class SourceReader implements Analysis<Read> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  /** Features and directions whose examples are compared at the end. */
  readonly compared: number;
  readonly #gpu: Gpu;
  readonly #record: FeatureRecord;
  readonly #missed: Pick<Coherence, "rare" | "left_out">;
  readonly #tally: CoherenceTally;
  readonly #x: Tensor;
  readonly #directions: Tensor;
  readonly #products: Tensor;
  /** The first token of the record that has not come yet. */
  #next = 0;

  constructor(
    gpu: Gpu,
    { record, columns, transcoder: { shape: { d_in, groups }, weights }, config: { source } }: RecordedTranscoder,
    maxTokens: number,
    mostKept: number,
  ) {
    const { judged, ...missed } = featureExamples(record, featureCount(groups), Math.floor(mostKept / d_in));
    const tokens = Math.min(maxTokens, Math.max(1, Math.floor(MOST_READ / Math.max(d_in, DIRECTIONS))));
    this.taps = [source];
    this.tokensAtOnce = tokens;
    this.compared = judged.length + DIRECTIONS;
    this.#gpu = gpu;
    this.#record = record;
    this.#missed = missed;
    this.#tally = new CoherenceTally({ record, judged, columns, directions: DIRECTIONS });
    this.#x = createTensor(gpu, "source", [tokens, d_in]);
    this.#directions = tensorFrom(
      gpu,
      "random directions",
      [d_in, paddedColumns(DIRECTIONS)],
      randomDirections(weights.encoder, d_in),
    );
    this.#products = createTensor(gpu, "products with random directions", [tokens, DIRECTIONS]);
  }

  record(pass: Pass, piece: Piece): void {
    const [depth] = this.#directions.shape, size = { rows: piece.places.length, columns: DIRECTIONS, depth };
    recordTaken(pass, piece, this.taps[0], this.#x);
    const buffers = { x: this.#x, weight: this.#directions, y: this.#products };
    pass.run(matmul(tileFor(this.#gpu, size), "f32", "none"), buffers, size);
  }

  async read({ places: { length: tokens } }: Piece): Promise<Read> {
    const bytes = await downloadAll(this.#gpu, [front(this.#x, tokens), front(this.#products, tokens)]);
    const [source, products] = bytes.map((part) => new Float32Array(part));
    return { source, products };
  }

  take({ places, contextsBefore, batch: { context } }: Piece, { source, products }: Read): void {
    const tokens = Array.from(places, () => this.#next++), { place } = this.#record;
    const other = tokens.find((token, row) => place[token] !== contextsBefore * context + places[row]);
    if (other !== undefined) throw anotherText(other);
    this.#tally.add(tokens, source, products);
  }

  result(onFeature: FeatureProgress): Coherence {
    if (this.#next !== this.#record.place.length) throw anotherText(this.#next);
    return this.#tally.figures(this.#missed, onFeature);
  }
}

function anotherText(token: number): UserError {
  return new UserError({
    action: "measure semantic coherence",
    requirement: "the record must be of the tokens that are read now",
    found: `they differ from token ${token} on`,
    remedy: "remove record.safetensors, which is made anew",
  });
}

/** [d_in, DIRECTIONS] mixtures of encoder rows, side by side. */
function randomDirections(encoder: Float32Array, width: number): Float32Array {
  const { rows } = directionsOf(encoder, width), random = randomGenerator(0, DIRECTION_STREAM);
  const row = (i: number) => rows.subarray(i * width, (i + 1) * width), count = rows.length / width;
  const columns = new Float32Array(width * DIRECTIONS);
  for (let direction = 0; direction < DIRECTIONS; direction++) {
    mixedDirection(count, row, width, random).forEach((value, d) => columns[d * DIRECTIONS + direction] = value);
  }
  return columns;
}
