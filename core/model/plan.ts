/**
 * How far the forward pass must run for a set of taps: the work of a layer is two branches, each with a norm before it.
 * @module
 */

import type { Tap } from "./sites.ts";

/** For each part of a layer, in how many layers, from the first, it is needed. `mlp <= mlpIn, attention` and `attention <= attnIn`. */
export interface Plan {
  /** The input norm. */
  readonly attnIn: number;
  /** Attention, its post-norm and the sum with the residual stream. */
  readonly attention: number;
  /** The pre-feedforward norm. */
  readonly mlpIn: number;
  /** The MLP, its post-norm and the sum with the residual stream. */
  readonly mlp: number;
}

/**
 * Counts the layers of which a plan needs any part.
 *
 * @param plan The plan.
 * @returns They are the model's first so many.
 */
export function layerCount({ attnIn, mlpIn }: Plan): number {
  return Math.max(attnIn, mlpIn);
}

/**
 * Plans the shortest pass that reaches every tap.
 *
 * @param taps What is wanted.
 * @returns The number of layers in which each part runs.
 */
export function planFor(taps: readonly Tap[]): Plan {
  /** One past the deepest layer with one of these sites, at least `least`. */
  const through = (least: number, ...sites: Tap["site"][]) =>
    taps.reduce((deepest, tap) => sites.includes(tap.site) ? Math.max(deepest, tap.layer + 1) : deepest, least);
  const before = taps.reduce((deepest, tap) => Math.max(deepest, tap.layer), 0);
  const mlp = through(before, "mlp_out", "resid_post");
  const mlpIn = through(mlp, "mlp_in");
  const attention = through(mlp, "attn_out", "resid_mid", "mlp_in");
  const attnIn = through(attention, "attn_in");
  return { attnIn, attention, mlpIn, mlp };
}
