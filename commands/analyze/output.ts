/**
 * How every analysis is printed and kept.
 * @module
 */

import { Option } from "commander";
import { UserError } from "../../core/errors.ts";
import type { DescribedTranscoder, FinishedTranscoder } from "../../core/runs/finished.ts";
import { jsonOption } from "../options.ts";

/** How the result is to be printed: as text for a reader unless one of these is set. */
export interface OutputOptions {
  /** Complete, as JSON. */
  readonly json?: true;
  /** A table, as CSV. */
  readonly csv?: true;
}

/**
 * Declares `--json` and `--csv`, which exclude each other.
 *
 * @param row What a row of the CSV is, for example `a row per feature`.
 * @returns The options.
 */
export function outputOptions(row: string): [json: Option, csv: Option] {
  return [jsonOption().conflicts("csv"), new Option("--csv", `print CSV: ${row} of every transcoder`)];
}

/** A transcoder and what an analysis found. */
export interface Analysed<Result> {
  /** The transcoder. */
  readonly transcoder: DescribedTranscoder;
  /** What was found. */
  readonly result: Result;
}

/** Hears of a transcoder that could not be analysed, and why. */
export type LeaveOut = (transcoder: DescribedTranscoder, error: UserError) => void;

/**
 * Analyses transcoders one behind the other.
 *
 * @param transcoders Them.
 * @param analyse Analyses one.
 * @param leaveOut Hears of those that cannot be, which do not cost the others theirs; the first one ends it all if left out.
 * @returns What was found, in their order.
 * @throws {UserError} As `analyse` does, where nobody hears of it.
 */
export async function eachAnalysed<Result>(
  transcoders: readonly FinishedTranscoder[],
  analyse: (transcoder: FinishedTranscoder) => Promise<Result>,
  leaveOut?: LeaveOut,
): Promise<Analysed<Result>[]> {
  const analysed: Analysed<Result>[] = [];
  for (const transcoder of transcoders) {
    try {
      analysed.push({ transcoder, result: await analyse(transcoder) });
    } catch (error) {
      if (!leaveOut || !(error instanceof UserError)) throw error;
      leaveOut(transcoder, error);
    }
  }
  return analysed;
}

/** The rows of a CSV: a value by each column's name, in the order of the columns; NaN and null are empty cells. */
export type CsvRow = Readonly<Record<string, string | number | boolean | null>>;

/**
 * Prints results on stdout.
 *
 * @param run What `--run` named: an object is printed for a transcoder's directory, a list for a run's.
 * @param options How.
 * @param analysed The transcoders, in their order.
 * @param text What a reader is shown of one.
 * @param rows Its rows; all transcoders' have the same columns, and `run` in front.
 */
export async function print<Result extends object>(
  run: string,
  { json, csv }: OutputOptions,
  analysed: readonly Analysed<Result>[],
  text: (analysed: Analysed<Result>) => string,
  rows: (analysed: Analysed<Result>) => readonly CsvRow[],
): Promise<void> {
  if (json) {
    const all = analysed.map(({ transcoder: { directory, config: { layer } }, result }) => {
      return { run: directory, layer, ...result };
    });
    console.log(JSON.stringify(all.length === 1 && all[0].run === run ? all[0] : all, null, 2));
  } else if (csv) {
    const { csvFormat } = await import("d3-dsv");
    const all = analysed.flatMap((one) => rows(one).map((row) => ({ run: one.transcoder.directory, ...row })));
    console.log(
      csvFormat(all.map((row) => Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, cellOf(cell)])))),
    );
  } else console.log(analysed.map(text).join("\n\n"));
}

function cellOf(cell: CsvRow[string]): string {
  return cell === null || Number.isNaN(cell) ? "" : String(cell);
}

/**
 * Keeps results where `mtc report` finds them. They are told already, so a run that cannot be written to is no failure.
 *
 * @param analysed The results.
 * @param write Writes one into the transcoder's directory.
 */
export async function keep<Result>(
  analysed: readonly Analysed<Result>[],
  write: (directory: string, analysed: Analysed<Result>) => Promise<void>,
): Promise<void> {
  for (const one of analysed) {
    try {
      await write(one.transcoder.directory, one);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      console.error(`mtc: this is not kept for the reports: ${error.message}`);
    }
  }
}
