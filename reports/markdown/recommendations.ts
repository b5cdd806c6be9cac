/**
 * What to do next. Each rule asks one question of the transcoder; those that apply give one piece of advice, with its reason.
 * @module
 */
import { dirname } from "node:path";
import type { TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { jumps, lossCourse, missedFvu, nonFiniteWeights } from "../checks.ts";
import { capital, counted, decimal, fileSize, integer, percent, setting, thresholdText, times } from "../format.ts";
import { denseDensity, denseFeatures, detectorShare, featureNames, rareFeatures } from "./insights.ts";
import { thresholds } from "../thresholds.ts";

function diverged(transcoder: TranscoderAnalysis): string {
  const { course, config } = transcoder;
  if (course.firstNonFiniteStep === null && nonFiniteWeights(transcoder) === 0) return "";
  return `**Throw this transcoder away and train again, more gently.** Lower the learning rate (it was ` +
    `${setting(config.learning_rate)}) or lengthen the warm-up (${counted(config.warmup_steps, "step")}).`;
}

function unfinished({ course, config, path }: TranscoderAnalysis): string {
  if (course.completed) return "";
  return `**Finish the training.** ${counted(config.steps - course.lastStep, "step")} are missing: ` +
    `\`mtc train --resume ${dirname(path)}\`.`;
}

function reconstruction(transcoder: TranscoderAnalysis): string {
  const { evaluation, config } = transcoder;
  const missed = missedFvu(evaluation);
  if (missed === "" || Number.isNaN(evaluation.fvu)) return "";
  const missing = `${capital(missed)}.`;
  if (lossCourse(transcoder) === "falling") {
    return `**Train longer.** ${missing} The loss was still falling after ${counted(config.steps, "step")}.`;
  }
  if (evaluation.dead_fraction >= thresholds.deadShare) {
    return `**Revive the dead features first.** ${missing} More features would not help while ` +
      `${percent(evaluation.dead_fraction)} of them are unused.`;
  }
  return `**Give the transcoder more room.** ${missing} The features are in use: raise k (now ${config.k}) or the ` +
    `dictionary (now ${counted(config.features, "feature")}).`;
}

function course(transcoder: TranscoderAnalysis): string {
  const { config, evaluation } = transcoder;
  switch (lossCourse(transcoder)) {
    case "risen":
    case "rising":
      return `**Lower the learning rate** (it was ${
        setting(config.learning_rate)
      }): the loss rose again before the end.`;
    case "falling":
      return missedFvu(evaluation) !== ""
        ? ""
        : `**More steps would still help.** The loss was falling when the ${integer(config.steps)} steps ended.`;
    default:
      return "";
  }
}

function instability(transcoder: TranscoderAnalysis): string {
  const found = jumps(transcoder);
  if (found.length <= thresholds.jumpShare * transcoder.metrics.length) return "";
  return `**Look at the jumps of the loss** (${counted(found.length, "logged step")}, the largest at step ` +
    `${integer(found[0].step)}): a longer warm-up or larger batches (now ${
      counted(transcoder.config.batch_tokens, "token")
    }) ` +
    "would smooth them.";
}

function dead({ evaluation, config }: TranscoderAnalysis): string {
  if (!(evaluation.dead_features > 0)) return "";
  if (evaluation.dead_fraction < thresholds.deadShare) {
    return `**Keep an eye on the ${counted(evaluation.dead_features, "dead feature")}.** The ideal is none, though ` +
      `${
        percent(evaluation.dead_fraction)
      } is within the limit. More held-out text would show which of them are only rare.`;
  }
  return `**Fight dead features.** Count a feature as dead earlier (now after ${
    counted(config.dead_after_tokens, "token")
  }), ` +
    `raise the auxiliary loss (weight ${setting(config.aux_weight)}, ${integer(config.aux_k)} features), ` +
    `or take a smaller dictionary: about ${
      integer(config.features * (1 - evaluation.dead_fraction))
    } features are used.`;
}

function sparsity({ evaluation, config }: TranscoderAnalysis): string {
  const share = evaluation.l0 / config.k - 1;
  if (!(Math.abs(share) > thresholds.l0Tolerance)) return "";
  return `**Mend the inference threshold.** At ${thresholdText(evaluation, setting)} it lets ${
    share > 0 ? "too many" : "too few"
  } ` +
    `features through (L0 ${
      decimal(evaluation.l0, 1)
    }, k = ${config.k}): a longer training lets its running mean settle.`;
}

function overfitting({ evaluation, course, config }: TranscoderAnalysis): string {
  if (!(evaluation.fvu - course.trainingFvu > thresholds.heldOutGap)) return "";
  const { train_documents, bytes } = config.data;
  return `**Use more text or fewer passes.** Held-out FVU lies ${
    decimal(evaluation.fvu - course.trainingFvu, 3)
  } above ` +
    `that of the training batches; the run used ${
      train_documents === null ? `a part of ${fileSize(bytes)}` : counted(train_documents, "document")
    }, ` +
    `each activation ${times(config.passes)}.`;
}

function firstGroup({ evaluation, config }: TranscoderAnalysis): string {
  const enough = evaluation.fvu_per_prefix.find(({ fvu }) => missedFvu({ ...evaluation, fvu }) === "");
  if (!enough || enough.prefix === config.features) return "";
  return `**Begin with the first ${
    integer(enough.prefix)
  } features** when a short list is wanted: they meet the FVU goal ` +
    `alone (${decimal(enough.fvu, 3)}), and training made them the most general ones.`;
}

function lastGroup({ evaluation, config }: TranscoderAnalysis): string {
  const prefixes = evaluation.fvu_per_prefix;
  const gain = prefixes.length < 2 ? NaN : prefixes[prefixes.length - 2].fvu - evaluation.fvu;
  if (!(gain < thresholds.groupGain && missedFvu(evaluation) === "")) return "";
  return `**A smaller dictionary may do.** The last ${
    integer(config.groups[config.groups.length - 1])
  } features lower FVU by ` +
    `only ${decimal(Math.max(gain, 0), 3)}; the first ${
      integer(prefixes[prefixes.length - 2].prefix)
    } are a valid transcoder ` + "of their own.";
}

function dense(transcoder: TranscoderAnalysis): string {
  const found = denseFeatures(transcoder);
  if (found.length <= thresholds.denseShare * transcoder.config.features) return "";
  return `**Treat dense features with care.** ${integer(found.length)} fire on more than ${
    percent(denseDensity(transcoder.config), 0)
  } ` + `of the tokens, foremost ${featureNames(found.slice(0, 5))}; one meaning is unlikely.`;
}

function samples(transcoder: TranscoderAnalysis): string {
  const { statistics, config } = transcoder;
  const rare = rareFeatures(transcoder);
  const thin = statistics.atSampleCap < thresholds.sampleCoverage * config.features;
  if (!thin && rare <= thresholds.rareShare * config.features) return "";
  return `**Collect samples over more text.** The final pass read ${counted(statistics.passTokens, "token")}; ` +
    `${
      counted(config.features - statistics.atSampleCap, "feature")
    } did not reach ${config.samples_per_feature} samples ` +
    `and ${integer(rare)} fired fewer than ${thresholds.rareFires} times.`;
}

function reading(transcoder: TranscoderAnalysis): string {
  if (missedFvu(transcoder.evaluation) !== "") return "";
  const sampled = transcoder.statistics.strongest.filter((row) => row.sample_count >= thresholds.rareFires);
  const contextual = sampled.filter((row) => row.top_token_share < thresholds.tokenDetector).slice(0, 3);
  const detectors = sampled.filter((row) => row.top_token_share >= thresholds.tokenDetector).slice(0, 3);
  const parts = [
    contextual.length > 0 &&
    `${featureNames(contextual.map((row) => row.feature))} fire strongly on many tokens, so that the context decides`,
    detectors.length > 0 && `${featureNames(detectors.map((row) => row.feature))} are strong token detectors ` +
      `(${percent(detectorShare(transcoder), 0)} of all features are)`,
  ].filter((part) => part !== false);
  return parts.length > 0 ? `**Start reading here.** ${capital(parts.join("; "))}.` : "";
}

/** The advice that follows from an analysis, most urgent first, one Markdown paragraph each. A diverged training deserves no other. */
export function recommendations(transcoder: TranscoderAnalysis): string[] {
  const fatal = diverged(transcoder);
  if (fatal !== "") return [fatal];
  const rules = [
    unfinished,
    reconstruction,
    dead,
    sparsity,
    course,
    instability,
    overfitting,
    firstGroup,
    lastGroup,
    dense,
    samples,
    reading,
  ];
  return rules.map((rule) => rule(transcoder)).filter((text) => text !== "");
}
