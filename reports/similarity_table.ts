/**
 * What is said of how alike the features of a dictionary are.
 * @module
 */

import type { WrittenAlike } from "../core/analysis/cluster_matrix.ts";
import type { FeatureMap } from "../core/analysis/feature_map.ts";
import type { AlikePair, Band, Cosines, FiringSimilarities, NearestPair } from "../core/analysis/similarity.ts";
import type { Summary } from "../core/analysis/statistics.ts";
import type { RecordedFiring, TalliedCosines } from "../core/runs/recorded.ts";
import { counted, decimal, integer, known, percent } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** The cosines of a dictionary's rows, beside those of random directions. */
export interface ToldCosines {
  /** Of the rows. */
  readonly cosines: Cosines;
  /** Of as many random directions with the same second moment. */
  readonly by_chance: Omit<Cosines, "neighbours">;
}

/** What is told of a dictionary. */
export interface ToldSimilarity {
  /** Cosines of what features write. */
  readonly decoder: ToldCosines;
  /** Cosines of what features read. */
  readonly encoder: ToldCosines;
  /** When they fire together. */
  readonly firing: FiringSimilarities;
}

/** What sentences and tables are made of; without cosines where rows were not compared. */
export interface Compared {
  /** Cosines of what features write. */
  readonly decoder?: TalliedCosines;
  /** Cosines of what features read. */
  readonly encoder?: TalliedCosines;
  /** When they fire together. */
  readonly firing: RecordedFiring;
}

/** Pairs that a reader is shown. */
export const SHOWN = 10;

/** All that is printed of one dictionary; `name` says what a feature fires on. */
export function similarityText(told: ToldSimilarity, name: (feature: number) => string): string {
  const { firing: { tokens, nearest, duplicates, absorbed } } = told;
  return [
    `${integer(tokens)} tokens of the reading set.`,
    nearestTable(told),
    bandTable(told),
    similaritySentences(told).join(" "),
    ...nearest.length > 0 ? ["Features that fire most alike:", pairTable(nearest.slice(0, SHOWN), name)] : [],
    ...duplicates.length > 0 ? ["Duplicates:", pairTable(duplicates.slice(0, SHOWN), name)] : [],
    ...absorbed.length > 0 ? ["Features that fire only where another does:", absorbedTable(told.firing, name)] : [],
    ...nearest.length + absorbed.length > 0 ? [wordsSentence(told.firing)] : [],
    SIMILARITY_NOTES,
  ].join("\n\n");
}

/** How near the nearest other feature is, by each measure. */
export function nearestTable({ decoder, encoder, firing: { correlation, jaccard } }: Compared): string {
  const shown = ({ median, p95, max }: Summary) => [median, p95, max].map(figure);
  const row = (name: string, found: Summary, chance: Summary) => [name, ...shown(found), ...shown(chance)];
  return table([
    "Nearest other feature by",
    ...["Median", "95 %", "Largest", "By chance: median", "95 %", "Largest"].map(numeric),
  ], [
    ...decoder ? [row("decoder cosine", decoder.cosines.largest, decoder.by_chance.largest)] : [],
    ...encoder ? [row("encoder cosine", encoder.cosines.largest, encoder.by_chance.largest)] : [],
    row("correlation", correlation.largest, correlation.by_chance),
    row("Jaccard index", jaccard.largest, jaccard.by_chance),
  ]);
}

/** Pairs in the bands of the original project. */
export function bandTable({ decoder, encoder }: Required<Pick<Compared, "decoder" | "encoder">>): string {
  const cell = ({ pairs, features }: Band) => pairs === 0 ? "0" : `${integer(pairs)} (${integer(features)})`;
  const columns = [decoder.cosines, decoder.by_chance, encoder.cosines, encoder.by_chance];
  return table(
    ["Cosine", ...["Decoder: pairs (features)", "By chance", "Encoder: pairs (features)", "By chance"].map(numeric)],
    decoder.cosines.bands.map(({ least }, band) => [
      `≥ ${decimal(least, 2)}`,
      ...columns.map(({ bands }) => cell(bands[band])),
    ]),
  );
}

/** What follows; each sentence could have been another. */
export function similaritySentences({ decoder, firing }: Pick<Compared, "decoder" | "firing">): string[] {
  const { correlation, duplicate_pairs, absorbed_pairs, absorbed_by_chance } = firing;
  const duplicates = duplicate_pairs === 0
    ? "No two features are duplicates (decoder cosine and correlation above 0.9)."
    : `${
      counted(duplicate_pairs, "pair is a duplicate", "pairs are duplicates")
    } (decoder cosine and correlation above 0.9).`;
  const written = decoder && Number.isFinite(decoder.cosines.largest.median)
    ? [`The typical feature's decoder row ${placeOf(decoder)}.`]
    : [];
  if (!Number.isFinite(correlation.largest.median)) {
    return [...written, "No two features fire on one token, so that nothing is said of how alike they fire."];
  }
  return [
    ...written,
    `The typical one that fires has a largest correlation of ${decimal(correlation.largest.median, 3)} with another, ${
      known(correlation.by_chance.median, (value) => decimal(value, 3))
    } with shuffled contexts.`,
    duplicates,
    `${counted(absorbed_pairs, "pair has", "pairs have")} one feature that fires only where the other does, ${
      integer(absorbed_by_chance)
    } with shuffled contexts.`,
  ];
}

function placeOf({ cosines: { largest: found }, by_chance: { largest: chance } }: TalliedCosines): string {
  return found.median > chance.p95
    ? "lies nearer to another than 95 % of random directions do"
    : found.median < chance.p05
    ? "lies further from all others than 95 % of random directions do"
    : "lies as near to another as random directions do";
}

/** Whether features that fire alike write alike; it could have been another. Nothing where there is no cluster. */
export function writtenSentence({ within, by_chance, by_chance_std }: WrittenAlike): string[] {
  if (!Number.isFinite(within)) return [];
  const error = 1.96 * by_chance_std;
  const claim = within > by_chance + error
    ? "Features that fire alike write alike"
    : within < by_chance - error
    ? "Features that fire alike write less alike than others"
    : "Features that fire alike do not write alike";
  return [
    `${claim}: two features of one cluster have a decoder cosine of ${decimal(within, 3)} on average, ${
      decimal(by_chance, 3)
    } ± ${decimal(error, 3)} once the same features are dealt out to clusters anew; clusters are made of firing alone.`,
  ];
}

/** What the map shows, and what it cannot; nothing where rows do not vary. */
export function mapSentences({ shares: [first, second], share_by_chance }: FeatureMap): string[] {
  const shown = first + second;
  if (!Number.isFinite(shown)) return [];
  return [
    `The map shows ${
      percent(shown)
    } of the variance of what features write, where as many random directions would show ${
      percent(share_by_chance)
    }: two features are at least as far apart as they are on it, and those that are close on it may be far apart in the ${
      percent(1 - shown)
    } that it leaves out.`,
  ];
}

/** Pairs of features with what they fire on. */
export function pairTable(
  pairs: readonly (NearestPair | AlikePair)[],
  name: (feature: number) => string,
): string {
  return table(
    [
      numeric("Feature"),
      "Fires on",
      numeric("Other"),
      "Fires on",
      ...["Correlation", "Decoder cosine", "Words around"].map(numeric),
    ],
    pairs.map(({ a, b, correlation, cosine, context_cosine }) => [
      String(a),
      name(a),
      String(b),
      name(b),
      ...[correlation, cosine, context_cosine].map(figure),
    ]),
  );
}

/** A cosine or a correlation; a dash where there is none. */
function figure(value: number): string {
  return known(value, (value) => decimal(value, 3));
}

/** What the column `Words around` is, and what chance gives. */
export function wordsSentence(
  { context_cosine_by_chance }: Pick<FiringSimilarities, "context_cosine_by_chance">,
): string {
  return "Words around: the mean TF-IDF cosine of the texts around ten strongest firings of the one and of the other, in different contexts; " +
    (Number.isFinite(context_cosine_by_chance)
      ? `with texts around random tokens it is ${decimal(context_cosine_by_chance, 3)}.`
      : "there are too few contexts to say what it is with texts around random tokens.");
}

/** Features that fire only where another does. */
export function absorbedTable(
  { absorbed }: Pick<FiringSimilarities, "absorbed">,
  name: (feature: number) => string,
): string {
  return table(
    [
      numeric("Feature"),
      "Fires on",
      numeric("Only where"),
      "Fires on",
      ...["Tokens", "Share of the other's", "Words around"].map(numeric),
    ],
    absorbed.slice(0, SHOWN).map(({ inner, outer, fires, share, context_cosine }) => [
      String(inner),
      name(inner),
      String(outer),
      name(outer),
      integer(fires),
      percent(share),
      figure(context_cosine),
    ]),
  );
}

/** What the columns mean. */
export const SIMILARITY_NOTES: string =
  "Median, 95 % and largest: over features, of the value with the other feature that it is largest with. Correlation: Pearson's, of activations " +
  "over all tokens. Jaccard index: tokens on which both fire, by those on which at least one does. By chance: for cosines, as many random " +
  "directions with the same second moment; for firing, the same activations with shuffled contexts. The pairs shown, and those that fire only where another " +
  "does, have features that fire on 10 tokens or more.";
