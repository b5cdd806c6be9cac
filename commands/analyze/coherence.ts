/**
 * `mtc analyze coherence`: whether features stand for more than their tokens.
 * @module
 */

import type { Command } from "commander";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import type { StoredCoherence } from "../../core/runs/coherence.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { type Analysed, type CsvRow, keep, print } from "./output.ts";
import { openRecorded, recordedCommand, type RecordedOptions } from "./recorded.ts";

/**
 * Measures the semantic coherence of the features of a run, which takes its model.
 *
 * @param recorded Its transcoders with their records.
 * @param options Where model and text are to be looked for.
 * @returns What was found of each, in their order.
 * @throws {UserError} When model or text cannot be read, or are not those that the run was trained on.
 */
export async function measureCoherences(
  recorded: readonly { readonly transcoder: FinishedTranscoder; readonly record: FeatureRecord }[],
  { model, data }: Pick<RecordedOptions, "model" | "data">,
): Promise<Analysed<StoredCoherence>[]> {
  const { COHERENCE_DEFINITIONS } = await import("../../core/analysis/coherence.ts");
  const { tapName } = await import("../../core/model/sites.ts");
  const { measureCoherence } = await import("../../core/passes/coherence.ts");
  const { sourcesOf } = await import("../../core/runs/ids.ts");
  const { readPreparation } = await import("../../core/runs/preparation.ts");
  const { Progress } = await import("../progress.ts");
  const { onReadingSet } = await import("./reading.ts");
  const placed = await Promise.all(recorded.map(async ({ transcoder, record }) => {
    const { source } = await readPreparation(transcoder.directory, transcoder.config);
    return { ...transcoder, record, columns: source };
  }));
  const transcoders = recorded.map(({ transcoder }) => transcoder);
  const wanted = { label: "Reading for coherence", taps: sourcesOf(transcoders.map(({ config }) => config)) };
  const found = await onReadingSet(transcoders, { model, data }, wanted, async (text) => {
    let comparing: InstanceType<typeof Progress> | null = null;
    try {
      const onFeature = (done: number, total: number) => {
        comparing ??= new Progress("Comparing examples");
        comparing.advance({ done, total });
      };
      return await measureCoherence({ ...text, transcoders: placed, onFeature });
    } finally {
      (comparing as InstanceType<typeof Progress> | null)?.stop();
    }
  });
  return transcoders.map((transcoder, i) => {
    const { steps, source } = transcoder.config;
    const definitions = { ...COHERENCE_DEFINITIONS };
    return { transcoder, result: { steps, source: tapName(source), ...found[i], definitions } };
  });
}

function csvRows({ transcoder: { config }, result: { features, random } }: Analysed<StoredCoherence>): CsvRow[] {
  const groupOf = config.groups.flatMap((size, group) => new Array<number>(size).fill(group));
  return features.map(({ feature, fires, documents, ci95: [low, high], examples: _, ...one }) => ({
    ...{ feature, group: groupOf[feature], fires, documents, ...one },
    ...{ coherence_low: low, coherence_high: high, is_beyond_chance: one.coherence > random.limit },
  }));
}

async function coherence(options: RecordedOptions): Promise<void> {
  const { writeCoherence } = await import("../../core/runs/coherence.ts");
  const { coherenceText } = await import("../../reports/coherence_table.ts");
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { recordContext } = await import("../../reports/record_context.ts");
  const { wholeOf } = await import("../../core/runs/finished.ts");
  const recorded = await Promise.all((await openRecorded(options)).map(async ({ transcoder, record }) => {
    return { transcoder: await wholeOf(transcoder), record };
  }));
  const analysed = await measureCoherences(recorded, options);
  const text = ({ transcoder, result }: Analysed<StoredCoherence>) => {
    const { record } = recorded.find((one) => one.transcoder === transcoder)!;
    const words = { name: featureNames(record), context: (token: number) => recordContext(record, token) };
    return `${transcoder.name.title}: ${coherenceText(result, transcoder.config.groups, words)}`;
  };
  await print(options.run, options, analysed, text, csvRows);
  await keep(analysed, (directory, { result }) => writeCoherence(directory, result));
}

/** The command `mtc analyze coherence`. */
export function coherenceCommand(): Command {
  return recordedCommand(
    "coherence",
    "Measures whether the model is in like states where a feature fires most, beyond what the tokens there explain, so that a feature that detects a " +
      "token does not count as semantic; beside it what random directions reach. It reads the reading set with the model; what it finds is kept for the " +
      "reports.",
    "a row per feature",
  )
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze coherence --run runs/first/layer2\n" +
        "  mtc analyze coherence --run runs/first --csv > coherence.csv",
    )
    .action(coherence);
}
