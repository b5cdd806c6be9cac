/**
 * The success metrics of a transcoder, each passed or failed, and the verdict they add up to.
 * @module
 */
import type { Evaluation } from "../core/analysis/evaluation.ts";
import { isTrainedHere, type TrainedAnalysis, type TranscoderAnalysis } from "../core/runs/analysed.ts";
import { confidence, counted, decimal, integer, list, percent, significant } from "./format.ts";
import { thresholds } from "./thresholds.ts";

/** The parts of an analysis that success metrics are made of. */
export type JudgedParts = "config" | "course" | "evaluation" | "metrics" | "weights";

/** What of a transcoder its success metrics are made of. */
export type Judged = Pick<TranscoderAnalysis, JudgedParts>;

/** The same of one whose training is known here. */
export type JudgedTraining = Pick<TrainedAnalysis, JudgedParts>;

/** One success metric. */
export interface Check {
  /** Stable name for programs. */
  id: "completed" | "finite" | "converged" | "stable" | "fvu" | "l0" | "dead";
  /** What was asked. */
  requirement: string;
  /** What was found. */
  found: string;
  /** Whether the one meets the other. A value that is NaN fails. */
  passed: boolean;
  /** Whether failing it makes the transcoder unfit for use; the other checks are warnings about the training. */
  decisive: boolean;
}

/** The verdict on a transcoder. */
export interface Verdict {
  /** `good`: every check passed; `doubtful`: only warnings failed; `bad`: a decisive check failed. */
  level: "good" | "doubtful" | "bad";
  /** One or two sentences that name what failed. */
  sentence: string;
}

function completed({ course, config }: JudgedTraining): Check {
  return {
    id: "completed",
    requirement: `Training ran to the end (${counted(config.steps, "step")})`,
    found: `last logged step ${integer(course.lastStep)}, logged every ${config.log_every}`,
    passed: course.completed,
    decisive: true,
  };
}

/** Elements of the saved tensors that are NaN or infinite. */
export function nonFiniteWeights({ weights }: Judged): number {
  return weights.encoder.nonFinite + weights.encoderBias.nonFinite + weights.decoder.nonFinite +
    weights.decoderBias.nonFinite + (weights.skip?.nonFinite ?? 0);
}

function finite(transcoder: Judged): Check {
  const step = transcoder.course?.firstNonFiniteStep ?? null;
  const broken = nonFiniteWeights(transcoder);
  const problems = [
    ...(step === null ? [] : [`training diverged: the loss is not a number from step ${integer(step)} on`]),
    ...(broken === 0 ? [] : [`${counted(broken, "saved weight")} ${broken === 1 ? "is" : "are"} not finite`]),
  ];
  return {
    id: "finite",
    requirement: "No NaN or infinity in the loss and the saved weights",
    found: problems.length === 0 ? "none" : list(problems),
    passed: problems.length === 0,
    decisive: true,
  };
}

/**
 * What the course of the training says: the first of these that applies. `improving` and `level` are what twice the steps would
 * give, by its 95 % interval; `unknown` where that lies on both sides of the limit or too few steps were logged, `untold` where finished
 * weights were the start: the loss need not fall below its first value, and FVU follows no line over the logarithm of these steps; `elsewhere`
 * where the transcoder was imported.
 */
export type Learning = "diverged" | "risen" | "rising" | "improving" | "level" | "unknown" | "untold" | "elsewhere";

/** See {@link Learning}. */
export function learning({ course, config: { parent } }: Judged): Learning {
  if (course === null) return "elsewhere";
  if (course.firstNonFiniteStep !== null || (!parent && !(course.finalLoss < course.firstLoss))) return "diverged";
  if (course.finalLoss > course.lowestLoss * (1 + thresholds.aboveLowest)) return "risen";
  if (course.lastFifthChange > thresholds.lastFifthRise) return "rising";
  if (parent) return "untold";
  const { gain, error } = course.outlook;
  if (gain - 2 * error >= thresholds.doublingGain) return "improving";
  return gain + 2 * error < thresholds.doublingGain ? "level" : "unknown";
}

/** What a doubling of the steps would take off the FVU: `about 16 %`. */
export function perDoubling({ course: { outlook: { gain } } }: Pick<JudgedTraining, "course">): string {
  return `about ${percent(Math.max(0, gain), 0)}`;
}

/** The same where it does not decide: with what the noise alone makes of it. */
export function unsurePerDoubling(transcoder: Pick<JudgedTraining, "config" | "course">): string {
  if (transcoder.config.parent) return "the run began with finished weights";
  const { gain, error } = transcoder.course.outlook;
  return Number.isFinite(gain)
    ? `${perDoubling(transcoder)} ± ${percent(2 * error, 0)}`
    : "too few of the steps were logged";
}

function converged(transcoder: JudgedTraining): Check {
  const { course } = transcoder;
  const found: Record<Exclude<Learning, "elsewhere">, string> = {
    diverged: "the loss did not fall below its first value",
    risen: `the final loss lies ${percent(course.finalLoss / course.lowestLoss - 1)} above its lowest value`,
    rising: `the loss rose by ${percent(course.lastFifthChange)} over the last fifth`,
    improving: `unfinished, still improving: by ${perDoubling(transcoder)}`,
    level: `by ${perDoubling(transcoder)}`,
    unknown: `undecided: ${unsurePerDoubling(transcoder)}`,
    untold: `untold: ${unsurePerDoubling(transcoder)}`,
  };
  return {
    id: "converged",
    requirement: `Learning has levelled off: twice the steps would lower FVU by under ${
      percent(thresholds.doublingGain, 0)
    } of it`,
    found: course.firstNonFiniteStep === null
      ? found[learning(transcoder) as keyof typeof found]
      : "the loss is not a number",
    passed: learning(transcoder) === "level",
    decisive: learning(transcoder) === "diverged",
  };
}

/** Logged steps whose loss exceeds the running median by more than the limit, largest first. */
export function jumps({ course }: Pick<JudgedTraining, "course">): { step: number; ratio: number }[] {
  return course.lossRatios.filter(({ ratio }) => ratio > thresholds.jump).sort((a, b) => b.ratio - a.ratio);
}

function stable(transcoder: JudgedTraining): Check {
  const found = jumps(transcoder);
  const broken = transcoder.course.firstNonFiniteStep !== null;
  return {
    id: "stable",
    requirement: `Loss stable: at most ${percent(thresholds.jumpShare, 0)} of the logged steps above ` +
      `${thresholds.jump} times the running median`,
    found: broken
      ? "the loss is not a number"
      : found.length === 0
      ? "no jump"
      : `${counted(found.length, "jump")}, the largest ${decimal(found[0].ratio, 1)} times at step ${
        integer(found[0].step)
      }`,
    passed: !broken && found.length <= thresholds.jumpShare * transcoder.metrics.length,
    decisive: false,
  };
}

/** What keeps a held-out FVU from its goal: the limit, or a linear map that does as well; nothing when it is met. */
export function missedFvu({ fvu, linear_map }: Evaluation): string {
  const value = `held-out FVU is ${decimal(fvu, 3)}`;
  const map = linear_map && !(fvu < linear_map.fvu)
    ? `the best linear map alone has ${decimal(linear_map.fvu, 3)}`
    : "";
  if (!(fvu < thresholds.fvu)) {
    return `${value}, it must be below ${decimal(thresholds.fvu, 2)}${map === "" ? "" : `, and ${map}`}`;
  }
  return map === "" ? "" : `${value}, but ${map}`;
}

function heldOutFvu({ evaluation }: Judged): Check {
  const [low, high] = evaluation.fvu_ci95, { linear_map } = evaluation;
  const unsure = low < thresholds.fvu && high >= thresholds.fvu;
  return {
    id: "fvu",
    requirement: `Held-out FVU below ${decimal(thresholds.fvu, 2)}${
      linear_map ? ` and below the best linear map's ${decimal(linear_map.fvu, 3)}` : ""
    }`,
    found: `${decimal(evaluation.fvu, 3)}${
      confidence(evaluation.fvu_ci95, 3, unsure ? ", which contains the limit" : "")
    }`,
    passed: missedFvu(evaluation) === "",
    decisive: true,
  };
}

function sparsity({ evaluation, config }: Judged): Check {
  const difference = evaluation.l0 / config.k - 1;
  return {
    id: "l0",
    requirement: `Held-out L0 within ${percent(thresholds.l0Tolerance, 0)} of k = ${config.k}`,
    found: decimal(evaluation.l0, 1) +
      (Number.isFinite(difference) ? ` (${difference >= 0 ? "+" : ""}${percent(difference)})` : ""),
    passed: Math.abs(difference) <= thresholds.l0Tolerance,
    decisive: true,
  };
}

function dead({ evaluation }: Judged): Check {
  return {
    id: "dead",
    requirement: `Under ${percent(thresholds.deadShare, 0)} of the features dead on held-out text (ideal: none)`,
    found: `${integer(evaluation.dead_features)} (${percent(evaluation.dead_fraction)})${
      evaluation.dead_features === 0 ? ", the ideal" : ""
    }`,
    passed: evaluation.dead_fraction < thresholds.deadShare,
    decisive: true,
  };
}

/**
 * The success metrics of a transcoder, in the order in which they are read. That a run came to its end with finite numbers and
 * without jumps is no success, as hardly one that can be reported does not: these three are listed only where they fail. Of one that was
 * imported neither the training is known nor a k that it was to keep.
 */
export function successChecks(transcoder: Judged): Check[] {
  if (!isTrainedHere(transcoder)) {
    const isBroken = nonFiniteWeights(transcoder) > 0;
    return [...isBroken ? [finite] : [], heldOutFvu, dead].map((check) => check(transcoder));
  }
  // What is not told is not held against a run.
  const outlook = learning(transcoder) === "untold" ? [] : [converged];
  const [troubles, goals] = [[completed, finite, stable], [heldOutFvu, sparsity, dead, ...outlook]]
    .map((checks) => checks.map((check) => check(transcoder)));
  return [...troubles.filter(({ passed }) => !passed), ...goals];
}

/** Where the limits of the success metrics come from. */
export const LIMITS_COME_FROM: string =
  `FVU below ${decimal(thresholds.fvu, 2)} and an L0 near k are the goals of the plan for layer 17 of Gemma-2-2B ` +
  "(k = 48); for another model, layer or dictionary they are a yardstick, not what is possible there. The limits for dead " +
  "features and for what twice the steps would give are mtc's own.";

/** What each failed check means, in a few words. */
function failure(check: Check, transcoder: Judged): string {
  const { evaluation, course, config } = transcoder;
  switch (check.id) {
    case "completed":
      return `training stopped at step ${integer(course!.lastStep)} of ${integer(config.steps)}`;
    case "finite":
      return check.found;
    case "converged":
      return course!.firstNonFiniteStep !== null
        ? ""
        : learning(transcoder) === "improving"
        ? `training is unfinished, twice the steps would lower FVU by ${perDoubling(transcoder as JudgedTraining)}`
        : `learning has not levelled off (${check.found})`;
    case "stable":
      return course!.firstNonFiniteStep === null ? `the loss is unstable (${check.found})` : "";
    case "fvu":
      return missedFvu(evaluation);
    case "l0":
      return `L0 is ${decimal(evaluation.l0, 1)}, it must be within ${
        percent(thresholds.l0Tolerance, 0)
      } of ${config.k}`;
    case "dead":
      return `${percent(evaluation.dead_fraction)} of the features are dead, it must be under ${
        percent(thresholds.deadShare, 0)
      }`;
  }
}

/** Sums the checks up. */
export function verdict(transcoder: Judged): Verdict {
  const checks = successChecks(transcoder);
  const failed = checks.filter((check) => !check.passed);
  if (!isTrainedHere(transcoder)) return importVerdict(transcoder, checks, failed);
  if (failed.length === 0) {
    const { fvu, l0, dead_features } = transcoder.evaluation;
    return {
      level: "good",
      sentence: `**Good run.** All ${checks.length} success metrics are met: held-out FVU ${decimal(fvu, 3)}, ` +
        `L0 ${decimal(l0, 1)} for k = ${transcoder.config.k}, ${
          dead_features === 0 ? "no dead features" : counted(dead_features, "dead feature")
        }.`,
    };
  }
  const reasons = failed.map((check) => failure(check, transcoder)).filter((reason) => reason !== "").join("; ");
  const isUnfinished = failed.length === 1 && learning(transcoder) === "improving";
  const count = `${failed.length} of ${checks.length} success metrics ${failed.length === 1 ? "is" : "are"} missed`;
  return failed.some((check) => check.decisive) ? { level: "bad", sentence: `**Bad run.** ${count}: ${reasons}.` } : {
    level: "doubtful",
    sentence: `**Usable, ${isUnfinished ? "but unfinished" : "with a reservation"}.** ${count}: ${reasons}. ` +
      `Held-out FVU ${significant(transcoder.evaluation.fvu, 3)} and L0 ${
        decimal(transcoder.evaluation.l0, 1)
      } are within their limits.`,
  };
}

/** What holds for a transcoder that was trained elsewhere, on this text. */
function importVerdict(transcoder: Judged, checks: readonly Check[], failed: readonly Check[]): Verdict {
  const { fvu, l0, dead_features } = transcoder.evaluation;
  const count = failed.length === 0
    ? `All ${checks.length} success metrics are met on this text`
    : `${failed.length} of ${checks.length} success metrics ${failed.length === 1 ? "is" : "are"} missed on this text`;
  const reasons = failed.map((check) => failure(check, transcoder)).filter((reason) => reason !== "").join("; ");
  return {
    level: failed.length === 0 ? "good" : "bad",
    sentence: `**Imported.** Its training is not known here. ${count}: ${
      reasons === ""
        ? `held-out FVU ${decimal(fvu, 3)}, L0 ${decimal(l0, 1)}, ${counted(dead_features, "dead feature")}`
        : `${reasons}; L0 ${decimal(l0, 1)}`
    }.`,
  };
}
