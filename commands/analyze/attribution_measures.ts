/**
 * The measurements behind `mtc analyze attribution`, with their progress shown.
 * @module
 */

import { ATTRIBUTION_DEFINITIONS, type FeatureTokens } from "../../core/analysis/attribution.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import { contextsPerForward } from "../../core/model/capacity.ts";
import { configOf } from "../../core/model/config.ts";
import type { ModelFiles } from "../../core/model/files.ts";
import { tapName } from "../../core/model/sites.ts";
import {
  attributedContexts,
  attributionTaps,
  measureAttribution,
  type ReadSum,
  readSum,
} from "../../core/passes/attribution.ts";
import { readsAndWrites, readWriteCosines } from "../../core/passes/reads_writes.ts";
import type { StoredAttribution } from "../../core/runs/attribution.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { groupOf } from "../../core/transcoder/shape.ts";
import { byMass } from "../../reports/attribution_table.ts";
import { onHeldOut } from "../held_out.ts";
import { Progress } from "../progress.ts";
import { onModel } from "./on_model.ts";
import { type Analysed, eachAnalysed, type LeaveOut, type OutputOptions } from "./output.ts";

/** What is asked. */
export interface AttributionOptions extends OutputOptions {
  /** A transcoder's directory, or a run's. */
  run: string;
  /** Where the model lies now. */
  model?: string;
  /** Where the text lies now. */
  data?: string[];
  /** Held-out tokens. */
  tokens: number;
  /** Features whose tokens are told. */
  top: number;
  /** One feature, in place of all. */
  feature?: number;
  /** A text that it is told of, token by token, in place of held-out text. */
  text?: string;
}

/**
 * Measures every feature that fires, and tells the tokens of the strongest.
 *
 * @param transcoders Of one run.
 * @param options How much.
 * @param leaveOut Hears of those that cannot be measured; the first one ends it all if left out.
 * @returns What was found of each, in their order.
 * @throws {UserError} As the parts do.
 */
export function measureAll(
  transcoders: readonly FinishedTranscoder[],
  options: Pick<AttributionOptions, "model" | "data" | "tokens" | "top">,
  leaveOut?: LeaveOut,
): Promise<Analysed<StoredAttribution>[]> {
  return measure(transcoders, options, (features) => byMass(features).slice(0, options.top), leaveOut);
}

/**
 * Measures every feature that fires, and tells the tokens of some.
 *
 * @param transcoders Of one run.
 * @param options How much.
 * @param toTell Chooses whose tokens are told, of those that fire.
 * @param leaveOut Hears of those that cannot be measured; the first one ends it all if left out.
 * @returns What was found of each, in their order.
 * @throws {UserError} As the parts do.
 */
export async function measure(
  transcoders: readonly FinishedTranscoder[],
  { model, data, tokens }: Pick<AttributionOptions, "model" | "data" | "tokens">,
  toTell: (features: StoredAttribution["features"]) => StoredAttribution["features"],
  leaveOut?: LeaveOut,
): Promise<Analysed<StoredAttribution>[]> {
  return await onModel(transcoders, model, async (gpu, files) => {
    const config = configOf(files);
    return await eachAnalysed(transcoders, async (transcoder) => {
      const { config: { source, context, groups, steps }, name: { title } } = transcoder;
      const contexts = Math.min(
        contextsPerForward(gpu, config, context),
        attributedContexts(source, config.dModel, context),
      );
      const taps = attributionTaps(source), label = `${title}: reading`;
      const wanted = { data, label, split: "test", tokens, taps, maxTokens: contexts * context } as const;
      const measured = await onHeldOut(gpu, files, [transcoder], wanted, async ({ advance, ...text }) => {
        const sum = await readSum(transcoder, files.weights, config);
        return { sum, ...await measureAttribution({ ...text, transcoder, sum, onProgress: advance }) };
      });
      const { sum, tally, documents } = measured;
      const figures = tally.figures(sum.components, documents, (feature) => groupOf(groups, feature));
      const cosines = readWriteCosines(sum.reads, transcoder);
      const features = figures.features.map((one) => {
        return { ...one, cosine: cosines && cosines[one.feature], tokens: null as FeatureTokens | null };
      });
      const told = toTell(features);
      const found = await tokensOf(gpu, files, transcoder, sum, told.map(({ feature }) => feature));
      told.forEach((one, i) => one.tokens = found[i]);
      return {
        ...{ steps, source: tapName(source), is_norm_fixed: sum.epsilon !== null },
        cosine_chance: 1.96 / Math.sqrt(config.dModel),
        ...{ ...figures, features, definitions: { ...ATTRIBUTION_DEFINITIONS } },
      };
    }, leaveOut);
  });
}

/**
 * Tells the tokens of some features.
 *
 * @param gpu The device.
 * @param files The model.
 * @param transcoder Whose features.
 * @param sum What they read.
 * @param features Which.
 * @returns Their tokens, in the order given.
 * @throws {UserError} When the model's weights cannot be read, or the device fails.
 */
export async function tokensOf(
  gpu: Gpu,
  files: ModelFiles,
  transcoder: FinishedTranscoder,
  { reads }: ReadSum,
  features: readonly number[],
): Promise<FeatureTokens[]> {
  const progress = new Progress(`${transcoder.name.title}: tokens read and written`);
  try {
    const { tokenText } = loadTokenizer(files);
    return await readsAndWrites({
      ...{ gpu, weights: files.weights, config: configOf(files), tokenText, transcoder, reads, features },
      onProgress: (done, total) => progress.advance({ done, total, unit: "tokens" }),
    });
  } finally {
    progress.stop();
  }
}
