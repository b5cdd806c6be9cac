/**
 * <TRANSCODER>_TRAINING_SUMMARY.md: whether the training succeeded, judged from its numbers.
 * @module
 */
import { prefixEnds } from "../../core/transcoder/shape.ts";
import { isTrainedHere, type TrainedAnalysis, type TranscoderAnalysis } from "../../core/runs/analysed.ts";
import { type MetricsRow, reconstructionLoss } from "../../core/analysis/convergence.ts";
import { checkTable, configuration, eachTarget, provenance, UNKNOWN_TRAINING } from "./analysis_report.ts";
import { jumps, successChecks, unsurePerDoubling, verdict } from "../checks.ts";
import { filesOf } from "../file_names.ts";
import { counted, decimal, duration, integer, percent, setting, significant, times } from "../format.ts";
import { documentFvus, intervalBasis, leftOutOfRun, textRead } from "../held_out.ts";
import { type InsightId, insights } from "./insights.ts";
import { bullets, document, numbered, numeric, table } from "./markdown.ts";
import { recoveredSentence } from "../loss_table.ts";
import { caveats, reconstructionTable } from "../reconstructions.ts";
import { recommendations } from "./recommendations.ts";

/** The logged rows nearest to the start, to the quarters, and to the end. */
function milestones(metrics: readonly MetricsRow[]): MetricsRow[] {
  const indices = [0, 0.1, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (metrics.length - 1)));
  return [...new Set(indices)].map((index) => metrics[index]);
}

/** The logged rows at the quarters of a training, or of what there is of one. */
export function courseTable({ metrics, config }: Pick<TrainedAnalysis, "config" | "metrics">): string {
  const prefixes = prefixEnds(config.groups).map((prefix) => numeric(`FVU, first ${integer(prefix)}`));
  return table(
    [numeric("Step"), numeric("Loss"), ...prefixes, numeric("L0"), numeric("Dead"), numeric("Learning rate")],
    milestones(metrics).map((row) => [
      integer(row.step),
      significant(reconstructionLoss(row)),
      ...row.fvu_per_prefix.map((fvu) => decimal(fvu, 3)),
      decimal(row.l0, 1),
      integer(row.dead_features),
      setting(Number(row.learning_rate.toPrecision(3))),
    ]),
  );
}

/** What the curve of the loss says. Only of a training that has ended is it told what twice the steps would give. */
export function convergence(
  transcoder: Pick<TrainedAnalysis, "config" | "course">,
  { hasEnded = true }: { hasEnded?: boolean } = {},
): string {
  const { course, config } = transcoder;
  const found = jumps(transcoder);
  const sign = course.lastFifthChange > 0 ? "+" : "", isFitted = Number.isFinite(course.lastFifthChange);
  return bullets([
    `**Loss:** without the auxiliary one ${
      significant(course.firstLoss)
    } at the first logged step; its running median ${significant(course.finalLoss)} at the last, ` +
    `lowest ${significant(course.lowestLoss)} at step ${integer(course.lowestLossStep)}.`,
    isFitted
      ? `**Change over the last fifth:** ${sign}${percent(course.lastFifthChange)} ± ${
        percent(course.lastFifthError)
      } ` +
        `(a line through the running median ± what the noise alone could do). ${
          hasEnded
            ? "It is small wherever the learning rate has gone down, and shows no end of the learning."
            : "With a falling learning rate it becomes small in any case."
        }`
      : "**Change over the last fifth:** no line fits it.",
    ...config.parent || !hasEnded ? [] : [
      `**Twice the steps** would lower FVU by: ${
        unsurePerDoubling(transcoder)
      } (a line through log FVU over log step of the last four fifths ± its scatter).`,
    ],
    `**Noise:** in the last fifth the loss scatters by ${percent(course.noise)} around its running median.`,
    `**Jumps:** ${
      found.length === 0
        ? "none"
        : found.slice(0, 5).map(({ step, ratio }) => `${decimal(ratio, 1)} times the median at step ${integer(step)}`)
          .join(", ") + (found.length > 5 ? `, and ${found.length - 5} more` : "")
    }.`,
    `**Dead features:** at most ${integer(course.deadPeak.count)} (step ${integer(course.deadPeak.step)}), ` +
    `${integer(course.deadAtEnd)} at the ${hasEnded ? "end" : "last logged step"}, by the training's rule.`,
    `**Learning rate:** largest logged ${setting(course.peakLearningRate.value)} at step ${
      integer(course.peakLearningRate.step)
    }, ${setting(course.finalLearningRate)} at the ${
      hasEnded
        ? "end."
        : "last logged step. While it is high, small steps are still to come, which lower FVU by themselves: what the whole training will reach, " +
          "and what twice the steps would give, is told once it has ended."
    }`,
  ]);
}

/** Time, speed, and what was left out as far as the end of training has told. */
export function throughput(
  { course, config, evaluation }:
    & Pick<TrainedAnalysis, "config" | "course">
    & Partial<Pick<TrainedAnalysis, "evaluation">>,
): string {
  const token_counts = evaluation?.token_counts;
  return bullets([
    `**Time:** ${duration(course.seconds)} for ${counted(course.lastStep, "step")} and ${
      counted(course.tokens, "token")
    }`,
    `**Speed:** ${
      Number.isFinite(course.tokensPerSecond)
        ? `${integer(course.tokensPerSecond)} tokens per second (median of the logged intervals)`
        : "not recorded"
    }`,
    `**Passes:** each harvested activation was used ${times(config.passes)}`,
    ...token_counts ? [`**Left out:** ${leftOutOfRun(token_counts)}`] : [],
  ]);
}

/** What the training summary repeats of the insights: those that the training decides. */
const REPEATED: readonly InsightId[] = [
  "reconstruction",
  "loss",
  "sparsity",
  "generalization",
  "broken_weights",
  "training",
];

/** What the summary says of how the training went. */
function trainingSections(transcoder: TrainedAnalysis): string[] {
  return [
    "## Training Curves",
    `![Loss, FVU per prefix, L0, dead features, learning rate and speed against the step](${
      filesOf(transcoder.name).curves
    })`,
    courseTable(transcoder),
    "These are values of single training batches with batch top-k; the success metrics above are held-out: " +
    `${textRead(transcoder.evaluation)}; ${intervalBasis(transcoder.evaluation)}.`,
    documentFvus(transcoder.evaluation),
    "## Convergence and Stability",
    convergence(transcoder),
    "## Throughput",
    throughput(transcoder),
  ];
}

/** The training summary of one transcoder. */
export function trainingSummary(transcoder: TranscoderAnalysis, generated: Date): string {
  const files = filesOf(transcoder.name);
  return document([
    `# ${transcoder.name.title} Training Summary`,
    verdict(transcoder).sentence,
    provenance(transcoder, generated),
    "## Success Metrics",
    checkTable(successChecks(transcoder)),
    "## Held-out Reconstruction",
    reconstructionTable(transcoder.evaluation),
    ...eachTarget(transcoder.evaluation),
    ...transcoder.evaluation.loss ? [recoveredSentence(transcoder.evaluation.loss)] : [],
    ...caveats(transcoder.evaluation, transcoder.config),
    ...isTrainedHere(transcoder)
      ? trainingSections(transcoder)
      : ["## Training", UNKNOWN_TRAINING, documentFvus(transcoder.evaluation)],
    "## What It Means",
    numbered(insights(transcoder).filter(({ id }) => REPEATED.includes(id)).map(({ text }) => text)),
    "## Recommendations",
    numbered(recommendations(transcoder)),
    "## Configuration",
    configuration(transcoder),
    `More about the features: [${files.report}](${files.report}).`,
  ]);
}
