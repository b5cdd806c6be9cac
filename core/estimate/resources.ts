/**
 * What a machine has to give: memory of host and GPU, and disk.
 * @module
 */

import { stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileError } from "../files/atomic.ts";
import { type Gpu, openGpu } from "../gpu/device.ts";

/** What is free, in bytes. */
export interface Resources {
  /** Host memory that can be had without swapping. */
  readonly host: number;
  /** Space on the file system that the runs are kept on. */
  readonly disk: number;
  /** The GPU's memory, asked for by an amount: WebGPU tells what can be had only by giving it. */
  readonly gpu: GpuMemory;
}

/** How much memory a GPU has to give. */
export type GpuMemory =
  /** The adapter runs on the CPU: its memory is the host's. */
  | { readonly isHost: true }
  /** Tries to get an amount; returns as much of it as was to be had. It is given back at once. */
  | { readonly isHost: false; readonly available: (wanted: number) => Promise<number> };

/**
 * Finds out what this machine has to give.
 *
 * @param gpu The device of the run.
 * @param runs Where runs are kept; it need not exist yet.
 * @returns What is free now.
 * @throws {UserError} When the file system cannot be asked.
 */
export async function freeResources(gpu: Gpu, runs: string): Promise<Resources> {
  return {
    host: Deno.systemMemoryInfo().available,
    disk: await freeDisk(runs),
    gpu: gpu.isCpu ? { isHost: true } : { isHost: false, available: probeMemory },
  };
}

/**
 * The space that a disk has to give.
 *
 * @param folder A directory on it, which need not exist yet.
 * @returns Bytes.
 * @throws {UserError} When the file system cannot be asked.
 */
export async function freeDisk(folder: string): Promise<number> {
  const path = resolve(folder);
  const info = await stat(path).catch(() => null);
  if (info === null && dirname(path) !== path) return freeDisk(dirname(path));
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    throw fileError("measure the free space of", path, error);
  }
}

/** What is asked for at once: small beside any GPU's memory, and few enough requests for the largest. */
const CHUNK_BYTES = 2 ** 28;

/**
 * Allocates in chunks until it has all or is refused, and gives everything back. The driver of a real GPU allocates at once and
 * says when it cannot; one on the CPU does neither, and must not be asked.
 */
async function probeMemory(wanted: number): Promise<number> {
  using gpu = await openGpu(null);
  const { device, limits, memory } = gpu, chunk = Math.min(CHUNK_BYTES, limits.maxBufferSize);
  for (let got = 0; got < wanted; got += chunk) {
    device.pushErrorScope("out-of-memory");
    memory.own(device.createBuffer({ label: "probe", size: chunk, usage: GPUBufferUsage.STORAGE }));
    if (await device.popErrorScope() !== null) return got;
  }
  return wanted;
}
