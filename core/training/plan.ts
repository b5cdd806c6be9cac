/**
 * The plan of a run: what training, and what follows it, are to do.
 * @module
 */

import { join } from "node:path";
import type { ModelFiles } from "../model/files.ts";
import type { HarvestReference, ParentReference, TranscoderConfig, TranscoderDescription } from "../runs/config.ts";
import type { Mapping } from "../runs/ids.ts";
import type { OwnSettings, RunSettings, SharedSettings } from "../runs/settings.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TextReading } from "../text/reading.ts";
import type { TextSummary } from "../text/summary.ts";

/** Finished weights that a transcoder starts from. */
export interface Start {
  /** The directory of the finished transcoder. */
  readonly directory: string;
  /** What the run keeps of where they came from. */
  readonly parent: ParentReference;
}

/** One of a run's transcoders before it is trained. */
export interface PlannedTranscoder extends Mapping {
  /** The name of its directory in the run's. */
  readonly name: string;
  /** What it has for itself. */
  readonly settings: OwnSettings;
  /** What it starts from; absent for random weights, and where a run goes on that was interrupted. */
  readonly start?: Start;
}

/** What a run needs to know before it starts. */
export interface TrainingPlan {
  /** The run's directory, runs/<name>. */
  readonly directory: string;
  /** What its transcoders share. */
  readonly settings: SharedSettings;
  /** What it trains, on one harvest. */
  readonly transcoders: readonly PlannedTranscoder[];
  /** The opened model. */
  readonly model: ModelFiles;
  /** The text, */
  readonly data: DataPaths;
  /** and how its records are read: plainly if left out. */
  readonly reading?: TextReading;
  /** The harvest that its activations are read from; absent where the model computes them. */
  readonly activations?: HarvestReference;
  /** Whether an event file of TensorBoard is written beside metrics.csv; a resumed run goes on with those that it has. Not if left out. */
  readonly hasEvents?: boolean;
  /** What config.json says beyond settings, mapping and measurements. */
  readonly describe: (transcoder: PlannedTranscoder, text: TextSummary) => TranscoderDescription;
  /** The transcoders' config.json files when the run is resumed, in their order. */
  readonly resumed: readonly TranscoderConfig[] | null;
  /** The round of a sweep that begins; left out for runs that are none, and where a round is resumed. */
  readonly round?: SweepRound;
  /** Throws where the run must not write any more, as another process has it; called before a checkpoint and before the finished files. */
  readonly beforeWriting?: () => Promise<void>;
}

/** A round of a sweep before its first step. */
export interface SweepRound {
  /** Counted from 1. */
  readonly number: number;
  /** What stands in the transcoders' config.json files as long as they wait for it, in their order. */
  readonly waiting: readonly TranscoderConfig[];
}

/**
 * Where the transcoders' files lie.
 *
 * @param plan The run.
 * @returns A directory for each, in their order.
 */
export function directoriesOf({ directory, transcoders }: Pick<TrainingPlan, "directory" | "transcoders">): string[] {
  return transcoders.map(({ name }) => join(directory, name));
}

/**
 * All settings of a transcoder of a run.
 *
 * @param plan The run.
 * @param transcoder The transcoder.
 * @returns What it shares with the others, and its own.
 */
export function settingsIn(plan: Pick<TrainingPlan, "settings">, { settings }: PlannedTranscoder): RunSettings {
  return { ...plan.settings, ...settings };
}
