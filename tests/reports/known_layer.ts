/** Layers of which everything is known, made up: what a page says of them is seen from the figures alone. */

import type { LayerAnalysis, LayerFeature } from "../../core/analysis/layer.ts";
import { median } from "../../core/analysis/statistics.ts";
import type { KnownLayer } from "../../reports/findings/finding.ts";

/** What makes one layer differ from another. */
export interface MadeUp {
  /** R2 of the token, of each feature. */
  r2s?: readonly number[];
  /** Features that lie close to the limit. */
  close?: number;
  /** The rank correlation with the share of attention. */
  attention?: number;
  /** Shares of embedding and earlier MLPs, each with half of its interval. */
  shares?: readonly [embedding: number, mlps: number, half: number];
  /** Cosines of what features read and write. */
  cosines?: readonly number[];
  /** Coherence of each judged feature, where 0.3 is the limit. */
  coherence?: readonly number[];
  /** Features of the nearest layer: found again, and without match, of a hundred. */
  nearest?: readonly [same: number, unique: number];
  /** R2 of the token in the other layer. */
  otherR2s?: readonly number[];
  /** Share of children with a parent, and mean excess with the trained groups and by frequency. */
  groups?: readonly [share: number, nested: number, byDensity: number];
  /** Silhouette, and that by chance. */
  silhouettes?: readonly [number, number];
  /** Gini over documents, and that by chance. */
  ginis?: readonly [number, number];
  /** The lower end of what the loss rises without a feature. */
  lossRise?: number;
  /** The same without a feature that the reconstruction needs most; lossRise if left out. */
  topRise?: number;
  /** Whether the weights were analysed. */
  hasWeights?: boolean;
  /** Rank correlation of mass and KL. */
  ranks?: number;
}

const spread = (count: number, from: number, to: number) =>
  Array.from({ length: count }, (_, i) => from + (to - from) * i / (count - 1));

function layerOf(r2s: readonly number[], { close = 0, attention = -0.6, nearest = [5, 2] }: MadeUp): LayerAnalysis {
  const features = r2s.map((r2, feature): LayerFeature => ({
    ...{ feature, group: 0, fires: 100, mass: 1, is_close: feature < close, is_own: false },
    explained: { token: { r2, error: 0.01 }, previous: { r2: 0, error: 0.01 }, position: { r2: 0, error: 0.01 } },
    kind: r2 >= 0.5 ? "token" : "context",
    shares: { embedding: 0.6, earlier_attention: 0.4, own_attention: 0, earlier_mlps: 0, own_mlp: 0 },
    best_elsewhere: 0.2 + feature / 1000,
  }));
  const kinds = (["token", "previous", "position", "context"] as const).map((kind) => {
    const count = features.filter((one) => one.kind === kind).length;
    return { kind, features: count, mass: count / features.length };
  });
  const [same, unique] = nearest;
  return {
    ...{ tokens: 4096, rare: 0, kinds, close, features, own: 1 },
    link: { features: features.length, embedding: 0.3, attention, chance: 0.2 },
    others: [{ name: "layer 2", judged: 100, same, unique }],
  };
}

/** A layer with these figures; all others are in the middle of what they may be. */
export function madeUpLayer(made: MadeUp = {}): KnownLayer {
  const { r2s = spread(100, 0, 0.4), otherR2s = spread(100, 0.3, 0.9), shares = [0.2, 0.7, 0.05] } = made;
  const { cosines = spread(100, -0.1, 0.1), coherence = spread(100, 0, 0.25), groups = [0.4, 0.2, 0.1] } = made;
  const { silhouettes = [0.3, 0.1], ginis = [0.5, 0.3], lossRise = 0.001, ranks = 0.8 } = made, ALL = 100;
  const { topRise = lossRise, hasWeights = true } = made;
  const [embedding, mlps, half] = shares, ends = (share: number) => [share - half, share + half] as const;
  const [share, nested, byDensity] = groups, [silhouette, silhouette_by_chance] = silhouettes;
  const parents = (mean_excess: number) => ({ judged: ALL, share, mean_excess, mean_excess_error: 0.01, families: 0 });
  const known = {
    name: { file: "layer4", title: "Layer 4", phrase: "layer 4" },
    attribution: {
      ...{ tokens: 2048, documents: 6, resampled: "documents", is_norm_fixed: false, cosine_chance: 0.17 },
      kinds: [
        { kind: "embedding", share: embedding, ci95: ends(embedding) },
        { kind: "earlier_mlps", share: mlps, ci95: ends(mlps) },
      ],
      features: cosines.map((cosine, feature) => ({ feature, cosine })),
    },
    importance: {
      ...{ clean_ce: 3, predictions: 2000, documents: 6, resampled: "documents" },
      features: spread(100, 0, 99).map((feature) => {
        const isTop = feature >= 50, rise = isTop ? topRise : lossRise;
        const sets = [isTop ? "top" : "random"];
        return { feature, effect: { sets, ce_rise: rise + 0.002, ce_rise_ci95: [rise, rise + 0.004] } };
      }),
      agreement: [{
        ...{ set: "random", features: 50, chance: 0.28, reliability: { kl: 0.9 } },
        pairs: [{ a: "mass", b: "kl", spearman: ranks, ci95: [ranks - 0.1, ranks + 0.1] }],
      }],
    },
    coherence: {
      ...{ source: "layer4.resid_mid", random: { directions: 512, median: 0.1, limit: 0.3 } },
      beyond: coherence.filter((one) => one > 0.3).length,
      features: coherence.map((coherence, feature) => ({
        ...{ feature, coherence, cosine: 0.5, by_token: 0.5 - coherence, fires: 100, token_entropy: 4, documents: 9 },
        ...{ ci95: [coherence - 0.05, coherence + 0.05], examples: [feature] },
      })),
    },
    recorded: {
      layer: layerOf(r2s, made),
      tokens: { document: Uint32Array.from(spread(60, 0, 5)), tokenTexts: new Map([[7, " the"]]) },
      flat: null,
      dictionary: hasWeights
        ? {
          weights: {
            groups: [{
              ...{ features: ALL, alignment: { median: median(cosines) }, alignment_by_chance: 0.17 / 1.96 },
              ...{
                along: cosines.filter((one) => one > 0.17).length / ALL,
                against: cosines.filter((one) => one < -0.17).length / ALL,
              },
            }],
          },
        }
        : "there are too many rows",
      overview: { features: r2s.map((_, feature) => ({ feature, strongest: feature })) },
      hierarchy: {
        ...{ nested: parents(nested), by_density: parents(byDensity), same_by_density: 0.5 },
        families: [{ parent: 3, children: [30, 40], covered: 0.6, covered_by_chance: 0.1, is_split: true }],
      },
      patterns: {
        patterns: r2s.map((_, feature) => ({
          ...{ feature, fires: 100, document_gini: ginis[0] + feature / 1e6, document_gini_by_chance: ginis[1] },
        })),
        clusters: {
          ...{ clustered: ALL, silhouette, silhouette_by_chance, silhouette_error: 0.01 },
          clusters: [{ features: [1, 2, 3], tokens: [{ id: 7, share: 0.5, share_of_text: 0.1 }] }],
        },
      },
    },
    others: [{ name: "layer 2", layer: layerOf(otherR2s, {}) }],
    named: (feature: number) => `\`t${feature}\` 50 %`,
    context: (token: number) => `\`…⟦t${token}⟧…\``,
  };
  return known as unknown as KnownLayer;
}
