/**
 * An array of twelve tasks of the embedded model on a real Slurm of two nodes, with a fault of each kind on the way: what becomes of each, and
 * whether the merged report and every transcoder have the bytes of a serial run. bench/slurm.md has the log of one.
 *
 * `[MTC=EXECUTABLE] deno run -A bench/slurm.ts [EARLIER]`: MTC is what is tried in place of this source, and EARLIER the directory of an earlier
 * try, whose serial run is taken over.
 *
 * The tasks work as on a file system without locks that two machines share, where a C compiler is there to make it one: only leases keep them
 * from each other.
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readStatus } from "../core/runs/status.ts";
import { taskListsIn } from "../core/runs/task_list.ts";
import { table } from "../reports/markdown/markdown.ts";
import { Cluster, hasSlurm } from "../tests/slurm/cluster.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const PROGRAM = Deno.env.get("MTC") ? [Deno.env.get("MTC")!] : [Deno.execPath(), "run", "--no-check", "-A", MAIN];
const SETTINGS = {
  ...{
    "steps": 120,
    "batch": 256,
    "buffer": 2048,
    "passes": 2,
    "checkpoint-every": 10,
    "sample-every": 20,
    "samples": 20,
  },
  ...{ "sample-tokens": 2048, "evaluation-tokens": 1024, "loss-tokens": 256, "lease": 10, "k": 8, "seed": [0, 1, 2] },
};
const PLANS = {
  "plan.json": { "layers": [2, 4], "dictionary": [64, 96], ...SETTINGS },
  // Its loss is no number from the first steps on.
  "broken.json": { "layers": 2, "dictionary": 64, ...SETTINGS, "seed": 0, "learning-rate": 1e30 },
};
/** The files of a transcoder that two trainings of it must have alike. */
const ALIKE = ["transcoder.safetensors", "samples.jsonl", "features.csv", "evaluation.json", "training_samples.jsonl"];
/** flock as a file system without locks has it. */
const NO_LOCKS = "#include <errno.h>\nint flock(int fd, int how) { errno = ENOLCK; return -1; }\n";

const started = performance.now();
function say(text: string): void {
  console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}`);
}

if (!await hasSlurm()) {
  console.error(
    "bench/slurm: there is no Slurm here, or this is not root: apt-get install slurmctld slurmd slurm-client",
  );
  Deno.exit(1);
}
const root = await Deno.makeTempDir({ prefix: "mtc-slurm-" }),
  serial = join(root, "serial"),
  fleet = join(root, "fleet");
for (const place of [serial, fleet]) {
  await Deno.mkdir(place);
  for (const [name, plan] of Object.entries(PLANS)) await Deno.writeTextFile(join(place, name), JSON.stringify(plan));
}
await Deno.mkdir(join(root, "slurm"));

/** Runs mtc in one of the two places. */
async function mtc(place: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [program, ...before] = PROGRAM, command = new Deno.Command(program, { args: [...before, ...args], cwd: place });
  const { code, stdout, stderr } = await command.output(), text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

if (Deno.args[0]) await new Deno.Command("cp", { args: ["-r", join(Deno.args[0], "serial"), root] }).output();
say("a serial run of both plans");
for (const [name, expected] of [["plan.json", 0], ["broken.json", 1]] as const) {
  const { code, stderr } = await mtc(serial, "sweep", name);
  if (code !== expected) throw new Error(`the serial run of ${name} ended with ${code}: ${stderr}`);
}

let program = PROGRAM.join(" ");
const preload = join(root, "no_locks.so");
await Deno.writeTextFile(join(root, "no_locks.c"), NO_LOCKS);
const made = await new Deno.Command("cc", { args: ["-shared", "-fPIC", "-o", preload, join(root, "no_locks.c")] })
  .output()
  .catch(() => ({ success: false }));
if (made.success) program = `env LD_PRELOAD=${preload} ${program}`;
say(made.success ? "tasks have no locks, only leases" : "no C compiler: tasks have locks beside their leases");

const rows: string[][] = [];
const cluster = await Cluster.start(join(root, "slurm"), 15);
try {
  const submitted: Record<string, string> = {};
  for (const name of Object.keys(PLANS)) {
    const printed = await mtc(fleet, "sweep", name, "--print", "slurm"),
      script = join(fleet, name.replace("json", "sh"));
    if (printed.code !== 0) throw new Error(printed.stderr);
    await Deno.writeTextFile(script, printed.stdout);
    const args = ["--gres=none", "--cpus-per-task=1", "--time=60", "-p", "low", "--chdir", fleet, script];
    submitted[name] = await cluster.submit(args, { MTC: program });
  }
  const array = submitted["plan.json"], runs = join(fleet, "runs");
  say(`array ${array} of 12 tasks and ${submitted["broken.json"]} of one`);
  const list = (await taskListsIn(runs)).find(({ tasks }) => tasks.length === 12)!;
  const statusOf = (task: number) => readStatus(join(runs, list.tasks[task].run)).catch(() => undefined);
  const hit = new Set<number>();

  /** A task whose steps are being taken at this moment and that nothing was done to yet. */
  const victim = async (node?: string): Promise<number> => {
    let found = -1;
    await cluster.until("a task is in training", 900, async () => {
      const jobs = await cluster.array(array);
      for (const [task, { JobState, NodeList }] of jobs) {
        if (hit.has(task) || JobState !== "RUNNING" || (node !== undefined && NodeList !== node)) continue;
        const status = await statusOf(task);
        if (status?.state !== "training" || status.step === 0) continue;
        found = task;
        return true;
      }
      return false;
    });
    hit.add(found);
    return found;
  };
  const jobOf = async (task: number) => (await cluster.array(array)).get(task)!;

  const killed = await victim();
  Deno.kill((await statusOf(killed))!.process, "SIGKILL");
  say(`task ${killed}: its process was killed with -9 at step ${(await statusOf(killed))!.step}`);

  const claimed = await victim(), again = ["-c", `${program} sweep plan.json --task ${claimed}`];
  const answer = await new Deno.Command("sh", { args: again, cwd: fleet }).output();
  const second = { code: answer.code, stderr: new TextDecoder().decode(answer.stderr) };
  say(
    `task ${claimed}: a second process claimed it, and ended with ${second.code}: ${
      second.stderr.trim().split("\n").at(-1)
    }`,
  );

  const requeued = await victim(), { JobId } = await jobOf(requeued);
  await cluster.run("scontrol", ["requeue", JobId]);
  say(`task ${requeued}: scontrol requeue ${JobId}`);

  const lost = await victim("n2"), processes = await cluster.processesOf("n2");
  for (const pid of processes) Deno.kill(pid, "SIGSTOP");
  const stopped = performance.now();
  say(`task ${lost}: node n2 is lost, ${processes.length} processes stand still`);

  const preempted = await victim("n1");
  await cluster.submit(["-p", "high", "-w", "n1", "-n", "2", "--output=/dev/null", "--wrap", "sleep 8"]);
  say(`task ${preempted}: a job of a higher partition wants n1`);

  await cluster.until("a minute is over", 120, () => performance.now() - stopped > 60_000);
  for (const pid of processes) {
    try {
      Deno.kill(pid, "SIGCONT");
    } catch { /* Slurm has ended it. */ }
  }
  say("node n2 is back");

  await cluster.until("all tasks are done", 1500, async () => {
    const arrays = await Promise.all(Object.values(submitted).map((id) => cluster.array(id)));
    const jobs = arrays.flatMap((array) => [...array.values()]);
    return jobs.length === 13 && jobs.every(({ JobState }) => ["COMPLETED", "FAILED", "CANCELLED"].includes(JobState));
  });
  say("the array is over");
  const names = new Map([
    ...[[killed, "killed with -9"], [claimed, "claimed by a second process"], [requeued, "requeued"]] as [
      number,
      string,
    ][],
    ...[[lost, "its node lost for a minute"], [preempted, "preempted by a higher partition"]] as [number, string][],
  ]);
  const jobs = await cluster.array(array);
  for (const [task, { run, transcoders: [{ name }] }] of list.tasks.entries()) {
    const status = await statusOf(task), job = jobs.get(task)!;
    const bytes = (place: string, file: string) => Deno.readFile(join(place, "runs", run, name, file));
    const same = await Promise.all(ALIKE.map(async (file) => {
      const [one, other] = await Promise.all([bytes(serial, file), bytes(fleet, file)]).catch(() => []);
      return one !== undefined && one.length === other.length && one.every((byte, i) => byte === other[i]);
    }));
    rows.push([
      ...[
        String(task),
        names.get(task) ?? "",
        job.JobState,
        job.Restarts,
        String(status?.attempts),
        status?.state ?? "–",
      ],
      same.every(Boolean) ? "yes" : `not ${ALIKE.filter((_, i) => !same[i])}`,
    ]);
  }
  const broken = (await cluster.array(submitted["broken.json"])).get(0)!;
  const brokenRun = (await taskListsIn(runs)).find(({ tasks }) => tasks.length === 1)!.tasks[0].run;
  const told = await readStatus(join(runs, brokenRun));
  rows.push([
    "broken 0",
    "can never work",
    broken.JobState,
    broken.Restarts,
    String(told?.attempts),
    told?.state ?? "–",
    "–",
  ]);
  say(`broken 0: ${told?.reason}`);
} finally {
  await cluster[Symbol.asyncDispose]();
}

for (const place of [serial, fleet]) {
  const { code, stderr } = await mtc(place, "report", "--runs", "runs", "--out", "out", "--tasks");
  if (code !== 0) throw new Error(stderr);
}
const reports = [...Deno.readDirSync(join(serial, "out"))].map(({ name }) => name).sort(), differing: string[] = [];
for (const name of reports) {
  const [one, other] = await Promise.all([serial, fleet].map((place) => Deno.readFile(join(place, "out", name))));
  if (one.length !== other.length || !one.every((byte, i) => byte === other[i])) differing.push(name);
}
const columns = [
  "Task",
  "What was done to it",
  "Slurm's end",
  "Requeued",
  "Starts",
  "status.json",
  "Bytes of the serial run",
];
console.log(table(columns, rows));
console.log(
  `\nMerged report, ${reports.join(", ")}: ${
    differing.length === 0 ? "the bytes of the serial run's" : `other ${differing}`
  }`,
);
const isRight = differing.length === 0 && rows.slice(0, -1).every((row) => row[5] === "done" && row[6] === "yes");
say(`${isRight ? "all as it should be" : "not all as it should be"}; the logs are in ${root}`);
Deno.exit(isRight ? 0 : 1);
