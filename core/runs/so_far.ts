/**
 * What the files of a transcoder tell whose training has not ended: its curves up to the last logged step.
 * @module
 */

import { type MetricsRow, type TrainingCourse, trainingCourse } from "../analysis/convergence.ts";
import { UserError } from "../errors.ts";
import { checkpointSteps } from "./checkpoints.ts";
import type { TranscoderConfig } from "./config.ts";
import type { Training, TranscoderDirectory } from "./discovery.ts";
import { compareIds, describeId, idOf, nameTranscoders, type TranscoderName } from "./ids.ts";
import { metricsSoFar } from "./metrics.ts";
import { TRANSCODER_FILE } from "./transcoder.ts";

/** A transcoder in the middle of its training. */
export interface TrainingSoFar {
  /** Path of its directory. */
  readonly path: string;
  /** What it is called among those that are unfinished. */
  readonly name: TranscoderName;
  /** config.json. */
  readonly config: TranscoderConfig;
  /** metrics.csv, one row at least. */
  readonly metrics: readonly MetricsRow[];
  /** The course of the training up to the last of them. */
  readonly course: TrainingCourse;
  /** The step of the newest checkpoint; 0 before the first. */
  readonly saved: number;
  /** Who trains it at this moment; null when nobody does. */
  readonly training: Training | null;
}

/**
 * Reads what unfinished transcoders tell so far, of equal ones the newest.
 *
 * @param unfinished Those that lack files of a finished one. Left out are those that have been trained to the end and have lost
 * what they had, those that were imported, and those that have not logged a step.
 * @param passOver Hears of each whose metrics.csv cannot be read.
 * @returns The others, in the order of {@link compareIds}.
 */
export async function trainingsSoFar(
  unfinished: readonly TranscoderDirectory[],
  passOver: (path: string, error: UserError) => void,
): Promise<TrainingSoFar[]> {
  const newestFirst = unfinished.filter(({ config, missing }) => !config.imported && missing.includes(TRANSCODER_FILE))
    .toSorted((a, b) => Date.parse(b.config.created) - Date.parse(a.config.created));
  const read = new Map<string, Omit<TrainingSoFar, "name">>();
  for (const { path, config, training } of newestFirst) {
    const key = describeId(idOf(config));
    if (read.has(key)) continue;
    try {
      const metrics = await metricsSoFar(path, config.groups);
      if (metrics.length === 0) continue;
      const [saved = 0] = await checkpointSteps(path), course = trainingCourse(metrics, config);
      if (course.completed && training === null) continue;
      read.set(key, { path, config, metrics, course, saved, training });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      passOver(path, error);
    }
  }
  const sorted = [...read.values()].sort((a, b) => compareIds(idOf(a.config), idOf(b.config)));
  const names = nameTranscoders(sorted.map(({ config }) => idOf(config)));
  return sorted.map((one, i) => ({ ...one, name: names[i] }));
}
