/**
 * Batch top-k on the GPU: exact, deterministic, as sparse rows and columns.
 * @module
 */

import {
  columnCount,
  columnWrite,
  histogram,
  HISTOGRAM_SIZE,
  pickDigit,
  RADIX_DIGITS,
  ROW_SEGMENTS,
  rowCount,
  rowWrite,
  scan,
  SELECTION_SIZE,
} from "../../wgsl/transcoder/selection.ts";
import { createTensor, type Gpu } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Kept activations, sparse by token; the noun that encoding makes. All on the GPU. */
export interface Features {
  /** [tokens + 1]: the entries of token b are row_start[b] .. row_start[b + 1] - 1. */
  readonly rowStart: Tensor;
  /** [capacity] feature numbers, ascending within a token. */
  readonly index: Tensor;
  /** [capacity] activations, above 0. */
  readonly value: Tensor;
}

/** Kept activations of several selections, sparse by feature. */
export interface FeatureColumns {
  /** [selections, features + 1]: the entries of feature i in selection s are start[s, i] .. start[s, i + 1] - 1. */
  readonly start: Tensor;
  /** [capacity] tokens, ascending within a feature. */
  readonly token: Tensor;
  /** [capacity] activations. */
  readonly value: Tensor;
}

/**
 * Allocates columns.
 *
 * @param gpu The device.
 * @param features Features of the dictionary.
 * @param capacities The most entries of each selection.
 * @returns The tensors, with room for all of them one after the other.
 */
export function createColumns(gpu: Gpu, features: number, capacities: readonly number[]): FeatureColumns {
  const capacity = capacities.reduce((sum, entries) => sum + entries, 0);
  return {
    start: createTensor(gpu, "column start", [capacities.length, features + 1], "u32"),
    token: createTensor(gpu, "token of entry", [capacity], "u32"),
    value: createTensor(gpu, "value of entry", [capacity]),
  };
}

/** A selection's place in shared columns. */
export interface ColumnPlace {
  /** Which row of `start` is its. */
  readonly selection: number;
  /** Its first entry. */
  readonly base: number;
}

/** Which features take part in a selection. */
export interface Participants {
  /** [features] tokens since each feature last fired. */
  readonly inactive: Tensor;
  /** Features with fewer inactive tokens are passed over; 0 lets all take part. */
  readonly minInactive: number;
}

/** Selects among activations of up to `tokens` tokens; owns its outputs and scratch memory. */
export class Selector {
  /** [threshold bits, ties to take, entries kept, flat index of the last tie taken] of the last selection. */
  readonly selection: Tensor;
  /** The kept entries by token. */
  readonly rows: Features;
  readonly #features: number;
  readonly #lanes: number;
  /** Of the kernels whose lanes exchange nothing: a SIMD vector on CPUs, two wavefronts on GPUs. */
  readonly #independent: { LANES: number };
  readonly #blocks: { LANES: number; TOKEN_BLOCK: number; FEATURE_BLOCK: number };
  readonly #counts: Tensor;
  readonly #above: Tensor;
  readonly #ties: Tensor;
  readonly #segmentStart: Tensor;
  readonly #columnCounts: Tensor;
  readonly #noTies: Tensor;

  /**
   * Allocates outputs and scratch memory.
   *
   * @param gpu The device.
   * @param label Prefix of the tensors' labels.
   * @param tokens The most tokens of a batch.
   * @param features Features of the dictionary.
   * @param capacity The most entries a selection can keep.
   */
  constructor(gpu: Gpu, label: string, tokens: number, features: number, capacity: number) {
    const u32 = (name: string, shape: number[]) => createTensor(gpu, `${label} ${name}`, shape, "u32");
    this.#features = features;
    this.#lanes = gpu.isCpu ? 8 : 256;
    this.#independent = { LANES: gpu.isCpu ? 8 : 64 };
    this.#blocks = gpu.isCpu
      ? { LANES: 8, TOKEN_BLOCK: 1024, FEATURE_BLOCK: 64 }
      : { LANES: 64, TOKEN_BLOCK: 256, FEATURE_BLOCK: 64 };
    this.selection = u32("selection", [SELECTION_SIZE]);
    this.rows = {
      rowStart: u32("row start", [tokens + 1]),
      index: u32("feature index", [capacity]),
      value: createTensor(gpu, `${label} feature value`, [capacity]),
    };
    this.#counts = u32("histogram", [HISTOGRAM_SIZE]);
    this.#above = u32("above", [tokens, ROW_SEGMENTS]);
    this.#ties = u32("ties", [tokens, ROW_SEGMENTS]);
    this.#segmentStart = u32("segment start", [tokens * ROW_SEGMENTS + 1]);
    this.#columnCounts = u32("column counts", [features]);
    this.#noTies = u32("no ties", [features]);
  }

  /**
   * Records the exact batch top-k: the `wanted` largest positive activations of the batch, ties to the lowest flat index
   * token * features + feature; fewer when fewer are positive. Fills `selection` and `rows`.
   *
   * @param pass Where to record.
   * @param activations [features, tokens], not negative.
   * @param tokens Tokens in this batch.
   * @param wanted How many to keep, from 1 to the capacity.
   * @param participants Which features take part.
   */
  recordTopK(pass: Pass, activations: Tensor, tokens: number, wanted: number, participants: Participants): void {
    const { inactive, minInactive } = participants;
    const { selection } = this, counts = this.#counts, features = this.#features;
    RADIX_DIGITS.forEach(({ shift, width }, digit) => {
      // The first digit has no prefix to agree with: shift + width = 31 leaves only the sign, which is 0.
      const range = { tokens, features, shift, width, min_inactive: minInactive };
      pass.run(histogram, { activations, inactive, selection, counts }, range, this.#blocks);
      const choice = { shift, width, wanted, is_first: digit === 0 ? 1 : 0 };
      pass.run(pickDigit, { counts, selection }, choice, { LANES: this.#lanes });
    });
    this.recordRows(pass, activations, tokens, participants);
  }

  /**
   * Records writing `rows` for the threshold that `selection` holds.
   *
   * @param pass Where to record.
   * @param activations [features, tokens], not negative.
   * @param tokens Tokens in this batch.
   * @param participants Which features take part.
   */
  recordRows(pass: Pass, activations: Tensor, tokens: number, participants: Participants): void {
    const { inactive, minInactive } = participants;
    const { selection } = this, above = this.#above, ties = this.#ties, start = this.#segmentStart;
    const params = { tokens, features: this.#features, min_inactive: minInactive };
    pass.run(rowCount, { activations, inactive, selection, above, ties }, params, this.#independent);
    pass.run(scan, { above, ties, selection, start }, { items: tokens * ROW_SEGMENTS, first: 0, base: 0 }, {
      LANES: this.#lanes,
    });
    const { rowStart, index, value } = this.rows;
    const rows = { activations, inactive, start, ties_before: ties, selection, row_start: rowStart, index, value };
    pass.run(rowWrite, rows, params, this.#independent);
  }

  /**
   * Records writing columns, after `rows` of the same batch.
   *
   * @param pass Where to record.
   * @param activations [features, tokens], the same as for `rows`.
   * @param tokens Tokens in this batch.
   * @param participants The same as for `rows`.
   * @param columns Where to write.
   * @param place Which part of it is this selection's.
   */
  recordColumns(
    pass: Pass,
    activations: Tensor,
    tokens: number,
    participants: Participants,
    columns: FeatureColumns,
    place: ColumnPlace,
  ): void {
    const { inactive, minInactive } = participants;
    const { selection } = this, { start, token, value } = columns, features = this.#features;
    const params = { tokens, features, min_inactive: minInactive };
    const first = place.selection * (features + 1);
    const counts = { activations, inactive, selection, count: this.#columnCounts };
    pass.run(columnCount, counts, params, this.#independent);
    const counted = { above: this.#columnCounts, ties: this.#noTies, selection, start };
    pass.run(scan, counted, { items: features, first, base: place.base }, { LANES: this.#lanes });
    const written = { activations, inactive, selection, start, token, value };
    pass.run(columnWrite, written, { ...params, first }, this.#independent);
  }
}
