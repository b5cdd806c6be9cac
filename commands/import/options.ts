/**
 * What the command line of `mtc import` says.
 * @module
 */

import type { Precision } from "../../core/gpu/products.ts";
import type { RunSettings } from "../../core/runs/settings.ts";

/** The options as commander gives them; those of {@link IMPORT_SETTINGS} are numbers. */
export interface ImportOptions extends Record<string, unknown> {
  out: string;
  model?: string;
  like?: string;
  layer?: number;
  source?: string;
  target?: string;
  data?: string[];
  textColumn?: string;
  badLines?: number;
  includeBos?: boolean;
  excludeTokens?: string[];
  precision?: Precision;
  json?: true;
}

/** The settings that concern what is measured of a finished transcoder. */
export const IMPORT_SETTINGS: readonly (keyof RunSettings)[] = [
  "context",
  "samples_per_feature",
  "sample_threshold",
  "sample_tokens",
  "evaluation_tokens",
];
