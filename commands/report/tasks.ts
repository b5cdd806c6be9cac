/**
 * The part of `mtc report` that is about the tasks of sweeps, of however many runs.
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../../core/files/atomic.ts";
import { readFleet } from "../../core/runs/fleet.ts";
import { TASK_FILES } from "../../reports/file_names.ts";
import { tasksCsv, tasksReport, transcodersCsv } from "../../reports/markdown/tasks_report.ts";
import { tasksLayersFigure, tasksParetoFigure } from "../../reports/plots/tasks.ts";
import { Progress } from "../progress.ts";
import { openDrawing } from "./drawing.ts";

/** What was written. */
export interface TasksReported {
  /** The files. */
  readonly files: readonly string[];
  /** The tasks, */
  readonly tasks: number;
  /** and the transcoders that are finished. */
  readonly transcoders: number;
}

/**
 * Writes what there is to say of all tasks whose plans are in a directory.
 *
 * @param runs The directory.
 * @param out Where to; it must exist.
 * @returns What was written; null where no plan is there, and nothing was.
 * @throws {UserError} When a plan-*.json is damaged, or the disk does not take the files.
 */
export async function reportTasks(runs: string, out: string): Promise<TasksReported | null> {
  const progress = new Progress("Reading tasks");
  const fleet = await readFleet(runs, (done, total) => progress.advance({ done, total })).finally(() =>
    progress.stop()
  );
  if (fleet === null) return null;
  const { settings, tasks } = fleet, layers = new Set(settings.map(({ of: { layer } }) => layer));
  await using drawing = openDrawing();
  const content: Record<string, string | Uint8Array> = {
    [TASK_FILES.tasks]: tasksCsv(fleet),
    ...settings.length > 0 && {
      [TASK_FILES.transcoders]: transcodersCsv(fleet),
      [TASK_FILES.pareto]: await drawing.draw(tasksParetoFigure(fleet)),
    },
    ...layers.size > 1 && { [TASK_FILES.layers]: await drawing.draw(tasksLayersFigure(fleet)) },
    [TASK_FILES.report]: tasksReport(fleet),
  };
  const files: string[] = [];
  for (const [name, bytes] of Object.entries(content)) {
    files.push(join(out, name));
    await writeFileAtomic(files.at(-1)!, bytes);
  }
  return { files, tasks: tasks.length, transcoders: settings.reduce((sum, { members }) => sum + members.length, 0) };
}
