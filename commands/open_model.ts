/**
 * Opening a model on the command line: a download from the hub shows its progress.
 * @module
 */

import { type ModelFiles, openModel } from "../core/gemma2/files.ts";
import { Progress } from "./progress.ts";

/**
 * Opens a model as {@link openModel} does.
 *
 * @param model The value of `--model`, or what a run recorded of it.
 * @returns Its files.
 * @throws {UserError} As {@link openModel}.
 */
export async function openModelVisibly(model: string): Promise<ModelFiles> {
  const progress = new Progress(`Downloading ${model} (MB)`), started = performance.now();
  try {
    return await openModel(model, ({ done, total, received, waiting }) => {
      const rate = received / (performance.now() - started); // bytes per millisecond: kB per second
      const note = waiting !== "" ? waiting : `${(rate / 1000).toFixed(1)} MB/s`;
      const left = received > 0 && waiting === "" ? (total - done) / rate / 1000 : null;
      progress.show(Math.floor(done / 1e6), Math.ceil(total / 1e6), note, left);
    });
  } finally {
    progress.stop();
  }
}
