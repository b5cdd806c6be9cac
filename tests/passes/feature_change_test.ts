/** Features changed inside of the model: the formula, what stays as it is, and what is not computed again. */

import assert from "node:assert/strict";
import { RecordingPass } from "../../core/bench/recording_pass.ts";
import { createTensor, download, downloadF32, type Gpu, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openScope } from "../../core/gpu/scope.ts";
import type { Tensor } from "../../core/gpu/tensor.ts";
import type { Edit } from "../../core/model/edits.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { type Decoder, loadDecoder } from "../../core/model/forward.ts";
import { cutAt } from "../../core/model/reach.ts";
import { lowestOf, placeOf, type Site, SITES, type Tap, tapName } from "../../core/model/sites.ts";
import { type ActivationChange, FeatureChanger } from "../../core/passes/feature_change.ts";
import { KeptBelow } from "../../core/passes/kept_below.ts";
import { countedRows, type TokenBatch } from "../../core/text/contexts.ts";
import type { Transcoder } from "../../core/transcoder/weights.ts";
import { assertClose, relativeL2 } from "../compare.ts";
import { bindingAtMost } from "../gpu/small_bindings.ts";
import { activationsOf, randomTranscoder } from "../transcoder/random_transcoder.ts";
import { randomText } from "./random_text.ts";

const gpu = await openGpu(), files = await openModel(BUILTIN);
const WIDTH = 128, CONTEXT = 12, CONTEXTS = 3, TOKENS = CONTEXTS * CONTEXT;
const text = randomText(CONTEXTS, CONTEXT, 5), places = countedRows(text, false);
const tap = (layer: number, site: Site): Tap => ({ layer, site });
const load = (taps: readonly Tap[]) =>
  loadDecoder(gpu, files, { taps, maxTokens: TOKENS, context: CONTEXT, head: true });
const counted = { places, rows: tensorFrom(gpu, "rows", [TOKENS], places) };
const placedAt = (source: Tap, target: Tap, seed = 1) => ({
  transcoder: randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [12, 20] }, 0.5, seed),
  config: { source, targets: [target], k: 4 },
});

/** Runs one batch, and reads a tap. */
async function read(model: Decoder, at: Tap, edits: readonly Edit[] = []): Promise<Float32Array> {
  const pass = new Pass(gpu), taken = model.forward(pass, text, { edits });
  pass.submit();
  return await downloadF32(gpu, taken[model.taps.findIndex((other) => tapName(other) === tapName(at))].tensor);
}

/** What the head reads after a pass, and each token's loss, KL and agreement with a pass before. */
class Predictions {
  readonly #normed: Tensor;

  constructor(scope: Gpu, private readonly model: Decoder) {
    this.#normed = createTensor(scope, "normed", [TOKENS, model.config.dModel]);
  }

  async reference(edits: readonly Edit[]): Promise<Float32Array> {
    const pass = new Pass(gpu);
    this.model.forward(pass, text, { edits });
    this.model.recordNormed(pass, TOKENS, this.#normed);
    pass.submit();
    return await downloadF32(gpu, this.#normed);
  }

  async compare(edits: readonly Edit[], batch: TokenBatch = text): Promise<Float32Array> {
    const pass = new Pass(gpu);
    this.model.forward(pass, batch, { edits });
    const comparison = this.model.recordComparison(pass, text, this.#normed);
    pass.submit();
    return new Float32Array(await download(gpu, comparison), 0, 3 * TOKENS);
  }
}

const SOURCE = tap(3, "resid_mid"), TARGET = tap(3, "mlp_out");
const both = await load([SOURCE, TARGET]), placed = placedAt(SOURCE, TARGET);
const [sourceBefore, targetBefore] = [await read(both, SOURCE), await read(both, TARGET)];
const changer = new FeatureChanger(gpu, placed, both.config, TOKENS);

/** What becomes of an activation, by the definition of each change. */
const CHANGES: [name: string, change: ActivationChange, activation: (f: number) => number][] = [
  ["off", { kind: "scale", factor: 0 }, () => 0],
  ["scaled", { kind: "scale", factor: -2.5 }, (f) => -2.5 * f],
  ["set", { kind: "set", value: 3, where: "everywhere" }, () => 3],
  ["set where it fires", { kind: "set", value: 3, where: "firing" }, (f) => f > 0 ? 3 : 0],
  ["added to", { kind: "add", value: -1.5, where: "everywhere" }, (f) => f - 1.5],
  ["added to where it fires", { kind: "add", value: -1.5, where: "firing" }, (f) => f > 0 ? f - 1.5 : 0],
];
const CHANGED = [3, 17, 30];

/** The float64 loop: y + sum of (f' - f) W_dec at each counted token. */
function expectedTarget(
  { transcoder }: { transcoder: Transcoder },
  activation: (f: number, feature: number) => number,
  features: readonly number[] = CHANGED,
): Float64Array {
  const y = Float64Array.from(targetBefore);
  for (const row of places) {
    const a = activationsOf(transcoder, sourceBefore.subarray(row * WIDTH, (row + 1) * WIDTH));
    for (const i of features) {
      const f = a[i] > transcoder.thresholds[i] ? a[i] : 0, difference = activation(f, i) - f;
      for (let c = 0; c < WIDTH; c++) y[row * WIDTH + c] += difference * transcoder.weights.decoder[i * WIDTH + c];
    }
  }
  return y;
}

for (const [name, change, activation] of CHANGES) {
  Deno.test(`features ${name}: the target is y + sum of (f' - f) W_dec at counted tokens, and y at all others`, async () => {
    const uploaded = changer.upload(gpu, new Map(CHANGED.map((i) => [i, change])));
    const after = await read(both, TARGET, changer.edits(counted, uploaded));
    assertClose("target", after, expectedTarget(placed, activation), { floor: 1e-5, relative: 1e-5 });
    assert.ok(relativeL2(after, targetBefore) > 0.01, "it changes something");
    for (let c = 0; c < CONTEXTS; c++) {
      const bos = (values: Float32Array) => values.slice(c * CONTEXT * WIDTH, (c * CONTEXT + 1) * WIDTH);
      assert.deepEqual(bos(after), bos(targetBefore));
    }
  });
}

Deno.test("each feature takes its own change", async () => {
  const changes = new Map(CHANGES.map(([, change], n) => [5 * n, change]));
  const after = await read(both, TARGET, changer.edits(counted, changer.upload(gpu, changes)));
  const expected = expectedTarget(placed, (f, i) => CHANGES[i / 5][2](f), [...changes.keys()]);
  assertClose("target", after, expected, { floor: 1e-5, relative: 1e-5 });
});

Deno.test("more tokens than an encoder takes at once come in several pieces, and make the same bits", async () => {
  using scope = openScope(gpu);
  const batch = randomText(14, CONTEXT, 9), places = countedRows(batch, false), tokens = batch.ids.length;
  const model = await loadDecoder(scope, files, { taps: [SOURCE, TARGET], maxTokens: tokens, context: CONTEXT });
  const transcoder = randomTranscoder({ d_in: WIDTH, d_out: WIDTH, groups: [128] }, 0.5, 1);
  const rows = tensorFrom(scope, "rows", [tokens], places);
  const changes = new Map(CHANGES.map(([, change], n) => [5 * n, change]));
  const changedOn = async (gpu: Gpu) => {
    const changer = new FeatureChanger(gpu, { ...placed, transcoder }, model.config, tokens), pass = new Pass(gpu);
    const edits = changer.edits({ places, rows }, changer.upload(gpu, changes));
    const [, { tensor }] = model.forward(pass, batch, { edits });
    pass.submit();
    return await downloadF32(gpu, tensor);
  };
  // Room for 128 of the 154 counted tokens.
  assert.deepEqual(await changedOn(bindingAtMost(scope, 129 * WIDTH * 4 - 1)), await changedOn(scope));
});

Deno.test("features of two targets are changed at both, as two transcoders of their halves would change them", async () => {
  using scope = openScope(gpu);
  const targets = [tap(3, "mlp_out"), tap(4, "mlp_neurons")], widths = [WIDTH, 512], total = WIDTH + 512;
  const model = await load([SOURCE, ...targets]);
  const whole = randomTranscoder({ d_in: WIDTH, d_out: total, groups: [12, 20] }, 0.5, 1);
  const half = (t: number): Transcoder => {
    const first = t * WIDTH, isMine = (_: number, at: number) => at % total >= first && at % total < first + widths[t];
    const decoder = whole.weights.decoder.filter(isMine), decoderBias = whole.weights.decoderBias.filter(isMine);
    return {
      ...whole,
      shape: { ...whole.shape, d_out: widths[t] },
      weights: { ...whole.weights, decoder, decoderBias },
    };
  };
  const changes = new Map(CHANGES.map(([, change], n) => [5 * n, change]));
  const edits = (transcoder: Transcoder, targets: readonly Tap[]) => {
    const changer = new FeatureChanger(
      scope,
      { transcoder, config: { source: SOURCE, targets, k: 4 } },
      model.config,
      TOKENS,
    );
    return changer.edits(counted, changer.upload(scope, changes));
  };
  const both = edits(whole, targets), apart = targets.flatMap((target, t) => edits(half(t), [target]));
  for (const target of targets) {
    const changed = await read(model, target, both);
    assert.deepEqual(changed, await read(model, target, apart));
    assert.ok(relativeL2(changed, await read(model, target)) > 0.01, "it changes something");
  }
});

Deno.test("a feature that the dictionary has not is refused", () => {
  for (const feature of [-1, 32, 0.5, NaN]) {
    const upload = () => changer.upload(gpu, new Map([[feature, CHANGES[0][1]]]));
    assert.throws(upload, /Cannot change feature .*: the dictionary has 32, counted from 0/);
  }
});

/** A pass that begins with what was kept, against one that runs all. */
async function againstWholePass(name: string, mappings: ReturnType<typeof placedAt>[]): Promise<void> {
  using scope = openScope(gpu);
  const configs = mappings.map(({ config }) => config);
  const model = await load([...configs.map(({ source }) => source), tap(1, "mlp_neurons")]);
  const targets = configs.flatMap(({ targets }) => targets), kept = new KeptBelow(scope, model, [lowestOf(targets)]);
  const predictions = new Predictions(scope, model), begin = kept.begin(targets);
  const changers = mappings.map((placed) => new FeatureChanger(scope, placed, model.config, TOKENS));
  const edits = (changes: ReadonlyMap<number, ActivationChange>) =>
    changers.flatMap((changer) => changer.edits(counted, changer.upload(scope, changes)));
  const changed = edits(new Map(CHANGED.map((i) => [i, CHANGES[2][1]]))), nothing = edits(new Map());

  const plain = await predictions.reference([]), clean = await predictions.reference(kept.keep);
  assert.ok(relativeL2(clean, plain) < 1e-6, `${name}: the pass that keeps is off by ${relativeL2(clean, plain)}`);
  const whole = await predictions.compare([...kept.keep, ...changed]);
  assert.ok(column(whole, 1).some((kl) => kl > 1e-3), `${name}: the change matters`);
  // Other ids: what lies below is not looked at again.
  const strangers = { ...text, ids: text.ids.map((id) => 4095 - id) };
  assert.deepEqual(await predictions.compare([...begin, ...changed], strangers), whole, name);
  const still = await predictions.compare([...begin, ...nothing], strangers);
  assert.deepEqual(column(still, 1), column(still, 1).map(() => 0), `${name}: without a change KL is 0`);
  assert.deepEqual(column(still, 2), column(still, 2).map(() => 1));
  assert.deepEqual(await predictions.reference([...begin, ...nothing]), clean, `${name}: not a bit is moved`);
}

const column = (values: Float32Array, c: number) => [...values].filter((_, i) => i % 3 === c);

for (const site of SITES) {
  Deno.test(`${site}: a pass that begins with what was kept gives the bits of a whole one, and without a change those of the model`, async () => {
    const d_out = site === "mlp_neurons" ? 512 : WIDTH, below = placedAt(tap(2, "mlp_in"), tap(3, site));
    const transcoder = randomTranscoder({ d_in: WIDTH, d_out, groups: [12, 20] }, 0.5, 1);
    await againstWholePass(site, [{ ...below, transcoder }]);
  });
}

Deno.test("with transcoders of several layers a pass begins below the lowest, and a deeper one reads what that has changed", async () => {
  const far = placedAt(tap(0, "attn_out"), tap(4, "mlp_out"), 2),
    deep = placedAt(tap(5, "resid_mid"), tap(5, "mlp_out"), 3);
  await againstWholePass("three", [far, placedAt(tap(2, "resid_mid"), tap(2, "mlp_out")), deep]);
});

Deno.test("above the MLP of layer 3, two layers are left to be computed, whatever else is tapped below", async () => {
  using scope = openScope(gpu);
  const model = await load([SOURCE, tap(2, "attn_heads"), tap(0, "resid_pre")]), pass = new RecordingPass(scope);
  const kept = new KeptBelow(scope, model, [TARGET]), edits = changer.edits(counted, changer.upload(scope, new Map()));
  model.forward(pass, text, { edits: [...kept.begin([TARGET]), ...edits] });
  const products = pass.dispatches.map(({ weight }) => weight).filter((weight) => weight !== null);
  assert.equal(products.length, 2 * 4, products.join());
});

Deno.test("the cut at a site is the site, and inside of a branch the stream beside it", () => {
  const cuts = SITES.map((site) => cutAt(tap(2, site)).map(placeOf).map(tapName).join(" "));
  assert.deepEqual(cuts, [
    "layer1.resid_post",
    "layer1.resid_post layer2.attn_in",
    "layer1.resid_post layer2.attn_heads",
    "layer1.resid_post layer2.attn_out",
    "layer2.resid_mid",
    "layer2.resid_mid layer2.mlp_in",
    "layer2.resid_mid layer2.mlp_neurons",
    "layer2.resid_mid layer2.mlp_out",
    "layer2.resid_post",
  ]);
});

Deno.test("a feature that alone carries a token: switched off, that token's loss is that without the target, and no other's moves", async () => {
  using scope = openScope(gpu);
  // Above the last MLP there is no attention: what is changed at a token is seen by its own prediction alone.
  const source = tap(5, "resid_mid"), target = tap(5, "mlp_out"), place = CONTEXT + 4;
  const model = await load([source]), seen = await read(await load([source, target]), source);
  const y = await read(await load([source, target]), target);
  const at = (values: Float32Array, row: number) => values.slice(row * WIDTH, (row + 1) * WIDTH);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, d) => sum + value * b[d], 0);
  // The feature reads the direction of that token's source, and all its target is its decoder's row.
  const encoder = at(seen, place),
    activation = dot(encoder, encoder),
    next = Math.max(
      ...[...places].filter((row) => row !== place).map((row) => dot(at(seen, row), encoder)),
    );
  assert.ok(next < 0.99 * activation, `only one token is above the threshold, the next has ${next} of ${activation}`);
  const planted: Transcoder = {
    shape: { d_in: WIDTH, d_out: WIDTH, groups: [1, 3] },
    weights: {
      encoder: Float32Array.from({ length: 4 * WIDTH }, (_, i) => i < WIDTH ? encoder[i] : 0),
      encoderBias: new Float32Array(4),
      decoder: Float32Array.from({ length: 4 * WIDTH }, (_, i) => i < WIDTH ? y[place * WIDTH + i] / activation : 1),
      decoderBias: new Float32Array(WIDTH),
    },
    thresholds: new Float32Array(4).fill((next + activation) / 2),
  };
  const config = { source, targets: [target], k: 1 }, kept = new KeptBelow(scope, model, [target]);
  const begin = kept.begin([target]);
  const predictions = new Predictions(scope, model);
  await predictions.reference(kept.keep);
  const changer = new FeatureChanger(scope, { transcoder: planted, config }, model.config, TOKENS);
  const off = async (feature: number) => {
    const changes = new Map([[feature, CHANGES[0][1]]]);
    return await predictions.compare([...begin, ...changer.edits(counted, changer.upload(scope, changes))]);
  };
  const clean = await predictions.compare(begin), changed = await off(0);
  const moved = [...text.ids.keys()].filter((row) => [0, 1].some((c) => changed[3 * row + c] !== clean[3 * row + c]));
  assert.deepEqual(moved, [place]);
  assert.deepEqual(await off(2), clean, "one that never fires moves nothing");
  const without = await predictions.compare([...begin, {
    kind: "rewrite",
    tap: target,
    record: (pass, activations) =>
      pass.copy(createTensor(scope, "zeros", [WIDTH]), 0, activations, place * WIDTH, WIDTH),
  }]);
  assert.ok(Math.abs(clean[3 * place] - without[3 * place]) > 0.01, "the target matters");
  assertClose("loss and KL", changed.slice(3 * place, 3 * place + 2), without.slice(3 * place, 3 * place + 2), {
    floor: 1e-5,
    relative: 1e-5,
  });
});
