/**
 * All features of a transcoder as columns of figures, for the browser's table.
 * @module
 */

import type { Hierarchy } from "../../core/analysis/hierarchy.ts";
import { featureCount, groupOf } from "../../core/transcoder/shape.ts";
import type { Column, FeatureTable } from "./data.ts";
import { exampleTokens } from "./examples.ts";
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
  const column = (of: (feature: number) => number | null | undefined): Column => all.map((i) => figureOf(of(i)));
  const own = overviewed?.overview.features,
    textOf = (id: number) => texts.numberOf(recorded!.record.tokenTexts.get(id)!);
  const coherences = new Map(coherence?.features.map(({ feature, coherence }) => [feature, coherence]));
  const clusterOf = new Map(overviewed?.clusters.clusters.flatMap(({ features }, n) => features.map((i) => [i, n])));
  const parents = overviewed?.hierarchy?.parents;
  return {
    group: all.map((i) => groupOf(groups, i)),
    known: overviewed
      ? overviewed.known.map((tokens) => tokens.flatMap(({ id, share }) => [textOf(id), Math.round(100 * share)]))
      : all.map((i) => {
        const row = rows?.[i];
        if (!row || row.dead) return [];
        return Number.isNaN(row.main_token_id)
          ? Number.isNaN(row.top_token_id) ? [] : [texts.numberOf(row.top_token), 0]
          : [texts.numberOf(row.main_token), Math.round(100 * row.main_token_share)];
      }),
    tokens: all.map((i) => own ? own[i].tokens.map(({ id }) => textOf(id)) : []),
    texts: texts.texts,
    density: column((i) => (own ?? rows)?.[i].density),
    strength: column((i) => (own ?? rows)?.[i].max_activation),
    entropy: column((i) => own ? own[i].token_entropy : rows?.[i].token_entropy_bits),
    fvu_rise: column((i) => own?.[i].fvu_rise),
    ce_rise: column((i) => importance?.features[i]?.effect?.ce_rise),
    coherence: column((i) => coherences.get(i)),
    cluster: column((i) => clusterOf.get(i)),
    clusters: (overviewed?.clusters.clusters ?? []).map(({ tokens, features }) => {
      return { tokens: tokens.map(({ id }) => recorded!.record.tokenTexts.get(id)!), features: features.length };
    }),
    tree: overviewed?.hierarchy ? treeOf(overviewed.hierarchy) : null,
    parent: all.map((i) => parents?.[i]?.parent ?? null),
    lift: column((i) => parents?.[i]?.lift),
    examples: recorded === null ? [] : all.map((i) => exampleTokens(recorded, i)),
  };
}

function treeOf({ nested: { judged, kept }, by_density, families }: Hierarchy): FeatureTable["tree"] {
  const splits = families.filter(({ is_split }) => is_split).length;
  return { judged, kept, by_density: figureOf(by_density.share), splits };
}
