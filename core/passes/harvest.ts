/**
 * Writing a model's activations to the shards of a harvest.
 * @module
 */

import { readdir } from "node:fs/promises";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { nameInTheEnd, removeFiles } from "../files/temporary.ts";
import type { Gpu } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { DecoderConfig } from "../model/config.ts";
import type { Decoder } from "../model/forward.ts";
import { type Tap, widthOf } from "../model/sites.ts";
import { differenceOf, HARVEST_FILE, type HarvestDescription, writeHarvest } from "../runs/harvest.ts";
import { contextBytes, type HarvestedContexts, openShards, type Shards, writeShard } from "../runs/shards.ts";
import {
  type ContextBatch,
  copyContexts,
  emptyBatch,
  sliceBatch,
  START,
  type StreamPosition,
} from "../text/contexts.ts";
import { type ContextSource, overText } from "./over_text.ts";
import { precisionErrors } from "./precision.ts";
import { readActivations } from "./readback.ts";

/** What to harvest and where to. */
export interface Harvest {
  /** The device that the model is on. */
  readonly gpu: Gpu;
  /** The model, loaded for as many contexts as {@link contextsPerRead} allows; its taps say what is written. */
  readonly decoder: Decoder;
  /** The text, in contexts of `description.context` tokens; it stands where `standing` ends. */
  readonly source: ContextSource;
  /** What it is a harvest of; what f16 products do is not known yet. */
  readonly description: Omit<HarvestDescription, "taps" | "precision" | "precision_errors">;
  /** How many contexts there are to be, those that are there included. */
  readonly contexts: number;
  /** What the directory holds of it. */
  readonly standing: Standing;
  /** A directory that exists. */
  readonly directory: string;
  /** With f16 products, hears once what they do to each tap's activations, in relative L2. */
  readonly onRounded: (errors: Readonly<Record<string, number>>) => void;
  /** Called after each batch with the number of contexts done, those that were there included. */
  readonly onProgress: (contexts: number) => void;
  /** Ends the work early by throwing its reason; the shard under way is not written. */
  readonly signal?: AbortSignal;
  /** The most bytes of a shard; it is gathered in memory. {@link SHARD_BYTES} if left out. */
  readonly shardBytes?: number;
}

/** How far a harvest is. */
export interface Standing {
  /** What was begun; null for a new one. */
  readonly harvest: HarvestDescription | null;
  /** Shards that are there. */
  readonly shards: number;
  /** Contexts in them. */
  readonly contexts: number;
  /** Where the text stands behind those. */
  readonly position: StreamPosition;
}

/** A harvest that is to be begun. */
const NOT_BEGUN: Standing = { harvest: null, shards: 0, contexts: 0, position: START };

/** Shards of a quarter of a gigabyte: few files, and no more memory than any machine has. */
export const SHARD_BYTES = 2 ** 28;

/** Bytes of activations that are read back at once: they are in host memory twice, and beside the shard. */
const READ_BYTES = 2 ** 27;

/**
 * How many contexts a harvest takes at once: as many as {@link contextsPerForward}, or less where their activations would fill the host's
 * memory.
 *
 * @param gpu The device.
 * @param config The model.
 * @param taps What is written.
 * @param context Tokens per context.
 * @returns At least 1.
 * @throws {UserError} As {@link contextsPerForward}.
 */
export function contextsPerRead(gpu: Gpu, config: DecoderConfig, taps: readonly Tap[], context: number): number {
  const width = widthsOf(config, taps).reduce((sum, width) => sum + width, 0);
  const most = Math.floor(READ_BYTES / (ELEMENT_BYTES * context * width));
  return Math.min(contextsPerForward(gpu, config, context), Math.max(1, most));
}

/**
 * How wide the activations at some taps are.
 *
 * @param config The model.
 * @param taps The taps.
 * @returns The numbers that a token has at each.
 */
export function widthsOf(config: DecoderConfig, taps: readonly Tap[]): number[] {
  return taps.map(({ site }) => widthOf(config, site));
}

/**
 * How many contexts a shard has.
 *
 * @param context Tokens per context.
 * @param widths The width of each tap.
 * @param bytes The most that a shard may have.
 * @returns At least 1.
 */
export function contextsPerShard(context: number, widths: readonly number[], bytes = SHARD_BYTES): number {
  return Math.max(1, Math.floor(bytes / contextBytes(context, widths)));
}

/**
 * Runs the model over the text and writes harvest.json, unless it is there, and shard after shard; core/runs/shards.ts says what those
 * hold. A harvest that was ended early goes on behind its last whole shard.
 *
 * @param harvest What and where to.
 * @returns The paths written, in order.
 * @throws {UserError} When an activation is not finite, the disk does not take them, or the text or the model fails.
 */
export async function writeActivations(harvest: Harvest): Promise<string[]> {
  const { gpu, decoder, standing, contexts, directory } = harvest, { config, taps, precision } = decoder;
  const { context } = harvest.description;
  const perShard = contextsPerShard(context, widthsOf(config, taps), harvest.shardBytes);
  // What a killed process was writing.
  await removeFiles(directory, (name) => nameInTheEnd(name) !== null);
  const positions: StreamPosition[] = [];
  let source = oneByOne(harvest.source, context, positions), description = standing.harvest;
  if (description === null) {
    let precision_errors: Readonly<Record<string, number>> = {};
    if (precision === "f16") {
      const first = await source.next(Math.min(decoder.contextsAtOnce, perShard, contexts));
      precision_errors = await precisionErrors(gpu, decoder, first.batch);
      harvest.onRounded(precision_errors);
      source = withFirst(first, source);
    }
    description = { ...harvest.description, taps, precision, precision_errors };
    await writeHarvest(directory, description);
  }
  const paths: string[] = [];
  for (let first = standing.contexts; first < contexts;) {
    // A shard that was the last of a shorter harvest may be shorter; the next ones begin behind it.
    const count = Math.min(perShard, contexts - first);
    const content = await gatherShard({ ...harvest, source }, first, count, positions);
    paths.push(await writeShard(directory, description, standing.shards + paths.length, first, content));
    first += count;
  }
  return paths;
}

/** A source that takes contexts one at a time, to know where the text stands behind each of them. */
function oneByOne(source: ContextSource, context: number, positions: StreamPosition[]): ContextSource {
  return {
    async next(contexts) {
      const batch = emptyBatch(contexts, context);
      for (let row = 0; row < contexts; row++) {
        const { batch: one, position, done } = await source.next(1);
        if (done) return { batch: sliceBatch(batch, 0, row), position, done };
        copyContexts(one, batch, row);
        positions.push(position);
      }
      return { batch, position: positions.at(-1)!, done: false };
    },
  };
}

/** A source with contexts in front that were taken from it and are wanted once more. */
function withFirst(first: ContextBatch, source: ContextSource): ContextSource {
  let waiting: ContextBatch | null = first;
  return {
    next(contexts) {
      const given = waiting;
      waiting = null;
      return given ? Promise.resolve(given) : source.next(contexts);
    },
  };
}

async function gatherShard(
  harvest: Harvest,
  first: number,
  contexts: number,
  positions: StreamPosition[],
): Promise<HarvestedContexts> {
  const { gpu, decoder, description: { context }, onProgress } = harvest;
  const gathered = emptyBatch(contexts, context), widths = widthsOf(decoder.config, decoder.taps);
  const columns = widths.map((width) => new Float32Array(contexts * context * width));
  const reader = readActivations(gpu, decoder, ({ batch, contextsBefore }, activations) => {
    copyContexts(batch, gathered, contextsBefore);
    activations.forEach((taken, i) => columns[i].set(taken, contextsBefore * context * widths[i]));
  });
  await overText(
    { ...harvest, contexts, includeBos: true, onProgress: (done) => onProgress(first + done.contexts) },
    [reader],
  );
  return { batch: gathered, positions: positions.splice(0, contexts), activations: columns };
}

/** What a directory must be a harvest of for it to go on there. */
export type WantedHarvest = Omit<HarvestDescription, "format" | "mtc_version" | "adapter" | "precision_errors">;

/**
 * Finds out how far a harvest is, and makes sure that its directory can take it: it is new or empty, or holds a part of the same harvest.
 *
 * @param directory Where to.
 * @param wanted What is to be harvested; before the model is open that is not known, and the directory alone is looked at.
 * @returns Where it stands.
 * @throws {UserError} When the directory holds anything else or is a file.
 */
export async function standingOf(directory: string, wanted?: WantedHarvest): Promise<Standing> {
  const there = await readdir(directory).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw fileError("write activations to", directory, error);
  });
  const names = there.filter((name) => nameInTheEnd(name) === null);
  if (names.length === 0) return NOT_BEGUN;
  const refuse = (found: string) =>
    new UserError({
      action: `write activations to ${directory}`,
      requirement: "the directory must be new or empty, or hold a part of the same harvest",
      found,
      remedy: "choose another --out",
    });
  if (!names.includes(HARVEST_FILE)) throw refuse(`it holds ${names.sort()[0]}`);
  const shards = await openShards(directory);
  try {
    const difference = wanted ? differenceOf(shards.harvest, wanted) : null;
    if (difference !== null) throw refuse(`it holds one with another ${difference}`);
    return await standingBehind(shards);
  } finally {
    await shards.close();
  }
}

async function standingBehind(shards: Shards): Promise<Standing> {
  const { harvest, count, contexts } = shards;
  return { harvest, shards: count, contexts, position: await shards.end() };
}
