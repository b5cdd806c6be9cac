/**
 * What an export is asked for, and what it tells.
 * @module
 */

import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { Piece } from "./pieces.ts";

/** What is asked of an export. */
export interface ExportRequest {
  /** `--run`. */
  readonly run: string;
  /** The run's transcoders. */
  readonly transcoders: readonly FinishedTranscoder[];
  /** What of them is exported, at least one. */
  readonly pieces: readonly Piece[];
  /** What the tool calls the language model. */
  readonly modelName: string;
  /** What Neuronpedia calls the set of all of the run's transcoders. */
  readonly setName: string;
  /** Where the model lies now, if not where it lay. */
  readonly model?: string;
  /** Where the run's text lies now, likewise. */
  readonly data?: string[];
  /** Held-out tokens that the FVU which remains is measured on. */
  readonly tokens: number;
  /** Whether what is known of features is exported with them, where the tool shows it. */
  readonly hasFeatures: boolean;
  /** Where the files are to be. */
  readonly out: string;
  /** Makes that directory; it is there once `fill` has written all of its files to the one that it is given, under another name. */
  readonly write: (fill: (directory: string) => Promise<void>) => Promise<void>;
}

/** What was written of one piece. */
export interface Exported {
  /** The directory of the transcoder; of a set, that which was asked for. */
  readonly run: string;
  /** Of a set, the directories of its transcoders. */
  readonly transcoders?: readonly string[];
  /** Where it is, from the export's directory: `.`, or a name in it. */
  readonly directory: string;
  /** How many features. */
  readonly features: number;
  /** What is to be said of it: clauses. */
  readonly remarks: readonly string[];
}
