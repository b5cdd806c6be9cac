/**
 * Opens what a finished run has left: its transcoders, and the model that they belong to.
 * @module
 */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { contextsPerForward } from "../model/capacity.ts";
import { configOf } from "../model/config.ts";
import { BUILTIN, type ModelFiles } from "../model/files.ts";
import { type Decoder, type DecoderOptions, loadDecoder } from "../model/forward.ts";
import type { Gpu } from "../gpu/device.ts";
import { featureCount } from "../transcoder/shape.ts";
import { type LayerConfig, readLayerConfig } from "./config.ts";
import { loadTranscoder } from "../transcoder/formats/native.ts";
import type { Transcoder } from "../transcoder/weights.ts";

/** One layer of a finished run. */
export interface FinishedLayer {
  /** Its directory, for example `runs/demo/layer17`. */
  readonly directory: string;
  /** Its config.json. */
  readonly config: LayerConfig;
  /** Its transcoder.safetensors. */
  readonly transcoder: Transcoder;
}

/**
 * Opens one layer of a run, or all of its layers.
 *
 * @param path A layer's directory (`runs/demo/layer17`) or a run's (`runs/demo`).
 * @returns The layers in ascending order; they share model, text and context.
 * @throws {UserError} When there is no finished run, or its files are damaged or belong to different runs.
 */
export async function openFinishedRun(path: string): Promise<FinishedLayer[]> {
  const layers: FinishedLayer[] = [];
  for (const directory of await layerDirectories(path)) {
    const config = await readLayerConfig(directory);
    layers.push({ directory, config, transcoder: await openTranscoder(directory, config) });
  }
  const shared = ({ config: { model, data, context, include_bos } }: FinishedLayer) =>
    JSON.stringify([model, data, context, include_bos]);
  const stranger = layers.find((layer) => shared(layer) !== shared(layers[0]));
  if (stranger === undefined) return layers;
  throw new UserError(
    `Cannot open the run ${path}: its layers must share model, text and context, those of ${stranger.directory} are not ` +
      `those of ${layers[0].directory}; give one layer's directory`,
  );
}

const LAYER = /^layer\d+$/;

async function layerDirectories(path: string): Promise<string[]> {
  const info = await stat(path).catch(() => null);
  if (!info?.isDirectory()) {
    throw new UserError(
      `Cannot open the run ${path}: it must be a directory that \`mtc train\` wrote, it ${
        info ? "is a file" : "does not exist"
      }; check --run`,
    );
  }
  if (await exists(join(path, "config.json"))) return [path];
  const layers = await directoriesWith("config.json", path, LAYER);
  if (layers.length > 0) return layers.map((name) => join(path, name));
  const runs: string[] = [];
  for (const name of await directoriesWith("", path, /^/)) {
    const run = join(path, name);
    if ((await directoriesWith("config.json", run, LAYER)).length > 0) runs.push(run);
  }
  throw new UserError(
    `Cannot open the run ${path}: it must hold config.json or layer<N>/config.json, it holds neither; ` +
      (runs.length > 0 ? `give one of the runs in it: ${runs.join(", ")}` : "check --run"),
  );
}

/** The entries of a directory that have such a name and hold such a file, numbers in their order; none where it is no directory. */
async function directoriesWith(file: string, path: string, name: RegExp): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(path).catch(() => [])) {
    if (name.test(entry) && await exists(join(path, entry, file))) found.push(entry);
  }
  return found.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

async function openTranscoder(directory: string, config: LayerConfig): Promise<Transcoder> {
  const path = join(directory, "transcoder.safetensors");
  if (!await exists(path)) {
    throw new UserError(
      `Cannot open the run ${directory}: it must be finished, transcoder.safetensors is missing; ` +
        `finish it with \`mtc train --resume ${join(directory, "..")}\``,
    );
  }
  const { shape, ...transcoder } = await loadTranscoder(path);
  const sizes = [shape.d_in, featureCount(shape.groups), shape.d_out];
  const expected = [config.d_in, config.features, config.d_out];
  if (sizes.join() === expected.join()) return { ...transcoder, shape: { ...shape, groups: config.groups } };
  throw new UserError(
    `Cannot open the run ${directory}: config.json asks for d_in, features, d_out = ${expected.join(", ")}, ` +
      `transcoder.safetensors has ${sizes.join(", ")}; restore the files that belong together`,
  );
}

/**
 * The model that a run was trained on, as `openModel` takes it.
 *
 * @param layers The run's layers.
 * @returns A directory, a revision on the hub, or the name of the embedded model.
 */
export function modelOf([{ config }]: readonly FinishedLayer[]): string {
  return config.model.path ?? BUILTIN;
}

/**
 * Loads the model that a run was trained on.
 *
 * @param gpu Where to.
 * @param files That model, opened.
 * @param layers The run's layers.
 * @param options The sites wanted; the most tokens in one forward pass, those of {@link contextsPerForward} when left out; who hears
 * of the layers as they are loaded.
 * @returns The model.
 * @throws {UserError} When the model cannot be read or is another one.
 */
export async function loadRunModel(
  gpu: Gpu,
  files: ModelFiles,
  [{ directory, config }]: readonly FinishedLayer[],
  { taps, maxTokens, onLoading }: Omit<DecoderOptions, "context" | "maxTokens"> & Partial<DecoderOptions>,
): Promise<Decoder> {
  const { model, context } = config;
  const most = maxTokens ?? contextsPerForward(gpu, configOf(files), context) * context;
  const decoder = await loadDecoder(gpu, files, { taps, maxTokens: most, context, onLoading });
  const { layers, dModel, vocabSize } = decoder.config;
  if (layers === model.layers && dModel === model.d_model && vocabSize === model.vocab_size) return decoder;
  throw new UserError(
    `Cannot use the model ${
      model.path ?? files.name
    } with ${directory}: layers, d_model and vocab_size must be the run's ` +
      `${model.layers}, ${model.d_model}, ${model.vocab_size}, they are ${layers}, ${dModel}, ${vocabSize}; ` +
      `put the model back that the run was trained on`,
  );
}
