/**
 * Writing a model's activations to safetensors shards.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import { overlapped } from "../gpu/overlap.ts";
import { Pass } from "../gpu/run.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import type { TokenSource } from "../text/source.ts";
import { contextsPerForward } from "../model/capacity.ts";
import type { DecoderConfig } from "../model/config.ts";
import type { Decoder } from "../model/forward.ts";
import { precisionErrors } from "./precision.ts";
import { type Tap, tapName, widthOf } from "../model/sites.ts";

/** What to harvest and where to. */
export interface Harvest {
  /** The device that the model is on. */
  readonly gpu: Gpu;
  /** The model; its taps say what is written. */
  readonly model: Decoder;
  /** The text, in contexts of `context` tokens. */
  readonly source: TokenSource;
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** How many contexts to write. */
  readonly contexts: number;
  /** How many of them the model takes at once. */
  readonly contextsPerForward: number;
  /** A directory that exists. */
  readonly directory: string;
  /** Free text entries for each shard. */
  readonly metadata: Readonly<Record<string, string>>;
  /** With f16 products, hears once what they do to each tap's activations, in relative L2. */
  readonly onRounded: (errors: Readonly<Record<string, number>>) => void;
  /** Called after each batch with the number of contexts done. */
  readonly onProgress: (contexts: number) => void;
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
 * @param taps What is written.
 * @param context Tokens per context.
 * @returns At least 1.
 * @throws {UserError} As {@link contextsPerForward}.
 */
export function contextsPerRead(gpu: Gpu, config: DecoderConfig, taps: readonly Tap[], context: number): number {
  const most = Math.floor(READ_BYTES / (ELEMENT_BYTES * context * widthOfAll(config, taps)));
  return Math.min(contextsPerForward(gpu, config, context), Math.max(1, most));
}

/** Numbers that a token has at some taps together. */
function widthOfAll(config: DecoderConfig, taps: readonly Tap[]): number {
  return taps.reduce((sum, { site }) => sum + widthOf(config, site), 0);
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
  const { model, context, contexts, directory, shardBytes = SHARD_BYTES } = harvest;
  const bytesPerContext = ELEMENT_BYTES * context * (1 + widthOfAll(model.config, model.taps));
  const perShard = Math.max(1, Math.floor(shardBytes / bytesPerContext));
  const paths: string[] = [];
  for (let first = 0; first < contexts; first += perShard) {
    const tensors = await gatherShard(harvest, first, Math.min(perShard, contexts - first));
    const path = join(directory, `activations_${String(paths.length).padStart(5, "0")}.safetensors`);
    await writeSafetensors(path, tensors, { ...harvest.metadata, first_context: String(first) });
    paths.push(path);
  }
  return paths;
}

async function gatherShard(harvest: Harvest, first: number, contexts: number): Promise<TensorToWrite[]> {
  const { gpu, model, source, context, contextsPerForward, onProgress } = harvest;
  const tokens = new Int32Array(contexts * context);
  const widths = model.taps.map(({ site }) => widthOf(model.config, site));
  const columns = widths.map((width) => new Float32Array(contexts * context * width));
  async function* forwards() {
    for (let done = 0; done < contexts;) {
      const { batch } = await source.next(Math.min(contextsPerForward, contexts - done));
      if (model.precision === "f16" && first + done === 0) harvest.onRounded(await precisionErrors(gpu, model, batch));
      const pass = new Pass(gpu), activations = model.forward(pass, batch);
      tokens.set(batch.ids, done * context);
      yield { pass, activations, done, contexts: batch.contexts };
      done += batch.contexts;
    }
  }
  await overlapped(forwards(), {
    submit: ({ pass }) => pass.submit(),
    read: ({ activations }) =>
      downloadAll(gpu, activations.map(({ tensor, tokens, width }) => ({ ...tensor, shape: [tokens, width] }))),
    take({ done, contexts }, bytes) {
      bytes.forEach((taken, i) => columns[i].set(new Float32Array(taken), done * context * widths[i]));
      onProgress(first + done + contexts);
    },
  });
  return [
    { name: "tokens", dtype: "I32", shape: [contexts, context], data: tokens },
    ...model.taps.map((tap, i): TensorToWrite => ({
      name: tapName(tap),
      dtype: "F32",
      shape: [contexts, context, widths[i]],
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
      throw new UserError(
        `Cannot write activations to ${directory}: the directory must be new or empty, it holds ${name}; choose another --out`,
      );
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("write activations to", directory, error);
  }
}
