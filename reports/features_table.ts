/**
 * What is said of all features of a dictionary at a glance.
 * @module
 */

import type { FeatureOverview, FeaturesOverview, StrengthBand } from "../core/analysis/feature_overview.ts";
import { median } from "../core/analysis/statistics.ts";
import type { FeatureTokens, ToldToken } from "../core/analysis/attribution.ts";
import type { SurroundingWords } from "../core/analysis/surrounding_words.ts";
import { counted, decimal, integer, percent, significant } from "./format.ts";
import { numeric, plain, table } from "./markdown/markdown.ts";
import { sparkline } from "./sparkline.ts";
import { visibleToken } from "./tokens.ts";

/** What features can be ranked by. */
export type FeatureOrder = "strength" | "fires" | "fvu-rise";

/** What a feature is called, and where it is strongest. */
export interface FeatureWords {
  /** The tokens that it fires on. */
  readonly name: (feature: number) => string;
  /** A token of the record among those around it. */
  readonly context: (token: number) => string;
  /** The words around its strongest firings. */
  readonly around: (feature: number) => SurroundingWords;
  /** What it reads and writes; undefined where that was not measured. */
  readonly readsWrites: (feature: number) => ReadsWrites | undefined;
}

/** What a feature reads and writes, as `mtc analyze attribution` measured it. */
export interface ReadsWrites {
  /** The tokens; null where they were not asked for. */
  readonly tokens: FeatureTokens | null;
  /** Cosine of what it reads with what it writes; null where that is not added to the residual stream as it is. */
  readonly cosine: number | null;
}

/** Features that fire on fewer tokens have no profile that could be told from chance. */
const LEAST_PROFILED = 40;

/** The features that fire, the first in an order first. */
export function ranked(features: readonly FeatureOverview[], order: FeatureOrder): FeatureOverview[] {
  const value = ({ max_activation, fires, fvu_rise }: FeatureOverview) =>
    ({ strength: max_activation, fires, "fvu-rise": fvu_rise })[order];
  return features.filter(({ fires }) => fires > 0).sort((a, b) => value(b) - value(a) || a.feature - b.feature);
}

/** All that is printed of one dictionary: the bands, and the first features in an order. */
export function featuresText(
  overview: FeaturesOverview,
  order: FeatureOrder,
  most: number,
  words: FeatureWords,
): string {
  const { features, bands, fixed_bands } = overview, first = ranked(features, order).slice(0, most);
  return [
    overviewSentences(overview).join(" "),
    ...bands.some(({ features }) => features > 0) ? [bandTable(bands, "by quantiles")] : [],
    ...fixed_bands.length > 0 ? [bandTable(fixed_bands, "of the original project")] : [],
    ...first.length > 0
      ? [
        `The first ${integer(first.length)} by ${ORDERS[order]}:`,
        featureTable(first, words),
        "How, where and among which words they fire, and what they read and write:",
        surroundingsTable(first, words),
      ]
      : [],
    FEATURE_NOTES,
    surroundingsNote(overview),
    ...first.some(({ feature }) => words.readsWrites(feature)?.tokens) ? [READS_NOTE] : [NOT_READ],
  ].join("\n\n");
}

const ORDERS: Readonly<Record<FeatureOrder, string>> = {
  strength: "largest activation",
  fires: "tokens that they fire on",
  "fvu-rise": "rise of FVU without them",
};

/** What the figures say of all features; each sentence could have been another. */
export function overviewSentences({ tokens, silent, fvu, features }: FeaturesOverview): string[] {
  const alive = features.filter(({ fires }) => fires > 0);
  const worse = alive.filter(({ fvu_rise }) => fvu_rise < 0).length;
  const bits = (of: (one: FeatureOverview) => number) => `${decimal(median(alive.map(of)), 1)} bits`;
  return [
    `${integer(tokens)} tokens of the reading set, FVU ${decimal(fvu, 4)}.`,
    silent === 0
      ? `All ${counted(features.length, "feature")} fire there.`
      : `${integer(silent)} of ${counted(features.length, "feature")} never fire there.`,
    ...alive.length === 0 ? [] : [
      `The typical one that does fires on tokens of ${
        bits((one) => one.token_entropy)
      }, where as many tokens of other contexts have ${bits((one) => one.token_entropy_by_chance)}.`,
    ],
    ...worse === 0 ? [] : [`FVU would fall without ${integer(worse)} of them.`],
  ];
}

/** Features by their largest activation. */
export function bandTable(bands: readonly StrengthBand[], kind: string): string {
  const [{ groups }] = bands;
  return table([
    `Largest activation, bands ${kind}`,
    numeric("Features"),
    ...groups.length > 1 ? groups.map((_, group) => numeric(`Group ${group}`)) : [],
  ], [
    ...bands.map(({ least, features, groups }) => [
      `≥ ${significant(least, 3)}`,
      integer(features),
      ...groups.length > 1 ? groups.map(integer) : [],
    ]),
  ]);
}

/** Features with their figures. */
export function featureTable(
  features: readonly FeatureOverview[],
  { name, context }: Pick<FeatureWords, "name" | "context">,
): string {
  return table(
    [
      ...["Feature", "Group", "Fires", "Largest", "Mean", "FVU rise", "Token entropy", "By chance"].map(numeric),
      "Fires on",
      "Where it is strongest",
    ],
    features.map((one) => [
      ...[one.feature, one.group].map(String),
      percent(one.density, 2),
      ...[one.max_activation, one.mean_activation, one.fvu_rise].map((value) => significant(value, 3)),
      ...[one.token_entropy, one.token_entropy_by_chance].map((bits) => decimal(bits, 1)),
      name(one.feature),
      context(one.strongest),
    ]),
  );
}

/** How and where features fire, among which words, and what they read and write, each token as `written`, as far as that was measured. */
export function surroundingsTable(
  features: readonly FeatureOverview[],
  { around, readsWrites, written = visibleToken }: Pick<FeatureWords, "around" | "readsWrites"> & {
    readonly written?: (token: string) => string;
  },
): string {
  const measured = features.some(({ feature }) => readsWrites(feature) !== undefined);
  const first = (tokens: readonly ToldToken[], chance: number) =>
    tokens.filter(({ value }) => value > chance).slice(0, 3).map(({ token }) => written(token)).join(" ") || "–";
  return table(
    [
      numeric("Feature"),
      ...["Activations", "In contexts", "In documents", "Words around"],
      ...measured ? ["Reads", "Raises", "Lowers", numeric("Cosine")] : [],
    ],
    features.map(({ feature, fires, activations, context_profile, document_profile }) => {
      const { tokens, cosine } = readsWrites(feature) ?? { tokens: null, cosine: null }, { words } = around(feature);
      const profile = (profile: readonly number[]) => fires < LEAST_PROFILED ? "–" : sparkline(profile.map(known), 2);
      return [
        String(feature),
        sparkline(activations),
        profile(context_profile),
        profile(document_profile),
        words.map(({ word, excerpts }) => `${plain(word)} ${excerpts}`).join(", ") || "–",
        ...measured
          ? [
            tokens ? first(tokens.reads, tokens.chance) : "",
            tokens?.writes ? first(tokens.writes.raised, tokens.writes.chance) : "",
            // What lowers a logit is below the mean: its value is turned, so that it is held against the same chance.
            tokens?.writes
              ? first(tokens.writes.lowered.map((one) => ({ ...one, value: -one.value })), tokens.writes.chance)
              : "",
            cosine === null ? "–" : decimal(cosine, 2),
          ]
          : [],
      ];
    }),
  );
}

/** A part of a context in which no token counts has no multiple. */
function known(multiple: number): number {
  return Number.isNaN(multiple) ? 0 : multiple;
}

/** What the bars and the words are. */
export function surroundingsNote({ document_offsets }: FeaturesOverview): string {
  return "Activations: how they are distributed where it fires, from 0 to the largest. In contexts: how likely it fires in each eighth of a context; in documents: " +
    `in each eighth of all tokens by how far into the document they are (from token ${
      document_offsets.map(integer).join("; ")
    }). ▅ is as likely as anywhere, █ twice as likely and more; a dash: fewer than ${LEAST_PROFILED} firings. Words ` +
    "around: those in more of the ten strongest excerpts, which are of different contexts, than chance has (p < 0.0001), and in how many.";
}

/** What the columns mean that attribution has measured. */
export const READS_NOTE: string =
  "Reads, raises, lowers: the tokens nearest to what it reads (cosine with embeddings), and those whose logits it changes most on the direct path, as far as they lie beyond " +
  "what the same numbers do in random order. Cosine: of what it reads with what it writes. `mtc analyze attribution` has measured this; --json has ten of each.";

/** Where it has not. */
export const NOT_READ: string =
  "Which tokens features read, and whose logits they raise and lower, is told here once `mtc analyze attribution` has measured it.";

/** What the columns mean. */
export const FEATURE_NOTES: string =
  "Fires: share of tokens. Mean: of the activations where it fires. FVU rise: by how much FVU of the whole dictionary rises without the feature, all others " +
  "as they are. Token entropy: in bits, of the tokens that it fires on; by chance, of as many tokens, in the same bursts, of shuffled contexts. " +
  "Fires on: the most characteristic tokens, each with its share of the feature's firings.";
