/**
 * What the numbers of a transcoder mean, in words. Each rule looks at one thing and quotes the numbers it judged;
 * the limits are in thresholds.ts.
 * @module
 */
import type { FeatureRow } from "../../core/analysis/feature_rows.ts";
import type { RankCorrelation } from "../../core/analysis/feature_statistics.ts";
import { meanRecovered } from "../../core/analysis/loss.ts";
import { median } from "../../core/analysis/statistics.ts";
import { DETECTOR_SHARE, JUDGED_FIRES, tokenBinding } from "../../core/analysis/token_binding.ts";
import { isTrainedHere, type TrainedAnalysis, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { learning, missedFvu, nonFiniteWeights, perDoubling, unsurePerDoubling } from "../checks.ts";
import { capital, confidence, counted, decimal, integer, list, percent, significant } from "../format.ts";
import { thresholds } from "../thresholds.ts";
import { code } from "./markdown.ts";

function reconstruction({ evaluation, config }: TranscoderAnalysis): string {
  const { fvu, fvu_ci95: [low, high] } = evaluation;
  const map = evaluation.linear_map?.fvu;
  const each = evaluation.fvu_per_target?.map(({ target, fvu }) => `${percent(fvu)} of ${code(target)}`);
  const remarks = [
    ...Number.isFinite(low + high) ? [`95 % CI ${percent(low)} to ${percent(high)}`] : [],
    ...each ? [`${list(each)}, which weigh the same`] : [],
    ...map === undefined ? [] : [`the best linear map leaves ${percent(map)}`],
  ];
  const target = each ? "all targets" : `\`${config.targets[0].site}\``;
  const measured = `on held-out text ${percent(fvu)} of the variance of ${target} stays unexplained` +
    (remarks.length > 0 ? ` (${remarks.join("; ")})` : "");
  if (!Number.isFinite(fvu)) return "**Reconstruction: none.** The held-out FVU is not a number.";
  if (fvu >= 1) return `**Reconstruction: worse than none.** Predicting the mean would be better: ${measured}.`;
  if (fvu < thresholds.fvu && missedFvu(evaluation) !== "") {
    return `**Reconstruction: no better than a linear map.** ${capital(measured)}.`;
  }
  // Without an interval the figure itself decides.
  const [least, most] = Number.isFinite(low + high) ? [low, high] : [fvu, fvu];
  const word = most < thresholds.fvu ? "within the goal" : least >= thresholds.fvu ? "misses the goal" : "at the goal";
  return `**Reconstruction: ${word}.** ${capital(measured)}; the goal is under ${percent(thresholds.fvu, 0)}.`;
}

/** What the model keeps with the transcoder in place, of what zeros there cost it; the target's mean is what a constant gives. */
function lossRecovered({ evaluation: { loss }, config }: TranscoderAnalysis): string {
  if (loss === undefined) return "";
  const { clean, zero, per_prefix } = loss, [first] = per_prefix, whole = per_prefix[per_prefix.length - 1];
  const { recovered_zero: share, recovered_zero_ci95: [low, high], recovered_mean: beyondMean } = whole;
  const [lowMean, highMean] = whole.recovered_mean_ci95;
  const hasInterval = Number.isFinite(low + high + lowMean + highMean);
  // Without an interval the figure itself decides.
  const [least, most, leastBeyondMean] = hasInterval ? [low, high, lowMean] : [share, share, beyondMean];
  const ends = hasInterval ? ` (95 % CI ${percent(low)} to ${percent(high)})` : "";
  const target = config.targets.length > 1 ? "all targets" : `\`${config.targets[0].site}\``;
  const losses = `the next token's loss is ${decimal(clean.ce, 3)} nats as the model is, ${
    decimal(zero.ce, 3)
  } with zeros in the place of ${target}, ${decimal(whole.ce, 3)} with the transcoder`;
  if (!(zero.ce > clean.ce)) {
    return `**Loss recovered: nothing to recover.** Zeros do no harm, so that a share of it says nothing: ${losses}.`;
  }
  const kept = `${percent(share)} of what zeros cost is recovered${ends}`;
  if (most < 0) return `**Loss recovered: worse than zeros.** ${capital(losses)}: ${kept}.`;
  if (!(least > 0)) {
    return `**Loss recovered: none for certain.** ${capital(kept)}, and 0 % cannot be ruled out: ${losses}.`;
  }
  if (!(leastBeyondMean > 0)) {
    return `**Loss recovered: no more than a constant gives for certain.** ${
      capital(kept)
    }, the target's mean recovers ${percent(meanRecovered(loss))}: ${losses}.`;
  }
  const constant = `the target's mean recovers ${percent(meanRecovered(loss))}`;
  const alone = per_prefix.length > 1
    ? `, the first ${integer(first.prefix)} features alone recover ${percent(first.recovered_zero)}`
    : "";
  return most >= 1
    ? `**Loss recovered: all, as far as can be told.** ${
      capital(kept)
    }, which contains 100 %; ${constant}${alone}: ${losses}.`
    : `**Loss recovered: a part.** ${capital(kept)}; ${constant}${alone}: ${losses}.`;
}

/** The share that the features below a group's end have in all activations of the final pass. */
export function shareOfPrefix({ statistics }: TranscoderAnalysis, groups: number): number {
  return statistics.groups.slice(0, groups).reduce((sum, { shareOfActivations }) => sum + shareOfActivations, 0);
}

function hierarchy(transcoder: TranscoderAnalysis): string {
  const { evaluation, config, statistics } = transcoder;
  const prefixes = evaluation.fvu_per_prefix;
  if (prefixes.length < 2 || !Number.isFinite(evaluation.fvu)) return "";
  const worse = prefixes.findIndex(({ ci95: [low] }, i) => i > 0 && low > prefixes[i - 1].ci95[1]);
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
  // What the skip connection explains is no feature's.
  const { skip_alone } = evaluation, alone = skip_alone ? skip_alone.fvu : 1;
  if (alone <= evaluation.fvu) return "";
  const share = (alone - first.fvu) / (alone - evaluation.fvu);
  const gain = prefixes[prefixes.length - 2].fvu - evaluation.fvu;
  const last = statistics.groups[statistics.groups.length - 1];
  const activations = shareOfPrefix(transcoder, 1), hasFired = Number.isFinite(activations);
  return `**Hierarchy: the first ${percent(first.prefix / config.features, 0)} of the features` +
    `${hasFired ? `, with ${percent(activations, 0)} of all activations,` : ""} explain ${
      percent(share, 0)
    } of what the whole dictionary ${skip_alone ? "adds to the skip connection" : "explains"}** (FVU ${
      decimal(first.fvu, 3)
    } alone). The last group${hasFired ? `, with ${percent(last.shareOfActivations, 0)} of the activations,` : ""} ${
      gain > 0
        ? `lowers FVU by ${decimal(gain, 3)}${gain < thresholds.groupGain ? ", which is little" : ""}`
        : "does not lower FVU"
    }.`;
}

/** What the skip connection does alone, beside the best linear map and all features; numbers, no judgement. */
function skipConnection({ evaluation: { skip_alone, linear_map, fvu } }: TranscoderAnalysis): string {
  if (skip_alone === undefined || !Number.isFinite(skip_alone.fvu + fvu)) return "";
  const map = linear_map ? `, the best linear map ${percent(linear_map.fvu)}` : "";
  return `**Skip connection: alone it leaves ${
    percent(skip_alone.fvu)
  } of the variance${map}.** With all features it is ${
    percent(fvu)
  }. It was trained together with them, so that alone it need not be the best map.`;
}

function sparsity({ evaluation, config }: TranscoderAnalysis): string {
  const { l0, l0_quantiles: q } = evaluation;
  const share = l0 / config.k - 1;
  const spread = `The middle 90 % of the tokens have ${integer(q.p05)} to ${integer(q.p95)} active features.`;
  if (!Number.isFinite(l0)) return "**Sparsity: unknown.** The held-out L0 is not a number.";
  if (config.imported) {
    return `**Sparsity: as measured.** Held-out tokens have ${
      decimal(l0, 1)
    } active features; what the training aimed at is not known here. ${spread}`;
  }
  if (Math.abs(share) > thresholds.l0Tolerance) {
    return `**Sparsity: off.** With the inference threshold, held-out tokens have ${decimal(l0, 1)} active features, ` +
      `${percent(Math.abs(share), 0)} ${share > 0 ? "more" : "fewer"} than k = ${config.k}. ${spread}`;
  }
  return `**Sparsity: as asked.** Held-out tokens have ${
    decimal(l0, 1)
  } active features with the inference threshold, k is ${config.k}. ${spread}`;
}

/** The share of tokens from which on a feature is dense. */
export function denseDensity({ k, features }: TranscoderAnalysis["config"]): number {
  return Math.min(thresholds.denseDensity, thresholds.denseMultiple * k / features);
}

/** Features that fire on more tokens than can share one meaning. */
export function denseFeatures({ features, config }: TranscoderAnalysis): FeatureRow[] {
  return features.filter((row) => row.density > denseDensity(config)).sort((a, b) => b.density - a.density);
}

/** Features with so few activations that their samples prove little. */
export function rareFeatures({ features }: TranscoderAnalysis): number {
  return features.filter((row) => !row.dead && row.fires < thresholds.rareFires).length;
}

function utilization(transcoder: TranscoderAnalysis): string {
  const { evaluation, config } = transcoder;
  const dense = denseFeatures(transcoder).length, rare = rareFeatures(transcoder);
  const text = counted(evaluation.tokens, "held-out token");
  const dead = evaluation.dead_features === 0
    ? `all ${counted(config.features, "feature")} fire.** Each at least once on the ${text}.`
    : `${percent(evaluation.dead_fraction)} of the features do not fire.** ${integer(evaluation.dead_features)} of ${
      counted(config.features, "feature")
    } ${evaluation.dead_features === 1 ? "is" : "are"} silent on the ${text}; more of it may wake some.`;
  return `**Feature utilization: ${dead} In the final pass ${dense === 0 ? "none" : integer(dense)} fired on ` +
    `more than ${percent(denseDensity(config), 0)} of the tokens, ${
      rare === 0 ? "none" : integer(rare)
    } fewer than ${thresholds.rareFires} times.`;
}

function strengthAndFrequency({ correlation, chance }: RankCorrelation): string {
  if (!Number.isFinite(correlation)) return "";
  const numbers = `rank correlation within the groups ${decimal(correlation, 2)}, by chance within ±${
    decimal(chance, 2)
  }`;
  return Math.abs(correlation) <= chance
    ? ` How strongly features fire on average shows no relation to how often (${numbers}).`
    : ` Features that fire more often fire more ${correlation > 0 ? "strongly" : "weakly"} on average (${numbers}).`;
}

function activations({ statistics }: TranscoderAnalysis): string {
  const { maxActivation, strongest } = statistics;
  if (strongest.length === 0) return "**Activations: none.** No feature fired in the final pass.";
  const ratio = maxActivation.max / maxActivation.median;
  return `**Activation distribution: the largest maximum is ${decimal(ratio, 1)} times the median feature's.** ` +
    `Feature ${strongest[0].feature} reaches ${significant(maxActivation.max)}, the median feature ${
      significant(maxActivation.median)
    } in ${counted(statistics.passTokens, "token")}.` + strengthAndFrequency(statistics.strengthAndFrequency);
}

function coverage({ statistics, config }: TranscoderAnalysis): string {
  const average = statistics.withSamples > 0 ? statistics.samples / statistics.withSamples : 0;
  const others = statistics.atSampleCap === config.features
    ? ""
    : ` ${percent(statistics.withSamples / config.features)} have some, ${decimal(average, 1)} on average.`;
  return `**Sample collection: ${percent(statistics.atSampleCap / config.features)} of the features have all ${
    counted(config.samples_per_feature, "sample")
  }.**${others}`;
}

/** The features that are token detectors, and those that can be judged. */
export function detectors({ features }: TranscoderAnalysis): { found: FeatureRow[]; judged: number } {
  const found = features.filter((row) => tokenBinding(row) === "detector");
  return { found, judged: found.length + features.filter((row) => tokenBinding(row) === "mixed").length };
}

/** The detectors as a share of the features that can be judged; a dash where none can. */
export function detectorShare(transcoder: TranscoderAnalysis): string {
  const { found, judged } = detectors(transcoder);
  return judged > 0 ? percent(found.length / judged, 0) : "–";
}

function selectivity(transcoder: TranscoderAnalysis): string {
  const { found, judged } = detectors(transcoder), { tokenEntropy, passTokens } = transcoder.statistics;
  if (judged === 0) return "";
  const alive = transcoder.features.filter((row) => !row.dead);
  const few = alive.filter(({ fires }) => fires < JUDGED_FIRES).length, close = alive.length - judged - few;
  const reached = median(
    found.map(({ fires, main_token_share, main_token_occurrences }) =>
      fires * main_token_share / main_token_occurrences
    ),
  );
  const chance = median(found.map(({ main_token_occurrences }) => main_token_occurrences / passTokens));
  const detail = found.length === 0
    ? ""
    : ` If they fired at random, the share would be the token's own in the text, ${
      percent(chance, 2)
    } for the median one; they fire on ${percent(reached, 0)} of their token's occurrences (median).`;
  const entropy = tokenEntropy.count === 0
    ? ""
    : ` The ${
      counted(transcoder.config.samples_per_feature, "strongest activation")
    } of the median feature are as mixed as ${decimal(2 ** tokenEntropy.median, 1)} equally frequent tokens would be.`;
  return `**Token selectivity: ${
    percent(found.length / judged, 0)
  } of the features are token detectors**, with one token on ` +
    `at least ${percent(DETECTOR_SHARE, 0)} of all their activations (${integer(found.length)} of ${integer(judged)}${
      few > 0 ? `; ${integer(few)} with fewer than ${JUDGED_FIRES} activations are not judged` : ""
    }${close > 0 ? `; ${integer(close)} lie too near to the limit` : ""}).${detail}${entropy}`;
}

/** Held-out FVU less that of training text read in the same way, where their intervals are apart; else 0, as where nobody measured it. */
export function generalizationGap(
  { evaluation: { fvu, fvu_ci95, training_text: training } }: TranscoderAnalysis,
): number {
  return training && fvu_ci95[0] > training.fvu_ci95[1] ? fvu - training.fvu : 0;
}

function generalization(transcoder: TranscoderAnalysis): string {
  const { evaluation, evaluation: { training_text: training } } = transcoder;
  if (!training || !Number.isFinite(training.fvu)) return "";
  const gap = generalizationGap(transcoder);
  const found = gap > 0
    ? "a gap.** The transcoder has learned some of its text by heart, or the held-out text is of another kind:"
    : "no gap to be seen.**";
  return `**Generalization: ${found} Held-out FVU is ${decimal(evaluation.fvu, 3)}${
    confidence(evaluation.fvu_ci95, 3)
  }, that of ${counted(training.tokens, "token")} of training text, read with the same threshold, ${
    decimal(training.fvu, 3)
  }${confidence(training.fvu_ci95, 3)}.`;
}

function brokenWeights(transcoder: TranscoderAnalysis): string {
  const broken = nonFiniteWeights(transcoder);
  return broken === 0 ? "" : `**Weights: broken.** ${counted(broken, "saved weight")} are NaN or infinite.`;
}

function encoderNorms(transcoder: TranscoderAnalysis): string {
  if (nonFiniteWeights(transcoder) > 0) return "";
  const { encoderNorms } = transcoder.weights;
  return `**Encoder norms: the largest is ${
    decimal(encoderNorms.max / encoderNorms.median, 1)
  } times the median.** Median ` +
    `${significant(encoderNorms.median, 3)}; 90 % lie between ` +
    `${significant(encoderNorms.p05, 3)} and ${significant(encoderNorms.p95, 3)}.`;
}

/** The held-out FVU that a run of twice the steps should reach. */
export function afterDoubling({ evaluation, course }: TrainedAnalysis): string {
  return decimal(evaluation.fvu * (1 - course.outlook.gain), 2);
}

function training(transcoder: TranscoderAnalysis): string {
  if (!isTrainedHere(transcoder)) return "";
  const { course } = transcoder;
  switch (learning(transcoder)) {
    case "diverged":
      return course.firstNonFiniteStep === null
        ? `**Training: failed.** The loss ends at ${significant(course.finalLoss)}, not below its first value ` +
          `${significant(course.firstLoss)}.`
        : `**Training: diverged.** The loss is not a number from step ${integer(course.firstNonFiniteStep)} on.`;
    case "risen":
      return `**Training: got worse again.** The loss was lowest at step ${integer(course.lowestLossStep)} ` +
        `(${significant(course.lowestLoss)}) and ends at ${significant(course.finalLoss)}.`;
    case "rising":
      return `**Training: getting worse at the end.** The loss rose by ${
        percent(course.lastFifthChange)
      } over the last fifth.`;
    case "improving":
      return `**Training: unfinished, still improving.** FVU falls by ${
        perDoubling(transcoder)
      } per doubling of the steps. ` +
        "That the loss lies level at the end is the decaying learning rate's doing.";
    case "level":
      return `**Training: levelled off.** Twice the steps would lower FVU by ${perDoubling(transcoder)}.`;
    case "unknown":
      return `**Training: undecided.** Whether more steps would help cannot be told: ${unsurePerDoubling(transcoder)}.`;
    case "untold":
    case "elsewhere":
      return "";
  }
}

/** What an insight is about. */
export type InsightId =
  | "reconstruction"
  | "loss"
  | "skip"
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
  loss: lossRecovered,
  skip: skipConnection,
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

/** Names features for a sentence: `feature 3` or `features 3, 17 and 20`; empty without any. */
export function featureNames(features: number[]): string {
  if (features.length === 0) return "";
  return `feature${features.length === 1 ? "" : "s"} ${list(features.map(String))}`;
}
