/**
 * What all handles of one device share. A handle may be copied and changed; this cannot, so that nothing said on one copy is lost on
 * another.
 * @module
 */

import type { TileName } from "../../wgsl/shared/matmul.ts";

/** A compiled kernel with the layout of its bindings. */
export interface Pipeline {
  /** The kernel with its overrides fixed. */
  readonly pipeline: GPUComputePipeline;
  /** Its storage buffers and its uniform block. */
  readonly layout: GPUBindGroupLayout;
}

/** One device's errors, its choices of tiles, and what is built once for it. */
export class DeviceShared {
  /** The first error the device reported and nobody has seen yet, else null; `checkDevice` throws it. */
  failure: string | null = null;
  /** The tuned tiles of matrix products; `tileKey` of products.ts says what the keys are. */
  readonly tiles = new Map<string, TileName>();
  /** By kernel and overrides. */
  readonly pipelines = new Map<string, Pipeline>();
  /** Bindings of tensors, used again by every dispatch on the same ones. */
  readonly bindGroups = new BindGroups();
  /** The uniform blocks of one submit, written anew by each. */
  arena: GPUBuffer | null = null;
}

/** Bind groups by kernel and buffers. None outlives a buffer that it refers to. */
export class BindGroups {
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #ids = new WeakMap<GPUBuffer, number>();
  /** By a buffer's number: the keys of the groups that refer to it. */
  readonly #keys = new Map<number, Set<string>>();
  #next = 0;

  /** How many there are. */
  get size(): number {
    return this.#groups.size;
  }

  /**
   * Finds a group or makes it.
   *
   * @param kernel What distinguishes its layout: the kernel's name.
   * @param buffers The buffers in binding order.
   * @param make Makes the group.
   * @returns The group.
   */
  get(kernel: string, buffers: readonly GPUBuffer[], make: () => GPUBindGroup): GPUBindGroup {
    const ids = buffers.map((buffer) => this.#idOf(buffer)), key = `${kernel} ${ids.join(" ")}`;
    let group = this.#groups.get(key);
    if (group) return group;
    group = make();
    this.#groups.set(key, group);
    for (const id of ids) {
      const keys = this.#keys.get(id);
      if (keys) keys.add(key);
      else this.#keys.set(id, new Set([key]));
    }
    return group;
  }

  /**
   * Drops the groups that refer to a buffer.
   *
   * @param buffer A buffer that is about to be freed.
   */
  forget(buffer: GPUBuffer): void {
    const id = this.#ids.get(buffer);
    if (id === undefined) return;
    for (const key of this.#keys.get(id) ?? []) this.#drop(key);
    this.#keys.delete(id);
    this.#ids.delete(buffer);
  }

  /** Drops all groups: those of an arena that was replaced. */
  clear(): void {
    this.#groups.clear();
    this.#keys.clear();
  }

  /** Drops a group, and what its other buffers, which may live for ever, know of it. */
  #drop(key: string): void {
    this.#groups.delete(key);
    for (const id of key.split(" ").slice(1)) this.#keys.get(Number(id))?.delete(key);
  }

  #idOf(buffer: GPUBuffer): number {
    let id = this.#ids.get(buffer);
    if (id === undefined) this.#ids.set(buffer, id = this.#next++);
    return id;
  }
}
