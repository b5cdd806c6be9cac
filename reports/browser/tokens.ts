/**
 * The reading set of a transcoder, token by token, for the browser.
 * @module
 */

import { contextStarts, type FeatureRecord } from "../../core/analysis/record.ts";
import type { TokenStream } from "./data.ts";

/** What is left unexplained is told up to ten times the target. */
const MOST_PERCENT = 999;

/**
 * Makes the stream.
 *
 * @param record What the transcoder does on its reading set.
 * @returns Its tokens, and what each prefix leaves unexplained of them.
 */
export function tokenStream(record: FeatureRecord): TokenStream {
  const { id, tokenTexts, document, position, documents, groups, residualSquares, targetSquares } = record;
  const ids = [...tokenTexts.keys()], numbers = new Map(ids.map((one, n) => [one, n]));
  const runs: [number, number, number][] = [];
  for (let t = 0; t < id.length; t++) {
    const goesOn = t > 0 && document[t] === document[t - 1] && position[t] === position[t - 1] + 1;
    if (!goesOn) runs.push([t, document[t], position[t]]);
  }
  return {
    texts: ids.map((one) => tokenTexts.get(one)!),
    id: Array.from(id, (one) => numbers.get(one)!),
    contexts: contextStarts(record).slice(0, -1),
    runs,
    documents: documents.map(({ name, split }) => [name, split]),
    unexplained: groups.map((_, p) =>
      Array.from(targetSquares, (squares, t) => {
        return Math.min(MOST_PERCENT, Math.round(100 * residualSquares[t * groups.length + p] / squares));
      }).map((percent) => Number.isFinite(percent) ? percent : MOST_PERCENT)
    ),
  };
}
