/**
 * A record of the same features without their company: each one's contexts are shuffled by themselves.
 * @module
 */

import { permutation, type RandomGenerator } from "../random.ts";
import { type ActivationColumns, contextStarts, type RecordedTokens } from "./record.ts";

/**
 * Shuffles the contexts of each feature anew. It keeps how often, how strongly and in what bursts each fires; nothing is left of when others do.
 * Contexts of the commonest length change places among each other; features keep what they do in the others.
 *
 * @param columns Activations by feature.
 * @param tokens The tokens of the record.
 * @param random Where the orders come from.
 * @returns Activations by feature, tokens ascending within each.
 */
export function shuffledColumns(
  { start, token, value }: ActivationColumns,
  tokens: Pick<RecordedTokens, "place" | "context">,
  random: RandomGenerator,
): ActivationColumns {
  const starts = contextStarts(tokens), lengths = starts.slice(1).map((end, c) => end - starts[c]);
  const byLength = Map.groupBy(lengths.keys(), (c) => lengths[c]);
  const usual = [...byLength.values()].reduce((most, contexts) => contexts.length > most.length ? contexts : most);
  const contextOf = new Uint32Array(tokens.place.length);
  for (let c = 0; c < lengths.length; c++) contextOf.fill(c, starts[c], starts[c + 1]);
  const shuffled = {
    start: start.slice(),
    token: new Uint32Array(token.length),
    value: new Float32Array(value.length),
  };
  // Which context comes to stand in each one's place.
  const from = Uint32Array.from(lengths.keys()), entries = new Uint32Array(lengths.length + 1);
  for (let i = 0; i + 1 < start.length; i++) {
    const order = permutation(usual.length, random);
    usual.forEach((c, rank) => from[usual[order[rank]]] = c);
    entries.fill(0);
    for (let at = start[i]; at < start[i + 1]; at++) entries[contextOf[token[at]] + 1]++;
    for (let c = 0; c < lengths.length; c++) entries[c + 1] += entries[c];
    let to = start[i];
    for (let c = 0; c < lengths.length; c++) {
      const moved = starts[c] - starts[from[c]];
      for (let n = entries[from[c]]; n < entries[from[c] + 1]; n++, to++) {
        shuffled.token[to] = token[start[i] + n] + moved;
        shuffled.value[to] = value[start[i] + n];
      }
    }
  }
  return shuffled;
}
