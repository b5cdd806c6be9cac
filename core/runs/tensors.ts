/**
 * Reads the weights of a finished run and holds them against its settings.
 * @module
 */
import { UserError } from "../errors.ts";
import type { SafetensorsFile } from "../files/safetensors.ts";
import type { RunConfig } from "./schema.ts";
import type { TranscoderTensors } from "../analysis/weight_statistics.ts";

/**
 * Reads W_enc, b_enc, W_dec, b_dec and threshold from an open transcoder.safetensors.
 * @throws {UserError} when a tensor is missing or its shape is not the one that `config` gives.
 */
export async function readTensors(
  file: SafetensorsFile,
  config: Pick<RunConfig, "d_in" | "d_out" | "features">,
): Promise<TranscoderTensors> {
  const { d_in: dIn, d_out: dOut, features } = config;
  const read = async (name: string, ...expected: number[]) => {
    const { shape } = file.info(name);
    if (shape.join() !== expected.join()) {
      throw new UserError(
        `Cannot read ${file.path}: ${name} must have the shape [${expected.join(", ")}] of config.json, ` +
          `it has [${shape.join(", ")}]; the files belong to different runs, train the run again`,
      );
    }
    return await file.readF32(name);
  };
  return {
    dIn,
    dOut,
    features,
    encoder: await read("W_enc", dIn, features),
    encoderBias: await read("b_enc", features),
    decoder: await read("W_dec", features, dOut),
    decoderBias: await read("b_dec", dOut),
    threshold: await read("threshold", features),
  };
}
