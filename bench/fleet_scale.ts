/**
 * Gemma-2-2B on paper: 26 layers, four dictionaries and three seeds on 1, 8 and 64 GPUs, by the estimate's own rehearsal of each run and by
 * speeds that are assumed, as no GPU has been timed yet. Prints what it assumes beside what follows.
 * @module
 */

import { mappingsFor, PUBLISHED } from "../commands/train/settings.ts";
import { BEGINNING, durationOf, estimateNeeds } from "../core/estimate/needs.ts";
import type { PlannedRun, Rehearsal } from "../core/estimate/rehearsal.ts";
import type { Speed } from "../core/estimate/speed.ts";
import { openGpu } from "../core/gpu/device.ts";
import { ownSettingsOf, sharedSettingsOf } from "../core/runs/settings.ts";
import { preferVulkan } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { openHollow2b } from "../tests/estimate/gemma2_2b.ts";

const LAYERS = 26, DICTIONARIES = [4608, 9216, 18_432, 36_864], SEEDS = 3, GPUS = [1, 8, 64];
/** Assumed of a GPU: float32 operations per second that mtc's products reach, and how fast weights get to it. */
const GPU_FLOPS = 15e12, LOAD_BYTES_PER_S = 1e9;
/** Assumed: GPU memory, GPUs of a node, bytes per second from a shared file system to all. */
const GPU_GIB = 80, NODE_GPUS = 8, SHARED = 5e9;
/** Gemma-2-2B's files. */
const MODEL_BYTES = 5.2e9;
/** Seconds until a lost task is gone on with: its lease, and the start of another process. */
const LEASE_S = 120, START_S = 30;

preferVulkan();
const directory = await Deno.makeTempDir({ prefix: "mtc-scale-" });
using here = await openGpu(null);
// The limits of NVIDIA's driver, in place of those of whatever this runs on.
const binding = 2 ** 32 - 4, most = { maxStorageBufferBindingSize: binding, maxBufferSize: binding };
const gpu = { ...here, limits: { ...here.limits, ...most } };
const model = await openHollow2b(directory), shared = sharedSettingsOf(PUBLISHED);

function settingsOf(features: number) {
  return ownSettingsOf({ ...PUBLISHED, groups: [features / 4, features / 2, features / 4] });
}

/** A run of some dictionaries of one layer; from shards or from the text. */
function runOf(layer: number, dictionaries: readonly number[], isHarvested: boolean): PlannedRun {
  const [mapping] = mappingsFor({ layers: [layer], source: "resid_mid", target: "mlp_out" }, LAYERS, []);
  const transcoders = dictionaries.map((features, i) => ({
    ...mapping,
    name: `t${i}`,
    settings: settingsOf(features),
  }));
  const activations = isHarvested ? { activations: { path: "", harvest: "" } } : {};
  return { settings: shared, transcoders, model, resumed: null, ...activations };
}

/** A step's products: encoding, and the gradients of encoder and input, over all features; decoding over the active ones is little beside. */
function stepSeconds(features: number): number {
  return 6 * shared.batch_tokens * 2304 * features / GPU_FLOPS;
}

interface Costed {
  readonly seconds: number;
  readonly gpuBytes: number;
  readonly disk: number;
  readonly checkpointGap: number;
}

const rehearsed = new Map<string, { rehearsal: Rehearsal; gpuBytes: number; disk: number }>();

/** What a run costs; rehearsed at layer 17, with the forward pass as deep as the layer is. */
async function costOf(layer: number, dictionaries: readonly number[], isHarvested: boolean): Promise<Costed> {
  const key = `${dictionaries} ${isHarvested}`, run = runOf(17, dictionaries, isHarvested);
  if (!rehearsed.has(key)) {
    const { needs, rehearsal } = await estimateNeeds(gpu, run, BEGINNING, 0, Infinity);
    rehearsed.set(key, { rehearsal, gpuBytes: needs.gpu.peak, disk: needs.disk.peak });
    console.error(`rehearsed ${key}`);
  }
  const { rehearsal, gpuBytes, disk } = rehearsed.get(key)!, depth = (layer + 1) / 18;
  const each = dictionaries.map(stepSeconds);
  const speed: Speed = {
    ...{ forwardFlops: GPU_FLOPS / depth, forwardTokens: 4096, stepTokens: shared.batch_tokens },
    loadLayerSeconds: depth * MODEL_BYTES / LAYERS / LOAD_BYTES_PER_S,
    ...{ stepSeconds: each, sampleSeconds: dictionaries.map((features) => 2 * 2304 * features / GPU_FLOPS) },
  };
  const { seconds } = durationOf(run, rehearsal, BEGINNING, speed);
  return { seconds, gpuBytes, disk, checkpointGap: seconds * shared.checkpoint_every / shared.steps };
}

/** The longest first, each to the GPU that is free first; seconds until the last is done. */
function makespan(tasks: readonly number[], gpus: number): number {
  const free = new Float64Array(gpus);
  for (const seconds of tasks.toSorted((a, b) => b - a)) free[free.indexOf(Math.min(...free))] += seconds;
  return Math.max(...free);
}

const layers = Array.from({ length: LAYERS }, (_, i) => i), members = DICTIONARIES.flatMap((f) => Array(SEEDS).fill(f));
const tokens = shared.steps * shared.batch_tokens / shared.passes, perTap = 4 * 2304 * tokens * 64 / 63;
interface Way {
  readonly name: string;
  readonly tasks: Costed[];
  readonly before: number;
  readonly shards: number;
}
const ways: Way[] = [];
const of = async (
  name: string,
  groups: readonly (readonly number[])[],
  isHarvested: boolean,
  before = 0,
  shards = 0,
) => {
  const tasks: Costed[] = [];
  for (const layer of layers) for (const group of groups) tasks.push(await costOf(layer, group, isHarvested));
  ways.push({ name, tasks, before, shards });
};
const forward = async () => (await costOf(25, [4608], false)).seconds - (await costOf(25, [4608], true)).seconds;
await of("each transcoder a task, reading the text itself", members.map((f) => [f]), false);
await of("a layer's three seeds of a dictionary a task", DICTIONARIES.map((f) => Array(SEEDS).fill(f)), false);
await of("all twelve of a layer a task", [members], false);
const harvestSeconds = await forward();
await of(
  "one harvest of all layers, each transcoder a task",
  members.map((f) => [f]),
  true,
  harvestSeconds,
  2 * LAYERS * perTap,
);

const rows = ways.flatMap(({ name, tasks, before, shards }) => {
  const work = tasks.reduce((sum, { seconds }) => sum + seconds, 0),
    memory = Math.max(...tasks.map((t) => t.gpuBytes)) / 2 ** 30;
  return GPUS.map((gpus) => {
    // All shards are read once by each of the twelve that need them.
    const reading = shards * members.length / SHARED,
      span = Math.max(before + makespan(tasks.map((t) => t.seconds), gpus), reading);
    const slowest = tasks.toSorted((a, b) => b.checkpointGap - a.checkpointGap)[0];
    const lost = Math.min(NODE_GPUS, gpus, tasks.length) * (slowest.checkpointGap / 2 + LEASE_S + START_S);
    const nodes = Math.ceil(gpus / NODE_GPUS);
    return [
      ...[name, integer(tasks.length), integer(gpus), decimal((before + work) / 3600, 1), decimal(span / 3600, 1)],
      ...[`${decimal(memory, 1)}${memory > GPU_GIB ? " (too much)" : ""}`, decimal(shards / 1e12, 2)],
      ...[decimal(tasks.reduce((sum, t) => sum + t.disk, 0) / 1e9, 0), decimal(nodes * MODEL_BYTES / 1e9, 1)],
      decimal(lost / 3600, 2),
    ];
  });
});
console.log(
  `Assumed: ${GPU_FLOPS / 1e12} TFLOP/s of float32 that products reach, ${GPU_GIB} GiB, ${NODE_GPUS} GPUs a node, ` +
    `${SHARED / 1e9} GB/s from the shared file system in all, ${
      LOAD_BYTES_PER_S / 1e9
    } GB/s of weights to a GPU, a lease of ` +
    `${LEASE_S} s. Reckoned by the estimate: operations, memory, disk, checkpoints, harvest.\n\n` +
    table([
      "Way",
      ...[
        ...[
          "Tasks",
          "GPUs",
          "GPU hours",
          "Hours",
          "GPU memory, GiB",
          "Shards, TB",
          "Runs, GB",
          "Model over the network, GB",
        ],
        "GPU hours that a lost node costs",
      ].map(numeric),
    ], rows),
);
await model.weights.close();
await Deno.remove(directory, { recursive: true });
Deno.exit(0);
