/** `mtc sweep plan.json`: tasks that are started, lost, repeated and found done, each with the bytes of the same run alone. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { finishedContent, MAIN, names } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const root = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));
const runs = join(root, "runs"), file = join(root, "plan.json");

const SETTINGS = {
  ...{
    "steps": 30,
    "batch": 256,
    "buffer": 1024,
    "passes": 2,
    "checkpoint-every": 10,
    "sample-every": 10,
    "samples": 20,
  },
  ...{ "sample-tokens": 1024, "evaluation-tokens": 512, "loss-tokens": 0, "log-every": 1 },
};
const PLAN = { "layers": [2], "dictionary": [64], "k": 8, "seed": [0, 1, 2], "lease": 2, ...SETTINGS };
await Deno.writeTextFile(file, JSON.stringify(PLAN));

interface Told {
  readonly task: number;
  readonly run: string;
  readonly state: string;
  readonly step?: number;
  readonly attempts?: number;
  readonly exit_code?: number;
  readonly reason?: string;
}

async function status(): Promise<Told[]> {
  const { code, stdout, stderr } = await mtc("sweep", file, "--status", "--json");
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** What a task's transcoder is, but for its round and the time. */
async function contentOf(directory: string) {
  const { round: _, ...config } = JSON.parse(await Deno.readTextFile(join(directory, "config.json")));
  return { ...await finishedContent(directory), "config.json": { ...config, created: "", tiles: {} } };
}

const listed = await mtc("sweep", file, "--list", "--json");
assert.equal(listed.code, 0, listed.stderr);
const { tasks } = JSON.parse(listed.stdout) as { tasks: { run: string; transcoders: string[] }[] };
const runOf = (task: number) => join(runs, tasks[task].run);

Deno.test("tasks are numbered, and named by what they train", () => {
  const started = tasks.map(({ run, transcoders: [name] }) => [run.slice(0, -11), name]);
  assert.deepEqual(started, [0, 1, 2].map((seed) => [`layer2-f64-k8-seed${seed}`, "layer2"]));
  assert.equal(new Set(tasks.map(({ run }) => run)).size, 3);
});

Deno.test("a task has the bytes of the same run alone; asked for again it finds nothing left to do", async () => {
  const { code, stderr } = await mtc("sweep", file, "--task", "1");
  assert.equal(code, 0, stderr);
  const flags = Object.entries({ ...SETTINGS, "dictionary": 64, "k": 8, "layers": 2, "seed": 1, "data-seed": 0 });
  const alone = await mtc(
    "train",
    ...flags.flatMap(([key, value]) => [`--${key}`, String(value)]),
    "--runs",
    root,
    "--name",
    "alone",
  );
  assert.equal(alone.code, 0, alone.stderr);
  assert.deepEqual(await contentOf(join(runOf(1), "layer2")), await contentOf(join(root, "alone", "layer2")));
  const again = await mtc("sweep", file, "--task", "1");
  assert.deepEqual([again.code, again.stdout], [0, ""]);
  assert.match(again.stderr, /task 1 has nothing left to do$/);
  assert.deepEqual(names(runOf(1)), ["layer2", "status.json"]);
  assert.deepEqual(names(runs).filter((name) => name.startsWith(".")), [], "neither lock nor lease is left");
});

/** Runs a task as a process of its own. */
function start(args: readonly string[], env: Record<string, string> = {}) {
  const command = ["run", "--no-check", "-A", MAIN, "sweep", file, ...args];
  return new Deno.Command(Deno.execPath(), { args: command, env, stdout: "piped", stderr: "piped" }).spawn();
}

Deno.test("killed, stopped by a deadline, in work elsewhere and gone on with, it has the same bytes", async () => {
  const checkpoints = join(runOf(2), "layer2", "checkpoints");
  const killed = start(["--task", "2"]);
  while (names(checkpoints).filter((name) => name.startsWith("step")).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  killed.kill("SIGKILL");
  await Promise.all([killed.status, killed.stdout.cancel(), killed.stderr.cancel()]);
  assert.equal((await status())[2].state, "training", "its lease was not given back");
  const late = await mtc("sweep", file, "--task", "2", "--deadline", "1s");
  assert.equal(late.code, 75, late.stderr);
  assert.match(late.stderr, /stopping after the current step: the deadline is 20.*\n.*Stopped (before|after)/s);
  const [, , stopped] = await status();
  assert.deepEqual([stopped.state, stopped.exit_code, stopped.attempts], ["stopped", 75, 2]);

  // Another machine has it.
  const lease = join(runs, `.${tasks[2].run}.lease-9`);
  const beat = (beat: number) =>
    Deno.writeTextFileSync(
      lease,
      JSON.stringify({
        host: "node7",
        process: 4711,
        machine: "m",
        token: "t",
        beat,
        lasts_s: 2,
        released: false,
        locked: true,
      }),
    );
  beat(1);
  const timer = setTimeout(() => beat(2), 500);
  const second = await mtc("sweep", file, "--task", "2");
  clearTimeout(timer);
  assert.equal(second.code, 75, second.stderr);
  assert.match(second.stderr, /Stopped as process 4711 on node7 works on .*; run the same command again later$/);

  // It is never heard of again.
  const done = start([], { SLURM_ARRAY_TASK_ID: "2", SLURM_ARRAY_JOB_ID: "12", SLURM_JOB_ID: "14" });
  const { code, stderr } = await done.output();
  const said = new TextDecoder().decode(stderr);
  assert.equal(code, 0, said);
  assert.match(
    said,
    /waiting up to 2 s for a word of process 4711 on node7\n.*going on in place of process 4711 on node7/,
  );
  const [, , last] = await status();
  assert.deepEqual([last.state, last.step, last.attempts], ["done", 30, 3]);
  const other = await mtc("sweep", file, "--task", "2", "--runs", join(root, "whole"));
  assert.equal(other.code, 0, other.stderr);
  assert.deepEqual(
    await contentOf(join(runOf(2), "layer2")),
    await contentOf(join(root, "whole", tasks[2].run, "layer2")),
  );
});

Deno.test("events are lines of JSON on stdout, from the first to the figures", async () => {
  const { code, stdout, stderr } = await mtc("sweep", file, "--task", "0", "--log", "json");
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  const events = stdout.split("\n").map((line) => JSON.parse(line));
  const kinds = events.map(({ event }) => event);
  for (
    const event of ["task", "begun", "round", "filling", "step", "checkpoint", "sampling", "evaluating", "finished"]
  ) {
    assert.ok(kinds.includes(event), `${event} is not among ${kinds}`);
  }
  assert.ok(events.every(({ time }) => Number.isFinite(Date.parse(time))));
  const [{ name, fvu }] = events.at(-1).transcoders;
  assert.ok(name === "layer2" && fvu > 0 && fvu < 2);
});

Deno.test("without a number all tasks are done; one that can never work says why and does not keep the others", async () => {
  const impossible = { ...PLAN, "dictionary": 400_000_000, "seed": 0 }, path = join(root, "impossible.json");
  await Deno.writeTextFile(path, JSON.stringify(impossible));
  const failed = await mtc("sweep", path);
  assert.equal(failed.code, 1, failed.stderr);
  assert.match(
    failed.stderr,
    /Cannot train this plan: it needs .*\n.*Cannot finish 1 of 1 tasks: those that failed are 0/s,
  );
  const told = JSON.parse((await mtc("sweep", path, "--status", "--json")).stdout)[0];
  assert.deepEqual([told.state, told.exit_code], ["failed", 1]);
  assert.match(told.reason, /^Cannot train this plan: it needs /);
  const all = await mtc("sweep", file);
  assert.equal(all.code, 0, all.stderr);
  assert.equal(all.stderr.match(/has nothing left to do/g)?.length, 3);
  assert.deepEqual(names(runs).filter((name) => name.startsWith("plan-")).length, 2, "two plans, one directory");
});

Deno.test("the report of all tasks is the same bytes wherever they lie and in whatever order they came", async () => {
  const moved = join(root, "moved"),
    reported = async (from: string, out: string) => {
      const { code, stderr } = await mtc("report", "--runs", from, "--out", out, "--tasks");
      assert.equal(code, 0, stderr);
      return Object.fromEntries(names(out).map((name) => [name, Deno.readFileSync(join(out, name))]));
    };
  await Deno.mkdir(moved);
  for (const name of names(runs).toReversed()) {
    await new Deno.Command("cp", { args: ["-r", join(runs, name), join(moved, name)] }).output();
  }
  const files = await reported(runs, join(root, "out"));
  assert.deepEqual(await reported(moved, join(root, "out_moved")), files);
  const text = (name: string) => new TextDecoder().decode(files[name]);
  assert.match(text("sweep_tasks.md"), /^4 tasks of 2 plans: 3 done, 1 failed\. /m);
  assert.match(text("sweep_tasks.md"), /\| failed +\| +0 of 30 \| Cannot train this plan: it needs /);
  assert.match(text("sweep_tasks.md"), /, 64 features, k 8 \| +3 \| 0\.\d{4} ± 0\.\d{4} \|/);
  assert.equal(text("sweep_tasks.csv").trim().split("\n").length, 1 + 4);
  assert.equal(text("sweep_transcoders.csv").trim().split("\n").length, 1 + 3);
  assert.deepEqual(names(join(root, "out")), [
    "sweep_tasks.csv",
    "sweep_tasks.md",
    "sweep_tasks_pareto.png",
    "sweep_transcoders.csv",
  ]);
  const none = await mtc("report", "--runs", root, "--out", join(root, "out"), "--tasks");
  assert.equal(none.code, 1);
  assert.match(none.stderr, /it must hold the plan-\*\.json of a sweep, it holds none/);
});

Deno.test("tasks of a plan that shares a harvest make it once and have the same bytes", async () => {
  const path = join(root, "harvested.json"), place = join(root, "harvested");
  await Deno.writeTextFile(
    path,
    JSON.stringify({ ...PLAN, "seed": [0, 1], "harvest": "activations", "runs": "harvested" }),
  );
  const first = await mtc("sweep", path, "--harvest");
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /harvesting what the tasks share into .*activations\n/);
  const { code, stderr } = await mtc("sweep", path, "--task", "1");
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /harvesting what/);
  const own = { ...await contentOf(join(place, tasks[1].run, "layer2")), "config.json": "" };
  assert.deepEqual(own, { ...await contentOf(join(runOf(1), "layer2")), "config.json": "" });
});

Deno.test("transcoders of a layer share a task where the plan says so, and each keeps its bytes", async () => {
  const path = join(root, "together.json"), place = join(root, "together");
  await Deno.writeTextFile(path, JSON.stringify({ ...PLAN, "together": "fit", "runs": "together" }));
  const { code, stderr } = await mtc("sweep", path);
  assert.equal(code, 0, stderr);
  const [run] = names(place).filter((name) => name.startsWith("layer2-f64-k8-3-transcoders-"));
  for (const seed of [0, 1, 2]) {
    const name = `layer2-seed${seed}`;
    assert.deepEqual(await contentOf(join(place, run, name)), await contentOf(join(runOf(seed), "layer2")));
  }
});

Deno.test("a text that has changed since the tasks were numbered is refused, and never worth a retry", async () => {
  const path = join(root, "changed.json"), text = join(root, "text.txt");
  const words = (word: string) =>
    Array.from({ length: 40 }, (_, i) => `${word} number ${i} is here. `.repeat(60)).join("\n\n");
  await Deno.writeTextFile(text, words("This"));
  await Deno.writeTextFile(path, JSON.stringify({ ...PLAN, "data": "text.txt", "runs": "changed" }));
  assert.equal((await mtc("sweep", path, "--list")).code, 0);
  await Deno.writeTextFile(text, words("That"));
  const { code, stderr } = await mtc("sweep", path, "--task", "0");
  assert.equal(code, 2, stderr);
  assert.match(stderr, /model and text must be those that the tasks were numbered for, one of them has changed since/);
});
