/**
 * How much single features matter to the model's predictions, exactly, beside what they do to the reconstruction.
 *
 * Switching a feature off changes a context only where it fires there, and only from its lowest target upwards. So the text goes through the
 * model once, and of every token what the layers above that target start from is kept. After that each context of a batch is one in which some
 * feature fires, with that feature off ({@link Replay}): a feature costs the contexts that it fires in, once through the layers above,
 * and of the head what comes from its first firing on.
 *
 *     text ──► model ──► features, residuals ──► mass, error ──► chosen features ──► feature and context ──► layers above ──► loss, KL
 *                   └──► kept activations ─────────────────────────────────────────────────┘
 *
 * @module
 */

import { FiringTally } from "../analysis/firings.ts";
import { type AblatedFeature, type Choice, chooseFeatures, type MeasuredImportance } from "../analysis/importance.ts";
import type { PreActivationTally } from "../analysis/silent.ts";
import { UserError } from "../errors.ts";
import { createTensor, downloadAll, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import { cutAt } from "../model/reach.ts";
import { columnsOf, lowestOf, type Tap } from "../model/sites.ts";
import { countedPerContext, NO_DOCUMENT, type TokenBatch } from "../text/contexts.ts";
import { Encoder, type HostFeatures } from "../transcoder/encode.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import type { PlacedTranscoder, TranscodersOnText } from "./features.ts";
import { KeptText } from "./kept_below.ts";
import { normLimits } from "./norm_limits.ts";
import {
  type Analysis,
  batchesOf,
  contextsAtHand,
  overText,
  type Piece,
  recordTaken,
  recordTakenBeside,
} from "./over_text.ts";
import { changedTokens, firstChanged, Replay, type ReplayCosts, type Replayed } from "./replay.ts";
import { weighed, type WeighedTranscoder } from "./weighed.ts";

/** A transcoder and a text that is read to its end; the model must be loaded with its head and the taps of {@link importanceTaps}. */
export interface ImportanceOptions extends Omit<TranscodersOnText, "transcoders" | "tokens" | "onProgress"> {
  /** The transcoder whose features are measured. */
  readonly transcoder: PlacedTranscoder;
  /** How many features are switched off. */
  readonly choice: Choice;
  /** Takes in the source of every counted token, if it is given. */
  readonly preActivations?: PreActivationTally;
  /** Hears of the contexts read so far of all. */
  readonly onReading?: (contexts: number, all: number) => void;
  /** Hears, once that is known, in how many contexts how many features will be switched off, and how many seconds that will take. */
  readonly onEstimate?: (features: number, contexts: number, seconds: number) => void;
  /** Hears of the contexts in which a feature was switched off so far, of all. */
  readonly onAblation?: (contexts: number, all: number) => void;
}

/**
 * The taps that the measurement needs.
 *
 * @param config Source and targets of the transcoder.
 * @returns Them, some perhaps twice.
 */
export function importanceTaps({ source, targets }: Pick<PlacedTranscoder["config"], "source" | "targets">): Tap[] {
  return [source, ...cutAt(lowestOf(targets)), ...targets];
}

/**
 * Measures how much features matter.
 *
 * @param options Whose, on what.
 * @returns Sums by feature, and by context of those that were switched off.
 * @throws {UserError} When there is no text, no feature fires on it, or the device fails.
 * @throws {RangeError} When the model was loaded without its head or one of the taps.
 * @throws The signal's reason once it is aborted.
 */
export async function measureImportance(options: ImportanceOptions): Promise<MeasuredImportance> {
  const { gpu, decoder, transcoder, settings, choice, preActivations, signal } = options;
  const { onReading, onEstimate, onAblation } = options;
  const { context, include_bos: includeBos, exclude_tokens: excluded } = settings;
  const batches = await batchesOf(options), text = joined(batches, context), { contexts } = text;
  using scratch = openScope(gpu);
  const { targets } = transcoder.config;
  const states = new KeptText(scratch, decoder.config, lowestOf(targets), text.ids.length);
  const inUnits = weighed(scratch, transcoder, columnsOf(decoder.config, targets));
  const tally = new FiringTally(inUnits.transcoder.weights.decoder, inUnits.transcoder.shape.d_out);
  const isCounted = new Uint8Array(text.ids.length);
  {
    using inner = openScope(gpu);
    const tokens = decoder.contextsAtOnce * countedPerContext(context, includeBos);
    await overText({
      ...{ gpu, decoder, source: contextsAtHand(batches), contexts, includeBos, excluded, signal },
      limits: normLimits(settings),
      onProgress: (done) => onReading?.(done.contexts, contexts),
    }, [states, new Firings(inner, transcoder.config, inUnits, tokens, tally, isCounted, preActivations)]);
  }
  const chosen = chooseFeatures(tally.fires, tally.error, choice);
  if (chosen.length === 0) throw nothingFires(tally.tokens);
  const fired = tally.of(chosen.map(({ feature }) => feature), contexts, context);

  // Of a context's predictions: where they are made, and their losses by the model as it is.
  const isPredicted = text.ids.map((_, row) => Number(isCounted[row] === 1 && isFollowed(text, row)));
  const cleanLoss = new Float32Array(text.ids.length);
  const replay = new Replay(scratch, decoder, transcoder, states, text);
  await replay.asItIs((c, comparison) => {
    for (let t = 0; t < context; t++) cleanLoss[c * context + t] = comparison[3 * t];
  }, signal);
  // By context, so that neighbours share what is computed of the model as it is. The last token of a context predicts nothing.
  const jobs = chosen.flatMap(({ feature }) => fired.get(feature)!.firings.map((firing) => ({ feature, firing })))
    .filter((one) => firstChanged(one) < context - 1)
    .sort((a, b) => a.firing.context - b.firing.context || a.feature - b.feature);
  if (onEstimate) onEstimate(chosen.length, jobs.length, secondsOf(jobs, decoder, context, await replay.costs()));

  const ablated = new Map(chosen.map(({ feature, sets }): [number, AblatedFeature] => {
    const { mass, error } = fired.get(feature)!;
    return [feature, { feature, sets, mass, error, loss: new Float64Array(contexts), kl: new Float64Array(contexts) }];
  }));
  let done = 0;
  await replay.without(jobs, ({ feature, firing }, comparison) => {
    const { loss, kl } = ablated.get(feature)!, { context: c } = firing;
    for (let t = firing.columns[0], at = 0; t < context - 1; t++, at += 3) {
      if (isPredicted[c * context + t] === 0) continue;
      loss[c] += comparison[at] - cleanLoss[c * context + t];
      kl[c] += comparison[at + 1];
    }
    onAblation?.(++done, jobs.length);
  }, signal);
  const perContext = (value: (row: number) => number) =>
    Float64Array.from({ length: contexts }, (_, c) => {
      let sum = 0;
      for (let row = c * context; row < (c + 1) * context; row++) sum += isPredicted[row] * value(row);
      return sum;
    });
  const { tokens, variance, fires, mass, error } = tally;
  return {
    targets: targets.length,
    documents: Array.from({ length: contexts }, (_, c) => text.document[c * context + 1]),
    ...{ tokens, variance, fires, mass, error },
    predictions: perContext(() => 1),
    cleanLoss: perContext((row) => cleanLoss[row]),
    ablated: [...ablated.values()],
  };
}

/** What switching features off will take. */
function secondsOf(
  jobs: readonly Replayed[],
  { contextsAtOnce }: ImportanceOptions["decoder"],
  context: number,
  costs: ReplayCosts,
): number {
  let products = 0;
  for (let first = 0; first < jobs.length; first += contextsAtOnce) {
    const { tokens, rows } = changedTokens(jobs.slice(first, first + contextsAtOnce), context);
    products += tokens.length + rows.length;
  }
  return jobs.length * costs.context + products * costs.product;
}

function nothingFires(tokens: number): UserError {
  return new UserError({
    action: "measure the importance of features",
    requirement: "a feature must fire on the held-out text",
    found: tokens === 0 ? "it has no token that is not left out" : `none fires on its ${tokens} tokens`,
    remedy: tokens === 0 ? "give more text" : "give more --tokens or train longer",
  });
}

/** Batches of contexts of one length as one. */
function joined(batches: readonly TokenBatch[], context: number): TokenBatch {
  const all = (part: "ids" | "document" | "position") => {
    const values = new Uint32Array(batches.reduce((sum, batch) => sum + batch.ids.length, 0));
    let at = 0;
    for (const batch of batches) {
      values.set(batch[part], at);
      at += batch[part].length;
    }
    return values;
  };
  const ids = all("ids");
  return { contexts: ids.length / context, context, ids, document: all("document"), position: all("position") };
}

/** Whether a token of the text comes behind a token in its context. */
function isFollowed({ context, document }: TokenBatch, row: number): boolean {
  return row % context < context - 1 && document[row + 1] !== NO_DOCUMENT;
}

/** What was read of a piece. */
interface Read {
  readonly features: HostFeatures;
  readonly target: Float32Array;
  readonly residual: Float32Array;
  /** Null where nobody takes it in. */
  readonly source: Float32Array | null;
}

/** Encodes and reconstructs, and hands the host what it needs to sum up the features. */
class Firings implements Analysis<Read> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly #gpu: Gpu;
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  readonly #x: Tensor;
  readonly #y: Tensor;
  readonly #columns: Tensor;
  readonly #tally: FiringTally;
  readonly #isCounted: Uint8Array;
  readonly #preActivations: PreActivationTally | undefined;

  /** `isCounted` gets a 1 at each counted token of the text. */
  constructor(
    gpu: Gpu,
    { source, targets }: PlacedTranscoder["config"],
    { transcoder, columns }: WeighedTranscoder,
    maxTokens: number,
    tally: FiringTally,
    isCounted: Uint8Array,
    preActivations?: PreActivationTally,
  ) {
    this.taps = [source, ...targets];
    this.#gpu = gpu;
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    const tokens = this.tokensAtOnce = this.#encoder.batchTokens;
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.#x = createTensor(gpu, "source", [tokens, transcoder.shape.d_in]);
    this.#y = createTensor(gpu, "target", [tokens, transcoder.shape.d_out]);
    this.#columns = columns;
    this.#tally = tally;
    this.#isCounted = isCounted;
    this.#preActivations = preActivations;
  }

  record(pass: Pass, piece: Piece): void {
    const [source, ...targets] = this.taps, tokens = piece.places.length;
    recordTaken(pass, piece, source, this.#x);
    recordTakenBeside(pass, piece, targets, this.#columns, this.#y);
    this.#encoder.recordEncode(pass, this.#x, tokens);
    this.#reconstructor.record(pass, this.#encoder.kept, this.#x, this.#y, tokens);
  }

  async read({ places: { length: tokens } }: Piece): Promise<Read> {
    const features = await this.#encoder.readKept(tokens);
    const wanted = [this.#y, this.#reconstructor.residual, ...this.#preActivations ? [this.#x] : []];
    const bytes = await downloadAll(this.#gpu, wanted.map((tensor) => front(tensor, tokens)));
    const [target, residual, source] = bytes.map((read) => new Float32Array(read));
    return { features, target, residual, source: source ?? null };
  }

  take({ places, contextsBefore, batch: { context } }: Piece, { features, target, residual, source }: Read): void {
    const rows = places.map((place) => contextsBefore * context + place);
    for (const row of rows) this.#isCounted[row] = 1;
    this.#tally.add({ rows, features, target, residual });
    if (source) this.#preActivations?.add(source);
  }
}
