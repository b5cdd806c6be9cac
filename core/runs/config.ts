/**
 * config.json: what a transcoder of a run is, and all that is needed to go on with its training. It is what makes a directory one of
 * a transcoder, whatever the directory is called.
 *
 * The format has a number, of config.json and of the files beside it. They grow without it: a new key or column is optional when
 * it is read, with the value that files without it had (`v.optional(schema, value)`, `since` of a table's column), so that older
 * runs stay readable, and readers drop what they do not know, so that a newer run does not stop an older mtc. The number rises only
 * when a key or column changes its meaning or goes away; then {@link readConfig} brings older files up to date, and an older mtc
 * refuses newer ones.
 *
 * - 0, of mtc 0.1.0: no number.
 * - 1: the number.
 * - 2: preparation.safetensors beside it in place of `scales`, which runs of older formats keep. An older mtc would go on with another
 *   preparation than the run began with.
 * - 3: `targets` and `target_scales` in place of `target`, where a transcoder has several targets; `skip`, without which an older mtc would go
 *   on as if there were no skip connection. One with a single target and without keeps to 2.
 * @module
 */

import { join } from "node:path";
import * as v from "valibot";
import { type Precision, type TileName, TILES } from "../../wgsl/shared/matmul.ts";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files/atomic.ts";
import { SITES, type Tap } from "../model/sites.ts";
import { CHAT_FORMS } from "../text/chat_forms.ts";
import type { DataPaths } from "../text/documents.ts";
import type { TextSummary } from "../text/summary.ts";
import { FOREIGN_TOOLS, type ForeignTool } from "../transcoder/formats/layout.ts";
import { featureCount } from "../transcoder/shape.ts";
import type { Mapping } from "./ids.ts";
import { checked, parseJson, readText } from "./json.ts";
import { NO_TRAINING, type RunSettings, type TrainingSetting } from "./settings.ts";
import { requireSum, SUMS_FILE, writeSummed } from "./sums.ts";

/** The newest format that this mtc writes, and that it writes where an older one says it all. */
export const FORMAT = 4, PLAIN_FORMAT = 2;
/** That of a transcoder with several targets or a skip connection. */
export const WIDE_FORMAT = 3;
/** The file's name. */
export const CONFIG_FILE = "config.json";

/** A harvest that a run reads its activations from. */
export interface HarvestReference {
  /** Its directory. */
  readonly path: string;
  /** What it is known by; see `harvestId`. */
  readonly harvest: string;
}

/** The finished transcoder whose weights a transcoder started from. */
export interface ParentReference {
  /** The last two parts of its directory, for example `first/layer17`: where it lies may change. */
  readonly name: string;
  /** SHA-256 of its transcoder.safetensors. */
  readonly fingerprint: string;
  /** The steps that it was trained for. */
  readonly steps: number;
  /**
   * Whether the run goes on with all of its training: the steps count on from its, and the learning rate's schedule is over those behind
   * them. Absent where weights alone were taken.
   */
  readonly goes_on?: true;
}

/** Where a transcoder that was trained elsewhere comes from, and what became of it here. */
export interface Import {
  /** What wrote its files, or whose they are. */
  readonly tool: ForeignTool;
  /** The file of its weights: a path, or a reference to the hub that always means the same file. */
  readonly from: string;
  /** SHA-256 of that file. */
  readonly fingerprint: string;
  /** The hook that it reads, as its files or its kind name it; null where they do not. */
  readonly source_hook: string | null;
  /** The hook that it predicts, likewise. */
  readonly target_hook: string | null;
  /** The language model that its files name. */
  readonly trained_on: string | null;
  /** What is kept of each token's activations. */
  readonly activation: "jump-relu" | "relu" | "top-k";
  /** Whether its encoder was divided by the gain of a norm, as it reads in front of it and mtc's site lies behind. */
  readonly unfolded_gain: boolean;
  /** Columns of the source that lie behind a gain of 0, so that what it reads there is lost. */
  readonly lost_columns: number;
  /** What was taken for granted: whole sentences. */
  readonly remarks: readonly string[];
}

/** What a run knows of a transcoder before it has seen any text. */
export interface TranscoderDescription {
  /** Version of mtc that trained it. */
  readonly mtc_version: string;
  /** Name of the GPU or software driver. */
  readonly adapter: string;
  /** When the run began, ISO 8601. */
  readonly created: string;
  /** The language model: name, directory (null for the embedded one), layers, hidden size, tokens in the vocabulary. */
  readonly model: {
    readonly name: string;
    readonly path: string | null;
    readonly layers: number;
    readonly d_model: number;
    readonly vocab_size: number;
    /** Tells it from others of the same shape, see `modelFingerprint`; absent where an older mtc began the run. */
    readonly fingerprint?: string;
  };
  /** The text in figures, and its files, folders and references; none for the embedded one. */
  readonly data: Readonly<TextSummary> & { readonly name: string; readonly files: readonly string[] };
  /** Where the run's activations come from, if not from the model as it read the text. */
  readonly activations?: HarvestReference;
  /** What the first weights are, if not random ones. */
  readonly parent?: ParentReference;
  /** Where it comes from, if it was not trained here. Its `k` is the L0 that was measured, or its own k, and what a training is set to is 0. */
  readonly imported?: Import;
  /** Width of the source activations. */
  readonly d_in: number;
  /** Width of the target activations; of several targets, the sum of their widths. */
  readonly d_out: number;
  /** Features in the dictionary. */
  readonly features: number;
  /** Of a sweep: the round that it is trained in, counted from 1; 0 as long as it waits for one. Other runs have none. */
  readonly round?: number;
}

/** The median norm of the activations at a tap. */
export interface MedianNorm extends Tap {
  /** Over the tokens of the first shuffle buffer that are not left out for their ids. */
  readonly norm: number;
}

/** What a run measures before its first step. */
export interface MeasuredConfig {
  /**
   * Of several targets, what each one's activations are multiplied by so that they weigh the same, as the first buffer has them; the
   * evaluation weighs them so too.
   */
  readonly target_scales?: readonly number[];
  /** Of formats 0 and 1: the factors between raw activations and those trained on. Newer runs have preparation.safetensors. */
  readonly scales?: { readonly source: number; readonly target: number };
  /** The tiles of matrix products that the adapter was tuned to; `tileKey` says what the keys are. */
  readonly tiles: Readonly<Record<string, TileName>>;
  /** With f16, relative L2 of each tap's activations from those of float32, on the first contexts; empty with f32. */
  readonly precision_errors: Readonly<Record<string, number>>;
  /** Of each source of the run, not of this transcoder alone; only with `exclude_norm_above`, and empty while it waits for its round. */
  readonly median_norms?: readonly MedianNorm[];
}

/** A transcoder's config.json. */
export interface TranscoderConfig extends TranscoderDescription, RunSettings, Mapping, MeasuredConfig {
  /** The format of the run's files, {@link FORMAT} or less. */
  readonly format: number;
  /** The layer predicted, once more, for readers who look for it here; of several targets the first one's. */
  readonly layer: number;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const factor = v.pipe(v.number(), v.gtValue(0));
const tap: v.GenericSchema<unknown, Tap> = v.object({ layer: count, site: v.picklist(SITES) });
const tileNames = Object.keys(TILES) as TileName[];
const precisions: readonly Precision[] = ["f32", "f16"];

const schema: v.GenericSchema<unknown, TranscoderConfig> = v.pipe(
  v.object({
    format: v.optional(count, 0),
    mtc_version: v.string(),
    adapter: v.string(),
    created: v.pipe(v.string(), v.isoTimestamp()),
    model: v.object({
      name: v.string(),
      path: v.nullable(v.string()),
      layers: positive,
      d_model: positive,
      vocab_size: positive,
      fingerprint: v.optional(v.string()),
    }),
    data: v.object({
      name: v.string(),
      files: v.array(v.string()),
      documents: v.nullable(count),
      train_documents: v.nullable(count),
      held_out_documents: v.nullable(count),
      bytes: count,
      file_count: count,
      fingerprint: v.string(),
      contents: v.optional(v.string()),
      passed_over: v.optional(v.record(v.string(), count)),
      column: v.optional(v.string()),
      chat: v.optional(v.picklist(CHAT_FORMS)),
      bad_lines: v.optional(count),
      left_out: v.optional(count),
    }),
    activations: v.optional(v.object({ path: v.string(), harvest: v.string() })),
    imported: v.optional(v.object({
      tool: v.picklist(FOREIGN_TOOLS),
      ...{ from: v.string(), fingerprint: v.string() },
      ...{
        source_hook: v.nullable(v.string()),
        target_hook: v.nullable(v.string()),
        trained_on: v.nullable(v.string()),
      },
      activation: v.picklist(["jump-relu", "relu", "top-k"]),
      ...{ unfolded_gain: v.boolean(), lost_columns: count, remarks: v.array(v.string()) },
    })),
    parent: v.optional(
      v.object({ name: v.string(), fingerprint: v.string(), steps: positive, goes_on: v.optional(v.literal(true)) }),
    ),
    source: tap,
    targets: v.pipe(v.array(tap), v.minLength(1)),
    layer: count,
    d_in: positive,
    d_out: positive,
    features: positive,
    round: v.optional(count),
    groups: v.pipe(v.array(positive), v.minLength(1)),
    k: positive,
    steps: positive,
    batch_tokens: positive,
    context: v.pipe(count, v.minValue(2)),
    seed: count,
    learning_rate: v.number(),
    warmup_steps: count,
    final_lr_fraction: v.number(),
    beta1: v.number(),
    beta2: v.number(),
    epsilon: v.number(),
    aux_weight: v.number(),
    aux_k: count,
    dead_after_tokens: positive,
    threshold_rate: v.number(),
    passes: positive,
    buffer_tokens: positive,
    log_every: positive,
    checkpoint_every: positive,
    sample_every: positive,
    samples_per_feature: positive,
    sample_threshold: v.number(),
    sample_tokens: count,
    evaluation_tokens: positive,
    loss_tokens: v.optional(count, 0),
    encoder_norm: v.optional(v.number(), 0.3),
    encoder_bias_rate: v.optional(v.number(), 1),
    whole_weight: v.optional(v.number(), 1),
    revival_rate: v.optional(v.number(), 0),
    data_seed: v.optional(count),
    skip: v.optional(v.boolean(), false),
    include_bos: v.boolean(),
    exclude_tokens: v.optional(v.array(count), []),
    exclude_norm_above: v.optional(v.number(), 0),
    precision: v.optional(v.picklist(precisions), "f32"),
    target_scales: v.optional(v.array(factor)),
    scales: v.optional(v.object({ source: factor, target: factor })),
    // A tile that this mtc does not have is as good as not tuned.
    tiles: v.pipe(
      v.optional(v.record(v.string(), v.string()), {}),
      v.transform((tiles): Record<string, TileName> =>
        Object.fromEntries(
          Object.entries(tiles).filter((entry): entry is [string, TileName] =>
            tileNames.includes(entry[1] as TileName)
          ),
        )
      ),
    ),
    precision_errors: v.optional(v.record(v.string(), v.number()), {}),
    median_norms: v.optional(v.array(v.object({ layer: count, site: v.picklist(SITES), norm: v.number() }))),
  }),
  // One seed did for everything.
  v.transform(({ data_seed, ...config }) => ({ ...config, data_seed: data_seed ?? config.seed })),
  v.transform((config) => config.imported ? { ...config, ...NO_TRAINING } : config),
  v.forward(
    v.check(
      ({ groups, features }) => featureCount(groups) === features,
      "the groups' sizes must add up to `features`",
    ),
    ["groups"],
  ),
  v.forward(
    v.check(
      ({ exclude_norm_above, median_norms }) => (exclude_norm_above > 0) === (median_norms !== undefined),
      "they must be there with exclude_norm_above, and not without",
    ),
    ["median_norms"],
  ),
  v.forward(
    v.check(({ layer, targets }) => layer === targets[0].layer, "it must be the first target's layer"),
    ["layer"],
  ),
  v.forward(
    v.check(
      ({ targets, target_scales }) => target_scales?.length === (targets.length > 1 ? targets.length : undefined),
      "there must be one for each of several targets, and none for a single one",
    ),
    ["target_scales"],
  ),
);

/**
 * The format of a transcoder's files: one that says no more than an older mtc knows stays readable for it.
 *
 * @param config What config.json says.
 * @returns {@link FORMAT} or an older one.
 */
export function formatOf(
  { targets, skip, imported }:
    & Pick<Mapping, "targets">
    & Pick<RunSettings, "skip">
    & Pick<TranscoderConfig, "imported">,
): number {
  return imported ? FORMAT : targets.length > 1 || skip ? WIDE_FORMAT : PLAIN_FORMAT;
}

/**
 * Writes a transcoder's config.json.
 *
 * @param directory The transcoder's directory.
 * @param config Its settings; the format is the oldest that says them.
 * @throws {UserError} When the disk does not take it.
 */
export function writeConfig(directory: string, config: TranscoderConfig): Promise<void> {
  const { format: _, ...settings } = config, { targets } = config;
  const written = Object.entries({ format: formatOf(config), ...settings })
    .filter(([key]) => !config.imported || !(key in NO_TRAINING))
    .map(([key, value]) => key === "targets" && targets.length === 1 ? ["target", targets[0]] : [key, value]);
  const path = join(directory, CONFIG_FILE);
  return writeSummed(path, () => writeFileAtomic(path, JSON.stringify(Object.fromEntries(written), null, 2) + "\n"));
}

/**
 * Reads a transcoder's config.json. Keys that {@link TranscoderConfig} does not name are dropped.
 *
 * @param directory The transcoder's directory.
 * @returns Its settings.
 * @throws {UserError} When the file is missing, is not JSON, is of a newer format, or a setting is absent or cannot be.
 */
export async function readConfig(directory: string): Promise<TranscoderConfig> {
  const path = join(directory, CONFIG_FILE);
  await requireSum(
    directory,
    CONFIG_FILE,
    `restore it, or take its line out of ${join(directory, SUMS_FILE)} if the change is meant`,
  );
  const json = parseJson(await readText(path), path);
  const { format, mtc_version } = checked(v.safeParser(versionSchema), json, path);
  if (format > FORMAT) {
    throw new UserError({
      action: `read ${path}`,
      requirement: `its format must be ${FORMAT} or less`,
      found: `it is ${format}`,
      remedy: `use mtc ${mtc_version}, which wrote it, or a newer one`,
    });
  }
  return checked(v.safeParser(schema), withTraining(withTargets(json)), path);
}

/** What stands in the schema's eyes for the settings of a training that nobody knows. */
function withTraining(json: unknown): unknown {
  if (typeof json !== "object" || json === null || !("imported" in json)) return json;
  const unknown: Record<TrainingSetting, number> = { ...NO_TRAINING };
  for (const key of Object.keys(unknown) as TrainingSetting[]) unknown[key] = 1;
  return { ...json, ...unknown };
}

/** A single target is written as such, as it was before there were several. */
function withTargets(json: unknown): unknown {
  if (typeof json !== "object" || json === null || !("target" in json)) return json;
  const { target, ...config } = json;
  return { ...config, targets: [target] };
}

const versionSchema = v.object({ format: v.optional(count, 0), mtc_version: v.string() });

/**
 * The steps that a run takes itself.
 *
 * @param config The config.json of one of its transcoders.
 * @returns All but those of the run that it goes on with.
 */
export function ownSteps({ steps, parent }: Pick<TranscoderConfig, "steps" | "parent">): number {
  return parent?.goes_on ? steps - parent.steps : steps;
}

/**
 * Refuses to train with what is known of a transcoder that was trained elsewhere.
 *
 * @param action What is to be done, for the message.
 * @param configs The config.json of each transcoder that it is to be done with.
 * @throws {UserError} When one of them was imported.
 */
export function requireTrainedHere(action: string, configs: readonly Pick<TranscoderConfig, "imported">[]): void {
  const from = configs.find(({ imported }) => imported)?.imported;
  if (from === undefined) return;
  throw new UserError({
    action,
    requirement: "it must have been trained by mtc",
    found: `it was imported from ${from.tool}, and its training is not known`,
    remedy: "train a new one, or evaluate, analyze and report this one",
  });
}

/**
 * The text of a run.
 *
 * @param config The config.json of one of its transcoders.
 * @returns Paths, or the embedded text.
 */
export function dataOf({ data }: TranscoderConfig): DataPaths {
  return data.files.length > 0 ? [...data.files] : "builtin";
}
