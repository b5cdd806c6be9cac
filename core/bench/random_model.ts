/**
 * A Gemma-2 model of any size with random weights, made as they are read: speed does not depend on what the weights are.
 * @module
 */

import type { LocalByteSource } from "../files/byte_source.ts";
import { SafetensorsFile, type TensorInfo } from "../files/safetensors.ts";
import { DTYPE_BYTES } from "../files/safetensors_header.ts";
import type { ModelFiles } from "../model/files.ts";
import { TensorSource } from "../files/tensor_source.ts";
import { bellCurve } from "./random_numbers.ts";

/** The sizes of a random model, in the words of config.json. */
export interface RandomModelSizes {
  /** Name in messages. */
  readonly name: string;
  /** Layers. */
  readonly num_hidden_layers: number;
  /** Width of the residual stream. */
  readonly hidden_size: number;
  /** Width of the MLP's hidden layer. */
  readonly intermediate_size: number;
  /** Query heads. */
  readonly num_attention_heads: number;
  /** Key/value heads. */
  readonly num_key_value_heads: number;
  /** Width of a head. */
  readonly head_dim: number;
  /** Tokens that every other layer sees. */
  readonly sliding_window: number;
  /** Tokens of the vocabulary; 1,024 if left out: only a head's cost depends on it. */
  readonly vocab_size?: number;
}

/** Gemma-2-2B, but for its vocabulary: embedding is a gather of rows on the host, whose cost does not depend on how many there are. */
export const GEMMA2_2B: RandomModelSizes = {
  name: "random weights of Gemma-2-2B's shape",
  num_hidden_layers: 26,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  sliding_window: 4096,
};

/** Tokens of a random model's vocabulary. */
const RANDOM_VOCABULARY = 1024;

/** How many numbers there are before they repeat: a prime, so that no row of a matrix equals another. */
const PERIOD = 262_139;
/** Their standard deviation, that of Gemma-2's first weights. */
const DEVIATION = 0.02;

/**
 * Makes a model.
 *
 * @param sizes Its sizes.
 * @returns Files that {@link loadDecoder} can open; the weights are BF16 and take no memory until they are read.
 */
export function randomModel(sizes: RandomModelSizes): ModelFiles {
  const { name, ...config } = sizes;
  const json = {
    vocab_size: RANDOM_VOCABULARY,
    ...config,
    model_type: "gemma2",
    max_position_embeddings: 8192,
    query_pre_attn_scalar: sizes.head_dim,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
  };
  const tensors = layOut(sizes), size = Math.max(...[...tensors.values()].map(({ end }) => end));
  const file = new SafetensorsFile(randomSource(name, size), { tensors, metadata: {} });
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return {
    name,
    path: null,
    config: text(json),
    tokenizerJson: text({}),
    tokenizerConfig: text({}),
    vocabSize: json.vocab_size,
    weights: new TensorSource(name, [file]),
  };
}

/** All tensors of the model, one after the other. */
function layOut(sizes: RandomModelSizes): Map<string, TensorInfo> {
  const { hidden_size: d, intermediate_size: hidden, head_dim } = sizes;
  const queries = sizes.num_attention_heads * head_dim, keys = sizes.num_key_value_heads * head_dim;
  const tensors = new Map<string, TensorInfo>();
  let end = 0;
  const add = (name: string, ...shape: number[]) => {
    const begin = end;
    end += shape.reduce((product, extent) => product * extent, DTYPE_BYTES.BF16);
    tensors.set(`model.${name}.weight`, { dtype: "BF16", shape, begin, end });
  };
  add("embed_tokens", sizes.vocab_size ?? RANDOM_VOCABULARY, d);
  for (let l = 0; l < sizes.num_hidden_layers; l++) {
    for (const norm of ["input", "post_attention", "pre_feedforward", "post_feedforward"]) {
      add(`layers.${l}.${norm}_layernorm`, d);
    }
    add(`layers.${l}.self_attn.q_proj`, queries, d);
    add(`layers.${l}.self_attn.k_proj`, keys, d);
    add(`layers.${l}.self_attn.v_proj`, keys, d);
    add(`layers.${l}.self_attn.o_proj`, d, queries);
    add(`layers.${l}.mlp.gate_proj`, hidden, d);
    add(`layers.${l}.mlp.up_proj`, hidden, d);
    add(`layers.${l}.mlp.down_proj`, d, hidden);
  }
  add("norm", d);
  return tensors;
}

/** Bytes that can be read anywhere and are BF16 numbers from a bell curve; the same at the same place. */
function randomSource(name: string, size: number): LocalByteSource {
  const numbers = Uint16Array.from(new Uint32Array(bellCurve(PERIOD, DEVIATION, 1).buffer), (bits) => bits >>> 16);
  const period = new Uint8Array(numbers.buffer);
  const readSync = (offset: number, length: number) => {
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const at = (offset + filled) % period.length, count = Math.min(period.length - at, length - filled);
      bytes.set(period.subarray(at, at + count), filled);
      filled += count;
    }
    return bytes;
  };
  return {
    name,
    size,
    readSync,
    read: (offset, length) => Promise.resolve(readSync(offset, length)),
    stream: () => {
      throw new RangeError(`Cannot stream ${name}: it is made where it is read`);
    },
    close: () => Promise.resolve(),
  };
}
