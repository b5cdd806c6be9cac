/**
 * Many small runs in one process: each is trained, evaluated and reported on by the commands themselves. Memory of GPU and host must stay where
 * the first run left it, or a sweep could not be one process.
 * @module
 */

import { Command } from "commander";
import { join } from "node:path";
import { wholeNumberOption } from "../commands/options.ts";
import { main } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { LiveBuffers } from "./live_buffers.ts";
import { describeMachine } from "./machine.ts";

/** Memory after a run. */
interface Sample {
  readonly run: number;
  readonly gpuBytes: number;
  readonly buffers: number;
  readonly resident: number;
  readonly heap: number;
}

const SETTINGS = [
  ...["--layers", "2,4", "--steps", "20", "--batch", "256", "--groups", "16,32,16", "--k", "8", "--buffer", "2048"],
  ...["--samples", "10", "--sample-tokens", "2048", "--evaluation-tokens", "1024"],
];

async function run(...args: string[]): Promise<void> {
  const { log, error } = console, said: unknown[] = [];
  console.log = console.error = (...parts: unknown[]) => void said.push(...parts);
  const code = await main(args).finally(() => Object.assign(console, { log, error }));
  if (code !== 0) throw new Error(`mtc ${args.join(" ")} ended with ${code}: ${said.join("\n")}`);
}

async function manyRuns({ runs }: { runs: number }): Promise<void> {
  const buffers = new LiveBuffers(), folder = await Deno.makeTempDir({ prefix: "mtc-many-" });
  const samples: Sample[] = [];
  try {
    for (let n = 1; n <= runs; n++) {
      const name = `run${n}`, directory = join(folder, name);
      await run("train", ...SETTINGS, "--seed", String(n), "--runs", folder, "--name", name);
      await run("evaluate", "--run", directory);
      await run("report", "--runs", directory, "--out", join(folder, "reports"));
      await Deno.remove(directory, { recursive: true });
      const { rss, heapUsed } = Deno.memoryUsage();
      samples.push({ run: n, gpuBytes: buffers.bytes, buffers: buffers.count, resident: rss, heap: heapUsed });
      console.error(`${n} of ${runs}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const adapter = (await navigator.gpu.requestAdapter())?.info.description ?? "no adapter";
  console.log(render(await describeMachine(adapter), samples));
}

function render(machine: string, samples: readonly Sample[]): string {
  const mebibytes = (bytes: number) => decimal(bytes / 2 ** 20, 1);
  const rows = samples.map(({ run, gpuBytes, buffers, resident, heap }) => [
    integer(run),
    ...[mebibytes(gpuBytes), integer(buffers), mebibytes(resident), mebibytes(heap)],
  ]);
  const columns = ["after run", "GPU buffers, MiB", "buffers", "resident MiB", "JavaScript's heap, MiB"].map(numeric);
  return `${machine}\n\n${table(columns, rows)}`;
}

await new Command("many-runs")
  .description("Trains, evaluates and reports on small runs in one process and watches memory.")
  .addOption(wholeNumberOption("--runs <n>", "how many", { value: 20 }))
  .action(manyRuns)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
