/**
 * Ten thousand tasks of a sweep: how long listing, telling and reporting on them takes, and in how much memory. The runs are simulated: what
 * config.json, evaluation.json and status.json of a real one say, with figures that follow a power law; there are no weights.
 * @module
 */

import { Command } from "commander";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { directoryOption } from "../commands/options.ts";
import { readPlan } from "../commands/sweep/plan.ts";
import { CONFIG_FILE } from "../core/runs/config.ts";
import { EVALUATION_FILE } from "../core/runs/evaluation.ts";
import { STATUS_FILE } from "../core/runs/status.ts";
import { numberTasks, shortHash, type SweepTask } from "../core/runs/task_list.ts";
import { randomGenerator } from "../core/random.ts";
import { main } from "../main.ts";
import { decimal, integer } from "../reports/format.ts";
import { numeric, table } from "../reports/markdown/markdown.ts";
import { describeMachine } from "./machine.ts";

const LAYERS = 25, DICTIONARIES = [4608, 9216, 18_432, 36_864], KS = 10, SEEDS = 10;
/** Of so many tasks one is not done: failed, or lost. */
const UNDONE_EVERY = 97;

/** What a simulated run is made of: a finished transcoder's directory of any run. */
async function template(directory: string) {
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(join(directory, name)));
  return { config: await read(CONFIG_FILE), evaluation: await read(EVALUATION_FILE) };
}

async function simulate(root: string, like: string): Promise<number> {
  const { config, evaluation } = await template(like), random = randomGenerator(1), tasks: SweepTask[] = [];
  const ks = Array.from({ length: KS }, (_, i) => 16 * (i + 1)), seeds = Array.from({ length: SEEDS }, (_, i) => i);
  const layers = Array.from({ length: LAYERS }, (_, i) => i);
  await Deno.writeTextFile(
    join(root, "plan.json"),
    JSON.stringify({ layers, dictionary: DICTIONARIES, k: ks, seed: seeds }),
  );
  const { hash: plan, runs } = await readPlan(join(root, "plan.json")), { steps } = config;
  for (const layer of layers) {
    for (const features of DICTIONARIES) {
      for (const k of ks) {
        for (const seed of seeds) {
          const number = tasks.length, id = shortHash([layer, features, k, seed]);
          const run = `layer${layer}-f${features}-k${k}-seed${seed}-${id}`, directory = join(runs, run);
          const groups = [features / 4, features / 2, features / 4], taps = { target: { layer, site: "mlp_out" } };
          const own = { groups, features, k, seed, layer, source: { layer, site: "resid_mid" }, ...taps };
          const fvu = (0.3 + 0.01 * layer) * (features / 4608) ** -0.2 * (k / 48) ** -0.4 * (1 + 0.02 * random.float());
          const isUndone = number % UNDONE_EVERY === UNDONE_EVERY - 1, time = "2026-11-27T22:00:00.000Z";
          const status = {
            task: number,
            plan,
            step: steps,
            steps,
            host: "node",
            process: 1,
            attempts: 1,
            started: time,
            updated: time,
          };
          await Deno.mkdir(join(directory, `layer${layer}`), { recursive: true });
          const write = (path: string, value: unknown) =>
            Deno.writeTextFile(join(directory, path), JSON.stringify(value));
          await write(`layer${layer}/${CONFIG_FILE}`, { ...config, ...own, d_in: 2304, d_out: 2304 });
          await write(`layer${layer}/${EVALUATION_FILE}`, { ...evaluation, fvu, l0: k * 1.05 });
          await write(
            STATUS_FILE,
            isUndone
              ? { ...status, state: "failed", exit_code: 1, reason: "it was simulated so" }
              : { ...status, state: "done" },
          );
          tasks.push({ run, layer, transcoders: [{ name: `layer${layer}`, id }] });
        }
      }
    }
  }
  await numberTasks(runs, { plan, mtc_version: "0.1.0", inputs: { model: "", text: "" }, steps, tasks });
  return tasks.length;
}

/** What a command took, as a process of its own tells it. */
async function measured(
  root: string,
  args: string[],
): Promise<{ seconds: number; processor: number; memory: number; lines: number }> {
  const self = fileURLToPath(import.meta.url), started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", self, "one", ...args],
    cwd: root,
  });
  const { code, stdout, stderr } = await child.output(), text = new TextDecoder();
  if (code !== 0) throw new Error(text.decode(stderr));
  const [, memory, processor] = /peak (\d+), processor ([\d.]+) s/.exec(text.decode(stderr))!.map(Number);
  const seconds = (performance.now() - started) / 1000, lines = text.decode(stdout).split("\n").length - 1;
  return { seconds, processor, memory, lines };
}

async function measureAll({ like }: { like: string }): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "mtc-fleet-" }), rows: string[][] = [];
  try {
    const tasks = await simulate(root, like);
    console.error(`${tasks} runs are there`);
    const commands = [
      ["sweep", "plan.json", "--list"],
      ["sweep", "plan.json", "--status"],
      ["report", "--runs", "runs", "--out", "out", "--tasks"],
    ];
    for (const args of commands) {
      const { seconds, processor, memory, lines } = await measured(root, args);
      const figures = [decimal(seconds, 1), decimal(processor, 1), integer(memory / 1024), integer(lines)];
      rows.push([`\`mtc ${args.join(" ")}\``, ...figures]);
    }
    const columns = ["Command", ...["Seconds", "Of a processor", "Peak memory, MiB", "Lines printed"].map(numeric)];
    console.log(`${await describeMachine("no GPU")}; ${integer(tasks)} simulated tasks\n\n${table(columns, rows)}`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

if (Deno.args[0] === "one") {
  const code = await main(Deno.args.slice(1));
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  console.error(`peak ${maxRSS}, processor ${(userCPUTime + systemCPUTime) / 1e6} s`);
  Deno.exit(code);
}
await new Command("fleet-runs")
  .description("Lists, tells and reports on ten thousand simulated tasks of a sweep.")
  .addOption(
    directoryOption("--like <transcoder>", "a finished transcoder whose files they are like").makeOptionMandatory(),
  )
  .action(measureAll)
  .parseAsync(Deno.args, { from: "user" });
