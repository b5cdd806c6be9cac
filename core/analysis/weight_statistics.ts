/**
 * What the weights of one transcoder look like: moments of each tensor, norms of each feature, and histograms for plots.
 * @module
 */
import type { FeatureWeights } from "./feature_rows.ts";
import { type Histogram, histogram, moments, summarize, type Summary } from "./statistics.ts";

/** Moments of all elements of one tensor. */
export interface TensorStatistics {
  /** Its shape in the transcoder's file, outermost dimension first. */
  shape: number[];
  /** Mean of all elements. */
  mean: number;
  /** Population standard deviation of all elements. */
  std: number;
  /** Smallest element. */
  min: number;
  /** Largest element. */
  max: number;
  /** Elements that are NaN or infinite; when there are any, the moments are not finite either. */
  nonFinite: number;
}

/** Statistics of one transcoder's weights. */
export interface WeightStatistics {
  /** W_enc. */
  encoder: TensorStatistics;
  /** b_enc. */
  encoderBias: TensorStatistics;
  /** W_dec. */
  decoder: TensorStatistics;
  /** b_dec. */
  decoderBias: TensorStatistics;
  /** W_skip; only there with a skip connection. */
  skip?: TensorStatistics;
  /** Summary over features of |W_enc[:, i]|, the length of the direction that each feature reads. */
  encoderNorms: Summary;
  /** Summary over features of |W_dec[i]|, the length of the direction that each feature writes. */
  decoderNorms: Summary;
  /** Elements of W_enc in 100 bins over mean ± 5 std; `encoderOutside` elements lie further out. */
  encoderHistogram: Histogram;
  /** How many elements of W_enc the histogram leaves out. */
  encoderOutside: number;
  /** |W_enc[:, i]| in 50 bins over their range. */
  encoderNormHistogram: Histogram;
  /** Elements of W_dec in 100 bins over mean ± 5 std, as are the elements of both biases. */
  decoderHistogram: Histogram;
  /** Of b_enc. */
  encoderBiasHistogram: Histogram;
  /** Of b_dec. */
  decoderBiasHistogram: Histogram;
}

/** Euclidean norm of each row of a row-major (rows, columns) matrix, summed in float64. */
export function rowNorms(matrix: Float32Array, rows: number, columns: number): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let squares = 0;
    for (let i = row * columns; i < (row + 1) * columns; i++) squares += matrix[i] ** 2;
    return Math.sqrt(squares);
  });
}

function tensorStatistics(values: Float32Array, shape: number[]): TensorStatistics {
  let nonFinite = 0;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) nonFinite++;
  return { shape, ...moments(values), nonFinite };
}

/** 100 bins over mean ± 5 std, or over the range where that is narrower. */
function elementHistogram(values: Float32Array, { mean, std, min, max }: TensorStatistics): Histogram {
  return histogram(values, 100, Math.max(min, mean - 5 * std), Math.min(max, mean + 5 * std));
}

/** What one matrix of a transcoder looks like. */
export interface MatrixStatistics {
  /** Moments of its elements; the shape is that of its file. */
  readonly elements: TensorStatistics;
  /** Its elements in 100 bins. */
  readonly histogram: Histogram;
  /** [features] the length of each feature's row. */
  readonly norms: Float64Array;
}

/**
 * Looks at one matrix, so that not both need be in memory.
 *
 * @param rows [features, width]
 * @param features How many rows it has.
 * @param axes How its file has them.
 * @returns What it looks like.
 */
export function matrixStatistics(
  rows: Float32Array,
  features: number,
  axes: "features, width" | "width, features",
): MatrixStatistics {
  const width = rows.length / features;
  const elements = tensorStatistics(rows, axes === "features, width" ? [features, width] : [width, features]);
  return { elements, histogram: elementHistogram(rows, elements), norms: rowNorms(rows, features, width) };
}

/**
 * Moments, norms and histograms of a transcoder's weights, those for raw activations.
 *
 * @param vectors All but the matrices.
 * @param read Statistics of W_enc,
 * @param written and of W_dec.
 * @returns Statistics of all.
 */
export function weightStatistics(
  { encoderBias: readBias, decoderBias: writtenBias, skip }: Omit<FeatureWeights, "encoder" | "decoder">,
  read: MatrixStatistics,
  written: MatrixStatistics,
): WeightStatistics {
  const { elements: encoder, histogram: encoderHistogram, norms } = read, { elements: decoder } = written;
  const [dIn, features] = encoder.shape, dOut = writtenBias.length;
  const encoderBias = tensorStatistics(readBias, [features]), decoderBias = tensorStatistics(writtenBias, [dOut]);
  const counted = encoderHistogram.counts.reduce((sum, count) => sum + count, 0);
  const encoderNorms = summarize(norms);
  return {
    ...{ encoder, encoderBias, decoder, decoderBias },
    ...skip && { skip: tensorStatistics(skip, [dOut, dIn]) },
    encoderNorms,
    decoderNorms: summarize(written.norms),
    encoderHistogram,
    encoderOutside: dIn * features - counted,
    encoderNormHistogram: histogram(norms, 50, encoderNorms.min, encoderNorms.max),
    decoderHistogram: written.histogram,
    encoderBiasHistogram: elementHistogram(readBias, encoderBias),
    decoderBiasHistogram: elementHistogram(writtenBias, decoderBias),
  };
}
