/**
 * The GPU: one adapter, one device, and the few things every room does with it.
 * @module
 */

import type { Precision } from "../../wgsl/shared/matmul.ts";
import { UserError } from "../errors.ts";
import { adapterName } from "./adapter_name.ts";
import { requestAdapter } from "./adapters.ts";
import { type Hidden, hiddenDrivers } from "./hidden_drivers.ts";
import { Memory } from "./memory.ts";
import { examineMachine, explainMissing } from "./missing_driver.ts";
import { DeviceShared } from "./shared.ts";
import { type KernelTime, Trace } from "./timing.ts";
import { ELEMENT_BYTES, elements, type ElementType, type Tensor } from "./tensor.ts";
import { TooLargeToBind } from "./too_large.ts";

/**
 * A handle of an open device, with what its adapter says about itself. Handles may be copied with changes: errors, pipelines and tiles
 * are shared, and what is allocated through any copy belongs to the same owner.
 */
export interface Gpu {
  /** The adapter's description, for example `llvmpipe (LLVM 15.0.6, 256 bits)`; part of a run's config.json. */
  readonly adapter: string;
  /** True for software drivers, whose cores are the CPU's: they want other tile shapes. */
  readonly isCpu: boolean;
  /** Lanes of a subgroup where kernels may use subgroups and all have the same size; 0 elsewhere. */
  readonly subgroupLanes: number;
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** The limits the device was opened with: the adapter's own. */
  readonly limits: GPUSupportedLimits;
  /** What all handles of the device share. */
  readonly shared: DeviceShared;
  /** Owns what is allocated through this handle; see {@link Memory}. */
  readonly memory: Memory;
  /** Times every dispatch when there is one: with MTC_TRACE=1, and in benchmarks. */
  readonly trace: Trace | null;
}

/** A handle that must be disposed of: what was allocated through it is freed then. */
export interface OwnedGpu extends Gpu, Disposable {}

/** Why there is no adapter, and what helps. */
async function explainNone(): Promise<Hidden> {
  const hidden = hiddenDrivers();
  if (hidden) return hidden;
  if (Deno.build.os === "linux") return explainMissing(await examineMachine());
  return { found: "this machine shows none", remedy: "update the operating system's graphics driver" };
}

/** With MTC_TRACE=1 each dispatch is printed with its parameters and milliseconds. */
function printTimes(): ((time: KernelTime) => void) | null {
  if (Deno.env.get("MTC_TRACE") !== "1") return null;
  return ({ kernel, params, milliseconds }) =>
    console.error(`${milliseconds.toFixed(3).padStart(10)} ms  ${kernel}  ${params}`);
}

/**
 * Opens the GPU that Deno's WebGPU reaches, with the adapter's own buffer limits.
 *
 * @param onKernel Hears how long each dispatch took, where the adapter can tell; with MTC_TRACE=1 they are printed.
 * @param precision What kernels will be asked to compute with.
 * @returns The open device; disposing of it frees all of its memory and closes it.
 * @throws {UserError} When there is no adapter, it refuses a device, or it has no 16-bit floats and they are asked for.
 */
export async function openGpu(
  onKernel: ((time: KernelTime) => void) | null = printTimes(),
  precision: Precision = "f32",
): Promise<OwnedGpu> {
  const adapter = await requestAdapter();
  if (!adapter) {
    throw new UserError({
      action: "open a GPU",
      requirement: "WebGPU needs an adapter",
      ...await explainNone(),
    });
  }
  const canTime = onKernel !== null && adapter.features.has("timestamp-query");
  const name = adapterName(adapter);
  const isCpu = /llvmpipe|lavapipe|swiftshader|WARP/i.test(name);
  // Deno grants features that its adapters do not list; a version that does not know one leaves it out of device.features.
  const wanted = { "timestamp-query": canTime, subgroups: isCpu, "shader-f16": precision === "f16" };
  const features = Object.entries(wanted).filter(([, is]) => is).map(([feature]) => feature as GPUFeatureName);
  const device = await deviceOf(adapter, features);
  if (precision === "f16" && !device.features.has("shader-f16")) {
    throw new UserError({
      action: "use --precision f16",
      requirement: "the adapter must have 16-bit floats in kernels",
      found: `${name} has none`,
      remedy: "leave --precision out",
    });
  }
  const isTimed = onKernel !== null && device.features.has("timestamp-query");
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const hasSubgroups = device.features.has("subgroups" as GPUFeatureName) && subgroupMinSize === subgroupMaxSize;
  const shared = new DeviceShared(), memory = new Memory((buffer) => shared.bindGroups.forget(buffer));
  const trace = isTimed ? new Trace(device, onKernel) : null;
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault?.();
    shared.failure ??= (event as GPUUncapturedErrorEvent).error.message;
  });
  device.lost.then((info) => {
    if (info.reason !== "destroyed") shared.failure ??= `the device was lost: ${info.message}`;
  });
  return Object.freeze({
    adapter: name,
    isCpu,
    subgroupLanes: hasSubgroups ? subgroupMinSize : 0,
    device,
    limits: device.limits,
    shared,
    memory,
    trace,
    // Destroying the device alone would leave its memory to the garbage collector.
    [Symbol.dispose]() {
      memory.close();
      shared.arena?.destroy();
      trace?.destroy();
      device.destroy();
    },
  });
}

/** Opens a device with those limits of its adapter that tensors and kernels come near. */
async function deviceOf(adapter: GPUAdapter, requiredFeatures: GPUFeatureName[]): Promise<GPUDevice> {
  const { maxBufferSize, maxStorageBufferBindingSize, maxComputeWorkgroupStorageSize } = adapter.limits;
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, maxStorageBuffersPerShaderStage } =
    adapter.limits;
  try {
    return await adapter.requestDevice({
      requiredFeatures,
      requiredLimits: {
        maxBufferSize,
        maxStorageBufferBindingSize,
        maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX,
        maxStorageBuffersPerShaderStage,
      },
    });
  } catch (error) {
    const found = (error as Error).message;
    throw new UserError({ action: `open the GPU ${adapter.info.description}`, found, remedy: "look at `mtc doctor`" });
  }
}

/**
 * Throws what the device has complained about since the last check: WebGPU reports mistakes and exhausted memory late.
 *
 * @param gpu The device.
 * @throws {UserError} With the device's own words.
 */
export function checkDevice({ adapter, shared }: Gpu): void {
  if (shared.failure === null) return;
  const failure = shared.failure;
  shared.failure = null;
  throw new UserError({ action: `go on with ${adapter}`, requirement: failure });
}

/**
 * Allocates a zero-filled tensor.
 *
 * @param gpu The device.
 * @param label What the tensor is.
 * @param shape Extents, outermost first.
 * @param type Element type.
 * @returns The tensor; it lives as long as the handle's owner.
 * @throws {TooLargeToBind} When it is larger than the adapter can bind.
 */
export function createTensor(gpu: Gpu, label: string, shape: readonly number[], type: ElementType = "f32"): Tensor {
  const size = Math.max(1, elements(shape)) * ELEMENT_BYTES;
  const most = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  if (size > most) {
    throw new TooLargeToBind({
      action: `allocate "${label}" (${shape.join(" x ")})`,
      requirement: `${gpu.adapter} binds at most ${most} bytes`,
      found: `this needs ${size}`,
      remedy: "choose a smaller buffer, batch or dictionary, or fewer passes",
    });
  }
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  return { label, shape, type, buffer: gpu.memory.own(gpu.device.createBuffer({ label, size, usage })) };
}

/**
 * Fills the front of a tensor, or some later part of it, from host memory; ordered with the submits around it.
 *
 * @param gpu The device.
 * @param tensor The destination.
 * @param data Elements of the tensor's type, at most as many as it holds from `first` on.
 * @param first The first element to overwrite.
 * @throws {RangeError} When there are more.
 */
export function upload(gpu: Gpu, tensor: Tensor, data: Float32Array | Uint32Array | Int32Array, first = 0): void {
  if (first + data.length > elements(tensor.shape)) {
    throw new RangeError(
      `Cannot upload "${tensor.label}": it holds ${elements(tensor.shape)} elements, got ${data.length}${
        first > 0 ? ` from ${first} on` : ""
      }`,
    );
  }
  // Deno 2.9 panics on an empty write.
  if (data.length === 0) return;
  gpu.device.queue.writeBuffer(tensor.buffer, first * ELEMENT_BYTES, data as Float32Array<ArrayBuffer>);
}

/**
 * Allocates a tensor and fills it.
 *
 * @param gpu The device.
 * @param label What the tensor is.
 * @param shape Extents, outermost first.
 * @param data Its elements; their array type decides the element type.
 * @returns The tensor; it lives as long as the handle's owner.
 * @throws {TooLargeToBind} As {@link createTensor}.
 * @throws {RangeError} When there are more than the shape has room for.
 */
export function tensorFrom(
  gpu: Gpu,
  label: string,
  shape: readonly number[],
  data: Float32Array | Uint32Array | Int32Array,
): Tensor {
  const type = data instanceof Float32Array ? "f32" : data instanceof Uint32Array ? "u32" : "i32";
  const tensor = createTensor(gpu, label, shape, type);
  upload(gpu, tensor, data);
  return tensor;
}

/**
 * Reads a tensor back. This waits for all submitted work, and Deno adds about 10 ms: never call it inside a training step.
 *
 * @param gpu The device.
 * @param tensor What to read.
 * @returns Its bytes, to be viewed by `f32`, `u32`.
 * @throws {UserError} When the device has failed meanwhile.
 */
export async function download(gpu: Gpu, tensor: Tensor): Promise<ArrayBuffer> {
  const [bytes] = await downloadAll(gpu, [tensor]);
  return bytes;
}

/**
 * Reads several tensors back with a single wait.
 *
 * @param gpu The device.
 * @param tensors What to read.
 * @returns The bytes of each, in order.
 * @throws {UserError} When the device has failed meanwhile.
 */
export async function downloadAll(gpu: Gpu, tensors: readonly Tensor[]): Promise<ArrayBuffer[]> {
  const sizes = tensors.map((tensor) => elements(tensor.shape) * ELEMENT_BYTES);
  const offsets = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total === 0) return tensors.map(() => new ArrayBuffer(0));
  const staging = gpu.device.createBuffer({
    label: "readback",
    size: total,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  try {
    const encoder = gpu.device.createCommandEncoder();
    tensors.forEach((tensor, i) => encoder.copyBufferToBuffer(tensor.buffer, 0, staging, offsets[i], sizes[i]));
    gpu.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const mapped = staging.getMappedRange();
    const out = sizes.map((size, i) => mapped.slice(offsets[i], offsets[i] + size));
    staging.unmap();
    checkDevice(gpu);
    return out;
  } catch (error) {
    // A device that has failed gives no mapping; what it said of its failure says more than that.
    checkDevice(gpu);
    throw error;
  } finally {
    staging.destroy();
  }
}

/**
 * Reads an f32 tensor back; see {@link download}.
 *
 * @param gpu The device.
 * @param tensor What to read.
 * @returns Its elements.
 */
export async function downloadF32(gpu: Gpu, tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array(await download(gpu, tensor));
}

/**
 * Reads a u32 tensor back; see {@link download}.
 *
 * @param gpu The device.
 * @param tensor What to read.
 * @returns Its elements.
 */
export async function downloadU32(gpu: Gpu, tensor: Tensor): Promise<Uint32Array<ArrayBuffer>> {
  return new Uint32Array(await download(gpu, tensor));
}

/**
 * Waits until everything submitted has run; bounds the queue's depth and surfaces errors.
 *
 * @param gpu The device.
 * @throws {UserError} When the device has failed meanwhile.
 */
export async function settle(gpu: Gpu): Promise<void> {
  await gpu.device.queue.onSubmittedWorkDone();
  checkDevice(gpu);
}
