/**
 * harvest.json: what the activations of a harvest are activations of. It is written before the first shard and stays as it is, so that a
 * harvest can go on and a training can tell whether it is the one that it needs; shards.ts has what the shards hold.
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import type { Precision } from "../../wgsl/shared/matmul.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { exists } from "../files/exists.ts";
import { SITES, type Tap, tapName } from "../model/sites.ts";
import { CHAT_FORMS } from "../text/chat_forms.ts";
import type { DataPaths } from "../text/documents.ts";
import { isSameText, type TextSummary } from "../text/summary.ts";
import { parseJson, readText } from "./json.ts";

/** The file's name. */
export const HARVEST_FILE = "harvest.json";
/** The format of harvest.json and of the shards. It rises when a key or a tensor changes its meaning or goes away. */
export const HARVEST_FORMAT = 1;

/** A harvest's harvest.json. */
export interface HarvestDescription {
  /** {@link HARVEST_FORMAT} when it was begun. */
  readonly format: number;
  /** Version of mtc that began it. */
  readonly mtc_version: string;
  /** Name of the GPU or software driver that it was begun on. */
  readonly adapter: string;
  /** The language model; `fingerprint` is `modelFingerprint`, and `path` is null for the embedded one. */
  readonly model: { readonly name: string; readonly path: string | null; readonly fingerprint: string };
  /** The text in figures, and its files, folders and references; none for the embedded one. */
  readonly data: Readonly<TextSummary> & { readonly files: readonly string[] };
  /** Names the order of the training text; null where it is that of the documents, which no training has. */
  readonly seed: number | null;
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** Where activations were taken. */
  readonly taps: readonly Tap[];
  /** What the forward pass's products rounded their inputs to. */
  readonly precision: Precision;
  /** With f16, relative L2 of each tap's activations from those of float32, on the first contexts; empty with f32. */
  readonly precision_errors: Readonly<Record<string, number>>;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const precisions: readonly Precision[] = ["f32", "f16"];

const schema: v.GenericSchema<unknown, HarvestDescription> = v.object({
  format: count,
  mtc_version: v.string(),
  adapter: v.string(),
  model: v.object({ name: v.string(), path: v.nullable(v.string()), fingerprint: v.string() }),
  data: v.object({
    files: v.array(v.string()),
    documents: v.nullable(count),
    train_documents: v.nullable(count),
    held_out_documents: v.nullable(count),
    bytes: count,
    file_count: count,
    fingerprint: v.string(),
    contents: v.optional(v.string()),
    passed_over: v.optional(v.record(v.string(), count)),
    column: v.optional(v.string()),
    chat: v.optional(v.picklist(CHAT_FORMS)),
    bad_lines: v.optional(count),
    left_out: v.optional(count),
  }),
  seed: v.nullable(count),
  context: v.pipe(count, v.minValue(2)),
  taps: v.pipe(v.array(v.object({ layer: count, site: v.picklist(SITES) })), v.minLength(1)),
  precision: v.picklist(precisions),
  precision_errors: v.record(v.string(), v.number()),
});

/**
 * Writes the file atomically.
 *
 * @param directory The harvest's directory.
 * @param description What to write.
 * @throws {UserError} When the disk does not take it.
 */
export function writeHarvest(directory: string, description: HarvestDescription): Promise<void> {
  return writeFileAtomic(join(directory, HARVEST_FILE), JSON.stringify(description, null, 2) + "\n");
}

/**
 * Reads what a directory of shards is a harvest of.
 *
 * @param directory The directory.
 * @returns Its harvest.json.
 * @throws {UserError} When it has none, or one that is damaged or of a newer format.
 */
export async function readHarvest(directory: string): Promise<HarvestDescription> {
  const path = join(directory, HARVEST_FILE);
  if (!await exists(path)) {
    throw new UserError({
      action: `read activations in ${directory}`,
      requirement: `it must hold ${HARVEST_FILE}, with which every harvest begins`,
      found: "it holds none",
      remedy: "give the --out of an mtc harvest",
    });
  }
  const parsed = v.safeParse(schema, parseJson(await readText(path), path));
  if (parsed.success && parsed.output.format === HARVEST_FORMAT) return parsed.output;
  const [{ path: place, message }] = parsed.issues ?? [{ path: undefined, message: "" }];
  throw new UserError({
    action: `read ${path}`,
    requirement: `it must be a harvest.json of format ${HARVEST_FORMAT}`,
    found: parsed.success
      ? `it is one of format ${parsed.output.format}`
      : `${place?.map(({ key }) => key).join(".") ?? "it"}: ${message}`,
    remedy: parsed.success ? "use the mtc that wrote it" : "restore it or harvest again",
  });
}

/** What makes one harvest differ from another: only where all of it is the same may activations stand in for each other. */
export type HarvestIdentity = Pick<HarvestDescription, "data" | "seed" | "context" | "taps" | "precision"> & {
  readonly model: Pick<HarvestDescription["model"], "fingerprint">;
};

/** Beside the model and the text. */
function settingsOf({ seed, context, taps, precision }: HarvestIdentity) {
  return {
    "--data-seed": seed,
    "--context": context,
    "--layers or --sites": taps.map(tapName).join(),
    "--precision": precision,
  };
}

/**
 * What a harvest is known by; each of its shards carries it.
 *
 * @param harvest The harvest.
 * @returns SHA-256 in hexadecimal digits.
 */
export function harvestId(harvest: HarvestIdentity): string {
  const { model, data: { fingerprint, contents } } = harvest;
  const identity = [model.fingerprint, fingerprint, contents, ...Object.values(settingsOf(harvest))];
  return createHash("sha256").update(JSON.stringify(identity)).digest("hex");
}

/**
 * What two harvests differ in.
 *
 * @param harvest One.
 * @param other The other.
 * @returns The first of model, text, and what the command line says that is not the same; null when they are one harvest.
 */
export function differenceOf(harvest: HarvestIdentity, other: HarvestIdentity): string | null {
  if (harvest.model.fingerprint !== other.model.fingerprint) return "model";
  if (!isSameText(harvest.data, other.data)) return "text";
  const here = settingsOf(harvest), there = settingsOf(other);
  return (Object.keys(here) as (keyof typeof here)[]).find((key) => here[key] !== there[key]) ?? null;
}

/**
 * The text of a harvest.
 *
 * @param harvest Its description.
 * @returns Paths, or the embedded text.
 */
export function dataOfHarvest({ data }: HarvestDescription): DataPaths {
  return data.files.length > 0 ? [...data.files] : "builtin";
}
