/**
 * What becomes of the head's products with the vocabulary, one block of it at a time: the next token's loss, how that and the rest of the
 * prediction differ from another model's, sums of probabilities, or logits.
 * @module
 */

import comparePredictionsSource from "./compare_predictions.wgsl" with { type: "text" };
import nextTokenLossSource from "./next_token_loss.wgsl" with { type: "text" };
import softCapSource from "./soft_cap.wgsl" with { type: "text" };
import storeLogitsSource from "./store_logits.wgsl" with { type: "text" };
import sumProbabilitiesSource from "./sum_probabilities.wgsl" with { type: "text" };
import reduceSource from "../shared/reduce.wgsl" with { type: "text" };
import tanhSource from "../shared/tanh.wgsl" with { type: "text" };
import { defineKernel, linearGrid } from "../kernel.ts";

/** The target of a token that none follows. */
export const NO_TOKEN = 0xffffffff;

/** Takes one block's products into the loss of each row; SOFT_CAP 0 is no cap. LANES: a power of two. */
export const nextTokenLoss = defineKernel({
  name: "next_token_loss",
  source: nextTokenLossSource + softCapSource + tanhSource + reduceSource,
  bindings: { product: "read", target_token: "read", state: "write", loss: "write" },
  params: { rows: "u32", columns: "u32", first: "u32", vocabulary: "u32" },
  constants: { LANES: 256, SOFT_CAP: 30 },
  shapes: ({ rows, columns }) => ({ product: [rows, columns], target_token: [rows], state: [rows, 3], loss: [rows] }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});

/** Takes one block's products of two models into what tells their predictions apart; SOFT_CAP 0 is no cap. LANES: a power of two. */
export const comparePredictions = defineKernel({
  name: "compare_predictions",
  source: comparePredictionsSource + softCapSource + tanhSource + reduceSource,
  bindings: {
    product: "read",
    reference: "read",
    reference_row: "read",
    target_token: "read",
    state: "write",
    result: "write",
  },
  params: { rows: "u32", columns: "u32", first: "u32", vocabulary: "u32", references: "u32" },
  constants: { LANES: 256, SOFT_CAP: 30 },
  shapes: ({ rows, columns, references }) => ({
    ...{ product: [rows, columns], reference: [references, columns], reference_row: [rows], target_token: [rows] },
    ...{ state: [rows, 8], result: [rows, 3] },
  }),
  workgroups: ({ rows }) => linearGrid(rows, 1),
});

/** Sums the probabilities of one block's tokens over some predictions of two models that were compared; SOFT_CAP 0 is no cap. */
export const sumProbabilities = defineKernel({
  name: "sum_probabilities",
  source: sumProbabilitiesSource + softCapSource + tanhSource,
  bindings: { product: "read", reference: "read", state: "read", chosen_row: "read", sums: "write" },
  params: { rows: "u32", columns: "u32", first: "u32", vocabulary: "u32", chosen: "u32" },
  constants: { SOFT_CAP: 30 },
  shapes: ({ rows, columns, vocabulary, chosen }) => ({
    ...{ product: [rows, columns], reference: [rows, columns], state: [rows, 8], chosen_row: [chosen] },
    sums: [2, vocabulary],
  }),
  workgroups: ({ columns }) => [Math.ceil(columns / 64), 1, 1],
});

/** Puts one block's products, capped, into the columns of its tokens; SOFT_CAP 0 is no cap. */
export const storeLogits = defineKernel({
  name: "store_logits",
  source: storeLogitsSource + softCapSource + tanhSource,
  bindings: { product: "read", logits: "write" },
  params: { rows: "u32", columns: "u32", first: "u32", vocabulary: "u32" },
  constants: { SOFT_CAP: 30 },
  shapes: ({ rows, columns, vocabulary }) => ({ product: [rows, columns], logits: [rows, vocabulary] }),
  workgroups: ({ rows, columns }) => linearGrid(rows * columns, 64),
});
