/**
 * What `mtc report --quick` and the analyses that take no model need of memory and processor at a size that is asked for, each in a process of its
 * own, on runs that never happened. It ends with 1 where one takes more than `--most`, so that it notices what comes to hold a matrix twice.
 *
 *     deno task memory [--features 4608] [--width 2304] [--samples 53] [--layers 2] [--most 2000]
 *
 * Linux alone: the peak is VmHWM, the processor's time that of all threads, a software driver's included.
 */

import { Command } from "commander";
import { join } from "node:path";
import { wholeNumberOption } from "../commands/options.ts";
import { openGpu } from "../core/gpu/device.ts";
import { preferVulkan } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { writeSyntheticRun } from "../tests/reports/synthetic_run.ts";
import { describeMachine } from "./machine.ts";
import { writeRecordedRun } from "./recorded_run.ts";

/** Tokens of a record times features of each, and what an entry takes. */
const ENTRY_BYTES = 2 ** 17 * 48 * 8;

/** The product of features, features and width up to which all pairs of rows are compared on any machine. */
const MOST_COMPARED = 2 ** 37;

/** Between two looks at a process, in milliseconds, and the kernel's ticks in a second. */
const LOOK_MS = 20, TICKS = 100;

interface Options {
  readonly features: number;
  readonly width: number;
  readonly samples: number;
  readonly layers: number;
  readonly most: number;
}

/** What a process took. */
interface Taken {
  readonly wall: number;
  readonly processor: number;
  /** In bytes. */
  readonly peak: number;
}

/** Layers 8 and 17 and so on, each with every file of a finished run and a record. */
async function writeRuns(root: string, { features, width, samples, layers }: Options): Promise<string[]> {
  const directories: string[] = [];
  for (let n = 0; n < layers; n++) {
    const layer = 8 + 9 * n, groups = [features / 4, features / 2, features / 4];
    // The weights are written with the record, in their width.
    const changes = { layer, groups, dIn: 4, dOut: 4, samplesPerFeature: samples };
    const directory = await writeSyntheticRun(root, "large", changes);
    await writeRecordedRun(directory, directory, { features, width, seed: n });
    directories.push(directory);
  }
  return directories;
}

async function run(args: readonly string[]): Promise<Taken> {
  const began = performance.now(), main = new URL("../main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, ...args],
    ...{ stdout: "null", stderr: "inherit" },
  }).spawn();
  let isDone = false, peak = 0, processor = 0;
  const status = child.status.finally(() => isDone = true);
  while (!isDone) {
    // It may end while it is looked at.
    const [memory, times] = await Promise.all(
      ["status", "stat"].map((file) => Deno.readTextFile(`/proc/${child.pid}/${file}`).catch(() => "")),
    );
    peak = Math.max(peak, 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(memory)?.[1] ?? 0));
    const [user, system] = times.slice(times.lastIndexOf(")")).split(" ").slice(12, 14).map(Number);
    if (user + system > 0) processor = (user + system) / TICKS;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  if (!(await status).success) throw new Error(`mtc ${args.join(" ")} failed`);
  return { wall: (performance.now() - began) / 1000, processor, peak };
}

async function measure(options: Options): Promise<void> {
  const { features, width, layers, most } = options;
  using gpu = await openGpu();
  console.log(`${await describeMachine(gpu.adapter)}\n`);
  const root = await Deno.makeTempDir({ prefix: "mtc-memory-" }), rows: string[][] = [];
  let largest = 0;
  try {
    const [one, other] = await writeRuns(root, options), isCompared = 2 * features ** 2 * width <= MOST_COMPARED;
    const commands = [
      ["report", "--quick", "--runs", root, "--out", join(root, "out")],
      ...["features", "hierarchy", "patterns"].map((name) => ["analyze", name, "--run", one]),
      ["analyze", "weights", ...isCompared ? [] : ["--no-pairs"], "--run", one],
      ...isCompared || !gpu.isCpu ? [["analyze", "similarity", "--run", one]] : [],
      ...other === undefined ? [] : [["analyze", "compare", one, other]],
    ];
    for (const command of commands) {
      const isReport = command[0] === "report", held = isReport ? layers : command[1] === "compare" ? 2 : 1;
      const { wall, processor, peak } = await run(command);
      largest = Math.max(largest, peak);
      rows.push([
        `\`mtc ${command.slice(0, 2).join(" ")}\``,
        `${integer(wall)} s`,
        `${integer(processor)} s`,
        `${integer(peak / 1e6)} MB`,
        decimal(peak / held / (8 * features * width + ENTRY_BYTES), 2),
      ]);
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
  const columns = ["", "wall", "processor", "peak", "by weights and record"];
  console.log(table(columns.map((name, i) => i === 0 ? name : numeric(name)), rows));
  if (largest <= most * 1e6) return;
  console.error(`The largest peak is ${integer(largest / 1e6)} MB; at most ${integer(most)} MB is wanted`);
  Deno.exitCode = 1;
}

preferVulkan();
await new Command("memory")
  .description("What reports and analyses of large runs need of memory and processor.")
  .addOption(wholeNumberOption("--features <n>", "features, a multiple of 4", { value: 4608 }))
  .addOption(wholeNumberOption("--width <n>", "width of source and target, a multiple of 4", { value: 2304 }))
  .addOption(wholeNumberOption("--samples <n>", "samples of each feature", { value: 53 }))
  .addOption(wholeNumberOption("--layers <n>", "layers, with one of which nothing is compared", { value: 2 }))
  .addOption(wholeNumberOption("--most <megabytes>", "what none may take more than", { value: 2000 }))
  .action(measure)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit();
