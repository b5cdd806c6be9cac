/**
 * Which files hold a checkpoint's weights: one, or several that an index lists.
 * @module
 */

import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { fileError } from "./atomic.ts";
import { exists } from "./exists.ts";
import { refuseLfsPointer } from "./lfs_pointer.ts";

const Index = v.object({ weight_map: v.record(v.string(), v.string()) });

/** The file that lists a checkpoint's shards. */
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/** The file that holds a checkpoint's weights when there is only one. */
export const WHOLE_WEIGHTS = "model.safetensors";

/**
 * Finds out which files hold a directory's weights: `model.safetensors`, or the shards that {@link WEIGHTS_INDEX} lists. Where there are
 * both, the index is of an older save, and the whole file counts, as it does for Hugging Face's transformers.
 *
 * @param directory A Hugging Face model directory.
 * @returns Their names, sorted; they need not exist.
 * @throws {UserError} When the index is malformed or names files elsewhere.
 */
export async function weightFiles(directory: string): Promise<string[]> {
  if (await exists(join(directory, WHOLE_WEIGHTS))) return [WHOLE_WEIGHTS];
  const index = join(directory, WEIGHTS_INDEX);
  try {
    const text = await Deno.readTextFile(index);
    refuseLfsPointer(index, text);
    return shardNames(index, text);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [WHOLE_WEIGHTS];
    throw fileError("read", index, error);
  }
}

/** Weights in other formats, and what makes safetensors of them. */
const FOREIGN: readonly (readonly [name: RegExp, what: string, remedy: (directory: string) => string])[] = [
  [/^adapter_model\./, "a PEFT adapter alone", () => MERGE],
  [
    /^(pytorch_model.*\.bin|tf_model.*\.h5|flax_model.*\.msgpack)$/,
    "weights of another format",
    (directory) =>
      "convert them: " + python(
        "from transformers import AutoModelForCausalLM as M",
        `M.from_pretrained(${quoted(directory)}).save_pretrained(${quoted(directory)})`,
      ),
  ],
  [/^model-\d+-of-\d+\.safetensors$/, `shards without ${WEIGHTS_INDEX}`, () => `download ${WEIGHTS_INDEX} beside them`],
  [/\.gguf$/, "GGUF", () => "take the same model in Hugging Face's format"],
  [/\.(pth|pt|ckpt|bin|npz)$/, "weights of another format", () => "take the same model in Hugging Face's format"],
];

/** How the user of a PEFT adapter comes to a model. */
export const MERGE =
  "merge it into its base model: merge_and_unload() of peft, then save_pretrained of the model and of its tokenizer";

/**
 * A line of Python to be copied.
 *
 * @param statements Its statements, without double quotes.
 * @returns A command.
 */
export function python(...statements: readonly string[]): string {
  return `python -c "${statements.join("; ")}"`;
}

/**
 * Text as Python writes it.
 *
 * @param text The text.
 * @returns A string between single quotes.
 */
export function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

/**
 * Makes sure that the files of {@link weightFiles} are there.
 *
 * @param directory A Hugging Face model directory.
 * @param names The files.
 * @throws {UserError} When one is missing; the message says what is there in its place.
 */
export async function requireWeights(directory: string, names: readonly string[]): Promise<void> {
  const are = await Promise.all(names.map((name) => exists(join(directory, name))));
  const missing = names.filter((_, i) => !are[i]);
  if (missing.length === 0) return;
  if (missing[0] !== WHOLE_WEIGHTS) {
    throw new UserError({
      action: `read ${join(directory, missing[0])}`,
      requirement: `it must be there, as ${WEIGHTS_INDEX} lists it`,
      found: `${missing.length} of its ${names.length} shards ${missing.length === 1 ? "is" : "are"} missing`,
      remedy: "download what is missing",
    });
  }
  const held = await readdir(directory).catch((error) => Promise.reject(fileError("read", directory, error)));
  const [there] = FOREIGN.flatMap(([pattern, what, remedy]) => {
    const name = held.toSorted().find((name) => pattern.test(name));
    return name === undefined ? [] : [{ found: `it holds ${name}: ${what}`, remedy: remedy(directory) }];
  });
  throw new UserError({
    action: `open the model ${directory}`,
    requirement: `it must hold ${WHOLE_WEIGHTS}, or shards with ${WEIGHTS_INDEX}`,
    ...there ?? { found: "it holds no weights", remedy: "download them" },
  });
}

function shardNames(path: string, text: string): string[] {
  const fail = (requirement: string, found: string) =>
    new UserError({ action: `read ${path}`, requirement, found, remedy: "download it again" });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail("it must be JSON", (error as Error).message);
  }
  const parsed = v.safeParse(Index, value);
  if (!parsed.success) throw fail("it must hold a weight_map from tensor to file", "it does not");
  const names = [...new Set(Object.values(parsed.output.weight_map))].sort();
  const stray = names.find((name) => name !== basename(name));
  if (stray !== undefined) throw fail("its shards must lie in the same directory", `"${stray}" does not`);
  return names;
}
