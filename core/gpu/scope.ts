/**
 * Scopes: handles of a device whose memory is freed together. Whoever hands a handle over decides how long what is made with it lives:
 *
 *     using scratch = openScope(gpu);
 *     const sums = createTensor(scratch, "sums", [rows]);   // freed at the end of the block, also when it is left by an error
 *
 * @module
 */

import type { Gpu, OwnedGpu } from "./device.ts";

/**
 * Opens a handle of the same device whose tensors are freed together.
 *
 * @param gpu The device, by a handle that lives longer.
 * @returns The handle; dispose of it to free what was allocated through it. The device stays open.
 */
export function openScope(gpu: Gpu): OwnedGpu {
  const memory = gpu.memory.inner();
  return Object.freeze({ ...handleOf(gpu), memory, [Symbol.dispose]: () => memory.close() });
}

/** The fields of a handle, inherited ones too: tests narrow a device's limits by inheritance. */
function handleOf({ adapter, isCpu, subgroupLanes, device, limits, shared, memory, trace }: Gpu): Gpu {
  return { adapter, isCpu, subgroupLanes, device, limits, shared, memory, trace };
}
