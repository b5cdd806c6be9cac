/**
 * What a change of features does to the model's predictions of held-out text, beside the same change of random features as active.
 *
 * The text goes through the model once for the features, and once as it is; each change then costs the layers above the target and the head.
 * Where the next token is moved the most, a few contexts go through once more for the logits there.
 * @module
 */

import { type DocumentEffect, type EffectFigures, EffectMeans, EffectSums } from "../analysis/change_effect.ts";
import type { Interval } from "../analysis/bootstrap.ts";
import { Largest } from "../analysis/largest.ts";
import { type MeanMoves, meanMoves, type MovedTokens, movedTokens } from "../analysis/next_token.ts";
import { drawRivals } from "../analysis/rivals.ts";
import { UserError } from "../errors.ts";
import { openScope } from "../gpu/scope.ts";
import { countedRows, NO_DOCUMENT, sliceBatch, type TokenBatch } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";
import { ChangedModel, type ChangedModelOptions, type ComparedPass } from "./changed_model.ts";
import type { ActivationChange } from "./feature_change.ts";
import { FeatureReader } from "./features.ts";
import { batchesOf, type ContextSource, type Piece } from "./over_text.ts";

/** What is changed, and on which text. */
export interface ChangeEffectOptions extends ChangedModelOptions {
  /** Held-out text, at its beginning; it is read to its end. */
  readonly source: ContextSource;
  /** The features. */
  readonly features: readonly number[];
  /** What becomes of each. */
  readonly change: ActivationChange;
  /** How many sets of random features are changed beside them. */
  readonly rivals: number;
  /** What these are drawn by. */
  readonly seed: number;
  /** How many predictions are told of, how many movers of each, and how many tokens that gain and that lose over all of them. */
  readonly top: number;
  /** Hears of the tokens counted so far, of all forward passes. */
  readonly onProgress?: (done: number, tokens: number) => void;
}

/** A set of features, and what changing it does. */
export interface SetEffect extends EffectFigures {
  /** The features. */
  features: readonly number[];
  /** The sum of their activations over the counted tokens. */
  activation_mass: number;
}

/** A prediction that is moved far. */
export interface AffectedPrediction extends MovedTokens {
  /** The tokens of its context up to the one that it is made at, */
  readonly ids: Uint32Array;
  /** and the one that follows. */
  readonly next: number;
  /** The context's document. */
  readonly document: number;
  /** That token's offset in it. */
  readonly position: number;
  /** The loss without the change, */
  readonly before: number;
  /** and with it. */
  readonly after: number;
  /** KL(without || with). */
  readonly kl: number;
}

/** What a change does to held-out text. */
export interface ChangeEffect {
  /** Contexts of the predictions, */
  readonly contexts: number;
  /** and their documents. */
  readonly documents: number;
  /** What the intervals resample. */
  readonly resampled: "documents" | "contexts";
  /** The model as it is. */
  readonly clean: { readonly ce: number; readonly ce_ci95: Interval };
  /** The features changed. */
  readonly changed: SetEffect;
  /** The predictions at tokens where one of them fires; null where none does. */
  readonly firing: EffectFigures | null;
  /** Random features changed likewise; fewer than asked for, that is none, where there are too few others. */
  readonly rivals: readonly SetEffect[];
  /** What becomes of the next token's mean distribution. */
  readonly next_tokens: MeanMoves;
  /** What becomes of each document, by number, in the order of the text. */
  readonly per_document: readonly DocumentEffect[];
  /** The predictions with the largest KL, the largest first. */
  readonly affected: readonly AffectedPrediction[];
}

/**
 * Measures a change on held-out text.
 *
 * @param options What is changed, and on which text.
 * @returns What it does.
 * @throws {UserError} When the text has no prediction that counts, or the device fails.
 * @throws The signal's reason once it is aborted.
 */
export async function measureChangeEffect(options: ChangeEffectOptions): Promise<ChangeEffect> {
  const { change, features, rivals, seed, top, onProgress } = options;
  using gpu = openScope(options.gpu);
  const batches = await batchesOf(options), model = new ChangedModel({ ...options, gpu });
  const counted = countedIn(batches, options);
  let done = 0;
  const onPass = ({ places }: Piece) => onProgress?.(done += places.length, counted * (3 + rivals));

  const fired = await tallyFeatures(model, { ...options, gpu }, batches, onPass);
  const drawn = Array.from({ length: rivals }, (_, draw) => drawRivals(fired.mass, features, seed, draw));
  const sets = [features, ...drawn.filter((set) => set !== null)];
  const sums = sets.map(() => new EffectSums()), firing = new EffectSums();
  const largest = new Largest<Measured>(top), probabilities = new Float64Array(2 * options.decoder.config.vocabSize);
  const uploaded = sets.map((set) => model.upload(new Map(set.map((feature) => [feature, change]))));
  await model.compare(batches, uploaded, (set, compared) => {
    compared.probabilities?.forEach((sum, i) => probabilities[i] += sum);
    for (const measured of predictionsOf(compared)) {
      sums[set].add(measured);
      if (set > 0) continue;
      if (fired.places[compared.piece.contextsBefore].has(measured.place)) firing.add(measured);
      if (measured.kl > 0) largest.add(measured, measured.kl);
    }
  }, { summed: ({ batch, places }) => places.filter((place) => hasSuccessor(batch, place)), onPass });
  if (sums[0].contexts.size === 0) throw nothingCounts();

  const means = new EffectMeans(sums[0]), { contexts, documents, resampled } = means;
  const [changed, ...others] = sets.map((set, i): SetEffect => ({
    features: set,
    activation_mass: set.reduce((sum, feature) => sum + fired.mass[feature], 0),
    ...means.of(sums[i]),
  }));
  return {
    ...{ contexts, documents, resampled, clean: means.before(sums[0]), changed, rivals: others },
    firing: firing.contexts.size > 0 ? means.of(firing) : null,
    next_tokens: meanMoves(...halves(probabilities), changed.predictions, top),
    per_document: sums[0].documents,
    affected: await affectedPredictions(model, largest.items, uploaded[0], top),
  };
}

function countedIn(batches: readonly TokenBatch[], { settings }: ChangeEffectOptions): number {
  const { include_bos, exclude_tokens } = settings;
  return batches.reduce((sum, batch) => sum + countedRows(batch, include_bos, exclude_tokens).length, 0);
}

/** What the features do on the text. */
interface Fired {
  /** [features] the sums of their activations. */
  readonly mass: Float64Array;
  /** By the number of contexts before a batch, the places in it where one of the changed features fires. */
  readonly places: Readonly<Record<number, ReadonlySet<number>>>;
}

async function tallyFeatures(
  model: ChangedModel,
  { gpu, placed, decoder, features: chosen }: ChangeEffectOptions,
  batches: readonly TokenBatch[],
  onPass: (piece: Piece) => void,
): Promise<Fired> {
  const mass = new Float64Array(featureCount(placed.transcoder.shape.groups)), isChosen = new Set(chosen);
  const fired: Record<number, Set<number>> = {};
  const reader = new FeatureReader(gpu, [placed], decoder.maxTokens, (piece, [{ rowStart, index, value }]) => {
    const { places, contextsBefore } = piece, own = fired[contextsBefore] ??= new Set();
    for (const [row, place] of places.entries()) {
      for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry++) {
        mass[index[entry]] += value[entry];
        if (isChosen.has(index[entry])) own.add(place);
      }
    }
    onPass(piece);
  });
  await model.over(batches, [reader]);
  return { mass, places: fired };
}

/** A prediction, and where it is made. */
interface Measured {
  readonly batch: TokenBatch;
  /** Flat in the batch. */
  readonly place: number;
  /** Of the whole text. */
  readonly context: number;
  readonly document: number;
  readonly before: number;
  readonly after: number;
  readonly kl: number;
  readonly same: number;
}

/** The counted tokens that a token of the text follows. */
function* predictionsOf({ piece, before, comparison }: ComparedPass): Generator<Measured> {
  const { batch, contextsBefore, places } = piece, { context: length, document: documents } = batch;
  for (const place of places) {
    const row = Math.floor(place / length);
    if (!hasSuccessor(batch, place)) continue;
    const [after, kl, same] = comparison.subarray(3 * place, 3 * place + 3);
    // BOS is of no document; what stands behind it is.
    const document = documents[row * length + 1];
    yield { batch, place, context: contextsBefore + row, document, before: before[place], after, kl, same };
  }
}

function hasSuccessor({ context, document }: TokenBatch, place: number): boolean {
  return place % context < context - 1 && document[place + 1] !== NO_DOCUMENT;
}

function halves(values: Float64Array): [Float64Array, Float64Array] {
  return [values.subarray(0, values.length / 2), values.subarray(values.length / 2)];
}

/** Runs the contexts of some predictions once more, for the logits there. */
async function affectedPredictions(
  model: ChangedModel,
  measured: readonly Measured[],
  change: ReturnType<ChangedModel["upload"]>,
  top: number,
): Promise<AffectedPrediction[]> {
  const wanted = measured.map(({ batch, place }) => {
    const row = Math.floor(place / batch.context);
    return { batch: sliceBatch(batch, row, row + 1), places: [place % batch.context] };
  });
  const affected: AffectedPrediction[] = [];
  await model.logits(wanted, change, ({ ids, position }, place, before, after) => {
    const { document, before: lossBefore, after: lossAfter, kl } = measured[affected.length];
    affected.push({
      ...{ ids: ids.slice(0, place + 1), next: ids[place + 1], document, position: position[place] },
      ...{ before: lossBefore, after: lossAfter, kl },
      ...movedTokens(before, after, top),
    });
  });
  return affected;
}

function nothingCounts(): UserError {
  return new UserError({
    action: "measure the change",
    requirement: "the held-out text must have a token that is not left out, and a successor to it",
    found: "it has none",
    remedy: "give more text",
  });
}
