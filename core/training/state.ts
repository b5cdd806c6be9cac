/**
 * The training state of a transcoder on the GPU: made from weights, read back for checkpoints, restored from them.
 * @module
 */

import type { TensorToWrite } from "../files/safetensors.ts";
import { createTensor, downloadAll, type Gpu, tensorFrom, upload } from "../gpu/device.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import type { Transcoder, TranscoderWeights } from "../transcoder/weights.ts";
import type { Parameter, TrainingState } from "./step.ts";

/**
 * Allocates a training state that starts from given weights, with Adam's means at zero and no threshold yet.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param weights Its weights, for prepared activations.
 * @returns The state.
 */
export function createTrainingState(gpu: Gpu, shape: TranscoderShape, weights: TranscoderWeights): TrainingState {
  const features = featureCount(shape.groups), { d_in, d_out } = shape;
  const parameter = (name: string, width: number, data: Float32Array, rows = features): Parameter => ({
    weight: tensorFrom(gpu, name, [rows, width], data),
    mean: createTensor(gpu, `${name} mean`, [rows, width]),
    square: createTensor(gpu, `${name} square`, [rows, width]),
  });
  const encoderBias = createTensor(gpu, "b_enc", [3, features]), decoderBias = createTensor(gpu, "b_dec", [3, d_out]);
  upload(gpu, encoderBias, weights.encoderBias);
  upload(gpu, decoderBias, weights.decoderBias);
  return {
    encoder: parameter("W_enc", d_in, weights.encoder),
    decoder: parameter("W_dec", d_out, weights.decoder),
    encoderBias,
    decoderBias,
    skip: weights.skip ? parameter("W_skip", d_out, weights.skip, d_in) : null,
    inactive: createTensor(gpu, "inactive", [features], "u32"),
    threshold: createTensor(gpu, "threshold", [2]),
  };
}

/**
 * Names every tensor of a state, in the order of a checkpoint's file.
 *
 * @param state The state.
 * @returns Name and tensor pairs.
 */
export function stateTensors(state: TrainingState): [name: string, tensor: Tensor][] {
  const { encoder, decoder, skip } = state;
  return [
    ["encoder", encoder.weight],
    ["encoder.mean", encoder.mean],
    ["encoder.square", encoder.square],
    ["decoder", decoder.weight],
    ["decoder.mean", decoder.mean],
    ["decoder.square", decoder.square],
    ["encoder_bias", state.encoderBias],
    ["decoder_bias", state.decoderBias],
    ["inactive", state.inactive],
    ["threshold", state.threshold],
    ...skip
      ? [["skip", skip.weight], ["skip.mean", skip.mean], ["skip.square", skip.square]] as [string, Tensor][]
      : [],
  ];
}

/** A state in host memory, by the names of {@link stateTensors}. */
export type HostState = ReadonlyMap<string, TensorToWrite>;

/** The tensors that a transcoder is made of. */
const WEIGHTS = ["encoder", "encoder_bias", "decoder", "decoder_bias", "threshold", "skip"];

/**
 * Reads a state back, with one wait.
 *
 * @param gpu The device.
 * @param state The state.
 * @param isWanted Which of its tensors, by name; all if left out.
 * @returns Those tensors, in the order of a checkpoint's file.
 */
export async function readState(
  gpu: Gpu,
  state: TrainingState,
  isWanted: (name: string) => boolean = () => true,
): Promise<HostState> {
  const named = stateTensors(state).filter(([name]) => isWanted(name));
  const bytes = await downloadAll(gpu, named.map(([, tensor]) => tensor));
  return new Map(named.map(([name, { shape, type }], i) => {
    const tensor: TensorToWrite = type === "f32"
      ? { name, dtype: "F32", shape, data: new Float32Array(bytes[i]) }
      : { name, dtype: "U32", shape, data: new Uint32Array(bytes[i]) };
    return [name, tensor];
  }));
}

/**
 * The transcoder in a state.
 *
 * @param shape The transcoder's sizes.
 * @param state The state, or the part of it that {@link readWeights} reads.
 * @returns The weights for prepared activations, and the running threshold for each feature: training has one for all.
 */
export function weightsOf(shape: TranscoderShape, state: HostState): Pick<Transcoder, "weights" | "thresholds"> {
  const [encoder, encoderBias, decoder, decoderBias, threshold, skip] = WEIGHTS.map((name) =>
    state.get(name)?.data as Float32Array<ArrayBuffer>
  );
  const features = featureCount(shape.groups);
  return {
    weights: {
      encoder,
      encoderBias: encoderBias.slice(0, features),
      decoder,
      decoderBias: decoderBias.slice(0, shape.d_out),
      ...shape.skip && { skip },
    },
    thresholds: new Float32Array(features).fill(threshold[0]),
  };
}

/**
 * Reads the weights back, with one wait.
 *
 * @param gpu The device.
 * @param shape The transcoder's sizes.
 * @param state The state.
 * @returns As {@link weightsOf}.
 */
export async function readWeights(
  gpu: Gpu,
  shape: TranscoderShape,
  state: TrainingState,
): Promise<Pick<Transcoder, "weights" | "thresholds">> {
  return weightsOf(shape, await readState(gpu, state, (name) => WEIGHTS.includes(name)));
}
