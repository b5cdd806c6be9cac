/**
 * What training steps take when the model runs for them, and from shards that it filled before.
 *
 *     deno run -A bench/activations.ts [--model DIR] [--layers 2,4] [--steps 60] [--passes 1] [--repeats 3]
 *
 * The same run of `mtc train` in turns, with the recipe of the model and without checkpoints on the way; the seconds are those of metrics.csv, in which
 * filling the buffers is, and loading the model and what follows the last step are not. Medians; both runs must end with the same bytes.
 */

import { Command } from "commander";
import { join } from "node:path";
import { csvParse } from "d3-dsv";
import { layersOption, wholeNumberOption } from "../commands/options.ts";
import { median } from "../core/analysis/statistics.ts";
import { openGpu } from "../core/gpu/device.ts";
import { transcodersIn } from "../core/runs/discovery.ts";
import { main, preferVulkan } from "../main.ts";
import { decimal } from "../reports/format.ts";
import { describeMachine } from "./machine.ts";

interface Options {
  readonly model: string;
  readonly layers: readonly number[];
  readonly steps: number;
  readonly passes: number;
  readonly repeats: number;
}

/** What a call of mtc prints. */
async function mtc(...args: string[]): Promise<string> {
  const { log, error } = console, stdout: string[] = [];
  console.log = (...parts) => stdout.push(parts.join(" "));
  console.error = () => {};
  const code = await main(args).finally(() => Object.assign(console, { log, error }));
  if (code !== 0) throw new Error(`mtc ${args.join(" ")} ended with ${code}`);
  return stdout.join("\n");
}

async function activations({ model, layers, steps, passes, repeats }: Options): Promise<void> {
  const home = await Deno.makeTempDir(), shards = join(home, "shards"), runs = join(home, "runs");
  const settings = [
    ...["--steps", `${steps}`, "--checkpoint-every", `${steps}`, "--passes", `${passes}`],
    ...["--sample-tokens", "1000", "--evaluation-tokens", "1000", "--runs", runs],
  ];
  const text = ["train", "--model", model, "--layers", layers.join(), ...settings];
  try {
    const { harvest: { command, bytes } } = JSON.parse(await mtc(...text, "--name", "dry", "--dry-run", "--json"));
    const started = performance.now();
    await mtc(...command.split(" ").slice(1, -1), shards);
    const harvested = (performance.now() - started) / 1000;
    const seconds: Record<string, number[]> = { text: [], shards: [] }, files: Record<string, Uint8Array> = {};
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const from of Object.keys(seconds)) {
        const name = `${from}${repeat}`;
        await mtc(...from === "text" ? text : ["train", "--activations", shards, ...settings], "--name", name);
        const [directory] = await transcodersIn(join(runs, name));
        const rows = csvParse(await Deno.readTextFile(join(directory, "metrics.csv")));
        seconds[from].push(Number(rows.at(-1)!.elapsed_s));
        files[name] = await Deno.readFile(join(directory, "transcoder.safetensors"));
      }
      const [a, b] = [files[`text${repeat}`], files[`shards${repeat}`]];
      if (a.some((byte, i) => byte !== b[i])) throw new Error("the two runs end with other bytes");
    }
    using gpu = await openGpu(null);
    const rate = (from: string) => steps / median(seconds[from]);
    console.log(
      `${await describeMachine(gpu.adapter)}\n\n` +
        `${model}, layers ${layers.join(", ")}, ${steps} steps of 1,024 tokens, each used ${passes} times: ` +
        `${decimal(rate("text"), 2)} steps/s with the model, ${decimal(rate("shards"), 2)} from shards, ` +
        `${decimal(rate("shards") / rate("text"), 1)} times as many (medians of ${repeats} in turns); ` +
        `the harvest of ${decimal(bytes / 1e6, 0)} MB took ${decimal(harvested, 0)} s, once.`,
    );
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

preferVulkan();
await new Command("activations")
  .description("What training steps take with the model's forward pass among them, and without.")
  .option("-m, --model <model>", "the model", "builtin")
  .addOption(layersOption("the layers").default([2, 4], "2,4"))
  .addOption(wholeNumberOption("-n, --steps <n>", "steps of a run", { value: 60 }))
  .addOption(wholeNumberOption("--passes <n>", "times that each token is used", { value: 1 }))
  .addOption(wholeNumberOption("-r, --repeats <n>", "runs of each", { value: 3 }))
  .action(activations)
  .parseAsync(Deno.args, { from: "user" });
Deno.exit(0);
