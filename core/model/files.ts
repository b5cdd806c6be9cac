/**
 * A model's files: a Hugging Face directory, a repository of the hub, or the one embedded in the program.
 * @module
 */

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { builtinModel } from "../builtin/model.ts";
import { UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import { MERGE, python, quoted } from "../files/checkpoint_index.ts";
import { exists } from "../files/exists.ts";
import { refuseLfsPointer } from "../files/lfs_pointer.ts";
import { requireRegular } from "../files/byte_source.ts";
import { parseSafetensors } from "../files/safetensors.ts";
import type { DownloadProgress } from "../hub/models.ts";
import { isHubReference } from "../hub/reference.ts";
import { parseConfig } from "./config.ts";
import { openShards, TensorSource } from "../files/tensor_source.ts";

/** An opened model: small files as bytes, weights by name. */
export interface ModelFiles {
  /** The name of the directory or of the hub's repository, or `tiny-gemma2` for the embedded model. */
  readonly name: string;
  /**
   * What {@link openModel} takes to open the very same files again: the directory, or `hf:owner/name@COMMIT` for a model of the
   * hub; null for the embedded model.
   */
  readonly path: string | null;
  /** config.json */
  readonly config: Uint8Array;
  /** tokenizer.json */
  readonly tokenizerJson: Uint8Array;
  /** tokenizer_config.json; `{}` when the directory has none. */
  readonly tokenizerConfig: Uint8Array;
  /** chat_template.jinja; absent where the directory has none. */
  readonly chatTemplate?: Uint8Array;
  /** How many tokens the model embeds; tokenizer.json may have more. */
  readonly vocabSize: number;
  /** The weights; close them when the model is loaded and no longer run. */
  readonly weights: TensorSource;
}

/** The value of `--model` that stands for the embedded model. */
export const BUILTIN = "builtin";

/**
 * Opens a model; no weights are read yet. A model of the hub is downloaded first, unless it is in Hugging Face's cache.
 *
 * @param model A Hugging Face directory, `hf:owner/name` with or without `@revision`, or {@link BUILTIN}.
 * @param onDownload Told often while a download is under way.
 * @returns Its files.
 * @throws {UserError} When it is of no known family, a file is missing, truncated or malformed, or it cannot be had from the hub.
 */
export async function openModel(
  model: string,
  onDownload?: (progress: DownloadProgress) => void,
): Promise<ModelFiles> {
  if (model === BUILTIN) {
    const { weights, ...files } = await builtinModel();
    const file = await parseSafetensors(weights, "the embedded model.safetensors");
    const { vocabSize } = parseConfig(files.config, "the embedded config.json");
    const source = new TensorSource("the embedded model", [file]);
    return { name: "tiny-gemma2", path: null, ...files, vocabSize, weights: source };
  }
  if (isHubReference(model)) {
    const { fetchModel } = await import("../hub/models.ts"); // and with it a client that local models do not need
    const { directory, name, pinned } = await fetchModel(model, parseConfig, onDownload);
    return { ...await openDirectory(directory), name, path: pinned };
  }
  return { ...await openDirectory(model), name: basename(resolve(model)), path: resolve(model) };
}

/**
 * Tells a model from others of the same shape, wherever its files lie.
 *
 * @param files The model, opened.
 * @returns SHA-256 of tokenizer.json and of {@link TensorSource.fingerprint}, in hexadecimal digits.
 * @throws {UserError} When the weights cannot be read.
 */
export async function modelFingerprint({ tokenizerJson, weights }: ModelFiles): Promise<string> {
  return createHash("sha256").update(await weights.fingerprint()).update(tokenizerJson).digest("hex");
}

async function openDirectory(model: string): Promise<Omit<ModelFiles, "name" | "path">> {
  const config = await readPart(model, "config.json"), { vocabSize } = parseConfig(config, join(model, "config.json"));
  const chatTemplate = await readPart(model, "chat_template.jinja", "");
  return {
    config,
    vocabSize,
    tokenizerJson: await readPart(model, "tokenizer.json"),
    tokenizerConfig: await readPart(model, "tokenizer_config.json", "{}"),
    ...chatTemplate.length > 0 && { chatTemplate },
    weights: await openShards(model),
  };
}

async function readPart(directory: string, file: string, absent?: string): Promise<Uint8Array> {
  const path = join(directory, file);
  try {
    await requireRegular(path);
    const content = await Deno.readFile(path);
    refuseLfsPointer(path, content);
    return content;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw fileError("read", path, error);
    }
    if (absent !== undefined) return new TextEncoder().encode(absent);
    throw new UserError({
      action: `open the model ${directory}`,
      requirement: `it must hold ${file}`,
      ...await insteadOf(directory, file),
    });
  }
}

/** What there is in place of a model's file. */
async function insteadOf(directory: string, file: string): Promise<{ found: string; remedy: string }> {
  const there = await stat(directory).catch(() => null);
  const give = "give a Hugging Face directory or hf:owner/name, or leave --model out";
  if (there === null) return { found: "there is no such directory", remedy: give };
  if (!there.isDirectory()) return { found: "it is a file", remedy: give };
  if (file === "config.json" && await exists(join(directory, "adapter_config.json"))) {
    return { found: "it holds adapter_config.json: a PEFT adapter alone", remedy: MERGE };
  }
  if (file === "tokenizer.json" && await exists(join(directory, "tokenizer.model"))) {
    const make = python(
      "from transformers import AutoTokenizer as T",
      `T.from_pretrained(${quoted(directory)}).save_pretrained(${quoted(directory)})`,
    );
    return { found: "it holds tokenizer.model", remedy: `make it of that: ${make}` };
  }
  return { found: "it does not", remedy: give };
}
