/**
 * The shuffle buffer: activations of many contexts on the GPU, from which steps draw their batches. What fills it is in filler.ts.
 *
 * Buffer number n is a pure function of (seed, n, data): it holds the n-th run of contexts of the token source, and its rows are
 * used in `passes` permutations that depend on (seed, n) alone. BOS rows are stored, never drawn, unless they are asked for.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { createTensor, type Gpu, upload } from "../gpu/device.ts";
import { createRowBlocks, recordStore, type RowBlocks } from "../gpu/row_blocks.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Activations } from "../model/forward.ts";
import { type Tap, tapIndex, widthOf, type Widths } from "../model/sites.ts";
import type { RunSettings } from "../runs/settings.ts";
import { copyContexts, countedPerContext, emptyBatch, type TokenBatch } from "../text/contexts.ts";

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
}

/** What of a run's settings decides how it is cut into buffers. */
export type BufferSettings = Pick<
  RunSettings,
  "steps" | "batch_tokens" | "passes" | "buffer_tokens" | "context" | "include_bos"
>;

/**
 * Cuts a run into buffers of equal size that waste less than one context and, but for that, hold no more than asked for.
 *
 * @param settings The run's settings; passes * buffer_tokens >= batch_tokens.
 * @returns The sizes of each buffer.
 */
export function bufferLayout(settings: BufferSettings): BufferLayout {
  const { steps, batch_tokens: batchTokens, passes, buffer_tokens, context, include_bos: includeBos } = settings;
  const perContext = countedPerContext(context, includeBos);
  const mostSteps = Math.floor(buffer_tokens * passes / batchTokens);
  const buffers = Math.ceil(steps / mostSteps), stepsEach = Math.ceil(steps / buffers);
  const contexts = Math.ceil(stepsEach * batchTokens / passes / perContext);
  return { contexts, context, passes, steps: stepsEach, batchTokens, includeBos };
}

/** The shuffle buffer of one run, for all its taps. */
export class ShuffleBuffer {
  /** The buffer's sizes. */
  readonly layout: BufferLayout;
  /** What it holds. */
  readonly taps: readonly Tap[];
  /** Per tap: [contexts * context, width of the tap] raw activations. */
  readonly activations: readonly RowBlocks[];
  /** [passes * drawable rows] row numbers in the order they are drawn. */
  readonly order: Tensor;
  /** The contexts of the current buffer; none before the first filling. */
  batch: TokenBatch;
  /** `order`, on the host. */
  drawn: Uint32Array;

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
   */
  shuffle(n: number): void {
    this.drawn = drawOrder(this.layout, this.#seed, n);
    upload(this.#gpu, this.order, this.drawn);
  }
}

/**
 * The rows of a buffer in the order they are drawn: one fresh permutation for each time that all are.
 *
 * @param layout The buffer's sizes.
 * @param seed The run's seed.
 * @param n The buffer's number.
 * @returns [passes * drawable rows] flat indices context * layout.context + column.
 */
export function drawOrder(layout: BufferLayout, seed: number, n: number): Uint32Array<ArrayBuffer> {
  const perContext = countedPerContext(layout.context, layout.includeBos), skip = layout.context - perContext;
  const drawable = layout.contexts * perContext;
  const order = new Uint32Array(layout.passes * drawable);
  for (let p = 0; p < layout.passes; p++) {
    const shuffled = permutation(drawable, randomGenerator(seed, ORDER_STREAM, n, p));
    for (let r = 0; r < drawable; r++) {
      const row = shuffled[r];
      order[p * drawable + r] = Math.floor(row / perContext) * layout.context + skip + row % perContext;
    }
  }
  return order;
}
