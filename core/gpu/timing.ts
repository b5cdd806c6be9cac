/**
 * How long each kernel takes, by the GPU's own clock. With a trace every dispatch gets a compute pass of its own, which costs a few
 * microseconds each; without one nothing here runs.
 * @module
 */

/** One dispatch as the GPU's clock saw it. */
export interface KernelTime {
  /** The kernel's name. */
  readonly kernel: string;
  /** Its parameters, for example `rows 1024 columns 512`. */
  readonly params: string;
  /** Duration. */
  readonly milliseconds: number;
}

/** The most dispatches of one submit that are timed; the rest run untimed. */
const CAPACITY = 2048;

/** Collects the times of dispatches, submit by submit. */
export class Trace {
  readonly #device: GPUDevice;
  readonly #report: (time: KernelTime) => void;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #names: { kernel: string; params: string }[] = [];
  #reported: Promise<void> = Promise.resolve();

  /**
   * Allocates the queries.
   *
   * @param device A device opened with "timestamp-query".
   * @param report Hears of each timed dispatch, in order.
   */
  constructor(device: GPUDevice, report: (time: KernelTime) => void) {
    this.#device = device;
    this.#report = report;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * CAPACITY });
    const size = 2 * CAPACITY * 8;
    this.#resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  }

  /**
   * Opens a compute pass for one dispatch.
   *
   * @param encoder The submit's encoder.
   * @param kernel The kernel's name.
   * @param params Its parameters.
   * @returns The pass, timed while there is room.
   */
  begin(encoder: GPUCommandEncoder, kernel: string, params: Record<string, number>): GPUComputePassEncoder {
    if (this.#names.length === CAPACITY) return encoder.beginComputePass();
    const at = 2 * this.#names.length;
    const shown = Object.entries(params).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`).join(" ");
    this.#names.push({ kernel, params: shown });
    const timestampWrites = { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
    return encoder.beginComputePass({ timestampWrites });
  }

  /** Fetches the times of the submit that was just made; they are reported before those of any later one. */
  collect(): void {
    const names = this.#names, bytes = names.length * 16;
    this.#names = [];
    if (bytes === 0) return;
    const readable = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * names.length, this.#resolved, 0);
    this.#device.queue.submit([encoder.finish()]);
    // Resolving and copying in one submit reads stale values on some drivers.
    const copy = this.#device.createCommandEncoder();
    copy.copyBufferToBuffer(this.#resolved, 0, readable, 0, bytes);
    this.#device.queue.submit([copy.finish()]);
    this.#reported = this.#reported.then(async () => {
      await readable.mapAsync(GPUMapMode.READ);
      const ticks = new BigUint64Array(readable.getMappedRange().slice(0));
      readable.destroy();
      names.forEach(({ kernel, params }, i) => {
        this.#report({ kernel, params, milliseconds: Number(ticks[2 * i + 1] - ticks[2 * i]) / 1e6 });
      });
    });
  }

  /** Frees the queries. */
  destroy(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
  }

  /** Resolves when every submit so far has been reported. */
  async drain(): Promise<void> {
    await this.#reported;
  }
}
