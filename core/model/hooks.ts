/**
 * What TransformerLens calls the sites, and so SAELens and circuit-tracer.
 * @module
 */

import { type Site, SITES, type Tap } from "./sites.ts";

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

/** A place in a layer, as some program names it. */
export interface NamedPlace {
  /** The site of mtc. */
  readonly site: Site;
  /** Whether it lies before the gain of the norm that the site lies behind. */
  readonly isBeforeGain: boolean;
  /** The layer; null where the name does not say it. */
  readonly layer: number | null;
}

/** Outputs and inputs of Hugging Face's modules, by their names in a layer of Gemma. */
const MODULES: Readonly<Record<string, Site>> = {
  "input": "resid_pre",
  "input_layernorm.output": "attn_in",
  "self_attn.o_proj.input": "attn_heads",
  "post_attention_layernorm.output": "attn_out",
  "pre_feedforward_layernorm.input": "resid_mid",
  "pre_feedforward_layernorm.output": "mlp_in",
  "mlp.input": "mlp_in",
  "mlp.down_proj.input": "mlp_neurons",
  "post_feedforward_layernorm.output": "mlp_out",
  "output": "resid_post",
};

/**
 * Finds the site that a name means.
 *
 * @param name A hook of TransformerLens (`blocks.17.ln2.hook_normalized`, `hook_mlp_out`), the input or output of a module of Hugging Face
 * (`model.layers.17.pre_feedforward_layernorm.output`), or a site as mtc names it (`layer17.mlp_in`, `mlp_in`).
 * @returns The place; null where the name means none of mtc's, or not always the same.
 */
export function placeOfName(name: string): NamedPlace | null {
  const module = /^(?:model\.)?(?:language_model\.)?layers\.(\d+)\.(.+)$/.exec(name);
  if (module) {
    const site = Object.hasOwn(MODULES, module[2]) ? MODULES[module[2]] : undefined;
    return site === undefined ? null : { site, isBeforeGain: false, layer: Number(module[1]) };
  }
  const [, layer, plain = name] = /^(?:blocks\.|layer)(\d+)\.(.+)$/.exec(name) ?? [];
  const number = layer === undefined ? null : Number(layer);
  const own = SITES.find((site) => site === plain), hooked = SITES.find((site) => HOOKS[site].name === plain);
  if (own !== undefined) return { site: own, isBeforeGain: false, layer: number };
  return hooked === undefined ? null : { site: hooked, isBeforeGain: HOOKS[hooked].norm !== undefined, layer: number };
}
