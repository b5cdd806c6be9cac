/** Records of planted worlds: features that fire where a rule says so, on tokens in contexts. */

import type { FeatureRecord } from "../../core/analysis/record.ts";
import { uniform } from "../random.ts";

/** What a feature does: its activation on each token, 0 where it does not fire. */
export type Rule = (token: number) => number;

export const CONTEXT = 33;

/** A record of as many whole contexts as hold `tokens`, without BOS. The target is zero and every prefix leaves less of it. */
export function plantedRecord(groups: readonly number[], tokens: number, rules: readonly Rule[]): FeatureRecord {
  const perContext = CONTEXT - 1, rowStart = [0], index: number[] = [], value: number[] = [];
  for (let t = 0; t < tokens; t++) {
    rules.forEach((rule, i) => {
      const activation = Math.fround(rule(t));
      if (!(activation > 0)) return;
      index.push(i);
      value.push(activation);
    });
    rowStart.push(index.length);
  }
  const each = (of: (t: number) => number) => Uint32Array.from({ length: tokens }, (_, t) => of(t));
  const prefixes = groups.length;
  return {
    groups,
    context: CONTEXT,
    documents: [{ name: "planted", split: "train" }],
    place: each((t) => Math.floor(t / perContext) * CONTEXT + 1 + t % perContext),
    id: each((t) => t % 50),
    tokenTexts: new Map(Array.from({ length: 51 }, (_, id) => [id, `t${id}`])),
    document: each(() => 0),
    position: each((t) => t),
    rowStart: Uint32Array.from(rowStart),
    index: Uint32Array.from(index),
    value: Float32Array.from(value),
    targetSquares: new Float32Array(tokens).fill(1),
    residualSquares: Float32Array.from({ length: tokens * prefixes }, (_, at) => 1 / (2 + at % prefixes)),
    targetVariation: tokens,
    errorRemoved: new Float32Array(rules.length * prefixes),
  };
}

/** A fixed random number in [0, 1) for a token of a stream. */
export function chanceOf(seed: number, tokens: number): Float64Array {
  const next = uniform(seed);
  return Float64Array.from({ length: tokens }, next);
}

/** A feature that fires on a share of the tokens, in bursts: whole contexts are livelier than others. */
export function bursty(seed: number, tokens: number, density: number): Rule {
  const each = chanceOf(seed, tokens), lively = chanceOf(seed + 1_000_003, Math.ceil(tokens / (CONTEXT - 1)));
  return (t) => each[t] < density * (lively[Math.floor(t / (CONTEXT - 1))] < 0.25 ? 3.4 : 0.2) ? 1 + each[t] : 0;
}
