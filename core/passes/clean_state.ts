/**
 * What a forward pass has left at the taps, kept so that passes of the same batch with edits need not compute it again.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Activations, Decoder } from "../model/forward.ts";
import { depthOf, placeOf, type Tap, tapName, widthOf } from "../model/sites.ts";

/** The activations of one batch at all taps of a model; with `cutAt` of an edited site among them, nothing below it is computed twice. */
export class CleanState {
  /** f32 [the model's most tokens, width], by the name of the place. */
  readonly #kept = new Map<string, { readonly tap: Tap; readonly tensor: Tensor }>();

  /**
   * Allocates room for them.
   *
   * @param gpu The device.
   * @param decoder The model.
   */
  constructor(gpu: Gpu, decoder: Decoder) {
    for (const tap of decoder.taps) {
      const name = tapName(placeOf(tap)), width = widthOf(decoder.config, tap.site);
      if (this.#kept.has(name)) continue;
      const tensor = createTensor(gpu, `${name} of the clean model`, [decoder.maxTokens, width]);
      this.#kept.set(name, { tap, tensor });
    }
  }

  /**
   * Records keeping what a forward pass without edits has left.
   *
   * @param pass The pass of that forward, or a later one.
   * @param activations What it gave.
   */
  record(pass: Pass, activations: readonly Activations[]): void {
    for (const { tap, tensor, tokens, width } of activations) {
      pass.copy(tensor, 0, this.#kept.get(tapName(placeOf(tap)))!.tensor, 0, tokens * width);
    }
  }

  /**
   * The edits that put in place what others leave as it was kept: whatever does not lie above the lowest of them.
   *
   * @param edits Edits of the batch that was kept.
   * @returns Edits that must come before those, at their own places too.
   */
  before(edits: readonly Edit[]): Edit[] {
    const lowest = Math.min(...edits.map(({ tap }) => depthOf(tap)));
    return [...this.#kept.values()].flatMap(({ tap, tensor }): Edit[] =>
      depthOf(tap) <= lowest ? [{ kind: "replace", tap, tensor }] : []
    );
  }
}
