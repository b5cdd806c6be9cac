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
  const to = Uint32Array.from(lengths, (_, c) => starts[c]);
  for (let i = 0; i + 1 < start.length; i++) {
    const order = permutation(usual.length, random);
    usual.forEach((c, rank) => to[c] = starts[usual[order[rank]]]);
    const entries = Array.from({ length: start[i + 1] - start[i] }, (_, n) => {
      const at = start[i] + n, context = contextOf[token[at]];
      return { token: to[context] + token[at] - starts[context], value: value[at] };
    }).sort((a, b) => a.token - b.token);
    entries.forEach((entry, n) => {
      shuffled.token[start[i] + n] = entry.token;
      shuffled.value[start[i] + n] = entry.value;
    });
  }
  return shuffled;
}
