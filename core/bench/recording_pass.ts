/**
 * A pass that remembers what it was given, so that each dispatch's time can be held against its arithmetic and its bytes.
 * @module
 */

import type { Access, ConstantValues, Kernel, ParamValues, ScalarType } from "../../wgsl/kernel.ts";
import type { Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** One dispatch: a kernel and the numbers it was given. */
export interface Dispatch {
  /** The kernel's declaration. */
  readonly kernel: Kernel;
  /** Its uniform block. */
  readonly params: Readonly<Record<string, number>>;
  /** All its overrides, defaults included. */
  readonly constants: Readonly<Record<string, number>>;
}

/** Records like any pass and lists its dispatches, in the order in which a trace reports them. */
export class RecordingPass extends Pass {
  /** What was recorded so far; submitting does not empty it. */
  readonly dispatches: Dispatch[] = [];

  /**
   * Begins an empty recording.
   *
   * @param gpu The device to record for.
   */
  constructor(gpu: Gpu) {
    super(gpu);
  }

  /**
   * Records one dispatch; see {@link Pass.run}.
   *
   * @param kernel The declaration.
   * @param tensors One tensor per binding, by name.
   * @param params The uniform block, by name.
   * @param constants Overrides that differ from the declared defaults.
   */
  override run<
    B extends Record<string, Access>,
    P extends Record<string, ScalarType>,
    C extends Record<string, number>,
  >(
    kernel: Kernel<B, P, C>,
    tensors: { readonly [K in keyof B]: Tensor },
    params: ParamValues<P>,
    constants?: Partial<ConstantValues<C>>,
  ): void {
    super.run(kernel, tensors, params, constants);
    const all = { ...kernel.constants, ...constants } as ConstantValues<C>;
    // An empty grid is not dispatched, so no trace hears of it.
    if (kernel.workgroups(params, all).some((count) => count === 0)) return;
    this.dispatches.push({ kernel: kernel as unknown as Kernel, params, constants: all });
  }
}
