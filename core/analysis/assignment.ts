/**
 * One-to-one assignment of features to features, from a few candidates of each.
 * @module
 */

/** A pair that may be assigned. */
export interface Candidate {
  /** One of the first side. */
  readonly a: number;
  /** One of the second. */
  readonly b: number;
  /** What the pair is worth, above 0. */
  readonly value: number;
}

/** What a bid goes beyond the second best, as a share of the largest value: the whole is worth at most this less for each pair than the best is. */
const STEP = 1e-4;

/**
 * Pairs both sides so that the values of the pairs are largest in sum; who has no candidate left stays alone. By auction (Bertsekas 1988): each of
 * the first side bids for what is worth most to it after its price, until nobody is outbid.
 *
 * @param candidates Pairs, none of them twice.
 * @param countA How many the first side has.
 * @param countB How many the second side has.
 * @returns [countA] the partner of each, -1 for none. Their sum is within a ten-thousandth of the largest value, for each pair, of the best.
 */
export function assign(candidates: readonly Candidate[], countA: number, countB: number): Int32Array {
  const of: Candidate[][] = Array.from({ length: countA }, () => []);
  let most = 0;
  for (const candidate of candidates) {
    of[candidate.a].push(candidate);
    most = Math.max(most, candidate.value);
  }
  const price = new Float64Array(countB),
    owner = new Int32Array(countB).fill(-1),
    partner = new Int32Array(countA).fill(-1);
  const waiting = Array.from({ length: countA }, (_, a) => countA - 1 - a);
  while (waiting.length > 0) {
    const bidder = waiting.pop()!;
    // To stay alone is worth 0.
    let best: Candidate | null = null, profit = 0, second = 0;
    for (const candidate of of[bidder]) {
      const here = candidate.value - price[candidate.b];
      if (here > profit) [best, second, profit] = [candidate, profit, here];
      else if (here > second) second = here;
    }
    if (best === null) continue;
    price[best.b] += profit - second + STEP * most;
    if (owner[best.b] >= 0) {
      partner[owner[best.b]] = -1;
      waiting.push(owner[best.b]);
    }
    owner[best.b] = bidder;
    partner[bidder] = best.b;
  }
  return partner;
}
