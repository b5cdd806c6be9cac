/**
 * The model of a run and a device, opened for an analysis.
 * @module
 */

import type { Gpu } from "../../core/gpu/device.ts";
import type { ModelFiles } from "../../core/model/files.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";

/**
 * Opens a run's model and a device, and closes both behind what they are for.
 *
 * @param transcoders The run's transcoders.
 * @param model Where the model lies now, if not where it lay.
 * @param use What they are for.
 * @returns What `use` returns.
 * @throws {UserError} When the model cannot be read, or there is no device.
 */
export async function onModel<T>(
  transcoders: readonly FinishedTranscoder[],
  model: string | undefined,
  use: (gpu: Gpu, files: ModelFiles) => Promise<T>,
): Promise<T> {
  const { openModelVisibly } = await import("../open_model.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const files = await openModelVisibly(model ?? modelOf(transcoders));
  try {
    using gpu = await openGpu(undefined, transcoders[0].config.precision);
    return await use(gpu, files);
  } finally {
    await files.weights.close();
  }
}
