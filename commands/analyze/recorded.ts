/**
 * What the analyses share that are arithmetic on records and weights: their options, and the opening of a run with its records.
 * @module
 */

import { Command } from "commander";
import type { FeatureProgress } from "../../core/analysis/coactivation.ts";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { mappingName } from "../../core/runs/ids.ts";
import type { StoredTranscoder } from "../../core/transcoder/weights.ts";
import { movedDataOption, movedModelOption, runOption } from "../options.ts";
import { Progress } from "../progress.ts";
import { type OutputOptions, outputOptions } from "./output.ts";
import type { Moved } from "./reading.ts";

/** Options of an analysis of records. */
export interface RecordedOptions extends OutputOptions, Moved {
  /** A transcoder's directory or a run's. */
  run: string;
}

/** A transcoder with its record. */
export interface Recorded {
  /** The transcoder. */
  readonly transcoder: FinishedTranscoder<StoredTranscoder>;
  /** What it does on the reading set. */
  readonly record: FeatureRecord;
}

/**
 * Opens a run and reads its records, or makes them.
 *
 * @param options Which run, and where its model and text lie.
 * @param flag What named the run.
 * @returns Its transcoders.
 * @throws {UserError} When the run cannot be opened, or its records cannot be had.
 */
export async function openRecorded({ run, model, data }: RecordedOptions, flag?: string): Promise<Recorded[]> {
  const { openStoredRun } = await import("../../core/runs/finished.ts");
  const { recordsOf } = await import("./records.ts");
  const transcoders = await openStoredRun(run, flag), records = await recordsOf(transcoders, { model, data });
  return transcoders.map((transcoder, i) => ({ transcoder, record: records[i] }));
}

/**
 * Finds the transcoder of another run that maps the same.
 *
 * @param transcoder One of a run.
 * @param others Those of the other run.
 * @param run That run, for the message.
 * @returns The one from the same source to the same targets.
 * @throws {UserError} When there is none.
 */
export function counterpart(
  { config }: Pick<FinishedTranscoder, "config">,
  others: readonly Recorded[],
  run: string,
): Recorded {
  const found = others.find(({ transcoder }) => mappingName(transcoder.config) === mappingName(config));
  if (found) return found;
  throw new UserError({
    action: `compare with ${run}`,
    requirement: `it must have a transcoder ${mappingName(config)}`,
    found: `it has ${others.map(({ transcoder: { name: { phrase } } }) => phrase).join(", ")}`,
    remedy: "give a run with the same --layers, --source and --target",
  });
}

/**
 * Shows how far an analysis is.
 *
 * @param label What is being done.
 * @param analyze Does it.
 * @returns What it returns.
 */
export function visibly<T>(label: string, analyze: (onProgress: FeatureProgress) => T): T {
  const progress = new Progress(label);
  try {
    return analyze((done, total) => progress.advance({ done, total }));
  } finally {
    progress.stop();
  }
}

/**
 * Begins a command that analyses records.
 *
 * @param name Its name.
 * @param description What it does.
 * @param row What a row of its CSV is.
 * @returns The command with the options that all of them have.
 */
export function recordedCommand(name: string, description: string, row: string): Command {
  const [json, csv] = outputOptions(row);
  return new Command(name)
    .description(description)
    .addOption(runOption())
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(json)
    .addOption(csv);
}
