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
import { type Tap, tapIndex } from "../model/sites.ts";
import { copyContexts, emptyBatch, type TokenBatch } from "../text/contexts.ts";

/** The stream of random numbers that orders buffer rows. */
const ORDER_STREAM = 0x62756666;

/** What a buffer holds and how it is drawn from. */
export interface BufferPlan {
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

/**
 * Cuts a run into buffers of equal size that waste less than one context and, but for that, hold no more than asked for.
 *
 * @param steps Steps of the run.
 * @param batchTokens Tokens per step.
 * @param passes How many times each row is drawn.
 * @param bufferTokens The most tokens to draw from, at least those of one step: passes * bufferTokens >= batchTokens.
 * @param context Tokens per context, BOS included.
 * @param includeBos Whether BOS rows are drawn.
 * @returns The plan.
 */
export function planBuffer(
  steps: number,
  batchTokens: number,
  passes: number,
  bufferTokens: number,
  context: number,
  includeBos: boolean,
): BufferPlan {
  const perContext = includeBos ? context : context - 1;
  const mostSteps = Math.floor(bufferTokens * passes / batchTokens);
  const buffers = Math.ceil(steps / mostSteps), stepsEach = Math.ceil(steps / buffers);
  const contexts = Math.ceil(stepsEach * batchTokens / passes / perContext);
  return { contexts, context, passes, steps: stepsEach, batchTokens, includeBos };
}

/** The shuffle buffer of one run, for all its taps. */
export class ShuffleBuffer {
  /** The buffer's sizes. */
  readonly plan: BufferPlan;
  /** What it holds. */
  readonly taps: readonly Tap[];
  /** Per tap: [contexts * context, width] raw activations. */
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
   * @param stored The taps that it is to hold, with the columns of their activations.
   * @param plan The buffer's sizes.
   * @param seed The run's seed.
   */
  constructor(gpu: Gpu, stored: readonly Pick<Activations, "tap" | "width">[], plan: BufferPlan, seed: number) {
    this.plan = plan;
    this.taps = stored.map(({ tap }) => tap);
    this.#gpu = gpu;
    this.#seed = seed;
    const rows = plan.contexts * plan.context, drawable = plan.contexts * (plan.context - (plan.includeBos ? 0 : 1));
    this.activations = stored.map(({ width }, t) => createRowBlocks(gpu, `buffer of tap ${t}`, rows, width));
    this.order = createTensor(gpu, "buffer order", [plan.passes * drawable], "u32");
    this.batch = emptyBatch(0, plan.context);
    this.drawn = new Uint32Array(0);
  }

  /**
   * What the buffer holds of one tap.
   *
   * @param tap The tap.
   * @returns [contexts * context, width] raw activations.
   * @throws {RangeError} When the buffer does not hold it.
   */
  at(tap: Tap): RowBlocks {
    return this.activations[tapIndex(this.taps, tap)];
  }

  /** Begins to be filled anew. The contexts so far stay with those who have them; their activations are overwritten. */
  clear(): void {
    this.batch = emptyBatch(this.plan.contexts, this.plan.context);
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
      recordStore(pass, tensor, this.activations[t], context * this.plan.context, tokens);
    }
  }

  /**
   * Sets the order in which a full buffer is drawn.
   *
   * @param n The buffer's number.
   */
  shuffle(n: number): void {
    this.drawn = drawOrder(this.plan, this.#seed, n);
    upload(this.#gpu, this.order, this.drawn);
  }
}

/**
 * The rows of a buffer in the order they are drawn: one fresh permutation per pass.
 *
 * @param plan The buffer's sizes.
 * @param seed The run's seed.
 * @param n The buffer's number.
 * @returns [passes * drawable rows] flat indices context * plan.context + column.
 */
export function drawOrder(plan: BufferPlan, seed: number, n: number): Uint32Array<ArrayBuffer> {
  const skip = plan.includeBos ? 0 : 1, columns = plan.context - skip, drawable = plan.contexts * columns;
  const order = new Uint32Array(plan.passes * drawable);
  for (let p = 0; p < plan.passes; p++) {
    const shuffled = permutation(drawable, randomGenerator(seed, ORDER_STREAM, n, p));
    for (let r = 0; r < drawable; r++) {
      order[p * drawable + r] = Math.floor(shuffled[r] / columns) * plan.context + skip + shuffled[r] % columns;
    }
  }
  return order;
}
