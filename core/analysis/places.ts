/**
 * Where features fire: in which part of a context, and how far into a document.
 * @module
 */

import type { RecordedTokens } from "./record.ts";

/** Equal parts of a context, and parts of all tokens by their offset in the document. */
export const POSITION_BINS = 8;

/**
 * The eighth of its context that each token is in.
 *
 * @param record The tokens.
 * @returns [tokens]
 */
export function contextBins({ place, context }: Pick<RecordedTokens, "place" | "context">): Uint8Array {
  return Uint8Array.from(
    place,
    (place) => Math.min(POSITION_BINS - 1, Math.floor((place % context) * POSITION_BINS / context)),
  );
}

/**
 * How far into its document each token is: the eighth of all tokens that it is in when they stand in the order of their offsets.
 *
 * @param record The tokens.
 * @returns [tokens], and the least offset of each eighth; one that is empty, because many tokens have one offset, has that of the next.
 */
export function documentBins({ position }: Pick<RecordedTokens, "position">): { bin: Uint8Array; least: number[] } {
  const ascending = position.toSorted();
  const least = Array.from(
    { length: POSITION_BINS },
    (_, b) => ascending[Math.floor(b * ascending.length / POSITION_BINS)] ?? 0,
  );
  return { bin: Uint8Array.from(position, (offset) => least.findLastIndex((least) => offset >= least)), least };
}

/**
 * How likely a feature fires in each part, as a multiple of how likely it fires anywhere.
 *
 * @param bin [tokens] the part of each token.
 * @returns Gives the [{@link POSITION_BINS}] multiples of a feature's tokens: 1 each by chance, NaN where no token is or it never fires.
 */
export function placeProfiles(bin: Uint8Array): (token: Uint32Array) => number[] {
  const all = counts(bin, bin.keys());
  return (token) => Array.from(counts(bin, token), (count, b) => count / token.length / (all[b] / bin.length));
}

function counts(bin: Uint8Array, tokens: Iterable<number>): Float64Array {
  const counts = new Float64Array(POSITION_BINS);
  for (const t of tokens) counts[bin[t]]++;
  return counts;
}
