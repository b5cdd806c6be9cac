/**
 * Filling the shuffle buffer from the shards of a harvest: no model is needed.
 * @module
 */

import { type Gpu, settle } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import type { Shards } from "../runs/shards.ts";
import type { StreamPosition } from "../text/contexts.ts";
import type { ShuffleBuffer } from "./buffer.ts";

/** Bytes of activations that are read at once. */
export const PIECE_BYTES: number = 2 ** 25;
/** How many times the host holds as many: what is being read, what was, and the driver's copy. */
export const PIECES_HELD = 3;

/** How a buffer is filled. */
export interface ShardFillOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The harvest; it holds the buffer's taps and contexts. */
  readonly shards: Shards;
  /** How many of its contexts come before the buffer's. */
  readonly first: number;
  /** Called with the contexts done so far. */
  readonly onProgress?: (contexts: number) => void;
  /** Ends the filling early by throwing its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Fills a buffer as the model would that was harvested from. The next contexts are read while those before are checked and uploaded.
 *
 * @param buffer The buffer.
 * @param n Its number.
 * @param options From what.
 * @returns The text's position behind the buffer.
 * @throws {UserError} When a shard is damaged, or the device fails.
 * @throws The signal's reason once it is aborted; the buffer must then be filled anew.
 */
export async function fillFromShards(
  buffer: ShuffleBuffer,
  n: number,
  { gpu, shards, first, onProgress, signal }: ShardFillOptions,
): Promise<StreamPosition> {
  const { contexts } = buffer.layout, taps = buffer.taps.map((tap) => shards.indexOf(tap));
  const atOnce = contextsPerPiece(shards.harvest.context, taps.map((t) => shards.widths[t]));
  const read = (done: number) => {
    const piece = done < contexts ? shards.read(first + done, Math.min(atOnce, contexts - done), taps) : null;
    // What nobody comes to take may fail unseen.
    piece?.catch(() => {});
    return piece;
  };
  buffer.clear();
  let position: StreamPosition;
  for (let done = 0, ahead = read(0); ahead !== null;) {
    const piece = await ahead;
    signal?.throwIfAborted();
    ahead = read(done + piece.batch.contexts);
    buffer.store(piece.batch, piece.activations, done);
    // Otherwise what is uploaded lies in host memory until the next pass.
    gpu.device.queue.submit([]);
    done += piece.batch.contexts;
    position = piece.positions.at(-1)!;
    await settle(gpu);
    onProgress?.(done);
  }
  await buffer.shuffle(n);
  return position!;
}

/**
 * How many contexts are read at once.
 *
 * @param context Tokens per context.
 * @param widths The width of each tap of the buffer.
 * @returns At least 1.
 */
export function contextsPerPiece(context: number, widths: readonly number[]): number {
  const width = widths.reduce((sum, width) => sum + width, 0);
  return Math.max(1, Math.floor(PIECE_BYTES / (ELEMENT_BYTES * context * width)));
}
