/**
 * What a feature's activation is made of. Its pre-activation is linear in the residual stream, which is the sum of the embedded token and of
 * what each attention and each MLP below has added: so it splits exactly into one part for each of them, and the bias.
 * @module
 */

import { type Interval, interval95, resamplingOf } from "./bootstrap.ts";
import type { SparseRows } from "./samples.ts";
import type { SpreadHistogram } from "./spread.ts";

/** What parts are summed up by. */
export const COMPONENT_KINDS = ["embedding", "earlier_attention", "earlier_mlps", "own_attention", "own_mlp"] as const;
/** One of them; `own` is of the layer that the source lies in. */
export type ComponentKind = typeof COMPONENT_KINDS[number];

/** What has added a part. */
export interface Component {
  /** Where it is computed, for example `layer3.attn_out`. */
  name: string;
  /** What it is summed up with. */
  kind: ComponentKind;
}

/** One feature that fires. */
export interface FeatureAttribution {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Tokens it fires on. */
  fires: number;
  /** Its mean activation where it fires: `parts` and `bias` sum to it. */
  activation: number;
  /** Its encoder's bias. */
  bias: number;
  /** What each component gives to its pre-activation, the mean where it fires. */
  parts: number[];
  /** The same over all tokens. */
  typical: number[];
  /** The share of each kind in what lifts it above its typical pre-activation; kinds that the source does not have are 0. */
  shares: Record<ComponentKind, number>;
}

/** A token that a feature reads, or writes. */
export interface ToldToken {
  /** Its id. */
  id: number;
  /** Its text. */
  token: string;
  /** Its cosine, or what comes to its logit. */
  value: number;
}

/** What a feature reads and writes in tokens. {@link ATTRIBUTION_DEFINITIONS} says what the values are. */
export interface FeatureTokens {
  /** The tokens that it reads most. */
  reads: ToldToken[];
  /** The largest cosine that its numbers have in random order. */
  chance: number;
  /** What it writes; null where its target is not added to the residual stream as it is. */
  writes: {
    /** The logits that it raises most, */
    raised: ToldToken[];
    /** and lowers most. */
    lowered: ToldToken[];
    /** The most that its numbers raise a logit by in random order. */
    chance: number;
    /** Standard deviation over the vocabulary. */
    std: number;
    /** How many logits it moves by how much; null where it moves none, undefined where it was measured by an older mtc. */
    histogram?: SpreadHistogram | null;
  } | null;
}

/** A share of all firings together. */
export interface WholeShare {
  /** The share. */
  share: number;
  /** Its interval. */
  ci95: Interval;
}

/** attribution.json, but for what the run and the vocabulary add. */
export interface Attribution {
  /** Tokens that were counted, */
  tokens: number;
  /** contexts, */
  contexts: number;
  /** and documents that they lie in. */
  documents: number;
  /** What the intervals resample. */
  resampled: "documents" | "contexts";
  /** Firings, of all features. */
  firings: number;
  /** The largest difference between an activation and the sum of its parts, as a share of the sum of their sizes. */
  largest_error: number;
  /** What the parts are of, in the order of the sum, with its share in all firings. */
  components: (Component & WholeShare)[];
  /** The same by kind. */
  kinds: (WholeShare & { kind: ComponentKind })[];
  /** The features that fire, in the order of the dictionary. */
  features: FeatureAttribution[];
}

/** The exact definition of every figure. */
export const ATTRIBUTION_DEFINITIONS: Readonly<Record<string, string>> = {
  tokens: "Held-out tokens that were counted; a feature fires where it is above its threshold on one of them.",
  parts:
    "The source is the sum of the embedded token and of all that attention and MLPs have added below, so a feature's pre-activation is the sum, " +
    "over these, of the scalar product of its encoder with what each has added, and of its bias. Mean over the tokens that it fires on.",
  typical: "The same, mean over all counted tokens.",
  shares:
    "A part's mean where the feature fires less its typical value, over the sum of these differences: what of its rise above its typical " +
    "pre-activation comes from there. They sum to 1; one that works against the firing is negative.",
  whole:
    "The same differences summed over all firings of all features, so that features count as they rise. 95 % intervals: percentiles 2.5 and " +
    "97.5 over 1,000 bootstrap resamples of what `resampled` names, the typical values kept. Documents are resampled where there are five, " +
    "else contexts; of fewer than five of those there are none.",
  kinds:
    "embedding: the embedded token. own_attention, own_mlp: what the layer that the source lies in has added before it. earlier_attention, " +
    "earlier_mlps: what the layers below have.",
  norm:
    "Where a norm stands between sum and source, each token's parts are divided by that token's own root mean square, which is held fixed: what " +
    "a component does by changing it is not told.",
  largest_error:
    "The largest difference between an activation and the sum of its parts and its bias, over the sum of their sizes: rounding to float32.",
  reads:
    "The tokens of the vocabulary whose embeddings have the largest cosine with the feature's encoder, the norm's gain included where the " +
    "source is normed. chance: the largest cosine of the same numbers in random order.",
  writes:
    "What the feature's decoder adds to the logits on the direct path alone: its product with the final norm's gain and the head, less the mean " +
    "over the vocabulary, for each unit of activation and before the division by the residual stream's root mean square. What later layers make " +
    "of it is not told. std: the standard deviation over the vocabulary, histogram: all of them in equal bins. chance: the most that the same numbers raise a logit by in random order.",
  cosine:
    "Cosine of the feature's encoder, as for reads, with its decoder: whether it writes what it reads. cosine_chance: 1.96 over " +
    "the root of the width, which 95 of 100 cosines of unrelated directions stay within.",
};

/** Some tokens: the features that fire on them, and what their source is the sum of. */
export interface SplitTokens {
  /** Each token's context, by number. */
  readonly contexts: ArrayLike<number>;
  /** The features that fire on each. */
  readonly features: SparseRows;
  /** f32 [tokens, width] of each component. */
  readonly parts: readonly Float32Array[];
  /** What each token's sum is multiplied by; ones if null. */
  readonly scales: Float64Array | null;
}

/**
 * What a norm multiplies each token's sum by, its gain left out: 1 / sqrt(mean square + epsilon).
 *
 * @param parts f32 [tokens, width] of each component.
 * @param width Their width.
 * @param epsilon Added to the mean square.
 * @returns One number per token.
 */
export function normScales(parts: readonly Float32Array[], width: number, epsilon: number): Float64Array {
  return Float64Array.from({ length: parts[0].length / width }, (_, token) => {
    let squares = 0;
    for (let at = token * width; at < (token + 1) * width; at++) {
      let sum = 0;
      for (const part of parts) sum += part[at];
      squares += sum * sum;
    }
    return 1 / Math.sqrt(squares / width + epsilon);
  });
}

/**
 * Splits a feature's pre-activation at one token.
 *
 * @param reads f32 [features, width]: the encoder, with the norm's gain.
 * @param feature The feature.
 * @param tokens Where the token is.
 * @param token Its row there.
 * @param width Columns of the encoder and of each part.
 * @returns The part of each component; the bias comes to their sum.
 */
export function partsAt(
  reads: Float32Array,
  feature: number,
  { parts, scales }: Pick<SplitTokens, "parts" | "scales">,
  token: number,
  width: number,
): Float64Array {
  const scale = scales ? scales[token] : 1;
  return Float64Array.from(parts, (part) => {
    let sum = 0;
    for (let d = 0, at = feature * width, to = token * width; d < width; d++) sum += reads[at + d] * part[to + d];
    return scale * sum;
  });
}

/** Takes in what features are made of, token by token, in float64. */
export class AttributionTally {
  /** Tokens that each feature fires on. */
  readonly fires: Uint32Array;
  /** Tokens taken in. */
  tokens = 0;
  /** See {@link Attribution.largest_error}. */
  largestError = 0;
  readonly #reads: Float32Array;
  readonly #biases: Float32Array;
  readonly #width: number;
  readonly #components: number;
  readonly #activation: Float64Array;
  /** [features, components] sums over firings. */
  readonly #parts: Float64Array;
  /** [components, width] sums over tokens of what was added, times the token's scale. */
  readonly #added: Float64Array;
  /** By context: sums over its firings of each part, [components], and of the encoder, [width]. */
  readonly #contexts: { readonly parts: Float64Array; readonly encoder: Float64Array }[];

  /**
   * Begins with nothing.
   *
   * @param reads f32 [features, width]: the encoder, with the norm's gain.
   * @param biases f32 [features]
   * @param components How many terms the source is the sum of.
   * @param contexts Contexts of the text.
   */
  constructor(reads: Float32Array, biases: Float32Array, components: number, contexts: number) {
    const features = biases.length, width = this.#width = reads.length / features;
    this.#reads = reads;
    this.#biases = biases;
    this.#components = components;
    this.fires = new Uint32Array(features);
    this.#activation = new Float64Array(features);
    this.#parts = new Float64Array(features * components);
    this.#added = new Float64Array(components * width);
    this.#contexts = Array.from({ length: contexts }, () => {
      return { parts: new Float64Array(components), encoder: new Float64Array(width) };
    });
  }

  /**
   * Takes in some tokens.
   *
   * @param split Others than those before.
   */
  add(split: SplitTokens): void {
    const { contexts, features: { rowStart, index, value }, parts, scales } = split, width = this.#width;
    for (let token = 0; token < contexts.length; token++) {
      const scale = scales ? scales[token] : 1, context = this.#contexts[contexts[token]];
      parts.forEach((part, k) => {
        for (let d = 0; d < width; d++) this.#added[k * width + d] += scale * part[token * width + d];
      });
      for (let entry = rowStart[token]; entry < rowStart[token + 1]; entry++) {
        const feature = index[entry], found = partsAt(this.#reads, feature, split, token, width);
        let sum = this.#biases[feature], size = Math.abs(sum);
        found.forEach((part, k) => {
          this.#parts[feature * this.#components + k] += part;
          context.parts[k] += part;
          sum += part;
          size += Math.abs(part);
        });
        this.fires[feature]++;
        this.#activation[feature] += value[entry];
        for (let d = 0; d < width; d++) context.encoder[d] += this.#reads[feature * width + d];
        this.largestError = Math.max(this.largestError, Math.abs(value[entry] - sum) / size);
      }
    }
    this.tokens += contexts.length;
  }

  /**
   * Makes the figures.
   *
   * @param components What the parts are of, in their order.
   * @param documents Each context's document, by number.
   * @param groupOf The Matryoshka group of a feature.
   * @returns Every feature that fires, and all together.
   */
  figures(
    components: readonly Component[],
    documents: readonly number[],
    groupOf: (feature: number) => number,
  ): Attribution {
    const width = this.#width, mean = this.#added.map((sum) => sum / this.tokens);
    const typicalOf = (encoder: ArrayLike<number>, first: number) =>
      components.map((_, k) => {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += encoder[first + d] * mean[k * width + d];
        return sum;
      });
    const features = Array.from(this.fires, (fires, feature): FeatureAttribution | null => {
      if (fires === 0) return null;
      const parts = components.map((_, k) => this.#parts[feature * components.length + k] / fires);
      const typical = typicalOf(this.#reads, feature * width);
      const rise = parts.map((part, k) => part - typical[k]), total = sum(rise);
      return {
        ...{ feature, group: groupOf(feature), fires, activation: this.#activation[feature] / fires },
        ...{ bias: this.#biases[feature], parts, typical },
        shares: byKind((kind) => sum(rise.filter((_, k) => components[k].kind === kind)) / total),
      };
    }).filter((one) => one !== null);
    const rises = this.#contexts.map(({ parts, encoder }) => {
      const typical = typicalOf(encoder, 0);
      return components.map((_, k) => parts[k] - typical[k]);
    });
    const { resampled, sums } = resamplingOf(documents);
    const totals = rises.map(sum), total = sum(totals), resampledTotals = sums(totals);
    const shareOf = (isCounted: (component: Component) => boolean): WholeShare => {
      const own = rises.map((rise) => sum(rise.filter((_, k) => isCounted(components[k]))));
      return { share: sum(own) / total, ci95: interval95(sums(own).map((value, r) => value / resampledTotals[r])) };
    };
    const kinds = COMPONENT_KINDS.filter((kind) => components.some((component) => component.kind === kind));
    return {
      ...{ tokens: this.tokens, contexts: documents.length, documents: new Set(documents).size, resampled },
      firings: this.fires.reduce((all, fires) => all + fires, 0),
      largest_error: this.largestError,
      components: components.map((component) => ({ ...component, ...shareOf((one) => one === component) })),
      kinds: kinds.map((kind) => ({ kind, ...shareOf((one) => one.kind === kind) })),
      features,
    };
  }
}

function byKind(make: (kind: ComponentKind) => number): Record<ComponentKind, number> {
  return Object.fromEntries(COMPONENT_KINDS.map((kind) => [kind, make(kind)])) as Record<ComponentKind, number>;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
