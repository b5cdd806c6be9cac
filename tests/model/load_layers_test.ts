/** How a layer's weights lie on the GPU, for matrices that are read in several pieces. */

import assert from "node:assert/strict";
import { bfloat16ToFloat32 } from "../../core/files/floats.ts";
import { parseSafetensors } from "../../core/files/safetensors.ts";
import { configOf, type DecoderConfig } from "../../core/model/config.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { TensorSource } from "../../core/files/tensor_source.ts";
import { reachOf } from "../../core/model/reach.ts";
import { type Linear, loadLayers, requireTensors } from "../../core/model/weights.ts";
import { download, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";
import { uniform } from "../random.ts";

const gpu = await openGpu();
const D = 8, MLP = 300_004;
const builtin = await openModel(BUILTIN);
const config: DecoderConfig = {
  ...configOf(builtin),
  ...{ layers: 1, dModel: D, dMlp: MLP, heads: 3, keyValueHeads: 1, headDim: 2 },
};
const whole = reachOf([{ layer: 0, site: "resid_post" }]);

const SHAPES: Readonly<Record<string, readonly number[]>> = {
  "input_layernorm": [D],
  "post_attention_layernorm": [D],
  "pre_feedforward_layernorm": [D],
  "post_feedforward_layernorm": [D],
  "self_attn.q_proj": [6, D],
  "self_attn.k_proj": [2, D],
  "self_attn.v_proj": [2, D],
  "self_attn.o_proj": [D, 6],
  "mlp.gate_proj": [MLP, D],
  "mlp.up_proj": [MLP, D],
  "mlp.down_proj": [D, MLP],
};

/** A checkpoint of one layer, and the bits of its tensors by name. */
async function checkpoint(dtype: "BF16" | "F32", shapes = SHAPES) {
  const next = uniform(7), bits = new Map<string, Uint16Array>(), header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const values = Uint16Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0x3f00 + 256 * next());
    const begin = end;
    end += values.length * (dtype === "BF16" ? 2 : 4);
    bits.set(name, values);
    header[`model.layers.0.${name}.weight`] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header)), bytes = new Uint8Array(8 + json.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  let at = 8 + json.length;
  for (const values of bits.values()) {
    const stored = dtype === "BF16" ? values : bfloat16ToFloat32(values);
    bytes.set(new Uint8Array(stored.buffer), at);
    at += stored.byteLength;
  }
  return { bits, source: new TensorSource("the checkpoint", [await parseSafetensors(bytes, "layer.safetensors")]) };
}

/** The bits that the weight of a linear map must hold: column c is row `rowOf(c)` of the stacked projections. */
async function assertColumns(linear: Linear, rowOf: (column: number) => Uint16Array): Promise<void> {
  const { inputs, outputs, weight, format } = linear, padded = Math.ceil(outputs / 4) * 4;
  const held = await download(gpu, weight);
  const bits = format === "bf16" ? new Uint16Array(held) : new Uint32Array(held).map((word) => word >>> 16);
  for (let c = 0; c < outputs; c++) {
    const expected = rowOf(c);
    for (let i = 0; i < inputs; i++) {
      if (bits[i * padded + c] !== expected[i]) assert.fail(`${weight.label}: column ${c}, input ${i}`);
    }
  }
}

for (const dtype of ["BF16", "F32"] as const) {
  Deno.test(`weights of ${dtype} that come in pieces lie as the kernels read them`, async () => {
    const { bits, source } = await checkpoint(dtype);
    using scope = openScope(gpu);
    const [{ qkv, attnOut, gateUp, mlpOut }] = await loadLayers(scope, source, config, whole);
    const rows = (name: string, width: number) => (row: number) =>
      bits.get(name)!.subarray(row * width, (row + 1) * width);
    const [q, k, v] = ["q", "k", "v"].map((name) => rows(`self_attn.${name}_proj`, D));
    await assertColumns(qkv!, (c) => c < 6 ? q(c) : c < 8 ? k(c - 6) : v(c - 8));
    await assertColumns(attnOut!.out, rows("self_attn.o_proj", 6));
    // Four columns of the gate, then the four of the up projection that belong to them.
    const gate = rows("mlp.gate_proj", D), up = rows("mlp.up_proj", D);
    await assertColumns(gateUp!, (c) => (c % 8 < 4 ? gate : up)(Math.floor(c / 8) * 4 + c % 4));
    await assertColumns(mlpOut!.out, rows("mlp.down_proj", MLP));
    assert.equal(gateUp!.format, dtype === "BF16" ? "bf16" : "f32");
  });
}

Deno.test("weights that cannot be bound are refused, and float32 is told what would fit", async () => {
  const { source } = await checkpoint("F32"), small = bindingAtMost(gpu, 2 * MLP * D * 4 - 1);
  await assert.rejects(
    loadLayers(small, source, config, whole),
    /^UserError: Cannot load the checkpoint: .* binds at most 19200255 bytes at once, layers.0.mlp.gate_proj\+up_proj takes 19200256; take the model in bfloat16, which needs half$/,
  );
});

Deno.test("a tensor that is missing or misshapen is named before any is read, as it is when they are read", async () => {
  const small = { ...config, dMlp: 16 }, width = (extent: number) => extent === MLP ? 16 : extent;
  const shapes = Object.fromEntries(Object.entries(SHAPES).map(([name, shape]) => [name, shape.map(width)]));
  const { source: whole_ } = await checkpoint("BF16", shapes);
  // The embedding and the head are asked for last; this checkpoint has none.
  assert.throws(() => requireTensors(whole_, small, whole, false), /needs a tensor "model\.embed_tokens\.weight"/);
  for (const [name, shape] of Object.entries(shapes)) {
    const { [name]: _, ...others } = shapes, message = new RegExp(`layers\\.0\\.${name.replace(".", "\\.")}\\.weight"`);
    for (const wrong of [others, { ...shapes, [name]: [...shape, 1] }]) {
      const { source } = await checkpoint("BF16", wrong);
      assert.throws(() => requireTensors(source, small, whole, false), message);
      await assert.rejects(loadLayers(gpu, source, small, whole), message);
    }
  }
});
