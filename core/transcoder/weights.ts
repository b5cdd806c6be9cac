/**
 * A finished transcoder as a file: safetensors with SAELens' keys and meaning, so that other tools read it as it is.
 *
 *     a = relu(x W_enc + b_enc)     f = a where a > threshold, else 0     y = f W_dec + b_dec
 *
 * The file's W_enc is [d_in, F]; in memory the encoder is feature-major, [F, d_in].
 * @module
 */

import * as v from "valibot";
import { UserError } from "../errors.ts";
import { openSafetensors, type SafetensorsFile, writeSafetensors } from "../files/safetensors.ts";
import { featureCount, type TranscoderShape } from "./shape.ts";

/** A transcoder in host memory, feature-major: a feature is one row of the encoder and one of the decoder. */
export interface TranscoderWeights {
  /** W_enc, [features, d_in]. */
  readonly encoder: Float32Array<ArrayBuffer>;
  /** b_enc, [features]. */
  readonly encoderBias: Float32Array<ArrayBuffer>;
  /** W_dec, [features, d_out]. */
  readonly decoder: Float32Array<ArrayBuffer>;
  /** b_dec, [d_out]. */
  readonly decoderBias: Float32Array<ArrayBuffer>;
}

/**
 * Weights to be overwritten by a checkpoint's.
 *
 * @param shape The transcoder's sizes.
 * @returns Zeros.
 */
export function zeroWeights({ d_in, d_out, groups }: TranscoderShape): TranscoderWeights {
  const features = featureCount(groups);
  return {
    encoder: new Float32Array(features * d_in),
    encoderBias: new Float32Array(features),
    decoder: new Float32Array(features * d_out),
    decoderBias: new Float32Array(d_out),
  };
}

/** A transcoder that takes and gives raw activations. */
export interface Transcoder {
  /** Its sizes. */
  readonly shape: TranscoderShape;
  /** Its weights, training scales folded in. */
  readonly weights: TranscoderWeights;
  /** An activation counts when it is above this, for every feature alike. */
  readonly threshold: number;
}

/** Factors between raw activations and those trained on: x_scaled = scales.source * x. */
export interface Scales {
  /** Of the source. */
  readonly source: number;
  /** Of the target. */
  readonly target: number;
}

/**
 * Turns weights for scaled activations into weights for raw ones. Encoder bias and threshold stay: pre-activations are the same.
 *
 * @param weights Weights for source * x and target * y.
 * @param scales The two factors, above 0.
 * @returns New weights for x and y.
 */
export function foldScales(weights: TranscoderWeights, scales: Scales): TranscoderWeights {
  return {
    encoder: weights.encoder.map((weight) => weight * scales.source),
    encoderBias: weights.encoderBias.slice(),
    decoder: weights.decoder.map((weight) => weight / scales.target),
    decoderBias: weights.decoderBias.map((bias) => bias / scales.target),
  };
}

/** The matrix [rows, columns] as [columns, rows]. */
function transposed(matrix: Float32Array<ArrayBuffer>, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c];
  return out;
}

/**
 * Writes a transcoder atomically: F32 tensors W_enc [d_in, F], b_enc [F], W_dec [F, d_out], b_dec [d_out] and threshold [F], all
 * equal. The same transcoder gives the same bytes.
 *
 * @param path The file to make or replace; its directory must exist.
 * @param shape The transcoder's sizes; the groups go into the file's metadata.
 * @param weights Weights for raw activations.
 * @param threshold The inference threshold.
 * @param metadata Further text entries for the file's header.
 * @throws {UserError} When the disk or the permissions do not allow it.
 */
export async function saveTranscoder(
  path: string,
  shape: TranscoderShape,
  weights: TranscoderWeights,
  threshold: number,
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
    tensor("threshold", [features], new Float32Array(features).fill(threshold)),
  ], { ...metadata, groups: JSON.stringify(groups) });
}

/**
 * Reads a transcoder and checks it.
 *
 * @param path A file of {@link saveTranscoder}, or one of SAELens with a single threshold; without groups in its metadata it is one group.
 * @param isDiagnosed Whether numbers that are not finite are let through, as they are what is looked for.
 * @returns The transcoder.
 * @throws {UserError} When the file cannot be read, tensors are missing, too many or do not fit each other, a number is not
 * finite, or the thresholds differ.
 */
export async function loadTranscoder(path: string, isDiagnosed: boolean = false): Promise<Transcoder> {
  const file = await openSafetensors(path);
  try {
    const shape = checkedShape(file);
    const read = (name: string) => isDiagnosed ? file.readF32(name) : readFinite(file, name);
    const { d_in } = shape, features = featureCount(shape.groups);
    return {
      shape,
      weights: {
        encoder: transposed(await read("W_enc"), d_in, features),
        encoderBias: await read("b_enc"),
        decoder: await read("W_dec"),
        decoderBias: await read("b_dec"),
      },
      threshold: singleThreshold(path, await read("threshold")),
    };
  } finally {
    await file.close();
  }
}

function unusable(path: string, what: string): UserError {
  return new UserError(`Cannot use the transcoder ${path}: ${what}; train it again`);
}

function checkedShape(file: SafetensorsFile): TranscoderShape {
  const { shape: encoder } = file.info("W_enc"), { shape: decoder } = file.info("W_dec");
  if (encoder.length !== 2 || decoder.length !== 2) throw unusable(file.path, "W_enc and W_dec must be matrices");
  const [d_in, features] = encoder, d_out = decoder[1];
  const expected: Record<string, number[]> = {
    W_enc: [d_in, features],
    b_enc: [features],
    W_dec: [features, d_out],
    b_dec: [d_out],
    threshold: [features],
  };
  for (const [name, extents] of Object.entries(expected)) {
    const { shape } = file.info(name);
    if (shape.join() === extents.join()) continue;
    throw unusable(file.path, `${name} must be [${extents.join(", ")}] like the others, it is [${shape.join(", ")}]`);
  }
  const stranger = [...file.tensors.keys()].find((name) => !(name in expected));
  if (stranger !== undefined) {
    throw unusable(file.path, `it must hold ${Object.keys(expected)}, it also holds "${stranger}"`);
  }
  if (d_in * features * d_out === 0) {
    throw unusable(file.path, `its sizes must be positive, they are ${encoder} and ${decoder}`);
  }
  return { d_in, d_out, groups: groupsOf(file, features) };
}

const Groups = v.pipe(v.string(), v.parseJson(), v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(1))));

function groupsOf(file: SafetensorsFile, features: number): readonly number[] {
  const text = file.metadata.groups;
  if (text === undefined) return [features];
  const groups = v.safeParse(Groups, text);
  if (groups.success && featureCount(groups.output) === features) return groups.output;
  throw unusable(file.path, `its groups must be sizes that add up to ${features} features, they are ${text}`);
}

async function readFinite(file: SafetensorsFile, name: string): Promise<Float32Array<ArrayBuffer>> {
  const data = await file.readF32(name);
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return data;
  throw unusable(file.path, `every weight must be finite, element ${bad} of ${name} is ${data[bad]}`);
}

function singleThreshold(path: string, thresholds: Float32Array): number {
  const other = thresholds.findIndex((threshold) => !Object.is(threshold, thresholds[0]));
  if (other === -1) return thresholds[0];
  throw unusable(
    path,
    `all features must have one threshold, feature 0 has ${thresholds[0]} and feature ${other} has ${
      thresholds[other]
    }`,
  );
}
