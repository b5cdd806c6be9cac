/**
 * The settings of a run and of each of its layers, as config.json keeps them.
 * @module
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { checkConfig, type RunConfig } from "./schema.ts";
import { SettingError, UserError } from "../errors.ts";
import { fileError } from "../files/atomic.ts";
import type { Tap } from "../model/sites.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TextSummary } from "../text/summary.ts";
import { type Precision, type TileName, TILES } from "../../wgsl/shared/matmul.ts";
import { checkRecipe, type Recipe } from "../training/recipe.ts";

/** What is the same for all layers of a run. */
export interface RunSettings extends Recipe {
  /** Tokens per context, BOS included. */
  readonly context: number;
  /** How many times each harvested activation is used. */
  readonly passes: number;
  /** The most tokens in the shuffle buffer. */
  readonly buffer_tokens: number;
  /** Whether BOS tokens are trained on and counted. */
  readonly include_bos: boolean;
  /** Steps between rows of metrics.csv. */
  readonly log_every: number;
  /** Steps between checkpoints. */
  readonly checkpoint_every: number;
  /** Steps between the batches that training samples are taken from. */
  readonly sample_every: number;
  /** The most samples per feature. */
  readonly samples_per_feature: number;
  /** Activations below this are not sampled. */
  readonly sample_threshold: number;
  /** Tokens of the final pass that collects the samples. */
  readonly sample_tokens: number;
  /** Held-out tokens of the final evaluation. */
  readonly evaluation_tokens: number;
  /** What the forward pass's products round their inputs to. */
  readonly precision: Precision;
}

/** One transcoder of a run: it predicts `target` from `source`. */
export interface Mapping {
  /** The layer whose directory it gets: that of the target. */
  readonly layer: number;
  /** Where activations are read. */
  readonly source: Tap;
  /** Where those to be predicted are. */
  readonly target: Tap;
}

/** What a run measures before its first step. */
export interface MeasuredConfig {
  /** Factors between raw activations and those trained on, measured on the first buffer. */
  readonly scales: Scales;
  /** The tiles of matrix products that the adapter was tuned to; `tileKey` says what the keys are. */
  readonly tiles: Readonly<Record<string, TileName>>;
  /** With f16, relative L2 of each tap's activations from those of float32, on the first contexts; empty with f32. */
  readonly precision_errors: Readonly<Record<string, number>>;
}

/** A layer's config.json. */
export type LayerConfig =
  & Omit<RunConfig, keyof Recipe | "model" | "data" | "source" | "target">
  & RunSettings
  & Mapping
  & {
    /** The model, and its directory; null for the embedded one. */
    readonly model: RunConfig["model"] & { readonly path: string | null };
    /** The text, and its files, folders and references; empty for the embedded one. */
    readonly data: RunConfig["data"] & TextSummary & { readonly files: readonly string[] };
  }
  & MeasuredConfig;

/** Factors that give source and target a mean square of 1 per element: x_scaled = scales.source * x. */
export interface Scales {
  /** Of the source. */
  readonly source: number;
  /** Of the target. */
  readonly target: number;
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const resumeSchema = v.object({
  model: v.object({ path: v.nullable(v.string()) }),
  data: v.object({ files: v.array(v.string()), fingerprint: v.string() }),
  epsilon: v.number(),
  threshold_rate: v.number(),
  buffer_tokens: count,
  checkpoint_every: count,
  sample_every: count,
  sample_threshold: v.number(),
  evaluation_tokens: count,
  scales: v.object({ source: v.number(), target: v.number() }),
  precision: v.picklist(["f32", "f16"]),
  tiles: v.record(v.string(), v.picklist(Object.keys(TILES) as TileName[])),
  precision_errors: v.record(v.string(), v.number()),
});

/**
 * Checks what the types cannot say.
 *
 * @param settings The run's settings.
 * @throws {SettingError} Naming the first setting that cannot be.
 */
export function checkSettings(settings: RunSettings): void {
  checkRecipe(settings);
  const counts = [
    "passes",
    "buffer_tokens",
    "log_every",
    "checkpoint_every",
    "sample_every",
    "samples_per_feature",
    "sample_tokens",
    "evaluation_tokens",
  ] as const;
  for (const name of counts) {
    if (Number.isInteger(settings[name]) && settings[name] >= 1) continue;
    throw new SettingError({ setting: name, value: settings[name], requirement: "it must be a positive whole number" });
  }
  const { context, sample_threshold, buffer_tokens, passes, batch_tokens } = settings;
  if (buffer_tokens * passes < batch_tokens) {
    throw new SettingError({
      setting: "buffer_tokens",
      value: buffer_tokens,
      requirement: `it must hold the tokens of a step, at least ${Math.ceil(batch_tokens / passes)}`,
      given: { batch_tokens, passes },
    });
  }
  if (!Number.isInteger(context) || context < 2) {
    const requirement = "it must be a whole number, 2 or more, as BOS takes the first place";
    throw new SettingError({ setting: "context", value: context, requirement });
  }
  if (!(sample_threshold >= 0)) {
    throw new SettingError({
      setting: "sample_threshold",
      value: sample_threshold,
      requirement: "it must be 0 or more",
    });
  }
}

/**
 * Reads a layer's config.json with all that is needed to continue its training.
 *
 * @param directory The layer's directory.
 * @returns The settings.
 * @throws {UserError} When the file is missing or is not one that `mtc train` wrote.
 */
export async function readLayerConfig(directory: string): Promise<LayerConfig> {
  const path = join(directory, "config.json");
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileError("read", path, error);
    throw new UserError(`Cannot read ${path}: it must be JSON, ${error.message}; restore it or start another run`);
  }
  const general = checkConfig(json), more = v.safeParse(resumeSchema, json);
  const [issue] = more.issues ?? [];
  const problem = general.problem ?? (issue && { at: v.getDotPath(issue) ?? "its content", message: issue.message });
  if (problem) {
    throw new UserError(
      `Cannot read ${path}: ${problem.at} does not fit, ${problem.message}; restore it or start another run`,
    );
  }
  const a = general.output as RunConfig, b = more.output as v.InferOutput<typeof resumeSchema>;
  const { source, target } = a as unknown as Mapping;
  return { ...a, ...b, source, target, model: { ...a.model, ...b.model }, data: { ...a.data, ...b.data } };
}

/**
 * The settings that all layers share.
 *
 * @param config Any layer's config.json.
 * @returns Those keys of it.
 */
export function settingsOf(config: LayerConfig): RunSettings {
  const { groups, k, steps, batch_tokens, learning_rate, warmup_steps, final_lr_fraction, beta1, beta2, epsilon } =
    config;
  const { aux_weight, aux_k, dead_after_tokens, threshold_rate, seed, context, passes, buffer_tokens, include_bos } =
    config;
  const { log_every, checkpoint_every, sample_every, samples_per_feature, sample_threshold, sample_tokens } = config;
  return {
    ...{ groups, k, steps, batch_tokens, learning_rate, warmup_steps, final_lr_fraction, beta1, beta2, epsilon },
    ...{ aux_weight, aux_k, dead_after_tokens, threshold_rate, seed, context, passes, buffer_tokens, include_bos },
    ...{ log_every, checkpoint_every, sample_every, samples_per_feature, sample_threshold, sample_tokens },
    evaluation_tokens: config.evaluation_tokens,
    precision: config.precision,
  };
}

/**
 * The text of a layer's run.
 *
 * @param config Its config.json.
 * @returns Paths, or the embedded text.
 */
export function dataOf({ data }: LayerConfig): DataPaths {
  return data.files.length > 0 ? [...data.files] : "builtin";
}
