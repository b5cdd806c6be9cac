/**
 * The printed script on a real Slurm of two nodes: an array whose tasks are requeued and killed ends with the bytes of runs that were left
 * alone. At length, with every fault, by bench/slurm.ts.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readStatus } from "../../core/runs/status.ts";
import { taskListsIn } from "../../core/runs/task_list.ts";
import { MAIN } from "../cli/small_train.ts";
import { inDirectory, mtc } from "../cli/tiny_run.ts";
import { Cluster, hasSlurm } from "./cluster.ts";

const isHere = await hasSlurm();
if (!isHere) console.error("tests/slurm: there is no Slurm here that this user may start, so that no array is tried");

const PLAN = {
  ...{
    "layers": [2],
    "dictionary": [64],
    "k": 8,
    "seed": [0, 1, 2],
    "lease": 5,
    "steps": 60,
    "batch": 256,
    "buffer": 1024,
  },
  ...{ "checkpoint-every": 10, "sample-every": 10, "samples": 20, "sample-tokens": 1024, "evaluation-tokens": 512 },
  ...{ "loss-tokens": 0, "passes": 2 },
};
const REPORTED = ["sweep_tasks.csv", "sweep_tasks.md", "sweep_tasks_pareto.png", "sweep_transcoders.csv"];

Deno.test({
  name: "a Slurm array with a task killed and one requeued ends with the bytes of a serial run",
  ignore: !isHere,
  fn: () =>
    inDirectory(async (root) => {
      const [fleet, serial] = ["fleet", "serial"].map((name) => join(root, name));
      for (const place of [fleet, serial]) {
        await Deno.mkdir(place);
        await Deno.writeTextFile(join(place, "plan.json"), JSON.stringify(PLAN));
      }
      await Deno.mkdir(join(root, "slurm"));
      const printed = await mtc("sweep", join(fleet, "plan.json"), "--print", "slurm"), script = join(fleet, "plan.sh");
      assert.equal(printed.code, 0, printed.stderr);
      await Deno.writeTextFile(script, printed.stdout);
      const runs = join(fleet, "runs"), [{ tasks }] = await taskListsIn(runs);
      const statusOf = (task: number) => readStatus(join(runs, tasks[task].run)).catch(() => undefined);
      {
        await using cluster = await Cluster.start(join(root, "slurm"));
        const env = { MTC: `${Deno.execPath()} run --no-check -A ${MAIN}` };
        const array = await cluster.submit(["--gres=none", "--cpus-per-task=1", "--chdir", fleet, script], env);
        const isTraining = (task: number) => async () => {
          const status = await statusOf(task);
          assert.notEqual(status?.state, "done", `task ${task} was done before anything could be done to it`);
          return status?.state === "training" || status?.state === "finishing";
        };
        await cluster.until("task 0 is in training", 300, isTraining(0));
        await cluster.run("scontrol", ["requeue", (await cluster.array(array)).get(0)!.JobId]);
        await cluster.until("task 1 is in training", 300, isTraining(1));
        Deno.kill((await statusOf(1))!.process, "SIGKILL");
        await cluster.until("the array is over", 600, async () => {
          const jobs = [...(await cluster.array(array)).values()];
          return jobs.length === 3 && jobs.every(({ JobState }) => ["COMPLETED", "FAILED"].includes(JobState));
        });
        for (const [task, { JobState }] of await cluster.array(array)) {
          assert.equal(JobState, "COMPLETED", `task ${task}`);
        }
        const starts = await Promise.all(tasks.map(async (_, task) => (await statusOf(task))?.attempts));
        assert.ok(starts[1]! > 1, "the killed task was started again");
      }
      const done = await mtc("sweep", join(serial, "plan.json"));
      assert.equal(done.code, 0, done.stderr);
      const reports = await Promise.all([fleet, serial].map(async (place) => {
        const out = join(place, "out");
        const { code, stderr } = await mtc("report", "--runs", join(place, "runs"), "--out", out, "--tasks");
        assert.equal(code, 0, stderr);
        assert.deepEqual([...Deno.readDirSync(out)].map(({ name }) => name).sort(), REPORTED);
        return await Promise.all(REPORTED.map((name) => Deno.readFile(join(out, name))));
      }));
      assert.deepEqual(reports[0], reports[1]);
      for (const { run } of tasks) {
        for (const file of ["transcoder.safetensors", "samples.jsonl", "evaluation.json", "features.csv"]) {
          const [one, other] = await Promise.all(
            [fleet, serial].map((place) => Deno.readFile(join(place, "runs", run, "layer2", file))),
          );
          assert.deepEqual(one, other, `${run}: ${file}`);
        }
      }
    }),
});
