/** Interrupted runs: killed or stopped at any moment and resumed, they end with the bytes of a run that was left alone. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { exists } from "../../core/files/exists.ts";
import { readConfig, type TranscoderConfig } from "../../core/runs/config.ts";
import { LINEAR_MAP_FILE } from "../../core/runs/linear_map.ts";
import { filesToMake } from "../../core/runs/lost_files.ts";
import { PREPARATION_FILE, writePreparation } from "../../core/runs/preparation.ts";
import { SUMS_FILE } from "../../core/runs/sums.ts";
import { CHECKPOINT_FILES } from "../../core/training/checkpoint.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { FINISHED, finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { mtc, type Outcome } from "./tiny_run.ts";

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
  [
    "while it writes a checkpoint",
    (run) => () => names(join(runs, run, "layer2", "checkpoints")).some((name) => name.startsWith(".step_000010.")),
  ],
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
          assert.equal(
            files.filter((file) => !file.startsWith(".")).length,
            CHECKPOINT_FILES.length,
            `${name} is whole`,
          );
        }
      }
    });
  }
  await assertSameEnd("killed");
});

Deno.test("a run killed at random moments ends with the same bytes", async () => {
  const seconds = Array.from({ length: 3 }, () => 1 + 8 * Math.random());
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

/** Sends a signal to a run under way and checks what it says and leaves; returns the step it stopped after. */
async function stop(run: string, code: number, signal: Deno.Signal, further: Deno.Signal[] = []): Promise<void> {
  const child = startNew(run);
  assert.ok(await signalWhen(child, signal, hasCheckpoint(run, "layer4", "step_000010")), "the run was still going");
  for (const signal of further) child.kill(signal);
  const [status, stderr] = await Promise.all([child.status, child.stderr.text()]);
  assert.equal(status.code, code, stderr);
  const said = /^mtc: Stopped after step (\d+) of 30, which is saved; go on with: mtc train --resume (.*)$/m.exec(
    stderr,
  );
  assert.ok(said, stderr);
  assert.equal(said[2], join(runs, run));
  for (const layer of LAYERS) {
    assert.ok(names(join(runs, run, layer, "checkpoints")).includes(`step_${said[1].padStart(6, "0")}`), "it is saved");
    assert.ok(!names(join(runs, run, layer)).includes("transcoder.safetensors"));
  }
}

Deno.test("Ctrl-C saves the run, says how to go on and exits with 130; resumed, it ends with the same bytes", async () => {
  await stop("interrupted", 130, "SIGINT");
  const { code, stderr } = await resume("interrupted");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^Resuming 2 transcoders of tiny-gemma2$/m);
  assert.deepEqual(await content("interrupted"), whole);
});

Deno.test("SIGTERM, also where it comes several times, saves the run and exits with 75", () =>
  stop("terminated", 75, "SIGTERM", ["SIGTERM", "SIGHUP"]));

Deno.test("SIGUSR2 and SIGHUP do the same", async () => {
  await stop("warned", 75, "SIGUSR2");
  await stop("hung", 75, "SIGHUP");
});

Deno.test("Ctrl-C after the last step says so and loses nothing", async () => {
  await copyRun("whole", "sampling");
  const { code, stderr } = await interruptAtStart(start("--resume", join(runs, "sampling")));
  assert.equal(code, 130, stderr);
  assert.match(
    stderr,
    /^mtc: Stopped after the last step, before the samples and the evaluation; go on with: mtc train --resume/m,
  );
  assert.deepEqual(names(join(runs, "sampling", "layer2")), [
    ...["checkpoints", "config.json", "linear_map.safetensors", "metrics.csv", "preparation.safetensors"],
  ]);
  await assertSameEnd("sampling");
});

Deno.test("Ctrl-C before the first step leaves nothing", async () => {
  // A first buffer that takes minutes.
  const args = [...SMALL, "--steps", "3000", "--buffer", "200000", "--runs", join(runs, "empty"), "--name", "early"];
  const { code, stderr } = await interruptAtStart(start(...args));
  assert.equal(code, 130, stderr);
  assert.match(stderr, /^mtc: Stopped before the first of 3000 steps; nothing was written$/m);
  assert.deepEqual(names(join(runs, "empty")), []);
});

/** Interrupts a run as soon as it has said what it does. */
async function interruptAtStart(child: Deno.ChildProcess): Promise<{ code: number; stderr: string }> {
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let stderr = "";
  while (!stderr.includes("into ")) stderr += (await reader.read()).value ?? assert.fail(stderr);
  child.kill("SIGINT");
  for (let part = await reader.read(); !part.done; part = await reader.read()) stderr += part.value;
  return { code: (await child.status).code, stderr };
}

function assertRefused({ code, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
  assert.equal(code, expected, stderr);
  assert.equal(stdout, "");
  assert.match(stderr.trimEnd().split("\n").pop()!, message);
}

Deno.test("a run that leaves tokens out for ids and norms ends with the same bytes when it is resumed, counts included", async () => {
  const { code, stderr } = await mtc(
    ...["train", ...SMALL, "--runs", runs, "--name", "leaving"],
    ...["--exclude-norm-above", "1.2", "--exclude-tokens", "▁the", ","],
  );
  assert.equal(code, 0, stderr);
  const expected = await content("leaving"), all = await content("whole");
  for (const [i, layer] of LAYERS.entries()) {
    const { token_counts: { training, samples }, outlier_tokens } = JSON.parse(expected[i]["evaluation.json"]);
    assert.ok(
      training.outlier_tokens > 40 && samples.outlier_tokens > 20 && outlier_tokens > 10,
      expected[i]["evaluation.json"],
    );
    assert.notEqual(expected[i]["transcoder.safetensors"], all[i]["transcoder.safetensors"], layer);
    const { median_norms } = JSON.parse(await Deno.readTextFile(join(runs, "leaving", layer, "config.json")));
    assert.deepEqual(median_norms.map(({ layer }: { layer: number }) => layer), [2, 4], "those of the whole run");
  }
  // From step 20, inside of a buffer; from step 30, behind all buffers; and from the first one on.
  for (
    const [run, without] of [["leaving20", ["step_000030"]], ["leaving30", []], ["leaving0", [
      "step_000020",
      "step_000030",
    ]]] as const
  ) {
    await copyRun("leaving", run, ...without);
    const resumed = await resume(run);
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.deepEqual(await content(run), expected, run);
  }
  for (const layer of LAYERS) {
    const path = join(runs, "leaving", layer),
      stored = JSON.parse(await Deno.readTextFile(join(path, "evaluation.json")));
    const { code, stdout, stderr } = await mtc("evaluate", "--run", path, "--json");
    assert.equal(code, 0, stderr);
    const { tokens, excluded_tokens, outlier_tokens, fvu } = JSON.parse(stdout);
    assert.deepEqual([tokens, excluded_tokens, outlier_tokens], [
      ...[stored.tokens, stored.excluded_tokens, stored.outlier_tokens],
    ], `${layer} alone leaves out what the run did`);
    assert.ok(Math.abs(fvu - stored.fvu) < 1e-6 * fvu);
  }
});

Deno.test("a finished run of an older mtc has no checksums, opens, and is given some when it is resumed", async () => {
  await copyFinished("unsummed");
  const path = join(runs, "unsummed", "layer4", SUMS_FILE);
  const { code, stderr } = await mtc("encode", "--run", join(runs, "unsummed"), "--text", "The Union");
  assert.equal(code, 0, stderr);
  assert.ok(!await exists(path));
  assert.match((await resume("unsummed")).stdout, /is finished already/);
  assert.equal(await Deno.readTextFile(path), await Deno.readTextFile(join(runs, "whole", "layer4", SUMS_FILE)));
});

Deno.test("resuming a finished run says that it is finished and changes nothing", async () => {
  const { code, stdout } = await resume("whole");
  assert.equal(code, 0);
  assert.match(stdout, /whole is finished already; read about it with: mtc report --runs .*whole$/);
  const json = await mtc("train", "--resume", join(runs, "whole"), "--json");
  assert.deepEqual(JSON.parse(json.stdout).layers.map(({ layer }: { layer: number }) => layer), [2, 4]);
  assert.deepEqual(await content("whole"), whole);
});

Deno.test("what a finished run has lost or is damaged is made again from its last checkpoint, and nothing else", async () => {
  const run = join(runs, "lost"), [first, second] = LAYERS.map((layer) => join(run, layer));
  await copyFinished("lost");
  const evaluation = await Deno.readTextFile(join(first, "evaluation.json"));
  await Deno.writeTextFile(join(first, "evaluation.json"), evaluation.replace(/\n$/, " \n"));
  for (const name of ["samples.jsonl", "training_samples.jsonl", "metrics.csv"]) await Deno.remove(join(first, name));
  for (const name of ["transcoder.safetensors", "features.csv", "evaluation.json", "samples.jsonl", "metrics.csv"]) {
    await Deno.truncate(join(second, name), (await Deno.stat(join(second, name))).size - 60);
  }
  const out = join(runs, "reported");
  const reported = await mtc("report", "--runs", run, "--out", out);
  assertRefused(reported, 1, /layer4.evaluation\.json: it must be .*; make it again: mtc train --resume \S+lost$/);
  assert.match(
    reported.stderr,
    /layer2 was skipped: metrics\.csv, samples\.jsonl are missing; `mtc train --resume \S+lost` makes them again$/m,
  );
  const { code, stderr } = await resume("lost");
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /^mtc: metrics\.csv, samples\.jsonl, training_samples\.jsonl of \S+layer2 will be made again$/m,
  );
  assert.ok((await Deno.readTextFile(join(first, "evaluation.json"))).endsWith(" \n"), "what was whole stays");
  await Deno.writeTextFile(join(first, "evaluation.json"), evaluation);
  assert.deepEqual(await content("lost"), whole);
});

Deno.test("a changed byte in any file of a finished run is told by whoever reads it, and made again", async () => {
  await copyFinished("flipped");
  const run = join(runs, "flipped"), [first, second] = LAYERS.map((layer) => join(run, layer));
  for (const layer of LAYERS) await Deno.copyFile(join(runs, "whole", layer, SUMS_FILE), join(run, layer, SUMS_FILE));
  const config = await readConfig(first), sums = JSON.parse(await Deno.readTextFile(join(first, SUMS_FILE)));
  assert.deepEqual(Object.keys(sums), [...FINISHED].sort(), "every file has a checksum");
  assert.deepEqual(await filesToMake(first, config), []);
  for (const name of FINISHED) {
    const path = join(first, name), bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.with(bytes.length - 5, bytes.at(-5)! ^ 1));
    if (name !== "config.json") assert.ok((await filesToMake(first, config)).includes(name), name);
  }
  const told = "its bytes must be those that were written, as sums.json has their checksum, they are others";
  const refusal = await mtc("encode", "--run", run, "--text", "The Union");
  assertRefused(refusal, 1, new RegExp(`config\\.json: ${told}; restore it, or take its line out of \\S+sums\\.json`));
  await Deno.copyFile(join(runs, "whole", "layer2", "config.json"), join(first, "config.json"));
  const remedy = `; make it again: mtc train --resume ${run}`;
  for (
    const command of [["report", "--quick", "--runs"], ["evaluate", "--run"], ["encode", "--text", "Union", "--run"]]
  ) {
    assertRefused(await mtc(...command, first), 1, new RegExp(`${told}${remedy}`));
  }
  await Deno.remove(join(second, LINEAR_MAP_FILE));
  await Deno.copyFile(join(runs, "whole", "layer2", "transcoder.safetensors"), join(first, "transcoder.safetensors"));
  assertRefused(
    await mtc("evaluate", "--run", second),
    1,
    new RegExp(`linear_map\\.safetensors: it must be there, as sums\\.json names it, it is missing${remedy}`),
  );
  const { code, stderr } = await resume("flipped");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^mtc: linear_map\.safetensors of \S+layer4 will be made again$/m);
  assert.deepEqual(await content("flipped"), whole);
  assert.deepEqual(JSON.parse(await Deno.readTextFile(join(first, SUMS_FILE))), sums);
});

Deno.test("what of a finished run cannot be made again is said before any work", async () => {
  await copyFinished("gone");
  const layer = join(runs, "gone", "layer2"), checkpoint = join(layer, "checkpoints", "step_000030");
  await Deno.remove(join(layer, "features.csv"));
  await Deno.mkdir(join(layer, "features.csv"));
  assertRefused(
    await resume("gone"),
    1,
    /Cannot make \S+features\.csv again: it must be a file .*; move it elsewhere$/,
  );
  await Deno.remove(join(layer, "features.csv"));
  // A checkpoint of an older mtc.
  await Deno.remove(join(checkpoint, "metrics.csv"));
  await Deno.remove(join(layer, "metrics.csv"));
  const refused = await resume("gone");
  assertRefused(
    refused,
    1,
    /Cannot make metrics\.csv, features\.csv of \S+ again: .* a copy of metrics\.csv, it holds/,
  );
  await Deno.remove(checkpoint, { recursive: true });
  assertRefused(await resume("gone"), 1, /checkpoint of its last step must be there, it was removed; restore what/);
});

Deno.test("a run of an older mtc that has lost its metrics.csv goes on, and one of this mtc that has lost what it began with", async () => {
  await copyRun("whole", "unlogged", "step_000030");
  const layer = join(runs, "unlogged", "layer2");
  await Deno.remove(join(layer, "metrics.csv"));
  // Its checkpoints hold neither a copy nor checksums.
  const checkpoint = join(layer, "checkpoints", "step_000020");
  await Deno.remove(join(checkpoint, "metrics.csv"));
  await forgetSums(checkpoint);
  // Those of this one have copies of what it began with.
  await Deno.remove(join(runs, "unlogged", "layer4", PREPARATION_FILE));
  await Deno.truncate(join(runs, "unlogged", "layer4", LINEAR_MAP_FILE), 1000);
  const { code, stderr } = await resume("unlogged");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^mtc: metrics\.csv of \S+layer2 is gone; what is logged from here on begins behind step 20$/m);
  const expected = whole.map((files) => files["metrics.csv"].split("\n")), now = await content("unlogged");
  assert.deepEqual(now[0]["metrics.csv"].split("\n"), [expected[0][0], ...expected[0].slice(21)]);
  assert.deepEqual(now[1], whole[1]);
});

Deno.test("a resumed run takes no other settings", async () => {
  for (const more of [["--steps", "40"], ["--seed", "0"], ["--runs", runs], ["--include-bos"]]) {
    const outcome = await mtc("train", "--resume", join(runs, "whole"), ...more);
    assertRefused(outcome, 2, new RegExp(`^mtc: Cannot resume with ${more[0]}: a resumed run keeps the settings`));
  }
});

const garbage: [what: string, files: Record<string, string>, message: RegExp][] = [
  [
    "a directory without transcoders",
    { "notes.txt": "mine" },
    /it must hold the directories of an interrupted run's transcoders, it holds none/,
  ],
  [
    "a transcoder without config.json",
    { "layer2/metrics.csv": "" },
    /Cannot read .*layer2.config\.json: the file must exist, it does not/,
  ],
  ["a config.json that is no JSON", { "layer2/config.json": "{", "layer2/metrics.csv": "" }, /must be complete JSON/],
  ["a config.json of something else", { "layer2/config.json": "{}" }, /transcoders, it holds none/],
  [
    "half a config.json",
    { "layer2/config.json": '{ "mtc_version": "0.1.0" }' },
    /adapter must be there, it is missing/,
  ],
];
for (const [i, [what, files, message]] of garbage.entries()) {
  Deno.test(`refuses to resume ${what}`, async () => {
    const run = `garbage${i}`;
    for (const [name, text] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(runs, run, name)), { recursive: true });
      await Deno.writeTextFile(join(runs, run, name), text);
    }
    assertRefused(await resume(run), 1, message);
  });
}

Deno.test("refuses to resume what does not exist, or is a file", async () => {
  assertRefused(await resume("nowhere"), 1, /^mtc: Cannot resume .*nowhere: there is no such file or directory/);
  await Deno.writeTextFile(join(runs, "file"), "");
  assertRefused(await resume("file"), 1, /^mtc: Cannot resume .*file: a part of the path is a file, not a directory/);
});

/** Copies the run as it was after step 20, changes a layer's config.json and resumes. */
async function resumeWith(run: string, layer: string, edit: (config: TranscoderConfig) => unknown): Promise<Outcome> {
  await copyRun("whole", run, "step_000030");
  const path = join(runs, run, layer, "config.json"), config = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...config, ...edit(config) as object }));
  return await resume(run);
}

/** Gives all layers of a copied run the config.json of the whole one, changed, and resumes. */
async function resumeChanged(run: string, edit: (config: TranscoderConfig) => object): Promise<Outcome> {
  for (const layer of LAYERS) {
    const config = JSON.parse(await Deno.readTextFile(join(runs, "whole", layer, "config.json")));
    await Deno.writeTextFile(join(runs, run, layer, "config.json"), JSON.stringify({ ...config, ...edit(config) }));
  }
  return await resume(run);
}

Deno.test("refuses to resume transcoders that belong to different runs, or whose config.json contradicts itself", async () => {
  const other = await resumeWith("mixed", "layer4", () => ({ data_seed: 1 }));
  assertRefused(
    other,
    1,
    /its transcoders must share steps, harvest, model and text, those of layer4 are not those of layer2/,
  );
  const swapped = await resumeWith("swapped", "layer4", () => ({ layer: 3 }));
  assertRefused(swapped, 1, /layer: it must be the first target's layer, it is 3/);
});

Deno.test("refuses to resume with settings that cannot be trained, however they came into config.json", async () => {
  const cases: [change: object, message: RegExp][] = [
    [
      { k: 65 },
      /Cannot read .*layer2.config\.json: k: it must be .* from 1 to the dictionary's 64 features, it is 65; correct/,
    ],
    [
      { batch_tokens: 5000 },
      /buffer_tokens: .* at least 2500 for batch_tokens = 5000 and passes = 2, it is 1024; correct/,
    ],
    [{ context: 1 }, /context: expected >=2, it is 1; correct/],
    [{ beta1: 1 }, /beta1: it must be 0 or more and below 1, it is 1; correct/],
  ];
  await copyRun("whole", "untrainable", "step_000030");
  for (const [change, message] of cases) {
    assertRefused(await resumeChanged("untrainable", () => change), 1, message);
  }
});

Deno.test("refuses to resume with other settings than the checkpoint's steps were taken with", async () => {
  const cases: [change: object, message: RegExp][] = [
    [
      { learning_rate: 0.5 },
      /Cannot resume .*layer2: config\.json must have the learning_rate that its first 20 steps were taken with, [\d.e-]+, it is 0\.5; set it back/,
    ],
    [
      { exclude_tokens: [7] },
      /the exclude_tokens that its first 20 steps were taken with, \[[\d,]*\], it is \[7\]; set it back/,
    ],
    [
      { evaluation_tokens: 512, sample_every: 3 },
      /the sample_every that its first 20 steps were taken with, \d+, it is 3;/,
    ],
  ];
  await copyRun("whole", "retrained", "step_000030");
  for (const [change, message] of cases) {
    assertRefused(await resumeChanged("retrained", () => change), 1, message);
  }
});

Deno.test("refuses to resume with another text or model than the run began with", async () => {
  await copyRun("whole", "changed", "step_000030");
  const text = await resumeChanged("changed", ({ data }) => ({ data: { ...data, bytes: 7, fingerprint: "beef" } }));
  assertRefused(
    text,
    1,
    /the text's contents must be the \d+ documents, 7 bytes, fingerprint beef that .*, they are \d+ documents, \d+ bytes, .*; put [^;]*, then go on with: mtc train --resume \S+$/m,
  );
  const model = await resumeChanged("changed", ({ model }) => ({ model: { ...model, d_model: 64 } }));
  assertRefused(model, 1, /the model's layers, width and vocabulary must be the 6, 64, 4096 that the run began with/);
});

const damages: [what: string, file: string, damage: (path: string) => Promise<void>, message: RegExp][] = [
  [
    "a truncated",
    "optimizer.safetensors",
    (path) => Deno.truncate(path, 100_000),
    /its bytes must be those that were written, as state\.json has their checksum, they are others/,
  ],
  ["a missing", "samples.safetensors", (path) => Deno.remove(path), /there is no such file/],
  [
    "a malformed",
    "state.json",
    (path) => Deno.writeTextFile(path, '{"step": 20'),
    /it must hold step 20 and its place/,
  ],
];
for (const [i, [what, file, damage, message]] of damages.entries()) {
  Deno.test(`a newest checkpoint with ${what} ${file} is named`, async () => {
    const run = `damaged${i}`, checkpoint = join(runs, run, "layer4", "checkpoints", "step_000020");
    await copyRun("whole", run, "step_000030");
    await damage(join(checkpoint, file));
    const outcome = await resume(run), [sentence] = outcome.stderr.trimEnd().split("\n").slice(-1);
    assertRefused(outcome, 1, message);
    assert.ok(sentence.startsWith(`mtc: Cannot read ${join(checkpoint, file)}: `), sentence);
    assert.match(
      sentence,
      /: the checkpoint is damaged; remove the directory .*step_000020, so that the checkpoint before it is taken or the run starts over, then go on with: mtc train --resume \S+$/,
    );
  });
}

Deno.test("without a damaged checkpoint of one layer, and with half a row of metrics, a run goes on from what all layers have", async () => {
  await copyRun("whole", "removed", "step_000030");
  await Deno.remove(join(runs, "removed", "layer4", "checkpoints", "step_000020"), { recursive: true });
  for (const layer of LAYERS) {
    const path = join(runs, "removed", layer, "metrics.csv");
    const rows = (await Deno.readTextFile(path)).split("\n");
    // The row of step 25 was being written when the process died: its first digit is a step before the checkpoint.
    await Deno.writeTextFile(path, [...rows.slice(0, 25), "2"].join("\n"));
  }
  await assertSameEnd("removed");
});

Deno.test("a run of mtc 0.1.0 goes on with the preparation that it began with, in directories of any name", async () => {
  const scales = { source: 0.5, target: 2 },
    files = FINISHED.filter((name) => name !== PREPARATION_FILE && name !== LINEAR_MAP_FILE);
  for (const layer of LAYERS) {
    const newer = JSON.parse(await Deno.readTextFile(join(runs, "whole", layer, "config.json")));
    const { format: _, encoder_norm: __, ...config } = newer;
    await Deno.mkdir(join(runs, "old", layer), { recursive: true });
    await Deno.writeTextFile(join(runs, "old", layer, "metrics.csv"), "");
    const text = JSON.stringify({ ...config, scales }, null, 2) + "\n";
    await Deno.writeTextFile(join(runs, "old", layer, "config.json"), text);
  }
  {
    const { code, stderr } = await resume("old");
    assert.equal(code, 0, stderr);
  }
  const contentOf = (run: string, name: string) => finishedContent(join(runs, run, name), files);
  for (const [i, layer] of LAYERS.entries()) {
    assert.ok(!names(join(runs, "old", layer)).includes(PREPARATION_FILE), "it stays what it was");
    assert.ok(
      !names(join(runs, "old", layer)).includes(LINEAR_MAP_FILE),
      "a map is fitted when a run begins, or never",
    );
    const evaluation = JSON.parse(await Deno.readTextFile(join(runs, "old", layer, "evaluation.json")));
    assert.ok(
      !("linear_map" in evaluation) && evaluation.fvu_unit_variance > 0,
      "its rows are left out, and no others",
    );
    const { "config.json": config, "transcoder.safetensors": bytes } = await contentOf("old", layer);
    assert.ok(!config.includes("format"), "it stays what it was");
    assert.notEqual(bytes, whole[i]["transcoder.safetensors"]);
    const checkpoint = join(runs, "old", layer, "checkpoints", "step_000030", "optimizer.safetensors");
    const [encoder, encoderBias] = await readTensors(checkpoint, "encoder", "encoder_bias");
    const { weights } = await loadTranscoder(join(runs, "old", layer, "transcoder.safetensors"));
    assert.deepEqual(weights.encoder, encoder.map((weight) => weight * scales.source));
    assert.deepEqual(
      weights.encoderBias,
      encoderBias.subarray(0, weights.encoderBias.length),
      "no means are folded in",
    );
  }
  await copyRun("old", "renamed", "step_000030");
  // In the order of their names, which is then not that of the layers.
  const renamed = { layer2: "shallow", layer4: "deep" };
  for (const [layer, name] of Object.entries(renamed)) {
    await Deno.rename(join(runs, "renamed", layer), join(runs, "renamed", name));
  }
  const { code, stdout, stderr } = await mtc("train", "--resume", join(runs, "renamed"), "--json");
  assert.equal(code, 0, stderr);
  const { layers } = JSON.parse(stdout);
  assert.deepEqual(
    layers.map(({ layer, path }: { layer: number; path: string }) => [layer, path]),
    [[4, join(runs, "renamed", "deep")], [2, join(runs, "renamed", "shallow")]],
  );
  for (const [layer, name] of Object.entries(renamed)) {
    assert.deepEqual(await contentOf("renamed", name), await contentOf("old", layer));
  }
});

Deno.test("refuses to resume a run of an older mtc without its preparation, or with another transcoder's", async () => {
  await copyRun("whole", "unprepared", "step_000030");
  for (const layer of LAYERS) await forgetSums(join(runs, "unprepared", layer, "checkpoints", "step_000020"));
  const path = join(runs, "unprepared", "layer4", PREPARATION_FILE);
  await Deno.remove(path);
  assertRefused(await resume("unprepared"), 1, /layer4.preparation\.safetensors: there is no such file/);
  const end = (width: number, scale: number) => ({
    mean: new Float64Array(width),
    scale: new Float64Array(width).fill(scale),
  });
  const write = (width: number, scale: number) =>
    writePreparation(dirname(path), { source: end(128, 1), target: end(width, scale) });
  await write(64, 1);
  assertRefused(await resume("unprepared"), 1, /target\.mean must have 128 numbers, each finite, it has 64; restore/);
  await write(128, 0);
  assertRefused(
    await resume("unprepared"),
    1,
    /target\.scale must have 128 numbers, each above 0 .*, number 0 is 0; restore/,
  );
});

/** Makes a checkpoint one of an mtc that wrote no checksums. */
async function forgetSums(checkpoint: string): Promise<void> {
  const state = join(checkpoint, "state.json"), { sums: _, ...rest } = JSON.parse(await Deno.readTextFile(state));
  await Deno.writeTextFile(state, JSON.stringify(rest));
}

async function readTensors(path: string, ...tensors: string[]): Promise<Float32Array[]> {
  const file = await openSafetensors(path);
  try {
    return await Promise.all(tensors.map((name) => file.readF32(name)));
  } finally {
    await file.close();
  }
}

/** Copies the whole run as it is. */
async function copyFinished(to: string): Promise<void> {
  await copyRun("whole", to);
  for (const layer of LAYERS) {
    for (const name of FINISHED) await Deno.copyFile(join(runs, "whole", layer, name), join(runs, to, layer, name));
  }
}

/** Copies a run as it was at one of its checkpoints, with what came later still to do. */
async function copyRun(from: string, to: string, ...without: string[]): Promise<void> {
  for (const layer of LAYERS) {
    const source = join(runs, from, layer), target = join(runs, to, layer);
    await Deno.mkdir(target, { recursive: true });
    for (const checkpoint of names(join(source, "checkpoints"))) {
      if (without.includes(checkpoint)) continue;
      await Deno.mkdir(join(target, "checkpoints", checkpoint), { recursive: true });
      for (const name of names(join(source, "checkpoints", checkpoint))) {
        await Deno.copyFile(
          join(source, "checkpoints", checkpoint, name),
          join(target, "checkpoints", checkpoint, name),
        );
      }
    }
    for (const name of names(source)) {
      if (!["config.json", "metrics.csv", PREPARATION_FILE, LINEAR_MAP_FILE].includes(name)) continue;
      await Deno.copyFile(join(source, name), join(target, name));
    }
  }
}
