/**
 * Inputs for the training step's kernels: parameters in mid-training, Adam's numbers, sparse entries.
 * @module
 */

import type { AdamParams, Adapted } from "../oracle/kernels.ts";
import { entriesOf, type Entry, keepLargest } from "../oracle/top_k.ts";
import { gaussians, uniform } from "../random.ts";

/** Adam's numbers after t steps, rounded to float32 as the uniform block holds them. */
export function adamParams(t: number): AdamParams {
  const beta1 = Math.fround(0.9), beta2 = Math.fround(0.999);
  return {
    beta1,
    beta2,
    epsilon: Math.fround(1e-8),
    step_size: Math.fround(1e-3 / (1 - beta1 ** t)),
    correction: Math.fround(1 / Math.sqrt(1 - beta2 ** t)),
  };
}

/** A parameter in mid-training: Adam's means are of the gradients' size, 1e-3. */
export function parameter(count: number, seed: number): Adapted<Float32Array<ArrayBuffer>> {
  const next = uniform(seed + 2);
  return {
    weight: gaussians(count, seed),
    mean: gaussians(count, seed + 1).map((value) => value * 1e-3),
    square: Float32Array.from({ length: count }, () => (0.5 + next()) * 1e-6),
  };
}

/** Rows of unit norm, in place. */
export function normalised(weight: Float32Array<ArrayBuffer>, width: number): Float32Array<ArrayBuffer> {
  for (let at = 0; at < weight.length; at += width) {
    const norm = Math.hypot(...weight.subarray(at, at + width));
    for (let c = at; c < at + width; c++) weight[c] /= norm;
  }
  return weight;
}

/** One row of a parameter, as a view. */
export function sliceRow({ weight, mean, square }: Adapted<Float32Array>, row: number, width: number) {
  const cut = (data: Float32Array) => data.subarray(row * width, (row + 1) * width);
  return { weight: cut(weight), mean: cut(mean), square: cut(square) };
}

/** Kept activations of random features, some of which stay empty. */
export function randomEntries(tokens: number, features: number, kept: number, seed: number): Entry[] {
  const data = gaussians(tokens * features, seed);
  const activations = Array.from(
    { length: tokens },
    (_, b) => Array.from(data.subarray(b * features, (b + 1) * features)),
  );
  return entriesOf(activations, keepLargest(activations, kept, activations[0].map((_, i) => i % 4 !== 1)));
}

/** Activations kept by so many tokens per feature, in flat order: feature i by the tokens from i on, cyclically. */
export function entriesPerFeature(counts: number[], tokens: number, seed: number): Entry[] {
  const values = gaussians(tokens * counts.length, seed);
  return Array.from(values, (value, at) => ({
    token: Math.floor(at / counts.length),
    feature: at % counts.length,
    value: Math.abs(value),
  })).filter(({ token, feature }) => (token + feature) % tokens < counts[feature]);
}
