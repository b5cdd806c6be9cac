/**
 * Features that fire together in groups: clusters by the correlation of their activations, and the graph of pairs that fire together more often
 * than they would by chance.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { activationSums, correlation, eachWithPartners, featureCounter, type FeatureProgress } from "./coactivation.ts";
import { averageLinkage, cutTree, type DistanceMatrix, leafOrder, nestedSilhouettes } from "./clustering.ts";
import { Neighbours } from "./neighbours.ts";
import { type ActivationColumns, columnsOf, type FeatureRecord, rowsOf, type TokenRows } from "./record.ts";
import { shuffledColumns } from "./shuffled_record.ts";
import { moments, quantile } from "./statistics.ts";
import { tokenProfiles } from "./token_profile.ts";

/** Features that are clustered at most, those that fire most: their distances take 64 MiB. */
const MOST_CLUSTERED = 4096;

/** Features that fire on fewer tokens are left out, and pairs that fire together on fewer have no edge. */
const LEAST_FIRES = 10, LEAST_TOGETHER = 5;

/** Edges of the graph that a feature keeps at most. */
const MOST_EDGES = 10;

/** The percentile of the null that an edge must beat. */
const PERCENTILE = 0.99;

/** Cuts into so many clusters are all tried, of those into more some. */
const EVERY_CUT = 64;

/** Tokens that a cluster is named by, and those of a feature that are looked at for it. */
const NAME_TOKENS = 3, PROFILE_TOKENS = 10;

/** Separates the shuffle from other uses of the generator. */
const SHUFFLE_STREAM = 0x636c7573;

/** Some features that fire together. */
export interface FeatureCluster {
  /** Its features, those that fire most first. */
  readonly features: readonly number[];
  /** Mean silhouette of its features. */
  readonly silhouette: number;
  /** Mean correlation between its features. */
  readonly correlation: number;
  /** The tokens that tell it from others: most characteristic of its firings, by share times log of share over their share of all tokens. */
  readonly tokens: readonly { readonly id: number; readonly share: number; readonly share_of_text: number }[];
}

/** All clusters of a dictionary. */
export interface FeatureClusters {
  /** Features that fire on ten tokens or more. */
  readonly often: number;
  /** Those of them that were clustered: all, or the 4,096 that fire most. */
  readonly clustered: number;
  /** Mean silhouette over them. */
  readonly silhouette: number;
  /** The same once each feature's contexts are shuffled by themselves, at the cut that is best for them. */
  readonly silhouette_by_chance: number;
  /** Standard error of the difference of both, over features. */
  readonly silhouette_error: number;
  /** Clusters of two and more, the largest first. */
  readonly clusters: readonly FeatureCluster[];
  /** The features in the order of the tree, in which each cluster stands together. */
  readonly order: readonly number[];
}

/** Two features that fire together more often than by chance. */
export interface Edge {
  /** The lower number. */
  readonly a: number;
  /** The other. */
  readonly b: number;
  /** Normalised pointwise mutual information of firing: ln(p_ab / (p_a p_b)) / -ln p_ab, from -1 to 1 (Bouma 2009). */
  readonly npmi: number;
  /** Tokens on which both fire. */
  readonly together: number;
}

/** The graph of features that fire together. */
export interface CoactivationGraph {
  /** What an edge must beat: the 99th percentile over features of their largest value once contexts are shuffled. */
  readonly threshold: number;
  /** Features that fire often enough to have edges. */
  readonly features: number;
  /** Edges, the strongest ten of each feature at most. */
  readonly edges: readonly Edge[];
  /** Features with an edge. */
  readonly connected: number;
  /** Features of the largest part that hangs together. */
  readonly largest_part: number;
}

/** A record by feature, and the same features without their company. */
export interface Company {
  /** As it is. */
  readonly columns: ActivationColumns;
  /** Each feature's contexts shuffled by themselves, */
  readonly shuffled: ActivationColumns;
  /** and by token. */
  readonly shuffledRows: TokenRows;
}

/**
 * What clusters and the graph are found in, and what by chance.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Features of the dictionary.
 * @returns Both.
 */
export function companyOf(record: FeatureRecord, features: number): Company {
  const columns = columnsOf(record, features);
  const shuffled = shuffledColumns(columns, record, randomGenerator(0, SHUFFLE_STREAM));
  return { columns, shuffled, shuffledRows: rowsOf(shuffled, record.place.length) };
}

/**
 * Clusters features by the correlation r of their activations; the distance is 1 - r. Of all cuts into up to 64 clusters, and of some into more,
 * that with the largest mean silhouette is taken.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Features of the dictionary.
 * @param onProgress Hears of the features whose silhouettes are known, as it is and by chance.
 * @param company What {@link companyOf} gives, where it is there already.
 * @returns The clusters.
 */
export function clusterFeatures(
  record: FeatureRecord,
  features: number,
  onProgress?: FeatureProgress,
  { columns, shuffled, shuffledRows }: Company = companyOf(record, features),
): FeatureClusters {
  const tokens = record.place.length;
  const fires = (i: number) => columns.start[i + 1] - columns.start[i];
  const often = Array.from({ length: features }, (_, i) => i).filter((i) => fires(i) >= LEAST_FIRES)
    .sort((a, b) => fires(b) - fires(a) || a - b);
  const chosen = often.slice(0, MOST_CLUSTERED), counts = { often: often.length, clustered: chosen.length };
  if (chosen.length < 4) {
    const unknown = { silhouette: NaN, silhouette_by_chance: NaN, silhouette_error: NaN };
    return { ...counts, ...unknown, clusters: [], order: chosen };
  }
  const onFeature = featureCounter(2 * chosen.length, onProgress);
  const found = bestCut(columns, record, chosen, tokens, onFeature);
  const members = Map.groupBy(chosen.keys(), (n) => found.clusters[n]), base = tokenShares(record);
  const profiles = tokenProfiles(columns, record, PROFILE_TOKENS, chosen);
  const clusters = [...members.values()].filter((items) => items.length > 1).map((items): FeatureCluster => ({
    features: items.map((n) => chosen[n]),
    silhouette: moments(items.map((n) => found.silhouettes[n])).mean,
    correlation: moments(
      items.flatMap((n, at) => items.slice(at + 1).map((m) => 1 - found.distances[n * chosen.length + m])),
    ).mean,
    tokens: characteristic(items.map((n) => ({ ...profiles[n], fires: fires(chosen[n]) })), base),
  }));
  // Not both matrices of distances are held.
  found.distances.buffer.transfer(0);
  const chance = bestCut(shuffled, shuffledRows, chosen, tokens, onFeature);
  chance.distances.buffer.transfer(0);
  const [own, shuffles] = [found, chance].map(({ silhouettes }) => moments(silhouettes));
  return {
    ...counts,
    silhouette: own.mean,
    silhouette_by_chance: shuffles.mean,
    silhouette_error: Math.hypot(own.std, shuffles.std) / Math.sqrt(chosen.length),
    clusters: clusters.sort((a, b) => b.features.length - a.features.length || a.features[0] - b.features[0]),
    order: found.order.map((n) => chosen[n]),
  };
}

/** The numbers of clusters that are tried. */
function cutsOf(items: number): number[] {
  const counts: number[] = [];
  for (let count = 2; count < items; count = count < EVERY_CUT ? count + 1 : Math.round(count * 1.25)) {
    counts.push(count);
  }
  return counts;
}

function bestCut(
  columns: ActivationColumns,
  rows: Pick<FeatureRecord, "rowStart" | "index" | "value">,
  chosen: readonly number[],
  tokens: number,
  onFeature: () => void,
) {
  const { items, distances } = correlationDistances(columns, rows, chosen, tokens);
  const overwritten = distances.slice(), merges = averageLinkage({ items, distances: overwritten });
  overwritten.buffer.transfer(0);
  const cuts = cutsOf(items).map((count) => cutTree(merges, count));
  const each = nestedSilhouettes({ items, distances }, cuts, onFeature), means = each.map((one) => moments(one).mean);
  let best = 0;
  means.forEach((mean, cut) => {
    if (mean > means[best]) best = cut;
  });
  return { clusters: cuts[best], silhouettes: each[best], distances, order: leafOrder(merges) };
}

/**
 * The distances 1 - r of some features, r being the correlation of their activations over all tokens.
 *
 * @param columns All activations by feature.
 * @param rows The same by token.
 * @param chosen The features.
 * @param tokens How many tokens there are.
 * @returns Their distances, in the order of `chosen`.
 */
export function correlationDistances(
  columns: ActivationColumns,
  rows: Pick<FeatureRecord, "rowStart" | "index" | "value">,
  chosen: readonly number[],
  tokens: number,
): DistanceMatrix {
  const features = columns.start.length - 1, items = chosen.length, sums = activationSums(columns, tokens);
  const distances = new Float32Array(items * items);
  const place = new Map(chosen.map((feature, n) => [feature, n]));
  // A pair is looked at once, for its later feature.
  eachWithPartners(columns, rows, features, ({ feature, products }) => {
    const n = place.get(feature)!;
    chosen.forEach((other, m) => {
      if (other >= feature) return;
      distances[n * items + m] = 1 - correlation(products[other], sums, feature, sums, other);
      distances[m * items + n] = 1 - correlation(products[other], sums, other, sums, feature);
    });
  }, { features: chosen, limit: (feature) => feature });
  return { items, distances };
}

function tokenShares({ id }: Pick<FeatureRecord, "id">): Map<number, number> {
  const shares = new Map<number, number>();
  for (const one of id) shares.set(one, (shares.get(one) ?? 0) + 1 / id.length);
  return shares;
}

function characteristic(
  members: readonly { tokens: readonly { id: number; count: number }[]; fires: number }[],
  base: ReadonlyMap<number, number>,
): FeatureCluster["tokens"] {
  const shares = new Map<number, number>();
  for (const { tokens, fires } of members) {
    for (const { id, count } of tokens) shares.set(id, (shares.get(id) ?? 0) + count / fires / members.length);
  }
  const score = ({ share, share_of_text }: { share: number; share_of_text: number }) =>
    share * Math.log(share / share_of_text);
  return [...shares].map(([id, share]) => ({ id, share, share_of_text: base.get(id)! }))
    .sort((a, b) => score(b) - score(a) || a.id - b.id).slice(0, NAME_TOKENS);
}

/**
 * Finds the pairs of features that fire together more often than by chance.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Features of the dictionary.
 * @param onProgress Hears of the features looked at.
 * @param company What {@link companyOf} gives, where it is there already.
 * @returns The graph.
 */
export function coactivationGraph(
  record: FeatureRecord,
  features: number,
  onProgress?: FeatureProgress,
  { columns, shuffled, shuffledRows }: Company = companyOf(record, features),
): CoactivationGraph {
  const tokens = record.place.length;
  const fires = Uint32Array.from({ length: features }, (_, i) => columns.start[i + 1] - columns.start[i]);
  const often = Array.from(fires.keys()).filter((i) => fires[i] >= LEAST_FIRES);
  const onFeature = featureCounter(2 * often.length, onProgress);
  const nearest = (columns: ActivationColumns, rows: Pick<FeatureRecord, "rowStart" | "index" | "value">) => {
    const kept = new Neighbours(features, MOST_EDGES);
    // A pair is looked at once, for its later feature.
    eachWithPartners(columns, rows, features, ({ feature, partners, together }) => {
      for (const other of partners) {
        const both = together[other];
        if (both < LEAST_TOGETHER || fires[other] < LEAST_FIRES) continue;
        const value = npmi(both, fires[feature], fires[other], tokens);
        kept.offer(feature, other, value);
        kept.offer(other, feature, value);
      }
    }, { features: often, limit: (feature) => feature, onFeature });
    return kept;
  };
  const chance = nearest(shuffled, shuffledRows), found = nearest(columns, record);
  const largest = often.map((i) => chance.largest(i)).map((value) => Number.isFinite(value) ? value : -1);
  const threshold = quantile(largest.sort((a, b) => a - b), PERCENTILE), edges = new Map<string, Edge>();
  for (const feature of often) {
    for (const { feature: other, value } of found.of(feature)) {
      const a = Math.min(feature, other), b = Math.max(feature, other), key = `${a} ${b}`;
      if (value > threshold && !edges.has(key)) edges.set(key, { a, b, npmi: value, together: common(columns, a, b) });
    }
  }
  const sorted = [...edges.values()].sort((x, y) => y.npmi - x.npmi || x.a - y.a || x.b - y.b);
  return { threshold, features: often.length, edges: sorted, ...partsOf(sorted, features) };
}

/** Tokens on which both features fire. */
function common({ start, token }: ActivationColumns, a: number, b: number): number {
  let count = 0;
  for (let i = start[a], j = start[b]; i < start[a + 1] && j < start[b + 1];) {
    if (token[i] < token[j]) i++;
    else if (token[i] > token[j]) j++;
    else {
      count++;
      i++;
      j++;
    }
  }
  return count;
}

/** NPMI of events with these counts among so many. */
function npmi(both: number, a: number, b: number, tokens: number): number {
  return both === tokens ? 1 : Math.log(both * tokens / (a * b)) / Math.log(tokens / both);
}

function partsOf(edges: readonly Edge[], features: number): Pick<CoactivationGraph, "connected" | "largest_part"> {
  const parent = Uint32Array.from({ length: features }, (_, i) => i);
  const root = (i: number): number => parent[i] === i ? i : parent[i] = root(parent[i]);
  for (const { a, b } of edges) parent[root(a)] = root(b);
  const connected = new Set(edges.flatMap(({ a, b }) => [a, b]));
  const parts = Map.groupBy(connected, root);
  return {
    connected: connected.size,
    largest_part: [...parts.values()].reduce((most, { length }) => Math.max(most, length), 0),
  };
}
