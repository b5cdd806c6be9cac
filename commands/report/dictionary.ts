/**
 * What a dictionary's weights say by themselves, for a report. All pairs of rows are compared for it, on the GPU if there is one.
 * @module
 */

import type { Directions } from "../../core/analysis/directions.ts";
import type { SecondMoment } from "../../core/analysis/weight_groups.ts";
import { UserError } from "../../core/errors.ts";
import type { Gpu } from "../../core/gpu/device.ts";
import type { ComparedCosines } from "../../core/passes/cosines.ts";
import type { FinishedTranscoder } from "../../core/runs/finished.ts";
import { onMatrix, type StoredTranscoder } from "../../core/transcoder/weights.ts";
import type { DictionaryAnalysis, TalliedCosines } from "../../core/runs/recorded.ts";
import { integer } from "../../reports/format.ts";
import { Progress } from "../progress.ts";

/** What multiplies rows. */
export interface Multiplier {
  /** Means of d d^T. */
  readonly moment: SecondMoment;
  /** All cosines of rows, and those of random directions. */
  readonly cosines: (
    directions: Directions,
    groups: readonly number[],
    onProgress: (done: number, blocks: number) => void,
  ) => Promise<ComparedCosines>;
  /** The largest product of features, features and width that it takes, so that a report waits for minutes at most. */
  readonly most: number;
  /** What it is, as an object of `without` or `with`. */
  readonly phrase: string;
  /** Lets the device go. */
  [Symbol.dispose](): void;
}

/** The largest product of features, features and width by a loop in one core, which every machine takes; */
export const MOST_BY_LOOP = 2 ** 33;
/** and by a software driver: 4,608 features of width 2,304 twice over. */
const MOST_BY_SOFTWARE = 2 ** 37;

/**
 * Opens what multiplies: a GPU, or else a loop.
 *
 * @returns It.
 */
export async function openMultiplier(): Promise<Multiplier> {
  const gpu = await deviceIfAny();
  if (gpu === null) {
    const { loopedCosines, loopedMoment } = await import("../../core/analysis/looped_products.ts");
    return {
      moment: (rows, width) => Promise.resolve(loopedMoment(rows, width)),
      cosines: (...rows) => Promise.resolve(loopedCosines(...rows)),
      most: MOST_BY_LOOP,
      phrase: "without a GPU",
      [Symbol.dispose]() {},
    };
  }
  const { compareCosines, secondMoment } = await import("../../core/passes/cosines.ts");
  return {
    moment: (rows, width) => secondMoment(gpu, rows, width),
    cosines: (...rows) => compareCosines(gpu, ...rows),
    most: gpu.isCpu ? MOST_BY_SOFTWARE : Infinity,
    phrase: "with a software driver",
    [Symbol.dispose]() {
      gpu[Symbol.dispose]();
    },
  };
}

async function deviceIfAny(): Promise<Gpu & Disposable | null> {
  const { openGpu } = await import("../../core/gpu/device.ts");
  try {
    return await openGpu();
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/**
 * Analyses the weights of a transcoder.
 *
 * @param multiplier What multiplies.
 * @param transcoder The transcoder.
 * @returns The analysis, or a clause why it was not made.
 */
export async function dictionaryOf(
  multiplier: Multiplier,
  transcoder: FinishedTranscoder<StoredTranscoder>,
): Promise<DictionaryAnalysis | string> {
  const { config: { features, d_in, d_out }, directory } = transcoder;
  if (features ** 2 * (d_in + d_out) > multiplier.most) {
    return `to compare all pairs of ${integer(features)} features takes too long for a report ${multiplier.phrase}; ` +
      `\`mtc analyze similarity --run ${directory}\` does it`;
  }
  try {
    return await analyzed(multiplier, transcoder);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

async function analyzed(
  multiplier: Multiplier,
  { transcoder: stored, name: { title } }: FinishedTranscoder<StoredTranscoder>,
): Promise<DictionaryAnalysis> {
  const { directionsOf } = await import("../../core/analysis/directions.ts");
  const { featureMap } = await import("../../core/analysis/feature_map.ts");
  const { similarRows } = await import("../../core/analysis/similar_rows.ts");
  const { analyzeWeights, groupHistograms, weightsOfFeatures } = await import("../../core/analysis/weight_groups.ts");
  const { groups, d_in, d_out } = stored.shape;
  const compared = async (kind: "decoder" | "encoder", width: number) => {
    const progress = new Progress(`${title}: ${kind} cosines`);
    const onBlock = (done: number, total: number) => progress.advance({ done, total });
    try {
      const found = await onMatrix(stored, kind, (rows) => {
        return multiplier.cosines(directionsOf(rows, width, rows), groups, onBlock);
      });
      return {
        tallied: tallied(found),
        similar: await onMatrix(stored, kind, (rows) => similarRows(rows, width, found)),
      };
    } finally {
      progress.stop();
    }
  };
  const decoder = await compared("decoder", d_out), encoder = await compared("encoder", d_in);
  const ofBoth = await onMatrix(stored, "encoder", (encoder) =>
    onMatrix(stored, "decoder", async (decoder) => {
      const weights = { ...stored.weights, encoder, decoder };
      const analysed = await analyzeWeights(weights, groups, multiplier.moment);
      const histograms = groupHistograms(weightsOfFeatures(weights, groups), groups.length);
      const written = directionsOf(decoder, d_out, decoder), moment = await multiplier.moment(written.rows, d_out);
      return { weights: analysed, groups: histograms, map: featureMap(written, moment) };
    }));
  return {
    ...{ decoder: decoder.tallied, encoder: encoder.tallied },
    similar: { decoder: decoder.similar, encoder: encoder.similar },
    ...ofBoth,
  };
}

/** Without the lists of neighbours, which are as many as there are features. */
function tallied({ cosines: { neighbours: _, ...cosines }, by_chance }: ComparedCosines): TalliedCosines {
  const { neighbours: __, ...chance } = by_chance;
  return { cosines, by_chance: chance };
}
