/**
 * What features are called on a terminal: the tokens that they fire on.
 * @module
 */

import type { FinishedTranscoder } from "../../core/runs/finished.ts";

/**
 * Reads which token each feature is strongest on.
 *
 * @param transcoder A finished transcoder.
 * @returns The most frequent token among a feature's top samples, as it can be seen; empty where it has none, or the run no features.csv.
 */
export async function tokenNames({ directory, config }: FinishedTranscoder): Promise<(feature: number) => string> {
  const { hasFeatures, readFeatures } = await import("../../core/runs/features.ts");
  const { visibleToken } = await import("../../reports/tokens.ts");
  if (!await hasFeatures(directory)) return () => "";
  const rows = await readFeatures(directory, config.groups);
  return (feature) => Number.isNaN(rows[feature].top_token_id) ? "" : visibleToken(rows[feature].top_token);
}
