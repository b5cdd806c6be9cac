/**
 * `mtc analyze importance`: which features matter.
 * @module
 */

import { Command } from "commander";
import type { Choice } from "../../core/analysis/importance.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { StoredImportance } from "../../core/runs/importance.ts";
import { movedDataOption, movedModelOption, runOption, wholeNumberOption } from "../options.ts";
import { Progress, timeToCome } from "../progress.ts";
import {
  type Analysed,
  type CsvRow,
  eachAnalysed,
  keep,
  type LeaveOut,
  type OutputOptions,
  outputOptions,
  print,
} from "./output.ts";

interface ImportanceOptions extends OutputOptions, Choice {
  run: string;
  model?: string;
  data?: string[];
  tokens: number;
}

/** Held-out tokens unless asked otherwise: half a minute for a transcoder of the embedded model on two idle cores. */
const TOKENS = 2048;
/** Features of each set. */
const FEATURES = 100;
/** Features that a reader is shown. */
const SHOWN = 20;

/**
 * Measures how much features matter.
 *
 * @param transcoders Of one run.
 * @param options On how much text, which features are switched off, and where model and text lie.
 * @param leaveOut Hears of those that cannot be measured; the first one ends it all if left out.
 * @returns What was found of each, in their order.
 * @throws {UserError} When model or text cannot be read or are not those that the run was trained on, or the device fails.
 */
export async function importanceOf(
  transcoders: readonly FinishedTranscoder[],
  { model, data, tokens, ...choice }: Omit<ImportanceOptions, "run" | "json" | "csv">,
  leaveOut?: LeaveOut,
): Promise<Analysed<StoredImportance>[]> {
  const { openModelVisibly } = await import("../open_model.ts");
  const { onHeldOut } = await import("../held_out.ts");
  const { importanceFigures } = await import("../../core/analysis/importance.ts");
  const { openGpu } = await import("../../core/gpu/device.ts");
  const { importanceTaps, measureImportance } = await import("../../core/passes/importance.ts");
  const { explainSilent, PreActivationTally, watchedOf } = await import("../../core/analysis/silent.ts");
  const { hasFeatures, readFeatures } = await import("../../core/runs/features.ts");
  const { modelOf } = await import("../../core/runs/finished.ts");
  const { groupOf } = await import("../../core/transcoder/shape.ts");
  const files = await openModelVisibly(model ?? modelOf(transcoders)), [{ config: { precision } }] = transcoders;
  try {
    using gpu = await openGpu(undefined, precision);
    return await eachAnalysed(transcoders, async (transcoder) => {
      const { config, name: { title }, directory, transcoder: { weights, thresholds } } = transcoder;
      const { groups, steps } = config;
      const rows = await hasFeatures(directory) ? await readFeatures(directory, groups) : null;
      const watched = watchedOf(rows ?? []), all = [...watched.silent, ...watched.living];
      const preActivations = new PreActivationTally(weights, all.map(({ feature }) => feature));
      const wanted = {
        data,
        label: `${title}: reading`,
        split: "test",
        head: true,
        tokens,
        taps: importanceTaps(config),
      } as const;
      const measured = await onHeldOut(gpu, files, [transcoder], wanted, async (text) => {
        let ablating: Progress | null = null;
        try {
          return await measureImportance({
            ...{ ...text, transcoder, choice, preActivations },
            onReading: (contexts, all) => text.advance(tokens * contexts / all, tokens),
            onEstimate(features, contexts, seconds) {
              console.error(
                `mtc: ${title}: switching off ${features} features, each in the contexts that it fires in, ${contexts} in all, ` +
                  `takes about ${timeToCome(seconds)}`,
              );
              ablating = new Progress(`${title}: switching features off in contexts`);
            },
            onAblation: (done, total) => ablating?.advance({ done, total, unit: "contexts" }),
          });
        } finally {
          (ablating as Progress | null)?.stop();
        }
      });
      const figures = importanceFigures(measured, (feature) => groupOf(groups, feature));
      const silent = rows && explainSilent(rows, watched, weights, thresholds, preActivations);
      return { steps, ...figures, silent };
    }, leaveOut);
  } finally {
    await files.weights.close();
  }
}

function csvRows({ result: { tokens, features } }: Analysed<StoredImportance>): CsvRow[] {
  return features.map(({ feature, group, fires, mass, fvu_rise, effect }) => ({
    ...{ feature, group, fires, density: fires / tokens, mass, fvu_rise },
    in_top: effect?.sets.includes("top") ?? false,
    in_random: effect?.sets.includes("random") ?? false,
    ce_rise: effect && effect.ce_rise,
    ce_rise_low: effect && effect.ce_rise_ci95[0],
    ce_rise_high: effect && effect.ce_rise_ci95[1],
    ce_rise_per_fire: effect && effect.ce_rise_per_fire,
    kl: effect && effect.kl,
    kl_low: effect && effect.kl_ci95[0],
    kl_high: effect && effect.kl_ci95[1],
  }));
}

async function importance(options: ImportanceOptions): Promise<void> {
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  const { writeImportance } = await import("../../core/runs/importance.ts");
  const tables = await import("../../reports/importance_table.ts");
  const { silentNotes, silentSentence, silentTable } = await import("../../reports/silent_table.ts");
  const { tokenNames } = await import("./token_names.ts");
  const transcoders = await openFinishedRun(options.run);
  const names = new Map<Analysed<StoredImportance>["transcoder"], (feature: number) => string>(
    await Promise.all(transcoders.map(async (one) => [one, await tokenNames(one)] as const)),
  );
  const analysed = await importanceOf(transcoders, options);
  const text = ({ transcoder, result }: Analysed<StoredImportance>) => {
    const shown = tables.importanceTable(result, names.get(transcoder)!, SHOWN);
    return [
      `${transcoder.name.title}: ${tables.importanceSentence(result)}`,
      shown,
      tables.signSentence(result),
      tables.agreementTable(result),
      silentSentence(result.silent),
      silentTable(result.silent),
      ...transcoder === transcoders.at(-1)
        ? [[...tables.importanceNotes(result), ...silentNotes(result.silent)].join("\n")]
        : [],
    ].filter((part) => part !== "").join("\n\n");
  };
  await print(options.run, options, analysed, text, csvRows);
  await keep(analysed, (directory, { result }) => writeImportance(directory, result));
}

/** The command `mtc analyze importance`. */
export function importanceCommand(): Command {
  const [json, csv] = outputOptions("a row per feature");
  return new Command("importance")
    .description(
      "Ranks features by how strongly they fire, by what the reconstruction loses without them, and by what the model's predictions lose " +
        "when each alone is switched off, on held-out text of the test; tells how far the rankings agree, and why features that hardly fire do not. What it finds is kept for the reports.",
    )
    .addOption(runOption())
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(wholeNumberOption("-t, --tokens <n>", "held-out tokens to measure on", { value: TOKENS }))
    .addOption(
      wholeNumberOption("--top <n>", "features to switch off of those that the reconstruction needs most", {
        least: 3,
        value: FEATURES,
      }),
    )
    .addOption(
      wholeNumberOption("--random <n>", "features to switch off of all that fire, drawn at random", {
        least: 3,
        value: FEATURES,
      }),
    )
    .addOption(wholeNumberOption("--seed <n>", "what they are drawn by", { least: 0, value: 0 }))
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nA feature costs the contexts that it fires in, once through the layers above its target and the head.\n" +
        "\nExamples:\n  mtc analyze importance --run runs/first/layer2\n" +
        "  mtc analyze importance --run runs/first --top 20 --random 20 --csv > importance.csv",
    )
    .action(importance);
}
