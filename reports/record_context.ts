/**
 * A token of a record among those around it.
 * @module
 */

import type { RecordedTokens } from "../core/analysis/record.ts";
import { visibleToken } from "./tokens.ts";

/** Characters that are shown on either side. */
const WIDTH = 24;

/**
 * Writes a token with what stands around it in its context. Tokens that the record leaves out are missing in it.
 *
 * @param record The tokens.
 * @param token An index of them.
 * @returns For example `…␣of␣the⟦␣Union⟧␣address…`, with nothing invisible in it.
 */
export function recordContext(
  { context, place, id, tokenTexts }: Pick<RecordedTokens, "context" | "place" | "id" | "tokenTexts">,
  token: number,
): string {
  const textOf = (at: number) => [...visibleToken(tokenTexts.get(id[at])!)];
  const inside = (at: number) =>
    at >= 0 && at < place.length && Math.floor(place[at] / context) === Math.floor(place[token] / context);
  const beside = (step: -1 | 1) => {
    const found: string[] = [];
    let at = token + step;
    for (; inside(at) && found.length <= WIDTH; at += step) {
      if (step < 0) found.unshift(...textOf(at));
      else found.push(...textOf(at));
    }
    return found;
  };
  const before = beside(-1), after = beside(1);
  return [
    ...before.length > WIDTH ? ["…", ...before.slice(1 - WIDTH)] : before,
    ...["⟦", ...textOf(token), "⟧"],
    ...after.length > WIDTH ? [...after.slice(0, WIDTH - 1), "…"] : after,
  ].join("");
}
