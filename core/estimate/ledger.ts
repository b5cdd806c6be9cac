/**
 * A device that only counts. The constructors and passes of a real run work on it as on any other; it records what they allocate,
 * upload and dispatch and does none of it. So the sizes of an estimate are those of the code that it speaks of; the order in which a run
 * allocates and frees is rehearsal.ts's to repeat, and tests/estimate/ledger_test.ts holds that against a real run.
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Memory } from "../gpu/memory.ts";
import { DeviceShared } from "../gpu/shared.ts";
import type { Trace } from "../gpu/timing.ts";

/** One allocation. */
export interface Allocation {
  /** The part of the run that it was made in. */
  readonly part: string;
  /** The buffer's label. */
  readonly label: string;
  /** Its size. */
  readonly bytes: number;
}

/** One dispatch. */
export interface Dispatched {
  /** The part of the run that it was recorded in. */
  readonly part: string;
  /** The kernel's name. */
  readonly kernel: string;
  /** Its parameters. */
  readonly params: Readonly<Record<string, number>>;
}

/** Device memory at one moment. */
export interface Snapshot {
  /** All of it. */
  readonly bytes: number;
  /** By part, in the order in which the parts first allocated; parts without any are left out. */
  readonly parts: ReadonlyMap<string, number>;
}

/** More was allocated than anything could hold: what a plan would take beyond that nobody needs to know. */
export class Overflow extends Error {
  /** Distinguishes this class in logs. */
  override name = "Overflow";

  /**
   * Ends a count.
   *
   * @param bytes What was counted until then.
   */
  constructor(readonly bytes: number) {
    super(`counted ${bytes} bytes`);
  }
}

/** What the driver keeps for data on their way to the device, until the next wait. */
const UPLOADS = "uploads under way";
/** The uniform blocks of all kernels, which are made anew when there are more. */
const PARAMETERS = "kernel parameters";
/** What is read back, and nothing else, is mapped. */
const READBACK = "reading back";

/** Counts what is done on its {@link gpu}. */
export class Ledger {
  /** The counting device, in all else the real one. */
  readonly gpu: Gpu;
  /** The part of the run that what follows belongs to. */
  part = "";
  /** Every dispatch so far. */
  readonly dispatches: Dispatched[] = [];
  /** The largest single reading-back so far, which the host gets a copy of. */
  largestReadback = 0;
  /** The largest single upload so far. */
  largestUpload = 0;
  readonly #live = new Set<Allocation>();
  /** Freed, but still held by work that may be under way. */
  readonly #freed = new Set<Allocation>();
  #uploaded = 0;
  /** Whether anything was submitted since the last wait. */
  #isBusy = false;
  #bytes = 0;
  #peak: Snapshot = { bytes: 0, parts: new Map() };

  /**
   * Begins with nothing allocated.
   *
   * @param real Whose limits hold, and whose kind decides the shapes.
   * @param most Bytes at which to give up with an {@link Overflow}.
   */
  constructor(real: Gpu, readonly most: number = Infinity) {
    const device = countingDevice(this) as unknown as GPUDevice;
    const shared = new DeviceShared(), memory = new Memory((buffer) => shared.bindGroups.forget(buffer));
    const { adapter, isCpu, subgroupLanes, limits } = real, trace = countingTrace(this) as unknown as Trace;
    this.gpu = { adapter, isCpu, subgroupLanes, limits, device, shared, memory, trace };
  }

  /** What is allocated now. */
  get live(): readonly Allocation[] {
    return [...this.#live];
  }

  /** The moment since the last call of {@link restartPeak} when most was held. */
  get peak(): Snapshot {
    return this.#peak;
  }

  /** Forgets the peak so far. */
  restartPeak(): void {
    this.#peak = this.snapshot();
  }

  /** Device memory now, with what the driver still holds for work under way. */
  snapshot(): Snapshot {
    const parts = new Map<string, number>();
    const add = (part: string, bytes: number) => parts.set(part, (parts.get(part) ?? 0) + bytes);
    for (const { part, bytes } of [...this.#live, ...this.#freed]) add(part, bytes);
    if (this.#uploaded > 0) add(UPLOADS, this.#uploaded);
    return { bytes: this.#bytes, parts };
  }

  /** @internal Called by the counting device. */
  allocate(label: string, bytes: number, isReadback: boolean): Allocation {
    const part = isReadback ? READBACK : label === "params" ? PARAMETERS : this.part;
    const allocation = { part, label, bytes };
    if (isReadback) this.largestReadback = Math.max(this.largestReadback, bytes);
    this.#live.add(allocation);
    this.#grow(bytes);
    return allocation;
  }

  /** @internal Called by the counting device. */
  free(allocation: Allocation): void {
    if (!this.#live.delete(allocation)) return;
    if (this.#isBusy) this.#freed.add(allocation);
    else this.#bytes -= allocation.bytes;
  }

  /** @internal Called by the counting device. */
  upload(bytes: number): void {
    this.largestUpload = Math.max(this.largestUpload, bytes);
    this.#uploaded += bytes;
    this.#isBusy = true;
    this.#grow(bytes);
  }

  /** @internal Called by the counting device. */
  submit(): void {
    this.#isBusy = true;
  }

  /** @internal Called by the counting device: all work is done, and what it held is free. */
  settled(): void {
    this.#isBusy = false;
    for (const { bytes } of this.#freed) this.#bytes -= bytes;
    this.#freed.clear();
    this.#bytes -= this.#uploaded;
    this.#uploaded = 0;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.most) throw new Overflow(this.#bytes);
    if (this.#bytes > this.#peak.bytes) this.#peak = this.snapshot();
  }
}

/** As much of a GPUDevice as core/gpu uses. */
function countingDevice(ledger: Ledger): object {
  const pass = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
  const encoder = { beginComputePass: () => pass, clearBuffer() {}, copyBufferToBuffer() {}, finish: () => ({}) };
  return {
    createBuffer({ label = "", size, usage }: GPUBufferDescriptor) {
      const allocation = ledger.allocate(label, size, (usage & GPUBufferUsage.MAP_READ) !== 0);
      return {
        label,
        size,
        usage,
        destroy: () => ledger.free(allocation),
        mapAsync: () => Promise.resolve(ledger.settled()),
        // Zeros that are made when they are taken, not for the whole range.
        getMappedRange: () => ({ slice: (from: number, to: number) => new ArrayBuffer(to - from) }),
        unmap() {},
      };
    },
    createShaderModule: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipeline: () => ({}),
    createBindGroup: () => ({}),
    createCommandEncoder: () => encoder,
    queue: {
      writeBuffer(_buffer: GPUBuffer, _at: number, data: ArrayBufferView, first = 0, count?: number) {
        // Offset and count are in elements, as in WebGPU.
        const width = "BYTES_PER_ELEMENT" in data ? Number(data.BYTES_PER_ELEMENT) : 1;
        ledger.upload((count ?? data.byteLength / width - first) * width);
      },
      submit: () => ledger.submit(),
      onSubmittedWorkDone: () => Promise.resolve(ledger.settled()),
    },
  };
}

function countingTrace(ledger: Ledger): object {
  return {
    begin(encoder: GPUCommandEncoder, kernel: string, params: Readonly<Record<string, number>>) {
      ledger.dispatches.push({ part: ledger.part, kernel, params });
      return encoder.beginComputePass();
    },
    collect() {},
  };
}
