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
import { featureCount, type TranscoderShape } from "../shape.ts";
import type { Transcoder } from "../weights.ts";

/**
 * Transposes a matrix.
 *
 * @param matrix [rows, columns]
 * @param rows How many rows it has.
 * @param columns How many columns.
 * @returns [columns, rows]
 */
export function transposed(
  matrix: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c];
  return out;
}

/**
 * Writes a transcoder atomically: F32 tensors W_enc [d_in, F], b_enc [F], W_dec [F, d_out], b_dec [d_out] and threshold [F], with a skip connection W_skip [d_out, d_in]. The same transcoder gives the same bytes.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param transcoder The transcoder; its groups go into the file's metadata.
 * @param metadata Further text entries for the file's header.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export async function saveTranscoder(
  path: string,
  { shape, weights, thresholds }: Transcoder,
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
  ], { ...metadata, groups: JSON.stringify(groups) });
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
  const file = await openSafetensors(path);
  try {
    const shape = checkedShape(file);
    const { d_in, d_out } = shape, features = featureCount(shape.groups);
    const read = async (name: string, isSound: (value: number) => boolean, requirement: string) => {
      const data = await file.readF32(name), bad = isDiagnosed ? -1 : data.findIndex((value) => !isSound(value));
      if (bad === -1) return data;
      throw unusable(file, requirement, `element ${bad} of ${name} is ${data[bad]}`);
    };
    const weight = (name: string) => read(name, Number.isFinite, "every weight must be finite");
    return {
      shape,
      weights: {
        encoder: transposed(await weight("W_enc"), d_in, features),
        encoderBias: await weight("b_enc"),
        decoder: await weight("W_dec"),
        decoderBias: await weight("b_dec"),
        ...shape.skip && { skip: transposed(await weight("W_skip"), d_out, d_in) },
      },
      thresholds: await read("threshold", (value) => !Number.isNaN(value), "every threshold must be a number"),
    };
  } finally {
    await file.close();
  }
}

/** Files of {@link saveTranscoder} can be known by their groups: what made them can make them again. */
function unusable({ path, metadata }: SafetensorsFile, requirement: string, found: string): UserError {
  const remedy = "groups" in metadata ? "train it again" : "export it again from where it was trained";
  return new UserError({ action: `use the transcoder ${path}`, requirement, found, remedy });
}

function checkedShape(file: SafetensorsFile): TranscoderShape {
  const names = ["W_enc", "b_enc", "W_dec", "b_dec", "threshold"];
  const requirement = `it must hold ${names.join(", ")}, perhaps W_skip, and nothing else`,
    skip = file.tensors.has("W_skip");
  const missing = names.find((name) => !file.tensors.has(name));
  if (missing !== undefined) throw unusable(file, requirement, `it has no ${missing}`);
  const stranger = [...file.tensors.keys()].find((name) => ![...names, "W_skip"].includes(name));
  if (stranger !== undefined) throw unusable(file, requirement, `it also holds "${stranger}"`);
  const { shape: encoder } = file.info("W_enc"), { shape: decoder } = file.info("W_dec");
  if (encoder.length !== 2 || decoder.length !== 2) {
    throw unusable(
      file,
      "W_enc and W_dec must be matrices",
      `they are [${encoder.join(", ")}] and [${decoder.join(", ")}]`,
    );
  }
  const [d_in, features] = encoder, d_out = decoder[1];
  const expected = {
    ...{ b_enc: [features], W_dec: [features, d_out], b_dec: [d_out], threshold: [features] },
    ...skip && { W_skip: [d_out, d_in] },
  };
  for (const [name, extents] of Object.entries(expected)) {
    const { shape } = file.info(name);
    if (shape.join() === extents.join()) continue;
    throw unusable(file, `${name} must be [${extents.join(", ")}] like the others`, `it is [${shape.join(", ")}]`);
  }
  if (d_in * features * d_out === 0) {
    throw unusable(file, "its sizes must be positive", `d_in, features, d_out are ${d_in}, ${features}, ${d_out}`);
  }
  return { d_in, d_out, groups: groupsOf(file, features), ...skip && { skip } };
}

const Groups = v.pipe(v.string(), v.parseJson(), v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(1))));

function groupsOf(file: SafetensorsFile, features: number): readonly number[] {
  const text = file.metadata.groups;
  if (text === undefined) return [features];
  const groups = v.safeParse(Groups, text);
  if (groups.success && featureCount(groups.output) === features) return groups.output;
  throw unusable(file, `its groups must be sizes that add up to ${features} features`, `they are ${text}`);
}
