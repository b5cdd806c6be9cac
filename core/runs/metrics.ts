/**
 * metrics.csv: one row per logged step, appended while a run goes on.
 * @module
 */

import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { MetricsRow } from "../analysis/convergence.ts";
import { UserError } from "../errors.ts";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import { readText } from "./json.ts";
import { forgetSum, requireSum } from "./sums.ts";
import { type Column, headerLine, numberColumn, numberIn, parseTable, rowLines } from "./table.ts";

/** The file's name. */
export const METRICS_FILE = "metrics.csv";

/** f32 measurements carry about seven digits. */
const DIGITS = 7, TIMING_DIGITS = 5;

/**
 * Rounds a measurement as the file has it.
 *
 * @param value The measurement.
 * @returns The number that is read of it; NaN for one that is not finite.
 */
export function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(DIGITS)) : NaN;
}

/**
 * Rounds a timing likewise.
 *
 * @param value The timing.
 * @returns The number that is read of it; NaN for one that is not finite.
 */
export function roundedTiming(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(TIMING_DIGITS)) : NaN;
}

function measured(value: number): string {
  return String(rounded(value));
}

function timing(value: number): string {
  return String(roundedTiming(value));
}

/** The columns, in the file's order; the prefixes of the groups name those of FVU, and the last two are timings. */
function columnsOf(groups: readonly number[]): Column<MetricsRow>[] {
  return [
    numberColumn("step", "count"),
    numberColumn("tokens", "count"),
    numberColumn("loss", "any", measured),
    numberColumn("aux_loss", "any", measured, true),
    ...prefixEnds(groups).map((end, p): Column<MetricsRow> => ({
      name: `fvu_prefix_${end}`,
      write: ({ fvu_per_prefix }) => measured(fvu_per_prefix[p]),
      read(cell, { fvu_per_prefix }) {
        const value = numberIn(cell, false, "amount");
        if (value !== null) fvu_per_prefix[p] = value;
        return value !== null;
      },
    })),
    numberColumn("l0", "amount", measured),
    numberColumn("dead_features", "amount", measured),
    numberColumn("learning_rate", "amount", measured),
    numberColumn("threshold", "any", measured, true),
    numberColumn("elapsed_s", "amount", timing, true),
    numberColumn("tokens_per_s", "amount", timing, true),
  ];
}

/**
 * Starts the file anew.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @throws {UserError} When the disk does not take it.
 */
export async function startMetrics(directory: string, groups: readonly number[]): Promise<void> {
  await forgetSum(directory, METRICS_FILE);
  await writeFileAtomic(join(directory, METRICS_FILE), headerLine(columnsOf(groups)));
}

/**
 * Appends rows.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @param rows Logged steps, ascending.
 * @throws {UserError} When the disk does not take them.
 */
export async function appendMetrics(
  directory: string,
  groups: readonly number[],
  rows: readonly MetricsRow[],
): Promise<void> {
  const path = join(directory, METRICS_FILE);
  try {
    await appendFile(path, rowLines(columnsOf(groups), rows));
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/**
 * Copies the file into a checkpoint, where nothing is appended to it any more.
 *
 * @param directory The transcoder's directory; without the file there is nothing to copy.
 * @param checkpoint The checkpoint's directory.
 * @throws {UserError} When it cannot be read, or the disk does not take it.
 */
export async function copyMetrics(directory: string, checkpoint: string): Promise<void> {
  const text = await textIfThere(join(directory, METRICS_FILE));
  if (text !== null) await writeFileAtomic(join(checkpoint, METRICS_FILE), text);
}

/**
 * Makes the file what it was at a checkpoint: that one's copy of it, whatever became of the file since. Where an older mtc made no copy, the
 * file itself is taken.
 *
 * @param directory The transcoder's directory.
 * @param checkpoint The checkpoint's directory.
 * @param steps Which rows stay: those behind `after`, up to `last`.
 * @returns False when there is neither a copy nor a file; nothing was written then.
 * @throws {UserError} When it cannot be read, or the disk does not take it.
 */
export async function restoreMetrics(
  directory: string,
  checkpoint: string,
  { after, last }: { readonly after: number; readonly last: number },
): Promise<boolean> {
  const path = join(directory, METRICS_FILE);
  const text = await textIfThere(join(checkpoint, METRICS_FILE)) ?? await textIfThere(path);
  if (text === null) return false;
  // What follows the last line end is no whole row, even where it reads like a small step.
  const [header, ...rows] = text.slice(0, text.lastIndexOf("\n")).split("\n");
  const kept = rows.filter((row) => {
    const step = Number(row.split(",", 1)[0]);
    return step > after && step <= last;
  });
  // Rows may be added; what the run ends with has its checksum then.
  await forgetSum(directory, METRICS_FILE);
  await writeFileAtomic(path, [header, ...kept, ""].join("\n"));
  return true;
}

async function textIfThere(path: string): Promise<string | null> {
  return await exists(path) ? await readText(path) : null;
}

/**
 * Reads the rows that the file has by now.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @returns Its rows, none before the first logged step.
 * @throws {UserError} When a column is missing, a row is cut off, or a cell is not a number.
 */
export async function metricsSoFar(directory: string, groups: readonly number[]): Promise<MetricsRow[]> {
  const path = join(directory, METRICS_FILE), text = await readText(path);
  // Every other key is one of the columns, all of which are read.
  return parseTable(text, path, columnsOf(groups), () => ({ fvu_per_prefix: [] as number[] }) as MetricsRow);
}

/**
 * Reads the file of a run that is not under way.
 *
 * @param directory The transcoder's directory.
 * @param groups Features per Matryoshka group.
 * @returns The logged steps, ascending, at least one.
 * @throws {UserError} When a column is missing, a row is cut off, a cell is not a number, or there is no row.
 */
export async function readMetrics(directory: string, groups: readonly number[]): Promise<MetricsRow[]> {
  await requireSum(directory, METRICS_FILE);
  const path = join(directory, METRICS_FILE), rows = await metricsSoFar(directory, groups);
  const out = rows.findIndex(({ step }, i) => !(i === 0 ? step > 0 : step > rows[i - 1].step));
  if (out >= 0) {
    throw new UserError({
      action: `read ${path}`,
      requirement: "its steps must ascend from 1",
      found: `row ${out + 2} is of step ${rows[out].step}`,
      remedy: "restore it or train the run again",
    });
  }
  if (rows.length > 0) return rows;
  throw new UserError({
    action: `read ${path}`,
    requirement: "it must hold at least one logged step",
    found: "it holds none",
    remedy: "train the run again",
  });
}
