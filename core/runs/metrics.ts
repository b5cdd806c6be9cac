/**
 * metrics.csv: one row per logged step, appended while a run goes on.
 * @module
 */

import { appendFile, readFile } from "node:fs/promises";
import { fileError, writeFileAtomic } from "../files/atomic.ts";
import type { StepMetrics } from "../training/step.ts";

/** One logged step. */
export interface LoggedStep {
  /** The step, counted from 1. */
  readonly step: number;
  /** Training tokens seen so far. */
  readonly tokens: number;
  /** What the step measured. */
  readonly metrics: StepMetrics;
  /** The step's learning rate. */
  readonly learningRate: number;
  /** Seconds of training so far. */
  readonly elapsed: number;
  /** Training tokens per second since the row before. */
  readonly tokensPerSecond: number;
}

/** f32 measurements carry about seven digits. */
function digits(value: number, significant = 7): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(significant))) : "NaN";
}

/**
 * The header line.
 *
 * @param prefixes The prefix ends, which name the FVU columns.
 * @returns Column names; the last two columns are timings.
 */
export function metricsHeader(prefixes: readonly number[]): string {
  const fvu = prefixes.map((end) => `fvu_prefix_${end}`);
  return ["step,tokens,loss,aux_loss", ...fvu, "l0,dead_features,learning_rate,threshold,elapsed_s,tokens_per_s"].join(
    ",",
  ) + "\n";
}

/**
 * The line of a logged step.
 *
 * @param row The step.
 * @returns Its cells, as the header names them.
 */
export function metricsLine({ step, tokens, metrics, learningRate, elapsed, tokensPerSecond }: LoggedStep): string {
  const { loss, auxLoss, fvu, l0, deadFeatures, threshold } = metrics;
  const measured = [loss, auxLoss, ...fvu, l0, deadFeatures, learningRate, threshold].map((value) => digits(value));
  return [step, tokens, ...measured, digits(elapsed, 5), digits(tokensPerSecond, 5)].join(",") + "\n";
}

/**
 * Starts the file anew.
 *
 * @param path metrics.csv.
 * @param prefixes The prefix ends.
 * @throws {UserError} When the disk does not take it.
 */
export function startMetrics(path: string, prefixes: readonly number[]): Promise<void> {
  return writeFileAtomic(path, metricsHeader(prefixes));
}

/**
 * Appends rows.
 *
 * @param path metrics.csv.
 * @param rows Logged steps, ascending.
 * @throws {UserError} When the disk does not take them.
 */
export async function appendMetrics(path: string, rows: readonly LoggedStep[]): Promise<void> {
  try {
    await appendFile(path, rows.map(metricsLine).join(""));
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/**
 * Drops what was logged after a checkpoint, whole lines or the piece of one that a killed process left.
 *
 * @param path metrics.csv.
 * @param step The checkpoint's step.
 * @throws {UserError} When the file is missing or the disk does not take it.
 */
export async function truncateMetrics(path: string, step: number): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError("read", path, error);
  }
  // What follows the last line end is no whole row, even where it reads like a small step.
  const [header, ...rows] = text.slice(0, text.lastIndexOf("\n")).split("\n");
  const kept = rows.filter((row) => Number(row.split(",", 1)[0]) <= step);
  await writeFileAtomic(path, [header, ...kept, ""].join("\n"));
}
