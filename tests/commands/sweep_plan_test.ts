/** plan.json: its keys are the options of `mtc sweep`; whatever is wrong with it is said by its name, before anything else is looked at. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readPlan } from "../../commands/sweep/plan.ts";
import { Deadline, readDeadline } from "../../commands/train/deadline.ts";
import { UsageError } from "../../core/errors.ts";
import { inDirectory, mtc } from "../cli/tiny_run.ts";

async function planOf(directory: string, plan: unknown) {
  const path = join(directory, "plan.json");
  await Deno.writeTextFile(path, typeof plan === "string" ? plan : JSON.stringify(plan));
  return await readPlan(path);
}

Deno.test("a plan is the command line that it stands for; its paths are meant from where it lies", () =>
  inDirectory(async (directory) => {
    const { args, runs, layers, together, harvest, memory } = await planOf(directory, {
      ...{ "layers": [4, 2], "dictionary": [64, 96], "k": 8, "learning-rate": [1e-2, 0.025], "seed": [0, 1] },
      ...{ "flat": true, "skip": false, "data": ["texts", "hf:a/b"], "steps": 30, "runs": "here", "together": "fit" },
      ...{ "memory": "1.5 GiB", "harvest": "acts" },
    });
    assert.deepEqual([layers, together, memory], [[2, 4], "fit", 1.5 * 2 ** 30]);
    assert.deepEqual([runs, harvest], [join(directory, "here"), join(directory, "acts")]);
    const said = new Set(args.join(" ").split(" --").map((part) => part.replace(/^--/, "")));
    const expected = [
      "dictionary 64,96",
      "k 8",
      "learning-rate 0.01,0.025",
      "seed 0,1",
      "flat",
      "steps 30",
      "model builtin",
    ];
    assert.deepEqual(said, new Set([...expected, `data ${join(directory, "texts")} hf:a/b`]));
  }));

Deno.test("a plan may begin with a byte order mark", () =>
  inDirectory(async (directory) => {
    assert.deepEqual((await planOf(directory, '\ufeff{"layers": 2}')).layers, [2]);
  }));

Deno.test("a plan is known by what it trains: not by the order of its keys, nor by where its runs are", () =>
  inDirectory(async (directory) => {
    const { hash } = await planOf(directory, { layers: [2, 4], k: 8, seed: [0, 1] });
    assert.equal((await planOf(directory, { seed: [0, 1], layers: [4, 2], k: [8], runs: "other" })).hash, hash);
    assert.notEqual((await planOf(directory, { layers: [2, 4], k: 8, seed: [0, 2] })).hash, hash);
  }));

const BAD: readonly [plan: unknown, message: RegExp][] = [
  ["{", /it must be JSON, /],
  ["[]", /it must be an object, it is \[\]/],
  ["7", /it must be an object, it is 7/],
  [{ lerning_rate: 1 }, /"lerning_rate" is none; write "learning-rate"$/],
  [{ nonsense: 1 }, /each key must be an option of mtc sweep, without its dashes, "nonsense" is none; its keys are /],
  [{ steps: "30" }, /steps: expected number but received "30", it is "30"/],
  [{ steps: 1.5 }, /steps: .*it is 1\.5/],
  [{ layers: [] }, /layers: .*it is \[\]/],
  [{ dictionary: [] }, /dictionary: /],
  [{ seed: [0, 0] }, /seed: a value comes twice, it is \[0,0\]/],
  [{ k: "8" }, /k: expected .*it is "8"/],
  [{ layers: [-1] }, /layers\.0: expected >=0 but received -1, it is -1/],
  [{ together: "all" }, /together: /],
  [{ memory: "80" }, /memory: it must be like "70 GiB", it is "80"/],
  [{ precision: "f64" }, /precision: /],
  [{ layers: ["2"] }, /layers\.0: expected number but received "2", it is "2"/],
  [{ lease: 86_401 }, /lease: expected <=86400 but received 86401/],
  [{ memory: "70 GiB" }, /memory is what together "fit" may take, together is 1; write "together": "fit", or leave/],
  [{ runs: "" }, /runs: it must not be empty/],
  [{ "harvest-layers": 2 }, /harvest-layers divides a harvest, it has no harvest; add harvest, a directory/],
];

for (const [plan, message] of BAD) {
  Deno.test(`${JSON.stringify(plan)} is no plan`, () =>
    inDirectory(async (directory) => {
      await assert.rejects(planOf(directory, plan), (error) =>
        error instanceof UsageError && message.test(error.message));
    }));
}

Deno.test("a plan that is not there, or what has no place beside one, ends with 2", () =>
  inDirectory(async (directory) => {
    const path = join(directory, "plan.json");
    const refused = async (args: string[], message: RegExp) => {
      const { code, stdout, stderr } = await mtc("sweep", ...args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, message);
    };
    await refused([path, "--list"], /Cannot read the plan .*: there is no such file or directory; check the path/);
    await Deno.writeTextFile(path, JSON.stringify({ layers: 2, dictionary: 64, k: 8, seed: [0, 1] }));
    await refused([path, "--steps", "9"], /what is trained stands in the plan; write "steps" into it/);
    await refused([path, "--dry-run"], /the tasks of a plan know no such option; leave it out/);
    await refused([path, "--list", "--status"], /one thing at a time can be done of a plan; leave one of them out/);
    await refused([path, "--task", "2"], /Cannot do task 2 of .*: its tasks are numbered from 0 to 1, there is none/);
    await refused([path, "--task", "-1"], /Cannot read --task/);
    await refused([path, "--harvest"], /it must have "harvest", a directory/);
    await refused([path, "--print", "pbs"], /--print.*(slurm|Allowed)/);
    await refused(
      ["--status"],
      /it is about the tasks of a plan, no plan is named; write mtc sweep plan.json --status/,
    );
    await Deno.writeTextFile(path, JSON.stringify({ layers: 2, dictionary: 64, k: 65 }));
    await refused([path, "--list"], /Cannot train with --k 65: .* in .*plan\.json$/);
    await Deno.writeTextFile(path, JSON.stringify({ layers: 2, dictionary: 64, k: 8 }));
    const { hash } = await readPlan(path), list = join(directory, "runs", `plan-${hash}.json`);
    await Deno.mkdir(join(directory, "runs"), { recursive: true });
    await Deno.writeTextFile(list, '{"format": 1,');
    const damaged = await mtc("sweep", path, "--list");
    assert.equal(damaged.code, 1);
    assert.match(
      damaged.stderr,
      /plan-.*\.json: it must be complete JSON, .*; restore it, or remove it: the tasks are/,
    );
    await Deno.remove(list);
    await Deno.writeTextFile(path, JSON.stringify({ layers: [2, 6], dictionary: 64, k: 8 }));
    await refused([path, "--list"], /layer/);
  }));

Deno.test("a deadline is a time to come, a time with its zone, or seconds since 1970", () => {
  const now = Date.parse("2026-11-27T22:00:00Z");
  const read = (text: string) => new Date(readDeadline(text, now)).toISOString();
  assert.equal(read("90m"), "2026-11-27T23:30:00.000Z");
  assert.equal(read("1.5h"), "2026-11-27T23:30:00.000Z");
  assert.equal(read("2d"), "2026-11-29T22:00:00.000Z");
  assert.equal(read("2026-11-28T06:00:00+02:00"), "2026-11-28T04:00:00.000Z");
  assert.equal(read("1795845600"), "2026-11-28T06:00:00.000Z");
  for (
    const text of [
      "",
      "90",
      "90 m",
      "-5m",
      "2026-11-28",
      "2026-11-28T06:00:00",
      "2026-13-28T06:00:00Z",
      "2026-02-30T06:00:00Z",
      "2026-11-27T22:00:00Z",
      "1795000000",
      "soon",
    ]
  ) {
    assert.throws(
      () => readDeadline(text, now),
      (error) => error instanceof UsageError && /--deadline/.test(error.message),
    );
  }
});

Deno.test("a deadline that has come is told once, though the last checkpoint is written behind it", async () => {
  const reasons: string[] = [];
  using deadline = new Deadline(Date.now(), (reason) => reasons.push(reason));
  await new Promise((resolve) => setTimeout(resolve, 20));
  deadline.checkpointed(0.6);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(reasons.length, 1);
  assert.match(reasons[0], /^the deadline is \d{4}-\d\d-\d\dT/);
});

Deno.test("whatever a plan is called, what is printed for an engine has that as a name, and runs nothing of it", () =>
  inDirectory(async (directory) => {
    const name = `pl'an" #, $(HOME) \`touch spoilt\` $(touch spoilt); touch spoilt\ntouch spoilt`,
      path = join(directory, name);
    await Deno.writeTextFile(
      `${path}.json`,
      JSON.stringify({ layers: 2, dictionary: 64, k: 8, harvest: name, runs: name }),
    );
    const printed = async (engine: string) => {
      const { code, stdout, stderr } = await mtc("sweep", `${path}.json`, "--print", engine);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const told = join(directory, "mtc");
    await Deno.writeTextFile(told, '#!/bin/sh\nfor one; do printf "%s\\0" "$one"; done\n', { mode: 0o755 });
    /** The arguments that a script calls mtc with. */
    const called = async (script: string) => {
      const { stdout, stderr } = await new Deno.Command("bash", {
        args: ["-c", script],
        cwd: directory,
        env: { MTC: "mtc", PATH: `${directory}:${Deno.env.get("PATH")}`, SLURM_ARRAY_TASK_ID: "0" },
      }).output();
      const said = new TextDecoder().decode(stderr).split("\n").filter((line) => !line.includes("scontrol: "));
      assert.deepEqual(said, [""]);
      return new TextDecoder().decode(stdout).split("\0").slice(0, -1);
    };
    const slurm = await printed("slurm");
    assert.deepEqual(await called(slurm), ["sweep", `${path}.json`, "--task", "0"]);
    const harvest = slurm.match(/--wrap (.*)\)$/m)![1].replaceAll("\\n", "\n");
    assert.deepEqual(await called(`sh -c ${harvest}`), ["sweep", `${path}.json`, "--harvest"]);
    const run = (await printed("skypilot")).match(/^run: (.*)$/m)![1];
    assert.deepEqual(await called(JSON.parse(run)), ["sweep", `/shared/${name}.json`]);
    const [, argument] = (await printed("kubernetes")).match(/^ {10}args: \[sweep, (.*), --log, json\]$/m)!;
    assert.equal(JSON.parse(argument).replaceAll("$$(", "$("), `/shared/${name}.json`);
    for (const engine of ["kubernetes", "skypilot"]) assert.doesNotMatch(await printed(engine), /^touch/m);
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name).filter((one) => one === "spoilt"), []);
  }));
