/**
 * mtc's own file of a transcoder: safetensors with SAELens' keys and meaning, so that other tools read it as it is.
 *
 * The file's W_enc is [d_in, F]; in memory the encoder is feature-major, [F, d_in]. A skip connection's W_skip is [d_out, d_in] in the file,
 * [d_in, d_out] in memory.
 * @module
 */

import * as v from "valibot";
import { UserError } from "../../errors.ts";
import { openSafetensors, type SafetensorsFile, writeSafetensors } from "../../files/safetensors.ts";
import { transposed } from "../../files/transposed.ts";
import { featureCount } from "../shape.ts";
import { type StoredTranscoder, type Transcoder, wholeTranscoder } from "../weights.ts";
import { type Layout, layoutReader, shapeOf } from "./layout.ts";

/**
 * Writes a transcoder atomically: F32 tensors W_enc [d_in, F], b_enc [F], W_dec [F, d_out], b_dec [d_out] and threshold [F], with a skip connection W_skip [d_out, d_in]. The same transcoder gives the same bytes.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param transcoder The transcoder; its groups go into the file's metadata, and how many activations of a token count where that is limited.
 * @param metadata Further text entries for the file's header.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export async function saveTranscoder(
  path: string,
  { shape, weights, thresholds, topK }: Transcoder,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { d_in, d_out, groups } = shape, features = featureCount(groups);
  const tensor = (name: string, extents: number[], data: Float32Array) =>
    ({ name, dtype: "F32", shape: extents, data }) as const;
  await writeSafetensors(path, [
    tensor("W_enc", [d_in, features], transposed(weights.encoder, features, d_in)),
    tensor("b_enc", [features], weights.encoderBias),
    tensor("W_dec", [features, d_out], weights.decoder),
    tensor("b_dec", [d_out], weights.decoderBias),
    tensor("threshold", [features], thresholds),
    ...weights.skip ? [tensor("W_skip", [d_out, d_in], transposed(weights.skip, d_in, d_out))] : [],
  ], { ...metadata, groups: JSON.stringify(groups), ...topK !== undefined && { top_k: String(topK) } });
}

/**
 * Reads a transcoder and checks it.
 *
 * @param path A file of {@link saveTranscoder}, or one of SAELens with thresholds; without groups in its metadata it is one group.
 * @param isDiagnosed Whether weights that are not finite and thresholds that are no number are let through, as they are what is looked for.
 * @returns The transcoder.
 * @throws {UserError} When the file cannot be read, tensors are missing, too many or do not fit each other, a weight is not finite, or a
 * threshold is NaN.
 */
export async function loadTranscoder(path: string, isDiagnosed = false): Promise<Transcoder> {
  return await wholeTranscoder(await storedTranscoder(path, isDiagnosed));
}

/**
 * Reads a transcoder but for its matrices, which are read and checked when they are asked for.
 *
 * @param path As {@link loadTranscoder} takes it.
 * @param isDiagnosed Likewise.
 * @returns The transcoder.
 * @throws {UserError} As {@link loadTranscoder} does.
 */
export async function storedTranscoder(path: string, isDiagnosed = false): Promise<StoredTranscoder> {
  const stored = await onFile(path, isDiagnosed, async ({ shape, topK, reader }) => {
    const { weights, thresholds } = await reader.vectors();
    return { shape, weights, thresholds: thresholds!, ...topK !== undefined && { topK } };
  });
  return {
    ...stored,
    read: (matrix) =>
      onFile(path, isDiagnosed, async ({ file, shape, reader }) => {
        const [was, is] = [stored.shape, shape].map(({ d_in, d_out, groups }) => [d_in, featureCount(groups), d_out]);
        if (was.join() === is.join()) return await reader.matrix(matrix);
        const requirement = `d_in, features, d_out must stay ${was.join(", ")} while it is read`;
        throw unusableFile(file, requirement, `they are ${is.join(", ")} now`);
      }),
  };
}

/** Opens a file for as long as something of it is read. */
async function onFile<T>(
  path: string,
  isDiagnosed: boolean,
  read: (
    opened: Pick<Transcoder, "shape" | "topK"> & { file: SafetensorsFile; reader: ReturnType<typeof layoutReader> },
  ) => Promise<T>,
): Promise<T> {
  const file = await openSafetensors(path);
  const unusable = (requirement: string, found: string) => unusableFile(file, requirement, found);
  try {
    const found = shapeOf(file, LAYOUT, unusable), features = featureCount(found.groups);
    const shape = { ...found, groups: groupsOf(file, features) }, topK = topKOf(file, features);
    return await read({ file, shape, topK, reader: layoutReader(file, LAYOUT, shape, unusable, isDiagnosed) });
  } finally {
    await file.close();
  }
}

const LAYOUT: Layout = {
  encoder: { name: "W_enc", axes: "input, features" },
  encoderBias: "b_enc",
  decoder: "W_dec",
  decoderBias: "b_dec",
  threshold: { name: "threshold" },
  skip: { name: "W_skip", axes: "output, input" },
};

/** Files of {@link saveTranscoder} can be known by their groups: what made them can make them again. */
function unusableFile({ path, metadata }: SafetensorsFile, requirement: string, found: string): UserError {
  const remedy = "groups" in metadata ? "train it again" : "export it again from where it was trained";
  return new UserError({ action: `use the transcoder ${path}`, requirement, found, remedy });
}

const Groups = v.pipe(v.string(), v.parseJson(), v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(1))));

function groupsOf(file: SafetensorsFile, features: number): readonly number[] {
  const text = file.metadata.groups;
  if (text === undefined) return [features];
  const groups = v.safeParse(Groups, text);
  if (groups.success && featureCount(groups.output) === features) return groups.output;
  throw unusableFile(file, `its groups must be sizes that add up to ${features} features`, `they are ${text}`);
}

function topKOf(file: SafetensorsFile, features: number): number | undefined {
  const text = file.metadata.top_k;
  if (text === undefined) return undefined;
  if (/^[1-9]\d*$/.test(text) && Number(text) <= features) return Number(text);
  throw unusableFile(file, `its top_k must be a number of its ${features} features`, `it is "${text}"`);
}
