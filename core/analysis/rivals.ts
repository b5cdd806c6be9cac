/**
 * Random features to hold chosen ones against: whether a change of these does more than that of any others as active.
 * @module
 */

import { randomGenerator } from "../random.ts";

/** A rival is drawn among so many of the features whose activation mass is nearest. */
const NEAREST = 10;
/** Separates these draws from other uses of the generator. */
const RIVAL_STREAM = 0x72697661;

/**
 * Draws as many other features of similar activation mass: for each chosen one, in random order, one of the 10 whose mass is nearest to its
 * own among those that are neither chosen nor drawn yet.
 *
 * @param mass [features] the sum of each feature's activations.
 * @param chosen The features to hold them against, each once.
 * @param seed Safe integer, not negative.
 * @param draw Which of several draws of one seed.
 * @returns The rivals, ascending; null where there are not enough other features.
 */
export function drawRivals(
  mass: ArrayLike<number>,
  chosen: readonly number[],
  seed: number,
  draw: number,
): number[] | null {
  const random = randomGenerator(seed, RIVAL_STREAM, draw), isChosen = new Set(chosen);
  const others = Array.from(mass, (_, feature) => feature).filter((feature) => !isChosen.has(feature))
    .sort((a, b) => mass[a] - mass[b] || a - b);
  if (others.length < chosen.length) return null;
  const open = [...chosen], rivals: number[] = [];
  while (open.length > 0) {
    const [feature] = open.splice(random.below(open.length), 1);
    const first = firstOfNearest(others.map((other) => mass[other]), mass[feature]);
    const rank = first + random.below(Math.min(NEAREST, others.length));
    rivals.push(...others.splice(rank, 1));
  }
  return rivals.sort((a, b) => a - b);
}

/** Where in ascending masses the nearest ones begin. */
function firstOfNearest(ascending: readonly number[], mass: number): number {
  const last = Math.max(0, ascending.length - NEAREST);
  let first = 0;
  // The window goes on while the one that it would gain is nearer than the one that it would lose.
  while (first < last && ascending[first + NEAREST] - mass < mass - ascending[first]) first++;
  return first;
}
