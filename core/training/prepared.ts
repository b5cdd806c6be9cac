/**
 * Prepared activations on the GPU: the columns' numbers, and batches of rows made with them.
 * @module
 */

import { type Gpu, tensorFrom } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Columns, Preparation } from "../transcoder/weights.ts";

/** A preparation as the gathers of both ends read it: [2, width] means, then scales. */
export type PreparationTensors = Readonly<Record<keyof Preparation, Tensor>>;

/**
 * Uploads a preparation.
 *
 * @param gpu The device; the tensors live as long as this handle's owner.
 * @param preparation The preparation.
 * @returns Its tensors.
 */
export function uploadPreparation(gpu: Gpu, { source, target }: Preparation): PreparationTensors {
  const tensor = (label: string, { mean, scale }: Columns) => {
    const columns = new Float32Array(2 * mean.length);
    columns.set(mean);
    columns.set(scale, mean.length);
    return tensorFrom(gpu, label, [2, mean.length], columns);
  };
  return { source: tensor("source columns prepared", source), target: tensor("target columns prepared", target) };
}
