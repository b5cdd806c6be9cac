/**
 * Where tokens of a reading set stand.
 * @module
 */

import type { TokenStream } from "../data.ts";

/** Tokens shown on either side. */
const BEFORE = 16, BEHIND = 10;

/** The last of some ascending starts that is not behind a token. */
function lastUpTo(count: number, startOf: (n: number) => number, token: number): number {
  let low = 0, high = count;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (startOf(middle) <= token) low = middle;
    else high = middle;
  }
  return low;
}

/** Where a token stands: its document, the part of the text that this belongs to, and the offset in it. */
export function placeOf(
  { runs, documents }: TokenStream,
  token: number,
): { readonly document: string; readonly split: string; readonly position: number } {
  const run = lastUpTo(runs.token.length, (n) => runs.token[n], token), [name, split] = documents[runs.document[run]];
  return { document: name, split, position: runs.position[run] + token - runs.token[run] };
}

/** The tokens around one, within its context. */
export function windowOf({ contexts, id }: TokenStream, token: number): [first: number, end: number] {
  const context = lastUpTo(contexts.length, (n) => contexts[n], token);
  const first = contexts[context], end = contexts[context + 1] ?? id.length;
  return [Math.max(first, token - BEFORE), Math.min(end, token + BEHIND + 1)];
}
