/**
 * Filling the shuffle buffer: an analysis that reads nothing back, and waits only so often that memory and being stopped allow it.
 * @module
 */

import { type Gpu, settle } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import type { Decoder } from "../model/forward.ts";
import type { Tap } from "../model/sites.ts";
import { activationsAt, type Analysis, type ContextSource, overText, type Piece } from "../passes/over_text.ts";
import type { StreamPosition } from "../text/contexts.ts";
import type { ShuffleBuffer } from "./buffer.ts";

/** Forward passes, and tokens in them, queued or prepared before the host waits: the embedded tokens of all lie in host memory. */
const QUEUED_FORWARDS = 4;
const QUEUED_TOKENS = 32768;
/** Seconds of a forward pass from which nothing is queued behind it: the wait no longer counts, being told and stopped does. */
const SLOW_FORWARD_S = 2;

/** How a buffer is filled. */
export interface FillOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The model, loaded with the buffer's taps; how many contexts it takes at once is part of what makes the bytes. */
  readonly decoder: Decoder;
  /** Where tokens come from; it must stand at the buffer's beginning. */
  readonly source: ContextSource;
  /** Called with the contexts done so far. */
  readonly onProgress?: (contexts: number) => void;
  /** Ends the filling early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Fills a buffer with the next contexts of a source.
 *
 * @param buffer The buffer.
 * @param n Its number.
 * @param options From what.
 * @returns The source's position behind the buffer.
 * @throws {UserError} When the text or the device fails.
 * @throws The signal's reason once it is aborted; the buffer must then be filled anew.
 */
export async function fillBuffer(buffer: ShuffleBuffer, n: number, options: FillOptions): Promise<StreamPosition> {
  const { gpu, decoder, onProgress } = options, { contexts } = buffer.layout;
  const { position } = await overText(
    { ...options, contexts, includeBos: true, onProgress: (done) => onProgress?.(done.contexts) },
    [new BufferFiller(gpu, buffer, decoder.contextsAtOnce)],
  );
  await settle(gpu);
  await buffer.shuffle(n);
  return position!;
}

/** Stores whole forward passes in a buffer that it clears first. */
export class BufferFiller implements Analysis<void> {
  /** Those of the buffer. */
  readonly taps: readonly Tap[];
  /** A forward pass is stored whole. */
  readonly tokensAtOnce: number = Infinity;
  readonly #gpu: Gpu;
  readonly #buffer: ShuffleBuffer;
  readonly #mostQueued: number;
  /** Forward passes under way, and how many there may be. */
  #queued = 0;
  #most = 1;
  #waited = performance.now();

  /**
   * Clears the buffer.
   *
   * @param gpu The device.
   * @param buffer The buffer.
   * @param contextsAtOnce Contexts of a forward pass.
   */
  constructor(gpu: Gpu, buffer: ShuffleBuffer, contextsAtOnce: number) {
    this.taps = buffer.taps;
    this.#gpu = gpu;
    this.#buffer = buffer;
    const forwards = Math.min(QUEUED_FORWARDS, Math.ceil(QUEUED_TOKENS / (contextsAtOnce * buffer.layout.context)));
    // The loop prepares one while the others are under way.
    this.#mostQueued = Math.max(1, forwards - 1);
    buffer.clear();
  }

  /** Records storing the forward pass. */
  record(pass: Pass, piece: Piece): void {
    const activations = this.taps.map((tap) => activationsAt(piece, tap));
    this.#buffer.recordStore(pass, piece.batch, activations, piece.contextsBefore);
    this.#queued++;
  }

  /** Waits where enough is under way. */
  async read(): Promise<void> {
    if (this.#queued < this.#most) return;
    await settle(this.#gpu);
    const now = performance.now(), seconds = (now - this.#waited) / 1000 / this.#queued;
    this.#most = seconds < SLOW_FORWARD_S ? this.#mostQueued : 1;
    this.#queued = 0;
    this.#waited = now;
  }

  /** Everything stays on the GPU. */
  take(): void {}
}
