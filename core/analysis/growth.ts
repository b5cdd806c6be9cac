/**
 * How a figure of transcoders grows with a setting that a sweep varies, and how it scatters over seeds.
 * @module
 */
import type { Interval } from "./bootstrap.ts";
import { moments } from "./statistics.ts";

/** One transcoder of a sweep, as growth sees it. */
export interface GrowthPoint {
  /** The setting that varies, above 0. */
  readonly x: number;
  /** The figure, above 0. */
  readonly y: number;
  /** Its seeds; transcoders that differ in nothing else are repetitions. */
  readonly seed: string;
  /** All its other settings: slopes are along transcoders that share them. */
  readonly others: string;
}

/** The exponent p of y ~ x^p. */
export interface Growth {
  /** Its mean over the seeds. */
  readonly exponent: number;
  /** 95 % interval of that mean by Student's t; NaN for one seed. */
  readonly ci95: Interval;
  /** Seeds that have transcoders to fit a slope to. */
  readonly seeds: number;
}

/** A mean over seeds. */
export interface SeedMean {
  /** The mean. */
  readonly mean: number;
  /** Sample standard deviation (divided by one less than the count); NaN for one. */
  readonly std: number;
  /** 95 % interval of the mean by Student's t; NaN for one. */
  readonly ci95: Interval;
}

/** The 97.5th percentile of Student's t by degrees of freedom, 1 to 10. Beyond, the last is wider than need be. */
const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/**
 * The mean of a figure over seeds.
 *
 * @param values One for each seed.
 * @returns Mean, scatter and interval; the mean is NaN without values.
 */
export function seedMean(values: readonly number[]): SeedMean {
  const { mean, std } = moments(values), n = values.length;
  if (n < 2) return { mean, std: NaN, ci95: [NaN, NaN] };
  const scatter = std * Math.sqrt(n / (n - 1));
  const reach = STUDENT[Math.min(n - 1, STUDENT.length) - 1] * scatter / Math.sqrt(n);
  return { mean, std: scatter, ci95: [mean - reach, mean + reach] };
}

/**
 * The growth of a figure with a setting: for each seed the slope of log y over log x, all transcoders that share their other settings
 * counted from their own mean.
 *
 * @param points The transcoders; those whose figure is not a number above 0 are left out.
 * @returns The exponent; null where the setting varies in no seed among transcoders that share the others.
 */
export function growth(points: readonly GrowthPoint[]): Growth | null {
  const usable = points.filter(({ y }) => y > 0 && y < Infinity), slopes: number[] = [];
  for (const ofSeed of Map.groupBy(usable, ({ seed }) => seed).values()) {
    let xx = 0, xy = 0;
    for (const alike of Map.groupBy(ofSeed, ({ others }) => others).values()) {
      const x = centred(alike.map((point) => Math.log(point.x))), y = centred(alike.map((point) => Math.log(point.y)));
      for (let i = 0; i < x.length; i++) [xx, xy] = [xx + x[i] ** 2, xy + x[i] * y[i]];
    }
    if (xx > 0) slopes.push(xy / xx);
  }
  if (slopes.length === 0) return null;
  const { mean, ci95 } = seedMean(slopes);
  return { exponent: mean, ci95, seeds: slopes.length };
}

function centred(values: readonly number[]): number[] {
  const { mean } = moments(values);
  return values.map((value) => value - mean);
}
