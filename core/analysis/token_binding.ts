/**
 * Whether a feature belongs to one token, by all of its firings and not by its strongest alone.
 * @module
 */

import type { FeatureRow } from "./feature_rows.ts";

/** A feature with at least this share of its firings on one token is a token detector. */
export const DETECTOR_SHARE = 0.5;

/** A feature with fewer firings is not judged: of 50, a share of a half is known to ± 0.14 (95 %), of 20 to ± 0.22. */
export const JUDGED_FIRES = 50;

/**
 * `detector` and `mixed` are certain of the text that was read; `undecided` are too few firings, or bounds on both sides of the
 * limit.
 */
export type TokenBinding = "detector" | "mixed" | "undecided";

/**
 * Judges one feature.
 *
 * @param row Its statistics.
 * @returns What it is; `undecided` also where a file is too old to say.
 */
export function tokenBinding(
  { fires, main_token_share: least, main_token_share_most: most }: FeatureRow,
): TokenBinding {
  if (fires < JUDGED_FIRES) return "undecided";
  return least >= DETECTOR_SHARE ? "detector" : most < DETECTOR_SHARE ? "mixed" : "undecided";
}
