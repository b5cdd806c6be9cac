/** Estimates at the size of Gemma-2-2B, and plans that do not fit: what is proposed must fit when it is planned again. */

import assert from "node:assert/strict";
import { mappingsFor, PUBLISHED } from "../../commands/train/settings.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { TooLargeToBind } from "../../core/gpu/too_large.ts";
import { BEGINNING, durationOf, estimateNeeds, LOSS_PHASE } from "../../core/estimate/needs.ts";
import { type Fit, fitOf, fitRounds, type Machine, propose } from "../../core/estimate/fit.ts";
import { type PlannedRun, rehearse } from "../../core/estimate/rehearsal.ts";
import { freeResources, type Resources } from "../../core/estimate/resources.ts";
import type { Speed } from "../../core/estimate/speed.ts";
import { sharedSettingsOf } from "../../core/runs/settings.ts";
import { planned, plannedAlike } from "../training/planned.ts";
import { openHollow2b } from "./gemma2_2b.ts";

const gpu = await openGpu();
const directory = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const model = await openHollow2b(directory);

/** The published recipe without its loss, which may take more memory than training. */
function recipe(layers: number[], changes: Partial<PlannedRun["settings"]> = {}): PlannedRun {
  const transcoders = plannedAlike(mappingsFor({ layers, source: "resid_mid", target: "mlp_out" }, 26, []), PUBLISHED);
  const settings = { ...sharedSettingsOf(PUBLISHED), loss_tokens: 0, ...changes };
  return { settings, transcoders, model, resumed: null };
}

const both = recipe([8, 17]);
const rehearsal = await rehearse(gpu, both, true);
const GiB = 2 ** 30;

Deno.test("2B: the weights of layers 0 to 17 lie packed, two bytes each, their gains four", () => {
  const linear = 2304 * (2048 + 1024 + 1024 + 2048 + 3 * 9216), gains = 4 * 2304;
  assert.equal(rehearsal.training.parts.get("model weights"), 18 * (2 * linear + 4 * gains));
});

Deno.test("2B: the shuffle buffer holds four taps of 1,041 contexts and their order", () => {
  const contexts = Math.ceil(64 * 1024 / 63);
  assert.equal(rehearsal.training.parts.get("shuffle buffer"), 4 * (4 * contexts * 64 * 2304) + 4 * contexts * 63);
});

Deno.test("2B: a transcoder's checkpoint holds weights and Adam's two means", () => {
  const weights = 2 * 4608 * 2304 + 4608 + 2304;
  assert.equal(rehearsal.checkpoints.length, 2);
  for (const checkpoint of rehearsal.checkpoints) {
    assert.equal(checkpoint.weights, 4 * weights);
    assert.equal(checkpoint.state, 4 * (3 * weights + 4608 + 2));
  }
});

Deno.test("2B: a forward pass takes 2.82 GFLOP per token, nearly all of them in matrix products", () => {
  const perToken = rehearsal.flops.forward / (rehearsal.contextsPerForward * 64);
  assert.ok(Math.abs(perToken - 2.82e9) < 0.03e9, `${perToken}`);
});

const speed: Speed = {
  ...{ forwardFlops: 1e12, forwardTokens: 64, loadLayerSeconds: 1, stepSeconds: [0.3, 0.7], stepTokens: 1024 },
  sampleSeconds: [1e-3, 1e-3],
};

Deno.test("an estimate of time is the work over the speed, and a resumed run has the rest of it", () => {
  const phase = (step: number, name: string) => {
    const { phases, seconds } = durationOf(both, rehearsal, { step, written: 0 }, speed);
    assert.ok(Math.abs(seconds - phases.reduce((sum, { amount }) => sum + amount, 0)) < 1e-6);
    return phases.find((phase) => phase.name === name)!.amount;
  };
  assert.equal(phase(0, "loading"), 18);
  assert.ok(Math.abs(phase(0, "training") - (15_000 * (0.3 + 0.7) + rehearsal.flops.start / 1e12)) < 1e-6);
  assert.equal(phase(14_000, "training"), 1000);
  // 235 buffers of 64 steps; after step 14,000 the 219th is filled once more.
  assert.ok(Math.abs(phase(14_000, "harvesting") / phase(0, "harvesting") - 17 / 235) < 1e-6);
  assert.ok(phase(15_000, "harvesting") === 0 && phase(15_000, "final pass") > 0);
});

const measured = recipe([8, 17], { loss_tokens: 65_536 });
const { loss, peaks, ...withLoss } = await rehearse(gpu, measured, true);

Deno.test("2B: loss recovered of layers 8, 17 and both takes 58 GFLOP per token, five ways each and nothing below them", () => {
  const layer = 2 * 2304 * (2048 + 1024 + 1024 + 2048 + 3 * 9216), head = 2 * 2304 * 256_000;
  const expected = 18 * layer + (26 * layer + head) + 5 * (17 * layer + head) * 2 + 5 * (8 * layer + head);
  const perToken = loss!.flops / (loss!.contexts * 64);
  // Attention and the transcoders' own products come on top.
  assert.ok(perToken > expected && perToken < 1.01 * expected, `${perToken / 1e9} of ${expected / 1e9} GFLOP`);
});

Deno.test("2B: its loss needs the whole model, but no more memory than training does", () => {
  const layer = 2 * 2304 * (2048 + 1024 + 1024 + 2048 + 3 * 9216) + 4 * 4 * 2304;
  assert.equal(loss!.weights, 26 * layer + 2 * 2304 * 256_000 + 4 * 2304);
  assert.equal(peaks.finishing.parts.get("whole model"), loss!.weights);
  assert.equal(peaks.finishing.parts.get("model weights"), undefined, "what training needed of it is free");
  assert.ok(peaks.finishing.bytes < peaks.training.bytes);
});

Deno.test("the time of the loss is that of loading the whole model and of its work, and none without it", () => {
  const seconds = (run: PlannedRun, rehearsal: Parameters<typeof durationOf>[1]) =>
    durationOf(run, rehearsal, BEGINNING, speed).phases.find(({ name }) => name === LOSS_PHASE)?.amount;
  // The vocabulary is as large as 7.6 layers.
  const work = loss!.flops / loss!.contexts * 65_536 / 63 / 1e12,
    found = seconds(measured, { loss, peaks, ...withLoss })!;
  assert.ok(Math.abs(found - (33.6 + work)) < 0.1, `${found} of ${work} s`);
  assert.equal(seconds(both, rehearsal), undefined);
});

function machine(changes: Partial<Resources>): Machine {
  return { gpu, base: 0, free: { host: 64 * GiB, disk: 64 * GiB, gpu: { isHost: true }, ...changes } };
}

async function refused(machine: Machine, run: PlannedRun): Promise<Fit> {
  const fit = await fitOf(machine, run, BEGINNING);
  assert.ok(fit.shortage, "it must not fit");
  return fit;
}

/** Proposes, and plans what was proposed once more from the beginning. */
async function assertProposes(machine: Machine, run: PlannedRun, flags: RegExp): Promise<Fit> {
  const proposal = await propose(machine, run, await refused(machine, run));
  assert.ok(proposal, "something must fit");
  assert.match(proposal.flags.join(" "), flags);
  const again = await fitOf(machine, proposal.run, BEGINNING);
  assert.equal(again.shortage, null);
  return again;
}

Deno.test("what fits is not refused", async () => {
  assert.equal((await fitOf(machine({}), both, BEGINNING)).shortage, null);
});

Deno.test("too little memory: a smaller buffer, as large as fits", async () => {
  const { needs } = await fitOf(machine({}), both, BEGINNING);
  const all = needs!.gpu.peak + needs!.host.peak;
  const { needs: smaller } = await assertProposes(machine({ host: all - GiB }), both, /^--buffer \d+$/);
  const used = smaller!.gpu.peak + smaller!.host.peak;
  assert.ok(used <= all - GiB && used > all - 1.25 * GiB, `${used} of ${all - GiB} bytes`);
});

Deno.test("the memory of a GPU is asked for what the run needs, once, and alone decides", async () => {
  const wanted: number[] = [];
  const available = (bytes: number) => Promise.resolve((wanted.push(bytes), Math.min(bytes, 5 * GiB)));
  const small = machine({ gpu: { isHost: false, available } });
  const { shortage, needs } = await refused(small, both);
  assert.deepEqual(shortage, { of: "GPU memory", need: needs!.gpu.peak, have: 5 * GiB });
  wanted.length = 0;
  await propose(small, both, await refused(small, both));
  assert.deepEqual(wanted, [needs!.gpu.peak]);
  await assertProposes(small, both, /^--buffer \d+$/);
});

Deno.test("too little memory for any buffer: a smaller batch, then fewer layers, then both", async () => {
  const of = async (run: PlannedRun) => {
    const { needs } = await estimateNeeds(gpu, run, BEGINNING, 0, Infinity);
    return needs.gpu.peak + needs.host.peak;
  };
  // The batch decides where the buffer is no larger than a step.
  const large = recipe([17], { batch_tokens: 2048, buffer_tokens: 2048 });
  await assertProposes(machine({ host: await of(large) - 0.05 * GiB }), large, /^--batch \d+$/);
  // A small batch cannot give what a second transcoder takes.
  const narrow = recipe([8, 17], { batch_tokens: 16, buffer_tokens: 65_536 });
  const alone = recipe([8], { batch_tokens: 16, buffer_tokens: 65_536 });
  await assertProposes(machine({ host: await of(alone) + 0.01 * GiB }), narrow, /^--(layers 8|buffer \d+)$/);
  const four = plannedAlike(
    mappingsFor({ layers: [8, 17], source: "resid_mid,mlp_in", target: "mlp_out" }, 26, []),
    PUBLISHED,
  );
  const pairs = { ...narrow, transcoders: four }, three = { ...narrow, transcoders: four.slice(0, 3) };
  // A layer goes with all of its sources.
  await assertProposes(machine({ host: await of(three) + 0.01 * GiB }), pairs, /^--(layers 8|buffer \d+)$/);
  const least = recipe([8], { buffer_tokens: 1024 });
  await assertProposes(machine({ host: await of(least) + 0.1 * GiB }), both, /^--layers 8 --buffer \d+$/);
});

Deno.test("transcoders that do not fit at once go in as few rounds as memory allows, each of which fits", async () => {
  const [mapping] = mappingsFor({ layers: [17], source: "resid_mid", target: "mlp_out" }, 26, []);
  const five = planned([16, 32, 48, 64, 80].map((k) => ({ ...mapping, settings: { ...PUBLISHED, k } })));
  const run = { ...recipe([17]), transcoders: five };
  const of = async (count: number) => {
    const { needs } = await estimateNeeds(gpu, { ...run, transcoders: five.slice(0, count) }, BEGINNING, 0, Infinity);
    return needs.gpu.peak + needs.host.peak;
  };
  const sizes = async (machine: Machine, atOnce: number) => {
    const rounds = await fitRounds(machine, run, atOnce);
    assert.deepEqual(rounds.flatMap(({ run }) => run.transcoders), five.slice(0, rounds.length === 1 ? 1 : 5));
    return rounds.map(({ run: { transcoders }, fit: { shortage } }) => [transcoders.length, shortage?.of ?? "fits"]);
  };
  const host = await of(3) + 2 ** 20;
  assert.deepEqual(await sizes(machine({ host }), Infinity), [[3, "fits"], [2, "fits"]]);
  assert.deepEqual(await sizes(machine({ host }), 2), [[2, "fits"], [2, "fits"], [1, "fits"]]);
  assert.deepEqual(await sizes(machine({ host: await of(1) - 2 ** 20 }), Infinity), [[1, "memory"]]);
  const { needs: three } = await estimateNeeds(gpu, { ...run, transcoders: five.slice(0, 3) }, BEGINNING, 0, Infinity);
  const available = (bytes: number) => Promise.resolve(Math.min(bytes, three.gpu.peak + 2 ** 20));
  assert.deepEqual(await sizes(machine({ gpu: { isHost: false, available } }), 4), [[3, "fits"], [2, "fits"]]);
});

Deno.test("a loss that does not fit is left out, with a smaller buffer where training does not fit either", async () => {
  const run = recipe([17], { loss_tokens: 65_536, buffer_tokens: 16_384 });
  const of = async (loss_tokens: number) => {
    const { needs } = await estimateNeeds(
      gpu,
      { ...run, settings: { ...run.settings, loss_tokens } },
      BEGINNING,
      0,
      Infinity,
    );
    return needs.gpu.peak + needs.host.peak;
  };
  const [whole, without] = [await of(65_536), await of(0)];
  assert.ok(whole > without + GiB);
  await assertProposes(machine({ host: whole - 0.1 * GiB }), run, /^--loss-tokens 0$/);
  await assertProposes(machine({ host: without - 0.1 * GiB }), run, /^--loss-tokens 0 --buffer \d+$/);
});

Deno.test("nothing is proposed where nothing fits", async () => {
  const tiny = machine({ host: GiB });
  assert.equal(await propose(tiny, both, await refused(tiny, both)), null);
});

Deno.test("too little disk: fewer samples, else fewer layers", async () => {
  const { needs } = await fitOf(machine({}), both, BEGINNING);
  await assertProposes(machine({ disk: needs!.disk.peak - 0.1 * GiB }), both, /^--samples \d+$/);
  await assertProposes(machine({ disk: needs!.disk.peak * 0.6 }), both, /^--(layers 8|samples \d+)$/);
});

Deno.test("a tensor that the adapter cannot bind: the batch that it can", async () => {
  const run = recipe([17], { batch_tokens: 65_536 });
  const { shortage } = await refused(machine({}), run);
  assert.ok(shortage!.of === "binding" && shortage!.error instanceof TooLargeToBind);
  await assertProposes(machine({}), run, /^--batch \d+$/);
});

Deno.test("a plan beyond all reason is refused without being counted to its end", async () => {
  const { shortage } = await refused(machine({}), recipe([17], { steps: 1e9, buffer_tokens: 1e9 }));
  assert.ok(shortage!.of === "memory" && shortage!.isLeast && shortage!.need > 4 * 64 * GiB);
});

Deno.test("the memory of a GPU is really allocated and given back", async () => {
  const { gpu: memory, disk } = await freeResources({ ...gpu, isCpu: false }, `${directory}/not/there`);
  assert.ok(!memory.isHost && disk > 0);
  assert.equal(await memory.available(3 * 2 ** 28 + 1), 3 * 2 ** 28 + 1);
});

Deno.test("what the host cannot hold is refused before it is rehearsed: samples and features by the billion", async () => {
  const large = recipe([17], { samples_per_feature: 1e9 }), free = machine({ host: 24 * GiB });
  const { shortage, needs } = await refused(free, large);
  assert.ok(needs === null && shortage?.of === "memory" && shortage.isLeast, JSON.stringify(shortage));
  // Of training and of the final pass: 27 words for each of a feature's samples, and one that counts them.
  assert.equal(shortage.need, 4 * 4608 * 2 * 2304 + 2 * 4608 * (108 * 1e9 + 4));
  const proposal = await propose(free, large, { needs, rehearsal: null, gpuFree: null, shortage });
  assert.match(proposal!.flags.join(" "), /^--samples \d+$/);
  const wide = {
    ...large,
    transcoders: large.transcoders.map((each) => ({ ...each, settings: { ...each.settings, groups: [1e9] } })),
  };
  assert.equal((await fitOf(machine({}), wide, BEGINNING)).shortage?.of, "memory");
});
