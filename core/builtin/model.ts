/**
 * The embedded model: the Hugging Face directory `tiny-gemma2` as bytes. Its README tells where it comes from.
 * @module
 */

/** The four files of a Hugging Face model directory whose weights are in one shard. */
export interface BuiltinModel {
  /** config.json */
  config: Uint8Array<ArrayBuffer>;
  /** model.safetensors */
  weights: Uint8Array<ArrayBuffer>;
  /** tokenizer.json */
  tokenizerJson: Uint8Array<ArrayBuffer>;
  /** tokenizer_config.json */
  tokenizerConfig: Uint8Array<ArrayBuffer>;
}

/** Loads the embedded model. Nothing of it (4 MB) is read before the first call. */
export async function builtinModel(): Promise<BuiltinModel> {
  const [config, weights, tokenizerJson, tokenizerConfig] = await Promise.all([
    import("./tiny-gemma2/config.json", { with: { type: "bytes" } }),
    import("./tiny-gemma2/model.safetensors", { with: { type: "bytes" } }),
    import("./tiny-gemma2/tokenizer.json", { with: { type: "bytes" } }),
    import("./tiny-gemma2/tokenizer_config.json", { with: { type: "bytes" } }),
  ]);
  return {
    config: config.default,
    weights: weights.default,
    tokenizerJson: tokenizerJson.default,
    tokenizerConfig: tokenizerConfig.default,
  };
}
