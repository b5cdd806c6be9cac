/** Transcoders with settings of their own on one harvest: each ends as it does alone, byte for byte. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { planOf } from "../../commands/train/request.ts";
import { EMBEDDED, mappingsFor } from "../../commands/train/settings.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { BUILTIN, openModel } from "../../core/model/files.ts";
import { type RunSettings, sharedSettingsOf } from "../../core/runs/settings.ts";
import { finish } from "../../core/training/finish.ts";
import type { PlannedTranscoder } from "../../core/training/plan.ts";
import { train } from "../../core/training/session.ts";
import { FINISHED, finishedContent } from "../cli/small_train.ts";
import { mtc } from "../cli/tiny_run.ts";
import { planned } from "./planned.ts";

const gpu = await openGpu();
const model = await openModel(BUILTIN);
const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

/** Four buffers of eight steps; checkpoints lie inside of them. */
const settings: RunSettings = {
  ...EMBEDDED,
  ...{ groups: [16, 32, 16], k: 8, steps: 30, warmup_steps: 2, batch_tokens: 256, buffer_tokens: 1024, passes: 2 },
  ...{ log_every: 1, checkpoint_every: 10, sample_every: 10, samples_per_feature: 20, sample_tokens: 2048 },
  ...{ evaluation_tokens: 1024, loss_tokens: 256, exclude_norm_above: 3, data_seed: 7 },
};
const [mapping] = mappingsFor({ layers: [2], source: "resid_mid", target: "mlp_out" }, 6, []);
const [deeper] = mappingsFor({ layers: [4], source: "layer2.resid_mid", target: "mlp_out" }, 6, []);
/** All read the same place, as the medians of norms are those of every source of a run. */
const members = planned([
  { ...mapping, settings },
  { ...mapping, settings: { ...settings, seed: 1, learning_rate: 1e-2, encoder_norm: 0.3, threshold_rate: 0.1 } },
  { ...mapping, settings: { ...settings, groups: [96], k: 5, whole_weight: 2, aux_k: 7, warmup_steps: 0, beta2: 0.9 } },
  { ...deeper, settings: { ...settings, groups: [4, 40], k: 3, seed: 2, dead_after_tokens: 512, revival_rate: 0 } },
]);

async function trainTogether(run: string, transcoders: readonly PlannedTranscoder[]): Promise<void> {
  const request = { directory: join(runs, run), settings: sharedSettingsOf(settings), transcoders, model };
  const plan = await planOf({ ...request, data: "builtin", resumed: null, isFinished: false }, gpu.adapter);
  const trained = await train(gpu, plan, {
    loading() {},
    filling() {},
    rounded() {},
    measured() {},
    metricsLost() {},
    stepped() {},
    checkpointed() {},
  });
  const heard = { sampling() {}, counted() {}, evaluating() {}, loading() {}, measuringLoss() {} };
  await finish(gpu, plan, trained, { ...heard, lossFailed: (error) => assert.fail(error) });
}

/** What a transcoder's directory holds; its config.json names the tiles of the whole run, which change no bits. */
async function contentOf(run: string, name: string): Promise<Record<string, unknown>> {
  const directory = join(runs, run, name), config = JSON.parse(await Deno.readTextFile(join(directory, "config.json")));
  return { ...await finishedContent(directory), "config.json": { ...config, tiles: {}, created: "" } };
}

await trainTogether("together", members);
const together = await Promise.all(members.map(({ name }) => contentOf("together", name)));

for (const [i, member] of members.entries()) {
  Deno.test(`${member.name} has the bytes of the same run alone`, async () => {
    await trainTogether(`alone${i}`, [member]);
    assert.deepEqual(await contentOf(`alone${i}`, member.name), together[i]);
  });
}

Deno.test("members differ where their settings do, and only there", () => {
  const files = (i: number) =>
    FINISHED.filter((name) => {
      const [a, b] = [together[0], together[i]].map((content) => content[name as keyof typeof content]);
      return JSON.stringify(a) === JSON.stringify(b);
    });
  assert.deepEqual(files(1), ["linear_map.safetensors", "preparation.safetensors"]);
  assert.deepEqual(files(2), files(1));
  assert.deepEqual(files(3), []);
});

Deno.test("a run of such members goes on from a checkpoint, to the same bytes", async () => {
  for (const { name } of members) {
    await Deno.remove(join(runs, "together", name, "transcoder.safetensors"));
    await Deno.remove(join(runs, "together", name, "checkpoints", "step_000030"), { recursive: true });
  }
  const { code, stderr } = await mtc("train", "--resume", join(runs, "together"));
  assert.equal(code, 0, stderr);
  assert.deepEqual(await Promise.all(members.map(({ name }) => contentOf("together", name))), together);
});

Deno.test("--data-seed sets the order of the text apart from the first weights; it follows --seed", async () => {
  const options = ["--layers", "2", "--groups", "4,8,4", "--k", "2", "--steps", "2", "--batch", "64", "--passes", "1"];
  const run = async (name: string, ...seeds: string[]) => {
    const sizes = ["--buffer", "256", "--sample-tokens", "128", "--evaluation-tokens", "128"];
    const { code, stderr } = await mtc("train", ...options, ...sizes, ...seeds, "--runs", runs, "--name", name);
    assert.equal(code, 0, stderr);
    const content = await finishedContent(join(runs, name, "layer2"));
    const { seed, data_seed } = JSON.parse(await Deno.readTextFile(join(runs, name, "layer2", "config.json")));
    return { seeds: [seed, data_seed], map: content["linear_map.safetensors"], all: content["transcoder.safetensors"] };
  };
  const [zero, one] = [await run("zero"), await run("one", "--seed", "1")];
  const apart = await run("apart", "--seed", "1", "--data-seed", "0");
  assert.deepEqual([zero, one, apart].map(({ seeds }) => seeds), [[0, 0], [1, 1], [1, 0]]);
  assert.equal(apart.map, zero.map, "the linear map is that of the text");
  assert.notEqual(one.map, zero.map);
  assert.equal(new Set([zero, one, apart].map(({ all }) => all)).size, 3);
});
