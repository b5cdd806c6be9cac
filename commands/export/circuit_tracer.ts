/**
 * `mtc export --to circuit-tracer`: one set of all layers of a run, with the files that its graphs show features from.
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UserError } from "../../core/errors.ts";
import { hookOf } from "../../core/model/hooks.ts";
import type { Site } from "../../core/model/sites.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
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
import { atHook, gainsOf, onlyTarget, type Piece, requireThresholds } from "./pieces.ts";
import type { Exported, ExportRequest } from "./request.ts";

const TOOL = "circuit-tracer";
/** Where its transcoders may read; all of them predict `mlp_out`. */
const SOURCES: readonly Site[] = ["resid_mid", "mlp_in"];

/**
 * Writes the sets: one, or one for every prefix.
 *
 * @param request What is asked.
 * @returns What each of them holds.
 * @throws {UserError} When circuit-tracer cannot have such transcoders, or model, text or record cannot be read, or the disk does not take it.
 */
export async function exportCircuitTracer(request: ExportRequest): Promise<Exported[]> {
  const { transcoders, pieces, modelName, model, data, hasFeatures, out, write } = request;
  const [{ config }] = transcoders;
  transcoders.forEach(requireTraceable);
  const sets = setsOf(pieces), gains = await gainsOf(transcoders, model);
  const shown = hasFeatures ? await (await import("./cards.ts")).showFeatures(transcoders, { model, data }) : null;
  const input = hookOf(config.source).name, output = hookOf(config.targets[0]).name;
  await write(async (directory) => {
    for (const [name, set] of sets) {
      const at = join(directory, name), scan = resolve(out, name);
      if (name !== ".") await mkdir(at);
      for (let layer = 0; layer < config.model.layers; layer++) {
        const piece = set.find(({ of: { config } }) => config.layer === layer);
        if (piece) await writeCircuitTracerLayer(at, layer, atHook(piece, gains[transcoders.indexOf(piece.of)]));
        else await writeEmptyLayer(at, layer, config.model.d_model, set[0].features, config.skip);
      }
      if (shown) await writeFeatures(at, scan, set, (piece) => shown[transcoders.indexOf(piece.of)]);
      await writeCircuitTracerConfig(at, {
        ...{ model_name: modelName, scan },
        ...{ feature_input_hook: input, feature_output_hook: output },
      });
    }
  });
  return [...sets].map(([directory, set]) => ({
    run: request.run,
    directory,
    features: set[0].features,
    remarks: remarksOf(set, gains.some((gain) => gain !== null), hasFeatures),
  }));
}

function requireTraceable(one: FinishedTranscoder): void {
  requireThresholds(one, TOOL);
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
function setsOf(pieces: readonly Piece[]): Map<string, Piece[]> {
  const sizes = [...new Set(pieces.map(({ groups }) => groups))], { isAsked } = pieces[0];
  const sets = new Map<string, Piece[]>();
  for (const size of sizes) {
    const set = pieces.filter(({ groups }) => groups === size), [first] = set;
    for (const piece of set) requireFitting(piece, first);
    const twin = set.find(({ of }, i) => set.findIndex((other) => other.of.config.layer === of.config.layer) < i);
    if (twin) {
      throw new UserError({
        action: `export ${twin.of.directory} to ${TOOL}`,
        requirement: "a set has one transcoder of each layer",
        found: `there is another of layer ${twin.of.config.layer}`,
        remedy: "put the ones that are wanted into a directory, or give one of them with --run",
      });
    }
    sets.set(isAsked && sizes.length > 1 ? `prefix${first.features}` : ".", set);
  }
  return sets;
}

/** All transcoders of a set read alike and have as many features. */
function requireFitting({ of, features }: Piece, first: Piece): void {
  const about = ({ of: { config }, features }: Pick<Piece, "of" | "features">) =>
    `${features} features${config.skip ? " and a skip connection" : ""} on ${config.source.site}`;
  const found = about({ of, features });
  if (found === about(first)) return;
  throw new UserError({
    action: `export ${of.directory} to ${TOOL}`,
    requirement: `all transcoders of a set must be like that of layer ${first.of.config.layer}, with ${about(first)}`,
    found: `it has ${found}`,
    remedy: "give one of them with --run",
  });
}

async function writeFeatures(
  directory: string,
  scan: string,
  set: readonly Piece[],
  shownOf: (piece: Piece) => ShownTranscoder,
): Promise<void> {
  const at = join(directory, FEATURES_DIRECTORY), layers: TracedLayer[] = [];
  for (const piece of set) {
    const { layer } = piece.of.config, shown = shownOf(piece);
    layers.push(await writeTracedLayer(at, layer, tracedFeatures(`${scan}/${layer}`, shown, piece.features)));
  }
  await writeTracedIndex(at, layers);
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

function remarksOf(set: readonly Piece[], isFolded: boolean, hasFeatures: boolean): string[] {
  const [{ features, of: { config } }] = set, layers = set.map(({ of: { config: { layer } } }) => layer);
  const lacking = Array.from({ length: config.model.layers }, (_, layer) => layer).filter((l) => !layers.includes(l));
  return [
    `${features} features in each of layers ${layers.join(", ")}`,
    ...lacking.length > 0 ? [`layers ${lacking.join(", ")} have no transcoder: their MLPs are errors as a whole`] : [],
    ...isFolded ? ["the gain of the norm in front of the MLP is folded into W_enc"] : [],
    ...hasFeatures ? [] : ["no feature files, as --no-features says"],
  ];
}
