/**
 * What TransformerLens calls the sites, and so SAELens and circuit-tracer.
 * @module
 */

import type { Site, Tap } from "./sites.ts";

/** Where TransformerLens lets a site be read. */
export interface Hook {
  /** Its name in the layer, for example `hook_resid_mid`. */
  readonly name: string;
  /**
   * The weights of the norm whose gain is not in yet there, for example `layers.17.pre_feedforward_layernorm`: the site is the hook's activation times
   * that gain. Null where both are the same.
   */
  readonly norm: string | null;
}

/** `ln1.hook_normalized` and `ln2.hook_normalized` lie before the gain; `hook_mlp_in`, whose meaning changes with TransformerLens' settings, is none of them. */
const HOOKS: Readonly<Record<Site, { readonly name: string; readonly norm?: string }>> = {
  resid_pre: { name: "hook_resid_pre" },
  attn_in: { name: "ln1.hook_normalized", norm: "input_layernorm" },
  attn_heads: { name: "attn.hook_z" },
  attn_out: { name: "hook_attn_out" },
  resid_mid: { name: "hook_resid_mid" },
  mlp_in: { name: "ln2.hook_normalized", norm: "pre_feedforward_layernorm" },
  mlp_neurons: { name: "mlp.hook_post" },
  mlp_out: { name: "hook_mlp_out" },
  resid_post: { name: "hook_resid_post" },
};

/**
 * Finds the hook of a tap.
 *
 * @param tap The tap.
 * @returns Its hook.
 */
export function hookOf({ layer, site }: Tap): Hook {
  const { name, norm } = HOOKS[site];
  return { name, norm: norm === undefined ? null : `layers.${layer}.${norm}` };
}

/**
 * Names the hook of a tap in the whole model.
 *
 * @param tap The tap.
 * @returns For example `blocks.17.hook_resid_mid`.
 */
export function hookName(tap: Tap): string {
  return `blocks.${tap.layer}.${hookOf(tap).name}`;
}
