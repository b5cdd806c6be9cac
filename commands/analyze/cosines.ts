/**
 * All cosines between a dictionary's rows, with a bar.
 * @module
 */

import type { Gpu } from "../../core/gpu/device.ts";
import type { ComparedCosines } from "../../core/passes/cosines.ts";
import { Progress } from "../progress.ts";

/** Rows that are compared. */
export interface ComparedRows {
  /** What the bar is called. */
  readonly label: string;
  /** [rows, width]; overwritten, as a large matrix is not to be held twice. */
  readonly matrix: Float32Array<ArrayBuffer>;
  /** How wide they are. */
  readonly width: number;
  /** Rows per Matryoshka group. */
  readonly groups: readonly number[];
}

/**
 * Compares all pairs of rows, beside those of random ones, while a bar shows how far it is.
 *
 * @param gpu The device.
 * @param rows The rows.
 * @returns Both.
 * @throws {UserError} When a tensor is larger than the adapter can bind, or the device fails.
 */
export async function compareVisibly(
  gpu: Gpu,
  { label, matrix, width, groups }: ComparedRows,
): Promise<ComparedCosines> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { compareCosines } = await import("../../core/passes/cosines.ts");
  const progress = new Progress(label);
  try {
    return await compareCosines(gpu, directionsOf(matrix, width, matrix), groups, (done, total) => {
      progress.advance({ done, total });
    });
  } finally {
    progress.stop();
  }
}
