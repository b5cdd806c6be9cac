/**
 * Two transcoders matched, and the map of one, for the browser.
 * @module
 */

import type { MatchedSide, Matching } from "../../core/analysis/matching.ts";
import type { MapPart, MatchPart, MatchSide } from "./data.ts";
import { type DictionaryShape, figureOf } from "./explored.ts";

/**
 * Tells a matching.
 *
 * @param matching Two transcoders, feature by feature.
 * @returns What the browser shows of it.
 */
export function matchPart({ mutual, a, b, tokens }: Matching): MatchPart {
  return {
    mutual: mutual.map(({ a, b, correlation }) => [a, b, figureOf(correlation, 3)!]),
    sides: [sideOf(a), sideOf(b)],
    tokens,
  };
}

function sideOf({ judged, same, unique, chance_limit }: MatchedSide): MatchSide {
  return { judged, same, unique, limit: figureOf(chance_limit, 3) };
}

/**
 * Tells a map.
 *
 * @param shape What the weights say.
 * @returns What the browser draws.
 */
export function mapPart({ map: { x, y, shares, share_by_chance } }: DictionaryShape): MapPart {
  const finite = (values: Float32Array) => values.map((value) => Number.isFinite(value) ? value : 0);
  return {
    ...{ x: finite(x), y: finite(y) },
    shares: [figureOf(shares[0]), figureOf(shares[1])],
    share_by_chance: figureOf(share_by_chance),
  };
}
