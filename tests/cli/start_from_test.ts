/** Runs that start from the finished weights of another: where they begin, what they keep, and what they refuse. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { readConfig } from "../../core/runs/config.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { readMetrics } from "../../core/runs/metrics.ts";
import { FINISHED, finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

const LAYERS = ["layer2", "layer4"], first = join(runs, "first");

/** Whole files of a run, by path. */
async function filesOf(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = join(directory, name);
    if (isDirectory) Object.assign(found, await filesOf(path));
    else found[path] = createHash("sha256").update(await Deno.readFile(path)).digest("hex");
  }
  return found;
}

const fvuOf = ({ fvu_per_prefix }: { fvu_per_prefix: readonly number[] }) => fvu_per_prefix.at(-1)!;

{
  const { code, stderr } = await mtc("train", ...SMALL, "--runs", runs, "--name", "first");
  assert.equal(code, 0, stderr);
}
const before = await filesOf(first);

const FURTHER = [
  "--steps",
  "12",
  "--k",
  "10",
  "--learning-rate",
  "5e-3",
  "--checkpoint-every",
  "12",
  "--data-seed",
  "3",
];
const train = (name: string, ...args: string[]) =>
  mtc("train", "--start-from", first, "--runs", runs, "--name", name, ...args);

{
  const { code, stderr } = await train("second", ...FURTHER);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^ {2}from the weights of first\/layer2 after 30 steps$/m);
}

Deno.test("a run from finished weights goes on where those ended, on other text at another rate and k", async () => {
  for (const layer of LAYERS) {
    const groups = [16, 32, 16];
    const then = await readMetrics(join(first, layer), groups),
      now = await readMetrics(join(runs, "second", layer), groups);
    const { fvu } = await readEvaluation(join(first, layer));
    assert.equal(now[0].step, 1);
    assert.ok(Math.abs(fvuOf(now[0]) / fvu - 1) < 0.15, `${layer}: ${fvuOf(now[0])} where the parent ended at ${fvu}`);
    assert.ok(fvuOf(then[0]) > 1.3 * fvuOf(now[0]), `random weights begin with ${fvuOf(then[0])}`);
    assert.ok(fvuOf(now.at(-1)!) < fvu);
  }
});

Deno.test("its settings are the parent's but for those given; config.json names the parent, which stays as it was", async () => {
  for (const layer of LAYERS) {
    const [then, now] = await Promise.all([first, join(runs, "second")].map((run) => readConfig(join(run, layer))));
    const fingerprint = before[join(first, layer, "transcoder.safetensors")];
    assert.deepEqual(now.parent, { name: `first/${layer}`, fingerprint, steps: 30 });
    const given = { steps: 12, k: 10, learning_rate: 5e-3, checkpoint_every: 12, data_seed: 3 };
    // What follows from the steps: 2 of the embedded model's 30 are warm-up in 30 steps, and so one in 12.
    const following = {
      warmup_steps: now.warmup_steps,
      threshold_rate: 10 / 12,
      created: now.created,
      parent: now.parent,
    };
    assert.deepEqual(now, { ...then, ...given, ...following });
    assert.equal(now.warmup_steps, 1);
  }
  assert.deepEqual(await filesOf(first), before);
});

Deno.test("killed before its first own checkpoint and resumed without its parent, it ends with the same bytes", async () => {
  const args = ["run", "--no-check", "-A", MAIN, "train", "--start-from", first, "--runs", runs, "--name", "killed"];
  const child = new Deno.Command(Deno.execPath(), { args: [...args, ...FURTHER], stdout: "null", stderr: "piped" })
    .spawn();
  const checkpoints = join(runs, "killed", "layer4", "checkpoints");
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!names(checkpoints).includes("step_000000") && !hasEnded) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  child.kill("SIGKILL");
  await Promise.all([child.status, child.stderr.cancel()]);
  assert.deepEqual(names(checkpoints), ["step_000000"], "no later one was written");
  await Deno.rename(first, join(runs, "away"));
  try {
    const { code, stderr } = await mtc("train", "--resume", join(runs, "killed"));
    assert.equal(code, 0, stderr);
  } finally {
    await Deno.rename(join(runs, "away"), first);
  }
  for (const layer of LAYERS) {
    const [whole, killed] = await Promise.all(
      ["second", "killed"].map((run) => finishedContent(join(runs, run, layer), FINISHED)),
    );
    assert.deepEqual(killed, whole);
  }
});

Deno.test("one transcoder alone is a start too; reports name it and say nothing of twice the steps", async () => {
  const args = ["--runs", runs, "--name", "one", "--steps", "12"];
  const { code, stderr } = await mtc("train", "--start-from", join(first, "layer4"), ...args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(names(join(runs, "one")), ["layer4"]);
  const out = join(runs, "reports");
  assert.equal((await mtc("report", "--quick", "--runs", join(runs, "one"), "--out", out)).code, 0);
  const summary = await Deno.readTextFile(join(out, "LAYER4_TRAINING_SUMMARY.md"));
  assert.match(
    summary,
    /^- \*\*Started From:\*\* the weights of `first\/layer4` after 30 steps, SHA-256 [0-9a-f]{12}$/m,
  );
  assert.doesNotMatch(summary, /[Tt]wice the steps(?! would give are mtc's own)/);
});

const refused: [what: string, code: number, args: string[], message: RegExp][] = [
  ["other groups", 2, ["--groups", "32,32"], /keeps the groups 16,32,16 .*, it is to have 32,32; leave --groups/],
  ["another size", 2, ["--dictionary", "128"], /keeps the groups 16,32,16 .*, it is to have 32,64,32; leave --groups/],
  ["a layer that it lacks", 1, ["--layers", "3"], /hold a transcoder of layer 3, it holds layer2.resid_mid/],
  ["a site that it lacks", 1, ["--source", "mlp_in"], /hold a transcoder from mlp_in, it holds layer2.resid_mid/],
  ["a length of random rows", 2, ["--encoder-norm", "1"], /with --encoder-norm: that is the length of random rows/],
];
for (const [what, code, args, message] of refused) {
  Deno.test(`refused: ${what}`, async () => {
    const outcome = await train("refused", ...args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, message);
    assert.deepEqual(names(join(runs, "refused")), []);
  });
}

Deno.test("refused: what is no run, one that is resumed, an unfinished one, another model", async () => {
  const { stderr: none } = await mtc("train", "--start-from", join(runs, "none"), "--runs", runs, "--name", "refused");
  assert.match(none, /open the run .*none: it must be a directory that `mtc train` wrote, .*; check --start-from$/);
  const both = await mtc("train", "--start-from", first, "--resume", first);
  assert.equal(both.code, 2);
  assert.match(
    both.stderr,
    /^mtc: Cannot resume with --start-from: a resumed run keeps the settings of its config.json/,
  );
  const changed = join(runs, "changed");
  await cp(first, changed, { recursive: true });
  const config = join(changed, "layer2", "config.json"),
    { fingerprint } = (await readConfig(join(first, "layer2"))).model;
  await Deno.remove(join(changed, "layer4"), { recursive: true });
  // As in a run of an older mtc, which knew no sums: what is changed is told by what it says.
  await Deno.remove(join(changed, "layer2", "sums.json"));
  await Deno.writeTextFile(config, (await Deno.readTextFile(config)).replace(fingerprint!, "0".repeat(64)));
  const again = () => mtc("train", "--start-from", changed, "--runs", runs, "--name", "refused");
  assert.match((await again()).stderr, /Cannot start from .*changed: the model's weights and tokenizer must be the/);
  await Deno.remove(join(changed, "layer2", "transcoder.safetensors"));
  assert.match((await again()).stderr, /open the run .*layer2: it must be finished, transcoder.safetensors is missing/);
});
