/**
 * Reads a model's config.json: the family that its `model_type` names says what the keys mean.
 * @module
 */

import { UserError } from "../errors.ts";
import type { DecoderConfig } from "./decoder_config.ts";
import { describeForeign } from "./foreign.ts";
import { parseGemma2 } from "./gemma2.ts";
import { parseGemma3, parseGemma3Text } from "./gemma3.ts";

export type { DecoderConfig, LayerType, Rope } from "./decoder_config.ts";

/** Readers of config.json by its `model_type`; each gives the configuration, or says what is wrong. */
const FAMILIES: Readonly<Record<string, (json: unknown) => DecoderConfig | string>> = {
  gemma2: parseGemma2,
  gemma3: parseGemma3,
  gemma3_text: parseGemma3Text,
};

/** The part of an opened model that says how large it is. */
export type Described = {
  readonly name: string;
  readonly path: string | null;
  readonly config: Uint8Array;
};

/**
 * Reads the sizes of an opened model.
 *
 * @param files The model's files.
 * @returns The checked configuration.
 * @throws {UserError} As {@link parseConfig}.
 */
export function configOf(files: Described): DecoderConfig {
  return parseConfig(files.config, `${files.path ?? files.name}/config.json`);
}

/**
 * Reads a model's config.json.
 *
 * @param json The file's bytes.
 * @param path What to call it in messages.
 * @returns The checked configuration.
 * @throws {UserError} When it is not JSON, not of a known family, or a key is missing or impossible.
 */
export function parseConfig(json: Uint8Array, path: string): DecoderConfig {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(json));
  } catch (error) {
    throw new UserError({
      action: `read ${path}`,
      requirement: "it must be JSON",
      found: (error as Error).message,
      remedy: "download it again",
    });
  }
  const modelType = (value as { model_type?: unknown } | null)?.model_type;
  const family = typeof modelType === "string" && Object.hasOwn(FAMILIES, modelType) ? FAMILIES[modelType] : null;
  if (family === null) {
    throw unusable(path, "it must be a Gemma-2 or Gemma-3 text model", describeForeign(modelType));
  }
  const config = family(value);
  if (typeof config === "string") throw unusable(path, config);
  return config;
}

function unusable(path: string, requirement: string, found?: string): UserError {
  return new UserError({
    action: `use the model of ${path}`,
    requirement,
    found,
    remedy: "choose a Hugging Face directory of Gemma-2 or Gemma-3",
  });
}
