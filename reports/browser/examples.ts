/**
 * Which firings of a feature the browser shows: its strongest, one from each context, and some at fixed quantiles of its activations.
 * @module
 */

import { Largest } from "../../core/analysis/largest.ts";
import type { RecordedTokens } from "../../core/analysis/record.ts";
import { SAMPLE_QUANTILES } from "../../core/analysis/samples.ts";
import type { Example } from "./data.ts";
import { figureOf, type Held } from "./explored.ts";

/** The strongest firings that are shown. */
export const STRONGEST = 20;

/** Tokens on either side in which a feature's activations are told. */
const AROUND = 16;

/** A record with its columns. */
export type Recorded = NonNullable<Held["recorded"]>;

/**
 * The strongest firings of a feature.
 *
 * @param recorded The record.
 * @param feature The feature.
 * @returns Entries of its columns, the strongest first, each of another context.
 */
function strongest(
  { record: { place, context }, columns: { start, token, value } }: Recorded,
  feature: number,
): number[] {
  const best = new Map<number, number>(), largest = new Largest<number>(STRONGEST);
  for (let e = start[feature]; e < start[feature + 1]; e++) {
    const here = Math.floor(place[token[e]] / context), found = best.get(here);
    if (found === undefined || value[e] > value[found]) best.set(here, e);
  }
  for (const e of best.values()) largest.add(e, value[e]);
  return largest.items;
}

/**
 * The tokens of a feature's strongest firings.
 *
 * @param recorded The record.
 * @param feature The feature.
 * @returns Indices of its tokens, ascending.
 */
export function exampleTokens(recorded: Recorded, feature: number): number[] {
  return strongest(recorded, feature).map((e) => recorded.columns.token[e]).sort((a, b) => a - b);
}

/**
 * The firings of a feature that are shown.
 *
 * @param recorded The record.
 * @param feature The feature.
 * @param most The most of its strongest ones.
 * @returns The strongest first, then those at {@link SAMPLE_QUANTILES}, the strongest first, where it fires as often as there are quantiles.
 */
export function examplesOf(recorded: Recorded, feature: number, most: number = STRONGEST): Example[] {
  const { columns: { start, token, value }, record } = recorded,
    first = start[feature],
    fires = start[feature + 1] - first;
  const around = (e: number): Omit<Example, "quantile"> => {
    let from = e, end = e + 1;
    while (from > first && isNear(record, token[from - 1], token[e])) from--;
    while (end < start[feature + 1] && isNear(record, token[end], token[e])) end++;
    return {
      at: token[e],
      offsets: Array.from(token.subarray(from, end), (t) => t - token[e]),
      values: Array.from(value.subarray(from, end), (one) => figureOf(one, 3)!),
    };
  };
  const top = strongest(recorded, feature).slice(0, most).map(around);
  if (fires < SAMPLE_QUANTILES.length) return top;
  const ascending = Array.from({ length: fires }, (_, n) => first + n).sort((a, b) => value[a] - value[b] || a - b);
  const spread = SAMPLE_QUANTILES.toReversed().map((quantile) => {
    return { quantile, ...around(ascending[Math.floor(quantile * fires)]) };
  });
  return [...top, ...spread];
}

function isNear({ place, context }: RecordedTokens, a: number, b: number): boolean {
  return Math.abs(a - b) <= AROUND && Math.floor(place[a] / context) === Math.floor(place[b] / context);
}
