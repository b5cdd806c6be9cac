/** Finished runs that go on for more steps: as runs of their own, from all that the last checkpoint holds. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readConfig } from "../../core/runs/config.ts";
import { readEvaluation } from "../../core/runs/evaluation.ts";
import { readMetrics } from "../../core/runs/metrics.ts";
import { finishedContent, MAIN, names, SMALL } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

const LAYERS = ["layer2", "layer4"], GROUPS = [16, 32, 16], first = join(runs, "first");
const FURTHER = ["--start-from", first, "--more-steps", "16", "--checkpoint-every", "5", "--runs", runs];

for (
  const args of [["train", ...SMALL, "--warmup", "15", "--runs", runs, "--name", "first"], [
    "train",
    ...FURTHER,
    "--name",
    "longer",
  ]]
) {
  const { code, stderr } = await mtc(...args);
  assert.equal(code, 0, stderr);
}

Deno.test("steps and text count on from the parent's; the learning rate warms up again and decays over the new ones", async () => {
  for (const layer of LAYERS) {
    const then = await readMetrics(join(first, layer), GROUPS),
      now = await readMetrics(join(runs, "longer", layer), GROUPS);
    assert.deepEqual(now.map(({ step }) => step), Array.from({ length: 16 }, (_, n) => 31 + n));
    const rates = now.map(({ learning_rate }) => learning_rate),
      near = (a: number, b: number) => Math.abs(a / b - 1) < 1e-6;
    // Half of the parent's steps were warm-up, and so are 8 of these 16.
    assert.ok(rates.slice(0, 8).every((rate, n) => near(rate, 0.025 * (n + 1) / 8)), String(rates));
    assert.ok(near(rates[15], 0.00025) && rates.slice(8).every((rate, n) => rate < rates[n + 7]), String(rates));
    const [last, next] = [then[29], now[0]].map(({ fvu_per_prefix }) => fvu_per_prefix[2]);
    assert.ok(Math.abs(next / last - 1) < 0.2, `${layer}: FVU ${next} behind ${last}`);
    const [before, after] = await Promise.all(
      [first, join(runs, "longer")].map((run) => readEvaluation(join(run, layer))),
    );
    assert.ok(after.fvu < before.fvu, `${after.fvu} behind ${before.fvu}`);
    // Five buffers' steps are fewer than 46: 30 steps draw from four buffers, 46 from six.
    assert.equal(after.token_counts!.training!.tokens / before.token_counts!.training!.tokens, 6 / 4);
  }
});

Deno.test("config.json is the parent's but for what was given and what follows", async () => {
  for (const layer of LAYERS) {
    const [then, now] = await Promise.all([first, join(runs, "longer")].map((run) => readConfig(join(run, layer))));
    const { created, parent, ...rest } = now;
    assert.deepEqual({ name: parent!.name, steps: parent!.steps, goes_on: parent!.goes_on }, {
      name: `first/${layer}`,
      steps: 30,
      goes_on: true,
    });
    const { created: _, ...kept } = then;
    assert.notEqual(created, then.created);
    assert.deepEqual(rest, { ...kept, steps: 46, warmup_steps: 8, checkpoint_every: 5, threshold_rate: 10 / 16 });
    for (const file of ["preparation.safetensors", "linear_map.safetensors"]) {
      const [a, b] = await Promise.all(
        [first, join(runs, "longer")].map((run) => Deno.readFile(join(run, layer, file))),
      );
      assert.deepEqual(a, b);
    }
  }
});

const checkpointsOf = (run: string, layer: string) => join(runs, run, layer, "checkpoints");

/** Runs the program in a process of its own and kills it as soon as its last layer has a checkpoint. */
async function killAt(checkpoint: string, ...args: string[]): Promise<void> {
  const command = ["run", "--no-check", "-A", MAIN, "train", ...args];
  const child = new Deno.Command(Deno.execPath(), { args: command, stdout: "null", stderr: "null" }).spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  const isThere = () => names(checkpointsOf("killed", "layer4")).includes(checkpoint);
  while (!isThere() && !hasEnded) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(!hasEnded, "the run had ended before it could be killed");
  child.kill("SIGKILL");
  await child.status;
}

Deno.test("killed before and behind a checkpoint of its own and resumed without its parent, it ends with the same bytes", async () => {
  await killAt("step_000030", ...FURTHER, "--name", "killed");
  for (const layer of LAYERS) {
    assert.deepEqual(names(checkpointsOf("killed", layer)), ["step_000030"]);
    const [then, now] = await Promise.all(
      ["first", "killed"].map((run) =>
        Deno.readFile(join(checkpointsOf(run, layer), "step_000030", "optimizer.safetensors"))
      ),
    );
    assert.deepEqual(now, then);
  }
  await Deno.rename(first, join(runs, "away"));
  try {
    await killAt("step_000035", "--resume", join(runs, "killed"));
    const { code, stderr } = await mtc("train", "--resume", join(runs, "killed"));
    assert.equal(code, 0, stderr);
  } finally {
    await Deno.rename(join(runs, "away"), first);
  }
  for (const layer of LAYERS) {
    const [whole, killed] = await Promise.all(
      ["longer", "killed"].map((run) => finishedContent(join(runs, run, layer))),
    );
    assert.deepEqual(killed, whole);
  }
});

Deno.test("reports say what it goes on with", async () => {
  const out = join(runs, "reports");
  assert.equal((await mtc("report", "--quick", "--runs", join(runs, "longer"), "--out", out)).code, 0);
  const summary = await Deno.readTextFile(join(out, "LAYER2_TRAINING_SUMMARY.md"));
  assert.match(
    summary,
    /^- \*\*Started From:\*\* all of the training of `first\/layer2` after 30 steps, SHA-256 [0-9a-f]{12}$/m,
  );
  assert.doesNotMatch(summary, /\*\*Twice the steps/);
});

const other = join(runs, "other.txt");
await Deno.writeTextFile(other, "Of all the receipts of the year none was lost.\n\n".repeat(3000));

const refused: [what: string, code: number, args: string[], message: RegExp][] = [
  [
    "no run",
    2,
    ["--more-steps", "5"],
    /with --more-steps: it needs the run that goes on; name it with --start-from, or/,
  ],
  [
    "another k",
    2,
    [...FURTHER, "--k", "4"],
    /with --k: with --more-steps a run keeps what it is and what it reads; leave/,
  ],
  ["steps too", 2, [...FURTHER, "--steps", "4"], /with --steps: with --more-steps a run keeps/],
  ["no step", 2, [...FURTHER, "--more-steps", "0"], /Cannot read --more-steps: it must be a whole number above 0/],
  [
    "another text",
    1,
    [...FURTHER, "--data", other],
    /Cannot go on with .*first: the text's contents must be the .* that the run began with, they are/,
  ],
];
for (const [what, code, args, message] of refused) {
  Deno.test(`refused: ${what}`, async () => {
    const outcome = await mtc("train", "--runs", runs, "--name", "refused", ...args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, message);
    assert.deepEqual(names(join(runs, "refused")), []);
  });
}

Deno.test("refused: a parent whose last checkpoint was removed", async () => {
  const checkpoint = join(first, "layer4", "checkpoints", "step_000030");
  await Deno.rename(checkpoint, join(runs, "checkpoint"));
  const { code, stderr } = await mtc("train", ...FURTHER, "--name", "refused");
  await Deno.rename(join(runs, "checkpoint"), checkpoint);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /Cannot go on with .*layer4: the checkpoint of its last step must be there, .*step_000030, it was removed; restore/,
  );
});
