/**
 * How a finished run goes on for more steps: as another run that begins with its last checkpoint, and then is like any that is resumed.
 * @module
 */

import { copyFile, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { makeTemporaryDirectory } from "../files/temporary.ts";
import { checkpointName, checkpointsOf, checkpointSteps } from "../runs/checkpoints.ts";
import { writeConfig } from "../runs/config.ts";
import { readLinearMap, writeLinearMap } from "../runs/linear_map.ts";
import { startMetrics } from "../runs/metrics.ts";
import { readPreparation, writePreparation } from "../runs/preparation.ts";
import { CHECKPOINT_FILES, COPIED_FILES } from "./checkpoint.ts";
import type { TrainingPlan } from "./plan.ts";

/**
 * Makes sure that a finished transcoder has the checkpoint of its last step.
 *
 * @param directory Its directory.
 * @param steps Its steps.
 * @throws {UserError} When that was removed.
 */
export async function requireLastCheckpoint(directory: string, steps: number): Promise<void> {
  if ((await checkpointSteps(directory)).includes(steps)) return;
  throw new UserError({
    action: `go on with ${directory}`,
    requirement: `the checkpoint of its last step must be there, ${
      join(checkpointsOf(directory), checkpointName(steps))
    }`,
    found: "it was removed",
    remedy: "restore it, or start from the weights alone: without --more-steps, Adam begins afresh",
  });
}

/**
 * Writes what a run is resumed from: config.json files of its own, and of its parent the preparation, the linear map and the last
 * checkpoint. The directory appears whole or not at all.
 *
 * @param plan The run; its config.json files, which count on from its parent's steps, are those of `resumed`.
 * @param parents The directory of each transcoder's parent, in their order.
 * @throws {UserError} When a file of the parent is missing or damaged, or the disk does not take it.
 */
export async function beginFurther(
  { directory, transcoders, resumed }: Pick<TrainingPlan, "directory" | "transcoders" | "resumed">,
  parents: readonly string[],
): Promise<void> {
  const partial = await makeTemporaryDirectory(directory).catch((error) =>
    Promise.reject(fileError("write", directory, error))
  );
  try {
    for (const [i, config] of resumed!.entries()) {
      const path = join(partial, transcoders[i].name), parent = parents[i];
      await mkdir(path, { recursive: true });
      await startMetrics(path, config.groups);
      // A config.json of an older format says itself how activations are prepared.
      if (config.scales === undefined) await writePreparation(path, await readPreparation(parent, config));
      const map = await readLinearMap(parent, config);
      if (map) await writeLinearMap(path, map);
      await copyCheckpoint(parent, path, config.parent!.steps);
      await writeConfig(path, config);
    }
    await rename(partial, directory);
  } catch (error) {
    // This process made it, and nobody else knows its name.
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw fileError("write", directory, error);
  }
}

async function copyCheckpoint(parent: string, directory: string, step: number): Promise<void> {
  const [from, to] = [parent, directory].map((path) => join(checkpointsOf(path), checkpointName(step)));
  await mkdir(to, { recursive: true });
  for (const name of CHECKPOINT_FILES) {
    // An older mtc kept no copies there.
    if (COPIED_FILES.includes(name) && !await exists(join(from, name))) continue;
    await copyFile(join(from, name), join(to, name));
    const file = await open(join(to, name), "r+");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
