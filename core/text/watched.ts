/**
 * What the thread that reads text lets others see while it is busy, by memory that they share: how much it has read, and whether a chat
 * template is at work, which is a program of whoever made the model and need never end.
 * @module
 */

/** Places in the memory: MiB read, and the chats begun and ended, an odd number as long as one is being written. */
const READ = 0, CHATS = 1;
const MIB = 2 ** 20;

/** The memory of this thread; without it nobody watches. */
let memory: Int32Array<SharedArrayBuffer> | null = null;
/** Bytes read that make no MiB yet. */
let left = 0;

/**
 * Makes the memory.
 *
 * @returns It, all zero.
 */
export function watchedMemory(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(8));
}

/**
 * Lets this thread be watched.
 *
 * @param shared The memory that another one has made.
 */
export function beWatched(shared: Int32Array<SharedArrayBuffer>): void {
  memory = shared;
}

/**
 * Counts what was read.
 *
 * @param bytes Of a text, after any compression is undone.
 */
export function countRead(bytes: number): void {
  left += bytes;
  if (memory === null || left < MIB) return;
  Atomics.add(memory, READ, Math.floor(left / MIB));
  left %= MIB;
}

/**
 * Runs a chat template.
 *
 * @param write Writes a chat with it.
 * @returns What that returns.
 */
export function duringChat<T>(write: () => T): T {
  if (memory === null) return write();
  Atomics.add(memory, CHATS, 1);
  try {
    return write();
  } finally {
    Atomics.add(memory, CHATS, 1);
  }
}

/**
 * Looks at the thread.
 *
 * @param shared The memory.
 * @returns Bytes read, and a number that names the chat being written; null when none is.
 */
export function lookAt(shared: Int32Array<SharedArrayBuffer>): { readonly read: number; readonly chat: number | null } {
  const chats = Atomics.load(shared, CHATS);
  return { read: Atomics.load(shared, READ) * MIB, chat: chats % 2 === 0 ? null : chats };
}
