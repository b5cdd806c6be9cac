/**
 * A model for trying out what measures the large one.
 */

import type { RandomModelSizes } from "../core/bench/random_model.ts";

/** So small that a software driver runs all layers in a second. */
export const SMALL_GEMMA2: RandomModelSizes = {
  name: "random weights of a small shape",
  num_hidden_layers: 26,
  hidden_size: 128,
  intermediate_size: 512,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  sliding_window: 4096,
};
