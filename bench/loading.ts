/**
 * What loading a model costs: seconds, and the host's memory above the GPU's own copy. On a software driver the GPU's memory is the
 * host's, so the live GPU buffers are subtracted from the process's memory.
 *
 *     deno run -A bench/loading.ts MODEL [LAYER]        a Hugging Face directory; the layer whose mlp_out is tapped, default the last
 */

import { configOf } from "../core/model/config.ts";
import { contextsPerForward } from "../core/model/capacity.ts";
import { Embedding } from "../core/model/embedding.ts";
import { BUILTIN, openModel } from "../core/model/files.ts";
import { loadDecoder } from "../core/model/forward.ts";
import { type Gpu, openGpu, settle } from "../core/gpu/device.ts";
import { uniform } from "../tests/random.ts";

const CONTEXT = 64;

/** Megabytes of a line of /proc/self/status. */
function memory(line: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`${line}:\\s+(\\d+) kB`).exec(Deno.readTextFileSync("/proc/self/status"))![1]) / 1000;
}

/** Notes the most memory above that of the device's buffers, whenever something is sent to it. */
function watchMemory({ device, memory: owner }: Gpu): { above: number } {
  const counted = { above: 0 };
  const write = device.queue.writeBuffer.bind(device.queue), submit = device.queue.submit.bind(device.queue);
  const look = () => counted.above = Math.max(counted.above, memory("VmRSS") - owner.bytes / 1e6);
  device.queue.writeBuffer = (...args: Parameters<typeof write>) => {
    write(...args);
    look();
  };
  device.queue.submit = (commands) => {
    submit(commands);
    look();
  };
  return counted;
}

const started = performance.now();
const say = (what: string) =>
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${what}`);
const files = await openModel(Deno.args[0] ?? BUILTIN), config = configOf(files);
const layer = Number(Deno.args[1] ?? config.layers - 1);
using gpu = await openGpu();
const watched = watchMemory(gpu);
const atStart = memory("VmRSS");
say(`${files.name} opened, ${atStart.toFixed(0)} MB`);

const embedding = new Embedding(files.weights, config);
say(`embedding checked, ${memory("VmRSS").toFixed(0)} MB`);

const maxTokens = contextsPerForward(gpu, config, CONTEXT) * CONTEXT;
await loadDecoder(gpu, files, {
  taps: [{ layer, site: "mlp_out" }],
  maxTokens,
  context: CONTEXT,
});
await settle(gpu);
say(
  `layers 0 to ${layer} loaded: ${memory("VmRSS").toFixed(0)} MB, ${
    (gpu.memory.bytes / 1e6).toFixed(0)
  } MB of them on the GPU; ` +
    `the most above the GPU's copy at any time ${watched.above.toFixed(0)} MB`,
);
say(`the most memory ever ${memory("VmHWM").toFixed(0)} MB`);

// Token n of the vocabulary as often as 1 / n, about as in text; the rows that the cache lacks are read from the file.
const next = uniform(1);
const ids = () => Uint32Array.from({ length: maxTokens }, () => Math.floor(config.vocabSize ** next()));
for (let round = 0; round < 3; round++) {
  const batches = Array.from({ length: 10 }, ids), begun = performance.now();
  for (const batch of batches) embedding.gather(batch);
  say(`embedding gathered at ${Math.round(10 * maxTokens / (performance.now() - begun) * 1000)} tokens/s`);
}
await files.weights.close();
