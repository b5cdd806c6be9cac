/**
 * Writing a model's activations to safetensors shards.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import type { Gpu } from "../gpu/device.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import type { ContextBatch } from "../text/contexts.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { DecoderConfig } from "../model/config.ts";
import type { Decoder } from "../model/forward.ts";
import { tapName } from "../model/sites.ts";
import { type ContextSource, overText } from "./over_text.ts";
import { precisionErrors } from "./precision.ts";
import { readActivations } from "./readback.ts";

/** What to harvest and where to. */
export interface Harvest {
  /** The device that the model is on. */
  readonly gpu: Gpu;
  /** The model, loaded for as many contexts as {@link contextsPerRead} allows; its taps say what is written. */
  readonly decoder: Decoder;
  /** The text, in contexts of `context` tokens. */
  readonly source: ContextSource;
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** How many contexts to write. */
  readonly contexts: number;
  /** A directory that exists. */
  readonly directory: string;
  /** Free text entries for each shard. */
  readonly metadata: Readonly<Record<string, string>>;
  /** With f16 products, hears once what they do to each tap's activations, in relative L2. */
  readonly onRounded: (errors: Readonly<Record<string, number>>) => void;
  /** Called after each batch with the number of contexts done. */
  readonly onProgress: (contexts: number) => void;
  /** Ends the work early by throwing its reason; the shard under way is not written. */
  readonly signal?: AbortSignal;
  /** The most bytes of a shard; it is gathered in memory. {@link SHARD_BYTES} if left out. */
  readonly shardBytes?: number;
}

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
 * @param taps How many taps are written.
 * @param context Tokens per context.
 * @returns At least 1.
 * @throws {UserError} As {@link contextsPerForward}.
 */
export function contextsPerRead(gpu: Gpu, config: DecoderConfig, taps: number, context: number): number {
  const most = Math.floor(READ_BYTES / (ELEMENT_BYTES * taps * context * config.dModel));
  return Math.min(contextsPerForward(gpu, config, context), Math.max(1, most));
}

/**
 * Runs the model over the text and writes `activations_00000.safetensors` and its successors, each with `tokens` (I32
 * [contexts, context]) and one tensor per tap, for example `layer1.resid_mid` (F32 [contexts, context, width]).
 *
 * @param harvest What and where to.
 * @returns The paths written, in order.
 * @throws {UserError} When the disk does not take them, or the text or the model fails.
 */
export async function writeActivations(harvest: Harvest): Promise<string[]> {
  const { gpu, decoder, context, contexts, directory, shardBytes = SHARD_BYTES } = harvest;
  const bytesPerContext = ELEMENT_BYTES * context * (1 + decoder.taps.length * decoder.config.dModel);
  const perShard = Math.max(1, Math.floor(shardBytes / bytesPerContext));
  let { source } = harvest;
  if (gpu.precision === "f16") {
    const first = await source.next(Math.min(decoder.contextsAtOnce, perShard, contexts));
    harvest.onRounded(await precisionErrors(gpu, decoder, first.batch));
    source = withFirst(first, source);
  }
  const paths: string[] = [];
  for (let first = 0; first < contexts; first += perShard) {
    const tensors = await gatherShard({ ...harvest, source }, first, Math.min(perShard, contexts - first));
    const path = join(directory, `activations_${String(paths.length).padStart(5, "0")}.safetensors`);
    await writeSafetensors(path, tensors, { ...harvest.metadata, first_context: String(first) });
    paths.push(path);
  }
  return paths;
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

async function gatherShard(harvest: Harvest, first: number, contexts: number): Promise<TensorToWrite[]> {
  const { gpu, decoder, context, onProgress } = harvest, width = decoder.config.dModel;
  const tokens = new Int32Array(contexts * context);
  const columns = decoder.taps.map(() => new Float32Array(contexts * context * width));
  const reader = readActivations(gpu, decoder, ({ batch, contextsBefore }, activations) => {
    tokens.set(batch.ids, contextsBefore * context);
    activations.forEach((taken, i) => columns[i].set(taken, contextsBefore * context * width));
  });
  await overText(
    { ...harvest, contexts, includeBos: true, onProgress: (done) => onProgress(first + done.contexts) },
    [reader],
  );
  return [
    { name: "tokens", dtype: "I32", shape: [contexts, context], data: tokens },
    ...decoder.taps.map((tap, i): TensorToWrite => ({
      name: tapName(tap),
      dtype: "F32",
      shape: [contexts, context, width],
      data: columns[i],
    })),
  ];
}

/**
 * Makes sure that a directory can take a harvest: it is new or empty.
 *
 * @param directory Where to.
 * @throws {UserError} When it holds anything or is a file.
 */
export async function requireEmpty(directory: string): Promise<void> {
  try {
    for await (const { name } of Deno.readDir(directory)) {
      throw new UserError({
        action: `write activations to ${directory}`,
        requirement: "the directory must be new or empty",
        found: `it holds ${name}`,
        remedy: "choose another --out",
      });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("write activations to", directory, error);
  }
}
