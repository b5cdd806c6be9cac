/**
 * `mtc analyze features`: all features at a glance.
 * @module
 */

import { type Command, Option } from "commander";
import type { FeatureOverview, FeaturesOverview } from "../../core/analysis/feature_overview.ts";
import type { FeatureOrder } from "../../reports/features_table.ts";
import { wholeNumberOption } from "../options.ts";
import { type Analysed, type CsvRow, print } from "./output.ts";
import { openRecorded, type Recorded, recordedCommand, type RecordedOptions } from "./recorded.ts";

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
}

interface Result extends Omit<FeaturesOverview, "features"> {
  readonly features: readonly ToldFeature[];
}

async function told(overview: FeaturesOverview, { record }: Recorded): Promise<Result> {
  const { recordContext } = await import("../../reports/record_context.ts");
  const textOf = (id: number) => record.tokenTexts.get(id)!;
  const features = overview.features.map(({ strongest, tokens, ...one }): ToldFeature => ({
    ...one,
    tokens: tokens.map(({ id, count }) => ({ id, token: textOf(id), count })),
    strongest: strongest < 0 ? null : {
      document: record.documents[record.document[strongest]].name,
      position: record.position[strongest],
      token: textOf(record.id[strongest]),
      context: recordContext(record, strongest),
    },
  }));
  return { ...overview, features };
}

function csvRows({ result: { features } }: Analysed<Result>): CsvRow[] {
  return features.map(({ tokens, strongest, ...one }) => ({
    ...one,
    top_token: tokens.at(0)?.token ?? "",
    top_token_count: tokens.at(0)?.count ?? 0,
    strongest_document: strongest && strongest.document,
    strongest_position: strongest && strongest.position,
    strongest_context: strongest && strongest.context,
  }));
}

async function features(options: FeaturesOptions): Promise<void> {
  const { featuresOverview } = await import("../../core/analysis/feature_overview.ts");
  const { featureNames } = await import("../../reports/feature_names.ts");
  const { featuresText } = await import("../../reports/features_table.ts");
  const { recordContext } = await import("../../reports/record_context.ts");
  const recorded = await openRecorded(options), overviews = recorded.map(({ record }) => featuresOverview(record));
  const analysed = await Promise.all(recorded.map(async (one, i): Promise<Analysed<Result>> => {
    return { transcoder: one.transcoder, result: await told(overviews[i], one) };
  }));
  const text = ({ transcoder }: Analysed<Result>) => {
    const i = recorded.findIndex((one) => one.transcoder === transcoder), { record } = recorded[i];
    const words = { name: featureNames(record), context: (token: number) => recordContext(record, token) };
    return `${transcoder.name.title}: ${featuresText(overviews[i], options.by, options.top, words)}`;
  };
  await print(options.run, options, analysed, text, csvRows);
}

/** The command `mtc analyze features`. */
export function featuresCommand(): Command {
  return recordedCommand(
    "features",
    "Shows all features at a glance: how strong each is, how often it fires, on which tokens, where it is strongest, and by how much FVU " +
      "rises without it.",
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
