/**
 * A rehearsal: a run from loading the model to the evaluation, with the real constructors and passes on a device that only counts.
 * @module
 */

import type { LocalByteSource } from "../files/byte_source.ts";
import { SafetensorsFile } from "../files/safetensors.ts";
import { checkContext, contextsPerForward } from "../model/capacity.ts";
import { configOf, type DecoderConfig } from "../model/config.ts";
import { Decoder } from "../model/forward.ts";
import { type Reach, reachOf } from "../model/reach.ts";
import { type Tap, tapIndex, widthOf } from "../model/sites.ts";
import { TensorSource } from "../files/tensor_source.ts";
import { headColumns } from "../model/head.ts";
import { type LayerWeights, loadHead, loadLayers, requireTensors } from "../model/weights.ts";
import { downloadAll, type Gpu } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import { openScope } from "../gpu/scope.ts";
import { ELEMENT_BYTES, elements, type Tensor } from "../gpu/tensor.ts";
import { paddedColumns } from "../../wgsl/shared/matmul.ts";
import { emptyBatch, START } from "../text/contexts.ts";
import { type BufferLayout, bufferLayout, ShuffleBuffer } from "../training/buffer.ts";
import { type Allocation, type Dispatched, Ledger, type Snapshot } from "./ledger.ts";
import { evaluateTranscoders } from "../passes/evaluation.ts";
import type { PlacedTranscoder } from "../passes/features.ts";
import { lossModel, measureLoss } from "../passes/loss.ts";
import { type ContextSource, overText } from "../passes/over_text.ts";
import { BufferFiller } from "../training/filler.ts";
import { contextsPerPiece } from "../training/shard_filler.ts";
import { ROWS_AT_ONCE, sumProducts } from "../training/linear_map.ts";
import { covarianceRows, measureActivations, secondMoments } from "../training/initialise.ts";
import { type PlannedTranscoder, settingsIn, type TrainingPlan } from "../training/plan.ts";
import { featureCount, type TranscoderShape } from "../transcoder/shape.ts";
import { mappingName, predictedLayers, sourcesOf, tapsOf } from "../runs/ids.ts";
import { collectSamples } from "../passes/samples.ts";
import { readWeights, stateTensors } from "../training/state.ts";
import { allocateTranscoder, type TrainedParts } from "../training/transcoder.ts";
import type { LinearMap } from "../transcoder/linear_map.ts";
import { type Preparation, scaledBy, zeroWeights } from "../transcoder/weights.ts";

/** What an estimate needs to know of a run. */
export interface PlannedRun
  extends Pick<TrainingPlan, "settings" | "transcoders" | "model" | "activations" | "resumed"> {
  /** About how many bytes its text has; the embedded one if left out. */
  readonly textBytes?: number;
}

/** What a run does, in its order. */
export type Stage = "loading" | "starting" | "training" | "finishing";

/** What a rehearsal found. Sizes are bytes. */
export interface Rehearsal {
  /** The model. */
  readonly config: DecoderConfig;
  /** Layers of it that are needed. */
  readonly modelLayers: number;
  /** Contexts of one forward pass. */
  readonly contextsPerForward: number;
  /** How the run is cut into buffers. */
  readonly buffer: BufferLayout;
  /** GPU memory that is held as long as steps are taken. */
  readonly training: Snapshot;
  /** The tensors that it is made of. */
  readonly tensors: readonly Allocation[];
  /** The most that each stage holds at once. */
  readonly peaks: Readonly<Record<Stage, Snapshot>>;
  /** Floating-point operations of one forward pass, and of making the first weights. */
  readonly flops: { readonly forward: number; readonly start: number };
  /** What measuring the loss takes; null where it is not. */
  readonly loss: RehearsedLoss | null;
  /** What a checkpoint of each transcoder holds of its state, of its weights, of its samples. */
  readonly checkpoints: readonly { readonly state: number; readonly weights: number; readonly samples: number }[];
  /** Samples in host memory in all: of training, and of the final pass. */
  readonly samples: { readonly training: number; readonly final: number };
  /** The most that is uploaded, and read back, at once: the host holds a copy. */
  readonly transfers: { readonly upload: number; readonly readback: number };
}

/** What measuring the loss takes. */
export interface RehearsedLoss {
  /** Contexts at once, */
  readonly contexts: number;
  /** floating-point operations of all ways to change the model on so many, */
  readonly flops: number;
  /** bytes of the whole model's weights, */
  readonly weights: number;
  /** and how many of its layers would be as many. */
  readonly layers: number;
}

/** Forward passes after which no more memory is taken. */
const ENOUGH_FORWARDS = 8;
/** Batches of the first buffer after which rehearsing their measurement would only take time. */
const ENOUGH_BATCHES = 1024;

/**
 * Rehearses a run.
 *
 * @param gpu The device whose limits hold; nothing is done on it.
 * @param run The run.
 * @param startsOver Whether the first weights are made; they are not where a checkpoint is resumed.
 * @param most Bytes of GPU memory at which to give up.
 * @returns What it would take.
 * @throws {Overflow} When it takes more than that.
 * @throws {UserError} When a tensor is missing, misshapen, or larger than the adapter can bind.
 */
export async function rehearse(gpu: Gpu, run: PlannedRun, startsOver: boolean, most = Infinity): Promise<Rehearsal> {
  const { settings, transcoders: planned } = run, config = configOf(run.model), hasLoss = settings.loss_tokens > 0;
  checkContext(run.model, settings.context);
  // Most layers are not loaded here, as they are alike; that they are there can be said all the same. Their numbers are not looked at.
  const wanted = [...tapsOf(planned), ...hasLoss ? [lastOf(config)] : []];
  requireTensors(run.model.weights, config, reachOf(wanted), hasLoss);
  const ledger = new Ledger(gpu, most);
  const contexts = contextsPerForward(gpu, config, settings.context);
  const peaks: Partial<Record<Stage, Snapshot>> = {};
  const endStage = (stage: Stage) => {
    peaks[stage] = ledger.peak;
    ledger.restartPeak();
  };

  const home = openScope(ledger.gpu);
  // Where activations were harvested before, the model is loaded behind the last step.
  const before = run.activations ? null : await load(ledger, home, run, config, contexts * settings.context);
  endStage("loading");

  // What is allocated through this handle lives as long as training.
  const trainingScope = openScope(ledger.gpu), layout = bufferLayout(settings);
  ledger.part = "shuffle buffer";
  const sources = sourcesOf(planned);
  const buffer = new ShuffleBuffer(trainingScope, tapsOf(planned), config, layout, settings.data_seed, sources);
  if (before) await fillFromBlankText(ledger, run, before, buffer);
  else storeBlank(ledger, buffer);
  ledger.dispatches.length = 0;
  const transcoders: TrainedParts[] = [], mapped = new Map<string, TranscoderShape>();
  for (const each of planned) {
    const shape = shapeOf(config, each), all = settingsIn(run, each);
    ledger.part = "first weights";
    if (startsOver) await makeFirstWeights(ledger.gpu, run, shape, each, buffer, mapped);
    ledger.part = `transcoder of ${predictedLayers(each)}`;
    transcoders.push(allocateTranscoder(trainingScope, all, shape, unprepared(shape), zeroWeights(shape)));
  }
  endStage("starting");
  const otherTurns = [...mapped.values()].map((shape) => flopsOfOtherTurns(run, shape, buffer.order));
  const startFlops = otherTurns.reduce((sum, flops) => sum + flops, flopsOf(ledger.dispatches));

  await takeStep(ledger.gpu, transcoders);
  const training = ledger.snapshot(), tensors = ledger.live;
  for (const { stepper: { state } } of transcoders) {
    await downloadAll(ledger.gpu, stateTensors(state).map(([, t]) => t));
  }
  const trained: PlacedTranscoder[] = [];
  for (const [i, { shape, stepper }] of transcoders.entries()) {
    const { source, targets, settings: { k } } = planned[i], config = { source, targets, k };
    const transcoder = { shape, ...await readWeights(ledger.gpu, shape, stepper.state) };
    trained.push({ config, transcoder, linearMap: blankMap(shape) });
  }
  endStage("training");

  trainingScope[Symbol.dispose]();
  ledger.restartPeak();
  const decoder = before ?? await load(ledger, home, run, config, contexts * settings.context);
  const final = await finish(ledger, run, decoder, trained);
  home[Symbol.dispose]();
  const loss = hasLoss ? await rehearseLoss(ledger, run, config, trained) : null;
  endStage("finishing");
  return {
    config,
    modelLayers: reachOf(decoder.taps).length,
    contextsPerForward: contexts,
    buffer: layout,
    training,
    tensors,
    peaks: peaks as Record<Stage, Snapshot>,
    flops: { forward: flopsOfForward(ledger, run, decoder, contexts), start: startFlops },
    loss,
    checkpoints: transcoders.map(({ shape, stepper: { state }, samples }) => ({
      state: stateTensors(state).reduce((sum, [, { shape }]) => sum + ELEMENT_BYTES * elements(shape), 0),
      weights: Object.values(zeroWeights(shape)).reduce((sum, { byteLength }) => sum + byteLength, 0),
      samples: samples.bytes,
    })),
    samples: { training: transcoders.reduce((sum, { samples }) => sum + samples.bytes, 0), final },
    transfers: { upload: ledger.largestUpload, readback: ledger.largestReadback },
  };
}

/** What the model does when it fills the first buffer, until no more memory is taken. */
async function fillFromBlankText(
  { gpu }: Ledger,
  { settings: { context } }: PlannedRun,
  decoder: Decoder,
  buffer: ShuffleBuffer,
) {
  const { contextsAtOnce } = decoder, contexts = Math.min(buffer.layout.contexts, ENOUGH_FORWARDS * contextsAtOnce);
  await overText({ gpu, decoder, source: blankText(context, false), contexts, includeBos: true }, [
    new BufferFiller(gpu, buffer, contextsAtOnce),
  ]);
}

/** What shards do when they fill the first buffer: piece after piece, as large as each other. */
function storeBlank({ gpu }: Ledger, buffer: ShuffleBuffer) {
  const { contexts, context } = buffer.layout, widths = buffer.activations.map(({ blocks: [{ shape }] }) => shape[1]);
  const count = Math.min(contexts, contextsPerPiece(context, widths));
  buffer.clear();
  buffer.store(emptyBatch(count, context), widths.map((width) => new Float32Array(count * context * width)), 0);
  gpu.device.queue.submit([]);
}

/** Floating-point operations of a whole forward pass. */
function flopsOfForward(ledger: Ledger, { settings: { context } }: PlannedRun, decoder: Decoder, contexts: number) {
  ledger.dispatches.length = 0;
  const pass = new Pass(ledger.gpu);
  decoder.forward(pass, emptyBatch(contexts, context));
  pass.submit();
  return flopsOf(ledger.dispatches);
}

/**
 * The sizes of a transcoder of a run.
 *
 * @param config The run's model.
 * @param transcoder The transcoder.
 * @returns As wide as its source, and as its targets side by side.
 */
export function shapeOf(config: DecoderConfig, { source, targets, settings }: PlannedTranscoder): TranscoderShape {
  const d_out = targets.reduce((sum, { site }) => sum + widthOf(config, site), 0);
  return { d_in: widthOf(config, source.site), d_out, groups: settings.groups, ...settings.skip && { skip: true } };
}

/** Stands in for what a run would measure. */
function unprepared({ d_in, d_out }: TranscoderShape): Preparation {
  return { source: scaledBy(d_in, 1), target: scaledBy(d_out, 1) };
}

/** Stands in for what a run would fit; one that was begun by a version that fitted none takes less. */
function blankMap({ d_in, d_out }: TranscoderShape): LinearMap {
  const [bias, targetMean] = [new Float32Array(d_out), new Float32Array(d_out)];
  return { weight: new Float32Array(d_in * d_out), bias, targetMean, tokens: 1 };
}

/** What the head reads. */
function lastOf({ layers }: DecoderConfig): Tap {
  return { layer: layers - 1, site: "resid_post" };
}

async function load(
  ledger: Ledger,
  gpu: Gpu,
  run: PlannedRun,
  config: DecoderConfig,
  maxTokens: number,
): Promise<Decoder> {
  const taps = tapsOf(run.transcoders), { context } = run.settings;
  ledger.part = "model weights";
  const layers = await loadAlike(ledger, gpu, run.model.weights, config, reachOf(taps));
  ledger.part = "forward pass";
  return new Decoder(gpu, config, { taps, maxTokens, context }, embeddingOf(config), layers);
}

/** Loads the first of the layers that are needed whole and the parts behind them; the others are the first once more. */
async function loadAlike(ledger: Ledger, gpu: Gpu, weights: TensorSource, config: DecoderConfig, reach: Reach) {
  const alike = Math.max(0, reach.filter((sites) => sites.has("mlp_out")).length - 1);
  const layers = await loadLayers(gpu, blankTensors(weights), config, reach.slice(alike));
  const first = ledger.live.filter(({ label }) => label.startsWith("layers.0."));
  for (let l = 1; l <= alike; l++) {
    for (const { label, bytes } of first) {
      const usage = GPUBufferUsage.STORAGE;
      gpu.memory.own(
        gpu.device.createBuffer({ label: label.replace("layers.0.", `layers.${l}.`), size: bytes, usage }),
      );
    }
  }
  return [...new Array<LayerWeights>(alike).fill(layers[0]), ...layers];
}

/** Loads the first block of the head's vocabulary; the others are the first once more. */
async function loadHeadAlike(gpu: Gpu, weights: TensorSource, config: DecoderConfig, columns: number) {
  const { gain, blocks: [first] } = await loadHead(gpu, blankTensors(weights), config, columns, 1);
  const blocks = [first], { label, buffer: { size, usage } } = first.weight;
  for (let from = columns; from < config.vocabSize; from += columns) {
    const outputs = Math.min(columns, config.vocabSize - from);
    const share = paddedColumns(outputs) / paddedColumns(first.outputs);
    gpu.memory.own(gpu.device.createBuffer({ label, size: share * size, usage }));
    blocks.push({ ...first, outputs });
  }
  return { gain, blocks };
}

/** What a run does with its first buffer, once for each transcoder; what `mapped` has not seen yet, once for each mapping. */
async function makeFirstWeights(
  gpu: Gpu,
  run: PlannedRun,
  shape: TranscoderShape,
  transcoder: PlannedTranscoder,
  buffer: ShuffleBuffer,
  mapped: Map<string, TranscoderShape>,
) {
  const { passes, batch_tokens } = run.settings, { order } = buffer, taps = tapsOf(run.transcoders);
  const [source, ...targets] = [transcoder.source, ...transcoder.targets].map((tap) =>
    buffer.activations[tapIndex(taps, tap)]
  );
  // What is measured of more batches takes a thousandth of their own room in the buffer.
  const rows = Math.min(order.shape[0] / passes, ENOUGH_BATCHES * batch_tokens);
  const name = mappingName(transcoder), isMapped = mapped.has(name);
  if (!isMapped) {
    for (const end of [source, ...targets]) {
      const [, width] = end.blocks[0].shape;
      await measureActivations(gpu, end, order, rows, width, batch_tokens);
    }
  }
  const directions = new Float32Array(featureCount(shape.groups) * shape.d_in);
  await secondMoments(gpu, shape, directions, order, covarianceRows(order), source, targets, unprepared(shape));
  if (isMapped) return;
  mapped.set(name, shape);
  // All turns take the same room; those that are left out here are counted by flopsOfOtherTurns.
  const turn = Math.min(order.shape[0] / passes, ROWS_AT_ONCE);
  await sumProducts(gpu, shape, order, turn, source, targets, unprepared(shape));
}

/** What the products for the linear map take beside those of the one turn that is rehearsed. */
function flopsOfOtherTurns(
  { settings: { passes } }: PlannedRun,
  { d_in, d_out }: TranscoderShape,
  order: Tensor,
): number {
  const rows = order.shape[0] / passes;
  return 2 * Math.max(0, rows - ROWS_AT_ONCE) * d_in * (d_in + d_out);
}

async function takeStep(gpu: Gpu, transcoders: readonly TrainedParts[]): Promise<void> {
  const pass = new Pass(gpu);
  for (const { stepper, x, y } of transcoders) stepper.record(pass, x, y, 1, 0);
  pass.submit();
  const sampled = transcoders.flatMap(({ stepper: { ring, selector: { rows } } }) => [ring, ...Object.values(rows)]);
  await downloadAll(gpu, sampled);
}

/** What follows the last step; returns the host memory of the samples. */
async function finish(
  ledger: Ledger,
  { settings, transcoders: planned }: PlannedRun,
  decoder: Decoder,
  transcoders: readonly PlacedTranscoder[],
): Promise<number> {
  const { gpu } = ledger, source = blankText(settings.context, true);
  // A blank text has one token, which may be a special one.
  const median_norms = sourcesOf(planned).map((tap) => ({ ...tap, norm: 1 }));
  const common = { gpu, decoder, source, settings: { ...settings, exclude_tokens: [], median_norms }, transcoders };
  ledger.part = "final pass";
  const { tallies } = await collectSamples({ ...common, tokens: settings.sample_tokens });
  ledger.part = "evaluation";
  const text = { split: "test", documents: null, documentName: String } as const;
  await evaluateTranscoders({ ...common, tokens: settings.evaluation_tokens, text });
  return tallies.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Measures the loss of the whole model on one batch. */
async function rehearseLoss(
  ledger: Ledger,
  { settings, transcoders: planned, model }: PlannedRun,
  config: DecoderConfig,
  transcoders: readonly PlacedTranscoder[],
): Promise<RehearsedLoss> {
  using gpu = openScope(ledger.gpu);
  const median_norms = sourcesOf(planned).map((tap) => ({ ...tap, norm: 1 }));
  const own = { ...settings, exclude_tokens: [], median_norms }, { context } = settings;
  const options = { ...lossModel(gpu, config, own, planned), context }, { maxTokens } = options;
  const before = ledger.snapshot().bytes;
  ledger.part = "whole model";
  const reach = reachOf([lastOf(config)]);
  const layers = await loadAlike(ledger, gpu, model.weights, config, reach);
  const perLayer = (ledger.snapshot().bytes - before) / config.layers;
  const head = await loadHeadAlike(gpu, model.weights, config, headColumns(gpu, config, maxTokens));
  const weights = ledger.snapshot().bytes - before;
  ledger.part = "loss";
  const decoder = new Decoder(gpu, config, options, embeddingOf(config), layers, head);
  ledger.dispatches.length = 0;
  await measureLoss({ gpu, decoder, source: blankText(context, true), settings: own, transcoders });
  return { contexts: decoder.contextsAtOnce, flops: flopsOf(ledger.dispatches), weights, layers: weights / perLayer };
}

/**
 * A checkpoint's tensors by name, shape and type, without reading them.
 *
 * @param source The checkpoint.
 * @param isNoisy Whether small numbers of any type stand in for the data: zeros would flatter a GPU that is timed.
 * @returns Tensors of zeros, which cost no memory until they are written to, or of noise.
 */
export function blankTensors({ where, files }: TensorSource, isNoisy = false): TensorSource {
  const bytes = (length: number) => isNoisy ? noiseBytes(length) : new Uint8Array(length);
  const contents = (name: string): LocalByteSource => ({
    name,
    size: 0,
    read: (_offset, length) => Promise.resolve(bytes(length)),
    readSync: (_offset, length) => bytes(length),
    stream: () => new ReadableStream(),
    close: () => Promise.resolve(),
  });
  return new TensorSource(where, files.map((file) => new SafetensorsFile(contents(file.path), file)));
}

/** Bytes whose every 2 or 4 are a small positive float: 0x38 to 0x3b, in an order that repeats after 64 KiB. */
function noiseBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length), period = Math.min(length, 2 ** 16);
  for (let i = 0; i < period; i++) bytes[i] = 0x38 | (Math.imul(i, 0x9e3779b1) >>> 30);
  for (let filled = period; filled < length; filled *= 2) {
    bytes.copyWithin(filled, 0, Math.min(filled, length - filled));
  }
  return bytes;
}

/**
 * Stands in for a model's embedding.
 *
 * @param config The model.
 * @returns A lookup that gives every token the same row.
 */
export function embeddingOf({ dModel }: DecoderConfig): { gather(ids: Uint32Array): Float32Array<ArrayBuffer> } {
  return { gather: (ids) => new Float32Array(ids.length * dModel).fill(0.5) };
}

/** A text without end, or one of which every reading is the last. */
function blankText(context: number, isLast: boolean): ContextSource {
  return {
    next: (contexts) => Promise.resolve({ batch: emptyBatch(contexts, context), position: START, done: isLast }),
  };
}

/**
 * Counts operations.
 *
 * @param dispatches What was dispatched.
 * @returns Those of matrix products and of attention; nothing else counts beside them.
 */
export function flopsOf(dispatches: readonly Dispatched[]): number {
  return dispatches.reduce((sum, { kernel, params: p }) => {
    if ("depth" in p) return sum + 2 * p.rows * p.columns * p.depth;
    if (kernel !== "attention") return sum;
    // Scores and their sum over values, each for the pairs of tokens that see each other: half of all where the window is no shorter.
    const window = Math.min(p.window, p.context), pairs = window * (p.context - window / 2);
    return sum + 4 * p.contexts * pairs * p.heads * p.head_dim;
  }, 0);
}
