/**
 * The buffers of all devices of this process, whoever made them.
 * @module
 */

/** Counts buffers from now on. */
export class LiveBuffers {
  readonly #sizes = new Map<GPUBuffer, number>();

  /** Takes the place of WebGPU's own methods in this process. */
  constructor() {
    const sizes = this.#sizes, { createBuffer } = GPUDevice.prototype, { destroy } = GPUBuffer.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      sizes.set(buffer, descriptor.size);
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () {
      sizes.delete(this);
      return destroy.call(this);
    };
  }

  /** How many there are. */
  get count(): number {
    return this.#sizes.size;
  }

  /** Their bytes. */
  get bytes(): number {
    return [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
  }
}
