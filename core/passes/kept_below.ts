/**
 * Changed forward passes that begin where they differ: what lies below the change is computed once for a batch, and kept.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import { elements, type Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Decoder } from "../model/forward.ts";
import { cutAt } from "../model/reach.ts";
import { depthOf, placeOf, type Tap, tapName, widthOf } from "../model/sites.ts";

/**
 * The activations of a batch at the lowest of some sites that are to be changed, and at the model's taps below it. The model as it is must
 * run with {@link keep}; a pass of the same batch with {@link begin} in front of its other edits then computes only what lies above, and gives
 * the very bits that it would give if it ran all: both end the branch of the lowest site in the same kernels.
 */
export class KeptBelow {
  readonly #kept: readonly { readonly tap: Tap; readonly tensor: Tensor }[];

  /**
   * Allocates room for the activations.
   *
   * @param gpu The device.
   * @param decoder The model.
   * @param changed The sites, at least one.
   */
  constructor(gpu: Gpu, { config, maxTokens, taps }: Decoder, changed: readonly Tap[]) {
    const lowest = changed.reduce((a, b) => depthOf(b) < depthOf(a) ? b : a);
    const below = [...cutAt(lowest), ...taps.filter((tap) => depthOf(tap) < depthOf(lowest))].map(placeOf);
    const distinct = new Map(below.map((tap) => [tapName(tap), tap]));
    this.#kept = [...distinct].map(([name, tap]) => ({
      tap,
      tensor: createTensor(gpu, `kept ${name}`, [maxTokens, widthOf(config, tap.site)]),
    }));
  }

  /** The edits of a pass that keeps its activations and changes nothing. */
  get keep(): Edit[] {
    return this.#kept.map(({ tap, tensor }) => ({
      kind: "rewrite",
      tap,
      record: (pass, activations) => pass.copy(activations, 0, tensor, 0, elements(tensor.shape)),
    }));
  }

  /** The edits that let a pass begin with what was kept; those that change it come behind them. */
  get begin(): Edit[] {
    return this.#kept.map(({ tap, tensor }) => ({ kind: "replace", tap, tensor }));
  }
}
