/**
 * Who owns the GPU's memory. A handle carries a {@link Memory}: what is allocated through the handle belongs to it, and closing it frees all of
 * that, with the bind groups that refer to it.
 * @module
 */

/** The buffers of one owner, and the owners that were opened inside of it. */
export class Memory {
  readonly #buffers = new Set<GPUBuffer>();
  readonly #inner = new Set<Memory>();
  readonly #forget: (buffer: GPUBuffer) => void;
  readonly #outer: Memory | null;
  #isClosed = false;

  /**
   * Begins with nothing.
   *
   * @param forget Drops what refers to a buffer that is about to be freed.
   * @param outer Closes this one when it is closed itself.
   */
  constructor(forget: (buffer: GPUBuffer) => void, outer: Memory | null = null) {
    this.#forget = forget;
    this.#outer = outer;
    if (outer) outer.#inner.add(this);
  }

  /** What is held now, inner owners included. */
  get buffers(): GPUBuffer[] {
    return [...this.#buffers, ...[...this.#inner].flatMap((inner) => inner.buffers)];
  }

  /** Bytes held now, inner owners included. */
  get bytes(): number {
    return this.buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Takes a buffer into possession.
   *
   * @param buffer A new buffer.
   * @returns The same buffer.
   * @throws {RangeError} When the owner is closed already: nobody would free it.
   */
  own(buffer: GPUBuffer): GPUBuffer {
    if (this.#isClosed) {
      buffer.destroy();
      throw new RangeError(`Cannot allocate "${buffer.label}": its scope is closed already`);
    }
    this.#buffers.add(buffer);
    return buffer;
  }

  /** An owner inside of this one. */
  inner(): Memory {
    return new Memory(this.#forget, this);
  }

  /** Frees everything. The queue keeps a destroyed buffer until the work submitted before is done. */
  close(): void {
    this.#isClosed = true;
    for (const inner of this.#inner) inner.close();
    for (const buffer of this.#buffers) {
      this.#forget(buffer);
      buffer.destroy();
    }
    this.#buffers.clear();
    if (this.#outer) this.#outer.#inner.delete(this);
  }
}
