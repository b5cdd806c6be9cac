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
  const ids = [...tokenTexts.keys()], numbers = new Map(ids.map((one, n) => [one, n])), first: number[] = [];
  for (let t = 0; t < id.length; t++) {
    const goesOn = t > 0 && document[t] === document[t - 1] && position[t] === position[t - 1] + 1;
    if (!goesOn) first.push(t);
  }
  const token = Uint32Array.from(first);
  return {
    texts: ids.map((one) => tokenTexts.get(one)!),
    id: id.map((one) => numbers.get(one)!),
    contexts: Uint32Array.from(contextStarts(record).slice(0, -1)),
    runs: { token, document: token.map((t) => document[t]), position: token.map((t) => position[t]) },
    documents: documents.map(({ name, split }) => [name, split]),
    unexplained: groups.map((_, p) =>
      Uint16Array.from(targetSquares, (squares, t) => {
        const percent = Math.round(100 * residualSquares[t * groups.length + p] / squares);
        return percent <= MOST_PERCENT ? percent : MOST_PERCENT; // NaN too, of a target that is at its mean
      })
    ),
  };
}
