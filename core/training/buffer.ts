/**
 * The shuffle buffer: activations of many contexts on the GPU, from which steps draw their batches. What fills it is in filler.ts.
 *
 * Buffer number n is a pure function of (seed, n, data): it holds the n-th run of contexts of the token source, and its rows are
 * used in permutations that depend on (seed, n) and on which of them count. BOS rows, and tokens that are left out for their ids or their
 * norms, are stored and never drawn. Where tokens are left out, the others are drawn a little more often, so that every buffer serves
 * as many steps.
 * @module
 */

import { quantile } from "../analysis/statistics.ts";
import { NO_TOKENS, type TokenCounts } from "../analysis/token_counts.ts";
import { UserError } from "../errors.ts";
import { permutation, randomGenerator } from "../random.ts";
import { createTensor, downloadAll, type Gpu, upload } from "../gpu/device.ts";
import { createRowBlocks, recordNorms, recordStore, type RowBlocks, uploadRows } from "../gpu/row_blocks.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Activations } from "../model/forward.ts";
import { type Tap, tapIndex, tapName, widthOf, type Widths } from "../model/sites.ts";
import { normLimits, withinLimits } from "../passes/norm_limits.ts";
import type { MedianNorm } from "../runs/config.ts";
import type { RunSettings } from "../runs/settings.ts";
import { copyContexts, countedPerContext, countedRows, emptyBatch, type TokenBatch } from "../text/contexts.ts";

/** The stream of random numbers that orders buffer rows. */
const ORDER_STREAM = 0x62756666;

/** How a run is cut into buffers: what each holds, and how it is drawn from. */
export interface BufferLayout {
  /** Contexts per buffer. */
  readonly contexts: number;
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** How many times each row is drawn. */
  readonly passes: number;
  /** Steps a buffer serves. */
  readonly steps: number;
  /** Tokens per step. */
  readonly batchTokens: number;
  /** Whether BOS rows are drawn. */
  readonly includeBos: boolean;
  /** Ids of tokens that are not drawn wherever else they stand. */
  readonly excluded: readonly number[];
  /** How many times the median norm at a source is too much for a row to be drawn; 0 where norms do not matter. */
  readonly normAbove: number;
}

/** What of a run's settings decides how it is cut into buffers. */
export type BufferSettings = Pick<
  RunSettings,
  | "steps"
  | "batch_tokens"
  | "passes"
  | "buffer_tokens"
  | "context"
  | "include_bos"
  | "exclude_tokens"
  | "exclude_norm_above"
>;

/**
 * Cuts a run into buffers of equal size that waste less than one context and, but for that, hold no more than asked for.
 *
 * @param settings The run's settings; passes * buffer_tokens >= batch_tokens.
 * @returns The sizes of each buffer.
 */
export function bufferLayout(settings: BufferSettings): BufferLayout {
  const { steps, batch_tokens: batchTokens, passes, buffer_tokens, context, include_bos: includeBos } = settings;
  const { exclude_tokens: excluded, exclude_norm_above: normAbove } = settings;
  const perContext = countedPerContext(context, includeBos);
  const mostSteps = Math.floor(buffer_tokens * passes / batchTokens);
  const buffers = Math.ceil(steps / mostSteps), stepsEach = Math.ceil(steps / buffers);
  const contexts = Math.ceil(stepsEach * batchTokens / passes / perContext);
  return { contexts, context, passes, steps: stepsEach, batchTokens, includeBos, excluded, normAbove };
}

/**
 * How many contexts a run draws from in all.
 *
 * @param layout How it is cut into buffers.
 * @param steps Its steps.
 * @returns The contexts of all its buffers.
 */
export function contextsDrawn({ contexts, steps: stepsEach }: BufferLayout, steps: number): number {
  return Math.ceil(steps / stepsEach) * contexts;
}

/** The shuffle buffer of one run, for all its taps. */
export class ShuffleBuffer {
  /** The buffer's sizes. */
  readonly layout: BufferLayout;
  /** What it holds. */
  readonly taps: readonly Tap[];
  /** Per tap: [contexts * context, width of the tap] raw activations. */
  readonly activations: readonly RowBlocks[];
  /** [passes * the most drawable rows] row numbers in the order they are drawn. */
  readonly order: Tensor;
  /** The contexts of the current buffer; none before the first filling. */
  batch: TokenBatch;
  /** `order`, on the host. */
  drawn: Uint32Array;
  /** How many of its tokens are drawn, and how many are left out. */
  counts: TokenCounts = NO_TOKENS;
  /** The median norm at each source, which the run's first buffer gives; undefined before, and where norms do not matter. */
  medianNorms: readonly MedianNorm[] | undefined;

  readonly #gpu: Gpu;
  readonly #seed: number;
  /** The taps whose norms matter, and per tap room for the norm of each row. */
  readonly #limited: readonly { readonly tap: Tap; readonly norms: Tensor }[];

  /**
   * Allocates an empty buffer.
   *
   * @param gpu The device.
   * @param taps What it is to hold.
   * @param widths The model, which knows how wide a tap is.
   * @param layout The buffer's sizes.
   * @param seed The run's data seed.
   * @param sources Those of its taps whose norms matter, where the layout says that some do.
   * @param medianNorms The medians there, where the run's first buffer was measured before.
   * @throws {TooLargeToBind} When the adapter cannot bind the order, or a single row.
   */
  constructor(
    gpu: Gpu,
    taps: readonly Tap[],
    widths: Widths,
    layout: BufferLayout,
    seed: number,
    sources: readonly Tap[] = [],
    medianNorms?: readonly MedianNorm[],
  ) {
    this.layout = layout;
    this.taps = taps;
    this.#gpu = gpu;
    this.#seed = seed;
    this.medianNorms = medianNorms;
    const rows = layout.contexts * layout.context;
    const drawable = layout.contexts * countedPerContext(layout.context, layout.includeBos);
    this.activations = taps.map(({ site }, t) =>
      createRowBlocks(gpu, `buffer of tap ${t}`, rows, widthOf(widths, site))
    );
    const limited = layout.normAbove > 0 ? sources : [];
    this.#limited = limited.map((tap) => ({ tap, norms: createTensor(gpu, `norms at ${tapName(tap)}`, [rows]) }));
    this.order = createTensor(gpu, "buffer order", [layout.passes * drawable], "u32");
    this.batch = emptyBatch(0, layout.context);
    this.drawn = new Uint32Array(0);
  }

  /**
   * What the buffer holds of one tap.
   *
   * @param tap The tap.
   * @returns [contexts * context, width of the tap] raw activations.
   * @throws {RangeError} When the buffer does not hold it.
   */
  at(tap: Tap): RowBlocks {
    return this.activations[tapIndex(this.taps, tap)];
  }

  /** Begins to be filled anew. The contexts so far stay with those who have them; their activations are overwritten. */
  clear(): void {
    this.batch = emptyBatch(this.layout.contexts, this.layout.context);
  }

  /**
   * Records storing contexts with their activations, BOS included.
   *
   * @param pass Where to record.
   * @param batch The contexts.
   * @param activations What the model computed for them: one entry per tap, in the order of `taps`.
   * @param context Where in the buffer the first of them goes.
   */
  recordStore(pass: Pass, batch: TokenBatch, activations: readonly Activations[], context: number): void {
    copyContexts(batch, this.batch, context);
    for (const [t, { tensor, tokens }] of activations.entries()) {
      recordStore(pass, tensor, this.activations[t], context * this.layout.context, tokens);
    }
  }

  /**
   * Stores contexts whose activations are on the host, BOS included.
   *
   * @param batch The contexts.
   * @param activations [contexts * context, width] for each of `taps`.
   * @param context Where in the buffer the first of them goes.
   */
  store(batch: TokenBatch, activations: readonly Float32Array[], context: number): void {
    copyContexts(batch, this.batch, context);
    for (const [t, rows] of activations.entries()) {
      uploadRows(this.#gpu, rows, this.activations[t], context * this.layout.context);
    }
  }

  /**
   * Sets the order in which a full buffer is drawn. Where norms matter, they are read back first, a number per row and source.
   *
   * @param n The buffer's number.
   * @throws {UserError} When none of its tokens counts.
   */
  async shuffle(n: number): Promise<void> {
    const { includeBos, excluded } = this.layout, named = countedRows(this.batch, includeBos, excluded);
    const rows = this.#limited.length > 0 ? await this.#withoutOutliers(named) : named;
    this.counts = {
      tokens: rows.length,
      excluded_tokens: countedRows(this.batch, includeBos).length - named.length,
      ...this.#limited.length > 0 && { outlier_tokens: named.length - rows.length },
    };
    if (rows.length === 0) {
      throw new UserError({
        action: "fill the shuffle buffer",
        requirement: "its contexts must have a token that is not left out",
        found: "they have none",
        remedy: "give other text, or leave out fewer tokens with --exclude-tokens or --exclude-norm-above",
      });
    }
    this.drawn = drawOrder(rows, this.order.shape[0], this.#seed, n);
    upload(this.#gpu, this.order, this.drawn);
  }

  async #withoutOutliers(rows: Uint32Array<ArrayBuffer>): Promise<Uint32Array<ArrayBuffer>> {
    const pass = new Pass(this.#gpu);
    for (const { tap, norms } of this.#limited) recordNorms(this.#gpu, pass, this.at(tap), norms);
    pass.submit();
    const bytes = await downloadAll(this.#gpu, this.#limited.map(({ norms }) => norms));
    const norms = bytes.map((read) => new Float32Array(read));
    this.medianNorms ??= this.#limited.map(({ tap }, i) => {
      return { ...tap, norm: quantile(Float64Array.from(rows, (row) => norms[i][row]).sort(), 0.5) };
    });
    const settings = { exclude_norm_above: this.layout.normAbove, median_norms: this.medianNorms };
    return withinLimits(rows, norms, normLimits(settings));
  }
}

/**
 * The rows of a buffer in the order they are drawn: one fresh permutation for each time that all are.
 *
 * @param rows Those that may be drawn, at least one.
 * @param draws How many are drawn; where that is no multiple of the rows, the last permutation is cut off.
 * @param seed The run's data seed.
 * @param n The buffer's number.
 * @returns [draws] some of the rows.
 */
export function drawOrder(rows: Uint32Array, draws: number, seed: number, n: number): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(draws);
  for (let p = 0, drawn = 0; drawn < draws; p++) {
    const shuffled = permutation(rows.length, randomGenerator(seed, ORDER_STREAM, n, p));
    for (let r = 0; r < rows.length && drawn < draws; r++) order[drawn++] = rows[shuffled[r]];
  }
  return order;
}
