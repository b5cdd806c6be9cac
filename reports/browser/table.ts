/**
 * All features of a transcoder as columns of figures, for the browser's table.
 * @module
 */

import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import type { Hierarchy } from "../../core/analysis/hierarchy.ts";
import { featureCount, groupOf } from "../../core/transcoder/shape.ts";
import type { Column, FeatureTable, Lists } from "./data.ts";
import { exampleTokens, type Recorded } from "./examples.ts";
import { figureOf, type Held, type Overviewed } from "./explored.ts";

/** Numbers texts as they come. */
class Texts {
  readonly texts: string[] = [];
  readonly #numbers = new Map<string, number>();

  /** The number of a text, a new one where it is new. */
  numberOf(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.texts.push(text) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }
}

/** Puts lists one behind the other. */
function listsOf(lists: readonly (readonly number[])[]): Lists {
  const start = new Uint32Array(lists.length + 1);
  lists.forEach(({ length }, n) => start[n + 1] = start[n] + length);
  const item = new Uint32Array(start[lists.length]);
  lists.forEach((list, n) => item.set(list, start[n]));
  return { start, item };
}

/**
 * Makes the table.
 *
 * @param held What the run holds.
 * @param overviewed What was computed from its record; null without one, then strength, density and tokens are those of the final pass.
 * @returns The columns.
 */
export function tableOf(held: Held, overviewed: Overviewed | null): FeatureTable {
  const { config: { groups }, features: rows, importance, coherence, recorded } = held, texts = new Texts();
  const count = featureCount(groups), all = Array.from({ length: count }, (_, i) => i);
  const column = (of: (feature: number) => number | null | undefined): Column =>
    Float32Array.from(all, (i) => figureOf(of(i)) ?? NaN);
  const own = overviewed?.overview.features,
    textOf = (id: number) => texts.numberOf(recorded!.record.tokenTexts.get(id)!);
  const coherences = new Map(coherence?.features.map(({ feature, coherence }) => [feature, coherence]));
  const clusterOf = new Map(overviewed?.clusters.clusters.flatMap(({ features }, n) => features.map((i) => [i, n])));
  const parents = overviewed?.hierarchy?.parents;
  const known = overviewed
    ? overviewed.known.map((tokens) => tokens.map(({ id, share }) => ({ text: textOf(id), share })))
    : all.map((i) => knownIn(rows?.[i], texts));
  return {
    group: Uint16Array.from(all, (i) => groupOf(groups, i)),
    known: {
      ...listsOf(known.map((tokens) => tokens.map(({ text }) => text))),
      share: Uint8Array.from(known.flat(), ({ share }) => Math.round(100 * share)),
    },
    tokens: listsOf(all.map((i) => own ? own[i].tokens.map(({ id }) => textOf(id)) : [])),
    texts: texts.texts,
    density: column((i) => (own ?? rows)?.[i].density),
    strength: column((i) => (own ?? rows)?.[i].max_activation),
    entropy: column((i) => own ? own[i].token_entropy : rows?.[i].token_entropy_bits),
    fvu_rise: column((i) => own?.[i].fvu_rise),
    ce_rise: column((i) => importance?.features[i]?.effect?.ce_rise),
    coherence: column((i) => coherences.get(i)),
    cluster: Int32Array.from(all, (i) => clusterOf.get(i) ?? -1),
    clusters: (overviewed?.clusters.clusters ?? []).map(({ tokens, features }) => {
      return { tokens: tokens.map(({ id }) => recorded!.record.tokenTexts.get(id)!), features: features.length };
    }),
    tree: overviewed?.hierarchy ? treeOf(overviewed.hierarchy) : null,
    parent: Int32Array.from(all, (i) => parents?.[i]?.parent ?? -1),
    lift: column((i) => parents?.[i]?.lift),
  };
}

/** What a feature is known by in the final pass; the share is 0 where only its commonest token among the samples is known. */
function knownIn(row: FeatureRow | undefined, texts: Texts): { readonly text: number; readonly share: number }[] {
  if (!row || row.dead) return [];
  if (!Number.isNaN(row.main_token_id)) return [{ text: texts.numberOf(row.main_token), share: row.main_token_share }];
  return Number.isNaN(row.top_token_id) ? [] : [{ text: texts.numberOf(row.top_token), share: 0 }];
}

/**
 * Tells where the examples of features stand.
 *
 * @param recorded The record.
 * @returns Indices of its tokens, ascending for each feature.
 */
export function examplesOfAll(recorded: Recorded): Lists {
  const { start } = recorded.columns;
  return listsOf(Array.from({ length: start.length - 1 }, (_, feature) => exampleTokens(recorded, feature)));
}

function treeOf({ nested: { judged, kept }, by_density, families }: Hierarchy): FeatureTable["tree"] {
  const splits = families.filter(({ is_split }) => is_split).length;
  return { judged, kept, by_density: figureOf(by_density.share), splits };
}
