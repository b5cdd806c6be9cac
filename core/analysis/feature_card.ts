/**
 * What tools show of a feature: how often and how strongly it fires, and examples of it from its strongest firings down to its weakest.
 * @module
 */

import { type ActivationColumns, columnsOf, type FeatureRecord } from "./record.ts";
import { characteristicTokens } from "./token_profile.ts";

/** Tokens shown on either side of the one that fires, as far as its context goes. */
const RADIUS = 24;
/** Examples of the strongest firings, each of another context, and of each band below. */
const TOP = 20, PER_BAND = 5;
/** Bands of firings by their rank, the strongest first. */
const BANDS = 4;
/** Equal bins from 0 to the largest activation. */
const BINS = 40;
/** Percentiles of the activations that are told. */
const PERCENTILES = 100;

/** A firing among the tokens around it. */
export interface CardExample {
  /** The token that fires: an index of {@link tokens}. */
  readonly at: number;
  /** The tokens: indices of the record's, of one context. */
  readonly tokens: readonly number[];
  /** The feature's activation on each; 0 where it does not fire. */
  readonly activations: readonly number[];
  /** Whether the same text has been among the examples before. */
  readonly isRepeated: boolean;
}

/** Examples whose activations are alike. */
export interface CardBand {
  /** The largest and the least activation of the band, */
  readonly most: number;
  /** of all firings in it. */
  readonly least: number;
  /** Share of the feature's firings in it; 0 for the strongest ones, which are looked at apart. */
  readonly share: number;
  /** Some of them. */
  readonly examples: readonly CardExample[];
}

/** One feature on a reading set. */
export interface FeatureCard {
  /** Its index. */
  readonly feature: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** Share of all tokens. */
  readonly density: number;
  /** Its largest activation; 0 where it never fires. */
  readonly max: number;
  /** How many activations are in each of 40 equal bins from 0 to {@link max}; empty where it never fires. */
  readonly histogram: readonly number[];
  /** Percentiles 1 to 100 of its activations where it fires; empty where it never does. */
  readonly percentiles: readonly number[];
  /** Its strongest firings, then four bands of a quarter of all firings each, the strongest first; empty where it never fires. */
  readonly bands: readonly CardBand[];
  /** Ids of up to three tokens that it is known by. */
  readonly knownBy: readonly number[];
}

/**
 * Goes through the features of a record.
 *
 * @param record What the dictionary does on a reading set.
 * @param features How many features to show, from the first.
 * @yields Their cards, in the dictionary's order.
 */
export function* featureCards(record: FeatureRecord, features: number): Generator<FeatureCard> {
  const all = record.groups.reduce((sum, size) => sum + size, 0), columns = columnsOf(record, all);
  const known = characteristicTokens(columns, record), dense = new Float32Array(record.place.length);
  for (let feature = 0; feature < features; feature++) {
    const knownBy = known[feature].map(({ id }) => id);
    yield cardOf(record, columns, feature, knownBy, dense);
  }
}

function cardOf(
  record: FeatureRecord,
  { start, token, value }: ActivationColumns,
  feature: number,
  knownBy: readonly number[],
  dense: Float32Array,
): FeatureCard {
  const [first, end] = [start[feature], start[feature + 1]], fires = end - first, density = fires / record.place.length;
  if (fires === 0) {
    return { feature, fires, density, max: 0, histogram: [], percentiles: [], bands: [], knownBy };
  }
  const falling = Array.from({ length: fires }, (_, i) => first + i).sort((a, b) => value[b] - value[a] || a - b);
  const max = value[falling[0]], histogram = new Array<number>(BINS).fill(0);
  for (const e of falling) histogram[Math.min(BINS - 1, Math.floor(value[e] / max * BINS))]++;
  for (let e = first; e < end; e++) dense[token[e]] = value[e];
  const seen = new Set<string>();
  const bandOf = (from: number, to: number, chosen: readonly number[], share: number): CardBand => ({
    most: value[falling[from]],
    least: value[falling[to - 1]],
    share,
    examples: chosen.map((e) => exampleAt(record, token[e], dense, seen)),
  });
  const strongest = ofOtherContexts(record, falling.map((e) => token[e]), TOP).map((rank) => falling[rank]);
  const bands = [bandOf(0, fires, strongest, 0)];
  for (let b = 0; b < BANDS; b++) {
    const from = Math.floor(b * fires / BANDS), to = Math.floor((b + 1) * fires / BANDS), count = to - from;
    if (count === 0) continue;
    const wanted = Math.min(PER_BAND, count);
    const spread = Array.from({ length: wanted }, (_, n) => falling[from + Math.floor((n + 0.5) * count / wanted)]);
    bands.push(bandOf(from, to, spread, count / fires));
  }
  for (let e = first; e < end; e++) dense[token[e]] = 0;
  return {
    ...{ feature, fires, density, max, histogram, bands, knownBy },
    percentiles: Array.from({ length: PERCENTILES }, (_, p) => {
      return value[falling[fires - Math.ceil((p + 1) * fires / PERCENTILES)]];
    }),
  };
}

/** The first ranks that are each of another context. */
function ofOtherContexts({ place, context }: FeatureRecord, tokens: readonly number[], most: number): number[] {
  const seen = new Set<number>(), ranks: number[] = [];
  for (let rank = 0; rank < tokens.length && ranks.length < most; rank++) {
    const here = Math.floor(place[tokens[rank]] / context);
    if (seen.has(here)) continue;
    seen.add(here);
    ranks.push(rank);
  }
  return ranks;
}

function exampleAt(
  { place, context, id }: FeatureRecord,
  at: number,
  dense: Float32Array,
  seen: Set<string>,
): CardExample {
  const contextOf = (token: number) => Math.floor(place[token] / context), here = contextOf(at);
  let first = at, last = at;
  while (first > 0 && at - first < RADIUS && contextOf(first - 1) === here) first--;
  while (last + 1 < place.length && last - at < RADIUS && contextOf(last + 1) === here) last++;
  const tokens = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const text = tokens.map((token) => id[token]).join(), isRepeated = seen.has(text);
  seen.add(text);
  return { at: at - first, tokens, activations: tokens.map((token) => dense[token]), isRepeated };
}
