/**
 * Which files hold a checkpoint's weights: one, or several that an index lists.
 * @module
 */

import { basename, join } from "node:path";
import * as v from "valibot";
import { UserError } from "../errors.ts";
import { fileError } from "./atomic.ts";
import { exists } from "./exists.ts";

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
    return shardNames(index, await Deno.readTextFile(index));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [WHOLE_WEIGHTS];
    throw fileError("read", index, error);
  }
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
