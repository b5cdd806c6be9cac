/**
 * Features of two transcoders that fire alike on the same reading set: which of one are found again in the other, and which are its own.
 *
 * Features match by the correlation of their activations, whatever layer they are of. Chance is what the best matches are once the contexts of the
 * other side are shuffled.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { assign, type Candidate } from "./assignment.ts";
import {
  activationSums,
  correlation,
  eachWithPartners,
  featureCounter,
  type FeatureProgress,
  shuffledContexts,
} from "./coactivation.ts";
import { Neighbours } from "./neighbours.ts";
import { type ActivationColumns, columnsOf, type FeatureRecord } from "./record.ts";
import { type Histogram, histogram, moments, quantile, summarize, type Summary } from "./statistics.ts";

/** A best match above this is the same feature again, as the literature on seeds counts them. */
export const SAME_FEATURE = 0.7;

/** Features that fire on fewer tokens are not judged. */
export const JUDGED_FIRES = 10;

/** Candidates of each feature for the assignment. */
const CANDIDATES = 10;

/** Features that chance is wanted of, and the most shuffles for them: a large dictionary has as many in one. */
const NULL_FEATURES = 4096, MOST_SHUFFLES = 4;

/** The percentile of chance that a best match must beat to be one. */
const PERCENTILE = 0.99;

/** Features without match that are listed, in all and of a group, and bins of correlations. */
const LISTED = 100, LISTED_OF_GROUP = 20, BINS = 50;

/** Separates the shuffle from other uses of the generator. */
const SHUFFLE_STREAM = 0x6d617463;

/** Features of both transcoders that fire alike. */
export interface Match {
  /** Of the first. */
  readonly a: number;
  /** Of the second. */
  readonly b: number;
  /** Correlation of their activations over all tokens. */
  readonly correlation: number;
}

/** A feature without match. */
export interface UniqueFeature {
  /** The feature. */
  readonly feature: number;
  /** Its largest correlation with one of the other. */
  readonly correlation: number;
}

/** The features of one group that are found in the other transcoder. */
export interface MatchedGroup {
  /** Features that fire on ten tokens or more. */
  readonly judged: number;
  /** Those found above 0.7. */
  readonly same: number;
  /** Those that are this transcoder's own. */
  readonly unique: number;
  /** Those of them that fire most. */
  readonly unique_features: readonly UniqueFeature[];
}

/** The features of one transcoder that are found in the other. */
export interface MatchedSide {
  /** Features that fire on ten tokens or more. */
  readonly judged: number;
  /** Summary over them of the largest correlation with a feature of the other. */
  readonly best: Summary;
  /** The same once the contexts of the other are shuffled. */
  readonly by_chance: Summary;
  /** The 99th percentile of that: what a match must beat. */
  readonly chance_limit: number;
  /** Features whose best match is above 0.7. */
  readonly same: number;
  /** Features whose best match chance would give as well: they are this transcoder's own. */
  readonly unique: number;
  /** Those of them that fire most. */
  readonly unique_features: readonly UniqueFeature[];
  /** Each group. */
  readonly groups: readonly MatchedGroup[];
  /** Best correlations, and those by chance, in the same bins. */
  readonly histogram: Histogram;
  /** By chance, over all shuffles. */
  readonly histogram_by_chance: Histogram;
}

/** Two transcoders, feature by feature. */
export interface Matching {
  /** Tokens that both were recorded on. */
  readonly tokens: number;
  /** The first. */
  readonly a: MatchedSide;
  /** The second. */
  readonly b: MatchedSide;
  /** Pairs that are each other's best beyond chance, the best first. */
  readonly mutual: readonly Match[];
  /** One-to-one pairs beyond chance with the largest correlation in sum: how many, and their mean correlation. */
  readonly assigned: { readonly pairs: number; readonly mean_correlation: number };
}

/** What tells whether two records are of the same tokens. */
export type SharedTokens = Pick<FeatureRecord, "context" | "place" | "id" | "position">;

/**
 * Finds the tokens that two records share.
 *
 * @param a The first.
 * @param b The second.
 * @returns The indices of the same tokens in each, ascending; null where they share none, or are of different texts.
 */
export function sharedTokens(a: SharedTokens, b: SharedTokens): [ofA: number[], ofB: number[]] | null {
  if (a.context !== b.context) return null;
  const ofA: number[] = [], ofB: number[] = [];
  for (let i = 0, j = 0; i < a.place.length && j < b.place.length;) {
    if (a.place[i] < b.place[j]) i++;
    else if (a.place[i] > b.place[j]) j++;
    else {
      if (a.id[i] !== b.id[j] || a.position[i] !== b.position[j]) return null;
      ofA.push(i++);
      ofB.push(j++);
    }
  }
  return ofA.length > 0 ? [ofA, ofB] : null;
}

/**
 * The records of two transcoders on the tokens that both have.
 *
 * @param a One record.
 * @param b Another one.
 * @returns Both, token beside token; null where they are not of the same reading set: a context has another length, or a place another token.
 */
export function sameTokens(a: FeatureRecord, b: FeatureRecord): [FeatureRecord, FeatureRecord] | null {
  const shared = sharedTokens(a, b);
  return shared && [onTokens(a, shared[0]), onTokens(b, shared[1])];
}

/** A record without the tokens that are not named. The target's variation stays that of all. */
function onTokens(record: FeatureRecord, tokens: readonly number[]): FeatureRecord {
  if (tokens.length === record.place.length) return record;
  const { rowStart, groups: { length: prefixes } } = record, rows = tokens.map((t) => [rowStart[t], rowStart[t + 1]]);
  const start = new Uint32Array(tokens.length + 1);
  rows.forEach(([from, end], t) => start[t + 1] = start[t] + end - from);
  const index = new Uint32Array(start[tokens.length]), value = new Float32Array(index.length);
  rows.forEach(([from, end], t) => {
    index.set(record.index.subarray(from, end), start[t]);
    value.set(record.value.subarray(from, end), start[t]);
  });
  const taken = (column: Uint32Array) => Uint32Array.from(tokens, (t) => column[t]);
  return {
    ...record,
    ...{ place: taken(record.place), id: taken(record.id), document: taken(record.document) },
    ...{ position: taken(record.position), rowStart: start, index, value },
    targetSquares: Float32Array.from(tokens, (t) => record.targetSquares[t]),
    residualSquares: Float32Array.from(
      { length: tokens.length * prefixes },
      (_, at) => record.residualSquares[tokens[Math.floor(at / prefixes)] * prefixes + at % prefixes],
    ),
  };
}

/**
 * Matches the features of two transcoders.
 *
 * @param a The record of the first.
 * @param b That of the second, on the same tokens ({@link sameTokens}).
 * @param onProgress Hears of the first one's features looked at.
 * @returns What is found of each in the other.
 */
export function matchFeatures(a: FeatureRecord, b: FeatureRecord, onProgress?: FeatureProgress): Matching {
  return matchingOf(a, b, neighboursOf(a, b, onProgress));
}

/** What features of one transcoder reach in another. */
export interface BestMatches {
  /** [features] the largest correlation with a feature of the other; NaN for those that are not judged. */
  readonly best: Float64Array;
  /** What it must beat: the 99th percentile of what shuffled contexts give. */
  readonly limit: number;
}

/**
 * The best match of every feature, and no more.
 *
 * @param a The record of one transcoder.
 * @param b That of another, on the same tokens ({@link sameTokens}).
 * @param onProgress Hears of the first one's features looked at.
 * @returns Of the first in the second, and the other way round, as {@link matchFeatures} finds them.
 */
export function bestMatches(
  a: FeatureRecord,
  b: FeatureRecord,
  onProgress?: FeatureProgress,
): [BestMatches, BestMatches] {
  return bestMatchesOf(a.place.length, neighboursOf(a, b, onProgress));
}

/**
 * Both, from one look at all pairs.
 *
 * @param a The record of one transcoder.
 * @param b That of another, on the same tokens ({@link sameTokens}).
 * @param onProgress Hears of the first one's features looked at.
 * @returns What {@link matchFeatures} and {@link bestMatches} give.
 */
export function matchWithBest(
  a: FeatureRecord,
  b: FeatureRecord,
  onProgress?: FeatureProgress,
): { readonly matching: Matching; readonly best: [BestMatches, BestMatches] } {
  const neighbours = neighboursOf(a, b, onProgress);
  return { matching: matchingOf(a, b, neighbours), best: bestMatchesOf(a.place.length, neighbours) };
}

type FoundNeighbours = ReturnType<typeof neighboursOf>;

function bestMatchesOf(
  tokens: number,
  { columnsA, columnsB, found, chance }: FoundNeighbours,
): [BestMatches, BestMatches] {
  const side = (columns: ActivationColumns, of: "ofA" | "ofB"): BestMatches => {
    const judged = judgedOf(columns, tokens),
      { values, limit } = bestOf(judged, found[of], chance.map((one) => one[of]));
    const best = new Float64Array(columns.start.length - 1).fill(NaN);
    judged.forEach((feature, n) => best[feature] = values[n]);
    return { best, limit };
  };
  return [side(columnsA, "ofA"), side(columnsB, "ofB")];
}

function matchingOf(
  a: FeatureRecord,
  b: FeatureRecord,
  { countA, countB, columnsA, columnsB, found, chance }: FoundNeighbours,
): Matching {
  const sideA = sideOf(a, columnsA, found.ofA, chance.map(({ ofA }) => ofA));
  const sideB = sideOf(b, columnsB, found.ofB, chance.map(({ ofB }) => ofB));
  const limit = Math.max(sideA.chance_limit, sideB.chance_limit, 0);
  const candidates = new Map<string, Candidate>(), mutual: Match[] = [];
  const consider = (a: number, b: number, value: number) =>
    value > limit && candidates.set(`${a} ${b}`, { a, b, value });
  for (let i = 0; i < countA; i++) {
    const nearest = found.ofA.of(i);
    for (const { feature, value } of nearest) consider(i, feature, value);
    if (nearest.length === 0 || !(nearest[0].value > limit)) continue;
    const [{ feature: j, value }] = nearest;
    if (found.ofB.of(j)[0].feature === i) mutual.push({ a: i, b: j, correlation: value });
  }
  for (let j = 0; j < countB; j++) for (const { feature, value } of found.ofB.of(j)) consider(feature, j, value);
  const partner = assign([...candidates.values()], countA, countB);
  const values = Array.from(partner, (j, i) => j < 0 ? NaN : candidates.get(`${i} ${j}`)!.value).filter(
    Number.isFinite,
  );
  return {
    tokens: a.place.length,
    ...{ a: sideA, b: sideB },
    mutual: mutual.sort((x, y) => y.correlation - x.correlation || x.a - y.a),
    assigned: { pairs: values.length, mean_correlation: moments(values).mean },
  };
}

function judgedOf(columns: ActivationColumns, tokens: number): number[] {
  const { fires } = activationSums(columns, tokens);
  return Array.from(fires.keys()).filter((i) => fires[i] >= JUDGED_FIRES);
}

/** The nearest features of either side in the other, and the same by chance. */
function neighboursOf(a: FeatureRecord, b: FeatureRecord, onProgress?: FeatureProgress) {
  const tokens = a.place.length,
    [countA, countB] = [a, b].map(({ groups }) => groups.reduce((sum, size) => sum + size, 0));
  const columnsA = columnsOf(a, countA), columnsB = columnsOf(b, countB);
  const sumsA = activationSums(columnsA, tokens), sumsB = activationSums(columnsB, tokens);
  const isJudged = (fires: number) => fires >= JUDGED_FIRES;
  const judgedA = Array.from(sumsA.fires.keys()).filter((i) => isJudged(sumsA.fires[i]));
  const shuffles = Math.max(1, Math.min(MOST_SHUFFLES, Math.ceil(NULL_FEATURES / Math.min(countA, countB))));
  const onFeature = featureCounter((1 + shuffles) * judgedA.length, onProgress);
  const compared = (beside?: Uint32Array) => {
    const ofA = new Neighbours(countA, CANDIDATES), ofB = new Neighbours(countB, CANDIDATES);
    eachWithPartners(columnsA, b, countB, ({ feature, partners, products }) => {
      for (const other of partners) {
        if (!isJudged(sumsB.fires[other])) continue;
        const alike = correlation(products[other], sumsA, feature, sumsB, other);
        ofA.offer(feature, other, alike);
        ofB.offer(other, feature, alike);
      }
    }, { beside, features: judgedA, onFeature });
    return { ofA, ofB };
  };
  const chance = Array.from(
    { length: shuffles },
    (_, n) => compared(shuffledContexts(a, randomGenerator(0, SHUFFLE_STREAM, n))),
  );
  return { countA, countB, columnsA, columnsB, found: compared(), chance };
}

/** The best match of each judged feature, the same by chance over all shuffles, and what a match must beat. */
function bestOf(judged: readonly number[], found: Neighbours, chance: readonly Neighbours[]) {
  // A feature that never fires with any of the other is as good as uncorrelated.
  const best = (of: Neighbours) => judged.map((i) => Math.max(0, of.largest(i)));
  const random = chance.flatMap(best);
  return { values: best(found), random, limit: quantile(random.toSorted((x, y) => x - y), PERCENTILE) };
}

function sideOf(
  record: FeatureRecord,
  columns: ActivationColumns,
  found: Neighbours,
  chance: readonly Neighbours[],
): MatchedSide {
  const { fires } = activationSums(columns, record.place.length), judged = judgedOf(columns, record.place.length);
  const { values, random, limit: chance_limit } = bestOf(judged, found, chance);
  const best = new Map(judged.map((i, n) => [i, values[n]]));
  const unique = judged.filter((i) => !(best.get(i)! > chance_limit)).sort((i, j) => fires[j] - fires[i] || i - j),
    same = judged.filter((i) => best.get(i)! > SAME_FEATURE);
  const told = (features: number[], most: number) =>
    features.slice(0, most).map((feature) => ({ feature, correlation: best.get(feature)! }));
  let first = 0;
  const groups = record.groups.map((size) => {
    const from = first, end = first += size;
    const [all, again, own] = [judged, same, unique].map((features) => features.filter((i) => i >= from && i < end));
    const unique_features = told(own, LISTED_OF_GROUP);
    return { judged: all.length, same: again.length, unique: own.length, unique_features };
  });
  return {
    judged: judged.length,
    ...{ best: summarize(values), by_chance: summarize(random), chance_limit },
    ...{ same: same.length, unique: unique.length },
    unique_features: told(unique, LISTED),
    groups,
    histogram: histogram(values, BINS, 0, 1),
    histogram_by_chance: histogram(random, BINS, 0, 1),
  };
}
