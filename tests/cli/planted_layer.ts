/** A finished layer whose record is planted, for commands that read records. */

import { readConfig, type TranscoderConfig } from "../../core/runs/config.ts";
import { writeRecord } from "../../core/runs/record.ts";
import { readTranscoder } from "../../core/runs/transcoder.ts";
import { bursty, plantedRecord } from "../analysis/planted_record.ts";
import { GROUPS, writeTinyLayer } from "./tiny_run.ts";

/** Tokens of the record. */
export const TOKENS = 1024;

/** Writes a layer into `run` whose 32 features fire in bursts, feature 31 never; returns its directory. */
export async function writePlantedLayer(
  run: string,
  layer: number,
  changes: Partial<TranscoderConfig> = {},
): Promise<string> {
  const directory = await writeTinyLayer(run, layer, changes);
  const rules = Array.from({ length: 32 }, (_, i) => i === 31 ? () => 0 : bursty(i + 100 * layer, TOKENS, 0.06));
  const transcoder = await readTranscoder(directory, await readConfig(directory));
  await writeRecord(directory, transcoder, plantedRecord(GROUPS, TOKENS, rules));
  return directory;
}
