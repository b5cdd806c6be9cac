/**
 * What a run will take, before it starts: GPU memory, host memory, disk and time, from its configuration and a short measurement.
 * @module
 */

import { SAMPLE_QUANTILES } from "../analysis/samples.ts";
import type { Gpu } from "../gpu/device.ts";
import { CACHED_ROWS } from "../model/embedding.ts";
import { countedPerContext } from "../text/contexts.ts";
import { BLOCK_CHARACTERS } from "../text/corpus.ts";
import { tapsOf } from "../runs/ids.ts";
import { PIECE_BYTES, PIECES_HELD } from "../training/shard_filler.ts";
import { widthOf } from "../model/sites.ts";
import { ELEMENT_BYTES } from "../gpu/tensor.ts";
import { CHECKPOINTS_KEPT } from "../training/checkpoint.ts";
import type { Snapshot } from "./ledger.ts";
import { type PlannedRun, type Rehearsal, rehearse, type RehearsedLoss, shapeOf, type Stage } from "./rehearsal.ts";
import type { Speed } from "./speed.ts";
import { featureCount } from "../transcoder/shape.ts";

/** A part of a sum, for a table. */
export interface Part {
  /** What it is. */
  readonly name: string;
  /** Bytes, or seconds. */
  readonly amount: number;
}

/** What a run takes of one kind, in bytes. */
export interface Need {
  /** What is held from the beginning of training to its end, or what is written; the largest first. */
  readonly parts: readonly Part[];
  /** The most at any one time. */
  readonly peak: number;
}

/** What a run takes. */
export interface Needs {
  /** Memory of the GPU, by the run's own allocations. */
  readonly gpu: Need;
  /** Memory of the host, without the GPU's where that is the host's too. */
  readonly host: Need;
  /** What the run's directory grows by. */
  readonly disk: Need;
}

/** How long a run takes. */
export interface Duration {
  /** Seconds by phase, in the order in which they begin. */
  readonly phases: readonly Part[];
  /** Their sum. */
  readonly seconds: number;
  /** What it lies between, as far as runs differ from what is measured before. */
  readonly range: readonly [number, number];
  /** What was measured, in lines. */
  readonly basis: readonly string[];
}

/** Where a run stands; all zero for a new one. */
export interface Standing {
  /** Steps that are done. */
  readonly step: number;
  /** Bytes that the run's directory has already. */
  readonly written: number;
}

/** The phase that measures the loss. */
export const LOSS_PHASE = "loss recovered";

/** The beginning of a run. */
export const BEGINNING: Standing = { step: 0, written: 0 };

/** Bytes of a sample in samples.jsonl: 199 on the embedded text, more where characters take several bytes. */
const SAMPLE_BYTES = 220;
/** Bytes of a feature's row in features.csv, and of a row in metrics.csv. */
const FEATURE_ROW_BYTES = 120, METRICS_ROW_BYTES = 180;
/** Memory of the Worker that reads text, with what it leaves to the garbage collector, and for each byte of its tokenizer.json: measured. */
const WORKER_BYTES = 160e6, WORKER_BYTES_PER_TOKENIZER_BYTE = 20;
/**
 * Memory for each byte of text that is in memory at once: its characters, its tokens, and those of blocks before it that the garbage
 * collector has not come to. Measured for files of 450 MB; what the embedded text takes is in {@link WORKER_BYTES}.
 */
const MEMORY_PER_TEXT_BYTE = 16, INCLUDED_TEXT_BYTES = 11e6;
/** Memory of the tokenizer that spells the samples at the end, for each byte of its tokenizer.json: 310 MB for Gemma 3's 33 MB. */
const SPELLING_BYTES_PER_TOKENIZER_BYTE = 10;
/** Bytes per second at which checkpoints are read back, turned and written: 390 MB of a 2B transcoder took 4.2 s on two busy cores. */
const CHECKPOINT_RATE = 90e6;
/** Bytes per second at which harvested activations are read, checked and uploaded: 65 MB took 0.1 s of one core. */
const READ_RATE = 6e8;
/** Seconds to write a sample as text; measured on two cores. */
const SAMPLE_WRITE_S = 1.5e-5;
/**
 * What a run may take, as shares of the estimate. The embedded default took 119 s where 86 were estimated, on two cores that
 * others were using too; a measurement of seconds cannot know what they do in the next minutes.
 */
const FASTEST = 0.8, SLOWEST = 1.4;

/**
 * What a run needs of memory and disk.
 *
 * @param gpu The device that it is to run on.
 * @param run The run.
 * @param standing Where it stands.
 * @param base Bytes of host memory that the program takes already.
 * @param most Bytes of GPU memory at which to give up.
 * @returns The needs, and the rehearsal that they come from.
 * @throws {Overflow} When it takes more than that.
 * @throws {UserError} When a tensor is larger than the adapter can bind.
 */
export async function estimateNeeds(
  gpu: Gpu,
  run: PlannedRun,
  standing: Standing,
  base: number,
  most: number,
): Promise<{ needs: Needs; rehearsal: Rehearsal }> {
  const rehearsal = await rehearse(gpu, run, standing.step === 0, most);
  return {
    needs: {
      gpu: gpuNeed(rehearsal),
      host: hostNeed(run, rehearsal, base),
      disk: diskNeed(run, rehearsal, standing),
    },
    rehearsal,
  };
}

/** What is held beside the parts when most is. */
const PASSING: Readonly<Record<Stage, string>> = {
  loading: "more while loading",
  starting: "more for the first weights",
  training: "more for a checkpoint",
  finishing: "more behind the last step",
};

function gpuNeed({ training, peaks }: Rehearsal): Need {
  const parts = [...training.parts].map(([name, amount]) => ({ name, amount }));
  const [stage, { bytes }] = (Object.entries(peaks) as [Stage, Snapshot][]).reduce((a, b) =>
    b[1].bytes > a[1].bytes ? b : a
  );
  parts.push({ name: PASSING[stage], amount: bytes - training.bytes });
  return { parts, peak: bytes };
}

function hostNeed(run: PlannedRun, rehearsal: Rehearsal, base: number): Need {
  const { config, samples, checkpoints, transfers, buffer } = rehearsal, { model } = run;
  const rows = Math.min(CACHED_ROWS, config.vocabSize, buffer.contexts * buffer.context);
  // A checkpoint leaves to the garbage collector what was read back of the state, and the weights as they are, folded, and turned.
  const states = checkpoints.map(({ state, weights }) => state + 3 * weights);
  const copies = Math.max(...states, transfers.readback, transfers.upload);
  // The equations of the linear map are gone before the first checkpoint.
  const equations = Math.max(...run.transcoders.map((transcoder) => {
    const { d_in, d_out } = shapeOf(config, transcoder);
    return 8 * d_in * (d_in + d_out) + transfers.readback;
  }));
  const bytesPerPiece = Math.min(PIECE_BYTES, bufferBytes(run, rehearsal));
  return needOf([
    { name: "program", amount: base },
    { name: "text Worker", amount: WORKER_BYTES + WORKER_BYTES_PER_TOKENIZER_BYTE * model.tokenizerJson.length },
    { name: "text", amount: MEMORY_PER_TEXT_BYTE * textAtOnce(run.textBytes ?? 0) },
    { name: "tokenizer for samples", amount: SPELLING_BYTES_PER_TOKENIZER_BYTE * model.tokenizerJson.length },
    { name: "embedding rows", amount: 4 * config.dModel * rows },
    { name: "samples", amount: samples.training + samples.final },
    { name: "checkpoints and transfers", amount: Math.max(copies, equations) },
    ...run.activations ? [{ name: "activations under way", amount: PIECES_HELD * bytesPerPiece }] : [],
  ]);
}

/** Bytes of a text that lie in memory beside those that any text has there. */
function textAtOnce(bytes: number): number {
  return Math.max(0, Math.min(bytes, BLOCK_CHARACTERS) - INCLUDED_TEXT_BYTES);
}

function diskNeed(run: PlannedRun, { checkpoints }: Rehearsal, standing: Standing): Need {
  const { settings: { steps, log_every, checkpoint_every }, transcoders } = run;
  // A checkpoint is whole before an older one is removed.
  const first = transcoders.some(({ start }) => start) ? 1 : 0;
  const kept = Math.min(CHECKPOINTS_KEPT + 1, first + Math.ceil(steps / checkpoint_every));
  const metrics = transcoders.length * Math.ceil(steps / log_every) * METRICS_ROW_BYTES;
  const need = needOf([
    { name: "checkpoints", amount: kept * sizeOf(checkpoints) },
    { name: "samples", amount: samplesWritten(run) * SAMPLE_BYTES },
    { name: "finished transcoders", amount: sumOf(checkpoints, ({ weights }) => weights) },
    { name: "tables", amount: featuresOf(run) * FEATURE_ROW_BYTES + metrics },
  ]);
  if (standing.written === 0) return need;
  const already = { name: "there already", amount: -Math.min(need.peak, standing.written) };
  return needOf([...need.parts, already]);
}

/** Samples in the files of all transcoders: those of training, those of the final pass, and those at quantiles. */
function samplesWritten(run: PlannedRun): number {
  return featuresOf(run) * (2 * run.settings.samples_per_feature + SAMPLE_QUANTILES.length);
}

function featuresOf({ transcoders }: PlannedRun): number {
  return sumOf(transcoders, ({ settings }) => featureCount(settings.groups));
}

/** Bytes of a checkpoint of all transcoders. */
function sizeOf(checkpoints: Rehearsal["checkpoints"]): number {
  return sumOf(checkpoints, ({ state, weights, samples }) => state + weights + samples);
}

function sumOf<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((sum, item) => sum + amount(item), 0);
}

function needOf(parts: readonly Part[]): Need {
  return { parts, peak: parts.reduce((sum, { amount }) => sum + amount, 0) };
}

/**
 * How long a run takes at a known speed.
 *
 * @param run The run.
 * @param rehearsal What it does.
 * @param standing Where it stands.
 * @param speed The machine's speed at it.
 * @returns Seconds by phase.
 */
export function durationOf(run: PlannedRun, rehearsal: Rehearsal, standing: Standing, speed: Speed): Duration {
  const { settings } = run, { buffer, flops } = rehearsal, { step } = standing;
  const steps = settings.steps - step, total = (each: readonly number[]) => sumOf(each, (amount) => amount);
  const perContext = countedPerContext(settings.context, settings.include_bos);
  const forward = (contexts: number) => contexts * flops.forward / rehearsal.contextsPerForward / speed.forwardFlops;
  const reading = (tokens: number) => forward(tokens / perContext) + tokens * total(speed.sampleSeconds);
  // A resumed run fills its current buffer once more.
  const fills = Math.ceil(settings.steps / buffer.steps) - Math.floor(step / buffer.steps);
  const filling = run.activations ? bufferBytes(run, rehearsal) / READ_RATE : forward(buffer.contexts);
  const checkpoints = Math.ceil(settings.steps / settings.checkpoint_every) -
    Math.floor(step / settings.checkpoint_every);
  const perCheckpoint = sizeOf(rehearsal.checkpoints) / CHECKPOINT_RATE;
  const start = step > 0 ? 0 : flops.start / speed.forwardFlops;
  const phases = [
    { name: "loading", amount: rehearsal.modelLayers * speed.loadLayerSeconds },
    { name: run.activations ? "reading activations" : "harvesting", amount: steps > 0 ? fills * filling : 0 },
    { name: "training", amount: start + steps * total(speed.stepSeconds) },
    { name: "checkpoints", amount: checkpoints * perCheckpoint },
    { name: "final pass", amount: reading(settings.sample_tokens) },
    { name: "evaluation", amount: reading(settings.evaluation_tokens) },
    ...rehearsal.loss ? [{ name: LOSS_PHASE, amount: lossSeconds(run, rehearsal.loss, speed) }] : [],
    { name: "writing samples", amount: samplesWritten(run) * SAMPLE_WRITE_S },
  ];
  const seconds = sumOf(phases, ({ amount }) => amount);
  return { phases, seconds, range: [FASTEST * seconds, SLOWEST * seconds], basis: basisOf(run, speed) };
}

/** Bytes of activations in a buffer. */
function bufferBytes({ transcoders }: PlannedRun, { config, buffer: { contexts, context } }: Rehearsal): number {
  const width = tapsOf(transcoders).reduce((sum, { site }) => sum + widthOf(config, site), 0);
  return ELEMENT_BYTES * contexts * context * width;
}

/** Loads the whole model and takes the text through all ways to change it. */
function lossSeconds(
  { settings: { loss_tokens, context, include_bos } }: PlannedRun,
  { contexts, flops, layers }: RehearsedLoss,
  { loadLayerSeconds, forwardFlops }: Speed,
): number {
  const batches = loss_tokens / countedPerContext(context, include_bos) / contexts;
  return layers * loadLayerSeconds + batches * flops / forwardFlops;
}

function basisOf({ settings: { batch_tokens } }: PlannedRun, { forwardTokens, stepTokens }: Speed): string[] {
  const step = stepTokens === batch_tokens
    ? "a whole training step"
    : `training steps of up to ${stepTokens} of ${batch_tokens} tokens`;
  return [
    `Timed: a layer of the model on ${forwardTokens} tokens,`,
    `${step},`,
    `encoding and sampling of ${stepTokens} tokens.`,
  ];
}
