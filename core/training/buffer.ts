/**
 * The shuffle buffer: activations of many contexts on the GPU, from which steps draw their batches.
 *
 * Buffer number n is a pure function of (seed, n, data): it holds the n-th run of contexts of the token source, and its rows are
 * used in `passes` permutations that depend on (seed, n) alone. BOS rows are stored, never drawn, unless they are asked for.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { createTensor, type Gpu, settle, upload } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Decoder } from "../model/forward.ts";
import { widthOf } from "../model/sites.ts";
import type { StreamPosition, TokenBatch } from "../text/contexts.ts";
import type { TokenSource } from "../text/source.ts";
import { createRowBlocks, recordStore, type RowBlocks } from "../gpu/row_blocks.ts";

/** The stream of random numbers that orders buffer rows. */
const ORDER_STREAM = 0x62756666;
/** Forward passes, and tokens in them, queued before the host waits: the embedded tokens of all lie in host memory. */
const QUEUED_FORWARDS = 4;
const QUEUED_TOKENS = 32768;
/** Seconds of a forward pass from which nothing is queued behind it: the wait no longer counts, being told and stopped does. */
const SLOW_FORWARD_S = 2;

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
  /** Per tap: [contexts * context, width of the tap] raw activations. */
  readonly activations: readonly RowBlocks[];
  /** [passes * drawable rows] row numbers in the order they are drawn. */
  readonly order: Tensor;
  /** The contexts of the current buffer; none before the first filling. */
  batch: TokenBatch;
  /** `order`, on the host. */
  drawn: Uint32Array;

  readonly #gpu: Gpu;
  readonly #decoder: Decoder;
  readonly #plan: BufferPlan;
  readonly #seed: number;

  /**
   * Allocates an empty buffer.
   *
   * @param gpu The device.
   * @param decoder The model, loaded with the taps that the run needs.
   * @param plan The buffer's sizes.
   * @param seed The run's seed.
   */
  constructor(gpu: Gpu, decoder: Decoder, plan: BufferPlan, seed: number) {
    this.#gpu = gpu;
    this.#decoder = decoder;
    this.#plan = plan;
    this.#seed = seed;
    const rows = plan.contexts * plan.context, drawable = plan.contexts * (plan.context - (plan.includeBos ? 0 : 1));
    this.activations = decoder.taps.map(({ site }, t) =>
      createRowBlocks(gpu, `buffer of tap ${t}`, rows, widthOf(decoder.config, site))
    );
    this.order = createTensor(gpu, "buffer order", [plan.passes * drawable], "u32");
    this.batch = emptyBatch({ ...plan, contexts: 0 });
    this.drawn = new Uint32Array(0);
  }

  /**
   * Fills the buffer with the next contexts of a source.
   *
   * @param n The buffer's number; the source must stand at its beginning.
   * @param source Where tokens come from.
   * @param contextsPerForward Contexts per forward pass; part of what makes the bytes.
   * @param onProgress Called with the contexts done so far; false stops the filling.
   * @returns The source's position behind the buffer, or null when it was stopped.
   */
  async fill(
    n: number,
    source: TokenSource,
    contextsPerForward: number,
    onProgress: (contexts: number) => boolean,
  ): Promise<StreamPosition | null> {
    const { contexts, context } = this.#plan;
    this.batch = emptyBatch(this.#plan);
    const mostQueued = Math.min(QUEUED_FORWARDS, Math.ceil(QUEUED_TOKENS / (contextsPerForward * context)));
    let position: StreamPosition | undefined;
    for (let done = 0, queued = 0, most = 1, waited = performance.now(); done < contexts;) {
      const next = await source.next(Math.min(contextsPerForward, contexts - done));
      position = next.position;
      copyBatch(next.batch, this.batch, done);
      const pass = new Pass(this.#gpu);
      const taps = this.#decoder.forward(pass, next.batch);
      taps.forEach(({ tensor, tokens }, t) => recordStore(pass, tensor, this.activations[t], done * context, tokens));
      pass.submit();
      done += next.batch.contexts;
      queued++;
      if (queued >= most || done === contexts) {
        await settle(this.#gpu);
        const now = performance.now(), seconds = (now - waited) / 1000 / queued;
        most = seconds < SLOW_FORWARD_S ? mostQueued : 1;
        queued = 0;
        waited = now;
      }
      if (!onProgress(done)) return null;
    }
    this.drawn = drawOrder(this.#plan, this.#seed, n);
    upload(this.#gpu, this.order, this.drawn);
    return position!;
  }

  /** Frees the buffer's memory on the GPU. */
  destroy(): void {
    const blocks = this.activations.flatMap((rows) => rows.blocks);
    for (const { buffer } of [...blocks, this.order]) buffer.destroy();
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

function emptyBatch({ contexts, context }: BufferPlan): TokenBatch {
  const array = () => new Uint32Array(contexts * context);
  return { contexts, context, ids: array(), document: array(), position: array() };
}

function copyBatch(from: TokenBatch, to: TokenBatch, contexts: number): void {
  const at = contexts * to.context;
  to.ids.set(from.ids, at);
  to.document.set(from.document, at);
  to.position.set(from.position, at);
}
