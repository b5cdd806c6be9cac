/**
 * The settings of `mtc train`: two sets of defaults, and the command line's changes to them.
 * @module
 */

import { Option } from "commander";
import { UsageError } from "../../core/errors.ts";
import type { DecoderConfig } from "../../core/model/config.ts";
import {
  checkLayer,
  depthOf,
  parseSite,
  placeOf,
  type Site,
  type Tap,
  tapName,
  widthOf,
} from "../../core/model/sites.ts";
import { type Mapping, tapsOf } from "../../core/runs/ids.ts";
import type { RunSettings } from "../../core/runs/settings.ts";
import type { Tokenizer } from "../../core/text/tokenizer.ts";
import { numberOption, wholeNumberOption } from "../options.ts";

/**
 * What both sets of defaults share: the published recipe, but for the start, the biases' rate and the auxiliary loss. Those three are what
 * 600 steps on a real Gemma 3 270M asked for (layer 12): other rates and norms left two to five times as many features dead. They were read
 * on held-out text of which a half is the test's now.
 */
const COMMON = {
  final_lr_fraction: 0.01,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  aux_weight: 1,
  threshold_rate: 0.01,
  seed: 0,
  data_seed: 0,
  context: 64,
  batch_tokens: 1024,
  include_bos: false,
  exclude_tokens: [],
  exclude_norm_above: 0,
  log_every: 10,
  sample_every: 100,
  samples_per_feature: 100,
  sample_threshold: 0.1,
  encoder_norm: 0.1,
  encoder_bias_rate: 5,
  whole_weight: 1,
  revival_rate: 0,
  skip: false,
  precision: "f32",
} as const;

/**
 * The published recipe for Gemma-2-2B, used with `--model`, but for its learning rate of 3e-4: after the first 600 of these 15,000 steps on layer
 * 12 of a real Gemma 3 270M that is hardly below a linear map, with a tenth of the features dead, where 3e-3 is far below it with a few. That
 * was read on one half of the held-out text each. To its end nobody has run either.
 */
export const PUBLISHED: RunSettings = {
  ...COMMON,
  groups: [1152, 2304, 1152],
  k: 48,
  steps: 15_000,
  learning_rate: 3e-3,
  warmup_steps: 500,
  aux_k: 512,
  dead_after_tokens: 500_000,
  passes: 1,
  buffer_tokens: 65_536,
  checkpoint_every: 500,
  sample_tokens: 1_000_000,
  evaluation_tokens: 100_000,
  loss_tokens: 65_536,
};

/**
 * The embedded default: a minute on two idle cores, which must stay under two. bench/training.md has what else was tried. So short a run wants
 * a high learning rate, squares that forget in 20 steps, and a whole that weighs more than a prefix: with equal weights a peer without
 * prefixes, which trains the whole alone, comes out level. What the high rate silences, rising biases bring back. It is
 * evaluated on all 56,706 tokens of the test's addresses, of which six are EOS and do not count.
 */
export const EMBEDDED: RunSettings = {
  ...COMMON,
  groups: [128, 256, 128],
  k: 32,
  steps: 480,
  learning_rate: 2.5e-2,
  beta2: 0.95,
  whole_weight: 1.15,
  revival_rate: 1,
  warmup_steps: 30,
  aux_k: 64,
  dead_after_tokens: 10_240,
  threshold_rate: 0.02,
  passes: 6,
  buffer_tokens: 102_400,
  checkpoint_every: 200,
  sample_tokens: 32_768,
  evaluation_tokens: 57_000,
  loss_tokens: 12_288,
};

/** A recipe under a name: what it changes of the defaults, and where it reads. */
export interface Preset {
  /** `--source`, unless it is given. */
  readonly source: string;
  /** What it sets for the published recipe's steps. */
  readonly settings: Partial<RunSettings>;
}

/**
 * The recipes of `--preset`. `mlp-in` is what the original project moved to after review: from what the MLP reads, as Gemma Scope's transcoders do, with
 * prefixes of 2,304, 4,608, 9,216, 13,824 and 18,432 features.
 */
export const PRESETS: Readonly<Record<string, Preset>> = {
  "mlp-in": {
    source: "mlp_in",
    settings: {
      groups: [2304, 2304, 4608, 4608, 4608],
      k: 96,
      learning_rate: 4e-4,
      warmup_steps: 1024,
      aux_weight: 1 / 64,
      context: 128,
    },
  },
};

/**
 * Default settings with a preset's in their place.
 *
 * @param defaults The settings without it.
 * @param preset The preset; none if left out.
 * @returns The settings; fewer steps than the published recipe's have a warm-up in proportion.
 */
export function withPreset(defaults: RunSettings, preset?: Preset): RunSettings {
  if (preset === undefined) return defaults;
  const { warmup_steps = defaults.warmup_steps } = preset.settings,
    share = Math.min(1, defaults.steps / PUBLISHED.steps);
  return { ...defaults, ...preset.settings, warmup_steps: Math.ceil(warmup_steps * share) };
}

/**
 * The tokens that a run leaves out.
 *
 * @param given `--exclude-tokens`: ids, or tokens as they are spelled; the special ones if left out, none for `none` alone.
 * @param tokenizer The model's tokenizer.
 * @param includeBos Whether BOS counts.
 * @returns Their ids, ascending.
 * @throws {UsageError} When the model has no such token.
 */
export function excludedTokens(
  given: readonly string[] | undefined,
  { specialIds, bosId, vocabSize, idOf }: Tokenizer,
  includeBos: boolean,
): number[] {
  if (given === undefined) return specialIds.filter((id) => !includeBos || id !== bosId).toSorted((a, b) => a - b);
  if (given.length === 1 && given[0] === "none") return [];
  const ids = given.map((text) => {
    const id = /^\d+$/.test(text) ? Number(text) : idOf(text);
    if (id !== undefined && id < vocabSize) return id;
    throw new UsageError({
      action: `leave out token ${JSON.stringify(text)}`,
      requirement: `it must be an id below ${vocabSize} or a token as the tokenizer spells it`,
      found: "the model has no such token",
      remedy: 'give another to --exclude-tokens; <0x0A> is a byte, "▁the" a word behind a space',
    });
  });
  return [...new Set(ids)].toSorted((a, b) => a - b);
}

/** The layers trained when none are named: those at the depths of 8 and 17 of 26 for the embedded model, else only the latter. */
export function defaultLayers(layers: number, isEmbedded: boolean): number[] {
  const deep = Math.round(17 / 26 * layers);
  return isEmbedded ? [Math.round(8 / 26 * layers), deep] : [deep];
}

/** A place on the command line: a site of a layer of its own, or of the one being trained, which is null. */
export interface Place {
  readonly layer: number | null;
  readonly site: Site;
}

/** Reads `--source` or `--target`: places with commas between them, for example `resid_mid` or `layer8.resid_mid`. */
export function parsePlaces(text: string): Place[] {
  return text.split(",").map((entry) => {
    const named = /^layer(\d+)\.(.*)$/.exec(entry.trim());
    return named ? { layer: Number(named[1]), site: parseSite(named[2]) } : { layer: null, site: parseSite(entry) };
  });
}

/** The places on the command line that say what is mapped. */
export interface MappingOptions {
  /** `--layers`; those of the places that name no layer. */
  readonly layers?: readonly number[];
  /** `--source`: one place, or several for a transcoder each. */
  readonly source: string;
  /** `--target`: one place, or several that each transcoder predicts at once. */
  readonly target: string;
}

/**
 * One mapping per layer and source; one that comes twice, as `resid_mid` and `layer8.resid_mid` are of layer 8, is taken once: two
 * trainings of a mapping would write the same files.
 *
 * @param options The places.
 * @param modelLayers How many layers the model has.
 * @param defaults The layers trained when no place says which, and `--layers` neither.
 * @returns The mappings by ascending layer, those of a layer in the order of their sources.
 * @throws {UsageError} When the model lacks a layer, a target does not come after its source, or `--layers` has nothing to say.
 */
export function mappingsFor(
  { layers, source, target }: MappingOptions,
  modelLayers: number,
  defaults: readonly number[],
): Mapping[] {
  const sources = parsePlaces(source),
    targets = parsePlaces(target),
    named = targets.flatMap(({ layer }) => layer ?? []);
  if (layers !== undefined && [...sources, ...targets].every(({ layer }) => layer !== null)) {
    throw new UsageError({
      action: `train with --layers ${layers.join(",")}`,
      requirement: "--source or --target must name a site without its layer, which --layers then gives",
      found: `they are ${source} and ${target}`,
      remedy: "leave --layers out, or name sites alone",
    });
  }
  // A source without a layer is in the layer of the first target, where targets name theirs.
  const trained = layers ?? (named.length === targets.length ? [Math.min(...named)] : defaults);
  const mappings = trained.toSorted((a, b) => a - b).flatMap((layer) => {
    if (layers !== undefined) checkLayer(layer, modelLayers);
    const at = (place: Place, flag: string): Tap => {
      const tap = { layer: place.layer ?? layer, site: place.site };
      checkLayer(tap.layer, modelLayers, `use ${flag} ${tapName({ ...tap, layer: modelLayers - 1 })}`);
      return tap;
    };
    const to = distinct(targets.map((place) => at(place, "--target")).sort((a, b) => depthOf(a) - depthOf(b)));
    return sources.map((place) => mappingOf(at(place, "--source"), to));
  });
  const name = ({ source, targets }: Mapping) => [source, ...targets].map(tapName).join();
  return [...new Map(mappings.map((mapping) => [name(mapping), mapping])).values()];
}

/** Places under two names, as layer3.resid_post and layer4.resid_pre, are taken once, by the name that comes first. */
function distinct(taps: readonly Tap[]): Tap[] {
  return taps.filter((tap, i) => taps.findIndex((other) => tapName(placeOf(other)) === tapName(placeOf(tap))) === i);
}

function mappingOf(source: Tap, targets: readonly Tap[]): Mapping {
  const early = targets.find((target) => depthOf(target) <= depthOf(source));
  if (early === undefined) return { source, targets };
  throw new UsageError({
    action: `train ${tapName(source)} -> ${tapName(early)}`,
    requirement: "the target must come after the source in the model",
    remedy: "choose other --source, --target or --layers",
  });
}

/** What the widths that a transcoder maps between are multiples of: kernels read four columns at a time. */
const WIDTH_MULTIPLE = 4;

/**
 * Makes sure that transcoders can be as wide as what they map.
 *
 * @param mappings The transcoders.
 * @param config The model.
 * @throws {UsageError} When the activations at a source or a target have a width that kernels cannot take.
 */
export function checkWidths(mappings: readonly Mapping[], config: DecoderConfig): void {
  for (const tap of tapsOf(mappings)) {
    const width = widthOf(config, tap.site);
    if (width % WIDTH_MULTIPLE === 0) continue;
    throw new UsageError({
      action: `train on ${tapName(tap)}`,
      requirement: `its width must be a multiple of ${WIDTH_MULTIPLE}`,
      found: `it is ${width}`,
      remedy: "choose other --source or --target",
    });
  }
}

/** One option of the command line that sets a number. */
interface NumberOption {
  readonly flags: string;
  readonly setting: Exclude<keyof RunSettings, "groups" | "include_bos" | "exclude_tokens" | "skip" | "precision">;
  readonly text: string;
  /** Whether it may be other than whole. */
  readonly isReal?: true;
  /** The option that it follows where it is not given. */
  readonly follows?: string;
}

/** The numbers that can be set, in the order of `--help`. */
export const NUMBER_OPTIONS: readonly NumberOption[] = [
  { flags: "-k, --k <n>", setting: "k", text: "features kept per token, on average over a batch" },
  { flags: "-n, --steps <n>", setting: "steps", text: "optimiser steps" },
  { flags: "--batch <tokens>", setting: "batch_tokens", text: "tokens per step" },
  { flags: "--context <tokens>", setting: "context", text: "tokens per context, BOS included" },
  { flags: "--learning-rate <x>", setting: "learning_rate", text: "peak learning rate of Adam", isReal: true },
  {
    flags: "--bias-rate <x>",
    setting: "encoder_bias_rate",
    text: "learning rate of the encoder's biases, as a multiple of it",
    isReal: true,
  },
  {
    flags: "--whole-weight <x>",
    setting: "whole_weight",
    text: "weight of the whole dictionary's error, as a multiple of each inner prefix's",
    isReal: true,
  },
  { flags: "--beta2 <x>", setting: "beta2", text: "Adam's decay of the mean squared gradient", isReal: true },
  { flags: "--warmup <steps>", setting: "warmup_steps", text: "steps of linear warm-up" },
  {
    flags: "--aux-weight <x>",
    setting: "aux_weight",
    text: "weight of the auxiliary loss of dead features",
    isReal: true,
  },
  {
    flags: "--encoder-norm <x>",
    setting: "encoder_norm",
    text: "length of the encoder's rows at the start",
    isReal: true,
  },
  { flags: "--aux-k <n>", setting: "aux_k", text: "dead features kept per token for it" },
  {
    flags: "--dead-after <tokens>",
    setting: "dead_after_tokens",
    text: "tokens without firing after which a feature is dead",
  },
  {
    flags: "--revival-rate <x>",
    setting: "revival_rate",
    text: "rise of a dead, silent feature's bias in a step, as a multiple of its learning rate",
    isReal: true,
  },
  { flags: "--passes <n>", setting: "passes", text: "times each harvested activation is used" },
  { flags: "--buffer <tokens>", setting: "buffer_tokens", text: "most tokens in the shuffle buffer" },
  {
    flags: "--exclude-norm-above <x>",
    setting: "exclude_norm_above",
    text: "leave out tokens whose activation at a source has a norm above x times the median, too; 0 for none",
    isReal: true,
  },
  { flags: "--seed <n>", setting: "seed", text: "seed of the first weights" },
  {
    flags: "--data-seed <n>",
    setting: "data_seed",
    text: "seed of the order in which the text is read and drawn",
    follows: "--seed",
  },
  { flags: "--log-every <steps>", setting: "log_every", text: "steps between rows of metrics.csv" },
  { flags: "--checkpoint-every <steps>", setting: "checkpoint_every", text: "steps between checkpoints" },
  { flags: "--sample-every <steps>", setting: "sample_every", text: "steps between sampled training batches" },
  { flags: "--samples <n>", setting: "samples_per_feature", text: "most samples per feature" },
  {
    flags: "--sample-threshold <x>",
    setting: "sample_threshold",
    text: "activations below this are not sampled",
    isReal: true,
  },
  { flags: "--sample-tokens <n>", setting: "sample_tokens", text: "tokens of the final pass that collects samples" },
  {
    flags: "--evaluation-tokens <n>",
    setting: "evaluation_tokens",
    text: "test tokens of the final evaluation, drawn evenly over all test documents",
  },
  {
    flags: "--loss-tokens <n>",
    setting: "loss_tokens",
    text: "test tokens that loss recovered is measured on after it, fewer for fewer --steps; 0: it is not",
  },
];

/**
 * Declares an option that sets a number; which numbers will do is for the settings' own check to say.
 *
 * @param option One of {@link NUMBER_OPTIONS}.
 * @returns The option, whose help tells both defaults.
 */
export function declared({ flags, setting, text, isReal, follows }: NumberOption): Option {
  const [embedded, published] = [EMBEDDED[setting], PUBLISHED[setting]];
  const value = follows ?? (embedded === published ? String(embedded) : `${published}; embedded: ${embedded}`);
  const help = `${text} (default: ${value})`;
  return isReal ? numberOption(flags, help) : wholeNumberOption(flags, help, { least: 0 });
}

/**
 * Writes a setting as the command line does.
 *
 * @param setting Its name in config.json.
 * @param value Its value.
 * @returns For example `--batch 0`; `beta1 = 2` for a setting that has no option.
 */
export function inFlags(setting: string, value: unknown): string {
  const flags = [{ flags: "--groups", setting: "groups" }, ...NUMBER_OPTIONS].find((each) => each.setting === setting);
  return flags === undefined ? `${setting} = ${value}` : `${new Option(flags.flags).long} ${value}`;
}

/**
 * The groups of a dictionary.
 *
 * @param features `--dictionary`.
 * @param groups `--groups`, if they were given.
 * @returns Those groups, or a quarter, a half and a quarter of the features.
 * @throws {UsageError} When the groups do not add up to the features, or the features cannot be divided so.
 */
export function groupsFor(features: number, groups?: readonly number[]): number[] {
  if (groups === undefined) {
    if (features % 4 === 0) return [features / 4, features / 2, features / 4];
    throw new UsageError({
      action: `divide --dictionary ${features}`,
      requirement: "without --groups it must be a multiple of 4",
      remedy: "give --groups too",
    });
  }
  const sum = groups.reduce((a, b) => a + b, 0);
  if (sum === features) return [...groups];
  throw new UsageError({
    action: `train with --groups ${groups.join(",")}`,
    requirement: `they must add up to --dictionary ${features}`,
    found: `they add up to ${sum}`,
    remedy: "change one of the two or leave --dictionary out",
  });
}
