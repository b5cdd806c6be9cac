/**
 * What to do next. Each rule asks one question of the transcoder; those that apply give one piece of advice, with its reason.
 * @module
 */
import { dirname } from "node:path";
import { isTrainedHere, type TrainedAnalysis, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { DETECTOR_SHARE, tokenBinding } from "../../core/analysis/token_binding.ts";
import { jumps, learning, missedFvu, nonFiniteWeights, unsurePerDoubling } from "../checks.ts";
import { capital, counted, decimal, fileSize, integer, percent, setting, thresholdText, times } from "../format.ts";
import {
  afterDoubling,
  denseDensity,
  denseFeatures,
  featureNames,
  generalizationGap,
  rareFeatures,
  shareOfPrefix,
} from "./insights.ts";
import { thresholds } from "../thresholds.ts";

function diverged(transcoder: TrainedAnalysis): string {
  const { course, config } = transcoder;
  if (course.firstNonFiniteStep === null && nonFiniteWeights(transcoder) === 0) return "";
  return `**Throw this transcoder away and train again, more gently.** Lower the learning rate (it was ` +
    `${setting(config.learning_rate)}) or lengthen the warm-up (${counted(config.warmup_steps, "step")}).`;
}

function unfinished({ course, config, path }: TrainedAnalysis): string {
  if (course.completed) return "";
  return `**Finish the training.** ${counted(config.steps - course.lastStep, "step")} are missing: ` +
    `\`mtc train --resume ${dirname(path)}\`.`;
}

function reconstruction(transcoder: TrainedAnalysis): string {
  const { evaluation, config } = transcoder;
  const missed = missedFvu(evaluation);
  if (missed === "" || Number.isNaN(evaluation.fvu)) return "";
  const missing = `${capital(missed)}.`;
  if (learning(transcoder) === "improving") {
    return `**Train longer.** ${missing} ${counted(2 * config.steps, "step")} instead of ${
      integer(config.steps)
    } should bring it to about ${afterDoubling(transcoder)}${unlessGap(transcoder)}.`;
  }
  if (evaluation.dead_fraction >= thresholds.deadShare) {
    return `**Look at the dead features first.** ${missing} ${
      capital(percent(evaluation.dead_fraction))
    } of the features are silent on held-out text, so that the dictionary in use is smaller than it could be.`;
  }
  const room = `a larger k (now ${config.k}) or dictionary (now ${counted(config.features, "feature")})`;
  switch (learning(transcoder)) {
    case "level":
      return `**Try more room.** ${missing} More steps would bring little and the features are in use; what is left ` +
        `to try is ${room}.`;
    case "unknown":
    case "untold":
      return `**Try more steps first.** ${missing} Whether more than ${
        counted(config.steps, "step")
      } would help cannot ` +
        `be told (${unsurePerDoubling(transcoder)}); where they do not, try ${room}.`;
    default:
      return ""; // the loss rose: that is to be mended first
  }
}

function course(transcoder: TrainedAnalysis): string {
  const { config, evaluation } = transcoder;
  switch (learning(transcoder)) {
    case "diverged":
    case "risen":
    case "rising":
      return `**Lower the learning rate** (it was ${setting(config.learning_rate)}): the loss ${
        learning(transcoder) === "diverged" ? "ends no lower than it began" : "rose again before the end"
      }.`;
    case "improving":
      return missedFvu(evaluation) !== ""
        ? ""
        : `**More steps would still help.** ${counted(2 * config.steps, "step")} instead of ${
          integer(config.steps)
        } should bring held-out FVU from ${decimal(evaluation.fvu, 2)} to about ${afterDoubling(transcoder)}${
          unlessGap(transcoder)
        }.`;
    default:
      return "";
  }
}

/** What twice the steps give is read off the training batches, and where held-out FVU lies above that of their text, it need not follow. */
function unlessGap(transcoder: TranscoderAnalysis): string {
  return generalizationGap(transcoder) > 0 ? ", unless its gap to training text grows" : "";
}

function instability(transcoder: TrainedAnalysis): string {
  const found = jumps(transcoder);
  if (found.length <= thresholds.jumpShare * transcoder.metrics.length) return "";
  return `**Look at the jumps of the loss** (${counted(found.length, "logged step")}, the largest at step ` +
    `${integer(found[0].step)}): a longer warm-up or larger batches (now ${
      counted(transcoder.config.batch_tokens, "token")
    }) ` +
    "may smooth them.";
}

function dead({ evaluation, config }: TranscoderAnalysis): string {
  if (!(evaluation.dead_features > 0)) return "";
  if (evaluation.dead_fraction < thresholds.deadShare) {
    const [dead, they] = evaluation.dead_features === 1
      ? ["dead feature", "it is"]
      : [counted(evaluation.dead_features, "dead feature"), "they are"];
    return `**Keep an eye on the ${dead}.** The ideal is none, though ${
      percent(evaluation.dead_fraction)
    } is within the limit. More held-out text would show whether ${they} only rare.`;
  }
  return `**Fight dead features.** Count a feature as dead earlier (now after ${
    counted(config.dead_after_tokens, "token")
  }), ` +
    `raise the auxiliary loss (weight ${setting(config.aux_weight)}, ${integer(config.aux_k)} features), ` +
    `or take a smaller dictionary: ${integer(config.features - evaluation.dead_features)} features fire on the ${
      counted(evaluation.tokens, "held-out token")
    }.`;
}

function sparsity({ evaluation, config }: TranscoderAnalysis): string {
  const share = evaluation.l0 / config.k - 1;
  if (!(Math.abs(share) > thresholds.l0Tolerance)) return "";
  return `**Mend the inference threshold.** At ${thresholdText(evaluation, setting)} it lets ${
    share > 0 ? "too many" : "too few"
  } ` +
    `features through (L0 ${decimal(evaluation.l0, 1)}, k = ${config.k}). It is a running mean over about ${
      counted(Math.round(1 / config.threshold_rate), "step")
    } of the ${integer(config.steps)}${
      1 / config.threshold_rate > config.steps / 10
        ? ", so that it still holds what activations were earlier; a longer training mends that."
        : ", which is recent enough; held-out text may be of another kind."
    }`;
}

function overfitting(transcoder: TranscoderAnalysis): string {
  const { config } = transcoder, gap = generalizationGap(transcoder);
  if (gap === 0) return "";
  const { train_documents, bytes } = config.data;
  return `**Try more text or fewer passes.** Held-out FVU lies ${decimal(gap, 3)} above ` +
    `that of training text; the run used ${
      train_documents === null ? `a part of ${fileSize(bytes)}` : counted(train_documents, "document")
    }, ` +
    `each activation ${times(config.passes)}.`;
}

function firstGroup(transcoder: TranscoderAnalysis): string {
  const { evaluation, config } = transcoder;
  const enough = evaluation.fvu_per_prefix.find(({ fvu }) => missedFvu({ ...evaluation, fvu }) === "");
  if (!enough || enough.prefix === config.features) return "";
  const activations = shareOfPrefix(transcoder, evaluation.fvu_per_prefix.indexOf(enough) + 1);
  return `**Begin with the first ${
    integer(enough.prefix)
  } features** when a short list is wanted: they meet the FVU goal ` +
    `alone (${decimal(enough.fvu, 3)})${withShare(activations, "of all activations")}.`;
}

function lastGroup({ evaluation, config, statistics }: TranscoderAnalysis): string {
  const prefixes = evaluation.fvu_per_prefix;
  const gain = prefixes.length < 2 ? NaN : prefixes[prefixes.length - 2].fvu - evaluation.fvu;
  if (!(gain < thresholds.groupGain && missedFvu(evaluation) === "")) return "";
  return `**A smaller dictionary may do.** The last ${
    integer(config.groups[config.groups.length - 1])
  } features lower FVU by ` +
    `only ${decimal(Math.max(gain, 0), 3)}${
      withShare(statistics.groups[statistics.groups.length - 1].shareOfActivations, "of the activations")
    }.`;
}

/** A clause on a share; nothing where nothing fired. */
function withShare(share: number, what: string): string {
  return Number.isFinite(share) ? `, with ${percent(share, 0)} ${what}` : "";
}

function dense(transcoder: TranscoderAnalysis): string {
  const found = denseFeatures(transcoder);
  if (found.length <= thresholds.denseShare * transcoder.config.features) return "";
  return `**Treat dense features with care.** ${integer(found.length)} fire on more than ${
    percent(denseDensity(transcoder.config), 0)
  } ` + `of the tokens, foremost ${featureNames(found.slice(0, 5).map(({ feature }) => feature))}. Their samples are ` +
    `their strongest activations, ${percent(found[0].sample_count / found[0].fires)} of those of feature ${
      found[0].feature
    }, and need not be like the others.`;
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
  const strongest = (binding: string) =>
    featureNames(
      transcoder.statistics.strongest.filter((row) => tokenBinding(row) === binding).slice(0, 3)
        .map(({ feature }) => feature),
    );
  const [mixed, detectors] = [strongest("mixed"), strongest("detector")];
  const half = percent(DETECTOR_SHARE, 0);
  const parts = [
    mixed !== "" && `no token has ${half} of the activations of ${mixed}, so that their contexts are worth comparing`,
    detectors !== "" && `one token has at least ${half} of those of ${detectors}`,
  ].filter((part) => part !== false);
  return parts.length > 0 ? `**Start reading here.** Of the strongest features: ${parts.join("; ")}.` : "";
}

/** The advice that follows from an analysis, most urgent first, one Markdown paragraph each. A diverged training deserves no other. */
export function recommendations(transcoder: TranscoderAnalysis): string[] {
  const ofReaders = [firstGroup, lastGroup, dense, samples, reading];
  if (!isTrainedHere(transcoder)) return ofReaders.map((rule) => rule(transcoder)).filter((text) => text !== "");
  const fatal = diverged(transcoder);
  if (fatal !== "") return [fatal];
  const ofTrainers = [unfinished, reconstruction, dead, sparsity, course, instability, overfitting];
  return [...ofTrainers, ...ofReaders].map((rule) => rule(transcoder)).filter((text) => text !== "");
}
