/**
 * What the training curve shows, as numbers: whether it ran to the end, how far the loss fell, whether it still moves, and
 * whether it jumped. Nothing here is called good or bad; the limits for that are in reports/thresholds.ts.
 * @module
 */
import { type Outlook, outlook } from "./outlook.ts";
import { leastSquares, median } from "./statistics.ts";

/** One logged step: the values of its training batch. The names are those of the columns of metrics.csv. */
export interface MetricsRow {
  /** Optimiser step. */
  step: number;
  /** Training tokens seen so far. */
  tokens: number;
  /** Mean squared error averaged over the prefixes, plus the auxiliary loss. */
  loss: number;
  /** Auxiliary loss of the dead features, times its weight; 0 when no dead feature was active. */
  aux_loss: number;
  /** FVU of each Matryoshka prefix, in the order of their ends. */
  fvu_per_prefix: number[];
  /** Active features per token. */
  l0: number;
  /** Features that have not been active for `dead_after_tokens` tokens. */
  dead_features: number;
  /** Learning rate of the step. */
  learning_rate: number;
  /** Running inference threshold; NaN when not recorded. */
  threshold: number;
  /** Seconds since training began; NaN when not recorded. */
  elapsed_s: number;
  /** Training tokens per second since the row before; NaN when not recorded. */
  tokens_per_s: number;
}

/** What the course of a training is held against; the names are those of config.json. */
export interface TrainingSettings {
  /** Optimiser steps asked for. */
  readonly steps: number;
  /** Steps between logged ones. */
  readonly log_every: number;
  /** Steps of linear warm-up. */
  readonly warmup_steps: number;
}

/**
 * The loss of the reconstructions alone: the auxiliary one comes and goes as features die and come back, however well the others do.
 *
 * @param row A logged step.
 * @returns Mean squared error averaged over the prefixes.
 */
export function reconstructionLoss({ loss, aux_loss }: MetricsRow): number {
  return loss - aux_loss;
}

/** The course of one training run, by its {@link reconstructionLoss}. "Smoothed" is the median of up to {@link smoothingRows} logged values around a step. */
export interface TrainingCourse {
  /** Step of the last logged row. */
  lastStep: number;
  /** Whether that is the last step the settings ask for, as far as the logging interval can show it. */
  completed: boolean;
  /** First step whose loss is NaN or infinite; null when there is none. */
  firstNonFiniteStep: number | null;
  /** Loss of the first logged row. */
  firstLoss: number;
  /** Smoothed loss of the last row. */
  finalLoss: number;
  /** Smallest smoothed loss, and its step. */
  lowestLoss: number;
  /** Step of {@link lowestLoss}. */
  lowestLossStep: number;
  /** Smoothed loss of each row, for the plot. */
  smoothedLoss: number[];
  /** Change of the smoothed loss over the last fifth of the rows: a least-squares line, end minus start, divided by the mean. */
  lastFifthChange: number;
  /** What {@link noise} alone would make of {@link lastFifthChange}: the standard error of such a line's change. */
  lastFifthError: number;
  /** Typical distance of the loss from its smoothed value in the last fifth, relative; jumps do not count (1.48 times the median). */
  noise: number;
  /** Loss divided by the smoothed loss, of each row after the warm-up and after the first rows, which have no full window. */
  lossRatios: { step: number; ratio: number }[];
  /** Dead features in the last row. */
  deadAtEnd: number;
  /** Most dead features in any row, and its step. */
  deadPeak: { step: number; count: number };
  /** What more training would give. */
  outlook: Outlook;
  /** Largest learning rate and its step. */
  peakLearningRate: { step: number; value: number };
  /** Learning rate of the last row. */
  finalLearningRate: number;
  /** Training tokens seen. */
  tokens: number;
  /** Seconds from start to the last row; NaN when not recorded. */
  seconds: number;
  /** Median of the logged tokens per second; NaN when not recorded. */
  tokensPerSecond: number;
}

/** Width of the running median. Odd, and wide enough that one or two bad batches do not move it. */
export const smoothingRows = 9;

/** At the start, where the loss falls steeply, the window stays symmetric; at the end it is cut off. */
function runningMedian(values: number[]): number[] {
  const half = (smoothingRows - 1) / 2;
  return values.map((_, i) => {
    const reach = Math.min(half, i);
    return median(values.slice(i - reach, i + reach + 1));
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function lastFifth<T>(rows: readonly T[]): readonly T[] {
  return rows.slice(-Math.max(3, Math.round(rows.length / 5)));
}

/** Relative change of a fitted line from its first to its last step. */
function relativeChange(steps: readonly number[], losses: readonly number[]): number {
  return leastSquares(steps, losses).slope * (steps[steps.length - 1] - steps[0]) / mean(losses);
}

/** The numbers of a training curve. `metrics` holds at least one row, by ascending step. */
export function trainingCourse(metrics: readonly MetricsRow[], config: TrainingSettings): TrainingCourse {
  const losses = metrics.map(reconstructionLoss);
  const smoothed = runningMedian(losses);
  const last = metrics[metrics.length - 1];
  const tail = lastFifth(metrics);
  const tailSmoothed = lastFifth(smoothed);
  const noise = 1.4826 * median(lastFifth(losses).map((loss, i) => Math.abs(loss / tailSmoothed[i] - 1)));
  const lowest = smoothed.reduce((best, value, i) => value < smoothed[best] ? i : best, 0);
  const peakDead = metrics.reduce((best, row) => row.dead_features > best.dead_features ? row : best);
  const peakRate = metrics.reduce((best, row) => row.learning_rate > best.learning_rate ? row : best);
  return {
    lastStep: last.step,
    completed: last.step >= config.steps - config.log_every,
    firstNonFiniteStep: metrics.find((row) => !Number.isFinite(row.loss))?.step ?? null,
    firstLoss: losses[0],
    finalLoss: smoothed[smoothed.length - 1],
    lowestLoss: smoothed[lowest],
    lowestLossStep: metrics[lowest].step,
    smoothedLoss: smoothed,
    lastFifthChange: relativeChange(tail.map((row) => row.step), tailSmoothed),
    lastFifthError: noise * Math.sqrt(12 / tail.length),
    noise,
    lossRatios: metrics
      .map((row, i) => ({ step: row.step, ratio: losses[i] / smoothed[i] }))
      .filter(({ step, ratio }, i) => i >= smoothingRows / 2 && step > config.warmup_steps && Number.isFinite(ratio)),
    deadAtEnd: last.dead_features,
    deadPeak: { step: peakDead.step, count: peakDead.dead_features },
    outlook: outlook(metrics, config.warmup_steps),
    peakLearningRate: { step: peakRate.step, value: peakRate.learning_rate },
    finalLearningRate: last.learning_rate,
    tokens: last.tokens,
    seconds: last.elapsed_s,
    tokensPerSecond: median(metrics.map((row) => row.tokens_per_s).filter(Number.isFinite)),
  };
}
