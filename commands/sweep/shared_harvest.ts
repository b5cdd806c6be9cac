/**
 * The harvest that the tasks of a plan share: whichever process comes first makes it, or goes on with it, the others wait.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { exists } from "../../core/files/exists.ts";
import { SITES } from "../../core/model/sites.ts";
import { standingOf } from "../../core/passes/harvest.ts";
import { HARVEST_FILE } from "../../core/runs/harvest.ts";
import { tapsOf } from "../../core/runs/ids.ts";
import { removeLeases } from "../../core/runs/lease.ts";
import { harvest } from "../harvest.ts";
import { harvestHint } from "../train/harvest_hint.ts";
import { claim, Claimed } from "./claim.ts";
import { requestFor } from "./numbering.ts";
import type { SweepPlan } from "./plan.ts";
import type { Say } from "./voice.ts";

/** Milliseconds between two looks at a harvest that another process makes. */
const LOOK_EVERY_MS = 5000;

/**
 * The layers that share a harvest with one.
 *
 * @param plan A plan with a harvest.
 * @param layer The layer; null where the plan's sites name theirs, which then all share one.
 * @returns They, ascending, and the harvest's directory.
 */
export function harvestOf(
  { harvest, harvestLayers, layers }: SweepPlan,
  layer: number | null,
): { readonly layers: readonly number[] | null; readonly directory: string } {
  if (layers === null || layer === null || harvestLayers >= layers.length) return { layers, directory: harvest! };
  const at = Math.floor(layers.indexOf(layer) / harvestLayers) * harvestLayers;
  const group = layers.slice(at, at + harvestLayers);
  return {
    layers: group,
    directory: join(harvest!, group.length > 1 ? `layers${group[0]}-${group.at(-1)}` : `layer${group[0]}`),
  };
}

/**
 * Makes sure that the activations of a layer's tasks are there.
 *
 * @param plan A plan with a harvest.
 * @param layer The layer.
 * @param say Says what is done.
 * @returns The harvest's directory.
 * @throws {UserError} When it cannot be made.
 */
export async function ensureHarvest(plan: SweepPlan, layer: number | null, say: Say): Promise<string> {
  const { layers, directory } = harvestOf(plan, layer);
  const needed = await wantedOf(plan, layers);
  for (let isTold = false;;) {
    if (await isThere(directory, needed.contexts)) return directory;
    await mkdir(dirname(directory), { recursive: true }).catch((error) =>
      Promise.reject(fileError("create", dirname(directory), error))
    );
    try {
      const own = await claim(directory, plan.lease, say);
      try {
        if (!await isThere(directory, needed.contexts)) {
          say({ event: "harvesting", directory, ...needed }, `harvesting what the tasks share into ${directory}`);
          await harvest({ ...needed, out: directory }, () => {});
          await own.confirm();
        }
      } finally {
        await own.release();
      }
      await removeLeases(directory);
      return directory;
    } catch (error) {
      if (!(error instanceof Claimed)) throw ofPlan(error, plan);
      if (!isTold) {
        say({ event: "waiting", directory, reason: error.message }, `waiting for the harvest in ${directory}`);
      }
      isTold = true;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** `mtc harvest` has an option for what stands in a plan here. */
function ofPlan(error: unknown, { path }: SweepPlan): unknown {
  if (!(error instanceof UserError) || !error.parts.remedy?.endsWith("--out")) return error;
  return new UserError({ ...error.parts, remedy: `choose another "harvest" in ${path}` });
}

/** What is to be harvested: all that some layers' tasks draw from. */
async function wantedOf(plan: SweepPlan, layers: readonly number[] | null) {
  const { request, options } = await requestFor(plan, layers && layers.at(-1)!);
  try {
    const { settings: { context, data_seed: dataSeed, precision }, transcoders } = request, taps = tapsOf(transcoders);
    const own = [...new Set(taps.map(({ layer }) => layer))].sort((a, b) => a - b);
    return {
      ...{ model: options.model, data: options.data, textColumn: options.textColumn, badLines: options.badLines },
      // A plan whose sites are all of one layer has others for its other layers; its taps of several layers are the same for all.
      layers: layers && own.length === 1 ? [...layers] : [...new Set([...layers ?? [], ...own])].sort((a, b) => a - b),
      sites: SITES.filter((site) => taps.some((tap) => tap.site === site)).join(),
      ...{ context, dataSeed, precision, contexts: harvestHint(request)!.contexts },
    };
  } finally {
    await request.model.weights.close();
  }
}

async function isThere(directory: string, contexts: number): Promise<boolean> {
  if (!await exists(join(directory, HARVEST_FILE))) return false;
  try {
    return (await standingOf(directory)).contexts >= contexts;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}
