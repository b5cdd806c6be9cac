/**
 * The largest clusters as a matrix: how alike their features write and how alike they fire, features of one cluster beside each other. Clusters
 * are made of firing alone, so that what their features write can say whether they belong together or not.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { correlationDistances, type FeatureClusters } from "./clusters.ts";
import { cosine, type Directions } from "./directions.ts";
import type { ActivationColumns, TokenRows } from "./record.ts";
import { moments } from "./statistics.ts";

/** Features in the matrix, and of one cluster, at most. */
const MOST = 120, OF_A_CLUSTER = 24;

/** How often features are dealt out to clusters anew. */
const DEALS = 100;

/** Separates the deals from other draws. */
const DEAL_STREAM = 0x6465616c;

/** Some features of the largest clusters, beside each other. */
export interface ClusterMatrix {
  /** [n] the features, cluster by cluster, in the order of the tree. */
  readonly features: readonly number[];
  /** [n] the cluster of each: an index of {@link FeatureClusters.clusters}. */
  readonly clusters: readonly number[];
  /** [n, n] cosines of their decoder rows. */
  readonly cosine: Float32Array;
  /** [n, n] correlations of their activations. */
  readonly correlation: Float32Array;
}

/** How alike features of one cluster write. */
export interface WrittenAlike {
  /** Mean decoder cosine of two features of one cluster, over all such pairs. */
  readonly within: number;
  /** Its mean once the same features are dealt out to clusters of the same sizes anew. */
  readonly by_chance: number;
  /** The standard deviation of that. */
  readonly by_chance_std: number;
}

/**
 * Puts the largest clusters beside each other: as many as have 120 features together, of each those that fire most, up to 24.
 *
 * @param rows All activations by token.
 * @param columns The same by feature.
 * @param decoder Decoder rows.
 * @param found The clusters.
 * @returns The matrix; of no feature where there is no cluster.
 */
export function clusterMatrix(
  rows: TokenRows,
  columns: ActivationColumns,
  decoder: Directions,
  { clusters: found, order }: Pick<FeatureClusters, "clusters" | "order">,
): ClusterMatrix {
  const clusterOf = new Map<number, number>();
  for (const [n, { features }] of found.entries()) {
    const shown = features.slice(0, OF_A_CLUSTER);
    if (clusterOf.size + shown.length > MOST) break;
    for (const feature of shown) clusterOf.set(feature, n);
  }
  const features = order.filter((feature) => clusterOf.has(feature)).sort((a, b) =>
    clusterOf.get(a)! - clusterOf.get(b)!
  );
  const n = features.length, matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) matrix[i * n + j] = cosine(decoder, features[i], features[j]);
  const { distances } = correlationDistances(columns, rows, features, rows.rowStart.length - 1);
  return {
    ...{ features, cosine: matrix },
    clusters: features.map((feature) => clusterOf.get(feature)!),
    correlation: distances.map((distance) => 1 - distance),
  };
}

/**
 * Asks whether features of one cluster write alike.
 *
 * @param decoder Decoder rows.
 * @param found The clusters.
 * @returns Their mean cosine, beside that of features dealt out anew; NaN where there is no cluster.
 */
export function writtenAlike(
  { rows, width }: Directions,
  { clusters }: Pick<FeatureClusters, "clusters">,
): WrittenAlike {
  const members = clusters.flatMap(({ features }) => features), sum = new Float64Array(width);
  const pairs = clusters.reduce((sum, { features: { length } }) => sum + length * (length - 1), 0);
  // Of n unit rows the cosines of all ordered pairs sum to |sum of rows|^2 less those of each with itself.
  const mean = (order: readonly number[]) => {
    let all = 0, at = 0;
    for (const { features: { length } } of clusters) {
      sum.fill(0);
      for (const end = at + length; at < end; at++) {
        for (let c = 0, first = order[at] * width; c < width; c++) {
          sum[c] += rows[first + c];
          all -= rows[first + c] ** 2;
        }
      }
      for (const value of sum) all += value * value;
    }
    return all / pairs;
  };
  const dealt = Array.from({ length: DEALS }, (_, n) => {
    return mean(Array.from(permutation(members.length, randomGenerator(0, DEAL_STREAM, n)), (at) => members[at]));
  });
  const chance = moments(dealt);
  return { within: mean(members), by_chance: chance.mean, by_chance_std: chance.std };
}
