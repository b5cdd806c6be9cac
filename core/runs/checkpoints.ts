/**
 * Where the checkpoints of a transcoder in training lie; what they hold is core/training's business.
 * @module
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * The directory that holds a transcoder's checkpoints.
 *
 * @param directory The transcoder's directory.
 * @returns Its path.
 */
export function checkpointsOf(directory: string): string {
  return join(directory, "checkpoints");
}

/**
 * The name of a checkpoint.
 *
 * @param step Steps taken.
 * @returns For example `step_000500`.
 */
export function checkpointName(step: number): string {
  return `step_${String(step).padStart(6, "0")}`;
}

/**
 * Whether a name is that of a whole checkpoint.
 *
 * @param name The name of a directory.
 * @returns True for what {@link checkpointName} gives.
 */
export function isCheckpointName(name: string): boolean {
  return /^step_\d{6,}$/.test(name) && checkpointName(stepOf(name)) === name;
}

/**
 * The steps of a transcoder's whole checkpoints.
 *
 * @param directory The transcoder's directory.
 * @returns Steps, newest first; empty when there is none.
 */
export async function checkpointSteps(directory: string): Promise<number[]> {
  const names = await readdir(checkpointsOf(directory)).catch(() => []);
  return names.filter(isCheckpointName).map(stepOf).sort((a, b) => b - a);
}

function stepOf(name: string): number {
  return Number(name.slice("step_".length));
}
