/**
 * The parts of a report that show single features: the ranking by largest activation, and features with their contexts.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import type { FeatureExample, Sample } from "../../core/analysis/sample_statistics.ts";
import { counted, decimal, integer, percent } from "../format.ts";
import { numeric, table } from "./markdown.ts";
import { contextBlock, contextLines, tokenCode } from "../tokens.ts";

/** How many features the ranking lists. */
const ranked = 20;
/** How many of them are shown with contexts, which must be kept for as many. */
export const FEATURES_WITH_CONTEXTS = 10;

/** The token a feature peaks on, with its id and its share of the samples; a dash when the feature has no samples. */
function topToken(row: FeatureRow): string {
  if (!Number.isFinite(row.top_token_id)) return "–";
  return `${tokenCode(row.top_token)} ${row.top_token_id} (${percent(row.top_token_share, 0)})`;
}

/** The strongest features, as a table. */
export function topFeatures({ statistics }: TranscoderAnalysis, count: number = ranked): string {
  if (statistics.strongest.length === 0) return "No feature fired in the final pass.";
  return table(
    [
      numeric("Rank"),
      numeric("Feature ID"),
      numeric("Group"),
      numeric("Max Activation"),
      numeric("Sample Count"),
      numeric("Fires"),
      numeric("Density"),
      "Top token, id, share",
    ],
    statistics.strongest.slice(0, count).map((row, i) => [
      String(i + 1),
      String(row.feature),
      String(row.group),
      decimal(row.max_activation, 2),
      integer(row.sample_count),
      integer(row.fires),
      percent(row.density, 2),
      topToken(row),
    ]),
  );
}

/** The three strongest samples with different text, then the stratified one that lies nearest to the median activation. */
function contexts(example: FeatureExample): { label: string; sample: Sample }[] {
  const seen = new Set<string>();
  const distinct = example.top.filter(({ before, token, after }) => {
    const text = before.slice(-20) + token + after.slice(0, 20);
    return !seen.has(text) && seen.add(text);
  }).slice(0, 3);
  const [middle] = example.quantiles.toSorted((a, b) => Math.abs(a.quantile - 0.5) - Math.abs(b.quantile - 0.5));
  return [
    ...distinct.map((sample) => ({ label: decimal(sample.activation, 2), sample })),
    ...(middle ? [{ label: `typical ${decimal(middle.activation, 2)}`, sample: middle }] : []),
  ];
}

/** The token that most of ALL activations are on, with its share or the bounds of it. */
function mainToken(row: FeatureRow): string {
  const { main_token_share: least, main_token_share_most: most } = row;
  if (!Number.isFinite(row.main_token_id)) return "";
  const [low, high] = [percent(least, 0), percent(most, 0)];
  return `\n- Commonest token of all activations: ${tokenCode(row.main_token)} ${row.main_token_id} (${
    low === high ? low : `${low} to ${high}`
  })`;
}

function featureSection(row: FeatureRow, example: FeatureExample): string {
  const tokens = example.tokens.slice(0, 5).map(({ token, id, count }) => `${tokenCode(token)} ${id} (${count})`);
  return `**Feature ${row.feature}** (group ${row.group})

- Max activation: ${decimal(row.max_activation, 2)}, mean ${decimal(row.mean_activation, 2)}
- Sample count: ${integer(row.sample_count)} of ${counted(row.fires, "activation")} (${
    percent(row.density, 2)
  } of the tokens)
- Top tokens (of the samples): ${tokens.join(", ")}; ${example.tokens.length} different, entropy ${
    decimal(row.token_entropy_bits, 1)
  } bits${mainToken(row)}

${contextBlock(contextLines(contexts(example)))}`;
}

/** The strongest features with the tokens and contexts they fire on. */
export function featureAnalysis({ statistics, samples }: TranscoderAnalysis): string {
  const sections = statistics.strongest.slice(0, FEATURES_WITH_CONTEXTS).flatMap((row) => {
    const example = samples.examples.get(row.feature);
    return example && example.top.length > 0 ? [featureSection(row, example)] : [];
  });
  return [
    "### High-Activation Features",
    `The active token stands between ⟦ and ⟧, the number before it is the activation; *typical* marks one near the ` +
    `feature's median instead of its maximum. ␣ is a space, ⏎ a new line, and the number after a token its id.`,
    ...sections.length > 0 ? sections : ["None of the strongest features has a sample."],
  ].join("\n\n");
}
