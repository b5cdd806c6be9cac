/**
 * record.safetensors: what a transcoder does on the reading set of its run, see core/analysis/record.ts. It is made once and belongs to the
 * transcoder beside it: a fingerprint of that transcoder's biases and thresholds tells whether it still does.
 *
 * The file holds U32 tensors place, id, document and position [tokens], row_start [tokens + 1] and index [entries]; F32 tensors value [entries],
 * target.squares [tokens], residual.squares [tokens, prefixes] and error_removed [features, prefixes]. Its metadata has the format's number,
 * the fingerprint, tokens per context, the target's variation, and as JSON the
 * documents, and the texts of all tokens that occur.
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import type { SharedTokens } from "../analysis/matching.ts";
import type { FeatureRecord } from "../analysis/record.ts";
import { UserError } from "../errors.ts";
import { exists } from "../files/exists.ts";
import { openSafetensors, type SafetensorsFile, type TensorToWrite, writeSafetensors } from "../files/safetensors.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { TranscoderVectors } from "../transcoder/weights.ts";
import { checked, parseJson, type Parser } from "./json.ts";
import { requireSum, writeSummed } from "./sums.ts";

/** The file's name. */
export const RECORD_FILE = "record.safetensors";

/** The format of what this mtc writes. */
const FORMAT = "1";

/** The tokens of a reading set: a large text has this many, the embedded one a quarter, so that it stays a matter of seconds. */
const READING_TOKENS = 2 ** 17, BUILTIN_READING_TOKENS = 2 ** 15;

/**
 * How many tokens the reading set of a run has.
 *
 * @param config The config.json of one of its transcoders.
 * @returns 131,072, or 32,768 of the embedded text.
 */
export function readingTokens({ data }: { readonly data: { readonly files: readonly string[] } }): number {
  return data.files.length > 0 ? READING_TOKENS : BUILTIN_READING_TOKENS;
}

/**
 * What tells transcoders of equal sizes from each other: every training step moves all biases and thresholds.
 *
 * @param transcoder The transcoder.
 * @returns SHA-256 of its biases and thresholds.
 */
export function fingerprintOf({ weights: { encoderBias, decoderBias }, thresholds }: TranscoderVectors): string {
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of [encoderBias, decoderBias, thresholds]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

/**
 * Writes the file atomically.
 *
 * @param directory The transcoder's directory.
 * @param transcoder The transcoder that the record is of.
 * @param record The record.
 * @throws {UserError} When the disk does not take it.
 */
export async function writeRecord(
  directory: string,
  transcoder: TranscoderVectors,
  record: FeatureRecord,
): Promise<void> {
  const { groups: { length: prefixes }, place, index } = record, tokens = place.length;
  const u32 = (name: string, data: Uint32Array): TensorToWrite => ({ name, dtype: "U32", shape: [data.length], data });
  const f32 = (name: string, data: Float32Array, shape: number[]): TensorToWrite => ({
    name,
    dtype: "F32",
    shape,
    data,
  });
  const path = join(directory, RECORD_FILE);
  await writeSummed(path, () =>
    writeSafetensors(path, [
      ...[
        u32("place", place),
        u32("id", record.id),
        u32("document", record.document),
        u32("position", record.position),
      ],
      ...[u32("row_start", record.rowStart), u32("index", index), f32("value", record.value, [index.length])],
      f32("target.squares", record.targetSquares, [tokens]),
      f32("residual.squares", record.residualSquares, [tokens, prefixes]),
      f32("error_removed", record.errorRemoved, [record.errorRemoved.length / prefixes, prefixes]),
    ], {
      format: FORMAT,
      transcoder: fingerprintOf(transcoder),
      context: String(record.context),
      target_variation: String(record.targetVariation),
      documents: JSON.stringify(record.documents),
      token_texts: JSON.stringify([...record.tokenTexts]),
    }));
}

/**
 * Reads the record of a transcoder.
 *
 * @param directory The transcoder's directory.
 * @param transcoder The transcoder as its files say now.
 * @returns The record; null where there is none, or one of another format, or of what the transcoder was before it was trained further.
 * @throws {UserError} When the file is damaged.
 */
export async function readRecord(directory: string, transcoder: TranscoderVectors): Promise<FeatureRecord | null> {
  const path = join(directory, RECORD_FILE);
  if (!await exists(path)) return null;
  await requireSum(directory, RECORD_FILE, "remove it; whatever needs it makes it anew");
  const file = await openSafetensors(path), { metadata } = file;
  try {
    if (metadata.format !== FORMAT || metadata.transcoder !== fingerprintOf(transcoder)) return null;
    return await checkedRecord(file, transcoder.shape.groups);
  } finally {
    await file.close();
  }
}

/**
 * Reads which tokens a record is of, and nothing else of it.
 *
 * @param directory The transcoder's directory.
 * @returns Them, as they stand there; null where there is no record, or none that can be read.
 */
export async function readRecordTokens(directory: string): Promise<SharedTokens | null> {
  const path = join(directory, RECORD_FILE);
  if (!await exists(path)) return null;
  let file: SafetensorsFile | undefined;
  try {
    file = await openSafetensors(path);
    if (file.metadata.format !== FORMAT) return null;
    const [place, id, position] = await Promise.all(["place", "id", "position"].map((name) => file!.read(name)));
    const areWhole = place instanceof Uint32Array && id instanceof Uint32Array && position instanceof Uint32Array;
    return areWhole ? { context: Number(file.metadata.context), place, id, position } : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  } finally {
    await file?.close();
  }
}

const documents = v.array(v.object({ name: v.string(), split: v.string() }));
const texts = v.array(v.tuple([v.pipe(v.number(), v.safeInteger(), v.minValue(0)), v.string()]));

async function checkedRecord(file: SafetensorsFile, groups: readonly number[]): Promise<FeatureRecord> {
  const { metadata } = file, features = featureCount(groups), { length: prefixes } = groups;
  const damaged = (requirement: string, found: string) =>
    new UserError({
      action: `read ${file.path}`,
      requirement,
      found,
      remedy: "delete it, `mtc analyze` makes it anew",
    });
  const shape = (name: string, extents: readonly number[]) => {
    const held = file.info(name).shape;
    if (held.join() === extents.join()) return;
    throw damaged(`${name} must be [${extents.join(", ")}]`, `it is [${held.join(", ")}]`);
  };
  const requireEach = (name: string, what: string, data: ArrayLike<number>, isSound: (at: number) => boolean) => {
    for (let at = 0; at < data.length; at++) {
      if (!isSound(at)) throw damaged(`each number of ${name} must be ${what}`, `number ${at} is ${data[at]}`);
    }
  };
  const u32 = async (
    name: string,
    length: number,
    what: string,
    isSound: (at: number, data: Uint32Array) => boolean,
  ) => {
    shape(name, [length]);
    const data = await file.read(name);
    if (!(data instanceof Uint32Array)) throw damaged(`${name} must be of U32`, `it is ${file.info(name).dtype}`);
    requireEach(name, what, data, (at) => isSound(at, data));
    return data;
  };
  const f32 = async (name: string, extents: number[], what: string, isSound: (value: number) => boolean) => {
    shape(name, extents);
    const data = await file.readF32(name);
    requireEach(name, what, data, (at) => isSound(data[at]));
    return data;
  };
  const context = Number(metadata.context), targetVariation = Number(metadata.target_variation);
  if (!(Number.isSafeInteger(context) && context > 1)) {
    throw damaged("its context must be at least 2", `it is ${context}`);
  }
  if (!(targetVariation >= 0 && targetVariation < Infinity)) {
    throw damaged("its target_variation must be a number from 0", `it is ${metadata.target_variation}`);
  }
  const parsed = <T>(key: string, parse: Parser<T>) => {
    const where = `${file.path}, ${key}`;
    return checked(parse, parseJson(metadata[key] ?? "", where), where);
  };
  const named = parsed("documents", v.safeParser(documents));
  const tokenTexts = new Map(parsed("token_texts", v.safeParser(texts)));
  const [tokens = 0] = file.info("place").shape, [entries = 0] = file.info("index").shape;
  if (tokens === 0) throw damaged("it must hold a token", "it holds none");
  const ascending = (at: number, data: Uint32Array) => at === 0 || data[at] > data[at - 1];
  const rowStart = await u32(
    "row_start",
    tokens + 1,
    "at least the one before it, from 0 to the number of entries",
    (at, data) => {
      return at === 0
        ? data[0] === 0
        : data[at] >= data[at - 1] && data[at] <= entries && (at < tokens || data[at] === entries);
    },
  );
  const isFirst = new Uint8Array(entries + 1);
  for (const start of rowStart) isFirst[start] = 1;
  const length = (value: number) => value >= 0 && value < Infinity;
  return {
    ...{ groups, context, targetVariation, documents: named, tokenTexts, rowStart },
    place: await u32("place", tokens, "more than the one before it", ascending),
    id: await u32("id", tokens, "a token whose text is known", (at, data) => tokenTexts.has(data[at])),
    document: await u32("document", tokens, `one of ${named.length} documents`, (at, data) => data[at] < named.length),
    position: await u32("position", tokens, "a place", () => true),
    index: await u32("index", entries, `a feature below ${features}, ascending within a token`, (at, data) => {
      return data[at] < features && (isFirst[at] === 1 || data[at] > data[at - 1]);
    }),
    value: await f32("value", [entries], "above 0 and finite", (value) => value > 0 && value < Infinity),
    targetSquares: await f32("target.squares", [tokens], "0 or more and finite", length),
    residualSquares: await f32("residual.squares", [tokens, prefixes], "0 or more and finite", length),
    errorRemoved: await f32("error_removed", [features, prefixes], "finite", Number.isFinite),
  };
}
