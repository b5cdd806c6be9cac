/**
 * LAYERN_TRAINING_SUMMARY.md: whether the training succeeded, judged from its numbers.
 * @module
 */
import type { LayerAnalysis } from "../../core/runs/analysed.ts";
import type { MetricsRow } from "../../core/runs/schema.ts";
import { checkTable, configuration, provenance } from "./analysis_report.ts";
import { jumps, successChecks, verdict } from "../checks.ts";
import { layerFiles } from "../file_names.ts";
import { counted, decimal, duration, integer, percent, setting, significant, times } from "../format.ts";
import { insights } from "./insights.ts";
import { bullets, document, numbered, numeric, table } from "./markdown.ts";
import { recommendations } from "./recommendations.ts";

/** The logged rows nearest to the start, to the quarters, and to the end. */
function milestones(metrics: MetricsRow[]): MetricsRow[] {
  const indices = [0, 0.1, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (metrics.length - 1)));
  return [...new Set(indices)].map((index) => metrics[index]);
}

function courseTable({ metrics, evaluation }: LayerAnalysis): string {
  const prefixes = evaluation.fvu_per_prefix.map(({ prefix }) => numeric(`FVU, first ${integer(prefix)}`));
  return table(
    [numeric("Step"), numeric("Loss"), ...prefixes, numeric("L0"), numeric("Dead"), numeric("Learning rate")],
    milestones(metrics).map((row) => [
      integer(row.step),
      significant(row.loss),
      ...row.fvu_per_prefix.map((fvu) => decimal(fvu, 3)),
      decimal(row.l0, 1),
      integer(row.dead_features),
      setting(Number(row.learning_rate.toPrecision(3))),
    ]),
  );
}

function convergence(layer: LayerAnalysis): string {
  const { course } = layer;
  const found = jumps(layer);
  const sign = course.lastFifthChange > 0 ? "+" : "";
  return bullets([
    `**Loss:** ${significant(course.firstLoss)} at the first logged step, ${
      significant(course.finalLoss)
    } at the last; ` +
    `lowest ${significant(course.lowestLoss)} at step ${integer(course.lowestLossStep)} (running median).`,
    `**Change over the last fifth:** ${sign}${percent(course.lastFifthChange)} ± ${percent(course.lastFifthError)} ` +
    `(a line through the running median ± what the noise alone could do).`,
    `**Noise:** in the last fifth the loss scatters by ${percent(course.noise)} around its running median.`,
    `**Jumps:** ${
      found.length === 0
        ? "none"
        : found.slice(0, 5).map(({ step, ratio }) => `${decimal(ratio, 1)} times the median at step ${integer(step)}`)
          .join(", ") + (found.length > 5 ? `, and ${found.length - 5} more` : "")
    }.`,
    `**Dead features:** at most ${integer(course.deadPeak.count)} (step ${integer(course.deadPeak.step)}), ` +
    `${integer(course.deadAtEnd)} at the end, by the training's rule.`,
    `**Learning rate:** largest logged ${setting(course.peakLearningRate.value)} at step ${
      integer(course.peakLearningRate.step)
    }, ` + `${setting(course.finalLearningRate)} at the end.`,
  ]);
}

function throughput({ course, config }: LayerAnalysis): string {
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
  ]);
}

/** The training summary of one layer. */
export function trainingSummary(layer: LayerAnalysis, generated: Date): string {
  const files = layerFiles(layer.config.layer);
  return document([
    `# Layer ${layer.config.layer} Training Summary`,
    verdict(layer).sentence,
    provenance(layer, generated),
    "## Success Metrics",
    checkTable(successChecks(layer)),
    "## Training Curves",
    `![Loss, FVU per prefix, L0, dead features, learning rate and speed against the step](${files.curves})`,
    courseTable(layer),
    "These are values of single training batches with batch top-k; the success metrics above are held-out.",
    "## Convergence and Stability",
    convergence(layer),
    "## Throughput",
    throughput(layer),
    "## What It Means",
    numbered(
      insights(layer).filter((text) => /^\*\*(Reconstruction|Sparsity|Generalization|Training|Weights)/.test(text)),
    ),
    "## Recommendations",
    numbered(recommendations(layer)),
    "## Configuration",
    configuration(layer),
    `More about the features: [${files.report}](${files.report}).`,
  ]);
}
