/**
 * What is Gemma-2's own: the keys of its config.json in either generation, their defaults, and what they may be.
 * @module
 */

import * as v from "valibot";
import { BOS, firstIssue, LEAST_CONSTANT, misfit, MOST_CONSTANT, MOST_LAYERS, MOST_SIZE } from "./config_keys.ts";
import type { DecoderConfig } from "./decoder_config.ts";

/** The only rotary embedding that Gemma-2 has. */
const Unscaled = v.literal("default", "scaled rotary embeddings are not part of Gemma-2");
const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST_SIZE));
const Layers = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST_LAYERS));
/** Some say with a very large one that a token sees everything. */
const Window = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const FLOAT = "it must be a positive float32";
const Positive = v.pipe(v.number(), v.minValue(LEAST_CONSTANT, FLOAT), v.maxValue(MOST_CONSTANT, FLOAT));
/** Below 1, the wavelengths of a rotary embedding would grow shorter than a token. */
const Theta = v.pipe(v.number(), v.minValue(1, "it must be 1 or more"), v.maxValue(MOST_CONSTANT, FLOAT));
const TokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const Raw = v.pipe(
  v.object({
    num_hidden_layers: Layers,
    hidden_size: Size,
    intermediate_size: Size,
    num_attention_heads: Size,
    num_key_value_heads: Size,
    head_dim: Size,
    vocab_size: Size,
    bos_token_id: v.nullish(TokenId),
    max_position_embeddings: Size,
    sliding_window: Window,
    query_pre_attn_scalar: Positive,
    rms_norm_eps: Positive,
    attn_logit_softcapping: v.optional(v.nullable(Positive), 50),
    final_logit_softcapping: v.optional(v.nullable(Positive), 30),
    tie_word_embeddings: v.optional(v.boolean(), true),
    layer_types: v.nullish(v.array(v.picklist(["sliding_attention", "full_attention"]))),
    rope_theta: v.optional(Theta),
    rope_scaling: v.nullish(v.object({ rope_type: v.optional(Unscaled), type: v.optional(Unscaled) })),
    rope_parameters: v.optional(v.object({ rope_theta: Theta, rope_type: v.optional(Unscaled) })),
    hidden_act: v.optional(v.string()),
    hidden_activation: v.nullish(v.string()),
    attention_bias: v.optional(v.literal(false, "Gemma-2 has no attention biases")),
    use_bidirectional_attention: v.nullish(v.literal(false, "Gemma-2's attention is causal")),
  }),
  v.check(
    (c) => c.rope_theta !== undefined || c.rope_parameters !== undefined,
    "rope_theta or rope_parameters is missing",
  ),
);

/**
 * Reads a Gemma-2's config.json: the older generation gives `rope_theta` and leaves the layer types to the rule that even layers
 * slide, the newer one gives `rope_parameters` and `layer_types`.
 *
 * @param json The file's value.
 * @returns The checked configuration, or what is wrong with it: `key: what it must be`.
 */
export function parseGemma2(json: unknown): DecoderConfig | string {
  const parsed = v.safeParse(Raw, json);
  if (!parsed.success) return firstIssue(parsed.issues);
  const c = parsed.output, wrong = misfit({ ...c, hidden_activation: c.hidden_activation ?? c.hidden_act });
  if (wrong !== null) return wrong;
  const rope = { theta: (c.rope_parameters?.rope_theta ?? c.rope_theta)!, factor: 1 };
  return {
    layers: c.num_hidden_layers,
    dModel: c.hidden_size,
    dMlp: c.intermediate_size,
    heads: c.num_attention_heads,
    keyValueHeads: c.num_key_value_heads,
    headDim: c.head_dim,
    vocabSize: c.vocab_size,
    bosTokenId: c.bos_token_id ?? BOS,
    maxPositions: c.max_position_embeddings,
    slidingWindow: Math.min(c.sliding_window, c.max_position_embeddings),
    layerTypes: c.layer_types ??
      Array.from({ length: c.num_hidden_layers }, (_, l) => l % 2 === 0 ? "sliding_attention" : "full_attention"),
    rope: { sliding_attention: rope, full_attention: rope },
    hasHeadNorm: false,
    queryPreAttnScalar: c.query_pre_attn_scalar,
    attnSoftCap: c.attn_logit_softcapping,
    finalSoftCap: c.final_logit_softcapping,
    isHeadTied: c.tie_word_embeddings,
    rmsNormEps: c.rms_norm_eps,
  };
}
