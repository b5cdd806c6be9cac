/**
 * Features that never fire, or hardly ever, and why: each beside what features that fire are like.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import type { FeatureRow } from "./feature_rows.ts";
import { median, quantile } from "./statistics.ts";

/** A feature that fires on no larger share of the tokens is ultra-rare. */
export const ULTRA_RARE = 1e-4;
/** How many of them are explained, those that fire least first, and how many others they are held against. */
const EXPLAINED = 50;
/** An encoder below this share of the median is short. */
const SHORT = 0.25;
/** A decoder row with a larger cosine writes what another writes. */
const COVERED = 0.9;
/** Separates these draws from other uses of the generator. */
const LIVING_STREAM = 0x6c697665;

/** Why a feature is silent: the first of these that holds. {@link SILENT_DEFINITIONS} says when. */
export const REASONS = ["short_encoder", "covered", "out_of_reach", "rare_input"] as const;
/** One of them. */
export type Reason = typeof REASONS[number];

/** What is said of how near features come to firing, and of what else writes what they write. */
export interface Nearness {
  /** Length of the encoder. */
  encoder_norm: number;
  /** (threshold - mean) / std of the pre-activation. */
  gap: number;
  /** The largest cosine of the decoder with that of a feature that fires. */
  cosine: number;
}

/** A feature that fires hardly or not at all. */
export interface SilentFeature extends Nearness {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Tokens of the final pass that it fires on. */
  fires: number;
  /** Its encoder's bias. */
  bias: number;
  /** Above which it fires. */
  threshold: number;
  /** Its pre-activation: mean over the held-out tokens, */
  mean: number;
  /** standard deviation, */
  std: number;
  /** and largest. */
  largest: number;
  /** The feature that the cosine is with. */
  neighbour: number;
  /** Why it is silent. */
  why: Reason;
}

/** All that is said of features that fire hardly or not at all. */
export interface Silent {
  /** Features that never fired in the final pass, */
  dead: number;
  /** and those that did, but hardly ever. */
  ultra_rare: number;
  /** The medians of others. */
  living: Nearness & {
    /** How many were drawn. */
    features: number;
    /** What 95 of 100 gaps are below. */
    gap_p95: number;
  };
  /** Those that fire least, by that. */
  features: SilentFeature[];
  /** One sentence per figure that says exactly what it is. */
  definitions: Record<string, string>;
}

/** The exact definition of every figure. */
export const SILENT_DEFINITIONS: Readonly<Record<string, string>> = {
  silent:
    `Dead: it fired on no token of the run's final pass. Ultra-rare: on at most one of ${
      1 / ULTRA_RARE
    }. The ${EXPLAINED} that fire least are ` +
    `explained.`,
  living: `Medians of up to ${EXPLAINED} other features, drawn at random.`,
  gap:
    "How far the threshold lies above the feature's mean pre-activation, in standard deviations of it, both over the held-out tokens; largest: " +
    "its largest pre-activation there.",
  neighbour:
    "The feature, of those that are neither dead nor ultra-rare, whose decoder has the largest cosine with its own.",
  why:
    `The first that holds. short_encoder: its encoder is shorter than ${SHORT} of the median. covered: the cosine is above ${COVERED}, so ` +
    "another writes what it would write. out_of_reach: its gap is larger than that of 95 of 100 others. rare_input: none of these, so what it " +
    "waits for is rare in the text.",
};

/** The features to explain, and those that they are held against. */
export interface Watched {
  /** Those that fire least, first. */
  readonly silent: readonly FeatureRow[];
  /** Others, drawn at random. */
  readonly living: readonly FeatureRow[];
}

/**
 * Chooses whom to watch.
 *
 * @param rows features.csv.
 * @returns No one where no feature is silent.
 */
export function watchedOf(rows: readonly FeatureRow[]): Watched {
  const silent = rows.filter(isSilent).sort((a, b) => a.fires - b.fires || a.feature - b.feature).slice(0, EXPLAINED);
  const others = rows.filter((row) => !isSilent(row));
  const order = permutation(others.length, randomGenerator(0, LIVING_STREAM));
  const living = silent.length > 0 ? [...order.subarray(0, EXPLAINED)].map((at) => others[at]) : [];
  return { silent, living };
}

function isSilent({ density }: FeatureRow): boolean {
  return density <= ULTRA_RARE;
}

/** What a transcoder's features compute with. */
export interface SilentWeights {
  /** f32 [features, d_in] */
  readonly encoder: Float32Array;
  /** f32 [features] */
  readonly encoderBias: Float32Array;
  /** f32 [features, d_out] */
  readonly decoder: Float32Array;
}

/** Takes in the pre-activations of some features, token by token, in float64. */
export class PreActivationTally {
  readonly #weights: SilentWeights;
  readonly #features: readonly number[];
  readonly #sums: readonly { sum: number; squares: number; largest: number }[];
  #tokens = 0;

  /**
   * Begins with nothing.
   *
   * @param weights The transcoder's.
   * @param features Which.
   */
  constructor(weights: SilentWeights, features: readonly number[]) {
    this.#weights = weights;
    this.#features = features;
    this.#sums = features.map(() => ({ sum: 0, squares: 0, largest: -Infinity }));
  }

  /**
   * Takes in some tokens.
   *
   * @param source f32 [tokens, d_in], others than those before.
   */
  add(source: Float32Array): void {
    const { encoder, encoderBias } = this.#weights, width = encoder.length / encoderBias.length;
    const tokens = source.length / width;
    this.#features.forEach((feature, i) => {
      const sums = this.#sums[i];
      for (let token = 0; token < tokens; token++) {
        let value = encoderBias[feature];
        for (let d = 0, at = feature * width, to = token * width; d < width; d++) {
          value += encoder[at + d] * source[to + d];
        }
        sums.sum += value;
        sums.squares += value * value;
        sums.largest = Math.max(sums.largest, value);
      }
    });
    this.#tokens += tokens;
  }

  /**
   * What was found of a feature.
   *
   * @param feature One of those watched.
   * @returns Mean, standard deviation and largest.
   */
  of(feature: number): { mean: number; std: number; largest: number } {
    const { sum, squares, largest } = this.#sums[this.#features.indexOf(feature)], mean = sum / this.#tokens;
    return { mean, std: Math.sqrt(Math.max(0, squares / this.#tokens - mean * mean)), largest };
  }
}

/**
 * Says why features are silent.
 *
 * @param rows features.csv.
 * @param watched From {@link watchedOf}.
 * @param weights The transcoder's.
 * @param thresholds f32 [features]
 * @param tally The pre-activations of all that are watched.
 * @returns The silent features beside others.
 */
export function explainSilent(
  rows: readonly FeatureRow[],
  watched: Watched,
  weights: SilentWeights,
  thresholds: Float32Array,
  tally: PreActivationTally,
): Silent {
  const alive = rows.filter((row) => !isSilent(row)).map(({ feature }) => feature);
  const near = ({ feature, encoder_norm, encoder_bias: bias }: FeatureRow) => {
    const { mean, std, largest } = tally.of(feature), threshold = Math.max(0, thresholds[feature]);
    const gap = (threshold - mean) / std;
    return { feature, encoder_norm, bias, threshold, mean, std, largest, gap, ...nearest(weights, feature, alive) };
  };
  const others = watched.living.map(near), gaps = others.map(({ gap }) => gap).sort((a, b) => a - b);
  const living = {
    features: others.length,
    encoder_norm: median(others.map(({ encoder_norm }) => encoder_norm)),
    gap: median(gaps),
    gap_p95: quantile(gaps, 0.95),
    cosine: median(others.map(({ cosine }) => cosine)),
  };
  const why = ({ encoder_norm, cosine, gap }: Nearness): Reason => {
    if (encoder_norm < SHORT * living.encoder_norm) return "short_encoder";
    if (cosine > COVERED) return "covered";
    return gap > living.gap_p95 ? "out_of_reach" : "rare_input";
  };
  const dead = rows.filter(({ fires }) => fires === 0).length;
  return {
    dead,
    ultra_rare: rows.filter(isSilent).length - dead,
    living,
    features: watched.silent.map((row) => {
      const found = near(row);
      return { ...found, group: row.group, fires: row.fires, why: why(found) };
    }),
    definitions: { ...SILENT_DEFINITIONS },
  };
}

/** The feature among some, itself aside, whose decoder row has the largest cosine with another's; -1 and NaN where there is none. */
function nearest({ decoder, encoderBias }: SilentWeights, feature: number, among: readonly number[]) {
  const width = decoder.length / encoderBias.length,
    product = (a: number, b: number) => {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += decoder[a * width + d] * decoder[b * width + d];
      return sum;
    };
  const own = product(feature, feature);
  let neighbour = -1, cosine = NaN;
  for (const other of among) {
    if (other === feature) continue;
    const found = product(feature, other) / Math.sqrt(own * product(other, other));
    if (!(found <= cosine)) [neighbour, cosine] = [other, found];
  }
  return { neighbour, cosine };
}
