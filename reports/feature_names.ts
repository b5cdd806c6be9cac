/**
 * What features are called: the tokens that they fire on most.
 * @module
 */

import { columnsOf, type FeatureRecord } from "../core/analysis/record.ts";
import { type CharacteristicToken, characteristicTokens } from "../core/analysis/token_profile.ts";
import { featureCount } from "../core/transcoder/shape.ts";
import { percent } from "./format.ts";
import { visibleToken } from "./tokens.ts";

/**
 * Names a feature by the tokens that it is known by.
 *
 * @param tokens Those, the most characteristic first.
 * @param textOf The text of a token.
 * @param written How a token is written.
 * @returns `␣the 41 %, ␣a 12 %, ␣our 5 %`, each token with its share of the feature's firings; empty where it never fires.
 */
export function nameOf(
  tokens: readonly CharacteristicToken[],
  textOf: (id: number) => string,
  written: (token: string) => string = visibleToken,
): string {
  return tokens.map(({ id, share }) => `${written(textOf(id))} ${percent(share, 0)}`).join(", ");
}

/**
 * Names features by the tokens that are characteristic of them on a reading set.
 *
 * @param record What the dictionary does there.
 * @param written How a token is written.
 * @returns A feature's name, as of {@link nameOf}.
 */
export function featureNames(
  record: FeatureRecord,
  written: (token: string) => string = visibleToken,
): (feature: number) => string {
  const known = characteristicTokens(columnsOf(record, featureCount(record.groups)), record);
  return (feature) => nameOf(known[feature], (id) => record.tokenTexts.get(id)!, written);
}
