/**
 * A model with features of a transcoder changed, held against the model as it is: losses, KL and logits of a text that is at hand.
 *
 * Each batch goes through the model once as it is, and what lies below the target is kept; a change then costs the layers above it and the
 * head. Tokens behind a changed one see the change through attention, so every token is measured, whether it counts or not.
 * @module
 */

import { createTensor, downloadAll, downloadF32, type Gpu, upload } from "../gpu/device.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Decoder, ForwardOptions } from "../model/forward.ts";
import { lowestOf } from "../model/sites.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { type ActivationChange, FeatureChanger, type UploadedChange } from "./feature_change.ts";
import type { PlacedTranscoder, TextSettings } from "./features.ts";
import { KeptBelow } from "./kept_below.ts";
import { normLimits } from "./norm_limits.ts";
import { type Analysis, contextsAtHand, type CountedTokens, overText, type Piece } from "./over_text.ts";

/** Features of a transcoder, and what becomes of each. */
export type FeatureChanges = ReadonlyMap<number, ActivationChange>;

/** A transcoder in its model. */
export interface ChangedModelOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with its head and with the transcoder's source among its taps. */
  readonly decoder: Decoder;
  /** The transcoder. */
  readonly placed: PlacedTranscoder;
  /** What counts of a text. */
  readonly settings: TextSettings;
  /** Ends the work early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/** What a forward pass with a change predicts, beside that without it. All tokens of the batch, flat: context * batch.context + column. */
export interface ComparedPass {
  /** The batch, and which of its tokens count. */
  readonly piece: Piece;
  /** f32 [tokens]: the loss without the change; 0 for the last token of a context. */
  readonly before: Float32Array;
  /** f32 [tokens, 3]: the loss with it; KL(without || with); 1 where both think the same token the most probable. */
  readonly comparison: Float32Array;
  /**
   * Of the first change, where sums were asked for: f32 [2, vocabulary], the probability of each next token without the change, then with
   * it, summed over the predictions asked for. Null of others.
   */
  readonly probabilities: Float32Array | null;
}

/** What else is wanted of a comparison. */
export interface CompareOptions {
  /** The flat indices of the tokens whose predictions' probabilities are summed, of the first change; none are if left out. */
  readonly summed?: (piece: Piece) => Uint32Array<ArrayBuffer>;
  /** Hears of each forward pass, also of those without a change. */
  readonly onPass?: (piece: Piece) => void;
}

/** Tokens of a context whose logits are wanted. */
export interface WantedLogits {
  /** One context. */
  readonly batch: TokenBatch;
  /** At most {@link LOGIT_ROWS} of its tokens. */
  readonly places: readonly number[];
}

/** Tokens whose logits are there at once: 8 MB of a vocabulary of 262,144. */
export const LOGIT_ROWS = 8;

/** A transcoder whose features can be changed, with room for what is compared. */
export class ChangedModel {
  readonly #options: ChangedModelOptions;
  readonly #changer: FeatureChanger;
  readonly #kept: KeptBelow;
  /** What the head reads without a change: f32 [the model's most tokens, d_model]. */
  readonly #normed: Tensor;

  /**
   * Uploads the transcoder and allocates room for a batch.
   *
   * @param options The transcoder in its model; what is allocated lives as long as their device handle's owner.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(options: ChangedModelOptions) {
    const { gpu, decoder, decoder: { maxTokens, config: { dModel } }, placed } = options;
    this.#options = options;
    this.#changer = new FeatureChanger(gpu, placed, decoder.config, maxTokens);
    this.#kept = new KeptBelow(gpu, decoder, [lowestOf(placed.config.targets)]);
    this.#normed = createTensor(gpu, "normed residual without a change", [maxTokens, dModel]);
  }

  /**
   * Uploads a change; see {@link FeatureChanger.upload}.
   *
   * @param changes What becomes of which features.
   * @returns The change.
   */
  upload(changes: FeatureChanges): UploadedChange {
    return this.#changer.upload(this.#options.gpu, changes);
  }

  /**
   * The edits that make a change in a forward pass of their own.
   *
   * @param counted The tokens where it does.
   * @param change The change.
   * @returns An edit per target.
   */
  edits(counted: CountedTokens, change: UploadedChange): Edit[] {
    return this.#changer.edits(counted, change);
  }

  /**
   * Measures changes on a text.
   *
   * @param batches The text; none larger than the model was loaded for. One without a counted token is left out.
   * @param changes The changes.
   * @param take Hears of each forward pass with a change: those of the first batch in the order of the changes, then those of the next.
   * @param options What else is wanted.
   * @throws {UserError} When the device fails.
   * @throws The signal's reason once it is aborted.
   */
  async compare(
    batches: readonly TokenBatch[],
    changes: readonly UploadedChange[],
    take: (change: number, compared: ComparedPass) => void,
    { summed, onPass = () => {} }: CompareOptions = {},
  ): Promise<void> {
    const { gpu, decoder, decoder: { maxTokens, config: { vocabSize } } } = this.#options;
    const sums = summed && {
      of: summed,
      chosen: createTensor(gpu, "predictions summed over", [maxTokens], "u32"),
      probabilities: createTensor(gpu, "summed probabilities", [2, vocabSize]),
    };
    let before: Float32Array, recorded: Tensor;
    const clean: Analysis<Float32Array> = {
      ...WHOLE,
      forward: { edits: this.#kept.keep },
      record: (pass, { batch }) => {
        decoder.recordNormed(pass, batch.ids.length, this.#normed);
        recorded = decoder.recordLoss(pass, batch);
      },
      read: ({ batch }) => downloadF32(gpu, front(recorded, batch.ids.length)),
      take: (piece, loss) => {
        before = loss;
        onPass(piece);
      },
    };
    const changed = changes.map((change, c): Analysis<Float32Array[]> => ({
      ...WHOLE,
      forward: this.#forward(change),
      record: (pass, piece) => {
        const { batch } = piece;
        recorded = decoder.recordComparison(pass, batch, this.#normed);
        if (!sums || c > 0) return;
        const places = sums.of(piece), { chosen, probabilities } = sums;
        upload(gpu, chosen, places);
        decoder.recordProbabilitySums(pass, this.#normed, batch.ids.length, chosen, places.length, probabilities);
      },
      read: async ({ batch }) => {
        const wanted = [front(recorded, batch.ids.length), ...sums && c === 0 ? [sums.probabilities] : []];
        return (await downloadAll(gpu, wanted)).map((bytes) => new Float32Array(bytes));
      },
      take: (piece, [comparison, probabilities = null]) => {
        take(c, { piece, before, comparison, probabilities });
        onPass(piece);
      },
    }));
    await this.over(batches, [clean, ...changed]);
  }

  /**
   * Computes logits without a change and with it.
   *
   * @param wanted Of which tokens; a context may come more than once, and must have a counted token.
   * @param change The change.
   * @param take Hears of the logits of each token in turn, f32 [vocabulary].
   * @throws {UserError} When the device fails.
   * @throws The signal's reason once it is aborted.
   */
  async logits(
    wanted: readonly WantedLogits[],
    change: UploadedChange,
    take: (batch: TokenBatch, place: number, before: Float32Array, after: Float32Array) => void,
  ): Promise<void> {
    const { gpu, decoder, decoder: { config: { vocabSize } } } = this.#options;
    const logits = createTensor(gpu, "logits", [LOGIT_ROWS, vocabSize]);
    let before: Float32Array;
    const placesOf = ({ contextsBefore }: Piece) => wanted[contextsBefore].places;
    const reader = (
      forward: Analysis["forward"],
      take: (piece: Piece, rows: Float32Array) => void,
    ): Analysis<Float32Array> => ({
      ...WHOLE,
      forward,
      record: (pass, piece) => decoder.recordLogits(pass, placesOf(piece), logits),
      read: (piece) => downloadF32(gpu, front(logits, placesOf(piece).length)),
      take,
    });
    const row = (rows: Float32Array, r: number) => rows.subarray(r * vocabSize, (r + 1) * vocabSize);
    await this.over(wanted.map(({ batch }) => batch), [
      reader({ edits: this.#kept.keep }, (_, rows) => before = rows),
      reader(this.#forward(change), (piece, rows) => {
        placesOf(piece).forEach((place, r) => take(piece.batch, place, row(before, r), row(rows, r)));
      }),
    ]);
  }

  /**
   * Takes a text that is at hand over the model.
   *
   * @param batches The text.
   * @param analyses What is taken in along it.
   */
  async over(batches: readonly TokenBatch[], analyses: readonly Analysis[]): Promise<void> {
    const { gpu, decoder, settings, settings: { include_bos: includeBos, exclude_tokens: excluded }, signal } =
      this.#options;
    const contexts = batches.reduce((sum, batch) => sum + batch.contexts, 0), source = contextsAtHand(batches);
    await overText(
      { gpu, decoder, source, contexts, includeBos, excluded, limits: normLimits(settings), signal },
      analyses,
    );
  }

  #forward(change: UploadedChange): (counted: CountedTokens) => ForwardOptions {
    const begin = this.#kept.begin(this.#options.placed.config.targets);
    return (counted) => ({ edits: [...begin, ...this.edits(counted, change)] });
  }
}

/** An analysis that takes each forward pass whole, and no activations of it. */
const WHOLE = { taps: [], tokensAtOnce: Infinity } as const;
