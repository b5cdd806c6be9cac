/**
 * Opens what a finished run has left: its transcoders, and the model that they belong to.
 * @module
 */

import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { checkContext, contextsPerForward } from "../model/capacity.ts";
import { configOf } from "../model/config.ts";
import { BUILTIN, type ModelFiles } from "../model/files.ts";
import { type Decoder, type DecoderOptions, loadDecoder } from "../model/forward.ts";
import type { Gpu } from "../gpu/device.ts";
import {
  type StoredTranscoder,
  type Transcoder,
  type TranscoderVectors,
  wholeTranscoder,
} from "../transcoder/weights.ts";
import { checkpointsOf } from "./checkpoints.ts";
import { CONFIG_FILE, readConfig, type TranscoderConfig } from "./config.ts";
import { runsIn, trainingOf, transcodersIn, whyUnfinished } from "./discovery.ts";
import { compareIds, idOf, nameTranscoders, type TranscoderName } from "./ids.ts";
import { requireSameModel } from "./same_model.ts";
import { openTranscoder, readTranscoder, TRANSCODER_FILE } from "./transcoder.ts";

/** A finished transcoder of a run, before its weights are read. */
export interface DescribedTranscoder {
  /** Its directory, for example `runs/demo/layer17`. */
  readonly directory: string;
  /** What it is called among those opened with it. */
  readonly name: TranscoderName;
  /** Its config.json. */
  readonly config: TranscoderConfig;
}

/** A finished transcoder of a run, with as much of its weights as is needed. */
export interface FinishedTranscoder<T extends TranscoderVectors = Transcoder> extends DescribedTranscoder {
  /** Its transcoder.safetensors. */
  readonly transcoder: T;
}

/**
 * Opens one transcoder of a run, or all of them.
 *
 * @param path A transcoder's directory (`runs/demo/layer17`) or a run's (`runs/demo`).
 * @param flag The option that named it.
 * @returns The transcoders in the order of the reports ({@link compareIds}); they share model, text and context.
 * @throws {UserError} When there is no finished run, or its files are damaged or belong to different runs.
 */
export async function openFinishedRun(path: string, flag: string = "--run"): Promise<FinishedTranscoder[]> {
  return await readTranscoders(await describeFinishedRun(path, flag));
}

/**
 * Looks at one transcoder of a run, or all of them, without their weights.
 *
 * @param path As for {@link openFinishedRun}.
 * @param flag Likewise.
 * @returns The transcoders likewise.
 * @throws {UserError} When there is no finished run, or its files belong to different runs.
 */
export async function describeFinishedRun(path: string, flag: string = "--run"): Promise<DescribedTranscoder[]> {
  const found: Omit<DescribedTranscoder, "name">[] = [];
  for (const directory of await directoriesOf(path, flag)) {
    const config = await readConfig(directory);
    if (!await exists(join(directory, TRANSCODER_FILE))) {
      const missing = [TRANSCODER_FILE], training = await trainingOf(directory);
      throw new UserError({
        action: `open the run ${directory}`,
        requirement: "it must be finished",
        ...whyUnfinished({ path: directory, config, missing, training }),
      });
    }
    found.push({ directory, config });
  }
  found.sort((a, b) => compareIds(idOf(a.config), idOf(b.config)));
  const names = nameTranscoders(found.map(({ config }) => idOf(config)));
  const stranger = found.find(({ config }) => !isOfOneRun(config, found[0].config));
  if (stranger === undefined) return found.map((one, i) => ({ ...one, name: names[i] }));
  throw new UserError({
    action: `open the run ${path}`,
    requirement: "its transcoders must share model, text and context",
    found: `those of ${stranger.directory} are not those of ${found[0].directory}`,
    remedy: "give one transcoder's directory",
  });
}

/**
 * Reads the weights of transcoders.
 *
 * @param described The transcoders.
 * @returns They with their weights, in their order.
 * @throws {UserError} When a file is damaged.
 */
export async function readTranscoders(described: readonly DescribedTranscoder[]): Promise<FinishedTranscoder[]> {
  const read: FinishedTranscoder[] = [];
  for (const one of described) read.push({ ...one, transcoder: await readTranscoder(one.directory, one.config) });
  return read;
}

/**
 * Opens one transcoder of a run, or all of them; their matrices are read when they are asked for.
 *
 * @param path As for {@link openFinishedRun}.
 * @param flag Likewise.
 * @returns The transcoders likewise.
 * @throws {UserError} As {@link openFinishedRun} does.
 */
export async function openStoredRun(path: string, flag?: string): Promise<FinishedTranscoder<StoredTranscoder>[]> {
  const opened: FinishedTranscoder<StoredTranscoder>[] = [];
  for (const one of await describeFinishedRun(path, flag)) {
    opened.push({ ...one, transcoder: await openTranscoder(one.directory, one.config) });
  }
  return opened;
}

/**
 * Reads all of a finished transcoder.
 *
 * @param one The transcoder, wherever its matrices are.
 * @returns It with its matrices in memory.
 * @throws {UserError} When the file is damaged.
 */
export async function wholeOf(
  one: FinishedTranscoder<Transcoder | StoredTranscoder>,
): Promise<FinishedTranscoder> {
  const { transcoder } = one;
  return { ...one, transcoder: "read" in transcoder ? await wholeTranscoder(transcoder) : transcoder };
}

/**
 * Whether two transcoders can be of one run: they read the same of the same model and text.
 *
 * @param a The config.json of one.
 * @param b That of another.
 * @returns Whether they share all that is a run's.
 */
export function isOfOneRun(a: TranscoderConfig, b: TranscoderConfig): boolean {
  const shared = (config: TranscoderConfig) => {
    const { model, data, context, include_bos, exclude_tokens, exclude_norm_above, median_norms } = config;
    return JSON.stringify([model, data, context, include_bos, exclude_tokens, exclude_norm_above, median_norms]);
  };
  return shared(a) === shared(b);
}

async function directoriesOf(path: string, flag: string): Promise<string[]> {
  const info = await Deno.stat(path).catch(() => null), action = `open the run ${path}`;
  if (!info?.isDirectory) {
    throw new UserError({
      action,
      requirement: "it must be a directory that `mtc train` wrote",
      found: `it ${info ? "is a file" : "does not exist"}`,
      remedy: `check ${flag}`,
    });
  }
  if (await exists(join(path, CONFIG_FILE))) return [path];
  const transcoders = await transcodersIn(path);
  if (transcoders.length > 0) return transcoders;
  // Those of a transcoder that lost its config.json are no runs, though they look like them.
  const runs = (await runsIn(path)).filter((run) => run !== checkpointsOf(path));
  throw new UserError({
    action,
    requirement: `it must hold ${CONFIG_FILE} or <transcoder>/${CONFIG_FILE}`,
    found: "it holds neither",
    remedy: runs.length > 0 ? `give one of the runs in it: ${runs.join(", ")}` : `check ${flag}`,
  });
}

/**
 * The model that a run was trained on, as `openModel` takes it.
 *
 * @param transcoders The run's transcoders.
 * @returns A directory, a revision on the hub, or the name of the embedded model.
 */
export function modelOf([{ config }]: readonly DescribedTranscoder[]): string {
  return config.model.path ?? BUILTIN;
}

/**
 * Loads the model that a run was trained on.
 *
 * @param gpu Where to.
 * @param files That model, opened.
 * @param transcoders The run's transcoders.
 * @param options What of the model is wanted; the longest context, the run's when left out; the most tokens in one forward pass, those of
 * {@link contextsPerForward} when left out. The precision is the run's.
 * @returns The model.
 * @throws {UserError} When the model cannot be read or is another one.
 */
export async function loadRunModel(
  gpu: Gpu,
  files: ModelFiles,
  [{ directory, config }]: readonly FinishedTranscoder[],
  options:
    & Omit<DecoderOptions, "context" | "maxTokens" | "precision">
    & Pick<Partial<DecoderOptions>, "context" | "maxTokens">,
): Promise<Decoder> {
  const { model, precision } = config, context = options.context ?? config.context;
  await requireSameModel(model, files, `use the model ${files.path ?? files.name} with ${directory}`);
  checkContext(files, context);
  const maxTokens = options.maxTokens ?? contextsPerForward(gpu, configOf(files), context) * context;
  return await loadDecoder(gpu, files, { ...options, maxTokens, context, precision });
}
