/**
 * <TRANSCODER>_TRAINING_SO_FAR.md: the curves of a training that has not ended.
 * @module
 */
import { dirname } from "node:path";
import type { TrainingSoFar } from "../../core/runs/so_far.ts";
import { provenance } from "./analysis_report.ts";
import { filesOf } from "../file_names.ts";
import { duration, integer, percent } from "../format.ts";
import { code, document, plain } from "./markdown.ts";
import { convergence, courseTable, throughput } from "./training_summary.ts";

/**
 * Says how far a training is, and who is at it.
 *
 * @param transcoder The transcoder.
 * @returns A sentence or two.
 */
export function standing({ path, config, course, saved, training }: TrainingSoFar): string {
  const { steps, batch_tokens } = config, left = steps - course.lastStep;
  const seconds = left * batch_tokens / course.tokensPerSecond;
  const far = `step ${integer(course.lastStep)} of ${integer(steps)} (${percent(course.lastStep / steps, 0)})`;
  if (training === null) {
    return `Stopped at ${far}. ${code(`mtc train --resume ${dirname(path)}`)} goes on from ${
      saved > 0 ? `step ${integer(saved)}, the newest checkpoint` : "the beginning, as there is no checkpoint"
    }.`;
  }
  return `In progress: ${far}, trained by ${plain(training.by)}; ${
    saved > 0 ? `step ${integer(saved)} is saved` : "nothing is saved yet"
  }${
    left > 0 && Number.isFinite(seconds)
      ? `, and the other steps take about ${duration(seconds)} at the median speed`
      : ""
  }.`;
}

/**
 * The page about a training that has not ended.
 *
 * @param transcoder The transcoder.
 * @param generated When the report is made.
 * @returns Markdown.
 */
export function trainingSoFar(transcoder: TrainingSoFar, generated: Date): string {
  return document([
    `# ${transcoder.name.title}: Training So Far`,
    standing(transcoder),
    provenance(transcoder, generated),
    "There is no verdict yet: held-out text is read when training ends, and so are the inference threshold, samples and statistics of the " +
    "features found. What follows are values of single training batches with batch top-k, which the next report replaces.",
    `![Loss, FVU per prefix, L0, dead features, learning rate and speed against the step](${
      filesOf(transcoder.name).curvesSoFar
    })`,
    courseTable(transcoder),
    "## Convergence and Stability",
    convergence(transcoder, { hasEnded: false }),
    "## Throughput",
    throughput(transcoder),
  ]);
}
