/**
 * `mtc export --to circuit-tracer`: one set of all layers, of a run or of several, with the files that its graphs show features from.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UsageError, UserError } from "../../core/errors.ts";
import { hookOf } from "../../core/model/hooks.ts";
import type { Site } from "../../core/model/sites.ts";
import type { TranscoderConfig } from "../../core/runs/config.ts";
import { type DescribedTranscoder, readTranscoders } from "../../core/runs/finished.ts";
import { mappingName } from "../../core/runs/ids.ts";
import {
  writeCircuitTracerConfig,
  writeCircuitTracerLayer,
  writeEmptyLayer,
} from "../../core/transcoder/formats/circuit_tracer.ts";
import {
  FEATURES_DIRECTORY,
  type TracedFeature,
  type TracedLayer,
  writeTracedIndex,
  writeTracedLayer,
} from "../../core/transcoder/formats/circuit_tracer_features.ts";
import type { ShownFeature, ShownTranscoder } from "./cards.ts";
import { differencesOf } from "./chosen.ts";
import { atHook, gainsOf, onlyTarget, type Piece, piecesOf, requireThresholds } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

const TOOL = "circuit-tracer";
/** Where its transcoders may read; all of them predict `mlp_out`. */
const SOURCES: readonly Site[] = ["resid_mid", "mlp_in"];

/** What is asked of an export of sets. */
export interface SetRequest extends Omit<ExportRequest, "transcoders" | "pieces" | "tokens" | "setName"> {
  /** The transcoders by their runs, of which one is in memory at a time. */
  readonly runs: readonly (readonly DescribedTranscoder[])[];
  /** Whether all of them must have the same settings, beside what a set takes for granted. */
  readonly isUniform: boolean;
  /** `--prefix`. */
  readonly prefix?: string;
}

/** What a set is made of, before weights are read. */
type PlannedPiece = Piece<DescribedTranscoder>;

/**
 * Writes the sets: one, or one for every prefix.
 *
 * @param request What is asked.
 * @returns What each of them holds.
 * @throws {UsageError} When transcoders differ in settings that are to be chosen.
 * @throws {UserError} When circuit-tracer cannot have such transcoders, or model, text or record cannot be read, or the disk does not take it.
 */
export async function exportCircuitTracer(request: SetRequest): Promise<Exported[]> {
  const { run, runs, isUniform, prefix, modelName, model, data, hasFeatures, out, write } = request;
  const all = runs.flat(), [{ config }] = all;
  all.forEach(requireTraceable);
  if (isUniform) requireUniform(all, run);
  const sets = setsOf(piecesOf(all, prefix));
  const input = hookOf(config.source).name, output = hookOf(config.targets[0]).name;
  let isFolded = false;
  await write(async (directory) => {
    const traced = new Map<string, TracedLayer[]>();
    for (const name of sets.keys()) {
      traced.set(name, []);
      if (name !== ".") await mkdir(join(directory, name));
    }
    for (const described of runs) {
      const transcoders = await readTranscoders(described);
      for (const one of transcoders) requireThresholds(one, TOOL);
      const gains = await gainsOf(transcoders, model);
      isFolded ||= gains.some((gain) => gain !== null);
      const shown = hasFeatures ? await (await import("./cards.ts")).showFeatures(transcoders, { model, data }) : null;
      for (const [name, set] of sets) {
        const at = join(directory, name), scan = resolve(out, name);
        for (const [i, of] of transcoders.entries()) {
          const { layer } = of.config, piece = set.find((piece) => piece.of === described[i])!;
          await writeCircuitTracerLayer(at, layer, atHook({ ...piece, of }, gains[i]));
          if (!shown) continue;
          const features = tracedFeatures(`${scan}/${layer}`, shown[i], piece.features);
          traced.get(name)!.push(await writeTracedLayer(join(at, FEATURES_DIRECTORY), layer, features));
        }
      }
    }
    for (const [name, set] of sets) {
      const at = join(directory, name), [{ features }] = set;
      for (const layer of lackingIn(set)) {
        await writeEmptyLayer(at, layer, config.model.d_model, features, config.skip);
      }
      if (hasFeatures) await writeTracedIndex(join(at, FEATURES_DIRECTORY), traced.get(name)!);
      await writeCircuitTracerConfig(at, {
        ...{ model_name: modelName, scan: resolve(out, name) },
        ...{ feature_input_hook: input, feature_output_hook: output },
      });
    }
  });
  const mixed = differencesOf(all.map(({ config }) => config));
  return [...sets].map(([directory, set]) => ({
    ...{ run, directory, features: set[0].features },
    transcoders: set.map(({ of: { directory } }) => directory),
    remarks: [
      ...remarksOf(set, isFolded, hasFeatures),
      ...mixed ? [`they were not trained alike: ${mixed.told}`] : [],
    ],
  }));
}

/** A set of runs that nobody named one by one is of one setting. */
function requireUniform(all: readonly DescribedTranscoder[], runs: string): void {
  const differences = differencesOf(all.map(({ config }) => config));
  if (!differences) return;
  throw new UsageError({
    action: `export ${runs} to ${TOOL}`,
    requirement: "a set has one transcoder of each layer, all of the same settings",
    found: `those found have ${differences.told}`,
    remedy: differences.remedy,
  });
}

function requireTraceable(one: DescribedTranscoder): void {
  const { directory, config } = one, target = onlyTarget(one, TOOL), { source } = config;
  if (SOURCES.includes(source.site) && target.site === "mlp_out" && source.layer === target.layer) return;
  throw new UserError({
    action: `export ${directory} to ${TOOL}`,
    requirement: `a transcoder must read ${SOURCES.join(" or ")} and predict mlp_out of the same layer`,
    found: `it is ${mappingName(config)}`,
    remedy: "train one for these",
  });
}

/** The pieces by the set that they make, under its directory. */
function setsOf(pieces: readonly PlannedPiece[]): Map<string, PlannedPiece[]> {
  const sizes = [...new Set(pieces.map(({ groups }) => groups))], { isAsked } = pieces[0];
  const sets = new Map<string, PlannedPiece[]>();
  for (const size of sizes) {
    const set = pieces.filter(({ groups }) => groups === size), [first] = set;
    for (const piece of set) requireFitting(piece, first);
    requireNoTwins(set);
    sets.set(isAsked && sizes.length > 1 ? `prefix${first.features}` : ".", set);
  }
  return sets;
}

function requireNoTwins(set: readonly PlannedPiece[]): void {
  for (const [layer, twins] of Map.groupBy(set, ({ of: { config } }) => config.layer)) {
    if (twins.length < 2) continue;
    const differences = differencesOf(twins.map(({ of: { config } }) => config));
    throw new UserError({
      action: `export ${twins[1].of.directory} to ${TOOL}`,
      requirement: "a set has one transcoder of each layer",
      found: `of layer ${layer} there is ${twins[0].of.directory} too${differences ? `: ${differences.told}` : ""}`,
      remedy: differences?.remedy ?? "give one of them with --run",
    });
  }
}

/** All transcoders of a set are of one model, read alike and have as many features. */
function requireFitting({ of, features }: PlannedPiece, first: PlannedPiece): void {
  const about = ({ of: { config }, features }: Pick<PlannedPiece, "of" | "features">) =>
    `${features} features${config.skip ? " and a skip connection" : ""} on ${config.source.site}`;
  const refuse = (requirement: string, found: string) =>
    new UserError({
      action: `export ${of.directory} to ${TOOL}`,
      requirement,
      found,
      remedy: "give one of them with --run",
    });
  const found = about({ of, features }), { layer } = first.of.config;
  if (found !== about(first)) {
    throw refuse(
      `all transcoders of a set must be like that of layer ${layer}, with ${about(first)}`,
      `it has ${found}`,
    );
  }
  const model = modelText(of.config), expected = modelText(first.of.config);
  if (model === expected) return;
  throw refuse(
    `all transcoders of a set must be of the model of that of layer ${layer}, ${expected}`,
    `it is of ${model}`,
  );
}

/** Where it lies says nothing of a model. */
function modelText({ model: { name, layers, d_model, vocab_size, fingerprint } }: TranscoderConfig): string {
  const known = fingerprint === undefined ? "" : `, fingerprint ${fingerprint.slice(0, 12)}`;
  return `${name} (layers, width and vocabulary ${[layers, d_model, vocab_size].join(", ")}${known})`;
}

/** The layers of the model that a set has no transcoder of. */
function lackingIn(set: readonly PlannedPiece[]): number[] {
  const layers = Array.from({ length: set[0].of.config.model.layers }, (_, layer) => layer);
  return layers.filter((layer) => !set.some(({ of: { config } }) => config.layer === layer));
}

function* tracedFeatures(id: string, { show, textOf }: ShownTranscoder, features: number): Generator<TracedFeature> {
  for (const shown of show(features)) {
    yield {
      ...{ transcoder_id: id, index: shown.feature, clerp: shown.label },
      examples_quantiles: shown.bands.map(({ share, most, least, examples }, band) => ({
        quantile_name: band === 0
          ? `${shown.label} — strongest`
          : `${(100 * share).toFixed(0)} % of its firings, ${least.toPrecision(3)} to ${most.toPrecision(3)}`,
        examples: examples.map(({ at, tokens, activations, isRepeated }) => ({
          tokens: tokens.map(textOf),
          tokens_acts_list: activations.map(short),
          train_token_ind: at,
          is_repeated_datapoint: isRepeated,
        })),
      })),
      ...logits(shown),
      ...{ act_min: 0, act_max: short(shown.max), histogram: shown.histogram },
      quantile_values: shown.percentiles.map(short),
      activation_frequency: shown.density,
    };
  }
}

/** Four digits: what is shown has three, and files are half as large. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}

function logits({ raised, lowered }: ShownFeature): Pick<TracedFeature, "top_logits" | "bottom_logits"> {
  return { top_logits: raised.map(({ token }) => token), bottom_logits: lowered.map(({ token }) => token) };
}

function remarksOf(set: readonly PlannedPiece[], isFolded: boolean, hasFeatures: boolean): string[] {
  const [{ features }] = set, layers = set.map(({ of: { config: { layer } } }) => layer), lacking = lackingIn(set);
  return [
    `${features} features in each of layers ${layers.join(", ")}`,
    ...lacking.length > 0 ? [withoutTranscoder(lacking)] : [],
    ...isFolded ? ["the gain of the norm in front of the MLP is folded into W_enc"] : [],
    ...hasFeatures ? [] : ["no feature files, as --no-features says"],
  ];
}

function withoutTranscoder(layers: readonly number[]): string {
  return layers.length === 1
    ? `layer ${layers[0]} has no transcoder: its MLP is an error as a whole`
    : `layers ${layers.join(", ")} have no transcoder: their MLPs are errors as a whole`;
}
