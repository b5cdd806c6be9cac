/**
 * All that the browser shows of single features.
 * @module
 */

import type { FeatureCoherence } from "../../core/analysis/coherence.ts";
import type { FeatureSamples, Sample } from "../../core/analysis/sample_statistics.ts";
import type { SpreadHistogram } from "../../core/analysis/spread.ts";
import { decimal, integer, significant } from "../format.ts";
import type { FeatureDetail, Near, SampledExample, Told, Valued } from "./data.ts";
import { examplesOf, STRONGEST } from "./examples.ts";
import {
  type Compared,
  type DictionaryShape,
  figureOf,
  type Held,
  type KnownFeature,
  type Overviewed,
} from "./explored.ts";

/** What details are made of. */
export interface Details {
  /** What the run holds. */
  readonly held: Held;
  /** What was computed from its record; null without one. */
  readonly overviewed: Overviewed | null;
  /** The same, of how features fire. */
  readonly compared: Compared | null;
  /** What the weights say; null where they were not compared. */
  readonly shape: DictionaryShape | null;
}

/** Children that are told of a feature, the most lifted first. */
const CHILDREN = 50;

/** Makes the details of features; samples are told only where there is no record. */
export type DetailMaker = (
  features: readonly number[],
  samples: ReadonlyMap<number, FeatureSamples>,
) => FeatureDetail[];

/**
 * Prepares to make details.
 *
 * @param details What they are made of.
 * @returns Makes those of some features, in their order.
 */
export function detailMaker({ held, overviewed, compared, shape }: Details): DetailMaker {
  const { recorded, features: rows, attribution, importance, coherence } = held;
  const { groups } = held.config, parents = overviewed?.hierarchy?.parents ?? [];
  const children = Map.groupBy(parents.filter((parent) => parent !== null), ({ parent }) => parent);
  const attributed = new Map(attribution?.features.map((one) => [one.feature, one]));
  const near = (found: readonly { readonly feature: number; readonly value: number }[] | undefined) =>
    (found ?? []).map(({ feature, value }): Near => [feature, figureOf(value, 3)!]);
  const coherences = new Map(coherence?.features.map((one) => [one.feature, one])), ranks = ranksOf(held);
  return (features, samples) =>
    features.map((feature): FeatureDetail => {
      const known: KnownFeature = {
        overview: overviewed?.overview.features[feature],
        row: rows?.[feature],
        samples: samples.get(feature),
        parent: parents[feature] ?? null,
      };
      const { overview, parent } = known,
        parts = attributed.get(feature),
        effect = importance?.features[feature]?.effect;
      const valued = (tokens: readonly { readonly token: string; readonly value: number }[]) =>
        tokens.map(({ token, value }): Valued => [token, figureOf(value)!]);
      return {
        feature,
        figures: figuresOf(known, {
          pattern: compared?.patterns[feature],
          coherent: coherences.get(feature),
          limit: coherence?.random.limit,
          cosine: parts?.cosine,
          rank: ranks?.[feature],
          count: held.config.features,
        }),
        histogram: overview && overview.fires > 0 ? overview.activations : [],
        position: overview && overview.fires > 0 ? overview.context_profile.map((one) => figureOf(one, 3) ?? 0) : [],
        tokens: (overview?.tokens ?? []).map(({ id, count }) => [recorded!.record.tokenTexts.get(id)!, count]),
        examples: recorded === null ? [] : examplesOf(recorded, feature),
        samples: recorded === null ? sampledOf(known.samples) : [],
        words: parts?.tokens
          ? {
            reads: valued(parts.tokens.reads),
            raised: valued(parts.tokens.writes?.raised ?? []),
            lowered: valued(parts.tokens.writes?.lowered ?? []),
            logits: logitsOf(parts.tokens.writes?.histogram),
            chance: { reads: figureOf(parts.tokens.chance), writes: figureOf(parts.tokens.writes?.chance) },
          }
          : null,
        near: {
          cosine: near(shape?.neighbours[feature]),
          correlation: near(compared?.firing.correlation.neighbours[feature]),
          jaccard: near(compared?.firing.jaccard.neighbours[feature]),
        },
        parent: parent && {
          feature: parent.parent,
          ...{
            lift: figureOf(parent.lift)!,
            containment: figureOf(parent.containment)!,
            cosine: figureOf(parent.cosine)!,
          },
        },
        children: (children.get(feature) ?? []).toSorted((a, b) => b.lift - a.lift || a.child - b.child).slice(
          0,
          CHILDREN,
        )
          .map(({ child, lift }): Near => [child, figureOf(lift, 3)!]),
        removed: recorded === null ? [] : groups.map((_, p) => {
          const { errorRemoved, targetVariation } = recorded.record;
          return figureOf(errorRemoved[feature * groups.length + p] / targetVariation) ?? 0;
        }),
        parts: parts ? parts.parts.map((part, k) => figureOf(part - parts.typical[k])!) : [],
        effect: effect
          ? {
            ce_rise: figureOf(effect.ce_rise),
            ce_rise_ci95: [figureOf(effect.ce_rise_ci95[0]), figureOf(effect.ce_rise_ci95[1])],
            ...{ ce_rise_per_fire: figureOf(effect.ce_rise_per_fire), kl: figureOf(effect.kl) },
          }
          : null,
      };
    });
}

function logitsOf(histogram: SpreadHistogram | null | undefined): NonNullable<FeatureDetail["words"]>["logits"] {
  return histogram ? { from: figureOf(histogram.from)!, to: figureOf(histogram.to)!, counts: histogram.counts } : null;
}

/** [features] the place of each among all by what FVU rises without it; null where that was not measured. */
function ranksOf({ importance }: Held): Uint32Array | null {
  if (importance === null) return null;
  const ranks = new Uint32Array(importance.features.length);
  importance.features.toSorted((a, b) => b.fvu_rise - a.fvu_rise || a.feature - b.feature)
    .forEach(({ feature }, rank) => ranks[feature] = rank + 1);
  return ranks;
}

/** What else is known of a feature. */
interface Besides {
  readonly pattern: Compared["patterns"][number] | undefined;
  readonly coherent: FeatureCoherence | undefined;
  /** What 99 of 100 random directions are below. */
  readonly limit: number | undefined;
  /** Of what it reads with what it writes. */
  readonly cosine: number | null | undefined;
  readonly rank: number | undefined;
  readonly count: number;
}

function figuresOf(
  { overview, row }: KnownFeature,
  { pattern, coherent, limit, cosine, rank, count }: Besides,
): Told[] {
  const written = (value: number | null | undefined, unit = "", by = "") =>
    figureOf(value) === null ? null : `${significant(value!, 3)}${unit}${by}`;
  const beside = (value: number | undefined) =>
    figureOf(value) === null ? "" : ` (${significant(value!, 3)} by chance)`;
  const told: [string, string | null | false | undefined][] = [
    [
      "Fires on",
      overview
        ? `${integer(overview.fires)} tokens of the reading set`
        : row && `${integer(row.fires)} tokens of the final pass`,
    ],
    ["Density", written(overview?.density ?? row?.density)],
    ["Largest activation", written(overview?.max_activation ?? row?.max_activation)],
    ["Mean activation", written(overview?.mean_activation ?? row?.mean_activation)],
    [
      "In the final pass",
      overview && row && `${integer(row.fires)} firings, at most ${significant(row.max_activation, 3)}`,
    ],
    [
      "Token entropy",
      written(overview?.token_entropy ?? row?.token_entropy_bits, " bits", beside(overview?.token_entropy_by_chance)),
    ],
    [
      "Coherence",
      coherent &&
      `${decimal(coherent.coherence, 3)} (95 %: ${decimal(coherent.ci95[0], 3)} to ${
        decimal(coherent.ci95[1], 3)
      }; 99 of 100 random directions are below ${decimal(limit!, 3)})`,
    ],
    ["Rank by error removed", rank !== undefined && `${integer(rank)} of ${integer(count)} (held-out text)`],
    ["Burstiness", written(pattern?.burstiness, "", beside(pattern?.burstiness_by_chance))],
    ["Gini over documents", written(pattern?.document_gini, "", beside(pattern?.document_gini_by_chance))],
    ["Tail exponent", written(pattern?.tail_exponent)],
    ["Skewness", written(pattern?.skewness)],
    ["Encoder norm", written(row?.encoder_norm)],
    ["Decoder norm", written(row?.decoder_norm)],
    ["Encoder bias", written(row?.encoder_bias)],
    ["Cosine, reads with writes", written(cosine ?? row?.encoder_decoder_cosine)],
  ];
  return told.flatMap(([term, text]) => text ? [[term, text] as const] : []);
}

function sampledOf(samples: FeatureSamples | undefined): SampledExample[] {
  const told = (
    { before, token, after, activation, document, position }: Sample,
    quantile?: number,
  ): SampledExample => ({
    text: [before, token, after],
    value: figureOf(activation, 3) ?? 0,
    place: [document, position],
    ...quantile !== undefined && { quantile },
  });
  if (samples === undefined) return [];
  return [
    ...samples.top.slice(0, STRONGEST).map((sample) => told(sample)),
    ...samples.quantiles.toReversed().map(({ quantile, ...sample }) => told(sample, quantile)),
  ];
}
