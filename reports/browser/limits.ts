/**
 * What an exported file leaves out of a large dictionary.
 * @module
 */

import type { FeatureDetail, FeatureTable, TranscoderAbout } from "./data.ts";

/** How much of a transcoder's features there is. */
export interface Limits {
  /** The features whose details are there: so many of those that the reconstruction needs most. */
  readonly detailed: number;
  /** The most of a feature's strongest firings. */
  readonly strongest: number;
}

/**
 * Prepares to leave something out.
 *
 * @param limits How much there is to be.
 * @param table All features.
 * @returns Gives a part with what is left of it, by its name and what reads it; null where it stays as it is.
 */
export function limitedTo(
  { detailed, strongest }: Limits,
  { group, fvu_rise, strength }: FeatureTable,
): (name: string, read: () => object) => object | null {
  const value = (i: number) =>
    Number.isNaN(fvu_rise[i]) ? Number.isNaN(strength[i]) ? -Infinity : strength[i] : fvu_rise[i];
  const kept = Array.from(group.keys()).sort((a, b) => value(b) - value(a) || a - b).slice(0, detailed)
    .sort((a, b) => a - b);
  const isKept = new Set(kept);
  return (name, read) => {
    if (name === "about") return { ...read() as TranscoderAbout, detailed: kept } satisfies TranscoderAbout;
    if (!name.startsWith("features/")) return null;
    return (read() as FeatureDetail[]).filter(({ feature }) => isKept.has(feature)).map((one): FeatureDetail => ({
      ...one,
      examples: shortened(one.examples, strongest),
      samples: shortened(one.samples, strongest),
    }));
  };
}

/** The strongest ones come first, those at quantiles behind them. */
function shortened<T extends { readonly quantile?: number }>(all: readonly T[], most: number): T[] {
  return all.filter(({ quantile }, n) => quantile !== undefined || n < most);
}
