/**
 * What is particular about a layer: whether its features are told from tokens or made from context, what in the model lifts them, and which of them the
 * other layers of the run lack.
 * @module
 */

import { type Attribution, COMPONENT_KINDS, type ComponentKind } from "./attribution.ts";
import type { FeatureProgress } from "./coactivation.ts";
import { type Explained, explainedBy, type Predictor, PREDICTORS } from "./explained.ts";
import { type BestMatches, SAME_FEATURE } from "./matching.ts";
import { columnsOf, type FeatureRecord } from "./record.ts";
import { spearman } from "./statistics.ts";

/** Features that fire on fewer tokens are not judged. */
const LEAST_FIRES = 10;

/** What explains this much of a feature's activation names its kind. */
export const EXPLAINED = 0.5;

/** What a feature is told from. */
export const FEATURE_KINDS = ["token", "previous", "position", "context"] as const;
/** One of them; `context` where none of the predictors explains half. */
export type FeatureKind = typeof FEATURE_KINDS[number];

/** A feature of the layer. */
export interface LayerFeature {
  /** Index in the dictionary. */
  readonly feature: number;
  /** Index of its Matryoshka group. */
  readonly group: number;
  /** Tokens that it fires on. */
  readonly fires: number;
  /** The sum of its activations. */
  readonly mass: number;
  /** How well each predictor tells its activation. */
  readonly explained: Readonly<Record<Predictor, Explained>>;
  /** The best predictor that explains half of it, else `context`. */
  readonly kind: FeatureKind;
  /** Whether half lies within two standard errors of the best predictor's figure, so that it may be of another kind. */
  readonly is_close: boolean;
  /** Shares of components in what lifts it; null where it was not attributed. */
  readonly shares: Readonly<Record<ComponentKind, number>> | null;
  /** The largest correlation with a feature of another layer; null where there is none to compare with. */
  readonly best_elsewhere: number | null;
  /** Whether chance gives as large ones in every other layer; null likewise. */
  readonly is_own: boolean | null;
}

/** Rank correlations, over features, of how well the token tells a feature with shares of what lifts it. */
export interface TokenLink {
  /** Features that both are known of. */
  readonly features: number;
  /** With the share of the embedding, */
  readonly embedding: number;
  /** and with that of all attention. */
  readonly attention: number;
  /** What 95 of 100 such correlations of unrelated numbers stay within. */
  readonly chance: number;
}

/** Another layer, feature by feature. */
export interface OtherLayer {
  /** What it is called. */
  readonly name: string;
  /** Features of this layer that are judged in it; those above 0.7, the same again; those that chance matches as well. */
  readonly judged: number;
  /** Likewise. */
  readonly same: number;
  /** Likewise. */
  readonly unique: number;
}

/** A layer. */
export interface LayerAnalysis {
  /** Tokens of the reading set. */
  readonly tokens: number;
  /** Features that fire too rarely to be judged. */
  readonly rare: number;
  /** Of each kind: how many judged features, and their share of all activation. */
  readonly kinds: readonly { readonly kind: FeatureKind; readonly features: number; readonly mass: number }[];
  /** Features that may be of another kind. */
  readonly close: number;
  /** null where features were not attributed. */
  readonly link: TokenLink | null;
  /** The layers that it was compared with. */
  readonly others: readonly OtherLayer[];
  /** Judged features that none of them has; null where there are none. */
  readonly own: number | null;
  /** The judged features, in the order of the dictionary. */
  readonly features: readonly LayerFeature[];
}

/** The exact definition of every figure. */
export const LAYER_DEFINITIONS: Readonly<Record<string, string>> = {
  explained:
    "R2 of a feature's activation, on all tokens of the reading set, predicted by its mean over tokens of the same id (token), behind the same id " +
    "(previous), or at like places of their contexts (position: 1, 2, 3 to 4, 5 to 8 and so on). Each fifth of the documents, or of the contexts where there are " +
    "fewer than five documents, is predicted from the others, one token at the overall mean added to each mean: 0 for what a predictor does not tell, 1 " +
    "for what it tells wholly; rare tokens cannot seem to explain themselves, and explain less than they would on more text. error: standard error over the fifths.",
  kind:
    `The predictor with the largest R2 where that is ${EXPLAINED} or more, else context: then neither the token nor the one before it nor its place tells ` +
    "when the feature fires. close: within two standard errors of the limit.",
  shares:
    "Of what lifts a feature above its typical pre-activation, what each component of the residual stream adds; from `mtc analyze attribution`.",
  link:
    "Spearman's correlation over features of the token's R2 with the share of the embedding, and with that of all attention. Unrelated ranks stay within " +
    "1.96 / sqrt(features - 1) in 95 of 100.",
  own:
    "A feature is the layer's own where its largest correlation with a feature of every other layer, on the same tokens, is no larger than the 99th " +
    `percentile of what shuffled contexts give; it is found again above ${SAME_FEATURE}.`,
};

/** What is known of a layer. */
export interface LayerInput {
  /** What its transcoder does on the reading set. */
  readonly record: FeatureRecord;
  /** What its features are made of; undefined where that was not measured. */
  readonly attribution: Pick<Attribution, "features"> | undefined;
  /** How its features are found in other layers, and what those are called. */
  readonly others: readonly { readonly name: string; readonly matches: BestMatches }[];
  /** Hears of the features measured. */
  readonly onProgress?: FeatureProgress;
}

/**
 * Analyses a layer.
 *
 * @param input What is known of it.
 * @returns What is particular about it.
 */
export function analyseLayer({ record, attribution, others, onProgress }: LayerInput): LayerAnalysis {
  const { groups, place: { length: tokens } } = record, count = groups.reduce((sum, size) => sum + size, 0);
  const { start, value } = columnsOf(record, count), fires = (i: number) => start[i + 1] - start[i];
  const judged = Array.from({ length: count }, (_, i) => i).filter((i) => fires(i) >= LEAST_FIRES);
  const explained = explainedBy(record, judged, onProgress);
  const shares = new Map(attribution?.features.map((one) => [one.feature, one.shares]));
  const groupOf = groups.flatMap((size, group) => new Array<number>(size).fill(group));
  const features = judged.map((feature, n): LayerFeature => {
    const best = PREDICTORS.reduce((a, b) => explained[n][b].r2 > explained[n][a].r2 ? b : a);
    const { r2, error } = explained[n][best];
    return {
      ...{ feature, group: groupOf[feature], fires: fires(feature) },
      mass: value.subarray(start[feature], start[feature + 1]).reduce((sum, one) => sum + one, 0),
      explained: explained[n],
      kind: r2 >= EXPLAINED ? best : "context",
      is_close: Math.abs(r2 - EXPLAINED) < 2 * error,
      shares: shares.get(feature) ?? null,
      best_elsewhere: others.length === 0
        ? null
        : Math.max(...others.map(({ matches: { best } }) => best[feature] || 0)),
      is_own: others.length === 0 ? null : others.every(({ matches: { best, limit } }) => !(best[feature] > limit)),
    };
  });
  const mass = features.reduce((sum, one) => sum + one.mass, 0);
  return {
    ...{ tokens, rare: count - judged.length },
    kinds: FEATURE_KINDS.map((kind) => {
      const of = features.filter((one) => one.kind === kind);
      return { kind, features: of.length, mass: of.reduce((sum, one) => sum + one.mass, 0) / mass };
    }),
    close: features.filter(({ is_close }) => is_close).length,
    link: linkOf(features),
    others: others.map(({ name, matches: { best, limit } }) => {
      const values = judged.map((feature) => best[feature]).filter(Number.isFinite);
      return {
        ...{ name, judged: values.length, same: values.filter((one) => one > SAME_FEATURE).length },
        unique: values.filter((one) => !(one > limit)).length,
      };
    }),
    own: others.length === 0 ? null : features.filter(({ is_own }) => is_own).length,
    features,
  };
}

function linkOf(features: readonly LayerFeature[]): TokenLink | null {
  const known = features.flatMap(({ shares, explained: { token: { r2 } } }) => {
    const isKnown = shares !== null && COMPONENT_KINDS.every((kind) => Number.isFinite(shares[kind]));
    return isKnown && Number.isFinite(r2) ? [{ r2, shares }] : [];
  });
  if (known.length < 3) return null;
  const ranked = (of: (shares: Record<ComponentKind, number>) => number) =>
    spearman(known.map(({ r2 }) => r2), known.map(({ shares }) => of(shares)));
  return {
    features: known.length,
    embedding: ranked(({ embedding }) => embedding),
    attention: ranked(({ earlier_attention, own_attention }) => earlier_attention + own_attention),
    chance: 1.96 / Math.sqrt(known.length - 1),
  };
}

/** Features that explain a layer best to a reader: of those of one kind the ones with the largest part in all activation. */
export function leadingOf(features: readonly LayerFeature[], most: number): LayerFeature[] {
  return features.toSorted((a, b) => b.mass - a.mass || a.feature - b.feature).slice(0, most);
}
