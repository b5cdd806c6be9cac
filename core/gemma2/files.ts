/**
 * A model's files: a Hugging Face directory, or the one embedded in the program.
 * @module
 */

import { basename, join, resolve } from "node:path";
import { builtinModel } from "../builtin/model.ts";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { parseSafetensors } from "../files/safetensors.ts";
import { openShards, TensorSource } from "./tensor_source.ts";

/** An opened model: small files as bytes, weights by name. */
export interface ModelFiles {
  /** The directory's name, or `tiny-gemma2` for the embedded model. */
  readonly name: string;
  /** The directory, null for the embedded model. */
  readonly path: string | null;
  /** config.json */
  readonly config: Uint8Array;
  /** tokenizer.json */
  readonly tokenizerJson: Uint8Array;
  /** tokenizer_config.json; `{}` when the directory has none. */
  readonly tokenizerConfig: Uint8Array;
  /** The weights; close them when the model is loaded and no longer run. */
  readonly weights: TensorSource;
}

/** The value of `--model` that stands for the embedded model. */
export const BUILTIN = "builtin";

/**
 * Opens a model; no weights are read yet.
 *
 * @param model A Hugging Face directory, or {@link BUILTIN}.
 * @returns Its files.
 * @throws {UserError} When a file is missing, truncated or malformed.
 */
export async function openModel(model: string): Promise<ModelFiles> {
  if (model === BUILTIN) {
    const { weights, ...files } = await builtinModel();
    const file = await parseSafetensors(weights, "the embedded model.safetensors");
    return { name: "tiny-gemma2", path: null, ...files, weights: new TensorSource("the embedded model", [file]) };
  }
  return {
    name: basename(resolve(model)),
    path: resolve(model),
    config: await readPart(model, "config.json"),
    tokenizerJson: await readPart(model, "tokenizer.json"),
    tokenizerConfig: await readPart(model, "tokenizer_config.json", "{}"),
    weights: await openShards(model),
  };
}

async function readPart(directory: string, file: string, absent?: string): Promise<Uint8Array> {
  const path = join(directory, file);
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("read", path, error);
    if (absent !== undefined) return new TextEncoder().encode(absent);
    throw new UserError(
      `Cannot open the model ${directory}: it must hold ${file}, it does not; give a Hugging Face directory, or leave --model out`,
    );
  }
}
