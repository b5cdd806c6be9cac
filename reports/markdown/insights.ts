/**
 * What the numbers of a transcoder mean, in words. Each rule looks at one thing and quotes the numbers it judged;
 * the limits are in thresholds.ts.
 * @module
 */
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { lossCourse, missedFvu, nonFiniteWeights } from "../checks.ts";
import { capital, counted, decimal, integer, list, percent, significant } from "../format.ts";
import { thresholds } from "../thresholds.ts";

function reconstruction({ evaluation, config }: TranscoderAnalysis): string {
  const { fvu, fvu_ci95: [low, high] } = evaluation;
  const map = evaluation.linear_map?.fvu;
  const measured = `on held-out text ${percent(fvu)} of the variance of \`${config.target.site}\` stays unexplained ` +
    `(95 % CI ${percent(low)} to ${percent(high)}${
      map === undefined ? "" : `; the best linear map leaves ${percent(map)}`
    })`;
  if (!Number.isFinite(fvu)) return "**Reconstruction: none.** The held-out FVU is not a number.";
  if (fvu >= 1) return `**Reconstruction: worse than none.** Predicting the mean would be better: ${measured}.`;
  if (fvu >= thresholds.fvuUseless) {
    return `**Reconstruction: hardly better than predicting the mean.** ${capital(measured)}.`;
  }
  if (fvu >= thresholds.fvu) {
    return `**Reconstruction: too poor.** ${capital(measured)}; the goal is under ${percent(thresholds.fvu, 0)}.`;
  }
  if (missedFvu(evaluation) !== "") return `**Reconstruction: no better than a linear map.** ${capital(measured)}.`;
  const word = fvu < thresholds.fvuVeryGood ? "very good" : "good";
  return `**Reconstruction: ${word}.** ${capital(measured)}; the goal is under ${percent(thresholds.fvu, 0)}.`;
}

function hierarchy({ evaluation, config }: TranscoderAnalysis): string {
  const prefixes = evaluation.fvu_per_prefix;
  if (prefixes.length < 2 || !Number.isFinite(evaluation.fvu)) return "";
  const worse = prefixes.findIndex(({ fvu }, i) => i > 0 && fvu > prefixes[i - 1].fvu);
  if (worse > 0) {
    return `**Hierarchy: broken.** The first ${integer(prefixes[worse].prefix)} features reconstruct worse ` +
      `(FVU ${decimal(prefixes[worse].fvu, 3)}) than the first ${integer(prefixes[worse - 1].prefix)} ` +
      `(${decimal(prefixes[worse - 1].fvu, 3)}): the later group harms.`;
  }
  const first = prefixes[0];
  if (first.fvu >= 1) {
    return `**Hierarchy: the first ${integer(first.prefix)} features are of no use alone.** Their FVU is ` +
      `${decimal(first.fvu, 3)}; predicting the mean gives 1.`;
  }
  const share = (1 - first.fvu) / (1 - evaluation.fvu);
  const gain = prefixes[prefixes.length - 2].fvu - evaluation.fvu;
  return `**Hierarchy: the first ${percent(first.prefix / config.features, 0)} of the features explain ` +
    `${percent(share, 0)} of what the whole dictionary explains** (FVU ${decimal(first.fvu, 3)} alone). ` +
    `The last group lowers FVU by ${decimal(gain, 3)}${gain < thresholds.groupGain ? ", which is little" : ""}.`;
}

function sparsity({ evaluation, config, course }: TranscoderAnalysis): string {
  const { l0, l0_quantiles: q } = evaluation;
  const share = l0 / config.k - 1;
  const spread = `The middle 90 % of the tokens have ${integer(q.p05)} to ${integer(q.p95)} active features.`;
  if (!Number.isFinite(l0)) return "**Sparsity: unknown.** The held-out L0 is not a number.";
  if (Math.abs(share) > thresholds.l0Tolerance) {
    return `**Sparsity: off.** With the inference threshold, held-out tokens have ${decimal(l0, 1)} active features, ` +
      `${percent(Math.abs(share), 0)} ${share > 0 ? "more" : "fewer"} than k = ${config.k}. ${spread}`;
  }
  return `**Sparsity: as asked.** Held-out tokens have ${
    decimal(l0, 1)
  } active features with the inference threshold, ` +
    `training batches had ${decimal(course.trainingL0, 1)}, k is ${config.k}. ${spread}`;
}

/** The share of tokens from which on a feature is dense. */
export function denseDensity({ k, features }: TranscoderAnalysis["config"]): number {
  return Math.min(thresholds.denseDensity, thresholds.denseMultiple * k / features);
}

/** Features that fire on more tokens than can share one meaning. */
export function denseFeatures({ features, config }: TranscoderAnalysis): number[] {
  return features.filter((row) => row.density > denseDensity(config))
    .sort((a, b) => b.density - a.density).map((row) => row.feature);
}

/** Features with so few activations that their samples prove little. */
export function rareFeatures({ features }: TranscoderAnalysis): number {
  return features.filter((row) => !row.dead && row.fires < thresholds.rareFires).length;
}

function utilization(transcoder: TranscoderAnalysis): string {
  const { evaluation, config } = transcoder;
  const dense = denseFeatures(transcoder).length, rare = rareFeatures(transcoder);
  const word = evaluation.dead_features === 0
    ? "every feature is used"
    : evaluation.dead_fraction < thresholds.deadShare
    ? "nearly every feature is used"
    : evaluation.dead_fraction < 0.2
    ? "a part of the dictionary is unused"
    : evaluation.dead_fraction < 0.5
    ? "much of the dictionary is wasted"
    : "most of the dictionary is wasted";
  const dead = evaluation.dead_features === 0
    ? `All ${counted(config.features, "feature")} fire on the ${counted(evaluation.tokens, "held-out token")}.`
    : `${integer(evaluation.dead_features)} of ${counted(config.features, "feature")} ` +
      `(${percent(evaluation.dead_fraction)}) never fire on the ${counted(evaluation.tokens, "held-out token")}.`;
  return `**Feature utilization: ${word}.** ${dead} In the final pass ${integer(dense)} fired on more than ` +
    `${percent(denseDensity(config), 0)} of the tokens, ${integer(rare)} fewer than ${thresholds.rareFires} times.`;
}

function activations({ statistics }: TranscoderAnalysis): string {
  const { maxActivation, strongest, activationTrend } = statistics;
  if (strongest.length === 0) return "**Activations: none.** No feature fired in the final pass.";
  const ratio = maxActivation.max / maxActivation.median;
  const outlier = ratio > thresholds.activationOutlier;
  const r = activationTrend.correlation;
  const trend = !Number.isFinite(r) || Math.abs(r) < 0.2
    ? "Strong features are neither rarer nor more frequent than weak ones"
    : r > 0
    ? "Strong features tend to fire more often"
    : "Strong features tend to fire less often";
  return `**Activation distribution: ${outlier ? "a few features tower above the rest" : "no extreme outliers"}.** ` +
    `Feature ${strongest[0].feature} reaches ${significant(maxActivation.max)}, ${
      decimal(ratio, 1)
    } times the median ` +
    `feature's maximum of ${significant(maxActivation.median)}. ${trend} (r = ${
      decimal(r, 2)
    } between the logarithms; activations ` + `counted over ${integer(statistics.passTokens)} tokens).`;
}

function coverage({ statistics, config }: TranscoderAnalysis): string {
  const share = statistics.atSampleCap / config.features;
  const average = statistics.withSamples > 0 ? statistics.samples / statistics.withSamples : 0;
  const word = share >= thresholds.sampleCoverage ? "good" : "thin";
  return `**Sample collection: ${word} coverage.** ${
    percent(statistics.withSamples / config.features)
  } of the features ` +
    `have samples, ${decimal(average, 1)} on average; ${percent(share)} have all ${config.samples_per_feature}.`;
}

/** Share of the features with samples that peak on one token most of the time. */
export function detectorShare({ features }: TranscoderAnalysis): number {
  const sampled = features.filter((row) => row.sample_count > 0);
  return sampled.filter((row) => row.top_token_share >= thresholds.tokenDetector).length / sampled.length;
}

function selectivity(transcoder: TranscoderAnalysis): string {
  const { tokenEntropy } = transcoder.statistics;
  if (tokenEntropy.count === 0) return "";
  const share = detectorShare(transcoder);
  return `**Token selectivity: ${
    percent(share, 0)
  } of the features are token detectors**, which have one token on at ` +
    `least ${
      percent(thresholds.tokenDetector, 0)
    } of their top samples. The others need their context to be understood. ` +
    `The median token entropy is ${decimal(tokenEntropy.median, 1)} bits, as if ${
      decimal(2 ** tokenEntropy.median, 1)
    } tokens were equally frequent.`;
}

function generalization({ evaluation, course }: TranscoderAnalysis): string {
  const gap = evaluation.fvu - course.trainingFvu;
  if (!Number.isFinite(gap)) return "";
  const numbers = `Held-out FVU ${decimal(evaluation.fvu, 3)}, last training batches ${decimal(course.trainingFvu, 3)}`;
  return gap > thresholds.heldOutGap
    ? `**Generalization: a gap.** ${numbers}. The transcoder overfits its text, or the inference threshold is off.`
    : `**Generalization: no sign of overfitting.** ${numbers}.`;
}

function brokenWeights(transcoder: TranscoderAnalysis): string {
  const broken = nonFiniteWeights(transcoder);
  return broken === 0 ? "" : `**Weights: broken.** ${counted(broken, "saved weight")} are NaN or infinite.`;
}

function encoderNorms(transcoder: TranscoderAnalysis): string {
  if (nonFiniteWeights(transcoder) > 0) return "";
  const { encoderNorms } = transcoder.weights;
  const ratio = encoderNorms.max / encoderNorms.median;
  return `**Encoder norms: ${ratio > thresholds.normOutlier ? "some features stand out" : "even"}.** Median ` +
    `${significant(encoderNorms.median, 3)}, the largest is ${decimal(ratio, 1)} times that, 90 % lie between ` +
    `${significant(encoderNorms.p05, 3)} and ${significant(encoderNorms.p95, 3)}.`;
}

function training(transcoder: TranscoderAnalysis): string {
  const { course } = transcoder;
  const change = percent(Math.abs(course.lastFifthChange));
  const near = Number.isFinite(course.nearFinalStep)
    ? ` FVU first came within 10 % of its final value at step ${integer(course.nearFinalStep)}.`
    : "";
  switch (lossCourse(transcoder)) {
    case "diverged":
      return course.firstNonFiniteStep === null
        ? `**Training: failed.** The loss ends at ${significant(course.finalLoss)}, above its first value ` +
          `${significant(course.firstLoss)}.`
        : `**Training: diverged.** The loss is not a number from step ${integer(course.firstNonFiniteStep)} on.`;
    case "risen":
      return `**Training: got worse again.** The loss was lowest at step ${integer(course.lowestLossStep)} ` +
        `(${significant(course.lowestLoss)}) and ends at ${significant(course.finalLoss)}.`;
    case "rising":
      return `**Training: getting worse at the end.** The loss rose by ${change} over the last fifth.`;
    case "falling":
      return `**Training: not finished learning.** The loss still fell by ${change} over the last fifth.${near}`;
    case "settled":
      return `**Training: settled.** The loss moved by ${change} over the last fifth, with noise of ` +
        `${percent(course.noise)} between logged steps.${near}`;
  }
}

/** What an insight is about. */
export type InsightId =
  | "reconstruction"
  | "hierarchy"
  | "sparsity"
  | "utilization"
  | "activations"
  | "coverage"
  | "selectivity"
  | "generalization"
  | "broken_weights"
  | "encoder_norms"
  | "training";

/** The rules, in the order in which they are read. */
const RULES: Readonly<Record<InsightId, (transcoder: TranscoderAnalysis) => string>> = {
  reconstruction,
  hierarchy,
  sparsity,
  utilization,
  activations,
  coverage,
  selectivity,
  generalization,
  broken_weights: brokenWeights,
  encoder_norms: encoderNorms,
  training,
};

/** What the numbers mean, in one respect. */
export interface Insight {
  /** What it is about. */
  id: InsightId;
  /** A Markdown paragraph. */
  text: string;
}

/** The insights into a transcoder; rules that have nothing to say are left out. */
export function insights(transcoder: TranscoderAnalysis): Insight[] {
  return Object.entries(RULES)
    .map(([id, rule]) => ({ id: id as InsightId, text: rule(transcoder) }))
    .filter(({ text }) => text !== "");
}

/** Names features for a sentence: `feature 3` or `features 3, 17 and 20`. */
export function featureNames(features: number[]): string {
  return `feature${features.length === 1 ? "" : "s"} ${list(features.map(String))}`;
}
