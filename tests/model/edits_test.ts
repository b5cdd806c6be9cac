/** Edits of the forward pass, against Hugging Face with the same site replaced or added to, and against our own pass without them. */

import assert from "node:assert/strict";
import { createTensor, download, downloadF32, type Gpu, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { configOf } from "../../core/model/config.ts";
import type { Edit } from "../../core/model/edits.ts";
import { type Decoder, loadDecoder } from "../../core/model/forward.ts";
import { depthOf, type Site, SITES, type Tap, tapName, widthOf } from "../../core/model/sites.ts";
import { relativeL2 } from "../compare.ts";
import { gaussians } from "../random.ts";
import { activations, GOLDEN, openGolden, openGoldenModel, tail } from "./golden.ts";

const gpu = await openGpu();
const LAYER = 1, KINDS = ["replace", "add"] as const;

/** A golden model that is edited, and what it gives where nothing is. */
async function open(family: string) {
  const name = `${family}/window`, { batch } = await openGolden(name), tokens = batch.contexts * batch.context;
  const files = await openGoldenModel(name), config = configOf(files);
  const everywhere: readonly Tap[] = Array.from(
    { length: config.layers },
    (_, layer) => SITES.map((site) => ({ layer, site })),
  ).flat();
  const load = (on: Gpu, taps: readonly Tap[]): Promise<Decoder> =>
    loadDecoder(on, files, { taps, maxTokens: tokens, context: batch.context, head: true });
  /** Every tap's activations by name, on the host. */
  const run = async (decoder: Decoder, edits: readonly Edit[]): Promise<Record<string, Float32Array>> => {
    const taken = await activations(gpu, decoder, batch, { edits });
    return Object.fromEntries(taken.map(([{ tap }, values]) => [tapName(tap), values]));
  };
  const model = await load(gpu, everywhere), plain = await run(model, []);
  const expected = await openSafetensors(`${GOLDEN}${family}/edits.safetensors`);
  return { family, batch, tokens, config, everywhere, load, run, model, plain, expected };
}

const gemma2 = await open("gemma2");

for (const opened of [gemma2, await open("gemma3")]) {
  for (const site of SITES) {
    for (const kind of KINDS) againstHuggingFace(opened, site, kind);
  }
}

function againstHuggingFace(
  { family, batch, tokens, config, everywhere, load, run, model, plain, expected: edits }: typeof gemma2,
  site: Site,
  kind: typeof KINDS[number],
): void {
  Deno.test(`${family}, ${kind} ${site}: what lies above is within 1e-5 of Hugging Face's, what lies below is untouched`, async () => {
    using scope = openScope(gpu);
    const width = widthOf(config, site), given = await edits.readF32(`given.${width}`);
    const tap = { layer: LAYER, site }, tensor = tensorFrom(scope, "given", [tokens, width], given);
    const changed = await run(model, [{ kind, tap, tensor }]);
    const deepest = changed[`layer${config.layers - 1}.resid_post`];
    const error = relativeL2(
      tail(deepest, batch.context, 8, config.dModel),
      await edits.readF32(`${kind}.${site}`),
    );
    assert.ok(error <= 1e-5, `relative L2 ${error.toExponential(2)}`);

    const before = plain[tapName(tap)];
    const expected = kind === "replace" ? given : given.map((value, i) => Math.fround(value + before[i]));
    assert.deepEqual(changed[tapName(tap)], expected, "a tap reads the edited value");
    for (const other of everywhere.filter((other) => depthOf(other) < depthOf(tap))) {
      assert.deepEqual(changed[tapName(other)], plain[tapName(other)], tapName(other));
    }

    // With no tap but the last one, the rest of the scratch tensors is shared by all layers.
    const alone = await load(scope, [{ layer: config.layers - 1, site: "resid_post" }]);
    const [last] = Object.values(await run(alone, [{ kind, tap, tensor }]));
    assert.deepEqual(last, deepest);
    const pass = new Pass(gpu);
    alone.forward(pass, batch, { edits: [{ kind, tap, tensor }] });
    const loss = alone.recordLoss(pass, batch);
    pass.submit();
    const losses = new Float32Array(await download(gpu, loss));
    const wanted = await edits.readF32(`${kind}.${site}.loss`), perContext = batch.context - 1;
    wanted.forEach((value, i) => {
      const actual = losses[Math.floor(i / perContext) * batch.context + i % perContext];
      assert.ok(Math.abs(actual - value) <= 1e-4 * value, `token ${i}: loss ${actual}, expected ${value}`);
    });
  });
}

const { batch, tokens, config, everywhere, run, model, plain } = gemma2;

Deno.test("after an edited pass one without edits gives the same bytes as ever", async () => {
  assert.deepEqual(await run(model, []), plain);
});

Deno.test("what is added to a branch step by step is what is added to it in one kernel: zeros change nothing", async () => {
  using scope = openScope(gpu);
  for (const site of SITES) {
    const tensor = createTensor(scope, "zeros", [tokens, widthOf(config, site)]);
    const changed = await run(model, [{ kind: "add", tap: { layer: LAYER, site }, tensor }]);
    for (const [name, values] of Object.entries(changed)) {
      const error = relativeL2(values, plain[name]);
      assert.ok(error <= 1e-6, `${site}: ${name} moves by ${error.toExponential(2)}`);
    }
  }
});

Deno.test("a rewrite sees the site as computed and the taps below as edited, and what it writes is there above", async () => {
  using scope = openScope(gpu);
  const width = config.dModel, given = gaussians(tokens * width, 4), below: Tap = { layer: 1, site: "attn_out" };
  const tensor = tensorFrom(scope, "given", [tokens, width], given), mid: Tap = { layer: 1, site: "mlp_out" };
  const seen = createTensor(scope, "seen", [tokens, width]);
  const rewritten = await run(model, [
    { kind: "replace", tap: below, tensor },
    {
      kind: "rewrite",
      tap: mid,
      record: (pass, activations, at) => {
        pass.copy(activations, 0, seen, 0, tokens * width);
        pass.copy(at(below), 0, activations, 0, tokens * width);
      },
    },
  ]);
  assert.deepEqual(rewritten["layer1.mlp_out"], given);
  assert.deepEqual(
    await downloadF32(gpu, seen),
    (await run(model, [{ kind: "replace", tap: below, tensor }]))["layer1.mlp_out"],
  );
  const replaced = await run(model, [{ kind: "replace", tap: below, tensor }, { kind: "replace", tap: mid, tensor }]);
  assert.deepEqual(rewritten["layer2.resid_post"], replaced["layer2.resid_post"]);

  const few = await gemma2.load(scope, [mid]);
  const stranger: Edit = { kind: "rewrite", tap: mid, record: (_, __, at) => void at(below) };
  assert.throws(
    () => few.forward(new Pass(gpu), batch, { edits: [stranger] }),
    /layer1.attn_out must be among the taps/,
  );
});

Deno.test("several edits of a place take effect in their order, whichever of its two names they use", async () => {
  using scope = openScope(gpu);
  const width = config.dModel, values = [1, 2, 3].map((seed) => gaussians(tokens * width, seed));
  const [a, b, c] = values.map((data, i) => tensorFrom(scope, `given ${i}`, [tokens, width], data));
  const post: Tap = { layer: 0, site: "resid_post" }, pre: Tap = { layer: 1, site: "resid_pre" };
  const changed = await run(model, [
    { kind: "add", tap: post, tensor: a },
    { kind: "replace", tap: pre, tensor: b },
    { kind: "add", tap: post, tensor: c },
  ]);
  const expected = values[1].map((value, i) => Math.fround(value + values[2][i]));
  assert.deepEqual(changed["layer0.resid_post"], expected);
  assert.deepEqual(changed["layer1.resid_pre"], expected);
});

Deno.test("edits of several places work together: a whole layer can be put back as it was", async () => {
  using scope = openScope(gpu);
  const sites: Site[] = ["attn_heads", "mlp_neurons"],
    other = { ...batch, ids: batch.ids.map((id) => 3 + (id + 7) % 60) };
  const given = sites.map((site): Edit => {
    const tap: Tap = { layer: LAYER, site };
    return {
      kind: "replace",
      tap,
      tensor: tensorFrom(scope, site, [tokens, widthOf(config, site)], plain[tapName(tap)]),
    };
  });
  const taken = await activations(gpu, model, other, { edits: given });
  const at = (site: Site) => taken.find(([{ tap }]) => tap.layer === LAYER && tap.site === site)![1];
  for (const site of ["attn_out", "mlp_out"] as const) assert.deepEqual(at(site), plain[`layer${LAYER}.${site}`]);
  assert.notDeepEqual(at("resid_post"), plain[`layer${LAYER}.resid_post`], "the residual stream is the other text's");
});

Deno.test("embedded tokens can be replaced, and then none are looked up", async () => {
  using scope = openScope(gpu);
  const tap: Tap = { layer: 0, site: "resid_pre" };
  const tensor = tensorFrom(scope, "embedded", [tokens, config.dModel], plain[tapName(tap)]);
  const nonsense = { ...batch, ids: batch.ids.map(() => 1_000_000) };
  const taken = await activations(gpu, model, nonsense, { edits: [{ kind: "replace", tap, tensor }] });
  for (const [{ tap }, values] of taken) assert.deepEqual(values, plain[tapName(tap)], tapName(tap));
});

Deno.test("a pass that starts above needs no tokens, and taps that are not wanted keep what they held", async () => {
  using scope = openScope(gpu);
  const sites: Site[] = ["resid_mid", "mlp_out"], last: Tap = { layer: config.layers - 1, site: "resid_post" };
  const edits = sites.map((site): Edit => {
    const tap: Tap = { layer: LAYER, site }, values = plain[tapName(tap)];
    return { kind: "replace", tap, tensor: tensorFrom(scope, site, [tokens, config.dModel], values) };
  });
  const decoder = await gemma2.load(scope, everywhere.filter(({ site }) => site !== "resid_pre"));
  const nonsense = { ...batch, ids: batch.ids.map(() => 1_000_000) };
  const [[{ tap, width }, values]] = await activations(gpu, decoder, nonsense, { edits, taps: [last] });
  assert.deepEqual([tap, width], [last, config.dModel]);
  const error = relativeL2(values, plain[tapName(last)]);
  assert.ok(error <= 1e-6, `moves by ${error.toExponential(2)}`);
  const unwanted = decoder.taps.findIndex(({ layer, site }) => layer === 0 && site === "attn_out");
  const { tensor } = decoder.forward(new Pass(gpu), batch)[unwanted];
  assert.ok((await downloadF32(gpu, tensor)).every((value) => value === 0), "it was never computed");
});

Deno.test("refuses layers that the model has not, tensors that are too small, and a site's own tensor", () => {
  const forward = (edit: Edit) => model.forward(new Pass(gpu), batch, { edits: [edit] });
  using scope = openScope(gpu);
  const small = createTensor(scope, "small", [tokens, config.dMlp - 1]);
  const tap: Tap = { layer: LAYER, site: "mlp_neurons" };
  assert.throws(() => forward({ kind: "add", tap: { ...tap, layer: 3 }, tensor: small }), /the model has 3 layers/);
  assert.throws(() => forward({ kind: "replace", tap, tensor: small }), /must hold 3192 elements, "small" holds 3150/);
  const own = model.forward(new Pass(gpu), batch)[everywhere.findIndex((at) => tapName(at) === tapName(tap))].tensor;
  for (const kind of KINDS) assert.throws(() => forward({ kind, tap, tensor: own }), /must be another/);
});
