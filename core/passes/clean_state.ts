/**
 * What a forward pass has left at the taps, kept so that passes of the same batch with edits need not compute it again.
 * @module
 */

import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Edit } from "../model/edits.ts";
import type { Activations, Decoder } from "../model/forward.ts";
import { depthOf, placeOf, type Site, type Tap, tapName, widthOf } from "../model/sites.ts";

/** The residual stream that what is computed from a site is added to; null where the site is that stream. */
const ADDED_TO: Readonly<Record<Site, "resid_pre" | "resid_mid" | null>> = {
  resid_pre: null,
  attn_in: "resid_pre",
  attn_heads: "resid_pre",
  attn_out: "resid_pre",
  resid_mid: null,
  mlp_in: "resid_mid",
  mlp_neurons: "resid_mid",
  mlp_out: "resid_mid",
  resid_post: null,
};

/**
 * The taps that passes with edits at some sites begin at: those sites and what they join.
 *
 * @param edited The sites that are edited.
 * @returns Taps; a model that has them besides those that the edits read computes nothing below an edit twice.
 */
export function startingTaps(edited: readonly Tap[]): Tap[] {
  return edited.flatMap((tap) => {
    const site = ADDED_TO[tap.site];
    return site === null ? [tap] : [tap, { layer: tap.layer, site }];
  });
}

/** The activations of one batch at all taps of a model. */
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
