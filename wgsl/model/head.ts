/**
 * What becomes of the head's products with the vocabulary, one block of it at a time: the next token's loss, or logits.
 * @module
 */

import nextTokenLossSource from "./next_token_loss.wgsl" with { type: "text" };
import softCapSource from "./soft_cap.wgsl" with { type: "text" };
import storeLogitsSource from "./store_logits.wgsl" with { type: "text" };
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
