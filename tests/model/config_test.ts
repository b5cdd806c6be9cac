import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { parseConfig } from "../../core/model/config.ts";
import { checkLayer, depthOf, parseSites, SITES, widthOf } from "../../core/model/sites.ts";
import { checkWidths, mappingsFor } from "../../commands/train/settings.ts";

const builtin = JSON.parse(
  await Deno.readTextFile(new URL("../../core/builtin/tiny-gemma2/config.json", import.meta.url)),
);

/** The embedded model's configuration with keys changed, or removed where undefined. */
const parse = (changes: Record<string, unknown>) =>
  parseConfig(new TextEncoder().encode(JSON.stringify({ ...builtin, ...changes })), "config.json");

Deno.test("both generations of config.json give the same configuration", () => {
  const old = { rope_theta: 10000, rope_parameters: undefined, layer_types: undefined, dtype: undefined };
  assert.deepEqual(parse(old), parse({}));
  assert.deepEqual(parse({}).layerTypes.slice(0, 2), ["sliding_attention", "full_attention"]);
  assert.equal(parse({ attn_logit_softcapping: null }).attnSoftCap, null);
  assert.equal(parse({ attn_logit_softcapping: undefined }).attnSoftCap, 50);
  assert.equal(parse({ final_logit_softcapping: null }).finalSoftCap, null);
  assert.equal(parse({ final_logit_softcapping: undefined }).finalSoftCap, 30);
  assert.equal(parse({ tie_word_embeddings: undefined }).isHeadTied, true);
  assert.equal(parse({ tie_word_embeddings: false }).isHeadTied, false);
  // What Hugging Face writes where nothing is said, or nothing is scaled.
  assert.deepEqual(parse({ bos_token_id: null }), parse({}));
  for (const rope_scaling of [null, { rope_type: "default" }, { type: "default" }]) {
    assert.deepEqual(parse({ ...old, rope_scaling }), parse({}));
  }
});

Deno.test("a window that is longer than any context is as long as one", () => {
  const { maxPositions } = parse({});
  for (const sliding_window of [maxPositions, 2 ** 32 + 64, 2 ** 53 - 1]) {
    assert.equal(parse({ sliding_window }).slidingWindow, maxPositions);
  }
  assert.equal(parse({ sliding_window: 16 }).slidingWindow, 16);
});

const refused: [Record<string, unknown>, RegExp][] = [
  [{ model_type: "llama" }, /it must be a Gemma-2 or Gemma-3 text model, it is Llama \(model_type "llama"\); choose/],
  [{ model_type: "gemma" }, /it is Gemma 1 \(model_type "gemma"\)/],
  [{ model_type: "gemma3n" }, /it is Gemma 3n \(/],
  [{ model_type: "qwen3" }, /it is Qwen 3 \(/],
  [{ model_type: "paligemma" }, /it is PaliGemma \(/],
  [{ model_type: "siglip_vision_model" }, /it is SigLIP, a vision model \(/],
  [{ model_type: "toString" }, /Gemma-3 text model, its model_type is "toString"/],
  [{ model_type: ["gemma2"] }, /its model_type is \["gemma2"\]/],
  [{ model_type: undefined }, /this config\.json has no model_type/],
  [{ hidden_size: undefined }, /hidden_size: /],
  [{ hidden_size: 128.5 }, /hidden_size: /],
  [{ hidden_size: 0 }, /hidden_size: /],
  [{ num_hidden_layers: 1e9 }, /num_hidden_layers: .*<=10000 /],
  [{ vocab_size: 1e9 }, /vocab_size: .*<=16777216 /],
  [{ intermediate_size: 2 ** 32 }, /intermediate_size: .*<=16777216 /],
  [{ rms_norm_eps: 1e308 }, /rms_norm_eps: it must be a positive float32/],
  [{ query_pre_attn_scalar: 1e-40 }, /query_pre_attn_scalar: it must be a positive float32/],
  [{ attn_logit_softcapping: 1e-300 }, /attn_logit_softcapping: it must be a positive float32/],
  [{ rope_parameters: { rope_theta: 1e-300 } }, /rope_parameters\.rope_theta: it must be 1 or more/],
  [{ rope_parameters: undefined }, /rope_theta or rope_parameters is missing/],
  [{ rope_parameters: { rope_theta: 1e4, rope_type: "yarn" } }, /rope_parameters.rope_type: scaled rotary/],
  [{ rope_scaling: { type: "linear" } }, /rope_scaling.type: scaled rotary/],
  [{ num_key_value_heads: 3 }, /num_key_value_heads must divide num_attention_heads/],
  [{ head_dim: 31 }, /head_dim must be even/],
  [{ hidden_size: 51 }, /hidden_size must be a multiple of 4/],
  [{ intermediate_size: 77 }, /intermediate_size must be a multiple of 4/],
  [{ layer_types: ["full_attention"] }, /layer_types must name every layer/],
  [{ layer_types: Array(6).fill("chunked_attention") }, /layer_types.0: /],
  [{ hidden_activation: "silu" }, /hidden_activation must be gelu_pytorch_tanh/],
  [{ attention_bias: true }, /attention_bias: Gemma-2 has no attention biases/],
];
for (const [changes, message] of refused) {
  Deno.test(`refuses config.json with ${JSON.stringify(changes)}${Object.values(changes).includes(undefined) ? ` (${Object.keys(changes)} removed)` : ""}`, () => {
    assert.throws(() => parse(changes), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^Cannot use the model of config.json: /);
      assert.match(error.message, message);
      return true;
    });
  });
}

/** What google/gemma-3-4b-pt gives, as it lies on the hub: the rest is Hugging Face's to fill in. */
const gemma3_4b = {
  architectures: ["Gemma3ForConditionalGeneration"],
  boi_token_index: 255_999,
  eoi_token_index: 256_000,
  eos_token_id: [1, 106],
  image_token_index: 262_144,
  model_type: "gemma3",
  text_config: {
    ...{ hidden_size: 2560, intermediate_size: 10_240, model_type: "gemma3_text", num_hidden_layers: 34 },
    ...{ rope_scaling: { factor: 8, rope_type: "linear" }, sliding_window: 1024 },
  },
  vision_config: { hidden_size: 1152, model_type: "siglip_vision_model" },
};
const parseAny = (json: unknown) => parseConfig(new TextEncoder().encode(JSON.stringify(json)), "config.json");
/** A Gemma-3 text model's configuration with keys changed, or removed where undefined. */
const parse3 = (changes: Record<string, unknown>) => parseAny({ ...gemma3_4b.text_config, ...changes });

Deno.test("a multimodal Gemma-3 is read as its text model, with the defaults that its config.json leaves out", () => {
  const config = parseAny(gemma3_4b), { layerTypes, ...sizes } = config;
  assert.deepEqual(sizes, {
    ...{ layers: 34, dModel: 2560, dMlp: 10_240, heads: 8, keyValueHeads: 4, headDim: 256, vocabSize: 262_208 },
    ...{ bosTokenId: 2, maxPositions: 131_072, slidingWindow: 1024, queryPreAttnScalar: 256, rmsNormEps: 1e-6 },
    rope: { full_attention: { theta: 1_000_000, factor: 8 }, sliding_attention: { theta: 10_000, factor: 1 } },
    ...{ hasHeadNorm: true, attnSoftCap: null, finalSoftCap: null, isHeadTied: true },
  });
  assert.deepEqual(
    layerTypes.flatMap((type, l) => type === "full_attention" ? [l] : []),
    [5, 11, 17, 23, 29],
    "every sixth layer sees everything",
  );
  assert.deepEqual(parse3({}), config, "and so is the text model on its own");
  assert.deepEqual(parseAny({ ...gemma3_4b, bos_token_id: 5 }).bosTokenId, 5);
  assert.deepEqual(parseAny({ ...gemma3_4b, bos_token_id: 5, text_config: { bos_token_id: 6 } }).bosTokenId, 6);
  assert.equal(parseAny({ ...gemma3_4b, tie_word_embeddings: false }).isHeadTied, false);
});

Deno.test("both generations of Gemma-3's config.json give the same configuration", () => {
  const rope_parameters = {
    full_attention: { rope_type: "linear", factor: 8, rope_theta: 1_000_000 },
    sliding_attention: { rope_type: "default", rope_theta: 10_000 },
  };
  assert.deepEqual(parse3({ rope_scaling: undefined, rope_parameters }), parse3({}));
  assert.deepEqual(parse3({ rope_scaling: { type: "linear", factor: 8 } }), parse3({}));
  assert.deepEqual(parse3({ layer_types: parse3({}).layerTypes, sliding_window_pattern: 2 }), parse3({}));
  assert.deepEqual(parse3({ num_hidden_layers: 4, sliding_window_pattern: 2 }).layerTypes, [
    "sliding_attention",
    "full_attention",
    "sliding_attention",
    "full_attention",
  ]);
  const { rope } = parse3({ rope_scaling: null, rope_theta: 7000, rope_local_base_freq: 70 });
  assert.deepEqual(rope, { full_attention: { theta: 7000, factor: 1 }, sliding_attention: { theta: 70, factor: 1 } });
  const unscaled = parse3({ rope_scaling: { rope_type: "default", factor: 3 }, bos_token_id: null });
  assert.deepEqual([unscaled.rope.full_attention.factor, unscaled.bosTokenId], [1, 2]);
  assert.equal(parse3({ final_logit_softcapping: 30 }).finalSoftCap, 30);
});

const refused3: [Record<string, unknown>, RegExp][] = [
  [{ use_bidirectional_attention: true }, /use_bidirectional_attention: .*embedding model such as EmbeddingGemma/],
  [{ attn_logit_softcapping: 50 }, /attn_logit_softcapping: Gemma-3 has no soft cap on scores/],
  [{ rope_scaling: { rope_type: "yarn", factor: 8 } }, /rope_scaling.rope_type: rotary embeddings are scaled linearly/],
  [{ rope_scaling: { rope_type: "linear" } }, /a linear rotary embedding must have a factor/],
  [{ rope_parameters: { rope_type: "default", rope_theta: 1e4 } }, /rope_parameters.rope_theta: .*each layer type/],
  [{ rope_parameters: { sliding_attention: { rope_type: "llama3" } } }, /sliding_attention.rope_type: /],
  [{ head_dim: 31 }, /head_dim must be even/],
  [{ num_key_value_heads: 3 }, /num_key_value_heads must divide num_attention_heads/],
  [{ hidden_size: 0 }, /hidden_size: /],
  [{ num_hidden_layers: 1e9 }, /num_hidden_layers: .*<=10000 /],
  [{ vocab_size: 1e9 }, /vocab_size: .*<=16777216 /],
  [{ intermediate_size: 2 ** 32 }, /intermediate_size: .*<=16777216 /],
  [{ rms_norm_eps: 1e308 }, /rms_norm_eps: it must be a positive float32/],
  [{ query_pre_attn_scalar: 1e-40 }, /query_pre_attn_scalar: it must be a positive float32/],
  [{ layer_types: ["full_attention"] }, /layer_types must name every layer/],
  [{ hidden_activation: "silu" }, /hidden_activation must be gelu_pytorch_tanh/],
  [{ attention_bias: true }, /attention_bias: Gemma-3 has no attention biases/],
  [{ model_type: "gemma3" }, /text_config: there must be one, this Gemma-3 has no text model/],
  [{ model_type: "gemma3", text_config: { head_dim: 31 } }, /text_config: head_dim must be even/],
  [
    { model_type: "gemma3", text_config: { model_type: "llama" } },
    /text_config: model_type: this must be "gemma3_text"/,
  ],
];
for (const [changes, message] of refused3) {
  Deno.test(`refuses a Gemma-3 config.json with ${JSON.stringify(changes)}`, () => {
    assert.throws(() => parse3(changes), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(
        error.message,
        /^Cannot use the model of config.json: .*; choose a Hugging Face directory of Gemma-2/,
      );
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("refuses a config.json that is no JSON", () => {
  assert.throws(() => parseConfig(new TextEncoder().encode("{"), "config.json"), /it must be JSON/);
});

Deno.test("a site has a width and a depth, and what leaves a layer is as deep as what enters the next", () => {
  const model = { ...parse({}), heads: 3, headDim: 10, dModel: 60, dMlp: 76 };
  const widths = SITES.map((site) => widthOf(model, site));
  assert.deepEqual(widths, [60, 60, 30, 60, 60, 60, 76, 60, 60]);
  const depths = SITES.map((site) => depthOf({ layer: 2, site }));
  assert.deepEqual(depths, depths.toSorted((a, b) => a - b));
  assert.equal(depthOf({ layer: 2, site: "resid_post" }), depthOf({ layer: 3, site: "resid_pre" }));
  assert.ok(depthOf({ layer: 2, site: "resid_post" }) < depthOf({ layer: 3, site: "attn_in" }));
});

Deno.test("transcoders of a width that kernels cannot take are refused", () => {
  const model = { ...parse({}), heads: 3, headDim: 10 };
  const mappings = (source: string) => mappingsFor({ layers: [1], source, target: "mlp_out" }, model.layers, []);
  checkWidths(mappings("mlp_neurons"), model);
  assert.throws(
    () => checkWidths(mappings("attn_heads"), model),
    /Cannot train on layer1.attn_heads: its width must be a multiple of 4, it is 30/,
  );
});

Deno.test("layers and sites come from lists; mistakes name what is allowed", () => {
  assert.deepEqual(parseSites("mlp_out,resid_mid"), ["mlp_out", "resid_mid"]);
  assert.throws(() => parseSites("mlp"), /one of resid_pre, .*, got "mlp"/);
  assert.throws(() => parseSites("mlp_hidden"), /attn_heads, .*mlp_neurons, .*got "mlp_hidden"/);
  checkLayer(25, 26);
  assert.throws(() => checkLayer(26, 26), /counted from 0 to 25, so the deepest is 25; use --layers 25/);
});
