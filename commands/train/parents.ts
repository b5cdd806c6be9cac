/**
 * `--start-from`: the finished transcoders whose weights a run starts from, each for the transcoder of the same source and target.
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { UsageError, UserError } from "../../core/errors.ts";
import { tapName } from "../../core/model/sites.ts";
import { requireTrainedHere, type TranscoderConfig } from "../../core/runs/config.ts";
import { openFinishedRun } from "../../core/runs/finished.ts";
import { mappingName } from "../../core/runs/ids.ts";
import { transcoderFingerprint } from "../../core/runs/transcoder.ts";
import type { RunSettings } from "../../core/runs/settings.ts";
import type { Start } from "../../core/training/plan.ts";
import type { TrainOptions } from "./request.ts";
import { parsePlaces, type Place } from "./settings.ts";

/** A finished transcoder to start from. */
export interface Parent {
  /** Its directory, for example `runs/demo/layer17`. */
  readonly directory: string;
  /** Its config.json, whose settings are the defaults. */
  readonly config: TranscoderConfig;
}

/**
 * Opens what a run is to start from.
 *
 * @param path `--start-from`: a run's directory or a transcoder's.
 * @returns Its transcoders; they share model, text and context.
 * @throws {UserError} When it holds no finished run or one that was imported, or its files are damaged.
 */
export async function openParents(path: string): Promise<Parent[]> {
  const finished = await openFinishedRun(path, "--start-from");
  requireTrainedHere(`start from ${path}`, finished.map(({ config }) => config));
  return finished.map(({ directory, config }) => ({ directory, config }));
}

/** What of the command line says which transcoders are trained; what was not given is left out. */
export interface WantedTaps {
  /** `--layers` */
  readonly layers?: readonly number[];
  /** `--source` */
  readonly source?: string;
  /** `--target` */
  readonly target?: string;
}

/**
 * Picks the parents of the transcoders that are wanted.
 *
 * @param path `--start-from`, for messages.
 * @param parents What it holds.
 * @param wanted Layers and sites; without any, all of the parents.
 * @returns Those of each layer and source, in ascending order of the layers.
 * @throws {UserError} When there is none of a layer and source that is wanted.
 * @throws {UsageError} When a site is none.
 */
export function chooseParents(
  path: string,
  parents: readonly Parent[],
  { layers, source, target }: WantedTaps,
): Parent[] {
  const to = target === undefined ? undefined : parsePlaces(target);
  const chosen = (layers?.toSorted((a, b) => a - b) ?? [undefined]).flatMap((layer) =>
    (source === undefined ? [undefined] : parsePlaces(source)).flatMap((from) => {
      const found = parents.filter(({ config: { source, targets } }) => {
        const [{ layer: own }] = targets;
        return [undefined, own].includes(layer) && (!from || namesOf([from], own) === tapName(source)) &&
          (!to || namesOf(to, own) === targets.map(tapName).join());
      });
      if (found.length > 0) return found;
      const wanted = [...from ? [` from ${source}`] : [], ...to ? [` to ${target}`] : []].join("");
      const there = parents.map(({ config }) => mappingName(config)).join(", ");
      throw new UserError({
        action: `start from ${path}`,
        requirement: `it must hold a transcoder${wanted}${layer === undefined ? "" : ` of layer ${layer}`}`,
        found: `it holds ${there}`,
        remedy: "choose others of --layers, --source and --target, or leave them out",
      });
    })
  );
  return [...new Set(chosen)];
}

function namesOf(places: readonly Place[], layer: number): string {
  return places.map((place) => tapName({ layer: place.layer ?? layer, site: place.site })).join();
}

/**
 * The transcoders that a command line starts from; what concerns random first weights alone is refused.
 *
 * @param path `--start-from`.
 * @param options The command line.
 * @param isGiven Whether an option was given.
 * @returns Those that are wanted.
 * @throws {UsageError} When an option makes no sense with finished weights.
 * @throws {UserError} When the run is not finished, or has none of what is wanted.
 */
export async function parentsFor(
  path: string,
  { layers, source, target }: TrainOptions,
  isGiven: (name: string) => boolean,
): Promise<Parent[]> {
  if (isGiven("encoderNorm")) {
    throw new UsageError({
      action: `start from ${path} with --encoder-norm`,
      requirement: "that is the length of random rows, and finished weights have their own",
      remedy: "leave the option out",
    });
  }
  const wanted = { layers, ...isGiven("source") && { source }, ...isGiven("target") && { target } };
  return chooseParents(path, await openParents(path), wanted);
}

/**
 * Makes sure that weights fit the transcoder that starts from them.
 *
 * @param parent Where they are.
 * @param settings The transcoder as it is asked for.
 * @throws {UsageError} When its dictionary is another one, or a skip connection is there in one of the two alone.
 */
export function requireSameShape({ directory, config }: Parent, settings: Pick<RunSettings, "groups" | "skip">): void {
  const [then, now] = [config, settings].map(({ groups, skip }) =>
    `${groups.join()}${skip ? " with a skip connection" : ""}`
  );
  if (then === now) return;
  throw new UsageError({
    action: `start from ${directory}`,
    requirement: `a transcoder keeps the groups ${then} of the weights that it starts from`,
    found: `it is to have ${now}`,
    remedy: config.skip === settings.skip ? "leave --groups and --dictionary out" : "leave --skip out",
  });
}

/**
 * What a transcoder starts from.
 *
 * @param parent Its parent.
 * @returns Where the weights are, and what config.json says of them.
 * @throws {UserError} When they cannot be read.
 */
export async function startOf({ directory, config: { steps } }: Parent): Promise<Start> {
  const path = resolve(directory), fingerprint = await transcoderFingerprint(directory);
  return { directory: path, parent: { name: join(basename(dirname(path)), basename(path)), fingerprint, steps } };
}
