import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import { parseConfig } from "../../core/model/config.ts";
import { checkLayer, parseSites } from "../../core/model/sites.ts";

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
});

const refused: [Record<string, unknown>, RegExp][] = [
  [{ model_type: "llama" }, /model_type: this must be a Gemma-2 model/],
  [{ model_type: undefined }, /model_type: /],
  [{ hidden_size: undefined }, /hidden_size: /],
  [{ hidden_size: 128.5 }, /hidden_size: /],
  [{ hidden_size: 0 }, /hidden_size: /],
  [{ rope_parameters: undefined }, /rope_theta or rope_parameters is missing/],
  [{ rope_parameters: { rope_theta: 1e4, rope_type: "yarn" } }, /rope_parameters.rope_type: scaled rotary/],
  [{ rope_scaling: { type: "linear" } }, /rope_scaling: scaled rotary/],
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

Deno.test("refuses a config.json that is no JSON", () => {
  assert.throws(() => parseConfig(new TextEncoder().encode("{"), "config.json"), /it must be JSON/);
});

Deno.test("layers and sites come from lists; mistakes name what is allowed", () => {
  assert.deepEqual(parseSites("mlp_out,resid_mid"), ["mlp_out", "resid_mid"]);
  assert.throws(() => parseSites("mlp"), /one of resid_pre, .*, got "mlp"/);
  checkLayer(25, 26);
  assert.throws(() => checkLayer(26, 26), /counted from 0 to 25, so the deepest is 25; use --layers 25/);
});
