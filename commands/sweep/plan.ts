/**
 * plan.json: what a sweep of many tasks trains. Its keys are the options of `mtc sweep` without their dashes, and a few that say how it is
 * divided.
 * @module
 */

import { type Command, Option } from "commander";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../../core/errors.ts";
import { fileError } from "../../core/files/atomic.ts";
import { BUILTIN } from "../../core/model/files.ts";
import { LONGEST_LEASE_S } from "../../core/runs/lease.ts";
import { shortHash } from "../../core/runs/task_list.ts";
import type { SweepOptions } from "../train/request.ts";
import { NUMBER_OPTIONS } from "../train/settings.ts";

/** How a plan is divided and where it is worked on. */
export interface SweepPlan {
  /** Its file, for messages and for the commands that are printed. */
  readonly path: string;
  /** What it is known by: a hash of what it trains. */
  readonly hash: string;
  /** The directory of its runs. */
  readonly runs: string;
  /** The layers; null where the sites name theirs. */
  readonly layers: readonly number[] | null;
  /** Where the activations of the tasks are kept, harvested once; null where each task reads the text itself. */
  readonly harvest: string | null;
  /** How many layers share a harvest. */
  readonly harvestLayers: number;
  /** The transcoders of a task: so many, or as many of a layer as fit a GPU. */
  readonly together: number | "fit";
  /** GPU memory that a task can have, in bytes; null for that of the machine that numbers the tasks. */
  readonly memory: number | null;
  /** Seconds without a word after which a process at one of its tasks counts as lost. */
  readonly lease: number;
  /** What it trains, as a command line says it, but for the layers. */
  readonly args: readonly string[];
}

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.pipe(v.string(), v.minLength(1, "it must not be empty"));
/** One value, or several, each once. */
const several = <T extends string | number>(one: v.GenericSchema<T>) =>
  v.pipe(
    v.lazy((given): v.GenericSchema<T | T[]> =>
      Array.isArray(given) ? v.pipe(v.array(one), v.minLength(1, "it must hold a value")) : one
    ),
    v.transform((given): readonly T[] => Array.isArray(given) ? given : [given as T]),
    v.check((values) => new Set(values).size === values.length, "a value comes twice"),
  );

/** What lists hold, of the options that take numbers. */
const LISTED: Readonly<Record<string, v.GenericSchema<number>>> = {
  "k": positive,
  "learning-rate": v.pipe(v.number(), v.finite()),
  "seed": whole,
};

/** An option's name in a plan. */
function keyOf(flags: string): string {
  return new Option(flags).long!.slice(2);
}

const numbers = Object.fromEntries(NUMBER_OPTIONS.map(({ flags, isReal }) => {
  const key = keyOf(flags), one = LISTED[key];
  return [key, v.optional(one ? several(one) : isReal ? v.pipe(v.number(), v.finite()) : whole)];
}));

/** Bytes as a person writes them. */
const memory = v.pipe(
  v.string(),
  v.regex(/^\d+(\.\d+)? (GiB|GB|MiB|MB)$/, 'it must be like "70 GiB"'),
  v.transform((written) => {
    const [amount, unit] = written.split(" ");
    return Number(amount) * { GiB: 2 ** 30, GB: 1e9, MiB: 2 ** 20, MB: 1e6 }[unit as "GiB"];
  }),
);

const schema = v.strictObject({
  ...numbers,
  "model": v.optional(text, BUILTIN),
  "data": v.optional(several(text)),
  "text-column": v.optional(text),
  "bad-lines": v.optional(whole),
  "layers": v.optional(several(whole)),
  "source": v.optional(several(text)),
  "target": v.optional(several(text)),
  "dictionary": v.optional(several(positive)),
  "groups": v.optional(v.pipe(v.array(positive), v.minLength(1))),
  "flat": v.optional(v.boolean()),
  "skip": v.optional(v.boolean()),
  "include-bos": v.optional(v.boolean()),
  "exclude-tokens": v.optional(several(text)),
  "precision": v.optional(v.picklist(["f32", "f16"])),
  "runs": v.optional(text, "runs"),
  "harvest": v.optional(text),
  "harvest-layers": v.optional(positive),
  "together": v.optional(v.union([positive, v.literal("fit")]), 1),
  "memory": v.optional(memory),
  "lease": v.optional(v.pipe(positive, v.maxValue(LONGEST_LEASE_S)), 120),
});

/**
 * Tells the options of `mtc sweep` that a plan takes from the others.
 *
 * @param key An option without its dashes.
 * @returns Whether it is one of a plan's keys.
 */
export function isPlanKey(key: string): boolean {
  return Object.hasOwn(schema.entries, key);
}

/** Keys that do not say what is trained. */
const OWN: readonly string[] = ["runs", "harvest", "harvest-layers", "together", "memory", "lease", "layers"];
/** Keys whose values are arguments each of their own. */
const VARIADIC: readonly string[] = ["data", "exclude-tokens"];

/**
 * Reads a plan. Paths in it are meant from where it lies, so that tasks may start anywhere.
 *
 * @param path The file.
 * @param runs Where the runs are kept, if elsewhere than it says.
 * @returns The plan.
 * @throws {UsageError} When it is not there, is no JSON, has a key that is unknown or a value that cannot be.
 */
export async function readPlan(path: string, runs?: string): Promise<SweepPlan> {
  const given = parsed(path, await contentOf(path)), from = (name: string) => resolve(dirname(path), name);
  const placed = (reference: string) =>
    reference.startsWith("hf:") || reference === BUILTIN ? reference : from(reference);
  const trained = Object.entries({
    ...given,
    model: placed(given.model),
    ...given.data && { data: given.data.map(placed) },
  }).filter(([key, value]) => value !== undefined && !OWN.includes(key));
  const { layers = null, together, harvest, memory = null, lease } = given;
  const args = trained.flatMap(([key, value]) =>
    value === false
      ? []
      : value === true
      ? [`--${key}`]
      : Array.isArray(value) && VARIADIC.includes(key)
      ? [`--${key}`, ...value.map(String)]
      : [`--${key}`, String(value)]
  );
  const ordered = layers && layers.toSorted((a, b) => a - b);
  return {
    ...{ path, runs: runs ?? from(given.runs), layers: ordered, together, memory, lease, args },
    hash: shortHash([args.toSorted(), ordered, together, memory]),
    harvest: harvest === undefined ? null : from(harvest),
    harvestLayers: given["harvest-layers"] ?? Infinity,
  };
}

async function contentOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const told = fileError("read the plan", path, error);
    throw told instanceof Error && "parts" in told ? new UsageError((told as UsageError).parts) : told;
  }
}

function parsed(path: string, content: string): v.InferOutput<typeof schema> {
  const refuse = (requirement: string, found: string, remedy: string) =>
    new UsageError({ action: `read the plan ${path}`, requirement, found, remedy });
  let value: unknown;
  try {
    value = JSON.parse(content.replace(/^\ufeff/, "")); // some editors begin a file with a byte order mark
  } catch (error) {
    throw refuse("it must be JSON", (error as Error).message, "correct it; names and texts stand in double quotes");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse("it must be an object", `it is ${content.slice(0, 20)}`, "write { ... } around it");
  }
  const result = v.safeParse(schema, value);
  if (result.success) {
    const { harvest, together, memory, "harvest-layers": harvestLayers } = result.output;
    if (harvest === undefined && harvestLayers !== undefined) {
      throw refuse(
        "harvest-layers divides a harvest",
        "it has no harvest",
        "add harvest, a directory, or leave it out",
      );
    }
    if (memory !== undefined && together !== "fit") {
      const found = `together is ${together}`;
      throw refuse('memory is what together "fit" may take', found, 'write "together": "fit", or leave memory out');
    }
    return result.output;
  }
  const [issue] = result.issues, key = issue.path!.map(({ key }) => key).join(".");
  if (issue.type === "strict_object" || !isPlanKey(String(issue.path![0].key))) {
    const known = Object.keys(schema.entries), near = nearest(key, known);
    const remedy = near ? `write "${near}"` : `its keys are ${known.join(", ")}`;
    throw refuse("each key must be an option of mtc sweep, without its dashes", `"${key}" is none`, remedy);
  }
  const found = JSON.stringify(issue.path!.at(-1)!.value ?? null).slice(0, 60);
  const [deepest] = issue.issues?.flatMap(({ issues, ...one }) => issues ?? [one]) ?? [];
  const expected = deepest?.message ?? issue.message;
  throw refuse(
    `${key}: ${expected.replace(/^Invalid \w+: /, "").replace("Expected", "expected")}`,
    `it is ${found}`,
    "correct it",
  );
}

/** The name that a misspelt one is meant for, if one is near: two letters changed, left out or added at most. */
function nearest(given: string, known: readonly string[]): string | null {
  const folded = given.toLowerCase().replaceAll("_", "-");
  const [best] = known.map((name) => ({ name, distance: distanceOf(folded, name) })).sort((a, b) =>
    a.distance - b.distance
  );
  return best.distance <= 2 && best.distance < given.length ? best.name : null;
}

function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * Reads the part of a plan as the command line that it stands for.
 *
 * @param command A command that takes the options of `mtc sweep`; it is not run.
 * @param args The arguments.
 * @returns The options, which belong to the command from now on.
 * @throws {UsageError} When a value cannot be.
 */
export async function optionsFrom(command: Command, args: readonly string[]): Promise<SweepOptions> {
  let options: SweepOptions | undefined;
  command.exitOverride().configureOutput({ outputError() {} }).action((given: SweepOptions) => void (options = given));
  await command.parseAsync(args, { from: "user" });
  return options!;
}
