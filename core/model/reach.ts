/**
 * How far the forward pass must run for what is wanted of it: each site is computed from others, down to the embedded tokens.
 * @module
 */

import { type EditsByPlace, isReplaced } from "./edits.ts";
import { depthOf, placeOf, type Site, type Tap, tapName } from "./sites.ts";

/**
 * The sites that are computed in each layer, from the first layer to the last that is needed. The embedded tokens are not among
 * them, and `resid_pre` is the layer below's `resid_post`.
 */
export type Reach = readonly ReadonlySet<Site>[];

/** What each site is computed from. */
const INPUTS: Readonly<Record<Site, readonly Site[]>> = {
  resid_pre: [],
  attn_in: ["resid_pre"],
  attn_heads: ["attn_in"],
  attn_out: ["attn_heads"],
  resid_mid: ["resid_pre", "attn_out"],
  mlp_in: ["resid_mid"],
  mlp_neurons: ["mlp_in"],
  mlp_out: ["mlp_neurons"],
  resid_post: ["resid_mid", "mlp_out"],
};

/**
 * Finds the shortest forward pass to some sites.
 *
 * @param wanted The sites.
 * @param edits What is replaced need not be computed, nor what only it is computed from.
 * @returns What must be computed. Layers of which nothing is needed are there, without sites, below one of which something is.
 */
export function reachOf(wanted: readonly Tap[], edits: EditsByPlace = new Map()): Reach {
  const reach: Set<Site>[] = [];
  const need = (tap: Tap) => {
    const { layer, site } = placeOf(tap);
    if (site === "resid_pre") return;
    while (reach.length <= layer) reach.push(new Set());
    if (reach[layer].has(site) || isReplaced(edits.get(tapName({ layer, site })))) return;
    reach[layer].add(site);
    for (const input of INPUTS[site]) need({ layer, site: input });
  };
  wanted.forEach(need);
  return reach;
}

/**
 * The sites that all which lies above a tap is computed from.
 *
 * @param tap The tap.
 * @returns The tap, and inside of a branch the residual stream that runs beside it.
 */
export function cutAt(tap: Tap): Tap[] {
  const { layer } = tap, depth = depthOf(tap), mid: Tap = { layer, site: "resid_mid" };
  const streams: readonly Tap[] = [{ layer, site: "resid_pre" }, mid, { layer, site: "resid_post" }];
  if (streams.some((stream) => depthOf(stream) === depth)) return [tap];
  return [depth < depthOf(mid) ? streams[0] : mid, tap];
}
