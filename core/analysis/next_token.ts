/**
 * Distributions over the next token: what a change of the model makes of one, and choosing a token by it.
 * @module
 */

import { randomGenerator } from "../random.ts";
import { Largest } from "./largest.ts";

/** A token whose probability a change has moved. */
export interface MovedToken {
  /** Its id. */
  token_id: number;
  /** Its probability without the change, */
  before: number;
  /** and with it. */
  after: number;
}

/** What a change makes of the distribution over the next token. */
export interface MovedTokens {
  /** The most probable token without the change, */
  most_probable_before: MovedToken;
  /** and with it. */
  most_probable_after: MovedToken;
  /** Those whose probability has moved the most, the farthest first. */
  movers: MovedToken[];
}

/**
 * The softmax of logits, in float64.
 *
 * @param logits One per token of the vocabulary.
 * @returns Probabilities, which sum to 1.
 */
export function probabilitiesOf(logits: Float32Array): Float64Array {
  const largest = logits[greedily(logits)];
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * Compares two distributions over the next token.
 *
 * @param before The logits without the change.
 * @param after Those with it.
 * @param most The most movers to name.
 * @returns The most probable token of both, and the movers: fewer where fewer have moved at all; of equal ones the lower id first.
 */
export function movedTokens(before: Float32Array, after: Float32Array, most: number): MovedTokens {
  const p = probabilitiesOf(before), q = probabilitiesOf(after);
  const moved = (token_id: number) => ({ token_id, before: p[token_id], after: q[token_id] });
  const farthest = new Largest<number>(most);
  for (let token = 0; token < p.length; token++) {
    if (p[token] !== q[token]) farthest.add(token, Math.abs(q[token] - p[token]));
  }
  return {
    most_probable_before: moved(greedily(before)),
    most_probable_after: moved(greedily(after)),
    movers: farthest.items.map(moved),
  };
}

/** What a change makes of the mean distribution over the next token. */
export interface MeanMoves {
  /** How much probability it moves from some tokens to others: half the sum of the absolute differences. */
  moved: number;
  /** The tokens that gain the most, the most first, */
  gained: MovedToken[];
  /** and those that lose the most. */
  lost: MovedToken[];
}

/**
 * Compares two mean distributions over the next token.
 *
 * @param before [vocabulary] The probabilities without the change, summed over predictions.
 * @param after Those with it.
 * @param predictions How many predictions these are, at least one.
 * @param most The most tokens to name of either kind.
 * @returns Mean probabilities: fewer where fewer have gained or lost at all; of equal ones the lower id first.
 */
export function meanMoves(before: Float64Array, after: Float64Array, predictions: number, most: number): MeanMoves {
  const gained = new Largest<MovedToken>(most), lost = new Largest<MovedToken>(most);
  let moved = 0;
  before.forEach((sum, token_id) => {
    const token = { token_id, before: sum / predictions, after: after[token_id] / predictions };
    const gain = token.after - token.before;
    moved += Math.abs(gain) / 2;
    if (gain > 0) gained.add(token, gain);
    if (gain < 0) lost.add(token, -gain);
  });
  return { moved, gained: gained.items, lost: lost.items };
}

/**
 * Chooses the next token.
 *
 * @param logits One per token of the vocabulary.
 * @param step How many tokens were chosen before.
 * @returns The token's id.
 */
export type ChooseToken = (logits: Float32Array, step: number) => number;

/** The most probable token, the lowest id among equals. */
export function greedily(logits: Float32Array): number {
  return logits.reduce((best, logit, token) => logit > logits[best] ? token : best, 0);
}

/** Separates these draws from other uses of the generator. */
const SAMPLING_STREAM = 0x73616d70;

/**
 * Samples from softmax(logits / temperature): the token with the largest logit / temperature + noise, the noise of each token of the
 * vocabulary being its own draw of Gumbel's distribution at each step (Gumbel-max). The noise is the same for every model, so that two models
 * choose differently only where their distributions differ.
 *
 * @param temperature Above 0.
 * @param seed Safe integer, not negative.
 * @returns What chooses; the same for equal seeds.
 */
export function sampled(temperature: number, seed: number): ChooseToken {
  return (logits, step) => {
    const random = randomGenerator(seed, SAMPLING_STREAM, step);
    // Float64: in f32 the noise of likely tokens would be rounded.
    let best = 0, largest = -Infinity;
    for (let token = 0; token < logits.length; token++) {
      const score = logits[token] / temperature - Math.log(-Math.log(random.float()));
      if (score > largest) [best, largest] = [token, score];
    }
    return best;
  };
}
