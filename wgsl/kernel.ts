/**
 * What a kernel is: one WGSL text and plain data about it. Nothing here touches a GPU; `core/gpu/run.ts` executes it.
 *
 * Each text is a .wgsl file of the kernel's name (the matrix products' texts are generated); the declarations of a family of kernels stand
 * together in one file beside the texts, which core/bench/catalogue.ts lists.
 * @module
 */

/** How a kernel uses a storage buffer; `write` covers in-place updates, which the WGSL text calls `read_write`. */
export type Access = "read" | "write";

/** The type of a scalar in the uniform block. */
export type ScalarType = "u32" | "i32" | "f32";

/** The number of workgroups along x, y and z. */
export type Workgroups = readonly [x: number, y: number, z: number];

/** The values of a kernel's parameters for one dispatch. */
export type ParamValues<P extends Record<string, ScalarType>> = { readonly [K in keyof P]: number };

/** The values of a kernel's WGSL overrides for one pipeline. */
export type ConstantValues<C extends Record<string, number>> = { readonly [K in keyof C]: number };

/** A compute kernel as data: its text, its buffers in `@binding` order, its numbers and how work is divided. */
export interface Kernel<
  B extends Record<string, Access> = Record<string, Access>,
  P extends Record<string, ScalarType> = Record<string, ScalarType>,
  C extends Record<string, number> = Record<string, number>,
> {
  /** The kernel's name: that of its .wgsl file, also shown in errors and traces. */
  readonly name: string;
  /** The WGSL text; its entry point is `main`. */
  readonly source: string;
  /** Storage buffers in `@binding` order, all in group 0. */
  readonly bindings: B;
  /** Members of the uniform block `params`, which is the last binding; numbers that change from dispatch to dispatch. */
  readonly params: P;
  /** WGSL `override` constants with their defaults; numbers that are fixed for a pipeline. */
  readonly constants: C;
  /** The elements each buffer must hold, as a shape. */
  readonly shapes: (
    params: ParamValues<P>,
    constants: ConstantValues<C>,
  ) => { readonly [K in keyof B]: readonly number[] };
  /** The grid for one dispatch. */
  readonly workgroups: (params: ParamValues<P>, constants: ConstantValues<C>) => Workgroups;
}

/**
 * Declares a kernel; the identity function, there for its type inference.
 *
 * @param kernel The declaration.
 * @returns The same object with its literal types kept, so that `run` refuses a misspelt buffer or parameter.
 */
export function defineKernel<
  const B extends Record<string, Access>,
  const P extends Record<string, ScalarType>,
  C extends Record<string, number>,
>(kernel: Kernel<B, P, C>): Kernel<B, P, C> {
  return kernel;
}

/** The most workgroups WebGPU allows along one dimension. */
const MAX_WORKGROUPS = 65535;

/**
 * Divides `items` over workgroups of `size`, spilling into a second dimension when one is too short.
 * The WGSL side recovers the index as `(workgroup.y * num_workgroups.x + workgroup.x) * size + local.x`.
 *
 * @param items How many invocations are needed.
 * @param size How many invocations one workgroup has.
 * @returns A grid of at least `items / size` workgroups.
 */
export function linearGrid(items: number, size: number): Workgroups {
  const groups = Math.max(1, Math.ceil(items / size));
  const x = Math.min(groups, MAX_WORKGROUPS);
  return [x, Math.ceil(groups / x), 1];
}
