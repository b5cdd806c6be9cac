/**
 * What `mtc train` and `mtc sweep` print of a run when it is finished.
 * @module
 */

import process from "node:process";
import type { LossEvaluation, SplicedFigures } from "../../core/analysis/loss.ts";
import { exists } from "../../core/files/exists.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { idOf, nameTranscoders } from "../../core/runs/ids.ts";
import { TRANSCODER_FILE } from "../../core/runs/transcoder.ts";
import { directoriesOf } from "../../core/training/plan.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { join } from "node:path";
import { counted } from "../../reports/format.ts";
import { spreadText, textRead } from "../../reports/held_out.ts";
import { type PrefixOf, recoveredShares } from "../../reports/loss_table.ts";
import { bytes } from "../bytes.ts";
import type { TrainRequest } from "./request.ts";

/** Of so many transcoders each gets all its lines; of more a line. */
const MOST_TOLD = 4;
/** From this FVU on a transcoder is worse than none by so much that its training went wrong, and no longer is short. */
const RUINED = 10;

/**
 * The most host memory that this process has had, in bytes; null where the runtime does not tell. On CPU adapters it holds the GPU's
 * too.
 */
function peakMemory(): number | null {
  // Deno knows it from 2.9 on; its types say always.
  const kilobytes = (process as Partial<typeof process>).resourceUsage?.().maxRSS;
  return kilobytes === undefined ? null : kilobytes * 1024;
}

/**
 * Prints the held-out figures of a run.
 *
 * @param request The run; what of it is not finished is passed over.
 * @param asJson Whether a program reads them.
 * @throws {UserError} When they cannot be read.
 */
export async function printResult(request: TrainRequest, asJson: boolean): Promise<void> {
  const { directory, settings: { data_seed }, transcoders: planned, model } = request,
    directories = directoriesOf(request);
  const ids = planned.map(({ settings, source, targets }) => idOf({ ...settings, data_seed, source, targets, model }));
  const phrases = nameTranscoders(ids).map(({ phrase }) => phrase);
  const isFinished = await Promise.all(directories.map((path) => exists(join(path, TRANSCODER_FILE))));
  const finished = planned.map((_, i) => i).filter((i) => isFinished[i]);
  const transcoders = await Promise.all(finished.map(async (i) => {
    const path = directories[i];
    return { layer: planned[i].targets[0].layer, path, evaluation: await readEvaluation(path) };
  }));
  const peak = peakMemory();
  if (asJson) {
    return console.log(JSON.stringify({ run: directory, peak_memory_bytes: peak, layers: transcoders }, null, 2));
  }
  if (transcoders.length === 0) return;
  console.log(`\nHeld-out text, ${textRead(transcoders[0].evaluation)}, threshold inference:`);
  const longest = Math.max(...finished.map((i) => phrases[i].length));
  for (const [at, { evaluation }] of transcoders.entries()) {
    const i = finished[at],
      { fvu, fvu_per_prefix, fvu_per_target, fvu_unit_variance: unit, linear_map, skip_alone, l0, dead_features } =
        evaluation;
    const { groups, k } = planned[i].settings,
      dead = `dead ${dead_features} of ${featureCount(groups)}`,
      map = linear_map ? ` (linear map ${figure(linear_map.fvu)})` : "";
    const name = transcoders.length > 1 ? phrases[i].padEnd(longest) : phrases[i];
    console.log(`  ${name}   FVU ${figure(fvu)}${map}   L0 ${l0.toFixed(1)} (k ${k})   ${dead}`);
    if (transcoders.length > MOST_TOLD) continue;
    const prefixes = fvu_per_prefix.slice(0, -1).map((p) => `${figure(p.fvu)} with ${p.prefix}`).join(", ");
    const others = [
      ...skip_alone ? [`${figure(skip_alone.fvu)} of the skip connection alone`] : [],
      ...prefixes ? [`${prefixes} features`] : [],
      ...unit === undefined ? [] : [`${figure(unit)} at unit variance`],
    ];
    if (others.length > 0) console.log(`    FVU ${others.join("; ")}`);
    for (const { target, fvu, linear_map } of fvu_per_target ?? []) {
      const map = linear_map ? ` (linear map ${figure(linear_map.fvu)})` : "";
      console.log(`    FVU of ${target} ${figure(fvu)}${map}`);
    }
    const spread = spreadText(evaluation, 3);
    if (spread !== "") console.log(`    FVU of documents, least, median, largest: ${spread}`);
    if (evaluation.loss) console.log(recoveredOf(evaluation.loss, evaluation.loss));
    if (fvu >= RUINED) {
      console.log(
        `    It did not learn: its error is ${
          figure(fvu)
        } times the variance of its target, where always the mean has 1; ` +
          "start another run with a lower --learning-rate",
      );
    }
  }
  const together = transcoders.flatMap(({ evaluation: { loss } }) => {
    const { replacement_model: team } = loss ?? {};
    return loss && team ? [`  ${team.transcoders.join(" and ")} at once\n${recoveredOf(loss, team)}`] : [];
  });
  if (transcoders.length <= MOST_TOLD) { for (const told of new Set(together)) console.log(told); }
  if (peak !== null) console.log(`\nPeak memory of this process: ${bytes(peak)}`);
  console.log(`\nNext: mtc report --runs ${directory} --out analysis_results`);
}

/** A figure as a person reads it; an FVU has no upper bound. */
function figure(value: number): string {
  return value < 1e6 ? value.toFixed(3) : value.toExponential(3).replace("e+", "e");
}

function recoveredOf(
  { tokens }: Pick<LossEvaluation, "tokens">,
  { per_prefix }: { readonly per_prefix: readonly (SplicedFigures & PrefixOf)[] },
): string {
  return `    Loss recovered of what zeros cost, ${counted(tokens, "prediction")}: ${recoveredShares(per_prefix)}`;
}
