/**
 * The training step's kernels one by one, as plain loops over sparse entries with derived error bounds. Arrays are row-major and flat,
 * laid out as in the .wgsl file of the same name.
 * @module
 */

import { type Bounded, difference, dot, exact, product, quotient, root, sum } from "./bounded.ts";
import type { Entry } from "./top_k.ts";

/** Adam's uniform members; all float32 numbers. */
export interface AdamParams {
  beta1: number;
  beta2: number;
  epsilon: number;
  step_size: number;
  correction: number;
}

/** A parameter with its running means, or their new values. */
export interface Adapted<T> {
  weight: T;
  mean: T;
  square: T;
}

/** adam.wgsl. 1 - beta is exact for betas from 1/2 to 1. */
export function adam(old: Adapted<number>, gradient: Bounded, params: AdamParams): Adapted<Bounded> {
  const { beta1, beta2, epsilon, step_size, correction } = params;
  const mean = sum([product(exact(beta1), exact(old.mean)), product(exact(1 - beta1), gradient)]);
  const square = sum([
    product(exact(beta2), exact(old.square)),
    product(product(exact(1 - beta2), gradient), gradient),
  ]);
  const denominator = sum([product(root(square), exact(correction)), exact(epsilon)]);
  const weight = difference(exact(old.weight), quotient(product(exact(step_size), mean), denominator));
  return { weight, mean, square };
}

/** decode.wgsl: residual suffix sums [prefixes, tokens, width] and squares [tokens, prefixes]. */
export function decode(given: {
  entries: Entry[];
  tokens: number;
  width: number;
  prefixEnds: number[];
  decoder: Float32Array;
  bias: Float32Array;
  target: Float32Array;
  targetWeight: number;
  biasWeight: number;
  innerWeight: number;
}): { residual: Bounded[]; squares: Bounded[] } {
  const { entries, tokens, width, prefixEnds, decoder, bias, target, targetWeight, biasWeight, innerWeight } = given;
  const own = prefixEnds.map((end) => {
    const residual: Bounded[] = [];
    for (let b = 0; b < tokens; b++) {
      const inside = entries.filter(({ token, feature }) => token === b && feature < end);
      for (let c = 0; c < width; c++) {
        const reconstruction = dot(
          inside.map(({ value }) => exact(value)),
          inside.map(({ feature }) => exact(decoder[feature * width + c])),
          product(exact(biasWeight), exact(bias[c])),
        );
        residual.push(sum([reconstruction, product(exact(targetWeight), exact(target[b * width + c]))]));
      }
    }
    return residual;
  });
  const weights = own.map((_, p) => exact(p + 1 === own.length ? 1 : innerWeight));
  const residual = own.flatMap((slab, p) =>
    slab.map((_, at) => dot(weights.slice(p), own.slice(p).map((later) => later[at])))
  );
  const squares: Bounded[] = [];
  for (let b = 0; b < tokens; b++) {
    for (const slab of own) {
      const row = slab.slice(b * width, (b + 1) * width);
      squares.push(dot(row, row));
    }
  }
  return { residual, squares };
}

/** The entries of one feature with the residuals that its tokens see. */
interface Side {
  /** Kept activations, ascending by token; of any feature. */
  entries: Entry[];
  /** [tokens, width] */
  residual: Float32Array;
  scale: number;
}

/** decoder_step.wgsl for one feature: slopes by entry, and the row. */
export function decoderStep(
  feature: number,
  row: Adapted<Float32Array>,
  main: Side,
  aux: Side,
  params: AdamParams,
): { slope: Bounded[]; auxSlope: Bounded[]; row: Adapted<Bounded[]> } {
  const width = row.weight.length;
  const old = Array.from(row.weight, exact);
  const sides = [main, aux].map(({ entries, residual, scale }) => {
    const mine = entries.filter((entry) => entry.feature === feature);
    const seen = mine.map(({ token }) => Array.from(residual.subarray(token * width, (token + 1) * width), exact));
    return {
      slope: seen.map((r) => product(exact(scale), dot(r, old))),
      weights: mine.map(({ value }) => product(exact(scale), exact(value))),
      seen,
    };
  });
  const [scaled, seen] = [sides.flatMap((side) => side.weights), sides.flatMap((side) => side.seen)];
  const gradient = old.map((_, c) => dot(scaled, seen.map((r) => r[c])));
  const along = dot(gradient, old);
  const moved = old.map((w, c) =>
    adam(
      { weight: w.value, mean: row.mean[c], square: row.square[c] },
      difference(gradient[c], product(along, w)),
      params,
    )
  );
  const weights = moved.map(({ weight }) => weight);
  const norm = root(dot(weights, weights));
  return {
    slope: sides[0].slope,
    auxSlope: sides[1].slope,
    row: {
      weight: weights.map((w) => quotient(w, norm)),
      mean: moved.map(({ mean }) => mean),
      square: moved.map(({ square }) => square),
    },
  };
}

/** encoder_step.wgsl for one feature: its row [width] and its bias. `value` of an entry is its slope. */
export function encoderStep(
  feature: number,
  row: Adapted<Float32Array>,
  bias: Adapted<number>,
  entries: Entry[],
  x: Float32Array,
  params: AdamParams,
  biasStep: number,
): { row: Adapted<Bounded>[]; bias: Adapted<Bounded> } {
  const width = row.weight.length;
  const mine = entries.filter((entry) => entry.feature === feature);
  const slopes = mine.map(({ value }) => exact(value));
  return {
    row: Array.from(row.weight, (weight, c) => {
      const gradient = dot(slopes, mine.map(({ token }) => exact(x[token * width + c])));
      return adam({ weight, mean: row.mean[c], square: row.square[c] }, gradient, params);
    }),
    bias: adam(bias, sum(slopes), { ...params, step_size: biasStep }),
  };
}

/** decoder_bias_step.wgsl: bias, mean and square [width] each. */
export function decoderBiasStep(
  bias: Adapted<Float32Array>,
  residual: Float32Array,
  scale: number,
  params: AdamParams,
): Adapted<Bounded>[] {
  const width = bias.weight.length, tokens = residual.length / width;
  return Array.from(bias.weight, (weight, c) => {
    const column = Array.from({ length: tokens }, (_, b) => exact(residual[b * width + c]));
    return adam({ weight, mean: bias.mean[c], square: bias.square[c] }, product(exact(scale), sum(column)), params);
  });
}

/** column_moments.wgsl: means [width], then squares [width]. */
export function columnMoments(x: Float32Array, rows: number, width: number): Bounded[] {
  const columns = Array.from(
    { length: width },
    (_, c) => Array.from({ length: rows }, (_, r) => exact(x[r * width + c])),
  );
  const means = columns.map((column) => quotient(sum(column), exact(rows)));
  const squares = columns.map((column, c) => {
    const deviations = column.map((value) => difference(value, means[c]));
    return dot(deviations, deviations);
  });
  return [...means, ...squares];
}

/** The floating-point members of step_metrics.wgsl's row: loss, aux loss, errors, variance. */
export function stepMetrics(
  squares: Float32Array,
  auxSquares: Float32Array,
  squaredDeviations: Float32Array,
  prefixes: number,
  auxWeight: number,
  wholeWeight: number,
  isAuxActive: boolean,
): { loss: Bounded; auxLoss: Bounded; errors: Bounded[]; variance: Bounded } {
  const tokens = auxSquares.length, width = squaredDeviations.length;
  const scale = quotient(exact(1), product(exact(tokens), exact(width)));
  const mean = (terms: ArrayLike<number>) => product(sum(Array.from(terms, exact)), scale);
  const errors = Array.from({ length: prefixes }, (_, p) => mean(squares.filter((_, at) => at % prefixes === p)));
  const auxLoss = isAuxActive ? product(mean(auxSquares), exact(auxWeight)) : exact(0);
  const all = sum([exact(prefixes - 1), exact(wholeWeight)]);
  const weighted = errors.map((error, p) => product(exact(p + 1 === prefixes ? wholeWeight : 1), error));
  const loss = sum([...weighted.map((error) => quotient(error, all)), auxLoss]);
  return { loss, auxLoss, errors, variance: mean(squaredDeviations) };
}
