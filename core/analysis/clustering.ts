/**
 * Agglomerative clustering with average linkage, and how well a clustering separates what it clusters.
 * @module
 */

/** Distances of all pairs of some items. */
export interface DistanceMatrix {
  /** How many items. */
  readonly items: number;
  /** [items, items] symmetric, 0 on the diagonal. */
  readonly distances: Float32Array<ArrayBuffer>;
}

/** Two clusters that become one. */
export interface Merge {
  /** One: an item below `items`, or items + n for what merge n made; the lower number. */
  readonly a: number;
  /** The other. */
  readonly b: number;
  /** The mean distance between the items of both. */
  readonly distance: number;
  /** Items of both together. */
  readonly size: number;
}

/**
 * Merges the nearest clusters again and again, the distance of two being the mean over all pairs of their items (UPGMA; by chains of nearest
 * neighbours, Murtagh 1983, in time of the square of the items).
 *
 * @param matrix Their distances; it is overwritten.
 * @returns items - 1 merges, by rising distance.
 */
export function averageLinkage({ items, distances }: DistanceMatrix): Merge[] {
  const sizes = new Uint32Array(items).fill(1), isAlive = new Uint8Array(items).fill(1);
  const chain: number[] = [], found: { i: number; j: number; distance: number }[] = [];
  for (let left = items; left > 1;) {
    if (chain.length === 0) chain.push(isAlive.indexOf(1));
    const end = chain[chain.length - 1], before = chain.at(-2) ?? -1;
    // The one before in the chain comes first, so that equal distances end the chain.
    let nearest = before, least = before < 0 ? Infinity : distances[end * items + before];
    for (let other = 0; other < items; other++) {
      if (isAlive[other] === 0 || other === end) continue;
      const distance = distances[end * items + other];
      if (distance < least) [nearest, least] = [other, distance];
    }
    if (nearest !== before) {
      chain.push(nearest);
      continue;
    }
    chain.length -= 2;
    found.push({ i: Math.min(end, before), j: Math.max(end, before), distance: least });
    join(distances, items, sizes, isAlive, Math.min(end, before), Math.max(end, before));
    left--;
  }
  return numbered(found, items);
}

/** Cluster i takes j in: its distances become the means over the items of both. */
function join(d: Float32Array, items: number, sizes: Uint32Array, isAlive: Uint8Array, i: number, j: number): void {
  const all = sizes[i] + sizes[j];
  for (let other = 0; other < items; other++) {
    if (isAlive[other] === 0 || other === i || other === j) continue;
    const mean = (sizes[i] * d[i * items + other] + sizes[j] * d[j * items + other]) / all;
    d[i * items + other] = d[other * items + i] = mean;
  }
  sizes[i] = all;
  isAlive[j] = 0;
}

/** Chains find merges out of order; sorted, each cluster is called by the merge that made it. */
function numbered(found: readonly { i: number; j: number; distance: number }[], items: number): Merge[] {
  const parent = Uint32Array.from({ length: items }, (_, i) => i), size = new Uint32Array(items).fill(1);
  const name = Uint32Array.from({ length: items }, (_, i) => i);
  return found.toSorted((x, y) => x.distance - y.distance).map(({ i, j, distance }, n) => {
    const a = rootOf(parent, i), b = rootOf(parent, j), names = [name[a], name[b]];
    parent[b] = a;
    size[a] += size[b];
    name[a] = items + n;
    return { a: Math.min(...names), b: Math.max(...names), distance, size: size[a] };
  });
}

function rootOf(parent: Uint32Array, item: number): number {
  while (parent[item] !== item) item = parent[item] = parent[parent[item]];
  return item;
}

/**
 * Cuts the tree of merges into clusters.
 *
 * @param merges From {@link averageLinkage}.
 * @param count How many clusters there are to be, from 1 to the number of items.
 * @returns [items] the cluster of each, numbered from 0 by falling size, equal sizes by their first item.
 */
export function cutTree(merges: readonly Merge[], count: number): Uint32Array {
  const items = merges.length + 1, parent = Uint32Array.from({ length: 2 * items - 1 }, (_, i) => i);
  merges.slice(0, items - count).forEach(({ a, b }, n) => parent[a] = parent[b] = items + n);
  const members = Map.groupBy(Array(items).keys(), (item) => rootOf(parent, item)), clusters = new Uint32Array(items);
  const sorted = [...members.values()].sort((x, y) => y.length - x.length || x[0] - y[0]);
  sorted.forEach((cluster, number) => cluster.forEach((item) => clusters[item] = number));
  return clusters;
}

/**
 * An order of the items in which each cluster stands together, at every cut.
 *
 * @param merges From {@link averageLinkage}.
 * @returns [items] the items, the larger cluster of each merge first.
 */
export function leafOrder(merges: readonly Merge[]): number[] {
  const items = merges.length + 1,
    order: number[] = [],
    size = (node: number) => node < items ? 1 : merges[node - items].size;
  const waiting = [2 * items - 2];
  while (waiting.length > 0) {
    const node = waiting.pop()!;
    if (node < items) {
      order.push(node);
      continue;
    }
    const { a, b } = merges[node - items];
    waiting.push(...size(a) >= size(b) ? [b, a] : [a, b]);
  }
  return order;
}

/**
 * The silhouette of each item (Rousseeuw 1987): (b - a) / max(a, b), where a is its mean distance from the others of its cluster, and b the
 * least of its mean distances from other clusters; 0 for one that is alone.
 *
 * @param matrix The items' distances.
 * @param clusters [items] the cluster of each, from 0 without gaps; two at least.
 * @returns [items] from -1 to 1.
 */
export function silhouettes(matrix: DistanceMatrix, clusters: Uint32Array): Float64Array {
  return nestedSilhouettes(matrix, [clusters])[0];
}

/**
 * The {@link silhouettes} of several cuts through one tree. An item's distances are summed once, by the clusters of the finest cut; those of
 * the others are sums of these.
 *
 * @param matrix The items' distances.
 * @param cuts The clusters of each cut, the coarsest first: those of the next lie in its own.
 * @param onItem Called after each item.
 * @returns [cuts][items]
 */
export function nestedSilhouettes(
  { items, distances }: DistanceMatrix,
  cuts: readonly Uint32Array[],
  onItem?: () => void,
): Float64Array[] {
  const levels = cuts.map((clusters, cut) => {
    const sizes = sizesOf(clusters),
      finer = cuts.at(cut + 1),
      inside = new Uint32Array(finer ? sizesOf(finer).length : 0);
    finer?.forEach((cluster, item) => inside[cluster] = clusters[item]);
    return { clusters, sizes, inside, sums: new Float64Array(sizes.length), each: new Float64Array(items) };
  });
  const finest = levels[levels.length - 1];
  for (let item = 0; item < items; item++) {
    finest.sums.fill(0);
    for (let other = 0; other < items; other++) finest.sums[finest.clusters[other]] += distances[item * items + other];
    for (let cut = levels.length - 1; cut >= 0; cut--) {
      const { clusters, sizes, inside, sums, each } = levels[cut];
      if (cut < levels.length - 1) {
        sums.fill(0);
        levels[cut + 1].sums.forEach((sum, cluster) => sums[inside[cluster]] += sum);
      }
      each[item] = silhouette(sums, sizes, clusters[item]);
    }
    onItem?.();
  }
  return levels.map(({ each }) => each);
}

function sizesOf(clusters: Uint32Array): Uint32Array {
  const sizes = new Uint32Array(clusters.reduce((most, cluster) => Math.max(most, cluster), 0) + 1);
  for (const cluster of clusters) sizes[cluster]++;
  return sizes;
}

/** Of an item of the cluster `own`, from the sums of its distances to all clusters. */
function silhouette(sums: Float64Array, sizes: Uint32Array, own: number): number {
  if (sizes[own] === 1) return 0;
  const within = sums[own] / (sizes[own] - 1);
  let nearest = Infinity;
  for (let cluster = 0; cluster < sizes.length; cluster++) {
    if (cluster !== own) nearest = Math.min(nearest, sums[cluster] / sizes[cluster]);
  }
  const largest = Math.max(within, nearest);
  return largest > 0 ? (nearest - within) / largest : 0;
}
