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
  /** What of a model it multiplies with: `o_proj`, whatever the layer, or `vocabulary` in the head; null for nothing of a model. */
  readonly weight: string | null;
}

/** A model's matrices by the labels that core/model/weights.ts gives them: one of a layer, or a block of the head's. */
const MODEL_WEIGHT =
  /^layers\.\d+\.(?:self_attn|mlp)\.(?<projection>.+)$|^(?<head>embed_tokens|lm_head) from token \d+ on$/;

function modelWeight(label: string | undefined): string | null {
  const { projection, head } = MODEL_WEIGHT.exec(label ?? "")?.groups ?? {};
  return projection ?? (head ? "vocabulary" : null);
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
    const { weight }: Readonly<Record<string, Tensor>> = tensors;
    this.dispatches.push({
      kernel: kernel as unknown as Kernel,
      params,
      constants: all,
      weight: modelWeight(weight?.label),
    });
  }
}
