/**
 * What an adapter is called.
 * @module
 */

/**
 * The name of an adapter.
 *
 * @param adapter The adapter.
 * @returns Its description, for example `llvmpipe (LLVM 15.0.6, 256 bits)`, or what else it says of itself.
 */
export function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || "unnamed adapter";
}
