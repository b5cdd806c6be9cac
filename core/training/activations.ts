/**
 * Where a run's activations come from: the model as it reads the text, or the shards of a harvest, in which the same model wrote what it
 * made of the same text. Either fills a run's buffers with the same numbers.
 * @module
 */

import { UserError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { configOf } from "../model/config.ts";
import { type ModelFiles, modelFingerprint } from "../model/files.ts";
import type { Decoder } from "../model/forward.ts";
import { type Tap, tapName, widthOf } from "../model/sites.ts";
import { precisionErrors } from "../passes/precision.ts";
import { harvestId } from "../runs/harvest.ts";
import { tapsOf } from "../runs/ids.ts";
import { openShards, type Shards } from "../runs/shards.ts";
import { sliceBatch, type StreamPosition } from "../text/contexts.ts";
import { openTokenSource } from "../text/source.ts";
import { isSameText, type TextSummary } from "../text/summary.ts";
import { bufferLayout, contextsDrawn, type ShuffleBuffer } from "./buffer.ts";
import { fillBuffer } from "./filler.ts";
import type { TrainingPlan } from "./plan.ts";
import { fillFromShards } from "./shard_filler.ts";

/** What fills the buffers of a run, one after the other. */
export interface ActivationSource {
  /** What the training text is like. */
  readonly text: TextSummary;
  /**
   * Fills a buffer.
   *
   * @param buffer The buffer.
   * @param n Its number: that of the first that the source was opened for, then one more each time.
   * @param onProgress Called with the contexts done so far.
   * @param signal Ends it early by throwing its reason.
   * @returns Where the text stands behind the buffer.
   * @throws {UserError} When text, shards or device fail.
   */
  fill(
    buffer: ShuffleBuffer,
    n: number,
    onProgress: (contexts: number) => void,
    signal?: AbortSignal,
  ): Promise<StreamPosition>;
  /** What 16-bit products do to each tap's activations, in relative L2, on the first contexts of a full buffer; nothing with f32. */
  precisionErrors(buffer: ShuffleBuffer): Promise<Readonly<Record<string, number>>>;
  /** Ends the Worker that reads the text, or closes the shards. */
  close(): Promise<void>;
}

/**
 * Activations that the model computes.
 *
 * @param gpu The device.
 * @param plan The run.
 * @param decoder The model, loaded with the run's taps.
 * @param start Where the text stands when the first buffer is to be filled.
 * @returns The source.
 * @throws {UserError} When the text cannot be read.
 */
export async function activationsFromText(
  gpu: Gpu,
  { settings: { context, data_seed: seed }, model, data, reading }: Pick<
    TrainingPlan,
    "settings" | "model" | "data" | "reading"
  >,
  decoder: Decoder,
  start: StreamPosition,
): Promise<ActivationSource> {
  const source = await openTokenSource({ tokenizer: model, data, reading, split: "train", context, seed, start });
  return {
    text: source.summary,
    fill: (buffer, n, onProgress, signal) => fillBuffer(buffer, n, { gpu, decoder, source, onProgress, signal }),
    async precisionErrors({ batch }) {
      if (decoder.precision === "f32") return {};
      return await precisionErrors(
        gpu,
        decoder,
        sliceBatch(batch, 0, Math.min(batch.contexts, decoder.contextsAtOnce)),
      );
    },
    close: () => source.close(),
  };
}

/**
 * Activations that were harvested before.
 *
 * @param gpu The device.
 * @param plan The run; it must have `activations`.
 * @returns The source.
 * @throws {UserError} As {@link openHarvestOf}.
 */
export async function activationsFromShards(gpu: Gpu, plan: HarvestedPlan): Promise<ActivationSource> {
  const { shards, text } = await openHarvestOf(plan);
  return {
    text,
    fill: (buffer, n, onProgress, signal) =>
      fillFromShards(buffer, n, { gpu, shards, first: n * buffer.layout.contexts, onProgress, signal }),
    precisionErrors: () => Promise.resolve(shards.harvest.precision_errors),
    close: () => shards.close(),
  };
}

/** What is asked of a harvest that a run is trained from. */
export type HarvestedPlan = Pick<
  TrainingPlan,
  "activations" | "settings" | "transcoders" | "model" | "data" | "reading"
>;

/**
 * Opens the harvest of a run and makes sure that it is the one that the run needs.
 *
 * @param plan The run; it must have `activations`.
 * @returns The shards, to be closed, and what the text is like, which is still where it was: the end of the run reads it.
 * @throws {UserError} When they are of another model, text, order, context, precision or place, fewer than needed, damaged, or those of a
 * resumed run no more.
 */
export async function openHarvestOf(
  { activations, settings, transcoders, model, data, reading }: HarvestedPlan,
): Promise<{ readonly shards: Shards; readonly text: TextSummary }> {
  const { path, harvest } = activations!, { context, data_seed: seed, precision, steps } = settings;
  const shards = await openShards(path);
  try {
    const refuse = (requirement: string, found: string, remedy: string) =>
      new UserError({ action: `train from the activations in ${path}`, requirement, found, remedy });
    const { harvest: of } = shards,
      again = (flag: string) => `harvest again with ${flag}, or train without --activations`;
    if (harvest !== harvestId(of)) {
      const found = "those there now are others";
      throw refuse("they must be those that the run began with", found, "put them back or start another run");
    }
    if (of.model.fingerprint !== await modelFingerprint(model)) {
      throw refuse(
        `they must come from the model ${model.path ?? model.name}`,
        `they come from ${of.model.path ?? of.model.name}, which is another`,
        "give the model that they come from with --model, or harvest again",
      );
    }
    if (of.seed === null) {
      throw refuse("they must be in the order of a training", "they are in the documents' own", again("--data-seed 0"));
    }
    const wanted: [flag: string, there: unknown, here: unknown][] = [
      ["--context", of.context, context],
      ["--data-seed", of.seed, seed],
      ["--precision", of.precision, precision],
    ];
    for (const [flag, there, here] of wanted) {
      if (there !== here) {
        throw refuse(`they must be harvested with ${flag} ${here}`, `it was ${there}`, again(`${flag} ${here}`));
      }
    }
    checkTaps(tapsOf(transcoders), shards, model, refuse);
    const needed = contextsDrawn(bufferLayout(settings), steps);
    if (shards.contexts < needed) {
      throw refuse(
        `the run draws from ${needed} contexts`,
        `there are ${shards.contexts}`,
        `run their mtc harvest again with --contexts ${needed}, or train for fewer --steps`,
      );
    }
    const source = await openTokenSource({ tokenizer: model, data, reading, split: "train", context, seed });
    await source.close();
    const { summary: text } = source;
    if (!isSameText(of.data, text)) {
      throw refuse(
        "they must come from the run's text",
        "they come from another",
        "give that with --data, or harvest again",
      );
    }
    return { shards, text };
  } catch (error) {
    await shards.close();
    throw error;
  }
}

type Refuse = (requirement: string, found: string, remedy: string) => UserError;

function checkTaps(taps: readonly Tap[], shards: Shards, model: ModelFiles, refuse: Refuse): void {
  const config = configOf(model);
  for (const tap of taps) {
    const t = shards.indexOf(tap);
    if (t < 0) {
      const there = shards.harvest.taps.map(tapName).join(", ");
      throw refuse(
        `${tapName(tap)} must be among them`,
        `they are ${there}`,
        "choose other --layers, or harvest it too",
      );
    }
    if (shards.contexts > 0 && shards.widths[t] !== widthOf(config, tap.site)) {
      throw refuse(
        `${tapName(tap)} must be ${widthOf(config, tap.site)} wide`,
        `it is ${shards.widths[t]}`,
        "harvest again",
      );
    }
  }
}
