/**
 * All features of a dictionary at a glance: how strong each is, how often it fires, on which tokens, and what the reconstruction loses without it.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { activationSums, shuffledContexts } from "./coactivation.ts";
import { contextBins, documentBins, placeProfiles } from "./places.ts";
import { columnsOf, type FeatureRecord, prefixFvus } from "./record.ts";
import { type Histogram, histogram, quantile } from "./statistics.ts";
import { type FiredToken, tokenProfiles } from "./token_profile.ts";

/** The bands that features are sorted into by their largest activation: quantiles of it over those that fire. */
const QUANTILES = [0.95, 0.75, 0.5, 0.25, 0];

/** The largest activations that the original project sorted by. */
const FIXED = [30, 20, 10, 5];

/** Tokens of a feature that are kept, bins of the histograms, and of each feature's own. */
const TOKENS = 5, BINS = 40, OWN_BINS = 10;

/** Separates the shuffle from other uses of the generator. */
const SHUFFLE_STREAM = 0x6f766572;

/** Features whose largest activation is at least so large, and below the band before. */
export interface StrengthBand {
  /** The least of their largest activations. */
  readonly least: number;
  /** Features in the band. */
  readonly features: number;
  /** The same by group. */
  readonly groups: readonly number[];
}

/** One feature on a reading set. */
export interface FeatureOverview {
  /** Its index. */
  readonly feature: number;
  /** Its Matryoshka group. */
  readonly group: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** Share of all tokens. */
  readonly density: number;
  /** Its largest activation; NaN where it never fires. */
  readonly max_activation: number;
  /** Its mean activation where it fires. */
  readonly mean_activation: number;
  /** Where it is strongest: an index of the record's tokens; -1 where it never fires. */
  readonly strongest: number;
  /** By how much FVU rises without it, all others as they are; NaN where the target does not vary. */
  readonly fvu_rise: number;
  /** The tokens that it fires on most. */
  readonly tokens: readonly FiredToken[];
  /** Entropy in bits of all of them. */
  readonly token_entropy: number;
  /** The same of the tokens that stand there once contexts are shuffled: as many, in the same bursts, whatever they are. */
  readonly token_entropy_by_chance: number;
  /** Its activations where it fires, in ten equal bins from 0 to the largest. */
  readonly activations: readonly number[];
  /** How likely it fires in each eighth of a context, as a multiple of how likely it fires anywhere: 1 by chance. */
  readonly context_profile: readonly number[];
  /** The same in each eighth of all tokens by their offset in the document. */
  readonly document_profile: readonly number[];
}

/** All features on a reading set. */
export interface FeaturesOverview {
  /** Tokens of the record. */
  readonly tokens: number;
  /** Features that never fire. */
  readonly silent: number;
  /** FVU of the whole dictionary. */
  readonly fvu: number;
  /** Bands by quantile of the largest activation, the strongest first. */
  readonly bands: readonly StrengthBand[];
  /** The original project's bands, as far as the run reaches them; what is below the last is in none. */
  readonly fixed_bands: readonly StrengthBand[];
  /** log10 of the densities of features that fire. */
  readonly log_density: Histogram;
  /** log10 of all activations. */
  readonly log_activation: Histogram;
  /** The least offset in a document of each eighth of `document_profile`. */
  readonly document_offsets: readonly number[];
  /** All features, in their order. */
  readonly features: readonly FeatureOverview[];
}

/**
 * Looks at all features.
 *
 * @param record What the dictionary does on a reading set.
 * @returns The overview.
 */
export function featuresOverview(record: FeatureRecord): FeaturesOverview {
  const { groups, errorRemoved, targetVariation } = record, prefixes = groups.length, tokens = record.place.length;
  const groupOf = groups.flatMap((size, group) => new Array<number>(size).fill(group)),
    columns = columnsOf(record, groupOf.length);
  const { fires, sum } = activationSums(columns, tokens), profiles = tokenProfiles(columns, record, TOKENS);
  const beside = shuffledContexts(record, randomGenerator(0, SHUFFLE_STREAM));
  const chance = tokenProfiles({ ...columns, token: columns.token.map((t) => beside[t]) }, record, 0);
  const documents = documentBins(record), inContext = placeProfiles(contextBins(record));
  const inDocument = placeProfiles(documents.bin);
  const features = groupOf.map((group, feature): FeatureOverview => {
    let strongest = -1, max = NaN;
    for (let at = columns.start[feature]; at < columns.start[feature + 1]; at++) {
      if (strongest < 0 || columns.value[at] > max) [strongest, max] = [columns.token[at], columns.value[at]];
    }
    const own = columns.value.subarray(columns.start[feature], columns.start[feature + 1]);
    const token = columns.token.subarray(columns.start[feature], columns.start[feature + 1]);
    return {
      ...{ feature, group, fires: fires[feature], density: fires[feature] / tokens, max_activation: max, strongest },
      mean_activation: sum[feature] / fires[feature],
      fvu_rise: targetVariation > 0 ? errorRemoved[(feature + 1) * prefixes - 1] / targetVariation : NaN,
      tokens: profiles[feature].tokens,
      token_entropy: profiles[feature].entropy,
      token_entropy_by_chance: chance[feature].entropy,
      activations: histogram(own, OWN_BINS, 0, max).counts,
      context_profile: inContext(token),
      document_profile: inDocument(token),
    };
  });
  const alive = features.filter(({ fires }) => fires > 0);
  const ascending = alive.map(({ max_activation }) => max_activation).sort((a, b) => a - b);
  return {
    ...{ tokens, silent: features.length - alive.length, fvu: prefixFvus(record)[prefixes - 1] },
    bands: bandsOf(alive, prefixes, QUANTILES.map((q) => quantile(ascending, q))),
    fixed_bands: bandsOf(alive, prefixes, FIXED.filter((least) => least <= ascending[ascending.length - 1])),
    log_density: logHistogram(alive.map(({ density }) => density)),
    log_activation: logHistogram(record.value),
    document_offsets: documents.least,
    features,
  };
}

function bandsOf(alive: readonly FeatureOverview[], groups: number, limits: readonly number[]): StrengthBand[] {
  return limits.map((least, band) => {
    const members = alive.filter(({ max_activation: max }) => max >= least && (band === 0 || max < limits[band - 1]));
    const counts = new Array<number>(groups).fill(0);
    for (const { group } of members) counts[group]++;
    return { least, features: members.length, groups: counts };
  });
}

function logHistogram(values: ArrayLike<number>): Histogram {
  const logs = new Float32Array(values.length);
  let low = Infinity, high = -Infinity;
  // A plain loop: `from` makes a list of millions of values first.
  for (let at = 0; at < logs.length; at++) {
    logs[at] = Math.log10(values[at]);
    const log = logs[at];
    if (log < low) low = log;
    if (log > high) high = log;
  }
  return low <= high ? histogram(logs, BINS, low, high) : histogram([], BINS, 0, 1);
}
