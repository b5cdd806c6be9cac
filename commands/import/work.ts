/**
 * Importing: the model and the text are opened, each transcoder is turned into weights for mtc's sites and measured, and the run appears when all
 * of it is there.
 * @module
 */

import { rename } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { UsageError } from "../../core/errors.ts";
import { sumOfFile } from "../../core/files/checksum.ts";
import { makeWholeDirectory, requireVacant } from "../../core/files/whole_directory.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { configOf } from "../../core/model/config.ts";
import { fetchPath, type HubPath } from "../../core/hub/files.ts";
import { isHubReference } from "../../core/hub/reference.ts";
import { BUILTIN, type ModelFiles, modelFingerprint } from "../../core/model/files.ts";
import { hookOf } from "../../core/model/hooks.ts";
import { tapName } from "../../core/model/sites.ts";
import { readGain } from "../../core/model/weights.ts";
import { dataOf, FORMAT, type Import, type TranscoderConfig, writeConfig } from "../../core/runs/config.ts";
import { findTranscoders } from "../../core/runs/discovery.ts";
import { type StoredEvaluation, writeEvaluation } from "../../core/runs/evaluation.ts";
import { writeFeatures } from "../../core/runs/features.ts";
import { idOf, nameTranscoders } from "../../core/runs/ids.ts";
import { readLinearMap, writeLinearMap } from "../../core/runs/linear_map.ts";
import { FINISHED_FILES } from "../../core/runs/lost_files.ts";
import { writePreparation } from "../../core/runs/preparation.ts";
import { writeSamples } from "../../core/runs/samples.ts";
import { requireSameModel } from "../../core/runs/same_model.ts";
import { NO_TRAINING } from "../../core/runs/settings.ts";
import { completeSums } from "../../core/runs/sums.ts";
import { writeTranscoder } from "../../core/runs/transcoder.ts";
import { type DataPaths } from "../../core/text/documents.ts";
import { nameOfData, pinPaths } from "../../core/text/files.ts";
import type { TextReading } from "../../core/text/reading.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { readingOf } from "../../core/text/summary.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { findForeign, isForeignFile } from "../../core/transcoder/formats/foreign.ts";
import type { ForeignTranscoder } from "../../core/transcoder/formats/layout.ts";
import { featureCount } from "../../core/transcoder/shape.ts";
import { scaleInputs, type Transcoder } from "../../core/transcoder/weights.ts";
import configuration from "../../deno.json" with { type: "json" };
import { downloadVisibly, openModelVisibly } from "../open_model.ts";
import { readingFor } from "../options.ts";
import { EMBEDDED, excludedTokens, NUMBER_OPTIONS, PUBLISHED } from "../train/settings.ts";
import { type ImportedMapping, mappingFor, requireFits } from "./mapping.ts";
import { measureImported } from "./measure.ts";
import { IMPORT_SETTINGS, type ImportOptions } from "./options.ts";

/** A transcoder that was imported. */
export interface Imported {
  /** Its directory. */
  readonly run: string;
  /** Its config.json. */
  readonly config: TranscoderConfig;
  /** Its evaluation.json. */
  readonly evaluation: StoredEvaluation;
}

/** One that is to be, opened. */
interface Opened {
  readonly path: string;
  readonly foreign: ForeignTranscoder;
  readonly mapping: ImportedMapping;
}

/** What all of them share. */
type Shared = Omit<
  TranscoderConfig,
  "source" | "targets" | "layer" | "d_in" | "d_out" | "features" | "groups" | "k" | "skip" | "imported"
>;

/**
 * Imports transcoders.
 *
 * @param path Where they lie.
 * @param options The command line.
 * @param isGiven Whether an option stands in it.
 * @returns What was imported, by layer.
 * @throws {UsageError} When the command line cannot be carried out.
 * @throws {UserError} When files, model, text or directory do not allow it; the run is not there then.
 */
export async function importTranscoders(
  path: string,
  options: ImportOptions,
  isGiven: (name: string) => boolean,
): Promise<Imported[]> {
  // What takes minutes should not find that out in the end.
  await requireVacant(options.out, "--out");
  const like = options.like === undefined ? null : (await findTranscoders(options.like))[0];
  const isWanted = (name: string) => isForeignFile(name, options.layer);
  const place: HubPath = isHubReference(path)
    ? await downloadVisibly(path, (onDownload) => fetchPath(path, isWanted, onDownload))
    : { path, reference: resolve };
  const opened = await openAll(place.path, options);
  let model: ModelFiles | undefined;
  try {
    model = await openModelVisibly(options.model ?? like?.config.model.path ?? BUILTIN);
    for (const { path, foreign, mapping } of opened) requireFits(path, mapping, foreign, configOf(model), model.name);
    if (like) await requireSameModel(like.config.model, model, `import as a run like ${like.path}`);
    using gpu = await openGpu(undefined, options.precision ?? like?.config.precision);
    const shared = await sharedConfig(gpu, model, options, like?.config ?? null, isGiven);
    const imported: Imported[] = [];
    await makeWholeDirectory(options.out, "--out", async (directory) => {
      const written: string[] = [];
      for (const one of opened) {
        const own = await transcoderOf(one, model!, place.reference);
        written.push(join(directory, String(written.length)));
        imported.push(
          await importOne(gpu, model!, { ...shared, ...own.config }, own.transcoder, written.at(-1)!, like),
        );
      }
      const names = nameTranscoders(imported.map(({ config }) => idOf(config)));
      for (const [i, { file }] of names.entries()) {
        await rename(written[i], join(directory, file));
        imported[i] = { ...imported[i], run: join(options.out, file) };
      }
    });
    return imported;
  } finally {
    for (const { foreign } of opened) await foreign.close();
    await model?.weights.close();
  }
}

/** Opens those of the layer that is asked for, or all. */
async function openAll(path: string, options: ImportOptions): Promise<Opened[]> {
  const places = await findForeign(path), opened: Opened[] = [];
  try {
    for (const place of places) {
      const foreign = await place.open();
      const isOther = places.length > 1 && options.layer !== undefined && foreign.layer !== null &&
        foreign.layer !== options.layer;
      if (isOther) await foreign.close();
      else opened.push({ path: place.path, foreign, mapping: mappingFor(place.path, foreign, options) });
    }
    requireDistinct(path, opened);
    return opened;
  } catch (error) {
    for (const { foreign } of opened) await foreign.close();
    throw error;
  }
}

function requireDistinct(path: string, opened: readonly Opened[]): void {
  if (opened.length === 0) {
    throw new UsageError({
      action: `import ${path}`,
      requirement: "it must hold the layer that is asked for",
      found: "it does not",
      remedy: "give another --layer",
    });
  }
  const layers = opened.map(({ mapping }) => tapName(mapping.target));
  const twice = layers.findIndex((layer, i) => layers.indexOf(layer) < i);
  if (twice < 0) return;
  throw new UsageError({
    action: `import ${path}`,
    requirement: "it must hold one transcoder for each layer",
    found: `${opened[layers.indexOf(layers[twice])].path} and ${opened[twice].path} both predict ${layers[twice]}`,
    remedy: "name one of them",
  });
}

/** What config.json says of model and text, and of what is measured on it. */
async function sharedConfig(
  gpu: Gpu,
  model: ModelFiles,
  options: ImportOptions,
  like: TranscoderConfig | null,
  isGiven: (name: string) => boolean,
): Promise<Shared> {
  const { layers, dModel, vocabSize, bosTokenId } = configOf(model),
    defaults = model.path === null ? EMBEDDED : PUBLISHED;
  const base = like ?? defaults;
  const numbers = Object.fromEntries(
    NUMBER_OPTIONS.filter(({ setting }) => IMPORT_SETTINGS.includes(setting)).map(({ flags, setting }) => {
      const name = optionName(flags);
      return [setting, isGiven(name) ? options[name] : base[setting]];
    }),
  ) as Pick<
    TranscoderConfig,
    "context" | "samples_per_feature" | "sample_threshold" | "sample_tokens" | "evaluation_tokens"
  >;
  const tokenizer = loadTokenizer(model), include_bos = options.includeBos ?? base.include_bos;
  tokenizer.checkFitsModel(vocabSize, bosTokenId);
  const isKept = like !== null && options.excludeTokens === undefined && options.includeBos === undefined;
  const data: DataPaths = options.data ? await pinPaths(options.data) : like ? dataOf(like) : "builtin";
  const recorded = options.data || !like ? undefined : readingOf(like.data);
  const text = await textSummary(model, data, readingFor(options, data, recorded), numbers.context);
  return {
    format: FORMAT,
    ...{ mtc_version: configuration.version, adapter: gpu.adapter, created: new Date().toISOString() },
    model: {
      ...{ name: model.name, path: model.path, layers, d_model: dModel, vocab_size: vocabSize },
      fingerprint: await modelFingerprint(model),
    },
    data: { name: nameOfData(data), files: data === "builtin" ? [] : data, ...text },
    ...NO_TRAINING,
    ...numbers,
    ...{ loss_tokens: base.loss_tokens, include_bos },
    exclude_tokens: isKept ? like.exclude_tokens : excludedTokens(options.excludeTokens, tokenizer, include_bos),
    exclude_norm_above: like?.exclude_norm_above ?? 0,
    ...like?.median_norms && { median_norms: like.median_norms },
    precision: options.precision ?? base.precision,
    ...{ tiles: {}, precision_errors: {} },
  };
}

/** The name under which commander keeps an option. */
function optionName(flags: string): string {
  const [, long] = /--([\w-]+)/.exec(flags)!;
  return long.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

async function textSummary(model: ModelFiles, data: DataPaths, reading: TextReading, context: number) {
  const text = await openTokenSource({ tokenizer: model, data, reading, split: "train", context, seed: 0 });
  await text.close();
  return text.summary;
}

/** What config.json says of a transcoder alone, but for its k; and it, for what mtc's source holds. */
type Own =
  & Pick<TranscoderConfig, "source" | "targets" | "layer" | "d_in" | "d_out" | "features" | "groups" | "skip">
  & {
    readonly imported: Import;
  };

async function transcoderOf(
  { foreign, mapping }: Opened,
  model: ModelFiles,
  named: HubPath["reference"],
): Promise<{ config: Own; transcoder: Transcoder }> {
  const { source, target, isBeforeGain } = mapping, { norm } = hookOf(source);
  const read = await foreign.read(), fingerprint = await sumOfFile(foreign.weightsPath);
  const unfolded = isBeforeGain && norm !== null
    ? withoutGain(read, await readGain(model.weights, norm, read.shape.d_in))
    : { transcoder: read, lost: 0 };
  const { transcoder, lost } = unfolded, { d_in, d_out, groups, skip = false } = transcoder.shape;
  const remark =
    `The gain that it reads in front of is 0 in ${lost} columns, so that ${
      tapName(source)
    } says nothing of what it reads there: ` +
    "what its encoder has for them is lost.";
  return {
    transcoder,
    config: {
      ...{ source, targets: [target], layer: target.layer },
      ...{ d_in, d_out, features: featureCount(groups), groups, skip },
      imported: {
        ...{ tool: foreign.tool, from: named(foreign.weightsPath), fingerprint },
        ...{ source_hook: foreign.source, target_hook: foreign.target, trained_on: foreign.model },
        ...{ activation: foreign.activation, unfolded_gain: isBeforeGain, lost_columns: lost },
        remarks: [...foreign.remarks, ...lost > 0 ? [remark] : []],
      },
    },
  };
}

/** Weights for what lies behind a gain, of weights for what lies in front of it, and in how many columns that is not possible. */
function withoutGain(transcoder: Transcoder, gain: Float32Array): { transcoder: Transcoder; lost: number } {
  const { weights, shape: { d_in } } = transcoder, reads = new Uint8Array(d_in);
  for (let at = 0; at < weights.encoder.length; at++) if (weights.encoder[at] !== 0) reads[at % d_in] = 1;
  const lost = gain.reduce((count, factor, i) => count + (factor === 0 ? reads[i] : 0), 0);
  return {
    transcoder: { ...transcoder, weights: scaleInputs(weights, gain.map((factor) => factor === 0 ? 0 : 1 / factor)) },
    lost,
  };
}

/** Measures a transcoder and writes its files, the weights behind all others, and their checksums. */
async function importOne(
  gpu: Gpu,
  model: ModelFiles,
  known: Shared & Own,
  transcoder: Transcoder,
  directory: string,
  like: { readonly path: string; readonly config: TranscoderConfig } | null,
): Promise<Imported> {
  await Deno.mkdir(directory);
  const isAlike = like !== null && [like.config, known].map(placeOf).every((place, _, [first]) => place === first);
  const linearMap = isAlike ? await readLinearMap(like.path, like.config) : null;
  if (linearMap) await writeLinearMap(directory, linearMap);
  const name = nameTranscoders([idOf({ ...known, k: 1 })])[0];
  const config: TranscoderConfig = { ...known, k: transcoder.topK ?? 1 };
  const measured = await measureImported(gpu, model, { directory, name, config, transcoder });
  // Where nothing fixes how many features fire, what was measured stands for it.
  const k = transcoder.topK ?? Math.max(1, Math.round(measured.evaluation.l0));
  const evaluation = { ...measured.evaluation, k }, { groups } = transcoder.shape;
  await writeConfig(directory, { ...config, k });
  await writePreparation(directory, measured.preparation);
  await writeSamples(directory, groups, measured.tally, measured.texts);
  await writeFeatures(directory, measured.features);
  await writeEvaluation(directory, evaluation);
  await writeTranscoder(directory, transcoder);
  await completeSums(directory, FINISHED_FILES);
  return { run: basename(directory), config: { ...config, k }, evaluation };
}

/** What a linear map is of: the same of two transcoders where one map serves both. */
function placeOf(
  { source, targets, target_scales }: Pick<TranscoderConfig, "source" | "targets" | "target_scales">,
): string {
  return JSON.stringify([tapName(source), targets.map(tapName), target_scales]);
}
