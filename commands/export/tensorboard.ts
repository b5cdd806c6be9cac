/**
 * `mtc export --to tensorboard`: an event file per transcoder, with what metrics.csv says.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { requireTrainedHere } from "../../core/runs/config.ts";
import { startEvents } from "../../core/runs/events.ts";
import { readMetrics } from "../../core/runs/metrics.ts";
import { refusePrefix } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

/**
 * Writes a directory with an event file for each transcoder.
 *
 * @param request What is asked.
 * @returns What each of them holds.
 * @throws {UserError} When a transcoder was imported, a metrics.csv cannot be read, or the disk does not take the files.
 */
export async function exportTensorboard({ transcoders, pieces, write }: ExportRequest): Promise<Exported[]> {
  refusePrefix(pieces, "TensorBoard", "its curves have all prefixes already");
  requireTrainedHere("export to TensorBoard", transcoders.map(({ config }) => config));
  const rows = await Promise.all(transcoders.map(({ directory, config }) => readMetrics(directory, config.groups)));
  await write(async (directory) => {
    for (const { directory: run, name: { file }, config } of transcoders) {
      const at = join(directory, file);
      await mkdir(at);
      await startEvents(run, config, at);
    }
  });
  return transcoders.map(({ directory, name: { file }, config: { features } }, i) => ({
    run: directory,
    directory: file,
    features,
    remarks: [`${rows[i].length} logged steps up to ${rows[i].at(-1)!.step}`],
  }));
}
