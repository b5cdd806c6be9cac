/**
 * The command line of `mtc sweep`: a transcoder for every combination of what it lists.
 * @module
 */

import type { Command } from "commander";
import { UsageError } from "../../core/errors.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { sourcesOf } from "../../core/runs/ids.ts";
import { inFlags } from "./settings.ts";
import { settingsFrom } from "./chosen.ts";
import { requestOf, requireFew } from "./new_request.ts";
import type { SweepOptions, TrainOptions, TrainRequest } from "./request.ts";

/**
 * Reads a command line that starts a sweep.
 *
 * @param options Its options.
 * @param command The command, which knows the flags.
 * @returns A transcoder for every combination of what is listed, by layer and source; the model is open.
 * @throws {UsageError} When a setting cannot be, or the combinations are too many.
 * @throws {UserError} When model, text or directory do not allow the run.
 */
export async function sweepRequest(options: SweepOptions, command: Command): Promise<TrainRequest> {
  const { dictionary = [undefined], k = [undefined], learningRate = [undefined], seed = [undefined], flat } = options;
  const lists = [dictionary, k, learningRate, seed];
  requireFew(lists.reduce((product, { length }) => product * length, flat ? 2 : 1));
  const request = await requestOf(options, command, (defaults, harvested) => {
    const dataSeed = options.dataSeed ?? harvested.data_seed ?? options.seed?.[0];
    const settings = (own: TrainOptions) => settingsFrom(own, defaults, harvested, command);
    const all = dictionary.flatMap((dictionary) =>
      k.flatMap((k) =>
        learningRate.flatMap((learningRate) =>
          seed.map((seed) => settings({ ...options, dictionary, k, learningRate, seed, dataSeed }))
        )
      )
    );
    return flat ? all.flatMap((nested) => [nested, { ...nested, groups: [featureCount(nested.groups)] }]) : all;
  });
  const { settings: { exclude_norm_above }, transcoders } = request;
  if (exclude_norm_above > 0 && sourcesOf(transcoders).length > 1) {
    throw new UsageError({
      action: `sweep over several sources with ${inFlags("exclude_norm_above", exclude_norm_above)}`,
      requirement: "each transcoder must be what it would be alone",
      found: "a token would be left out when it is too long at any of the sources",
      remedy: "sweep over the sources one after the other or leave the option out",
    });
  }
  return request;
}
