/** The device as an adapter would give it that binds less at once. */

import type { Gpu } from "../../core/gpu/device.ts";

export function bindingAtMost(gpu: Gpu, bytes: number): Gpu {
  // The device's own limits are getters that know only their own object, hence copies.
  const limits = { maxBufferSize: gpu.limits.maxBufferSize, maxStorageBufferBindingSize: bytes } as GPUSupportedLimits;
  return Object.create(gpu, { limits: { value: limits } });
}
