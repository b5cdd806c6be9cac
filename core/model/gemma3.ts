/**
 * What is Gemma-3's own: the keys of its config.json in either generation, the defaults that Hugging Face fills in, and what they may be;
 * as a text model or as the text part of a multimodal one.
 * @module
 */

import * as v from "valibot";
import { BOS, firstIssue, LEAST_CONSTANT, misfit, MOST_CONSTANT, MOST_LAYERS, MOST_SIZE } from "./config_keys.ts";
import type { DecoderConfig, Rope } from "./decoder_config.ts";

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST_SIZE));
const Layers = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST_LAYERS));
/** Some say with a very large one that a token sees everything. */
const Window = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const FLOAT = "it must be a positive float32";
const Positive = v.pipe(v.number(), v.minValue(LEAST_CONSTANT, FLOAT), v.maxValue(MOST_CONSTANT, FLOAT));
/** Below 1, the wavelengths of a rotary embedding would grow shorter than a token. */
const Theta = v.pipe(v.number(), v.minValue(1, "it must be 1 or more"), v.maxValue(MOST_CONSTANT, FLOAT));
const TokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const RopeType = v.picklist(["default", "linear"], "rotary embeddings are scaled linearly or not at all");

/** A rotary embedding; `type` is what the older generation calls `rope_type`. */
const RopeKeys = v.object({
  rope_theta: v.optional(Theta),
  rope_type: v.optional(RopeType),
  type: v.optional(RopeType),
  factor: v.nullish(Theta),
  partial_rotary_factor: v.nullish(v.literal(1, "all dimensions of a head turn")),
});

const Text = v.object({
  model_type: v.optional(v.literal("gemma3_text", 'this must be "gemma3_text"')),
  num_hidden_layers: v.optional(Layers, 26),
  hidden_size: v.optional(Size, 2304),
  intermediate_size: v.optional(Size, 9216),
  num_attention_heads: v.optional(Size, 8),
  num_key_value_heads: v.optional(Size, 4),
  head_dim: v.optional(Size, 256),
  vocab_size: v.optional(Size, 262_208),
  bos_token_id: v.nullish(TokenId),
  max_position_embeddings: v.optional(Size, 131_072),
  sliding_window: v.optional(Window, 4096),
  sliding_window_pattern: v.optional(Size, 6),
  query_pre_attn_scalar: v.optional(Positive, 256),
  rms_norm_eps: v.optional(Positive, 1e-6),
  attn_logit_softcapping: v.nullish(v.never("Gemma-3 has no soft cap on scores")),
  final_logit_softcapping: v.nullish(Positive),
  tie_word_embeddings: v.optional(v.boolean()),
  layer_types: v.nullish(v.array(v.picklist(["sliding_attention", "full_attention"]))),
  rope_theta: v.optional(Theta, 1_000_000),
  rope_local_base_freq: v.optional(Theta, 10_000),
  rope_scaling: v.nullish(RopeKeys),
  rope_parameters: v.nullish(v.object({
    rope_theta: v.optional(v.never("Gemma-3 gives it for each layer type")),
    full_attention: v.nullish(RopeKeys),
    sliding_attention: v.nullish(RopeKeys),
  })),
  hidden_activation: v.nullish(v.string()),
  attention_bias: v.optional(v.literal(false, "Gemma-3 has no attention biases")),
  use_bidirectional_attention: v.nullish(
    v.literal(false, "attention must be causal; this is an embedding model such as EmbeddingGemma"),
  ),
});

const Whole = v.object({
  text_config: v.nullish(v.looseObject({})),
  bos_token_id: v.nullish(TokenId),
  tie_word_embeddings: v.optional(v.boolean()),
});

type TextKeys = v.InferOutput<typeof Text>;

/**
 * Reads a Gemma-3 text model's config.json. The older generation gives `rope_theta`, `rope_local_base_freq`, `rope_scaling` and
 * `sliding_window_pattern`, the newer one `rope_parameters` and `layer_types` for each layer type.
 *
 * @param json The file's value.
 * @returns The checked configuration, or what is wrong with it: `key: what it must be`.
 */
export function parseGemma3Text(json: unknown): DecoderConfig | string {
  const parsed = v.safeParse(Text, json);
  if (!parsed.success) return firstIssue(parsed.issues);
  const c = parsed.output, wrong = misfit(c);
  if (wrong !== null) return wrong;
  const rope = ropesOf(c);
  if (typeof rope === "string") return rope;
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
    layerTypes: c.layer_types ?? Array.from(
      { length: c.num_hidden_layers },
      (_, l) => (l + 1) % c.sliding_window_pattern === 0 ? "full_attention" : "sliding_attention",
    ),
    rope,
    hasHeadNorm: true,
    queryPreAttnScalar: c.query_pre_attn_scalar,
    attnSoftCap: null,
    finalSoftCap: c.final_logit_softcapping ?? null,
    isHeadTied: c.tie_word_embeddings ?? true,
    rmsNormEps: c.rms_norm_eps,
  };
}

/**
 * Reads the text part of a multimodal Gemma-3's config.json.
 *
 * @param json The file's value.
 * @returns As {@link parseGemma3Text}.
 */
export function parseGemma3(json: unknown): DecoderConfig | string {
  const parsed = v.safeParse(Whole, json);
  if (!parsed.success) return firstIssue(parsed.issues);
  const { text_config, bos_token_id, tie_word_embeddings } = parsed.output;
  if (!text_config) return "text_config: there must be one, this Gemma-3 has no text model";
  const config = parseGemma3Text({
    ...text_config,
    bos_token_id: text_config.bos_token_id ?? bos_token_id,
    tie_word_embeddings: tie_word_embeddings ?? text_config.tie_word_embeddings,
  });
  return typeof config === "string" ? `text_config: ${config}` : config;
}

/** As Hugging Face reads them: `rope_scaling` is of the layers that see everything, and what is given for a layer type comes first. */
function ropesOf({ rope_theta, rope_local_base_freq, rope_scaling, rope_parameters }: TextKeys) {
  const full_attention = ropeOf({ ...rope_parameters?.full_attention, ...rope_scaling }, rope_theta);
  const sliding_attention = ropeOf(rope_parameters?.sliding_attention ?? {}, rope_local_base_freq);
  if (full_attention === null || sliding_attention === null) {
    return "a linear rotary embedding must have a factor";
  }
  return { full_attention, sliding_attention };
}

/** Null where a factor is missing. */
function ropeOf({ rope_type, type, rope_theta, factor }: v.InferOutput<typeof RopeKeys>, theta: number): Rope | null {
  const isLinear = (rope_type ?? type) === "linear";
  if (isLinear && !factor) return null;
  return { theta: rope_theta ?? theta, factor: isLinear ? factor! : 1 };
}
