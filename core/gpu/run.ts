/**
 * Executes declared kernels. A `Pass` records dispatches, copies and clears in order; `submit` sends them all at once.
 * @module
 */

import type { Access, ConstantValues, Kernel, ParamValues, ScalarType } from "../../wgsl/kernel.ts";
import type { Gpu } from "./device.ts";
import type { Pipeline } from "./shared.ts";
import { ELEMENT_BYTES, elements, type Tensor } from "./tensor.ts";

/** The distance between two parameter blocks in the arena: the largest offset alignment an adapter may ask for. */
const PARAMS_STRIDE = 256;
/** Bytes of the arena at first. */
const FIRST_ARENA = 64 * 1024;

/** The arena with room for so many bytes. A larger one takes the place of one that is too small, and its bind groups go with it. */
function arenaOf({ device, shared }: Gpu, bytes: number): GPUBuffer {
  if (shared.arena === null || shared.arena.size < bytes) {
    shared.arena?.destroy();
    shared.bindGroups.clear();
    const size = Math.max(FIRST_ARENA, bytes), usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    shared.arena = device.createBuffer({ label: "params", size, usage });
  }
  return shared.arena;
}

function pipelineOf(gpu: Gpu, kernel: Kernel, constants: Record<string, number>): Pipeline {
  const { pipelines } = gpu.shared;
  const key = `${kernel.name} ${JSON.stringify(constants)}`;
  const known = pipelines.get(key);
  if (known) return known;
  const entries: GPUBindGroupLayoutEntry[] = Object.values(kernel.bindings).map((access, binding) => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type: access === "read" ? "read-only-storage" : "storage" },
  }));
  entries.push({
    binding: entries.length,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type: "uniform", hasDynamicOffset: true },
  });
  const layout = gpu.device.createBindGroupLayout({ label: kernel.name, entries });
  const pipeline = gpu.device.createComputePipeline({
    label: kernel.name,
    layout: gpu.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: {
      module: gpu.device.createShaderModule({ label: kernel.name, code: kernel.source }),
      entryPoint: "main",
      constants,
    },
  });
  const built = { pipeline, layout };
  pipelines.set(key, built);
  return built;
}

/** The bytes of a uniform block of 4-byte scalars: a multiple of WGSL's 16-byte block size, at least one. */
function paramsSize(kernel: Kernel): number {
  return Math.max(16, Math.ceil(Object.keys(kernel.params).length / 4) * 16);
}

interface Dispatch {
  readonly kernel: Kernel;
  readonly pipeline: Pipeline;
  readonly tensors: Tensor[];
  readonly params: Record<string, number>;
  readonly paramsOffset: number;
  readonly workgroups: readonly [number, number, number];
}

type Command =
  | { readonly kind: "dispatch"; readonly dispatch: Dispatch }
  | {
    readonly kind: "copy";
    readonly from: Tensor;
    readonly fromIndex: number;
    readonly to: Tensor;
    readonly toIndex: number;
    readonly count: number;
  }
  | { readonly kind: "clear"; readonly tensor: Tensor };

/** A recording of GPU work. Commands run in the order they were recorded; each sees what the ones before it wrote. */
export class Pass {
  readonly #gpu: Gpu;
  readonly #commands: Command[] = [];
  #params: ArrayBuffer = new ArrayBuffer(16 * PARAMS_STRIDE);
  #paramsUsed = 0;

  /**
   * Begins an empty recording.
   *
   * @param gpu The device to record for.
   */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Records one dispatch of a kernel.
   *
   * @param kernel The declaration.
   * @param tensors One tensor per binding, by name.
   * @param params The uniform block, by name.
   * @param constants Overrides that differ from the declared defaults.
   * @throws {RangeError} When a tensor is smaller than the kernel's declared shape.
   */
  run<B extends Record<string, Access>, P extends Record<string, ScalarType>, C extends Record<string, number>>(
    kernel: Kernel<B, P, C>,
    tensors: { readonly [K in keyof B]: Tensor },
    params: ParamValues<P>,
    constants?: Partial<ConstantValues<C>>,
  ): void {
    const fixed = { ...kernel.constants, ...constants } as ConstantValues<C>;
    const shapes = kernel.shapes(params, fixed);
    for (const name of Object.keys(kernel.bindings)) {
      const held = tensors[name].shape, needed = shapes[name];
      if (elements(held) < elements(needed)) {
        throw new RangeError(
          `Cannot run "${kernel.name}": ${name} must hold ${needed.join(" x ")} elements, "${
            tensors[name].label
          }" holds ${held.join(" x ")}`,
        );
      }
    }
    const workgroups = kernel.workgroups(params, fixed);
    if (workgroups.some((count) => count === 0)) return;
    const plain = kernel as unknown as Kernel;
    this.#commands.push({
      kind: "dispatch",
      dispatch: {
        kernel: plain,
        pipeline: pipelineOf(this.#gpu, plain, fixed),
        tensors: Object.keys(kernel.bindings).map((name) => tensors[name]),
        params,
        paramsOffset: this.#writeParams(plain, params),
        workgroups,
      },
    });
  }

  /**
   * Records a copy of consecutive elements between tensors.
   *
   * @param from The source.
   * @param fromIndex First element to take.
   * @param to The destination.
   * @param toIndex First element to overwrite.
   * @param count How many elements.
   */
  copy(from: Tensor, fromIndex: number, to: Tensor, toIndex: number, count: number): void {
    this.#commands.push({ kind: "copy", from, fromIndex, to, toIndex, count });
  }

  /**
   * Records filling a tensor with zeros.
   *
   * @param tensor The tensor to clear.
   */
  clear(tensor: Tensor): void {
    this.#commands.push({ kind: "clear", tensor });
  }

  /** Sends everything recorded to the GPU and returns at once. The pass is empty afterwards and can be used again. */
  submit(): void {
    const { device, trace } = this.#gpu;
    const arena = arenaOf(this.#gpu, this.#paramsUsed > FIRST_ARENA ? this.#params.byteLength : FIRST_ARENA);
    // Queue order makes one arena enough: this write comes after every earlier submit and before the next.
    if (this.#paramsUsed > 0) {
      device.queue.writeBuffer(arena, 0, new Uint8Array(this.#params), 0, this.#paramsUsed);
    }
    const encoder = device.createCommandEncoder();
    let compute: GPUComputePassEncoder | null = null;
    for (const command of this.#commands) {
      if (command.kind === "dispatch") {
        const { dispatch } = command;
        compute ??= trace?.begin(encoder, dispatch.kernel.name, dispatch.params) ?? encoder.beginComputePass();
        this.#encode(compute, arena, dispatch);
        if (!trace) continue;
        compute.end();
        compute = null;
        continue;
      }
      compute?.end();
      compute = null;
      if (command.kind === "clear") encoder.clearBuffer(command.tensor.buffer);
      else {
        const { from, fromIndex, to, toIndex, count } = command;
        encoder.copyBufferToBuffer(
          from.buffer,
          fromIndex * ELEMENT_BYTES,
          to.buffer,
          toIndex * ELEMENT_BYTES,
          count * ELEMENT_BYTES,
        );
      }
    }
    compute?.end();
    device.queue.submit([encoder.finish()]);
    trace?.collect();
    this.#commands.length = 0;
    this.#paramsUsed = 0;
  }

  #encode(
    compute: GPUComputePassEncoder,
    arena: GPUBuffer,
    { kernel, pipeline, tensors, ...dispatch }: Dispatch,
  ): void {
    const { device, shared } = this.#gpu, buffers = tensors.map(({ buffer }) => buffer);
    const group = shared.bindGroups.get(kernel.name, buffers, () => {
      const entries: GPUBindGroupEntry[] = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      entries.push({ binding: entries.length, resource: { buffer: arena, offset: 0, size: paramsSize(kernel) } });
      return device.createBindGroup({ label: kernel.name, layout: pipeline.layout, entries });
    });
    compute.setPipeline(pipeline.pipeline);
    compute.setBindGroup(0, group, [dispatch.paramsOffset]);
    compute.dispatchWorkgroups(...dispatch.workgroups);
  }

  #writeParams(kernel: Kernel, params: Record<string, number>): number {
    const offset = this.#paramsUsed;
    if (offset + PARAMS_STRIDE > this.#params.byteLength) {
      const larger = new ArrayBuffer(this.#params.byteLength * 2);
      new Uint8Array(larger).set(new Uint8Array(this.#params));
      this.#params = larger;
    }
    const view = new DataView(this.#params, offset, PARAMS_STRIDE);
    Object.entries(kernel.params).forEach(([name, type], i) => {
      const value = params[name];
      if (type === "f32") view.setFloat32(i * 4, value, true);
      else if (type === "u32") view.setUint32(i * 4, value, true);
      else view.setInt32(i * 4, value, true);
    });
    this.#paramsUsed += PARAMS_STRIDE;
    return offset;
  }
}
