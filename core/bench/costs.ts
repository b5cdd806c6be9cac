/**
 * What each kernel has to compute and to move, from the numbers it is dispatched with.
 *
 * Operations: additions, multiplications, divisions and functions (exp, tanh, square root) count as one each, a fused multiply-add as
 * two, in f32 and per element; what is done once per row or per dispatch is left out, as are integers.
 *
 * Bytes: each element that the kernel must read or write, once, wherever it comes from. The declared shapes give them, and the rows below say
 * where a kernel touches less than it declares, or updates in place. A kernel whose re-reads come out of a cache can therefore be faster
 * than memory alone would allow, and one that reads an operand ten times shows a small share.
 * @module
 */

import { METRICS_EXTRA } from "../../wgsl/transcoder/step.ts";
import { ELEMENT_BYTES, elements } from "../gpu/tensor.ts";
import type { Dispatch } from "./recording_pass.ts";

/** How much of the dictionary a step uses; known only once it has run. */
export interface Sparsity {
  /** Entries that the batch keeps. */
  readonly kept: number;
  /** Entries that its dead features keep for the auxiliary loss. */
  readonly auxKept: number;
  /** Dead features. */
  readonly dead: number;
}

/** The work of one dispatch. */
export interface Cost {
  /** Floating-point operations. */
  readonly flops: number;
  /** Bytes read and written. */
  readonly bytes: number;
}

type Numbers = Readonly<Record<string, number>>;

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A kernel's row: p are its parameters, s the sparsity, c its overrides. */
interface Row {
  readonly flops?: (p: Numbers, s: Sparsity, c: Numbers, shapes: Shapes) => number;
  /** Bindings that are read and written. */
  readonly inPlace?: readonly string[];
  /** Elements touched, of the bindings where that is not what the kernel declares. */
  readonly touched?: (p: Numbers, s: Sparsity, c: Numbers, shapes: Shapes) => Record<string, number>;
}

/** Adam: two running means (3 and 4), square root, correction, epsilon, quotient, step size, difference. */
const ADAM = 13;

/** Entries of the selection that a kernel works for: only the auxiliary one passes features over. */
const entriesOf = ({ min_inactive }: Numbers, { kept, auxKept }: Sparsity) => min_inactive > 0 ? auxKept : kept;
/** Features that take part in a selection. */
const participants = ({ features, min_inactive }: Numbers, { dead }: Sparsity) => min_inactive > 0 ? dead : features;
const activationsOf = (p: Numbers, s: Sparsity) => participants(p, s) * p.tokens;

/** Pairs of a query and a key that it sees, in one context. */
function visiblePairs({ context, window }: Numbers): number {
  const growing = Math.min(context, window);
  return growing * (growing + 1) / 2 + (context - growing) * growing;
}

/** GeGLU: the cube's four operations, two of its exponent, exponential, sum, quotient, product. */
const GEGLU = 10;

/** Matrix products are told by their parameters, so that each tile is one; half as many columns as sums leave those with GeGLU. */
function productRow(name: string): Row {
  const perSum = name.endsWith("geglu") ? GEGLU / 2 : 0;
  return { flops: ({ rows, columns, depth }) => (2 * depth + perSum) * rows * columns };
}

/** One row per kernel. */
const ROWS: Readonly<Record<string, Row>> = {
  transpose: {},
  transpose_pairs: {},

  rms_norm: { flops: ({ rows, width }) => 4 * rows * width },
  norm_add_norm: {
    flops: ({ rows, width }, _, { NORM_NEXT }) => (NORM_NEXT ? 9 : 5) * rows * width,
    touched: (_p, _s, { NORM_NEXT }): Record<string, number> => NORM_NEXT ? {} : { next_gain: 0, next: 0 },
  },
  head_norm: {
    flops: ({ rows, heads, key_value_heads, head_dim }) => 4 * rows * (heads + key_value_heads) * head_dim,
    inPlace: ["qkv"],
    touched: ({ rows, heads, key_value_heads, head_dim }) => ({ qkv: rows * (heads + key_value_heads) * head_dim }),
  },
  rotary: {
    flops: ({ contexts, context, heads, key_value_heads, head_dim }) =>
      3 * contexts * context * (heads + key_value_heads) * head_dim,
    touched: ({ contexts, context, heads, key_value_heads, head_dim }) => ({
      qkv: contexts * context * (heads + key_value_heads) * head_dim,
    }),
  },
  attention: {
    // Two dot products per pair; scale, cap (3), exponential and sum of each score.
    flops: (p, _, { SOFT_CAP }) => p.contexts * p.heads * visiblePairs(p) * (4 * p.head_dim + (SOFT_CAP > 0 ? 6 : 3)),
    touched: ({ contexts, context, key_value_heads, head_dim }) => ({
      qkv: contexts * context * key_value_heads * head_dim,
    }),
  },

  add: { flops: ({ count }) => count, inPlace: ["y"] },
  // A cap is a quotient, a tangent and a product.
  next_token_loss: {
    flops: ({ rows, columns }, _, { SOFT_CAP }) => (SOFT_CAP > 0 ? 6 : 3) * rows * columns,
    inPlace: ["state"],
  },
  compare_predictions: {
    // Of both: comparison, cap, difference, exponential, sum; and the difference of both, its product and sum.
    flops: ({ rows, columns }, _, { SOFT_CAP }) => (2 * (SOFT_CAP > 0 ? 7 : 4) + 3) * rows * columns,
    inPlace: ["state"],
  },
  sum_probabilities: {
    // Of both: cap, difference, exponential, quotient, sum.
    flops: ({ columns, chosen }, _, { SOFT_CAP }) => 2 * (SOFT_CAP > 0 ? 7 : 4) * chosen * columns,
    touched: ({ columns, chosen }) => ({
      ...{ product: chosen * columns, reference: chosen * columns, state: 4 * chosen, sums: 2 * columns },
    }),
  },
  store_logits: {
    flops: ({ rows, columns }, _, { SOFT_CAP }) => (SOFT_CAP > 0 ? 3 : 0) * rows * columns,
    touched: ({ rows, columns }) => ({ logits: rows * columns }),
  },

  scatter_rows: { touched: ({ rows, width, x_rows }) => ({ x: x_rows * width, order: rows, y: rows * width }) },
  row_norms: { flops: ({ rows, width }) => 2 * rows * width, touched: ({ rows }) => ({ norms: rows }) },
  gather_rows: { touched: ({ rows, width }) => ({ x: rows * width, order: rows }) },
  prepare_rows: {
    flops: ({ rows, width }) => 2 * rows * width,
    touched: ({ rows, width }) => ({ x: rows * width, order: rows, columns: 2 * width, y: rows * width }),
  },
  column_moments: {
    flops: ({ rows, width }) => 4 * rows * width,
    touched: ({ width }) => ({ moments: 2 * width }),
  },

  histogram: {
    inPlace: ["counts"],
    touched: (p, s) => ({ activations: activationsOf(p, s), counts: 2 ** p.width }),
  },
  pick_digit: { inPlace: ["counts", "selection"], touched: ({ width }) => ({ counts: 2 ** width }) },
  row_count: { touched: (p, s) => ({ activations: activationsOf(p, s) }) },
  scan: { inPlace: ["ties"], touched: ({ items }) => ({ start: items + 1 }) },
  row_write: {
    touched: (p, s) => ({ activations: activationsOf(p, s), index: entriesOf(p, s), value: entriesOf(p, s) }),
  },
  column_count: { touched: (p, s) => ({ activations: activationsOf(p, s) }) },
  column_write: {
    touched: (p, s) => ({
      activations: activationsOf(p, s),
      start: participants(p, s),
      token: entriesOf(p, s),
      value: entriesOf(p, s),
    }),
  },

  // Of the 33 readings of an activation all but the first are taken to be of the cache.
  token_top_k: { inPlace: ["activations"] },

  decode: {
    // Per prefix and output: residual, its square (2), weighted suffix sum (2), which the last prefix has none of; the target and the bias are weighted once.
    flops: (p, s) => 2 * decoded(p, s) * p.width + 5 * p.prefixes * p.tokens * p.width,
    touched: (p, s) => ({
      index: decoded(p, s),
      value: decoded(p, s),
      decoder: Math.min(p.features, decoded(p, s)) * p.width,
      residual: p.prefixes * p.tokens * p.width,
    }),
  },
  decoder_step: {
    inPlace: ["decoder", "mean", "square"],
    // Per entry: slope, gradient, and the scale of both; per weight: dot and projection (4), Adam, length (2), quotient.
    flops: (p, s, _, { decoder: [, width] }) => {
      const entries = p.features / p.all_features * (s.kept + s.auxKept);
      return (4 * width + 2) * entries + (7 + ADAM) * p.features * width;
    },
    touched: (p, s, _, { decoder: [, width] }) => {
      const entries = p.features / p.all_features * (s.kept + s.auxKept), weights = p.features * width;
      const slabs = s.auxKept > 0 ? 2 : 1;
      return {
        start: 2 * (p.features + 1),
        token: entries,
        value: entries,
        slope: entries,
        residual: slabs * p.tokens * width,
        decoder: weights,
        mean: weights,
        square: weights,
      };
    },
  },
  skip_rest: { flops: ({ count }) => count, inPlace: ["rest"] },
  // The scale of the gradient is one more operation.
  skip_step: { flops: ({ count }) => (1 + ADAM) * count, inPlace: ["weight", "mean", "square"] },
  encoder_step: {
    inPlace: ["encoder", "mean", "square", "bias"],
    flops: ({ features, width }, { kept, auxKept }) => 2 * (kept + auxKept) * width + ADAM * features * width,
    touched: (_, { kept, auxKept }) => ({ token: kept + auxKept, slope: kept + auxKept }),
  },
  decoder_bias_step: { inPlace: ["bias"], flops: ({ tokens, width }) => tokens * width },
  // Of the biases it touches those of dead features alone.
  raise_dead: { touched: () => ({ bias: 0 }) },
  track_inactive: { inPlace: ["inactive"] },
  track_threshold: { inPlace: ["state"] },
  step_metrics: {
    flops: ({ tokens, prefixes, width }) => tokens * (prefixes + 1) + width,
    touched: ({ prefixes, width }) => ({
      moments: width,
      ring: prefixes + METRICS_EXTRA,
      selection: 1,
      aux_selection: 1,
      state: 1,
    }),
  },

  // Per prefix: a difference of suffix sums but for the last, and its square.
  column_squares: { flops: ({ tokens, width, prefixes }) => (3 * prefixes - 1) * tokens * width },
  // Likewise, and two sums, three products and three sums of them; the mean is taken away once per prefix.
  cosines: { flops: ({ tokens, width, prefixes }) => (9 * prefixes - 1) * tokens * width },
  linear_residual: { flops: ({ tokens, width }) => 4 * tokens * width, inPlace: ["residual"] },
  prefix_counts: { touched: (_, s) => ({ index: s.kept }) },
  // Per entry and column: what it writes; per prefix the residual out of two sums, and its change (4). The last prefix has no second sum.
  error_removed: {
    flops: ({ width, prefixes }, { kept }) => (1 + 5 * prefixes - 1) * width * kept,
    touched: ({ width, features, prefixes, tokens }, { kept }) => ({
      decoder: Math.min(features, kept) * width,
      residual: prefixes * Math.min(tokens, kept) * width,
    }),
  },

  // Where all that is kept is changed: per entry its new activation (2), and a product and a sum per column.
  change_features: {
    flops: ({ tokens, width }, { kept }) => (2 + 2 * width) * kept + tokens * width,
    inPlace: ["y"],
    touched: ({ tokens, width, features }, { kept }) => {
      const rows = Math.min(features, kept);
      return { index: kept, value: kept, change: 2 * rows, decoder: rows * width, order: tokens, y: tokens * width };
    },
  },
};

/** Entries that a decoding sums; that of the dead features writes behind the residuals of the prefixes. */
function decoded({ residual_first }: Numbers, { kept, auxKept }: Sparsity): number {
  return residual_first > 0 ? auxKept : kept;
}

function rowOf({ name, params }: Dispatch["kernel"]): Row | undefined {
  return ["rows", "columns", "depth"].every((extent) => extent in params) ? productRow(name) : ROWS[name];
}

/**
 * Counts the work of a dispatch.
 *
 * @param dispatch The dispatch.
 * @param sparsity How much of the dictionary its step used.
 * @returns Operations and bytes.
 * @throws {RangeError} When the kernel has no row.
 */
export function costOf({ kernel, params, constants }: Omit<Dispatch, "weight">, sparsity: Sparsity): Cost {
  const row = rowOf(kernel);
  if (!row) throw new RangeError(`Cannot count the work of "${kernel.name}": core/bench/costs.ts has no row for it`);
  const { flops, inPlace = [], touched } = row;
  const shapes = kernel.shapes(params, constants), less = touched?.(params, sparsity, constants, shapes) ?? {};
  let moved = 0;
  for (const binding of Object.keys(kernel.bindings)) {
    const count = less[binding] ?? elements(shapes[binding]);
    moved += inPlace.includes(binding) ? 2 * count : count;
  }
  return { flops: flops?.(params, sparsity, constants, shapes) ?? 0, bytes: ELEMENT_BYTES * moved };
}
