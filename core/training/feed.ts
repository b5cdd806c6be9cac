/**
 * What steps are fed with: the buffer that is current, filled anew from the text whenever it is used up.
 * @module
 */

import { addCounts, type TokenCounts } from "../analysis/token_counts.ts";
import { recordPrepared, recordPreparedBeside } from "../gpu/row_blocks.ts";
import type { Pass } from "../gpu/run.ts";
import type { StreamPosition } from "../text/contexts.ts";
import type { ActivationSource } from "./activations.ts";
import type { ShuffleBuffer } from "./buffer.ts";
import type { TranscoderInTraining } from "./transcoder.ts";

/** The tokens of the buffers that a run has filled so far; one that is filled anew by a resumed run is counted once. */
export interface Harvested {
  /** How many buffers that were. */
  readonly buffers: number;
  /** What of their tokens is drawn, and what is not. */
  readonly counts: TokenCounts;
  /** Records without text that were left out on the way; absent for none. */
  readonly bad_records?: number;
}

/** Where a feed takes its tokens from and who hears of it. */
export interface FeedOptions {
  /** The buffer. */
  readonly buffer: ShuffleBuffer;
  /** What fills it, one number after the other, from that of the next step on. */
  readonly activations: Pick<ActivationSource, "fill">;
  /** Where the text stands when that is to be filled. */
  readonly position: StreamPosition;
  /** What the run has harvested before; null where an older mtc did not count it. */
  readonly harvested: Harvested | null;
  /** Buffer number n is being filled: contexts done of all. */
  readonly filling: (n: number, done: number, contexts: number) => void;
  /** Aborted when the run should end. */
  readonly signal?: AbortSignal;
}

/** Gives each step its batch. */
export class Feed {
  /** The buffer. */
  readonly buffer: ShuffleBuffer;
  /** What the run has harvested, the current buffer included; null where that is not known. */
  harvested: Harvested | null;
  readonly #options: FeedOptions;
  /** The number of the buffer that is full; none at first. */
  #number: number | null = null;
  /** Where the text stood when the current buffer began, and where it stands behind it. */
  #start: StreamPosition;
  #end: StreamPosition;

  /**
   * Begins with an empty buffer.
   *
   * @param options Where tokens come from.
   */
  constructor(options: FeedOptions) {
    this.buffer = options.buffer;
    this.harvested = options.harvested;
    this.#options = options;
    this.#start = this.#end = options.position;
  }

  /**
   * Whether a step needs a buffer that is not full yet.
   *
   * @param step The step, counted from 1.
   * @returns True for the first step that is asked for, and for the first of each buffer.
   */
  isDue(step: number): boolean {
    return this.#numberOf(step) !== this.#number;
  }

  /**
   * Fills the buffer of a step.
   *
   * @param step A step that {@link isDue}.
   * @returns False when the signal was aborted before the buffer was full.
   * @throws {UserError} When the text or the device fails.
   */
  async fill(step: number): Promise<boolean> {
    const { filling, signal } = this.#options, n = this.#numberOf(step), { contexts } = this.buffer.layout;
    const onProgress = (done: number) => filling(n, done, contexts);
    onProgress(0);
    let end: StreamPosition;
    try {
      end = await this.#options.activations.fill(this.buffer, n, onProgress, signal);
    } catch (error) {
      if (error === signal?.reason) return false;
      throw error;
    }
    this.#number = n;
    this.#start = this.#end;
    this.#end = end;
    if (this.harvested !== null && n >= this.harvested.buffers) {
      const counts = addCounts(this.harvested.counts, this.buffer.counts), { bad } = end;
      this.harvested = { buffers: n + 1, counts, ...bad !== undefined && { bad_records: bad } };
    }
    return true;
  }

  /**
   * Records gathering a step's batch, prepared, into the transcoder's own tensors.
   *
   * @param pass Where to record.
   * @param transcoder Whose.
   * @param step The step.
   */
  recordBatch(pass: Pass, { config, shape, columns, x, y }: TranscoderInTraining, step: number): void {
    const { source, targets } = config, { batchTokens: rows } = this.buffer.layout, { order } = this.buffer;
    const first = this.firstRow(step), wanted = targets.map((target) => this.buffer.at(target));
    recordPrepared(pass, this.buffer.at(source), order, columns.source, x, { rows, width: shape.d_in, first });
    recordPreparedBeside(pass, wanted, order, columns.target, y, { rows, first });
  }

  /**
   * Where a step's batch begins in the order of its buffer.
   *
   * @param step The step.
   * @returns An index of `buffer.drawn`.
   */
  firstRow(step: number): number {
    const { steps, batchTokens } = this.buffer.layout;
    return (step - 1) % steps * batchTokens;
  }

  /**
   * Where the text must stand for the buffer of the step behind this one.
   *
   * @param step The step that was taken last.
   * @returns The beginning of the current buffer, or behind its last step, that of the next.
   */
  positionBehind(step: number): StreamPosition {
    return step % this.buffer.layout.steps === 0 ? this.#end : this.#start;
  }

  #numberOf(step: number): number {
    return Math.floor((step - 1) / this.buffer.layout.steps);
  }
}
