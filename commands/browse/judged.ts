/**
 * The verdict on a finished transcoder, from its files.
 * @module
 */

import { analysesOf } from "../../core/runs/analysed.ts";
import { readConfig } from "../../core/runs/config.ts";
import type { ServedVerdict } from "../../reports/browser/served.ts";
import { type Judged, successChecks, verdict } from "../../reports/checks.ts";

/**
 * Judges a transcoder as `mtc report` does.
 *
 * @param path Its directory.
 * @returns The verdict with the figures that it rests on.
 * @throws {UserError} When a file is missing, damaged, or does not fit the others.
 */
export async function judge(path: string): Promise<ServedVerdict> {
  const config = await readConfig(path), analyses = analysesOf({ path, config }, 0);
  const evaluation = await analyses.evaluation();
  const judged: Judged = {
    ...{ config, evaluation },
    metrics: await analyses.metrics(),
    course: await analyses.course(),
    weights: await analyses.weights(),
  };
  const { level, sentence } = verdict(judged), { fvu, linear_map, l0, dead_features, loss } = evaluation;
  return {
    ...{ level, sentence: sentence.replaceAll("**", "") },
    checks: successChecks(judged).map(({ id, passed, requirement, found }) => ({ id, passed, requirement, found })),
    ...{ fvu, linearMapFvu: linear_map?.fvu ?? null, l0, deadFeatures: dead_features },
    lossRecovered: loss?.per_prefix.at(-1)?.recovered_zero ?? null,
  };
}
