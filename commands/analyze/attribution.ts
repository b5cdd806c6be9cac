/**
 * `mtc analyze attribution`: what features are made of, what they read and what they write.
 * @module
 */

import { Command, Option } from "commander";
import { UsageError } from "../../core/errors.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import type { StoredAttribution } from "../../core/runs/attribution.ts";
import { movedDataOption, movedModelOption, runOption, wholeNumberOption } from "../options.ts";
import type { AttributionOptions } from "./attribution_measures.ts";
import { type Analysed, type CsvRow, keep, outputOptions, print } from "./output.ts";

/** Held-out tokens unless asked otherwise: seconds for a transcoder of the embedded model. */
const TOKENS = 2048;
/** Features whose tokens are told: each is multiplied with the whole vocabulary. */
const TOLD = 100;
/** Features that a reader is shown. */
const SHOWN = 20;

function csvRows({ result: { tokens, features } }: Analysed<StoredAttribution>): CsvRow[] {
  return features.map(({ feature, group, fires, activation, bias, typical, shares, cosine, tokens: told }) => ({
    ...{ feature, group, fires, density: fires / tokens, activation, bias },
    typical_pre_activation: typical.reduce((sum, part) => sum + part, bias),
    ...Object.fromEntries(Object.entries(shares).map(([kind, share]) => [`share_${kind}`, share])),
    cosine,
    reads: told && told.reads[0].token,
    reads_cosine: told && told.reads[0].value,
    reads_chance: told && told.chance,
    raises: told?.writes ? told.writes.raised[0].token : null,
    raises_logit: told?.writes ? told.writes.raised[0].value : null,
    raises_chance: told?.writes ? told.writes.chance : null,
    lowers: told?.writes ? told.writes.lowered[0].token : null,
  }));
}

async function all(transcoders: readonly FinishedTranscoder[], options: AttributionOptions): Promise<void> {
  const { measureAll } = await import("./attribution_measures.ts");
  const { writeAttribution } = await import("../../core/runs/attribution.ts");
  const tables = await import("../../reports/attribution_table.ts");
  const { visibleToken } = await import("../../reports/tokens.ts");
  const { tokenNames } = await import("./token_names.ts");
  const names = new Map<Analysed<StoredAttribution>["transcoder"], (feature: number) => string>(
    await Promise.all(transcoders.map(async (one) => [one, await tokenNames(one)] as const)),
  );
  const analysed = await measureAll(transcoders, options);
  const text = ({ transcoder, result }: Analysed<StoredAttribution>) =>
    [
      `${transcoder.name.title}: ${tables.attributionSentence(result)}`,
      tables.mainSentence(result),
      tables.attributionTable(result, names.get(transcoder)!, visibleToken, SHOWN),
      tables.componentTable(result),
      ...transcoder === transcoders.at(-1) ? [tables.attributionNotes(result).join("\n")] : [],
    ].join("\n\n");
  await print(options.run, options, analysed, text, csvRows);
  await keep(analysed, (directory, { result }) => writeAttribution(directory, result));
}

/** Refuses what cannot be asked, before anything is opened that takes time. */
function check(transcoders: readonly FinishedTranscoder[], { feature, text }: AttributionOptions): void {
  if (text !== undefined && feature === undefined) {
    throw new UsageError({
      action: "attribute a text",
      requirement: "--text goes with --feature",
      found: "no feature is named",
      remedy: "name one with --feature, or leave --text out",
    });
  }
  for (const { name: { title }, config: { features } } of transcoders) {
    if (feature === undefined || feature < features) continue;
    throw new UsageError({
      action: `attribute feature ${feature}`,
      requirement: `the ${features} features of ${title} are counted from 0 to ${features - 1}`,
      remedy: `use --feature ${features - 1} or less`,
    });
  }
}

async function attribution(options: AttributionOptions): Promise<void> {
  const { openFinishedRun } = await import("../../core/runs/finished.ts");
  const { attributionTaps } = await import("../../core/passes/attribution.ts");
  const transcoders = await openFinishedRun(options.run), { feature, text } = options;
  check(transcoders, options);
  for (const { config: { source } } of transcoders) attributionTaps(source);
  if (feature === undefined) return await all(transcoders, options);
  const { showFeature, showText } = await import("./attributed_feature.ts");
  if (text === undefined) await showFeature(transcoders, { ...options, feature });
  else await showText(transcoders, { ...options, feature, text });
}

/** The command `mtc analyze attribution`. */
export function attributionCommand(): Command {
  const [json, csv] = outputOptions("a row per feature; of one feature per component, of a text per token");
  return new Command("attribution")
    .description(
      "Splits what features compute from the residual stream, exactly, into what the embedding, each attention and each MLP have added, on " +
        "held-out text of the test; tells which tokens they read, and which logits they raise and lower on the direct path. What it finds of " +
        "all features is kept for the reports.",
    )
    .addOption(runOption())
    .addOption(movedModelOption())
    .addOption(movedDataOption())
    .addOption(wholeNumberOption("-t, --tokens <n>", "held-out tokens to measure on", { value: TOKENS }))
    .addOption(
      wholeNumberOption("--top <n>", "features whose tokens are told, of those that fire most strongly", {
        least: 0,
        value: TOLD,
      }),
    )
    .addOption(wholeNumberOption("-f, --feature <n>", "one feature, component by component", { least: 0 }))
    .addOption(
      new Option("--text <text>", "a text that --feature is told of, token by token, in place of held-out text"),
    )
    .addOption(json)
    .addOption(csv)
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze attribution --run runs/first\n" +
        "  mtc analyze attribution --run runs/first/layer2 --feature 12\n" +
        '  mtc analyze attribution --run runs/first/layer2 --feature 12 --text "My fellow citizens"',
    )
    .action(attribution);
}
