/**
 * Where activations can be taken from: the sites of a Gemma-2 layer, with TransformerLens' meanings.
 * @module
 */

import { UsageError } from "../errors.ts";

/** A place in a layer. `resid_mid = resid_pre + attn_out` and `resid_post = resid_mid + mlp_out` hold exactly. */
export type Site =
  /** The residual stream that enters the layer, before the input norm. */
  | "resid_pre"
  /** After the input norm (gain included): what attention reads. */
  | "attn_in"
  /** Attention's output after the post-attention norm: what is added to the residual stream. */
  | "attn_out"
  /** The residual stream between attention and MLP, before the pre-feedforward norm. */
  | "resid_mid"
  /** After the pre-feedforward norm (gain included): what the MLP reads. */
  | "mlp_in"
  /** The MLP's output after the post-feedforward norm: what is added to the residual stream. */
  | "mlp_out"
  /** The residual stream that leaves the layer; the next layer's `resid_pre`. */
  | "resid_post";

/** All sites in the order in which a layer computes them. */
export const SITES: readonly Site[] = [
  "resid_pre",
  "attn_in",
  "attn_out",
  "resid_mid",
  "mlp_in",
  "mlp_out",
  "resid_post",
];

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
  throw new UsageError(
    `Cannot take activations: a site is one of ${SITES.join(", ")}, got "${text}"; choose from these`,
  );
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
 * @throws {UsageError} When it has not; the message gives the deepest layer's index.
 */
export function checkLayer(layer: number, layers: number): void {
  if (layer < layers) return;
  throw new UsageError(
    `Cannot take activations of layer ${layer}: the model's ${layers} layers are counted from 0 to ${layers - 1}, ` +
      `so the deepest is ${layers - 1}; use --layers ${layers - 1}`,
  );
}
