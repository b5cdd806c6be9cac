/**
 * Going on from a transcoder's lowest target: contexts that went through a model are run again from there upwards, with some features switched
 * off, each context with its own. Only the layers above that target and the head run.
 * @module
 */

import { changeFeatures } from "../../wgsl/transcoder/change.ts";
import type { Firing } from "../analysis/firings.ts";
import { createTensor, downloadF32, type Gpu, settle, tensorFrom, upload } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { createRowBlocks, recordGather, recordStore, type RowBlocks } from "../gpu/row_blocks.ts";
import { Pass } from "../gpu/run.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Decoder } from "../model/forward.ts";
import type { ComparedTokens } from "../model/head.ts";
import { lowestOf } from "../model/sites.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { featureCount } from "../transcoder/shape.ts";
import { type ChangedTarget, changedTargets } from "./feature_change.ts";
import type { PlacedTranscoder } from "./features.ts";
import { KeptBelow, type KeptText } from "./kept_below.ts";

/** What parts of the work take, in seconds. */
export interface ReplayCosts {
  /** The layers above the lowest target, a context. */
  readonly context: number;
  /** The products of a token with the vocabulary. */
  readonly product: number;
}

/** A feature that is switched off in one context; null where none is. */
export interface Replayed {
  /** The feature. */
  readonly feature: number | null;
  /** Where it fires; of no feature, only which context. */
  readonly firing: Firing;
}

/** Runs contexts again. */
export class Replay {
  readonly #gpu: Gpu;
  readonly #decoder: Decoder;
  readonly #text: TokenBatch;
  readonly #states: KeptText;
  /** What the contexts at hand begin with. */
  readonly #kept: KeptBelow;
  readonly #targets: readonly (ChangedTarget & { /** f32 [width]: zeros. */ readonly constant: Tensor })[];
  /** f32 [features, 2] as of `changeFeatures`: each feature that a token is told to have is switched off. */
  readonly #change: Tensor;
  /** Rows of the text, u32 [tokens]: those of the contexts at hand. */
  readonly #order: Tensor;
  /** Rows of a batch, u32 [tokens]: all in their order. */
  readonly #rows: Tensor;
  /** The features that are switched off, sparse by token, and their activations. */
  readonly #off: { readonly rowStart: Tensor; readonly index: Tensor; readonly value: Tensor };
  /** What the head reads of the model as it is: f32 [tokens of the text, d_model], and of the contexts at hand. */
  readonly #clean: RowBlocks;
  readonly #reference: Tensor;
  /** Rows of the text, u32 [tokens]: those that the predictions at hand are held against. */
  readonly #referenceOrder: Tensor;

  /**
   * Uploads the features and allocates room for one batch.
   *
   * @param gpu The device.
   * @param decoder The model, loaded with its head.
   * @param placed The transcoder whose features are switched off.
   * @param states What the text has at the lowest of its targets.
   * @param text The text, as one batch.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, decoder: Decoder, placed: PlacedTranscoder, states: KeptText, text: TokenBatch) {
    const { maxTokens, config, config: { dModel } } = decoder, { targets } = placed.config;
    const features = featureCount(placed.transcoder.shape.groups);
    this.#gpu = gpu;
    this.#decoder = decoder;
    this.#text = text;
    this.#states = states;
    this.#kept = new KeptBelow(gpu, { config, maxTokens, taps: [] }, [lowestOf(targets)]);
    this.#targets = changedTargets(gpu, placed, config).map((target) => {
      return { ...target, constant: createTensor(gpu, "no constant", [target.width]) };
    });
    const off = Float32Array.from({ length: 2 * features }, (_, i) => i % 2 === 0 ? -1 : 0);
    this.#change = tensorFrom(gpu, "features off", [features, 2], off);
    this.#order = createTensor(gpu, "replayed rows", [maxTokens], "u32");
    this.#rows = tensorFrom(
      gpu,
      "rows of a batch",
      [maxTokens],
      Uint32Array.from({ length: maxTokens }, (_, row) => row),
    );
    this.#off = {
      rowStart: createTensor(gpu, "row start of what is off", [maxTokens + 1], "u32"),
      index: createTensor(gpu, "features that are off", [maxTokens], "u32"),
      value: createTensor(gpu, "their activations", [maxTokens]),
    };
    this.#clean = createRowBlocks(gpu, "clean model's normed residual", text.ids.length, dModel);
    this.#reference = createTensor(gpu, "normed residual at hand", [maxTokens, dModel]);
    this.#referenceOrder = createTensor(gpu, "reference rows", [maxTokens], "u32");
  }

  /**
   * Runs every context as it is, on the way that the others take; to be done once, before {@link without}.
   *
   * @param take Hears of each context's losses: f32 [context, 3] as of {@link Decoder.recordComparison}.
   * @param signal Ends the work early by throwing its reason.
   * @throws {UserError} When the device fails.
   */
  asItIs(take: (context: number, comparison: Float32Array) => void, signal?: AbortSignal): Promise<void> {
    const contexts = this.#whole(this.#text.contexts);
    const refer = (pass: Pass, [{ firing }]: readonly Replayed[], rows: number) => {
      this.#decoder.recordNormed(pass, rows, this.#reference);
      recordStore(pass, this.#reference, this.#clean, firing.context * this.#text.context, rows);
      return undefined;
    };
    return this.#run(contexts, ({ firing }, comparison) => take(firing.context, comparison), refer, signal);
  }

  /**
   * Measures what the work takes, behind {@link asItIs}, which has compiled the kernels.
   *
   * @returns The times of one batch.
   * @throws {UserError} When the device fails.
   */
  async costs(): Promise<ReplayCosts> {
    const contexts = this.#whole(Math.min(this.#text.contexts, this.#decoder.contextsAtOnce));
    const batch = this.#batchOf(contexts), tokens = batch.ids.length;
    const timed = async (record: (pass: Pass) => void) => {
      const pass = new Pass(this.#gpu), begin = performance.now();
      record(pass);
      pass.submit();
      await settle(this.#gpu);
      return (performance.now() - begin) / 1000;
    };
    const layers = await timed((pass) => {
      this.#decoder.forward(pass, batch, { edits: this.#edits(pass, contexts, tokens), taps: [] });
    });
    const head = await timed((pass) => this.#decoder.recordComparison(pass, batch, this.#reference));
    return { context: layers / contexts.length, product: head / (2 * tokens) };
  }

  /** The first contexts of the text, with no feature off. */
  #whole(contexts: number): Replayed[] {
    return Array.from({ length: contexts }, (_, context): Replayed => {
      return { feature: null, firing: { context, columns: [], values: [] } };
    });
  }

  /**
   * Runs contexts with a feature of its own switched off in each. Predictions are compared from the first token on at which it fires: those
   * before are what they were. Neighbours of the same context share what is computed of the model as it is.
   *
   * @param off Which, and where.
   * @param take Hears of each context's losses from that token on but the last's, held against those of {@link asItIs}: f32 [tokens, 3] as of
   * {@link Decoder.recordComparison}.
   * @param signal Ends the work early by throwing its reason.
   * @throws {UserError} When the device fails.
   */
  without<Off extends Replayed>(
    off: readonly Off[],
    take: (off: Off, comparison: Float32Array) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const width = this.#decoder.config.dModel;
    const refer = (pass: Pass, batch: readonly Off[]) => {
      const { rows, ...compared } = changedTokens(batch, this.#text.context);
      upload(this.#gpu, this.#referenceOrder, rows);
      const gathering = { rows: rows.length, width, first: 0 };
      recordGather(pass, this.#clean, this.#referenceOrder, this.#reference, gathering);
      return compared;
    };
    return this.#run(off, take, refer, signal);
  }

  /** `refer` records what fills the reference, behind the forward pass, and says what is held against it: everything if undefined. */
  async #run<Off extends Replayed>(
    off: readonly Off[],
    take: (off: Off, comparison: Float32Array) => void,
    refer: (pass: Pass, off: readonly Off[], rows: number) => ComparedTokens | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const { context } = this.#text, decoder = this.#decoder;
    let comparison: Tensor, compared: number;
    await overlapped(inBatches(off, decoder.contextsAtOnce), {
      submit: (batch) => {
        signal?.throwIfAborted();
        const tokens = this.#batchOf(batch), rows = tokens.ids.length, pass = new Pass(this.#gpu);
        decoder.forward(pass, tokens, { edits: this.#edits(pass, batch, rows), taps: [] });
        const chosen = refer(pass, batch, rows);
        compared = chosen ? chosen.tokens.length : rows;
        comparison = decoder.recordComparison(pass, tokens, this.#reference, chosen);
        pass.submit();
      },
      read: () => downloadF32(this.#gpu, front(comparison, compared)),
      take(batch, values) {
        let at = 0;
        for (const one of batch) {
          const end = at + 3 * (one.feature === null ? context : context - 1 - firstChanged(one));
          take(one, values.subarray(at, end));
          at = end;
        }
      },
    });
  }

  #batchOf(off: readonly Replayed[]) {
    const { context, ids } = this.#text, batch = new Uint32Array(off.length * context);
    off.forEach(({ firing: { context: c } }, i) =>
      batch.set(ids.subarray(c * context, (c + 1) * context), i * context)
    );
    return { contexts: off.length, context, ids: batch };
  }

  /** Uploads what is off, and records the activations to go on from. */
  #edits(pass: Pass, off: readonly Replayed[], tokens: number): Edit[] {
    const { context } = this.#text, { rowStart, index, value } = this.#off, change = this.#change, order = this.#rows;
    const counts = new Uint32Array(tokens + 1), features: number[] = [], values: number[] = [];
    off.forEach(({ feature, firing }, i) =>
      firing.columns.forEach((column, n) => {
        counts[i * context + column + 1]++;
        features.push(feature!);
        values.push(firing.values[n]);
      })
    );
    for (let row = 0; row < tokens; row++) counts[row + 1] += counts[row];
    upload(this.#gpu, rowStart, counts);
    upload(this.#gpu, index, Uint32Array.from(features));
    upload(this.#gpu, value, Float32Array.from(values));
    const rows = Uint32Array.from(
      { length: tokens },
      (_, at) => off[Math.floor(at / context)].firing.context * context + at % context,
    );
    upload(this.#gpu, this.#order, rows);
    this.#kept.recordFrom(pass, this.#states, this.#order, tokens);
    const [dictionary] = change.shape, lanes = { LANES: this.#gpu.isCpu ? 8 : 128 };
    const changed = this.#targets.map(({ tap, width, decoder, constant }): Edit => ({
      kind: "rewrite",
      tap,
      record: (pass, y) => {
        pass.run(
          changeFeatures,
          { row_start: rowStart, index, value, change, decoder, constant, order, y },
          { tokens, width, features: dictionary, first: 0, y_rows: y.shape[0] },
          lanes,
        );
      },
    }));
    return [...this.#kept.begin(this.#targets.map(({ tap }) => tap)), ...changed];
  }
}

/**
 * The first token of a context that a feature changes.
 *
 * @param replayed The feature.
 * @returns The token's place in the context; 0 where no feature is off.
 */
export function firstChanged({ firing: { columns } }: Replayed): number {
  return columns.length === 0 ? 0 : columns[0];
}

/**
 * What features change of their contexts.
 *
 * @param off The features, each in one context.
 * @param context Tokens of a context.
 * @returns The tokens from the first change of each on but the last, which predicts nothing, all contexts side by side, and the rows of the
 * text that they are held against, each once where the same context comes several times in a row.
 */
export function changedTokens(off: readonly Replayed[], context: number): ComparedTokens & {
  readonly rows: Uint32Array<ArrayBuffer>;
} {
  const tokens: number[] = [], references: number[] = [], rows: number[] = [];
  for (let begin = 0, end = 0; begin < off.length; begin = end) {
    const { firing } = off[begin];
    while (end < off.length && off[end].firing.context === firing.context) end++;
    const alike = off.slice(begin, end), least = Math.min(...alike.map(firstChanged));
    alike.forEach((one, i) => {
      for (let column = firstChanged(one); column < context - 1; column++) {
        tokens.push((begin + i) * context + column);
        references.push(rows.length + column - least);
      }
    });
    for (let column = least; column < context - 1; column++) rows.push(firing.context * context + column);
  }
  return { tokens: Uint32Array.from(tokens), references: Uint32Array.from(references), rows: Uint32Array.from(rows) };
}

async function* inBatches<T>(all: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let first = 0; first < all.length; first += size) yield all.slice(first, first + size);
}
