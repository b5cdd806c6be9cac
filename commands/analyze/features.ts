/**
 * `mtc analyze features`: all features at a glance.
 * @module
 */

import { type Command, Option } from "commander";
import type { FeatureOverview, FeaturesOverview } from "../../core/analysis/feature_overview.ts";
import type { SurroundingWords } from "../../core/analysis/surrounding_words.ts";
import type { FeatureOrder, ReadsWrites } from "../../reports/features_table.ts";
import { wholeNumberOption } from "../options.ts";
import { type Analysed, type CsvRow, print } from "./output.ts";
import { openRecorded, type Recorded, recordedCommand, type RecordedOptions, visibly } from "./recorded.ts";

interface FeaturesOptions extends RecordedOptions {
  top: number;
  by: FeatureOrder;
}

/** Features that a reader is shown. */
const SHOWN = 30;

/** What they can be ranked by. */
const ORDERS: readonly FeatureOrder[] = ["strength", "fires", "fvu-rise"];

/** A feature with words in the place of indices of the record. */
interface ToldFeature extends Omit<FeatureOverview, "strongest" | "tokens"> {
  /** The tokens that it fires on most, and how often. */
  readonly tokens: readonly { readonly id: number; readonly token: string; readonly count: number }[];
  /** Where it is strongest; null where it never fires. */
  readonly strongest: {
    readonly document: string;
    readonly position: number;
    readonly token: string;
    readonly context: string;
  } | null;
  /** The words around its strongest firings. */
  readonly around: SurroundingWords;
  /** What it reads and writes; null where `mtc analyze attribution` has not measured it. */
  readonly reads_and_writes: ReadsWrites | null;
}

interface Result extends Omit<FeaturesOverview, "features"> {
  readonly features: readonly ToldFeature[];
}

/** What was found of one transcoder. */
interface Found {
  readonly overview: FeaturesOverview;
  /** Of the features that are shown. */
  readonly around: ReadonlyMap<number, SurroundingWords>;
  /** Of those that were measured. */
  readonly readsWrites: ReadonlyMap<number, ReadsWrites>;
}

async function analyze({ transcoder, record }: Recorded, options: FeaturesOptions): Promise<Found> {
  const { featuresOverview } = await import("../../core/analysis/feature_overview.ts");
  const { columnsOf } = await import("../../core/analysis/record.ts");
  const { surroundingWords } = await import("../../core/analysis/surrounding_words.ts");
  const { readAttribution } = await import("../../core/runs/attribution.ts");
  const { ranked } = await import("../../reports/features_table.ts");
  const overview = featuresOverview(record), { features } = overview, isWhole = options.json ?? options.csv;
  const shown = isWhole ? features : ranked(features, options.by).slice(0, options.top);
  const numbers = shown.map(({ feature }) => feature), columns = columnsOf(record, features.length);
  const words = visibly(
    `${transcoder.name.title}: reading what stands around`,
    (onProgress) => surroundingWords(record, columns, numbers, onProgress),
  );
  const attribution = await readAttribution(transcoder.directory, transcoder.config);
  return {
    overview,
    around: new Map(numbers.map((feature, n) => [feature, words[n]])),
    readsWrites: new Map(attribution?.features.map(({ feature, tokens, cosine }) => [feature, { tokens, cosine }])),
  };
}

async function told({ overview, around, readsWrites }: Found, { record }: Recorded): Promise<Result> {
  const { recordContext } = await import("../../reports/record_context.ts");
  const textOf = (id: number) => record.tokenTexts.get(id)!;
  const shown = overview.features.filter(({ feature }) => around.has(feature));
  const features = shown.map(({ strongest, tokens, ...one }): ToldFeature => ({
    ...one,
    tokens: tokens.map(({ id, count }) => ({ id, token: textOf(id), count })),
    strongest: strongest < 0 ? null : {
      document: record.documents[record.document[strongest]].name,
      position: record.position[strongest],
      token: textOf(record.id[strongest]),
      context: recordContext(record, strongest),
    },
    around: around.get(one.feature)!,
    reads_and_writes: readsWrites.get(one.feature) ?? null,
  }));
  return { ...overview, features };
}

function csvRows({ result: { features } }: Analysed<Result>): CsvRow[] {
  const numbered = (name: string, values: readonly number[]) =>
    Object.fromEntries(values.map((value, i) => [`${name}_${i + 1}`, value]));
  return features.map((feature) => {
    const { tokens, strongest, around, reads_and_writes, activations, ...others } = feature;
    const { context_profile, document_profile, ...one } = others, told = reads_and_writes?.tokens;
    return {
      ...one,
      top_token: tokens.at(0)?.token ?? "",
      top_token_count: tokens.at(0)?.count ?? 0,
      strongest_document: strongest && strongest.document,
      strongest_position: strongest && strongest.position,
      strongest_context: strongest && strongest.context,
      words_around: around.words.map(({ word, excerpts }) => `${word} ${excerpts}`).join(" "),
      reads: told ? told.reads[0].token : null,
      reads_cosine: told ? told.reads[0].value : null,
      reads_chance: told ? told.chance : null,
      raises: told?.writes ? told.writes.raised[0].token : null,
      raises_logit: told?.writes ? told.writes.raised[0].value : null,
      raises_chance: told?.writes ? told.writes.chance : null,
      lowers: told?.writes ? told.writes.lowered[0].token : null,
      read_write_cosine: reads_and_writes ? reads_and_writes.cosine : null,
      ...numbered("activations", activations),
      ...numbered("context", context_profile),
      ...numbered("document", document_profile),
    };
  });
}

async function features(options: FeaturesOptions): Promise<void> {
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { featuresText } = await import("../../reports/features_table.ts");
  const { recordContext } = await import("../../reports/record_context.ts");
  const recorded = await openRecorded(options), found: Found[] = [], analysed: Analysed<Result>[] = [];
  for (const one of recorded) {
    found.push(await analyze(one, options));
    analysed.push({ transcoder: one.transcoder, result: await told(found[found.length - 1], one) });
  }
  const text = ({ transcoder }: Analysed<Result>) => {
    const i = recorded.findIndex((one) => one.transcoder === transcoder), { record } = recorded[i];
    const { overview, around, readsWrites } = found[i];
    return `${transcoder.name.title}: ${
      featuresText(overview, options.by, options.top, {
        name: featureNames(record),
        context: (token) => recordContext(record, token),
        around: (feature) => around.get(feature)!,
        readsWrites: (feature) => readsWrites.get(feature),
      })
    }`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze features`. */
export function featuresCommand(): Command {
  return recordedCommand(
    "features",
    "Shows all features at a glance: how strong each is, how often it fires, on which tokens, where it is strongest, by how much FVU rises " +
      "without it, where in contexts and documents and among which words it fires, and, once `mtc analyze attribution` has measured that, which " +
      "tokens it reads and whose logits it changes.",
    "a row per feature",
  )
    .addOption(wholeNumberOption("--top <n>", "features to show as text", { value: SHOWN }))
    .addOption(new Option("--by <order>", "what they are ranked by").choices(ORDERS).default(ORDERS[0]))
    .addHelpText(
      "after",
      "\nExamples:\n  mtc analyze features --run runs/first/layer2 --by fvu-rise\n" +
        "  mtc analyze features --run runs/first --csv > features.csv",
    )
    .action(features);
}
