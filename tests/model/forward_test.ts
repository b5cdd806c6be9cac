import assert from "node:assert/strict";
import { openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { configOf, type DecoderConfig, type LayerType } from "../../core/model/config.ts";
import { Embedding } from "../../core/model/embedding.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { Decoder, loadDecoder } from "../../core/model/forward.ts";
import { reachOf } from "../../core/model/reach.ts";
import { SITES, type Tap, tapName, widthOf } from "../../core/model/sites.ts";
import { loadLayers } from "../../core/model/weights.ts";
import { relativeL2 } from "../compare.ts";
import { activations, MODELS, openGolden, openGoldenModel, tail } from "./golden.ts";

const gpu = await openGpu();

/** The tiles and lanes that GPUs get run here too. */
const gpuShape = { ...gpu, isCpu: false };
const RUNS = [
  ...MODELS.map((name) => ({ name, on: gpu, shape: "" })),
  ...["builtin", "gemma2/window", "gemma3/window"].map((name) => ({ name, on: gpuShape, shape: ", as on a GPU" })),
];

for (const { name, on, shape } of RUNS) {
  Deno.test(`${name}${shape}: every site of every layer is within 1e-5 of Hugging Face's float32`, async () => {
    const reference = await openGolden(name);
    const files = await openGoldenModel(name), config = configOf(files);
    const taps = Array.from({ length: config.layers }, (_, layer) => SITES.map((site) => ({ layer, site }))).flat();
    const { contexts, context } = reference.batch;
    using scope = openScope(on);
    const model = await loadDecoder(scope, files, { taps, maxTokens: contexts * context, context });
    const errors: [string, number][] = [];
    for (const [{ tap, width }, values] of await activations(on, model, reference.batch)) {
      assert.equal(width, widthOf(config, tap.site));
      const kept = tail(values, context, reference.kept, width);
      errors.push([tapName(tap), relativeL2(kept, await reference.expected(tap))]);
    }
    const [worst, error] = errors.reduce((a, b) => b[1] > a[1] ? b : a);
    if (Deno.env.has("MTC_FIGURES")) {
      console.log(`${name}${shape}: worst relative L2 ${error.toExponential(2)} at ${worst}`);
    }
    assert.ok(error <= 1e-5, `${name}: relative L2 at ${worst} is ${error.toExponential(2)}, at most 1e-5 is allowed`);
    await files.weights.close();
  });
}

Deno.test("a batch gives the same whatever ran before it, beside it and at however many taps", async () => {
  const files = await openModel(BUILTIN);
  const context = 20;
  const batch = (contexts: number, seed: number) => ({
    contexts,
    context,
    ids: Uint32Array.from({ length: contexts * context }, (_, i) => i % context === 0 ? 2 : 3 + (i * seed) % 4000),
  });
  const load = (taps: readonly Tap[], contexts: number) =>
    loadDecoder(gpu, files, { taps, maxTokens: contexts * context, context });
  const alone = await load([{ layer: 1, site: "mlp_out" }], 1);
  const [[, expected]] = await activations(gpu, alone, batch(1, 7919));

  const among = await load(
    [{ layer: 2, site: "resid_pre" }, { layer: 1, site: "mlp_out" }, { layer: 1, site: "resid_post" }, {
      layer: 3,
      site: "attn_in",
    }],
    3,
  );
  await activations(gpu, among, batch(3, 104729));
  const [[before], [, again], [after]] = await activations(gpu, among, batch(1, 7919));
  assert.deepEqual(again, expected);
  assert.equal(before.tensor, after.tensor, "what leaves a layer enters the next");
  const [, [, inThree]] = await activations(gpu, among, batch(3, 7919));
  assert.deepEqual(inThree.subarray(0, expected.length), expected);
  await files.weights.close();
});

Deno.test("a layer's queries and keys turn by the base of what the layer sees", async () => {
  using scope = openScope(gpu);
  const { batch } = await openGolden("gemma2/uncapped"),
    files = await openGoldenModel("gemma2/uncapped"),
    config = configOf(files);
  const tokens = batch.contexts * batch.context, taps: Tap[] = [{ layer: 1, site: "resid_post" }];
  const options = { taps, maxTokens: tokens, context: batch.context };
  const layers = await loadLayers(scope, files.weights, config, reachOf(taps));
  /** What a model gives whose layers all see the whole context, under one name or the other. */
  const run = async (layerType: LayerType, sliding_attention: number, full_attention: number) => {
    const changed: DecoderConfig = {
      ...config,
      layerTypes: [layerType, layerType],
      slidingWindow: batch.context,
      rope: {
        sliding_attention: { theta: sliding_attention, factor: 1 },
        full_attention: { theta: full_attention, factor: 1 },
      },
    };
    const decoder = new Decoder(scope, changed, options, new Embedding(files.weights, config), layers);
    const [[, values]] = await activations(scope, decoder, batch);
    return values;
  };
  const expected = await run("full_attention", 500, 500);
  assert.deepEqual(await run("sliding_attention", 500, 9), expected);
  assert.deepEqual(await run("full_attention", 9, 500), expected);
  assert.ok(relativeL2(await run("sliding_attention", 9, 500), expected) > 1e-3);
  await files.weights.close();
});
