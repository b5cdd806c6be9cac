/**
 * Opening a model on the command line: its download from the hub and its way to the GPU show their progress.
 * @module
 */

import type { DownloadProgress } from "../core/hub/models.ts";
import { type ModelFiles, openModel } from "../core/model/files.ts";
import { onWait } from "../core/text/source.ts";
import { Progress } from "./progress.ts";

/** Bytes of what a download is counted in. */
const MB = 1e6;

/**
 * Opens a model as {@link openModel} does.
 *
 * @param model The value of `--model`, or what a run recorded of it.
 * @returns Its files.
 * @throws {UserError} As {@link openModel}.
 */
export function openModelVisibly(model: string): Promise<ModelFiles> {
  // Whatever reads text opens the model first.
  onWait((bytes) => console.error(`Reading the text  ${Math.round(bytes / MB)} MB so far`));
  return downloadVisibly(model, (onDownload) => openModel(model, onDownload));
}

/**
 * Downloads something with its progress shown.
 *
 * @param what What it is called.
 * @param download Does it, and tells how far it is.
 * @returns What `download` returns.
 */
export async function downloadVisibly<T>(
  what: string,
  download: (onDownload: (progress: DownloadProgress) => void) => Promise<T>,
): Promise<T> {
  const progress = new Progress(`Downloading ${what} (MB)`);
  try {
    return await download(({ done, total, received, waiting }) => {
      const work = { done: done / MB, total: total / MB, since: received / MB, unit: "MB" };
      if (waiting === "") progress.advance(work);
      else progress.show(Math.floor(work.done), Math.ceil(work.total), waiting, null);
    });
  } finally {
    progress.stop();
  }
}

/**
 * Loads a model with its progress shown.
 *
 * @param load Does it, and tells how many of the layers that are needed are loaded.
 * @returns What `load` returns.
 */
export async function loadVisibly<T>(
  load: (onLoading: (layers: number, needed: number) => void) => Promise<T>,
): Promise<T> {
  const progress = new Progress("Loading layers");
  try {
    return await load((layers, needed) => progress.advance({ done: layers, total: needed }));
  } finally {
    progress.stop();
  }
}
