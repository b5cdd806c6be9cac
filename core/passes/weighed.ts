/**
 * The units that a transcoder is measured in: those of raw targets, or, where it has several, units in which the targets weigh the same.
 * @module
 */

import { type Gpu, tensorFrom } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { TapColumns } from "../model/sites.ts";
import { type LinearMap, scaleMap } from "../transcoder/linear_map.ts";
import { scaleOutputs, type Transcoder } from "../transcoder/weights.ts";
import type { PlacedTranscoder } from "./features.ts";

/** A transcoder whose outputs are in those units. */
export interface WeighedTranscoder {
  /** The transcoder. */
  readonly transcoder: Transcoder;
  /** The linear map that it is held against, likewise; null where there is none. */
  readonly linearMap: LinearMap | null;
  /** f32 [2, d_out]: how raw targets side by side get there, as `recordPrepared` reads it. */
  readonly columns: Tensor;
}

/**
 * Brings a transcoder into the units that it is measured in.
 *
 * @param gpu The device.
 * @param placed The transcoder.
 * @param targets Its targets, side by side.
 * @returns Itself where it has a single target.
 */
export function weighed(gpu: Gpu, placed: PlacedTranscoder, targets: readonly TapColumns[]): WeighedTranscoder {
  const { transcoder, transcoder: { shape: { d_out } }, linearMap = null, config: { target_scales } } = placed;
  const columns = new Float32Array(2 * d_out), scales = columns.subarray(d_out).fill(1);
  if (target_scales) {
    targets.forEach(({ column, width }, t) => scales.fill(target_scales[t], column, column + width));
  }
  const tensor = tensorFrom(gpu, "targets weighed", [2, d_out], columns);
  if (!target_scales) return { transcoder, linearMap, columns: tensor };
  const weights = scaleOutputs(transcoder.weights, scales);
  return {
    transcoder: { ...transcoder, weights },
    linearMap: linearMap && scaleMap(linearMap, scales),
    columns: tensor,
  };
}
