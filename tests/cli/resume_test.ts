/** Interrupted runs: killed or stopped at any moment and resumed, they end with the bytes of a run that was left alone. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

const LAYERS = ["layer2", "layer4"];

async function content(run: string) {
  return await Promise.all(LAYERS.map((layer) => finishedContent(join(runs, run, layer))));
}

{
  const { code, stderr } = await mtc("train", ...SMALL, "--runs", runs, "--name", "whole");
  assert.equal(code, 0, stderr);
}
const whole = await content("whole");

async function resume(run: string) {
  return await mtc("train", "--resume", join(runs, run));
}

/** Resumes to the end and compares with the run that was left alone. */
async function assertSameEnd(run: string): Promise<void> {
  const { code, stderr } = await resume(run);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await content(run), whole);
  for (const layer of LAYERS) {
    assert.deepEqual(names(join(runs, run, layer)), names(join(runs, "whole", layer)), "nothing is left over");
    assert.deepEqual(names(join(runs, run, layer, "checkpoints")), names(join(runs, "whole", layer, "checkpoints")));
  }
}

/** The program in a process of its own; the arguments begin or resume a run. */
function start(...args: string[]): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", MAIN, "train", ...args],
    stdout: "null",
    stderr: "piped",
  });
  return command.spawn();
}

const startNew = (run: string) => start(...SMALL, "--runs", runs, "--name", run);

/** Signals a process as soon as a condition holds; true when it came in time, before the process had ended by itself. */
async function signalWhen(child: Deno.ChildProcess, signal: Deno.Signal, condition: () => boolean): Promise<boolean> {
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!condition() && !hasEnded) await new Promise((resolve) => setTimeout(resolve, 1));
  if (!hasEnded) child.kill(signal);
  return !hasEnded;
}

async function killWhen(child: Deno.ChildProcess, condition: () => boolean): Promise<void> {
  const wasInTime = await signalWhen(child, "SIGKILL", condition);
  const stderr = await child.stderr.text();
  assert.ok(wasInTime, `the run had ended before it could be killed: ${stderr}`);
  await child.status;
}

/** True once a layer's directory holds such a checkpoint. */
const hasCheckpoint = (run: string, layer: string, name: string) => () =>
  names(join(runs, run, layer, "checkpoints")).includes(name);

/** A run is killed at each of these moments in turn, resumed after each, and so gets a little further every time. */
const moments: [moment: string, condition: (run: string) => () => boolean][] = [
  ["before its first checkpoint", (run) => () => names(join(runs, run, "layer4")).includes("metrics.csv")],
  ["while it writes a checkpoint", (run) => hasCheckpoint(run, "layer2", ".partial")],
  ["between the layers' checkpoints", (run) => hasCheckpoint(run, "layer2", "step_000010")],
  ["after a checkpoint in the middle of a buffer", (run) => hasCheckpoint(run, "layer4", "step_000020")],
  ["in the final sampling", (run) => hasCheckpoint(run, "layer4", "step_000030")],
  ["while it writes the finished files", (run) => () => names(join(runs, run, "layer2")).includes("samples.jsonl")],
];

Deno.test("a run killed at many moments, one after the other, ends with the same bytes", async (t) => {
  for (const [i, [moment, condition]] of moments.entries()) {
    await t.step(`killed ${moment}`, async () => {
      await killWhen(i === 0 ? startNew("killed") : start("--resume", join(runs, "killed")), condition("killed"));
      for (const layer of LAYERS) {
        for (const name of names(join(runs, "killed", layer, "checkpoints"))) {
          if (name.startsWith(".")) continue;
          const files = names(join(runs, "killed", layer, "checkpoints", name));
          assert.equal(files.filter((file) => !file.startsWith(".")).length, 4, `${name} is whole`);
        }
      }
    });
  }
  await assertSameEnd("killed");
});

Deno.test("a run killed at random moments ends with the same bytes", async () => {
  const seconds = Array.from({ length: 3 }, () => 1 + 4 * Math.random());
  console.log(`      killed after ${seconds.map((s) => s.toFixed(2)).join(", ")} s`);
  for (const s of seconds) {
    const hasBegun = names(join(runs, "random")).length > 0, started = performance.now();
    const child = hasBegun ? start("--resume", join(runs, "random")) : startNew("random");
    await signalWhen(child, "SIGKILL", () => performance.now() - started > s * 1000);
    await child.stderr.cancel();
    await child.status;
  }
  if (names(join(runs, "random")).length > 0) return await assertSameEnd("random");
  const { code, stderr } = await mtc("train", ...SMALL, "--runs", runs, "--name", "random");
  assert.equal(code, 0, stderr);
  assert.deepEqual(await content("random"), whole);
});

Deno.test("a row of metrics.csv that a killed process left half-written is not kept", async () => {
  await copyRun("whole", "half-row", "step_000030");
  for (const layer of LAYERS) {
    const path = join(runs, "half-row", layer, "metrics.csv");
    const rows = (await Deno.readTextFile(path)).split("\n");
    // The row of step 25 was being written when the process died: its first digit is a step before the checkpoint.
    await Deno.writeTextFile(path, [...rows.slice(0, 25), "2"].join("\n"));
  }
  await assertSameEnd("half-row");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} saves the run, says how to go on, exits with 130, and the end has the same bytes`, async () => {
    const run = signal.toLowerCase(), child = startNew(run);
    const isUnderWay = () => hasCheckpoint(run, "layer4", "step_000010")();
    assert.ok(await signalWhen(child, signal, isUnderWay), "the run was still going");
    const [{ code }, stderr] = await Promise.all([child.status, child.stderr.text()]);
    assert.equal(code, 130, stderr);
    const [, step] = /^mtc: Stopped after step (\d+) of 30, which is saved; go on with: mtc train --resume (.*)$/m.exec(
      stderr,
    ) ?? assert.fail(stderr);
    const checkpoint = `step_${step.padStart(6, "0")}`;
    for (const layer of LAYERS) {
      assert.ok(names(join(runs, run, layer, "checkpoints")).includes(checkpoint), `${layer} has ${checkpoint}`);
      assert.ok(!names(join(runs, run, layer)).includes("transcoder.safetensors"));
    }
    const { code: resumedCode, stderr: resumedStderr } = await resume(run);
    assert.equal(resumedCode, 0, resumedStderr);
    assert.match(resumedStderr, /^Resuming 2 transcoders of tiny-gemma2$/m);
    assert.deepEqual(await content(run), whole);
  });
}

Deno.test("Ctrl-C before the first step leaves nothing", async () => {
  // A first buffer that takes minutes.
  const args = [...SMALL, "--steps", "3000", "--buffer", "200000", "--runs", join(runs, "empty"), "--name", "early"];
  const child = start(...args), reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let stderr = "";
  while (!stderr.includes("into ")) stderr += (await reader.read()).value ?? assert.fail(stderr);
  child.kill("SIGINT");
  for (let part = await reader.read(); !part.done; part = await reader.read()) stderr += part.value;
  assert.equal((await child.status).code, 130, stderr);
  assert.match(stderr, /^mtc: Stopped before the first of 3000 steps; nothing was written$/m);
  assert.deepEqual(names(join(runs, "empty")), []);
});

/** Copies a run as it was at one of its checkpoints, with what came later still to do. */
async function copyRun(from: string, to: string, without: string): Promise<void> {
  for (const layer of LAYERS) {
    const source = join(runs, from, layer), target = join(runs, to, layer);
    for (const checkpoint of names(join(source, "checkpoints"))) {
      if (checkpoint === without) continue;
      await Deno.mkdir(join(target, "checkpoints", checkpoint), { recursive: true });
      for (const name of names(join(source, "checkpoints", checkpoint))) {
        await Deno.copyFile(
          join(source, "checkpoints", checkpoint, name),
          join(target, "checkpoints", checkpoint, name),
        );
      }
    }
    for (const name of ["config.json", "metrics.csv"]) await Deno.copyFile(join(source, name), join(target, name));
  }
}
