/**
 * Many small runs in one process and on one device, as a sweep would have them: each is trained, finished, evaluated and reported on.
 * Memory of GPU and host must stay where the first runs left it.
 * @module
 */

import { Command } from "commander";
import { join } from "node:path";
import { wholeNumberOption } from "../commands/options.ts";
import { trainCommand } from "../commands/train/command.ts";
import { estimate } from "../commands/train/estimate.ts";
import { newRequest } from "../commands/train/new_request.ts";
import { planOf, type TrainOptions, type TrainRequest } from "../commands/train/request.ts";
import { type Gpu, openGpu } from "../core/gpu/device.ts";
import { openScope } from "../core/gpu/scope.ts";
import { openModel } from "../core/model/files.ts";
import { evaluateTranscoders } from "../core/passes/evaluation.ts";
import { loadRunModel, modelOf, openFinishedRun } from "../core/runs/finished.ts";
import { tapsOf } from "../core/runs/ids.ts";
import { evaluatedText, openTokenSource } from "../core/text/source.ts";
import { finish } from "../core/training/finish.ts";
import { train } from "../core/training/session.ts";
import { main, preferVulkan } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { describeMachine } from "./machine.ts";

/** Memory after a run. */
interface Sample {
  readonly run: number;
  readonly gpuBytes: number;
  readonly bindGroups: number;
  readonly resident: number;
  readonly heap: number;
}

const SETTINGS = [
  ...["--layers", "2,4", "--steps", "20", "--batch", "256", "--groups", "16,32,16", "--k", "8", "--buffer", "2048"],
  ...["--samples", "10", "--sample-tokens", "2048", "--evaluation-tokens", "1024"],
];

const TOKENS = 1024;

/** Lets a command work without a word. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { log, error } = console;
  console.log = console.error = () => {};
  return await work().finally(() => Object.assign(console, { log, error }));
}

/** What `mtc train` makes of a command line. */
async function requestFor(...args: string[]): Promise<TrainRequest> {
  let options: TrainOptions | undefined;
  const command = trainCommand().action((given: TrainOptions) => void (options = given));
  await command.parseAsync(args, { from: "user" });
  return await newRequest(options!, command);
}

async function trainRun(device: Gpu, request: TrainRequest): Promise<void> {
  using gpu = openScope(device);
  await quietly(() => estimate(gpu, request));
  const plan = await planOf(request, gpu.adapter);
  const observer = {
    loading() {},
    filling() {},
    rounded() {},
    measured() {},
    metricsLost() {},
    stepped() {},
    checkpointed() {},
  };
  const heard = { sampling() {}, counted() {}, evaluating() {}, loading() {}, measuringLoss() {}, lossFailed() {} };
  await finish(gpu, plan, await train(gpu, plan, observer), heard);
  await request.model.weights.close();
}

async function evaluateRun(device: Gpu, directory: string): Promise<void> {
  using gpu = openScope(device);
  const transcoders = await openFinishedRun(directory), [{ config: settings }] = transcoders;
  const files = await openModel(modelOf(transcoders)), taps = tapsOf(transcoders.map(({ config }) => config));
  const decoder = await loadRunModel(gpu, files, transcoders, { taps }), { context } = settings;
  const part = { data: "builtin", split: "test", tokens: TOKENS } as const;
  const source = await openTokenSource({ tokenizer: files, context, seed: null, ...part });
  const text = evaluatedText(source, part.split);
  await evaluateTranscoders({ gpu, decoder, source, settings, transcoders, tokens: TOKENS, text });
  await source.close();
  await files.weights.close();
}

async function manyRuns({ runs }: { runs: number }): Promise<void> {
  preferVulkan();
  using gpu = await openGpu(null);
  const folder = await Deno.makeTempDir({ prefix: "mtc-many-" }), samples: Sample[] = [];
  try {
    for (let n = 1; n <= runs; n++) {
      const directory = join(folder, `run${n}`), place = ["--runs", folder, "--name", `run${n}`];
      await trainRun(gpu, await requestFor(...SETTINGS, "--seed", String(n), ...place));
      await evaluateRun(gpu, directory);
      const code = await quietly(() =>
        main(["report", "--quick", "--runs", directory, "--out", join(folder, "reports")])
      );
      if (code !== 0) throw new Error(`mtc report ended with ${code}`);
      await Deno.remove(directory, { recursive: true });
      const { rss: resident, heapUsed: heap } = Deno.memoryUsage();
      samples.push({ run: n, gpuBytes: gpu.memory.bytes, bindGroups: gpu.shared.bindGroups.size, resident, heap });
      console.error(`${n} of ${runs}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  console.log(render(await describeMachine(gpu.adapter), samples));
}

function render(machine: string, samples: readonly Sample[]): string {
  const mebibytes = (bytes: number) => decimal(bytes / 2 ** 20, 1);
  const rows = samples.map(({ run, gpuBytes, bindGroups, resident, heap }) => [
    integer(run),
    ...[mebibytes(gpuBytes), integer(bindGroups), mebibytes(resident), mebibytes(heap)],
  ]);
  const columns = ["after run", "tensors, MiB", "bind groups", "resident MiB", "JavaScript's heap, MiB"].map(numeric);
  return `${machine}\n\n${table(columns, rows)}`;
}

await new Command("many-runs")
  .description("Trains, evaluates and reports on small runs in one process, on one device, and watches memory.")
  .addOption(wholeNumberOption("--runs <n>", "how many", { value: 20 }))
  .action(manyRuns)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
