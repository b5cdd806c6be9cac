/**
 * Where activations can be taken from and put in their place: the sites of a layer, with TransformerLens' meanings.
 * @module
 */

import { UsageError } from "../errors.ts";
import type { DecoderConfig } from "./config.ts";

/** A place in a layer. `resid_mid = resid_pre + attn_out` and `resid_post = resid_mid + mlp_out` hold exactly. */
export type Site =
  /** The residual stream that enters the layer, before the input norm. */
  | "resid_pre"
  /** After the input norm (gain included): what attention reads. */
  | "attn_in"
  /** The heads' mixed values side by side, before the output projection (TransformerLens' hook_z): heads * head_dim wide. */
  | "attn_heads"
  /** Attention's output after the post-attention norm: what is added to the residual stream. */
  | "attn_out"
  /** The residual stream between attention and MLP, before the pre-feedforward norm. */
  | "resid_mid"
  /** After the pre-feedforward norm (gain included): what the MLP reads. */
  | "mlp_in"
  /** The MLP's hidden neurons, gelu(gate) * up, before the down projection (TransformerLens' hook_post): d_mlp wide. */
  | "mlp_neurons"
  /** The MLP's output after the post-feedforward norm: what is added to the residual stream. */
  | "mlp_out"
  /** The residual stream that leaves the layer; the next layer's `resid_pre`. */
  | "resid_post";

/** How deep a site lies in its layer. What leaves a layer lies as deep as what enters the next: it is the same. */
const DEPTHS: Readonly<Record<Site, number>> = {
  resid_pre: 0,
  attn_in: 1,
  attn_heads: 2,
  attn_out: 3,
  resid_mid: 4,
  mlp_in: 5,
  mlp_neurons: 6,
  mlp_out: 7,
  resid_post: 8,
};

/** All sites in the order in which a layer computes them. */
export const SITES: readonly Site[] = (Object.keys(DEPTHS) as Site[]).toSorted((a, b) => DEPTHS[a] - DEPTHS[b]);

/** One site of one layer. */
export interface Tap {
  /** The layer, from 0. */
  readonly layer: number;
  /** The place in it. */
  readonly site: Site;
}

/**
 * Names a tap in files and messages.
 *
 * @param tap The tap.
 * @returns For example `layer17.resid_mid`.
 */
export function tapName({ layer, site }: Tap): string {
  return `layer${layer}.${site}`;
}

/**
 * One name for each place: what enters a layer is what leaves the one before, and is called so.
 *
 * @param tap The tap.
 * @returns The same place; `resid_pre` only of layer 0, where it is the embedded tokens.
 */
export function placeOf({ layer, site }: Tap): Tap {
  return site === "resid_pre" && layer > 0 ? { layer: layer - 1, site: "resid_post" } : { layer, site };
}

/**
 * How deep a tap lies in the model.
 *
 * @param tap The tap.
 * @returns A number that is larger for what is computed from another tap, and equal for one place under two names.
 */
export function depthOf({ layer, site }: Tap): number {
  return layer * DEPTHS.resid_post + DEPTHS[site];
}

/**
 * The tap that is computed before the others.
 *
 * @param taps The taps, at least one.
 * @returns The first of the lowest.
 */
export function lowestOf(taps: readonly Tap[]): Tap {
  return taps.reduce((lowest, tap) => depthOf(tap) < depthOf(lowest) ? tap : lowest);
}

/** What a model's widths depend on. */
export type Widths = Pick<DecoderConfig, "dModel" | "dMlp" | "heads" | "headDim">;

/**
 * How many numbers a token has at a site.
 *
 * @param config The model.
 * @param site The site.
 * @returns The width of its activations.
 */
export function widthOf({ dModel, dMlp, heads, headDim }: Widths, site: Site): number {
  if (site === "attn_heads") return heads * headDim;
  return site === "mlp_neurons" ? dMlp : dModel;
}

/** Where a tap's activations stand where several taps' are side by side, as a transcoder predicts its targets. */
export interface TapColumns {
  /** The tap. */
  readonly tap: Tap;
  /** The first of its columns. */
  readonly column: number;
  /** How many they are. */
  readonly width: number;
}

/**
 * Puts taps side by side.
 *
 * @param config The model.
 * @param taps The taps, from left to right.
 * @returns The columns of each.
 */
export function columnsOf(config: Widths, taps: readonly Tap[]): TapColumns[] {
  let end = 0;
  return taps.map((tap) => {
    const width = widthOf(config, tap.site), column = end;
    end += width;
    return { tap, column, width };
  });
}

/**
 * Finds a tap among others.
 *
 * @param taps Where to look.
 * @param tap The one wanted.
 * @returns Its place among them.
 * @throws {RangeError} When it is not there.
 */
export function tapIndex(taps: readonly Tap[], tap: Tap): number {
  const index = taps.findIndex(({ layer, site }) => layer === tap.layer && site === tap.site);
  if (index >= 0) return index;
  const there = taps.map(tapName).join(", ");
  throw new RangeError(`Cannot take activations: ${tapName(tap)} must be among the taps, they are ${there}`);
}

/**
 * Reads one site from the command line.
 *
 * @param text For example `mlp_out`.
 * @returns The site.
 * @throws {UsageError} When there is none of that name; the message lists them.
 */
export function parseSite(text: string): Site {
  const site = SITES.find((name) => name === text.trim());
  if (site) return site;
  throw new UsageError({
    action: "take activations",
    requirement: `a site is one of ${SITES.join(", ")}`,
    found: `got "${text}"`,
    remedy: "choose from these",
  });
}

/**
 * Reads a comma-separated list of sites from the command line.
 *
 * @param text For example `resid_mid,mlp_out`.
 * @returns The sites, each once, in the order given.
 * @throws {UsageError} When a site does not exist.
 */
export function parseSites(text: string): Site[] {
  return [...new Set(text.split(",").map(parseSite))];
}

/**
 * Makes sure that a model has a layer.
 *
 * @param layer The layer asked for, from 0.
 * @param layers How many the model has.
 * @param remedy What the user can do.
 * @throws {UsageError} When it has not; the message gives the deepest layer's index.
 */
export function checkLayer(layer: number, layers: number, remedy: string = `use --layers ${layers - 1}`): void {
  if (layer < layers) return;
  throw new UsageError({
    action: `take activations of layer ${layer}`,
    requirement: `the model's ${layers} layers are counted from 0 to ${layers - 1}`,
    found: `so the deepest is ${layers - 1}`,
    remedy,
  });
}

/** The modules of Hugging Face's Gemma whose input a site is, without loss or addition. */
const READERS: Readonly<Partial<Record<Site, string>>> = {
  resid_pre: "input_layernorm",
  attn_in: "self_attn.q_proj",
  attn_heads: "self_attn.o_proj",
  resid_mid: "pre_feedforward_layernorm",
  mlp_in: "mlp",
  mlp_neurons: "mlp.down_proj",
};

/**
 * Finds a module that reads a tap.
 *
 * @param tap The tap.
 * @param layers How many layers the model has.
 * @returns Its name in Hugging Face's model without head, for example `layers.17.pre_feedforward_layernorm`; null where none does.
 */
export function moduleReading(tap: Tap, layers: number): string | null {
  const { layer, site } = tap;
  if (site === "resid_post") return layer + 1 < layers ? `layers.${layer + 1}.${READERS.resid_pre}` : "norm";
  const reader = READERS[site];
  return reader === undefined ? null : `layers.${layer}.${reader}`;
}
