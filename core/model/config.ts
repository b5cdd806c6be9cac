/**
 * A Gemma-2 model's sizes and constants, read from Hugging Face's config.json of either generation.
 * @module
 */

import * as v from "valibot";
import { UserError } from "../errors.ts";

/** What a layer's attention sees: the last `slidingWindow` tokens or the whole context. */
export type LayerType = "sliding_attention" | "full_attention";

/** A Gemma-2 model in numbers. */
export interface DecoderConfig {
  /** Number of layers. */
  readonly layers: number;
  /** Width of the residual stream, a multiple of 4. */
  readonly dModel: number;
  /** Width of the MLP's hidden layer, a multiple of 4. */
  readonly dMlp: number;
  /** Query heads; `heads * headDim` need not equal `dModel`. */
  readonly heads: number;
  /** Key/value heads, each shared by `heads / keyValueHeads` query heads. */
  readonly keyValueHeads: number;
  /** Width of a head, even. */
  readonly headDim: number;
  /** Number of tokens in the vocabulary. */
  readonly vocabSize: number;
  /** The token that begins every context. */
  readonly bosTokenId: number;
  /** The longest context the model was made for, in tokens. */
  readonly maxPositions: number;
  /** How many tokens, itself included, a token sees in a sliding layer. */
  readonly slidingWindow: number;
  /** One entry per layer. */
  readonly layerTypes: readonly LayerType[];
  /** The base of the rotary embedding's wavelengths. */
  readonly ropeTheta: number;
  /** Scores are multiplied by this number to the power -1/2. */
  readonly queryPreAttnScalar: number;
  /** Scores s become cap * tanh(s / cap); null for no cap. */
  readonly attnSoftCap: number | null;
  /** Added to the mean square in each norm. */
  readonly rmsNormEps: number;
}

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const Positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

const Raw = v.pipe(
  v.object({
    model_type: v.literal("gemma2", 'this must be a Gemma-2 model ("gemma2")'),
    num_hidden_layers: Size,
    hidden_size: Size,
    intermediate_size: Size,
    num_attention_heads: Size,
    num_key_value_heads: Size,
    head_dim: Size,
    vocab_size: Size,
    bos_token_id: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 2),
    max_position_embeddings: Size,
    sliding_window: Size,
    query_pre_attn_scalar: Positive,
    rms_norm_eps: Positive,
    attn_logit_softcapping: v.optional(v.nullable(Positive), 50),
    layer_types: v.nullish(v.array(v.picklist(["sliding_attention", "full_attention"]))),
    rope_theta: v.optional(Positive),
    rope_scaling: v.optional(v.null("scaled rotary embeddings are not part of Gemma-2")),
    rope_parameters: v.optional(v.object({
      rope_theta: Positive,
      rope_type: v.optional(v.literal("default", "scaled rotary embeddings are not part of Gemma-2")),
    })),
    hidden_act: v.optional(v.string()),
    hidden_activation: v.nullish(v.string()),
    attention_bias: v.optional(v.literal(false, "Gemma-2 has no attention biases")),
    use_bidirectional_attention: v.nullish(v.literal(false, "Gemma-2's attention is causal")),
  }),
  v.check(
    (c) => c.rope_theta !== undefined || c.rope_parameters !== undefined,
    "rope_theta or rope_parameters is missing",
  ),
  v.check(
    (c) => c.num_attention_heads % c.num_key_value_heads === 0,
    "num_key_value_heads must divide num_attention_heads",
  ),
  v.check((c) => c.head_dim % 2 === 0, "head_dim must be even"),
  v.check((c) => c.hidden_size % 4 === 0, "hidden_size must be a multiple of 4"),
  v.check((c) => c.intermediate_size % 4 === 0, "intermediate_size must be a multiple of 4"),
  v.check((c) => !c.layer_types || c.layer_types.length === c.num_hidden_layers, "layer_types must name every layer"),
  v.check(
    (c) => (c.hidden_activation ?? c.hidden_act ?? "gelu_pytorch_tanh") === "gelu_pytorch_tanh",
    "hidden_activation must be gelu_pytorch_tanh",
  ),
);

/** The part of an opened model that says how large it is. */
export type Described = {
  readonly name: string;
  readonly path: string | null;
  readonly config: Uint8Array;
};

/**
 * Reads the sizes of an opened model.
 *
 * @param files The model's files.
 * @returns The checked configuration.
 * @throws {UserError} As {@link parseConfig}.
 */
export function configOf(files: Described): DecoderConfig {
  return parseConfig(files.config, `${files.path ?? files.name}/config.json`);
}

/**
 * Reads a model's config.json: the older generation gives `rope_theta` and leaves the layer types to the rule that even
 * layers slide, the newer one gives `rope_parameters` and `layer_types`.
 *
 * @param json The file's bytes.
 * @param path What to call it in messages.
 * @returns The checked configuration.
 * @throws {UserError} When it is not JSON, not a Gemma-2 model, or a key is missing or impossible.
 */
export function parseConfig(json: Uint8Array, path: string): DecoderConfig {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(json));
  } catch (error) {
    throw new UserError(`Cannot read ${path}: it must be JSON, ${(error as Error).message}; download it again`);
  }
  const parsed = v.safeParse(Raw, value);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const key = v.getDotPath(issue);
    throw new UserError(
      `Cannot use the model of ${path}: ${
        key ? `${key}: ` : ""
      }${issue.message}; choose a Hugging Face Gemma-2 directory`,
    );
  }
  const c = parsed.output;
  return {
    layers: c.num_hidden_layers,
    dModel: c.hidden_size,
    dMlp: c.intermediate_size,
    heads: c.num_attention_heads,
    keyValueHeads: c.num_key_value_heads,
    headDim: c.head_dim,
    vocabSize: c.vocab_size,
    bosTokenId: c.bos_token_id,
    maxPositions: c.max_position_embeddings,
    slidingWindow: c.sliding_window,
    layerTypes: c.layer_types ??
      Array.from({ length: c.num_hidden_layers }, (_, l) => l % 2 === 0 ? "sliding_attention" : "full_attention"),
    ropeTheta: (c.rope_parameters?.rope_theta ?? c.rope_theta)!,
    queryPreAttnScalar: c.query_pre_attn_scalar,
    attnSoftCap: c.attn_logit_softcapping,
    rmsNormEps: c.rms_norm_eps,
  };
}
