/**
 * Small but whole runs of `mtc train`: several buffers, checkpoints in the middle of them, both default layers.
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const MAIN: string = fileURLToPath(new URL("../../main.ts", import.meta.url));
/** The embedded model as a directory. */
export const TINY: string = fileURLToPath(new URL("../../core/builtin/tiny-gemma2/", import.meta.url));

/** Settings of 30 steps in four buffers of eight steps; the checkpoints of steps 10 and 20 lie inside of buffers. */
export const SMALL: readonly string[] = [
  ...["--layers", "2,4", "--steps", "30", "--batch", "256", "--groups", "16,32,16", "--k", "8", "--buffer", "1024"],
  ...["--passes", "2", "--checkpoint-every", "10", "--sample-every", "10", "--samples", "20", "--log-every", "1"],
  ...["--sample-tokens", "2048", "--evaluation-tokens", "1024", "--loss-tokens", "512"],
];

/** The finished files of a layer, by name. */
export const FINISHED: readonly string[] = [
  "config.json",
  "evaluation.json",
  "features.csv",
  "linear_map.safetensors",
  "metrics.csv",
  "preparation.safetensors",
  "samples.jsonl",
  "training_samples.jsonl",
  "transcoder.safetensors",
];

/** The content of a layer's finished files without what tells the time: equal for equal runs. */
export async function finishedContent(layer: string, files = FINISHED): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const name of files) content[name] = withoutTimes(name, await Deno.readFile(join(layer, name)));
  return content;
}

function withoutTimes(name: string, bytes: Uint8Array): string {
  if (name.endsWith(".safetensors")) return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const text = new TextDecoder().decode(bytes);
  if (name === "config.json") return text.replace(/"created": "[^"]*"/, "");
  return name === "metrics.csv" ? text.replaceAll(/,[^,\n]*,[^,\n]*$/gm, "") : text;
}

/** The names in a directory, sorted; none where there is no directory. */
export function names(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
