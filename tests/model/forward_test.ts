import assert from "node:assert/strict";
import { downloadAll, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { type Activations, type Decoder, loadDecoder } from "../../core/model/forward.ts";
import { SITES, type Tap, tapName } from "../../core/model/sites.ts";
import { relativeL2 } from "../compare.ts";

const gpu = await openGpu();
const golden = new URL("../golden/gemma2/", import.meta.url).pathname;

interface Golden {
  readonly batch: { readonly contexts: number; readonly context: number; readonly ids: Uint32Array<ArrayBuffer> };
  /** What Hugging Face computes at a tap, at the last `kept` positions of each context. */
  readonly expected: (tap: Tap) => Promise<Float32Array>;
  readonly kept: number;
}

async function openGolden(name: string): Promise<Golden> {
  const file = await openSafetensors(`${golden}${name}.safetensors`);
  const [contexts, context] = file.info("tokens").shape;
  const ids = Uint32Array.from(await file.read("tokens"));
  const expected = ({ layer, site }: Tap) =>
    file.readF32(
      tapName(site === "resid_pre" && layer > 0 ? { layer: layer - 1, site: "resid_post" } : { layer, site }),
    );
  return { batch: { contexts, context, ids }, expected, kept: file.info("layer0.attn_in").shape[1] };
}

/** Runs one batch and reads every tap back. */
async function activations(model: Decoder, batch: Golden["batch"]): Promise<[Activations, Float32Array][]> {
  const pass = new Pass(gpu);
  const taps = model.forward(pass, batch);
  pass.submit();
  const bytes = await downloadAll(gpu, taps.map(({ tensor }) => tensor));
  return taps.map((tap, i) => [tap, new Float32Array(bytes[i], 0, tap.tokens * tap.width)]);
}

/** The last `kept` positions of each context. */
function tail(values: Float32Array, { batch: { contexts, context }, kept }: Golden, width: number): Float32Array {
  const out = new Float32Array(contexts * kept * width);
  for (let c = 0; c < contexts; c++) {
    out.set(values.subarray((c + 1) * context * width - kept * width, (c + 1) * context * width), c * kept * width);
  }
  return out;
}

/** The tiles and lanes that GPUs get run here too. */
const gpuShape = { ...gpu, isCpu: false };
const RUNS = [
  ...["builtin", "window", "shards", "uncapped", "long"].map((name) => ({ name, on: gpu, shape: "" })),
  ...["builtin", "window"].map((name) => ({ name, on: gpuShape, shape: ", as on a GPU" })),
];

for (const { name, on, shape } of RUNS) {
  Deno.test(`${name}${shape}: every site of every layer is within 1e-5 of Hugging Face's float32`, async () => {
    const reference = await openGolden(name);
    const files = await openModel(name === BUILTIN ? BUILTIN : golden + name);
    const layers = JSON.parse(new TextDecoder().decode(files.config)).num_hidden_layers as number;
    const taps = Array.from({ length: layers }, (_, layer) => SITES.map((site) => ({ layer, site }))).flat();
    const { contexts, context } = reference.batch;
    using scope = openScope(on);
    const model = await loadDecoder(scope, files, { taps, maxTokens: contexts * context, context });
    const errors: [string, number][] = [];
    for (const [{ tap, width }, values] of await activations(model, reference.batch)) {
      errors.push([tapName(tap), relativeL2(tail(values, reference, width), await reference.expected(tap))]);
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
  const [[, expected]] = await activations(alone, batch(1, 7919));

  const among = await load(
    [{ layer: 2, site: "resid_pre" }, { layer: 1, site: "mlp_out" }, { layer: 1, site: "resid_post" }, {
      layer: 3,
      site: "attn_in",
    }],
    3,
  );
  await activations(among, batch(3, 104729));
  const [[before], [, again], [after]] = await activations(among, batch(1, 7919));
  assert.deepEqual(again, expected);
  assert.equal(before.tensor, after.tensor, "what leaves a layer enters the next");
  const [, [, inThree]] = await activations(among, batch(3, 7919));
  assert.deepEqual(inThree.subarray(0, expected.length), expected);
  await files.weights.close();
});
