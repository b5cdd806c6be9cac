/**
 * Opening a model on the command line: its download from the hub and its way to the GPU show their progress.
 * @module
 */

import { type ModelFiles, openModel } from "../core/model/files.ts";
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

/** Seconds of loading before it is shown: a small model is loaded by then. */
const QUIET_S = 1;

/**
 * Loads a model with its progress shown.
 *
 * @param load Does it, and tells how many of the layers that are needed are loaded.
 * @returns What `load` returns.
 */
export async function loadVisibly<T>(
  load: (onLoading: (layers: number, needed: number) => void) => Promise<T>,
): Promise<T> {
  const progress = new Progress("Loading layers"), started = performance.now();
  try {
    return await load((layers, needed) => {
      const seconds = (performance.now() - started) / 1000;
      if (seconds >= QUIET_S) {
        progress.show(layers, needed, "", layers > 0 ? seconds / layers * (needed - layers) : null);
      }
    });
  } finally {
    progress.stop();
  }
}
