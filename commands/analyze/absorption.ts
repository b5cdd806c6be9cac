/**
 * `mtc analyze absorption`: whether features leave words out that others have taken over.
 * @module
 */

import { Command } from "commander";
import { UserError } from "../../core/errors.ts";
import type { StoredAbsorption } from "../../core/runs/absorption.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { FirstLetterTask } from "../../core/text/first_letter.ts";
import { movedModelOption, runOption, wholeNumberOption } from "../options.ts";
import { Progress } from "../progress.ts";
import { onModel } from "./on_model.ts";
import { type Analysed, type CsvRow, keep, type OutputOptions, outputOptions, print } from "./output.ts";

interface AbsorptionOptions extends OutputOptions {
  run: string;
  model?: string;
  words: number;
  examples: number;
  seed: number;
}

/** Words unless asked otherwise: 800 of them judge. */
const WORDS = 4000;
/** SAEBench's. */
const EXAMPLES = 10;
/** Fewer words cannot show 26 letters to a probe. */
const LEAST_WORDS = 100;

function check(
  { words, vocabulary, prompts: { context } }: FirstLetterTask,
  positions: number,
  examples: number,
): void {
  const action = "read words with the model";
  if (words.length < LEAST_WORDS) {
    throw new UserError({
      action,
      requirement: `its vocabulary must hold at least ${LEAST_WORDS} words of a to z`,
      found: `it holds ${vocabulary}`,
      remedy: "use a run of another model",
    });
  }
  if (context > positions) {
    throw new UserError({
      action,
      requirement: `its contexts have at most ${positions} tokens`,
      found: `${examples} examples and a word have ${context}`,
      remedy: `use --examples ${Math.floor(examples * positions / context)} or less`,
    });
  }
}

async function measure(
  transcoders: readonly FinishedTranscoder[],
  { model, words: most, examples, seed }: AbsorptionOptions,
): Promise<Analysed<StoredAbsorption>[]> {
  const { loadVisibly } = await import("../open_model.ts");
  const { measureAbsorption } = await import("../../core/analysis/absorption.ts");
  const { configOf } = await import("../../core/model/config.ts");
  const { readCountedTokens } = await import("../../core/passes/counted_tokens.ts");
  const { loadRunModel } = await import("../../core/runs/finished.ts");
  const { sourcesOf } = await import("../../core/runs/ids.ts");
  const { firstLetterTask } = await import("../../core/text/first_letter.ts");
  const { loadTokenizer } = await import("../../core/text/tokenizer.ts");
  const { featureCount } = await import("../../core/transcoder/shape.ts");
  const { task, read } = await onModel(transcoders, model, async (gpu, files) => {
    const task = firstLetterTask(loadTokenizer(files), { words: most, examples, seed });
    check(task, configOf(files).maxPositions, examples);
    const { prompts: contexts, prompts: { context, contexts: total } } = task;
    const taps = sourcesOf(transcoders.map(({ config }) => config));
    const decoder = await loadVisibly((onLoading) =>
      loadRunModel(gpu, files, transcoders, { taps, context, onLoading })
    );
    const progress = new Progress("Reading words");
    const onProgress = (done: number) => progress.advance({ done, total, unit: "words" });
    try {
      return { task, read: await readCountedTokens({ gpu, decoder, transcoders, contexts, onProgress }) };
    } finally {
      progress.stop();
    }
  });
  const { words, train, vocabulary } = task;
  const texts = words.map(({ text }) => text), letters = words.map(({ letter }) => letter);
  return transcoders.map((transcoder, i) => {
    const { name: { title }, config: { steps }, transcoder: { shape, weights } } = transcoder;
    const probed = { texts, letters, train, width: shape.d_in, featureCount: featureCount(shape.groups), ...read[i] };
    const progress = new Progress(`${title}: letters, by probes and then by features`);
    try {
      const onProgress = (done: number, total: number) => progress.advance({ done, total });
      const result = measureAbsorption(probed, weights.encoder, onProgress);
      return { transcoder, result: { steps, vocabulary_words: vocabulary, examples, seed, ...result } };
    } finally {
      progress.stop();
    }
  });
}

function csvRows({ result: { letters } }: Analysed<StoredAbsorption>): CsvRow[] {
  return letters.map(({ measured, ...letter }) => ({
    ...letter,
    num_split_features: measured && measured.split_features.length,
    split_features: measured && measured.split_features.join(" "),
    split_f1: measured && measured.split_f1,
    num_probe_true_positives: measured && measured.num_probe_true_positives,
    num_full_absorption: measured && measured.num_full_absorption,
    full_absorption_rate: measured && measured.full_absorption_rate,
    full_absorption_by_chance: measured && measured.by_chance.full_absorption_rate,
    mean_absorption_fraction: measured && measured.mean_absorption_fraction,
    absorption_fraction_by_chance: measured && measured.by_chance.mean_absorption_fraction,
  }));
}

async function absorption(options: AbsorptionOptions): Promise<void> {
  const { tapName } = await import("../../core/model/sites.ts");
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  const { writeAbsorption } = await import("../../core/runs/absorption.ts");
  const tables = await import("../../reports/absorption_table.ts");
  const { visibleToken } = await import("../../reports/tokens.ts");
  const transcoders = await openFinishedRun(options.run), analysed = await measure(transcoders, options);
  const text = ({ transcoder, result }: Analysed<StoredAbsorption>) =>
    [
      `${transcoder.name.title}: ${tables.absorptionSentence(result, tapName(transcoder.config.source))}`,
      tables.meanSentence(result),
      tables.absorptionTable(result, tables.SHOWN, visibleToken),
      ...transcoder === transcoders.at(-1)
        ? [tables.absorptionNotes(analysed.map(({ result }) => result)).join("\n")]
        : [],
    ].join("\n\n");
  await print(options.run, options, analysed, text, csvRows);
  await keep(analysed, (directory, { result }) => writeAbsorption(directory, result));
}

/** The command `mtc analyze absorption`. */
export function absorptionCommand(): Command {
  const [json, csv] = outputOptions("a row per letter");
  return new Command("absorption")
    .description(
      "Asks of each letter whether the features that tell it stay silent at words which begin with it, while others carry it in their place " +
        "(first-letter absorption, as SAEBench defines it): words of the vocabulary go through the model, and probes tell which letters it " +
        "knows. What it finds is kept for the reports.",
    )
    .addOption(runOption())
    .addOption(movedModelOption())
    .addOption(
      wholeNumberOption("--words <n>", "words to read, drawn at random; the whole vocabulary where it holds fewer", {
        least: LEAST_WORDS,
        value: WORDS,
      }),
    )
    .addOption(
      wholeNumberOption("--examples <n>", "examples in front of each word; fewer are faster", {
        least: 0,
        value: EXAMPLES,
      }),
    )
    .addOption(wholeNumberOption("--seed <n>", "what words and examples are drawn by", { least: 0, value: 0 }))
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nA word costs about eight tokens per example. Nothing is said where fewer than 20 letters have a probe with an F1 above 0.6: small models do not hold them.\n" +
        "\nExamples:\n  mtc analyze absorption --run runs/first\n" +
        "  mtc analyze absorption --run runs/first/layer2 --words 20000 --json > absorption.json",
    )
    .action(absorption);
}
