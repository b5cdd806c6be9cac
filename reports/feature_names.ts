/**
 * What features are called: the tokens that they fire on most.
 * @module
 */

import { columnsOf, type FeatureRecord } from "../core/analysis/record.ts";
import { type FiredToken, tokenProfiles } from "../core/analysis/token_profile.ts";
import { featureCount } from "../core/transcoder/shape.ts";
import { percent } from "./format.ts";
import { visibleToken } from "./tokens.ts";

/** Tokens that a feature is called by, and those that fire it most that they are chosen from. */
const SHOWN = 3, LOOKED_AT = 30;

/**
 * Names features by the tokens that are characteristic of them on a reading set: those with the largest share of the feature's firings times the
 * logarithm of that share over the token's share of all tokens.
 *
 * @param record What the dictionary does there.
 * @returns A feature's name: `␣the 41 %, ␣a 12 %, ␣our 5 %`, each token with its share of the feature's firings; empty where it never fires.
 */
export function featureNames(record: FeatureRecord): (feature: number) => string {
  const columns = columnsOf(record, featureCount(record.groups)), counts = new Map<number, number>();
  for (const id of record.id) counts.set(id, (counts.get(id) ?? 0) + 1);
  return (feature) => {
    const [{ tokens }] = tokenProfiles(columns, record, LOOKED_AT, [feature]);
    const fires = columns.start[feature + 1] - columns.start[feature];
    const score = ({ id, count }: FiredToken) => count * Math.log(count / fires / (counts.get(id)! / record.id.length));
    const characteristic = tokens.toSorted((a, b) => score(b) - score(a) || a.id - b.id).slice(0, SHOWN);
    return characteristic.map(({ id, count }) =>
      `${visibleToken(record.tokenTexts.get(id)!)} ${percent(count / fires, 0)}`
    )
      .join(", ");
  };
}
