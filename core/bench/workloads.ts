/**
 * What is benchmarked: a training step and a forward pass, through the same calls that training makes, on random numbers.
 * @module
 */

import { contextsPerForward } from "../model/capacity.ts";
import { configOf } from "../model/config.ts";
import type { ModelFiles } from "../model/files.ts";
import { type Decoder, loadDecoder } from "../model/forward.ts";
import type { Tap } from "../model/sites.ts";
import { createTensor, downloadU32, type Gpu, tensorFrom } from "../gpu/device.ts";
import type { Precision } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { tuneTiles } from "../gpu/tune.ts";
import { permutation, randomGenerator } from "../random.ts";
import type { Recipe } from "../runs/settings.ts";
import { featureCount } from "../transcoder/shape.ts";
import { oneBlock, recordPrepared, type RowBlocks } from "../gpu/row_blocks.ts";
import { createTrainingState } from "../training/state.ts";
import { Stepper } from "../training/step.ts";
import { bellCurve } from "./random_numbers.ts";
import type { Sparsity } from "./costs.ts";

/** Work that can be recorded again and again. */
export interface Workload {
  /** For example `Training step`. */
  readonly name: string;
  /** Its sizes in words. */
  readonly sizes: string;
  /** Tokens that one run takes in. */
  readonly tokens: number;
  /** Milliseconds that the last recording took to gather embedded tokens; left out where nobody measures them. */
  readonly embedding_ms?: number;
  /** Records one run; submit before the next. `n` counts runs from 1. */
  record(pass: Pass, n: number): void;
  /** How much of the dictionary the last run used; zeros where there is none. Waits for the GPU. */
  sparsity(): Promise<Sparsity>;
}

/** The sizes of a training step. */
export interface StepSizes {
  /** Width of source and target. */
  readonly width: number;
  /** Features per Matryoshka group. */
  readonly groups: readonly number[];
  /** Features kept per token. */
  readonly k: number;
  /** Dead features kept per token, were there any. */
  readonly aux_k: number;
  /** Tokens per step. */
  readonly batch_tokens: number;
}

/** Batches in the buffer that steps gather theirs from. */
const BUFFERED_BATCHES = 4;

/** The rest of a recipe; it changes no step's cost. No feature dies. */
const RECIPE = {
  steps: 1_000_000,
  learning_rate: 3e-4,
  encoder_bias_rate: 1,
  whole_weight: 1,
  revival_rate: 0,
  warmup_steps: 0,
  final_lr_fraction: 1,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  aux_weight: 1 / 32,
  dead_after_tokens: 2 ** 31,
  threshold_rate: 0.01,
  seed: 0,
} as const;

/** A transcoder's training step: gathers, the step, its metrics. */
export class StepWorkload implements Workload {
  /** For tables. */
  readonly name = "Training step";
  /** For tables. */
  readonly sizes: string;
  /** Tokens of a batch. */
  readonly tokens: number;
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #stepper: Stepper;
  readonly #features: number;
  readonly #order: Tensor;
  readonly #sides: readonly { readonly buffer: RowBlocks; readonly columns: Tensor; readonly batch: Tensor }[];

  /**
   * Makes a transcoder with random weights and a buffer of random activations, its product tuned as training tunes it.
   *
   * @param gpu The device.
   * @param sizes The step's sizes.
   * @returns The workload.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  static async make(gpu: Gpu, sizes: StepSizes): Promise<StepWorkload> {
    const { width: depth, batch_tokens: columns } = sizes, rows = featureCount(sizes.groups);
    await tuneTiles(gpu, [{ rows, columns, depth, weight: "f32", epilogue: "bias_relu" }]);
    return new StepWorkload(gpu, sizes);
  }

  private constructor(gpu: Gpu, sizes: StepSizes) {
    const { width, groups, k, batch_tokens: tokens } = sizes, features = featureCount(groups);
    const shape = { d_in: width, d_out: width, groups }, rows = BUFFERED_BATCHES * tokens;
    const recipe: Recipe = { ...RECIPE, ...sizes };
    const weights = {
      encoder: bellCurve(features * width, width ** -0.5, 1),
      encoderBias: new Float32Array(features),
      decoder: bellCurve(features * width, width ** -0.5, 2),
      decoderBias: new Float32Array(width),
    };
    const side = (name: string, seed: number) => ({
      buffer: oneBlock(tensorFrom(gpu, `buffer of ${name}`, [rows, width], bellCurve(rows * width, 1, seed))),
      columns: tensorFrom(
        gpu,
        `columns of ${name}`,
        [2, width],
        Float32Array.from({ length: 2 * width }, (_, c) => +(c >= width)),
      ),
      batch: createTensor(gpu, name, [tokens, width]),
    });
    this.#gpu = gpu;
    this.#width = width;
    this.#features = features;
    this.#stepper = new Stepper(gpu, recipe, shape, createTrainingState(gpu, shape, weights));
    this.#sides = [side("x", 3), side("y", 4)];
    this.#order = tensorFrom(gpu, "buffer order", [rows], permutation(rows, randomGenerator(5)));
    this.tokens = tokens;
    this.sizes = `${count(tokens)} tokens × ${count(width)} → ${count(features)} features, k ${k}`;
  }

  /** Records what one logged step of training records. */
  record(pass: Pass, n: number): void {
    const { tokens: rows } = this, first = (n - 1) % BUFFERED_BATCHES * rows;
    for (const { buffer, columns, batch } of this.#sides) {
      recordPrepared(pass, buffer, this.#order, columns, batch, { rows, width: this.#width, first });
    }
    this.recordStep(pass, n);
  }

  /** Records the step alone, on the batch that was gathered last. */
  recordStep(pass: Pass, n: number): void {
    const [x, y] = this.#sides;
    this.#stepper.record(pass, x.batch, y.batch, n, 0);
  }

  /** Counts the entries of the last step's columns. */
  async sparsity(): Promise<Sparsity> {
    const start = await downloadU32(this.#gpu, this.#stepper.columns.start), features = this.#features;
    return { kept: start[features] - start[0], auxKept: start[2 * features + 1] - start[features + 1], dead: 0 };
  }
}

/** A model's forward pass to its taps. */
export class ForwardWorkload implements Workload {
  /** For tables. */
  readonly name = "Forward pass";
  /** For tables. */
  readonly sizes: string;
  /** Tokens of a forward pass. */
  readonly tokens: number;
  readonly #decoder: Decoder;
  readonly #batch: { readonly contexts: number; readonly context: number; readonly ids: Uint32Array<ArrayBuffer> };

  private constructor(decoder: Decoder, sizes: string, contexts: number, context: number) {
    const random = randomGenerator(6), { vocabSize } = decoder.config;
    this.#decoder = decoder;
    this.tokens = contexts * context;
    this.sizes = sizes;
    this.#batch = { contexts, context, ids: Uint32Array.from({ length: this.tokens }, () => random.below(vocabSize)) };
  }

  /**
   * Loads a model.
   *
   * @param gpu The device.
   * @param files The model.
   * @param taps What the forward pass is for.
   * @param context Tokens per context.
   * @param maxTokens The most tokens per forward pass; less where the adapter binds less, at least one context.
   * @param precision What its products round their inputs to.
   * @returns The workload, with as many contexts as training would take.
   * @throws {UserError} When the model cannot be loaded, or the adapter cannot bind its tensors.
   */
  static async load(
    gpu: Gpu,
    files: ModelFiles,
    taps: readonly Tap[],
    context: number,
    maxTokens = Infinity,
    precision: Precision = "f32",
  ): Promise<ForwardWorkload> {
    const config = configOf(files);
    const contexts = Math.min(contextsPerForward(gpu, config, context), Math.max(1, Math.floor(maxTokens / context)));
    const decoder = await loadDecoder(gpu, files, { taps, maxTokens: contexts * context, context, precision });
    const deepest = Math.max(...taps.map(({ layer }) => layer));
    const sizes = `${files.name}, layers 0 to ${deepest}, ${count(contexts)} contexts of ${count(context)} tokens`;
    return new ForwardWorkload(decoder, sizes, contexts, context);
  }

  /** Records one forward pass; the embedding is gathered on the host at once. */
  record(pass: Pass): void {
    this.#decoder.forward(pass, this.#batch);
  }

  /** There is no dictionary in a forward pass. */
  sparsity(): Promise<Sparsity> {
    return Promise.resolve({ kept: 0, auxKept: 0, dead: 0 });
  }
}

/**
 * Writes a number for a workload's sizes.
 *
 * @param value A whole number.
 * @returns For example `1,024`.
 */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}
