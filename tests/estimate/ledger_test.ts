/** The ledger's count against what a real run allocates on a real device. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { type Gpu, openGpu } from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { flopsOf, rehearse } from "../../core/estimate/rehearsal.ts";
import { finish } from "../../core/training/finish.ts";
import { harvestId, readHarvest } from "../../core/runs/harvest.ts";
import { type Mapping, tapsOf } from "../../core/runs/ids.ts";
import type { RunSettings } from "../../core/runs/settings.ts";
import { bufferLayout, contextsDrawn } from "../../core/training/buffer.ts";
import { train } from "../../core/training/session.ts";
import { EMBEDDED, mappingsFor } from "../../commands/train/settings.ts";
import { mtc } from "../cli/tiny_run.ts";
import { planned, plannedAlike } from "../training/planned.ts";
import { openGoldenModel } from "../model/golden.ts";

const settings: RunSettings = {
  ...EMBEDDED,
  ...{ groups: [8, 16, 8], k: 4, steps: 6, warmup_steps: 1, batch_tokens: 96, buffer_tokens: 512, passes: 1 },
  ...{ log_every: 2, checkpoint_every: 3, sample_every: 3, samples_per_feature: 5, sample_tokens: 500 },
  ...{ evaluation_tokens: 300, loss_tokens: 200, exclude_norm_above: 3 },
};
const [first, second] = mappingsFor({ layers: [1, 3], source: "resid_mid", target: "mlp_out" }, 6, []);
/** Two that read and predict the same, and one of another layer and with another target: each has sizes of its own. */
const transcoders = planned([
  { ...first, settings },
  { ...first, settings: { ...settings, groups: [16, 32, 12, 4], k: 6, aux_k: 5 } },
  { ...second, targets: [...second.targets, { layer: 4, site: "mlp_out" }], settings },
]);

/** Notes every buffer of a real device: those alive, and how many bytes they were at most. */
function watch(gpu: Gpu) {
  const live = new Map<object, string>(), seen = { live, bytes: 0, peak: 0 };
  const create = gpu.device.createBuffer.bind(gpu.device);
  gpu.device.createBuffer = (descriptor) => {
    const buffer = create(descriptor), destroy = buffer.destroy.bind(buffer);
    live.set(buffer, `${descriptor.label} ${descriptor.size}`);
    seen.bytes += descriptor.size;
    seen.peak = Math.max(seen.peak, seen.bytes);
    buffer.destroy = () => {
      if (live.delete(buffer)) seen.bytes -= descriptor.size;
      destroy();
    };
    return buffer;
  };
  return seen;
}

const gpu = await openGpu();
const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

Deno.test("a rehearsal allocates exactly the buffers that a real run holds while it trains", async () => {
  const model = await openModel(BUILTIN), plan = { settings, transcoders, model, resumed: null };
  const rehearsed = await rehearse(gpu, plan, true);
  const seen = watch(gpu);
  let whileTraining: string[] = [];
  // deno-lint-ignore no-explicit-any -- what else config.json says does not matter here
  const describe = ({ targets }: Mapping) => ({ d_in: 128, d_out: 128 * targets.length, data: {} }) as any;
  const run = { ...plan, directory: join(runs, "real"), data: "builtin" as const, describe };
  const trained = await train(gpu, run, {
    loading() {},
    filling() {},
    rounded() {},
    measured() {},
    metricsLost() {},
    stepped: () => whileTraining = live(seen),
    checkpointed() {},
  });
  const expected = rehearsed.tensors.map(({ label, bytes }) => `${label} ${bytes}`);
  assert.deepEqual(whileTraining.sort(), expected.sort());
  const trainingPeak = Math.max(...(["loading", "starting", "training"] as const).map((s) => rehearsed.peaks[s].bytes));
  assert.ok(seen.peak <= trainingPeak, `${seen.peak} bytes at most, expected up to ${trainingPeak}`);
  assert.ok(seen.peak > 0.9 * trainingPeak, `${seen.peak} bytes at most, expected about ${trainingPeak}`);

  seen.peak = seen.bytes;
  const heard = { sampling() {}, counted() {}, evaluating() {}, loading() {}, measuringLoss() {} };
  await finish(gpu, run, trained, { ...heard, lossFailed: (error) => assert.fail(error) });
  const finishing = rehearsed.peaks.finishing.bytes;
  assert.ok(seen.peak <= finishing, `${seen.peak} bytes at most, expected up to ${finishing}`);
  assert.ok(seen.peak > 0.9 * finishing, `${seen.peak} bytes at most, expected about ${finishing}`);
  await model.weights.close();
});

Deno.test("a run from shards holds no model while it trains, and is rehearsed so", async () => {
  const shards = join(runs, "shards"), contexts = contextsDrawn(bufferLayout(settings), settings.steps);
  const args = ["--layers", "1,3,4", "--contexts", String(contexts), "--data-seed", "0", "--out", shards];
  assert.equal((await mtc("harvest", ...args)).code, 0);
  using own = await openGpu();
  const model = await openModel(BUILTIN), harvest = harvestId(await readHarvest(shards));
  const plan = { settings, transcoders, model, resumed: null, activations: { path: shards, harvest } };
  const rehearsed = await rehearse(own, plan, true), { peaks } = rehearsed;
  const seen = watch(own);
  let whileTraining: string[] = [];
  // deno-lint-ignore no-explicit-any -- as above
  const describe = ({ targets }: Mapping) => ({ d_in: 128, d_out: 128 * targets.length, data: {} }) as any;
  const run = { ...plan, directory: join(runs, "fromShards"), data: "builtin" as const, describe };
  const stepped = () => void (whileTraining = live(seen));
  const trained = await train(own, run, {
    loading() {},
    filling() {},
    rounded() {},
    measured() {},
    metricsLost() {},
    stepped,
    checkpointed() {},
  });
  assert.deepEqual(whileTraining.sort(), rehearsed.tensors.map(({ label, bytes }) => `${label} ${bytes}`).sort());
  assert.ok(!whileTraining.some((label) => label.startsWith("layers.")), whileTraining.join());
  assert.equal(peaks.loading.bytes, 0);
  const heard = { sampling() {}, counted() {}, evaluating() {}, loading() {}, measuringLoss() {} };
  await finish(own, run, trained, { ...heard, lossFailed: (error) => assert.fail(error) });
  const most = Math.max(...Object.values(peaks).map(({ bytes }) => bytes));
  assert.ok(seen.peak <= most && seen.peak > 0.9 * most, `${seen.peak} bytes at most, expected about ${most}`);
  await model.weights.close();
});

function live({ live }: ReturnType<typeof watch>): string[] {
  return [...live.values()];
}

Deno.test("attention is counted by the pairs of tokens that see each other", () => {
  const flops = (window: number) => {
    const params = { contexts: 3, context: 640, heads: 4, key_value_heads: 1, head_dim: 256, window };
    return flopsOf([{ part: "forward pass", kernel: "attention", params }]);
  };
  for (const window of [64, 512, 640, 4096]) {
    let pairs = 0;
    for (let query = 0; query < 640; query++) pairs += Math.min(query + 1, window);
    const exact = 4 * 3 * 4 * 256 * pairs, away = Math.abs(flops(window) - exact) / exact;
    assert.ok(away < 0.01, `window ${window}: ${away}`);
  }
  assert.equal(flops(640), flops(4096));
});

Deno.test("layers that differ in what they see and how they turn are counted like those that are loaded", async () => {
  const model = await openGoldenModel("gemma3/window"), context = 21;
  const run = {
    settings: { ...settings, context },
    transcoders: plannedAlike(mappingsFor({ layers: [6], source: "resid_mid", target: "mlp_out" }, 7, []), settings),
    model,
    resumed: null,
  };
  const { tensors, contextsPerForward } = await rehearse(gpu, run, true);
  const seen = watch(gpu), taps = tapsOf(run.transcoders);
  using scope = openScope(gpu);
  await loadDecoder(scope, model, { taps, context, maxTokens: contextsPerForward * context });
  const counted = tensors.filter(({ part }) => part === "model weights" || part === "forward pass");
  assert.deepEqual(live(seen).sort(), counted.map(({ label, bytes }) => `${label} ${bytes}`).sort());
  assert.equal(counted.filter(({ label }) => label.includes("q_norm+k_norm")).length, 7);
  assert.equal(
    counted.filter(({ label }) => label === "rotary turns").length,
    2,
    "near layers turn otherwise than far ones",
  );
  await model.weights.close();
});
