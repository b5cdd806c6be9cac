/**
 * One case: a sound input, damaged and read.
 * @module
 */

import { dirname, join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { uniform } from "../random.ts";
import { type Files, mutatorsFor, type Reader } from "./readers.ts";

/** What became of a case. "other" is taken, with another content that no checksum could have told; the last three are faults. */
export type Outcome = "refused" | "same" | "other" | "damaged" | "crash" | "memory";

/** A case and what became of it. */
export interface Told {
  /** What. */
  readonly outcome: Outcome;
  /** Which file was damaged, and how. */
  readonly what: string;
  /** The error's message, or what is wrong. */
  readonly message: string;
}

/** A reader with its inputs as they are before they are damaged. */
export interface Prepared {
  readonly reader: Reader;
  readonly seeds: readonly { readonly files: Files; readonly read: string }[];
}

/** What a case may take beside the program, in bytes: none of the inputs is larger than a few hundred kilobytes. */
const MOST_MEMORY = 2 ** 30;

/**
 * Reads the sound inputs of a reader.
 *
 * @param reader The reader.
 * @returns It with them.
 */
export async function prepare(reader: Reader): Promise<Prepared> {
  const seeds = [];
  for (const files of await reader.seeds()) {
    const read = await within(files, (directory) => reader.read(directory, files));
    const fault = reader.fault?.(files, read) ?? null;
    if (fault !== null) throw new Error(`A sound input is thought damaged: ${fault}`);
    seeds.push({ files, read });
  }
  return { reader, seeds };
}

/**
 * Damages an input.
 *
 * @param prepared The reader.
 * @param seed Names the damage.
 * @returns The damaged files, what they were read as when they were sound, and what was done.
 */
export function damage({ reader, seeds }: Prepared, seed: number): { files: Files; sound: string; what: string } {
  const random = uniform(seed), pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)];
  const { files, read } = pick(seeds),
    path = pick(Object.keys(files).filter((path) => reader.damaged?.test(path) ?? true));
  const [name, mutate] = pick(Object.entries(mutatorsFor(path)));
  let bytes = mutate(files[path], random);
  // Some files have more than one wound.
  if (random() < 0.15) bytes = mutate(bytes, random);
  return { files: { ...files, [path]: bytes }, sound: read, what: `${path}: ${name}` };
}

/**
 * Runs a case.
 *
 * @param prepared The reader.
 * @param seed Names the damage.
 * @returns What became of it.
 */
export async function runCase(prepared: Prepared, seed: number): Promise<Told> {
  const { reader } = prepared, { files, sound, what } = damage(prepared, seed), before = Deno.memoryUsage().rss;
  const told = (outcome: Outcome, message = ""): Told => ({ outcome, what, message });
  try {
    const read = await within(files, (directory) => reader.read(directory, files));
    const taken = Deno.memoryUsage().rss - before;
    if (taken > MOST_MEMORY) return told("memory", `${taken} bytes more`);
    if (read === sound) return told("same");
    if (reader.isSummed) return told("damaged", "a checksum must have told");
    const fault = reader.fault?.(files, read) ?? null;
    return fault === null ? told("other") : told("damaged", fault);
  } catch (error) {
    if (error instanceof UserError) return told("refused", error.message);
    return told("crash", error instanceof Error ? error.stack ?? error.message : String(error));
  }
}

/** Runs something with the files in a directory of their own. */
async function within<T>(files: Files, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "mtc-fuzz-" });
  try {
    for (const [path, bytes] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(directory, path)), { recursive: true });
      await Deno.writeFile(join(directory, path), bytes);
    }
    return await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
