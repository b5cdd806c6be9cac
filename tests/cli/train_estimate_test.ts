/** `mtc train --dry-run`, what a run says of itself before it starts, and the lock that keeps a run to one process. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { lockRun } from "../../core/runs/lock.ts";
import { names, SMALL } from "./small_train.ts";
import { inDirectory, mtc } from "./tiny_run.ts";
import { WHOLE_RUN, WHOLE_RUN_SAID } from "./whole_run.ts";

const dry = (...args: string[]) => mtc("train", ...SMALL, "--dry-run", "--name", "run", ...args);

const SECTIONS = [
  "Would train 2 transcoders of tiny-gemma2",
  "GPU memory",
  "Host memory",
  "Disk, in",
  "Time",
  "Its activations",
];

Deno.test("a dry run prints what a run would take, in 80 columns, and writes nothing", () =>
  inDirectory(async (directory) => {
    const { code, stdout, stderr } = await dry("--runs", join(directory, "runs"));
    assert.equal(code, 0, stderr);
    let from = 0;
    for (const section of SECTIONS) {
      from = stdout.indexOf(section, from);
      assert.ok(from >= 0, `${section} in its place in\n${stdout}`);
    }
    const lines = stdout.split("\n").filter((line) => !line.includes(directory));
    for (const line of lines) assert.ok(line.length <= 80, line);
    assert.deepEqual(names(directory), []);
  }));

Deno.test("a dry run's JSON has bytes and seconds whose parts add up", () =>
  inDirectory(async (directory) => {
    const { code, stdout, stderr } = await dry("--runs", directory, "--json");
    assert.equal(code, 0, stderr);
    const estimate = JSON.parse(stdout);
    assert.deepEqual(Object.keys(estimate), [
      ...["run", "model", "adapter", "mappings", "gpu_memory", "host_memory", "disk", "time", "fits", "shortage"],
      ...["proposal", "harvest"],
    ]);
    assert.equal(estimate.run, join(directory, "run"));
    assert.deepEqual([estimate.fits, estimate.shortage, estimate.proposal], [true, null, null]);
    const sum = (parts: Record<string, number>) => Object.values(parts).reduce((a, b) => a + b, 0);
    for (const kind of ["gpu_memory", "host_memory", "disk"]) {
      assert.ok(Math.abs(sum(estimate[kind].parts) - estimate[kind].peak) < 10, kind);
    }
    assert.ok(estimate.host_memory.free > 0 && estimate.disk.free > 0);
    const { phases, seconds, range: [low, high] } = estimate.time;
    assert.ok(Math.abs(sum(phases) - seconds) < 1e-6 && low < seconds && seconds < high);
    assert.deepEqual(names(directory), []);
  }));

Deno.test("a plan that does not fit is refused with what would fit, dry or not, and fits as proposed", () =>
  inDirectory(async (directory) => {
    const most = Math.floor(Deno.systemMemoryInfo().total / 512);
    const large = ["--runs", join(directory, "runs"), "--steps", "100000000", "--buffer", String(most)];
    const { code, stdout, stderr } = await dry(...large);
    assert.equal(code, 1);
    const said = /^mtc: Cannot train this plan: it needs .* of memory, .* are free; use (--buffer) (\d+)$/m.exec(
      stderr,
    );
    assert.ok(said, stderr);
    assert.match(stdout, /^Would train/);
    const refused = await mtc("train", ...SMALL, "--name", "run", ...large);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Cannot train this plan: .*; use --buffer \d+$/);
    assert.deepEqual(names(directory), []);
    // Half of it: the memory of a machine in use comes and goes.
    const fitting = await dry("--runs", directory, "--steps", "100000000", said[1], String(Number(said[2]) / 2));
    assert.equal(fitting.code, 0, fitting.stderr);
  }));

async function mount(...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(args[0], { args: args.slice(1), stderr: "null" }).output();
  return success;
}

const small = await Deno.makeTempDir();
const isMounted = Deno.build.os === "linux" && Deno.uid() === 0 &&
  await mount("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small);
globalThis.addEventListener("unload", () => {
  if (isMounted) new Deno.Command("umount", { args: [small] }).outputSync();
  Deno.removeSync(small);
});

Deno.test({
  name: "a disk that is too small is told before the run, with the samples or layers that it takes",
  ignore: !isMounted,
  async fn() {
    const { code, stderr } = await dry("--runs", join(small, "runs"));
    assert.equal(code, 1);
    const said = /needs 3.\d MiB of disk, .* are free; use (--samples|--layers) (\d+)$/.exec(stderr.trimEnd());
    assert.ok(said, stderr);
    const fitting = await dry("--runs", join(small, "runs"), said[1], said[2]);
    assert.equal(fitting.code, 0, fitting.stderr);
    assert.deepEqual(names(small), []);
  },
});

Deno.test("a run says before it starts what it takes; resumed, a dry run tells what is left", () =>
  inDirectory(async (directory) => {
    const says = /^ {2}memory {2}at most .* free\n {2}disk .* free\n {2}time .*about .*, from .* to .*$/m;
    assert.match(WHOLE_RUN_SAID, says);
    await copyUnfinished(WHOLE_RUN, join(directory, "run"));
    const before = names(join(directory, "run", "layer2"));
    const { code, stdout, stderr } = await mtc("train", "--resume", join(directory, "run"), "--dry-run", "--json");
    assert.equal(code, 0, stderr);
    const { time: { phases }, disk } = JSON.parse(stdout);
    assert.deepEqual([phases.training, phases.harvesting, phases.checkpoints], [0, 0, 0]);
    assert.ok(phases["final pass"] > 0 && disk.parts["there already"] < 0 && disk.peak >= 0);
    assert.deepEqual(names(join(directory, "run", "layer2")), before);
  }));

/** Copies a run as it was after its last step. */
async function copyUnfinished(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (name === "transcoder.safetensors" && !from.includes("checkpoints")) continue;
    if (isDirectory) await copyUnfinished(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

/** This machine, as a lock names it. */
const HOST = Deno.hostname().replace(/[^\w.-]/g, "-");

Deno.test("a run that another process works on is refused; a killed process leaves it free", () =>
  inDirectory(async (directory) => {
    const run = join(directory, "runs", "run"),
      code = `
      import { lockRun } from "${new URL("../../core/runs/lock.ts", import.meta.url)}";
      await lockRun(${JSON.stringify(run)});
      console.log("locked");
      setInterval(() => {}, 1000);`;
    const script = join(directory, "hold.ts");
    await Deno.writeTextFile(script, code);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const args = ["run", "-A", "--no-check", "--config", config, script];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await assert.rejects(lockRun(run), {
      name: "RunIsHeld",
      message:
        `Cannot train in ${run}: one process at a time may, process ${child.pid} on ${HOST} does; wait until it ends or stop it`,
    });
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    const lock = await lockRun(run);
    await assert.rejects(lockRun(run), new RegExp(`process ${Deno.pid} on ${HOST} does`));
    await lock.release();
    assert.deepEqual(names(join(directory, "runs")), []);
    await (await lockRun(run)).release();
  }));

Deno.test("a directory for runs that only a lock was made in is gone with it", () =>
  inDirectory(async (directory) => {
    await (await lockRun(join(directory, "runs", "run"))).release();
    assert.deepEqual(names(directory), []);
  }));
