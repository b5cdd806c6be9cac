/**
 * The residual stream as the sum that it is: the embedded tokens, and what each attention and each MLP has added.
 * @module
 */

import type { Site, Tap } from "./sites.ts";

/** A term of the sum. */
export interface ResidualPart {
  /** Where it is computed. */
  readonly tap: Tap;
  /** What computes it. */
  readonly by: "embedding" | "attention" | "mlp";
}

/** A site that is the residual stream, or its norm. */
export interface ResidualSum {
  /** The terms, in the order in which the model adds them. */
  readonly parts: readonly ResidualPart[];
  /** The norm, by the name of its weights, behind which the site lies; null where the site is the sum itself. */
  readonly norm: string | null;
}

/** The sites that lie in the stream, by what their layer has added before: nothing, attention, or both. */
const STREAMS: Readonly<Partial<Record<Site, { readonly added: number; readonly norm?: string }>>> = {
  resid_pre: { added: 0 },
  attn_in: { added: 0, norm: "input_layernorm" },
  resid_mid: { added: 1 },
  mlp_in: { added: 1, norm: "pre_feedforward_layernorm" },
  resid_post: { added: 2 },
};

/** The sites that {@link residualSum} knows. */
export const STREAM_SITES = Object.keys(STREAMS) as Site[];

/**
 * Writes a site as a sum of what was added to the residual stream.
 *
 * @param tap The site.
 * @returns The sum; null where the site is none, nor the norm of one.
 */
export function residualSum({ layer, site }: Tap): ResidualSum | null {
  const stream = STREAMS[site];
  if (stream === undefined) return null;
  const of = (l: number): ResidualPart[] => [
    { tap: { layer: l, site: "attn_out" }, by: "attention" },
    { tap: { layer: l, site: "mlp_out" }, by: "mlp" },
  ];
  const below = Array.from({ length: layer }, (_, l) => of(l)).flat();
  return {
    parts: [{ tap: { layer: 0, site: "resid_pre" }, by: "embedding" }, ...below, ...of(layer).slice(0, stream.added)],
    norm: stream.norm === undefined ? null : `layers.${layer}.${stream.norm}`,
  };
}

/**
 * Tells whether what is written at a site is added to the residual stream as it is.
 *
 * @param site The site.
 * @returns False where a norm, a product or a nonlinearity stands in between.
 */
export function isAdded(site: Site): boolean {
  return site.startsWith("resid_") || site === "attn_out" || site === "mlp_out";
}
