/** `mtc sweep`: each transcoder is what `mtc train` makes of the same settings alone, in whatever round and however often it was killed. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { MOST_MEMBERS } from "../../commands/train/new_request.ts";
import { finishedContent, MAIN, names } from "./small_train.ts";
import { mtc, type Outcome } from "./tiny_run.ts";

const runs = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(runs, { recursive: true }));

/** As in small_train.ts, of one layer. */
const SMALL = [
  ...["--layers", "2", "--steps", "30", "--batch", "256", "--buffer", "1024", "--passes", "2", "--log-every", "1"],
  ...["--checkpoint-every", "10", "--sample-every", "10", "--samples", "20", "--sample-tokens", "2048"],
  ...["--evaluation-tokens", "1024", "--loss-tokens", "256", "--runs", runs],
];
const LISTS = ["--source", "resid_mid,mlp_in", "--dictionary", "64,96", "--k", "8", "--seed", "1,0"];
const SWEEP = [...SMALL, ...LISTS, "--at-once", "3"];
const PLACES = ["resid_mid", "mlp_in"].map((source) => `layer2.${source}-to-layer2.mlp_out`);
const MEMBERS = PLACES.flatMap((place) =>
  ["f64", "f96"].flatMap((size) => ["seed1", "seed0"].map((seed) => `${place}-${size}-${seed}`))
);

/** What a transcoder's directory holds but for its round; its config.json names the tiles of its whole round, which change no bits. */
async function contentOf(run: string, name: string): Promise<Record<string, unknown>> {
  const directory = join(runs, run, name), config = JSON.parse(await Deno.readTextFile(join(directory, "config.json")));
  const { round: _, ...others } = config;
  return { ...await finishedContent(directory), "config.json": { ...others, tiles: {}, created: "" } };
}

async function content(run: string) {
  return await Promise.all(MEMBERS.map((name) => contentOf(run, name)));
}

function assertRefused({ code, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
  assert.equal(code, expected, stderr);
  assert.equal(stdout, "");
  assert.match(stderr.trimEnd().split("\n").pop()!, message);
}

const swept = await mtc("sweep", ...SWEEP, "--name", "whole");
assert.equal(swept.code, 0, swept.stderr);
const whole = await content("whole");

Deno.test("a sweep is a run of its combinations, in rounds that it says", async () => {
  assert.deepEqual(names(join(runs, "whole")), MEMBERS.toSorted());
  const said = [...swept.stderr.matchAll(/^Round (\d) of 3: (.*)$/gm)].map(([, n, of]) => [Number(n), of.split(", ")]);
  assert.deepEqual(said, [[1, MEMBERS.slice(0, 3)], [2, MEMBERS.slice(3, 6)], [3, MEMBERS.slice(6)]]);
  assert.match(swept.stderr, /^ {2}rounds {2}3, of 3, 3, 2 transcoders\n {2}memory .*\n {2}disk .*\n {2}time .*$/m);
  assert.match(swept.stderr, /^ {2}64 features in groups 16 \+ 32 \+ 16, k 8$/m);
  assert.match(swept.stderr, /^ {2}seeds 1, 0$/m);
  assert.equal(swept.stdout.match(/FVU 0\.\d+ \(linear map 0\.\d+\) {3}L0/g)?.length, 8);
  const rounds = await Promise.all(MEMBERS.map(async (name) => {
    const { round, data_seed } = JSON.parse(await Deno.readTextFile(join(runs, "whole", name, "config.json")));
    return [round, data_seed];
  }));
  assert.deepEqual(rounds, [1, 1, 1, 2, 2, 2, 3, 3].map((round) => [round, 1]), "the text's seed is the first");
});

for (
  const [i, source, size, seed] of [[0, "resid_mid", 64, 1], [3, "resid_mid", 96, 0], [7, "mlp_in", 96, 0]] as const
) {
  Deno.test(`${MEMBERS[i]} has the bytes of the same run alone`, async () => {
    const own = ["--source", source, "--dictionary", size, "--k", 8, "--seed", seed, "--data-seed", 1].map(String);
    const { code, stderr } = await mtc("train", ...SMALL, ...own, "--name", `alone${i}`);
    assert.equal(code, 0, stderr);
    assert.deepEqual(await contentOf(`alone${i}`, "layer2"), whole[i]);
  });
}

Deno.test("what differs in learning rate or nesting alone is told apart, and trained so", async () => {
  const lists = [
    "--dictionary",
    "64",
    "--flat",
    "--k",
    "8",
    "--learning-rate",
    "1e-2,2.5e-2",
    "--sample-tokens",
    "256",
  ];
  const { code, stderr } = await mtc("sweep", ...SMALL, ...lists, "--name", "rates", "--steps", "4");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^ {2}learning rates 0.01, 0.025$/m);
  const made = ["g16+32+16", "g64"].flatMap((groups) =>
    ["lr0.01", "lr0.025"].map((rate) => `layer2-f64-${groups}-${rate}`)
  );
  const short = made.map((name) => name.replace("-f64", ""));
  assert.deepEqual(names(join(runs, "rates")), short);
  for (const name of short) {
    const config = JSON.parse(await Deno.readTextFile(join(runs, "rates", name, "config.json")));
    assert.equal(name, `layer2-g${config.groups.join("+")}-lr${config.learning_rate}`);
    assert.equal(config.round, 1);
  }
});

/** Ends a program by a signal once a condition holds. */
async function signalWhen(args: readonly string[], signal: Deno.Signal, condition: () => boolean) {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", MAIN, ...args],
    stdout: "null",
    stderr: "piped",
  });
  const child = command.spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  while (!condition() && !hasEnded) await new Promise((resolve) => setTimeout(resolve, 1));
  const wasInTime = !hasEnded;
  if (wasInTime) child.kill(signal);
  const [{ code }, stderr] = await Promise.all([child.status, child.stderr.text()]);
  assert.ok(wasInTime, `it ended before it could be stopped: ${stderr}`);
  return { code, stderr };
}

/** The order in which a resumed sweep takes them. */
const SORTED = MEMBERS.toSorted();

/** True once the directory of one of those, or one in it, holds such a name. */
const hasFile = (run: string, sorted: number, name: string, ...path: string[]) => () =>
  names(join(runs, run, SORTED[sorted], ...path)).includes(name);
const hasCheckpoint = (run: string, sorted: number, name: string) => hasFile(run, sorted, name, "checkpoints");

Deno.test("killed at many moments of its rounds, one after the other, it ends with the same bytes", async (t) => {
  const resume = ["train", "--resume", join(runs, "killed"), "--at-once", "3"];
  const moments: [string, string[], () => boolean][] = [
    ["before its first round", ["sweep", ...SWEEP, "--name", "killed"], () => names(runs).includes("killed")],
    ["while a round begins", resume, hasFile("killed", 1, "metrics.csv")],
    ["in its first round", resume, hasCheckpoint("killed", 0, "step_000010")],
    ["while its first round writes finished files", resume, hasFile("killed", 0, "transcoder.safetensors")],
    ["while another round begins", resume, hasFile("killed", 4, "preparation.safetensors")],
    ["in the middle of another round", resume, hasCheckpoint("killed", 5, "step_000020")],
  ];
  for (const [moment, args, condition] of moments) {
    await t.step(`killed ${moment}`, async () => void await signalWhen(args, "SIGKILL", condition));
  }
  const { code, stderr } = await mtc(...resume);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await content("killed"), whole);
  for (const name of MEMBERS) {
    assert.deepEqual(names(join(runs, "killed", name)), names(join(runs, "whole", name)), "nothing is left over");
  }
  const again = await mtc(...resume);
  assert.deepEqual([again.code, again.stderr], [0, ""]);
  assert.match(again.stdout, /killed is finished already/);
});

Deno.test("Ctrl-C in a round saves it and says how to go on; what waits is said to be unfinished", async () => {
  const args = ["sweep", ...SWEEP, "--steps", "3000", "--name", "stopped"];
  const { code, stderr } = await signalWhen(
    args,
    "SIGINT",
    hasCheckpoint("stopped", SORTED.indexOf(MEMBERS[2]), "step_000010"),
  );
  assert.equal(code, 130, stderr);
  const said = `after step \\d+ of 3000, which is saved; go on with: mtc train --resume ${join(runs, "stopped")}$`;
  assert.match(stderr.trimEnd(), new RegExp(said));
  const { stdout } = await mtc("train", "--resume", join(runs, "stopped"), "--at-once", "2", "--dry-run", "--json");
  const { rounds, fits } = JSON.parse(stdout), waiting = SORTED.filter((name) => MEMBERS.indexOf(name) >= 3);
  assert.deepEqual(rounds.map(({ transcoders }: { transcoders: string[] }) => transcoders), [
    SORTED.filter((name) => MEMBERS.indexOf(name) < 3),
    ...[waiting.slice(0, 2), waiting.slice(2, 4), waiting.slice(4)],
  ]);
  assert.ok(fits && rounds[0].time.phases.training < rounds[0].time.seconds);
  const report = await mtc("report", "--runs", join(runs, "stopped"), "--out", join(runs, "none"));
  assert.equal(report.code, 0, report.stderr);
  const told = Array.from(Deno.readDirSync(join(runs, "none")), ({ name }) => name);
  assert.equal(told.filter((name) => name.endsWith("_TRAINING_SO_FAR.md")).length, 3);
});

Deno.test("a transcoder whose loss is no number any more is given up, and the others are as without it", async () => {
  const lists = ["--dictionary", "64", "--k", "8", "--learning-rate", "1e30,1e-2"];
  const { code, stdout, stderr } = await mtc("sweep", ...SMALL, ...lists, "--name", "lost");
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /^mtc: Cannot go on training layer2-lr1e\+30: the loss must be a number, it is (NaN|Infinity) at step \d+/m,
  );
  assert.match(
    stderr.split("\n").pop()!,
    /^mtc: Cannot finish layer2-lr1e\+30: .*; move it out of .*lost, where the others/,
  );
  assert.match(stdout, /learning rate 0.01\) {3}FVU 0\.\d+/);
  const own = ["--dictionary", "64", "--k", "8", "--learning-rate", "1e-2"];
  const alone = await mtc("train", ...SMALL, ...own, "--name", "found");
  assert.equal(alone.code, 0, alone.stderr);
  assert.deepEqual(await contentOf("lost", "layer2-lr0.01"), await contentOf("found", "layer2"));
});

Deno.test("a sweep on harvested activations makes what one on the text does", async () => {
  const harvest = join(runs, "harvest"), sites = ["--layers", "2", "--sites", "resid_mid,mlp_in,mlp_out"];
  const made = await mtc(
    "harvest",
    ...sites,
    "--context",
    "64",
    "--contexts",
    "80",
    "--data-seed",
    "1",
    "--out",
    harvest,
  );
  assert.equal(made.code, 0, made.stderr);
  const lists = ["--source", "resid_mid,mlp_in", "--dictionary", "64", "--k", "8", "--seed", "1", "--at-once", "1"];
  const { code, stderr } = await mtc("sweep", ...SMALL, ...lists, "--activations", harvest, "--name", "read");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^Round 2 of 2: layer2.mlp_in-to-layer2.mlp_out$/m);
  for (const [i, place] of PLACES.entries()) {
    const { "config.json": _, ...files } = await contentOf("read", place),
      { "config.json": __, ...expected } = whole[4 * i];
    assert.deepEqual(files, expected, place);
  }
});

Deno.test("a sweep is evaluated as any other run", async () => {
  const { code, stdout, stderr } = await mtc("evaluate", "--run", join(runs, "whole"), "--json");
  assert.equal(code, 0, stderr);
  for (const { run, ...evaluation } of JSON.parse(stdout)) {
    const stored = JSON.parse(await Deno.readTextFile(join(run, "evaluation.json")));
    assert.deepEqual([evaluation.fvu, evaluation.l0], [stored.fvu, stored.l0], run);
  }
});

Deno.test("a dry run tells memory and time of each round, and writes nothing", async () => {
  const { code, stdout, stderr } = await mtc("sweep", ...SWEEP, "--name", "dry", "--dry-run");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Would train 8 transcoders of tiny-gemma2$/m);
  const rows = [...stdout.matchAll(/^ {2}(\d): (\d) transcoders? .* GPU .* host .* disk /gm)].map((
    [, n, of],
  ) => [n, of]);
  assert.deepEqual(rows, [["1", "3"], ["2", "3"], ["3", "2"]]);
  assert.ok(!names(runs).includes("dry"));
});

const refused: [what: string, args: string[], message: RegExp][] = [
  [
    "more combinations than anybody wants",
    ["--seed", Array.from({ length: 50 }, (_, i) => i).join(), "--k", "1,2,3,4,5,6,7", "--flat"],
    new RegExp(
      `Cannot sweep over 700 transcoders: there may be at most ${MOST_MEMBERS}; leave values out or make several`,
    ),
  ],
  [
    "what is too many with its layers",
    ["--seed", Array.from({ length: 100 }, (_, i) => i).join(), "--layers", "1,2,3"],
    /Cannot sweep over 300 transcoders: /,
  ],
  [
    "a dictionary that is smaller than k",
    ["--dictionary", "256,16", "--k", "32"],
    /Cannot train with --k 32: it must be a whole number from 1 to the dictionary's 16 features/,
  ],
  ["a learning rate that is no number", ["--learning-rate", "1e-2,x"], /Cannot read --learning-rate: .*, it is "x"/],
  ["an empty place in a list", ["--k", "16,,32"], /Cannot read --k: it must be whole numbers .*, it is "16,,32"/],
  [
    "norms that would make transcoders hang on each other",
    ["--source", "resid_mid,mlp_in", "--exclude-norm-above", "6"],
    /Cannot sweep over several sources with --exclude-norm-above 6: each transcoder must be what it would be alone, /,
  ],
];
for (const [what, args, message] of refused) {
  Deno.test(`refuses ${what}`, async () => {
    assertRefused(await mtc("sweep", ...args, "--runs", runs, "--name", "refused"), 2, message);
    assert.ok(!names(runs).includes("refused"));
  });
}
