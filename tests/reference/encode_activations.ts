/**
 * What mtc's own encoder makes of a text, for export_loaders.py to hold other tools against: for each transcoder of a run, the raw activations of
 * its source, those of its TransformerLens hook, and the features.
 *
 *     deno run -A tests/reference/encode_activations.ts RUN MODEL TEXT OUT
 *
 * MODEL is the model's directory, or `-` for what the run recorded. OUT gets NAME.safetensors per transcoder: x [tokens, d_in], hook [tokens, d_in],
 * and twice row_start, index and value: `kept` with thresholds, as `mtc encode` shows them, and `positive` with all features above 0.
 */

import { join } from "node:path";
import { createTensor, downloadF32, type Gpu, openGpu } from "../../core/gpu/device.ts";
import type { Pass } from "../../core/gpu/run.ts";
import { front, type Tensor } from "../../core/gpu/tensor.ts";
import { type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { openModel } from "../../core/model/files.ts";
import { hookOf } from "../../core/model/hooks.ts";
import type { Tap } from "../../core/model/sites.ts";
import { readGain } from "../../core/model/weights.ts";
import { textContexts } from "../../core/passes/encode_text.ts";
import { type Analysis, contextsAtHand, overText, type Piece, recordTaken } from "../../core/passes/over_text.ts";
import { loadRunModel, modelOf, openFinishedRun } from "../../core/runs/finished.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { Encoder, type HostFeatures, joinFeatures } from "../../core/transcoder/encode.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { preferVulkan } from "../../main.ts";

interface Read {
  x: Float32Array;
  features: HostFeatures;
}

/** Encodes with one transcoder and keeps what it encoded. */
class Kept implements Analysis<Read> {
  readonly taps: readonly Tap[];
  readonly tokensAtOnce: number;
  readonly parts: Read[] = [];
  readonly #gpu: Gpu;
  readonly #encoder: Encoder;
  readonly #x: Tensor;

  constructor(gpu: Gpu, transcoder: Transcoder, source: Tap, maxTokens: number) {
    this.#gpu = gpu;
    this.taps = [source];
    this.#encoder = new Encoder(gpu, transcoder, maxTokens);
    this.tokensAtOnce = this.#encoder.batchTokens;
    this.#x = createTensor(gpu, "source", [this.tokensAtOnce, transcoder.shape.d_in]);
  }

  record(pass: Pass, piece: Piece): void {
    recordTaken(pass, piece, this.taps[0], this.#x);
    this.#encoder.recordEncode(pass, this.#x, piece.places.length);
  }

  async read({ places: { length: tokens } }: Piece): Promise<Read> {
    const features = await this.#encoder.readKept(tokens);
    return { x: await downloadF32(this.#gpu, front(this.#x, tokens)), features };
  }

  take(_: Piece, read: Read): void {
    this.parts.push(read);
  }

  get x(): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.parts.flatMap(({ x }) => Array.from(x)));
  }

  get features(): HostFeatures {
    return joinFeatures(this.parts.map(({ features }) => features));
  }
}

function featureTensors(name: string, { rowStart, index, value }: HostFeatures): TensorToWrite[] {
  const tensor = (part: string, dtype: "U32" | "F32", data: Uint32Array | Float32Array): TensorToWrite => ({
    name: `${name}.${part}`,
    dtype,
    shape: [data.length],
    data,
  });
  return [tensor("row_start", "U32", rowStart), tensor("index", "U32", index), tensor("value", "F32", value)];
}

const [run, model, text, out] = Deno.args;
preferVulkan();
const transcoders = await openFinishedRun(run), [{ config: { context, exclude_tokens } }] = transcoders;
const files = await openModel(model === "-" ? modelOf(transcoders) : model), tokenizer = loadTokenizer(files);
using gpu = await openGpu();
const taps = transcoders.map(({ config }) => config.source);
const decoder = await loadRunModel(gpu, files, transcoders, { taps, maxTokens: context });
const contexts = textContexts(tokenizer.encode(text), tokenizer.bosId, context);
for (const { name, config: { source, model: { d_model } }, transcoder } of transcoders) {
  const kept = new Kept(gpu, transcoder, source, context);
  const positive = new Kept(gpu, { ...transcoder, thresholds: transcoder.thresholds.map(() => 0) }, source, context);
  const source_ = contextsAtHand(contexts);
  await overText(
    { gpu, decoder, source: source_, contexts: contexts.length, includeBos: false, excluded: exclude_tokens },
    [kept, positive],
  );
  const { norm } = hookOf(source), gain = norm ? await readGain(files.weights, norm, d_model) : null;
  const { x } = kept, width = transcoder.shape.d_in, tokens = x.length / width;
  const matrix = (name: string, data: Float32Array): TensorToWrite => ({
    name,
    dtype: "F32",
    shape: [tokens, width],
    data,
  });
  await writeSafetensors(join(out, `${name.file}.safetensors`), [
    matrix("x", x),
    // Gemma 3's norms have gains of 0: what the hook holds there is lost behind them, so that any number does.
    matrix("hook", gain ? x.map((value, at) => gain[at % width] === 0 ? 1 : value / gain[at % width]) : x),
    ...featureTensors("kept", kept.features),
    ...featureTensors("positive", positive.features),
  ]);
}
await files.weights.close();
