/**
 * The shuffle buffer: activations of many contexts on the GPU, from which steps draw their batches. What fills it is in filler.ts.
 *
 * Buffer number n is a pure function of (seed, n, data): it holds the n-th run of contexts of the token source, and its rows are
 * used in permutations that depend on (seed, n) and on which of them count. BOS rows, and tokens that are left out, are stored and never
 * drawn. Where tokens are left out, the others are drawn a little more often, so that every buffer serves as many steps.
 * @module
 */

import { NO_TOKENS, type TokenCounts } from "../analysis/token_counts.ts";
import { UserError } from "../errors.ts";
import { permutation, randomGenerator } from "../random.ts";
import { createTensor, type Gpu, upload } from "../gpu/device.ts";
import { createRowBlocks, recordStore, type RowBlocks } from "../gpu/row_blocks.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Activations } from "../model/forward.ts";
import { type Tap, tapIndex, widthOf, type Widths } from "../model/sites.ts";
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
}

/** What of a run's settings decides how it is cut into buffers. */
export type BufferSettings = Pick<
  RunSettings,
  "steps" | "batch_tokens" | "passes" | "buffer_tokens" | "context" | "include_bos" | "exclude_tokens"
>;

/**
 * Cuts a run into buffers of equal size that waste less than one context and, but for that, hold no more than asked for.
 *
 * @param settings The run's settings; passes * buffer_tokens >= batch_tokens.
 * @returns The sizes of each buffer.
 */
export function bufferLayout(settings: BufferSettings): BufferLayout {
  const { steps, batch_tokens: batchTokens, passes, buffer_tokens, context, include_bos: includeBos } = settings;
  const { exclude_tokens: excluded } = settings;
  const perContext = countedPerContext(context, includeBos);
  const mostSteps = Math.floor(buffer_tokens * passes / batchTokens);
  const buffers = Math.ceil(steps / mostSteps), stepsEach = Math.ceil(steps / buffers);
  const contexts = Math.ceil(stepsEach * batchTokens / passes / perContext);
  return { contexts, context, passes, steps: stepsEach, batchTokens, includeBos, excluded };
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

  readonly #gpu: Gpu;
  readonly #seed: number;

  /**
   * Allocates an empty buffer.
   *
   * @param gpu The device.
   * @param taps What it is to hold.
   * @param widths The model, which knows how wide a tap is.
   * @param layout The buffer's sizes.
   * @param seed The run's seed.
   * @throws {TooLargeToBind} When the adapter cannot bind the order, or a single row.
   */
  constructor(gpu: Gpu, taps: readonly Tap[], widths: Widths, layout: BufferLayout, seed: number) {
    this.layout = layout;
    this.taps = taps;
    this.#gpu = gpu;
    this.#seed = seed;
    const rows = layout.contexts * layout.context;
    const drawable = layout.contexts * countedPerContext(layout.context, layout.includeBos);
    this.activations = taps.map(({ site }, t) =>
      createRowBlocks(gpu, `buffer of tap ${t}`, rows, widthOf(widths, site))
    );
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
   * Sets the order in which a full buffer is drawn.
   *
   * @param n The buffer's number.
   * @throws {UserError} When none of its tokens counts.
   */
  shuffle(n: number): void {
    const { includeBos, excluded } = this.layout, rows = countedRows(this.batch, includeBos, excluded);
    this.counts = {
      tokens: rows.length,
      excluded_tokens: countedRows(this.batch, includeBos).length - rows.length,
    };
    if (rows.length === 0) {
      throw new UserError({
        action: "fill the shuffle buffer",
        requirement: "its contexts must have a token that is not left out",
        found: "they have none",
        remedy: "give other text, or leave out fewer tokens with --exclude-tokens",
      });
    }
    this.drawn = drawOrder(rows, this.order.shape[0], this.#seed, n);
    upload(this.#gpu, this.order, this.drawn);
  }
}

/**
 * The rows of a buffer in the order they are drawn: one fresh permutation for each time that all are.
 *
 * @param rows Those that may be drawn, at least one.
 * @param draws How many are drawn; where that is no multiple of the rows, the last permutation is cut off.
 * @param seed The run's seed.
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
