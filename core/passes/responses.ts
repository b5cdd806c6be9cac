/**
 * How the features of a transcoder respond, on the direct path, to what those of another one have written into the residual stream further down. It
 * takes the weights of both and, where a norm stands in front of the later one, that norm's gain; no text.
 * @module
 */

import {
  chanceDirections,
  type Evolution,
  evolutionFigures,
  type EvolvedSide,
  ResponseTally,
  wantedPairs,
} from "../analysis/evolution.ts";
import type { Match } from "../analysis/matching.ts";
import type { CosineBlock } from "../analysis/similarity.ts";
import type { Gpu } from "../gpu/device.ts";
import { isAdded, residualSum } from "../model/residual.ts";
import { depthOf } from "../model/sites.ts";
import { type BlockedRows, type BlockProgress, eachProduct, productBlocks } from "./cosines.ts";
import type { PlacedTranscoder } from "./features.ts";

/** Rows of which random directions are mixed. */
const MOST_MIXED = 2048;

/** The earlier transcoder, and what of it is judged. */
export interface WritingSide extends EvolvedSide {
  /** [features, d_out] its decoder. */
  readonly decoder: Float32Array;
  /** How wide that is. */
  readonly d_out: number;
}

/** The later transcoder, and what of it is judged. */
export interface ReadingSide extends EvolvedSide {
  /** [features, d_in] its encoder. */
  readonly encoder: Float32Array;
  /** How wide that is. */
  readonly d_in: number;
}

/** Whether what one transcoder writes reaches another one on the direct path: `reads`, or why it does not. */
export type Reach = "reads" | "not added" | "not read" | "not before" | "other model";

/**
 * Tells whether the features of one transcoder can go on in another one.
 *
 * @param from The config.json of the earlier one.
 * @param to That of the later one.
 * @returns `reads` where all that the earlier one predicts is added to the residual stream (a `resid_` site, attn_out, mlp_out), and the later one
 * reads that stream, or its norm, behind it; else what is missing.
 */
export function reachOf(from: PlacedTranscoder["config"], to: PlacedTranscoder["config"]): Reach {
  if (!from.targets.every(({ site }) => isAdded(site))) return "not added";
  if (residualSum(to.source) === null) return "not read";
  return from.targets.every((target) => depthOf(target) <= depthOf(to.source)) ? "reads" : "not before";
}

/** What {@link measureEvolution} takes. */
export interface EvolutionOptions {
  /** The device. */
  readonly gpu: Gpu;
  /** The earlier transcoder. */
  readonly from: WritingSide;
  /** The later one, which {@link reachOf} must find to read it. */
  readonly to: ReadingSide;
  /** f32 [d_model]: the gain of the norm that the later one's source is behind; null where it is the stream itself. */
  readonly gain: Float32Array | null;
  /** Pairs of features that are each other's best match, `a` of the earlier one. */
  readonly mutual: readonly Match[];
  /** Hears of the blocks done. */
  readonly onProgress?: BlockProgress;
}

/**
 * Measures how the features of one transcoder go on in another.
 *
 * @param options Which.
 * @returns The figures.
 * @throws {UserError} When a tensor is larger than the adapter can bind, or the device fails.
 */
export async function measureEvolution(
  { gpu, from, to, gain, mutual, onProgress }: EvolutionOptions,
): Promise<Evolution> {
  const width = to.d_in, writes = writtenBy(from, width), lengths = lengthsOf(writes);
  const reads = readBy(to, gain, width), readLengths = lengthsOf(reads);
  const unit = (first: number, rows: number) => {
    return writes.block(first, rows).map((value, at) => ratio(value, lengths[first + Math.floor(at / width)]));
  };
  const random = chanceDirections(pooled({ ...writes, block: unit }), width), count = random.length / width;
  const pairs = wantedPairs(mutual, from, to),
    tally = new ResponseTally(lengths, readLengths, width, count, pairs.wanted);
  const blocks = productBlocks(count, reads.count) + productBlocks(writes.count, reads.count);
  let done = 0;
  const taken = (take: (block: CosineBlock) => void) => (block: CosineBlock) => {
    take(block);
    onProgress?.(++done, blocks);
  };
  const chance = { count, block: (first: number, rows: number) => random.slice(first * width, (first + rows) * width) };
  await eachProduct(gpu, chance, reads, width, taken((block) => tally.takeChance(block)));
  await eachProduct(gpu, { ...writes, block: unit }, reads, width, taken((block) => tally.take(block)));
  return evolutionFigures(tally, pairs, from, to, gain !== null);
}

/** Rows that chance is mixed of: all, or as many evenly spaced ones as are gathered fast. */
function pooled({ count, block }: BlockedRows): Float32Array[] {
  const rows = Math.min(MOST_MIXED, count);
  return Array.from({ length: rows }, (_, n) => block(Math.floor(n * count / rows), 1));
}

/** What the judged features add to the residual stream, at all targets together. */
function writtenBy(
  { judged, decoder, d_out }: WritingSide,
  width: number,
): BlockedRows {
  return gathered(judged, (feature, row) => {
    for (let at = 0; at < d_out; at++) row[at % width] += decoder[feature * d_out + at];
  }, width);
}

/** What the judged features read of the stream, the gain of the norm in between included. */
function readBy(
  { judged, encoder }: ReadingSide,
  gain: Float32Array | null,
  width: number,
): BlockedRows {
  return gathered(judged, (feature, row) => {
    for (let c = 0; c < width; c++) row[c] = encoder[feature * width + c] * (gain ? gain[c] : 1);
  }, width);
}

/** Rows of some features, made block by block: copies of whole dictionaries would be large. */
function gathered(
  features: Uint32Array,
  fill: (feature: number, row: Float32Array) => void,
  width: number,
): BlockedRows {
  return {
    count: features.length,
    block(first, rows) {
      const block = new Float32Array(rows * width);
      for (let r = 0; r < rows; r++) fill(features[first + r], block.subarray(r * width, (r + 1) * width));
      return block;
    },
  };
}

function lengthsOf({ count, block }: BlockedRows): Float64Array {
  return Float64Array.from({ length: count }, (_, row) => Math.sqrt(block(row, 1).reduce((sum, v) => sum + v * v, 0)));
}

function ratio(value: number, size: number): number {
  return size > 0 ? value / size : 0;
}
