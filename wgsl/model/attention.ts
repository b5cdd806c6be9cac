/**
 * Rotary embedding and attention: grouped queries, soft-capped scores, causal, optionally with a sliding window.
 * @module
 */

import attentionSource from "./attention.wgsl" with { type: "text" };
import rotarySource from "./rotary.wgsl" with { type: "text" };
import tanhSource from "../shared/tanh.wgsl" with { type: "text" };
import { defineKernel } from "../kernel.ts";

/** Queries that one workgroup of `attention` handles; positions per block of the rotated layout. */
export const BLOCK = 16;

/** Turns queries and keys by their positions and lays them out in blocks of 16 positions. */
export const rotary = defineKernel({
  name: "rotary",
  source: rotarySource,
  bindings: { qkv: "read", turns: "read", rotated: "write" },
  params: { contexts: "u32", context: "u32", heads: "u32", key_value_heads: "u32", head_dim: "u32" },
  constants: { LANES: 32 },
  shapes: ({ contexts, context, heads, key_value_heads, head_dim }) => ({
    qkv: [contexts, context, heads + 2 * key_value_heads, head_dim],
    turns: [context, head_dim / 2, 2],
    rotated: [contexts, Math.ceil(context / BLOCK), heads + key_value_heads, head_dim, BLOCK],
  }),
  workgroups: ({ contexts, context, heads, key_value_heads }) => [
    Math.ceil(context / BLOCK),
    heads + key_value_heads,
    contexts,
  ],
});

/** out = softmax of the capped, masked scores times the values. SOFT_CAP 0 is no cap; 4 LANES should reach head_dim. */
export const attention = defineKernel({
  name: "attention",
  source: attentionSource + tanhSource,
  bindings: { rotated: "read", qkv: "read", out: "write" },
  params: {
    contexts: "u32",
    context: "u32",
    heads: "u32",
    key_value_heads: "u32",
    head_dim: "u32",
    window: "u32",
    scale: "f32",
  },
  constants: { LANES: 8, SOFT_CAP: 50 },
  shapes: ({ contexts, context, heads, key_value_heads, head_dim }) => ({
    rotated: [contexts, Math.ceil(context / BLOCK), heads + key_value_heads, head_dim, BLOCK],
    qkv: [contexts, context, heads + 2 * key_value_heads, head_dim],
    out: [contexts, context, heads, head_dim],
  }),
  workgroups: ({ contexts, context, heads, head_dim }, { LANES }) => [
    contexts * Math.ceil(context / BLOCK),
    heads,
    Math.ceil(head_dim / (4 * LANES)),
  ],
});
