/**
 * Which features are looked for, and in which order.
 * @module
 */

import type { Column, FeatureTable, TokenStream } from "../data.ts";

/** What features can be sorted and filtered by: the columns, and their own numbers. */
export const ORDERS = {
  feature: ({ group }: FeatureTable): Column => numbersOf(group.length),
  density: ({ density }: FeatureTable) => density,
  strength: ({ strength }: FeatureTable) => strength,
  entropy: ({ entropy }: FeatureTable) => entropy,
  fvu_rise: ({ fvu_rise }: FeatureTable) => fvu_rise,
  ce_rise: ({ ce_rise }: FeatureTable) => ce_rise,
  coherence: ({ coherence }: FeatureTable) => coherence,
} as const;
/** One of them. */
export type Order = keyof typeof ORDERS;

let numbers: number[] = [];

function numbersOf(count: number): number[] {
  if (numbers.length !== count) numbers = Array.from({ length: count }, (_, i) => i);
  return numbers;
}

/** What a reader asked for. */
export interface Choice {
  /** What was typed. */
  text: string;
  /** Matryoshka groups, by index. */
  readonly groups: Set<number>;
  /** How many there are. */
  readonly count: number;
  /** A cluster; null for all features. */
  cluster: number | null;
  /** The least and the most of a figure; NaN where an end is open. */
  readonly ranges: Map<Order, readonly [least: number, most: number]>;
  /** What features are sorted by, */
  sort: Order;
  /** and whether the largest comes first. Those without a figure come last either way. */
  descending: boolean;
}

/**
 * The choice of all features, in their order.
 *
 * @param count How many groups there are.
 * @returns It.
 */
export function allOf(count: number): Choice {
  const groups = new Set(Array.from({ length: count }, (_, group) => group));
  return { text: "", groups, count, cluster: null, ranges: new Map(), sort: "feature", descending: false };
}

/**
 * Finds features.
 *
 * @param table All of them.
 * @param tokens The reading set, if there is one: a text is looked for in it.
 * @param choice What is wanted.
 * @returns Their numbers, in the order asked for.
 */
export function chosenFeatures(table: FeatureTable, tokens: TokenStream | null, choice: Choice): number[] {
  const { groups, cluster, ranges, sort, descending } = choice;
  const matches = matching(table, tokens, choice.text.trim() === "" ? "" : choice.text);
  const bounds = [...ranges].map(([order, [least, most]]) => ({ column: ORDERS[order](table), least, most }));
  const within = (feature: number) =>
    bounds.every(({ column, least, most }) => {
      const value = column[feature];
      return value !== null && !(value < least) && !(value > most);
    });
  const isChosen = (feature: number) =>
    groups.has(table.group[feature]) && (cluster === null || table.cluster[feature] === cluster) && within(feature) &&
    matches(feature);
  return orderBy(ORDERS[sort](table), descending).filter(isChosen);
}

/** Orders by a column, rising and falling: to sort tens of thousands of features takes longer than to look through them. */
const sorted = new WeakMap<Column, (readonly number[])[]>();

function orderBy(column: Column, descending: boolean): readonly number[] {
  let known = sorted.get(column);
  if (known === undefined) sorted.set(column, known = []);
  const sign = descending ? -1 : 1;
  return known[Number(descending)] ??= Array.from(column.keys()).sort((a, b) => {
    const x = column[a], y = column[b];
    if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
    return sign * (x - y) || a - b;
  });
}

/**
 * Whether a feature is what was typed: its number, a token that it fires on, or a text that one of its examples is part of. A number in
 * digits alone is both, the feature and the token.
 */
function matching(table: FeatureTable, tokens: TokenStream | null, typed: string): (feature: number) => boolean {
  if (typed === "") return () => true;
  const needle = typed.toLowerCase(), own = typed.trim().replace(/^#/, "");
  const number = /^\d+$/.test(own) ? Number(own) : -1;
  const isToken = Uint8Array.from(table.texts, (text) => Number(text.toLowerCase().includes(needle)));
  const places = tokens === null ? null : placesOf(tokens, needle);
  return (feature) =>
    feature === number ||
    table.tokens[feature].some((id) => isToken[id] === 1) ||
    table.known[feature].some((id, i) => i % 2 === 0 && isToken[id] === 1) ||
    (places !== null && table.examples[feature].some((at) => places[at] === 1));
}

/** Texts of reading sets, in lower case, with where each token begins. */
const joined = new WeakMap<TokenStream, { readonly text: string; readonly starts: Uint32Array }>();

/** [tokens] 1 where a token is part of a text that was looked for; null where it is nowhere. */
function placesOf(tokens: TokenStream, needle: string): Uint8Array | null {
  let known = joined.get(tokens);
  if (known === undefined) {
    const starts = new Uint32Array(tokens.id.length + 1), pieces = tokens.texts.map((text) => text.toLowerCase());
    tokens.id.forEach((id, t) => starts[t + 1] = starts[t] + pieces[id].length);
    known = { text: tokens.id.map((id) => pieces[id]).join(""), starts };
    joined.set(tokens, known);
  }
  const { text, starts } = known, found = new Uint8Array(tokens.id.length);
  let token = 0, at = text.indexOf(needle);
  if (at < 0) return null;
  for (; at >= 0; at = text.indexOf(needle, at + 1)) {
    while (starts[token + 1] <= at) token++;
    for (let t = token; t < found.length && starts[t] < at + needle.length; t++) found[t] = 1;
  }
  return found;
}
