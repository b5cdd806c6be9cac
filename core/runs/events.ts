/**
 * metrics.csv once more, as an event file of TensorBoard beside it: the same rows with the same digits. It is appended to while a run goes on. A run
 * that is resumed begins it anew from metrics.csv, under a later name, so that what was written of steps that are taken again is gone.
 * @module
 */

import { appendFile, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { MetricsRow } from "../analysis/convergence.ts";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import {
  encodeEvents,
  eventFileName,
  eventFileStart,
  eventFileTime,
  type Scalar,
  type ScalarEvent,
} from "../files/tensorboard.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import type { TranscoderConfig } from "./config.ts";
import { metricsSoFar, rounded, roundedTiming } from "./metrics.ts";

/** What of config.json events are made with. */
export type EventSettings = Pick<TranscoderConfig, "created" | "groups">;

/**
 * Whether a transcoder has an event file.
 *
 * @param directory The transcoder's directory.
 * @returns Whether there is one.
 */
export async function hasEvents(directory: string): Promise<boolean> {
  return (await eventFilesIn(directory)).length > 0;
}

/** The event files of a directory, the earliest first. */
async function eventFilesIn(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => eventFileTime(name) !== null).sort();
}

/**
 * Writes an event file of what metrics.csv says by now, in place of any other.
 *
 * @param directory The transcoder's directory.
 * @param config Its config.json.
 * @param out Where the event file goes; the transcoder's directory if left out.
 * @returns The path of the file, which {@link appendEvents} goes on with.
 * @throws {UserError} When metrics.csv cannot be read, or the disk does not take the file.
 */
export async function startEvents(directory: string, config: EventSettings, out: string = directory): Promise<string> {
  const rows = await metricsSoFar(directory, config.groups), older = await eventFilesIn(out);
  // A clock that was set back must not bring the new file in front of the old one.
  const time = Math.max(Date.now(), 1 + (eventFileTime(older.at(-1) ?? "") ?? -1));
  const path = join(out, eventFileName(time)), began = Date.parse(config.created) / 1000;
  const parts = [eventFileStart(began), encodeEvents(rows.map((row) => eventOf(row, config)))];
  await writeFileAtomic(path, new Uint8Array(await new Blob(parts).arrayBuffer()));
  for (const name of older) await unlink(join(out, name)).catch(() => {});
  return path;
}

/**
 * Appends rows to an event file.
 *
 * @param path What {@link startEvents} gave.
 * @param config The transcoder's config.json.
 * @param rows Logged steps, ascending.
 * @throws {UserError} When the disk does not take them.
 */
export async function appendEvents(path: string, config: EventSettings, rows: readonly MetricsRow[]): Promise<void> {
  try {
    await appendFile(path, encodeEvents(rows.map((row) => eventOf(row, config))));
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** When a step was taken is when the run was begun and how long it had been training: the same however often it is written. */
function eventOf(row: MetricsRow, { created, groups }: EventSettings): ScalarEvent {
  const scalar = (tag: string, value: number): Scalar => ({ tag, value: rounded(value) });
  return {
    wallTime: Date.parse(created) / 1000 + (Number.isFinite(row.elapsed_s) ? roundedTiming(row.elapsed_s) : 0),
    step: row.step,
    scalars: [
      scalar("loss", row.loss),
      scalar("aux_loss", row.aux_loss),
      ...prefixEnds(groups).map((end, p) => scalar(`fvu/prefix_${end}`, row.fvu_per_prefix[p])),
      scalar("l0", row.l0),
      scalar("dead_features", row.dead_features),
      scalar("threshold", row.threshold),
      scalar("learning_rate", row.learning_rate),
      { tag: "speed/tokens_per_s", value: roundedTiming(row.tokens_per_s) },
      { tag: "speed/tokens", value: row.tokens },
    ],
  };
}
