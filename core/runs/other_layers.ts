/**
 * Which transcoders a layer is held against: those of other layers of the same model, one of each, as like as can be had.
 * @module
 */

import type { TranscoderConfig } from "./config.ts";

/** The most layers that one is held against: the nearest ones. */
const MOST = 4;

/**
 * Chooses transcoders of other layers.
 *
 * @param one The transcoder.
 * @param all Those at hand, itself perhaps among them.
 * @returns Of each other layer of its model the one whose settings are most like its own, the nearest layers first.
 */
export function otherLayers<T extends { readonly config: TranscoderConfig }>(one: T, all: readonly T[]): T[] {
  const text = ({ config: { model, data, context } }: T) => JSON.stringify([model, data, context]);
  const others = all.filter((other) => other.config.layer !== one.config.layer && text(other) === text(one));
  const settings = ({ config: { source, targets, groups, k, skip, learning_rate, seed } }: T) =>
    [source.site, targets.map(({ site }) => site), groups, k, skip, learning_rate, seed].map((it) =>
      JSON.stringify(it)
    );
  const own = settings(one), likeness = (other: T) => settings(other).filter((it, i) => it === own[i]).length;
  const distance = ({ config: { layer } }: T) => Math.abs(layer - one.config.layer);
  return [...Map.groupBy(others, ({ config: { layer } }) => layer).values()]
    .map((family) => family.reduce((best, other) => likeness(other) > likeness(best) ? other : best))
    .sort((a, b) => distance(a) - distance(b) || a.config.layer - b.config.layer)
    .slice(0, MOST);
}
