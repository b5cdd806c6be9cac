/**
 * The plan of a run: what training, and what follows it, are to do.
 * @module
 */

import { join } from "node:path";
import type { ModelFiles } from "../model/files.ts";
import type { TranscoderConfig, TranscoderDescription } from "../runs/config.ts";
import type { Mapping } from "../runs/ids.ts";
import type { RunSettings } from "../runs/settings.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TextSummary } from "../text/summary.ts";

/** What a run needs to know before it starts. */
export interface TrainingPlan {
  /** The run's directory, runs/<name>. */
  readonly directory: string;
  /** Settings of all transcoders. */
  readonly settings: RunSettings;
  /** What each transcoder maps. */
  readonly mappings: readonly Mapping[];
  /** The directory of each transcoder in the run's, in the order of `mappings`. */
  readonly names: readonly string[];
  /** The opened model. */
  readonly model: ModelFiles;
  /** The text. */
  readonly data: DataPaths;
  /** What config.json says beyond settings, mapping and measurements. */
  readonly describe: (mapping: Mapping, text: TextSummary) => TranscoderDescription;
  /** The transcoders' config.json files when the run is resumed, in the order of `mappings`. */
  readonly resumed: readonly TranscoderConfig[] | null;
}

/**
 * Where the transcoders' files lie.
 *
 * @param plan The run.
 * @returns A directory for each, in the order of the mappings.
 */
export function directoriesOf({ directory, names }: Pick<TrainingPlan, "directory" | "names">): string[] {
  return names.map((name) => join(directory, name));
}
