/**
 * Edits of a forward pass: what is put in the place of a site's activations, is added to them, or is made of them on the way.
 * @module
 */

import type { Pass } from "../gpu/run.ts";
import { elements, type Tensor } from "../gpu/tensor.ts";
import { add } from "../../wgsl/model/edits.ts";
import type { DecoderConfig } from "./config.ts";
import { placeOf, type Tap, tapName, widthOf } from "./sites.ts";

/**
 * A change of one site in one forward pass. All that is computed from the site sees the change, and so does a tap of it; what is computed
 * only for a site that is replaced does not run. Several edits of a site take effect in their order. Tensors are the caller's own: one that
 * the model fills, such as another tap's, would change on the way.
 */
export type Edit =
  /** The site's activations are these instead. */
  | { readonly kind: "replace"; readonly tap: Tap; /** f32 [tokens, width of the site] */ readonly tensor: Tensor }
  /** These are added to the site's activations. */
  | { readonly kind: "add"; readonly tap: Tap; /** f32 [tokens, width of the site] */ readonly tensor: Tensor }
  /** The site's activations are computed, and then overwritten, all or some of them, by what this very pass has computed so far. */
  | { readonly kind: "rewrite"; readonly tap: Tap; readonly record: RecordRewrite };

/**
 * Records what overwrites a site's activations.
 *
 * @param pass Where to record.
 * @param activations f32 [tokens, width of the site], as computed.
 * @param at The activations of this pass, edits included, at a tap of the model that does not lie above the site.
 */
export type RecordRewrite = (pass: Pass, activations: Tensor, at: (tap: Tap) => Tensor) => void;

/** The edits of one forward pass, by the place that they change. */
export type EditsByPlace = ReadonlyMap<string, readonly Edit[]>;

/**
 * Sorts edits by place, and makes sure that they fit.
 *
 * @param edits The edits.
 * @param config The model.
 * @param tokens Tokens of the forward pass.
 * @returns Those of each place, in their order, under its name.
 * @throws {RangeError} When the model has no such layer, or a tensor is too small.
 */
export function editsByPlace(edits: readonly Edit[], config: DecoderConfig, tokens: number): EditsByPlace {
  const sorted = new Map<string, Edit[]>();
  for (const edit of edits) {
    const { tap } = edit;
    if (tap.layer >= config.layers) {
      throw new RangeError(`Cannot edit ${tapName(tap)}: the model has ${config.layers} layers, counted from 0`);
    }
    if (edit.kind !== "rewrite") {
      const needed = tokens * widthOf(config, tap.site), held = elements(edit.tensor.shape);
      if (held < needed) {
        throw new RangeError(
          `Cannot edit ${tapName(tap)}: the tensor must hold ${needed} elements, "${edit.tensor.label}" holds ${held}`,
        );
      }
    }
    const place = tapName(placeOf(tap));
    sorted.set(place, [...sorted.get(place) ?? [], edit]);
  }
  return sorted;
}

/**
 * Tells whether nothing is left of what a place would have been.
 *
 * @param edits The edits of the place; undefined for none.
 * @returns True when one of them replaces it.
 */
export function isReplaced(edits: readonly Edit[] | undefined): boolean {
  return edits !== undefined && edits.some(({ kind }) => kind === "replace");
}

/**
 * Records the edits of one place.
 *
 * @param pass Where to record.
 * @param edits Its edits; undefined for none.
 * @param activations What holds it: overwritten, or added to.
 * @param count Elements of the tokens at hand.
 * @param at What holds a tap of the model.
 * @throws {RangeError} When a tensor is the place's own.
 */
export function recordEdits(
  pass: Pass,
  edits: readonly Edit[] | undefined,
  activations: Tensor,
  count: number,
  at: (tap: Tap) => Tensor,
): void {
  for (const edit of edits ?? []) {
    if (edit.kind === "rewrite") {
      edit.record(pass, activations, at);
      continue;
    }
    const { kind, tap, tensor } = edit;
    if (tensor.buffer === activations.buffer) {
      throw new RangeError(
        `Cannot edit ${tapName(tap)}: the tensor must be another than that which the pass fills there`,
      );
    }
    if (kind === "replace") pass.copy(tensor, 0, activations, 0, count);
    else pass.run(add, { x: tensor, y: activations }, { count });
  }
}
