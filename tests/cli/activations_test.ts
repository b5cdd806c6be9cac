/** Training from the shards of a harvest: the same bytes as from the text, and one clear sentence where the shards are not those. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { FINISHED, finishedContent, MAIN, names, SMALL, TINY } from "./small_train.ts";
import { mtc, type Outcome } from "./tiny_run.ts";

const home = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));

const runs = join(home, "runs"), SHARDS = join(home, "shards"), LAYERS = ["layer2", "layer4"];
/** The settings of {@link SMALL} but for the layers, which the harvest says. */
const REST = SMALL.slice(2);
const FIRST = "activations_00000.safetensors", SECOND = "activations_00001.safetensors";

async function succeed(...args: string[]): Promise<Outcome> {
  const outcome = await mtc(...args);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

/** The finished files of both layers; config.json without what says where activations came from. */
async function content(run: string): Promise<Record<string, string>[]> {
  return await Promise.all(LAYERS.map(async (layer) => {
    const { "config.json": config, ...files } = await finishedContent(join(runs, run, layer), FINISHED);
    const { activations: _, tiles: __, ...settings } = JSON.parse(config.replace(/^\s*,\n/m, ""));
    return { ...files, "config.json": JSON.stringify(settings) };
  }));
}

const { stdout } = await succeed("train", ...SMALL, "--runs", runs, "--name", "text", "--dry-run", "--json");
const { harvest: hint } = JSON.parse(stdout);
/** What the dry run says, into two shards. */
const [, ...harvestArgs] = (hint.command as string).replace(/ --out .*/, "").split(" ");
await succeed(...harvestArgs, "--contexts", "30", "--out", SHARDS);
await succeed(...harvestArgs, "--out", SHARDS);
await succeed("train", ...SMALL, "--runs", runs, "--name", "text");
const expected = await content("text");

const train = (run: string, shards: string, ...args: string[]) =>
  mtc("train", ...REST, "--activations", shards, "--runs", runs, "--name", run, ...args);

Deno.test("a harvest has as many contexts as the run draws from, and takes the disk that the dry run says", async () => {
  assert.deepEqual(names(SHARDS), [FIRST, SECOND, "harvest.json"]);
  const sizes = [FIRST, SECOND].map((name) => Deno.statSync(join(SHARDS, name)).size);
  const size = sizes.reduce((a, b) => a + b, 0);
  assert.ok(size <= hint.bytes + 4096 && size > 0.95 * hint.bytes, `${size} of ${hint.bytes}`);
  const file = await openSafetensors(join(SHARDS, SECOND));
  assert.deepEqual(file.info("tokens").shape, [hint.contexts - 30, 64]);
  await file.close();
});

Deno.test("training from shards ends with the bytes of training from the text, checkpoints included", async () => {
  const { stderr } = await succeed("train", ...REST, "--activations", SHARDS, "--runs", runs, "--name", "shards");
  assert.match(stderr, /^ {2}from the activations in .*shards$/m);
  assert.match(stderr, /^Reading 4\/4 1088\/1088/m);
  assert.deepEqual(await content("shards"), expected);
  for (const layer of LAYERS) {
    const checkpoints = (run: string) => join(runs, run, layer, "checkpoints");
    assert.deepEqual(names(checkpoints("shards")), names(checkpoints("text")));
    for (const step of names(checkpoints("text"))) {
      for (const name of ["optimizer.safetensors", "samples.safetensors", "state.json"]) {
        const [ours, theirs] = await Promise.all(["shards", "text"].map(async (run) => {
          const bytes = await Deno.readFile(join(checkpoints(run), step, name));
          return name === "state.json"
            ? new TextDecoder().decode(bytes).replace(/"(elapsed_s|metrics\.csv)".*/g, "")
            : bytes;
        }));
        assert.deepEqual(ours, theirs, `${step}/${name}`);
      }
    }
  }
  const { activations } = JSON.parse(await Deno.readTextFile(join(runs, "shards", "layer2", "config.json")));
  assert.equal(activations.path, SHARDS);
});

Deno.test("one layer of two, other sizes, tokens left out for ids and norms: the same bytes as from the text", async () => {
  const other = [
    ...["--layers", "4", "--groups", "8,8", "--k", "4", "--seed", "3", "--data-seed", "0", "--buffer", "700"],
    ...["--exclude-norm-above", "1.2", "--exclude-tokens", "▁the", ","],
  ];
  await succeed("train", ...SMALL, ...other, "--runs", runs, "--name", "otherText");
  await succeed("train", ...REST, ...other, "--activations", SHARDS, "--runs", runs, "--name", "otherShards");
  const files = FINISHED.filter((name) => name !== "config.json");
  const [text, shards] = await Promise.all(
    ["otherText", "otherShards"].map((run) => finishedContent(join(runs, run, "layer4"), files)),
  );
  assert.deepEqual(shards, text);
});

Deno.test("a run from shards that is killed and resumed ends with the same bytes", async () => {
  const moments: (() => boolean)[] = [
    () => names(join(runs, "killed", "layer4")).includes("metrics.csv"),
    () => names(join(runs, "killed", "layer4", "checkpoints")).includes("step_000010"),
    () => names(join(runs, "killed", "layer4", "checkpoints")).includes("step_000030"),
  ];
  const begin = [...REST, "--activations", SHARDS, "--runs", runs, "--name", "killed"];
  for (const [i, isTime] of moments.entries()) {
    const args = ["train", ...i === 0 ? begin : ["--resume", join(runs, "killed")]];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", MAIN, ...args],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let hasEnded = false;
    child.status.then(() => hasEnded = true);
    while (!isTime() && !hasEnded) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.ok(!hasEnded, "killed in time");
    child.kill("SIGKILL");
    await child.stderr.cancel();
    await child.status;
  }
  await succeed("train", "--resume", join(runs, "killed"));
  assert.deepEqual(await content("killed"), expected);
});

/** The error is the last line; before it a run may have said what it is. */
function assertSentence({ code, stdout, stderr }: Outcome, expectedCode: number, message: RegExp): void {
  assert.equal(code, expectedCode, stderr);
  assert.equal(stdout, "");
  const last = stderr.trimEnd().split("\n").pop()!;
  assert.match(last, /^mtc: Cannot [^\n]*$/);
  assert.match(last, message);
}

const contradictions: [what: string, code: number, message: RegExp, args: string[]][] = [
  ["another context", 1, /must be harvested with --context 32, it was 64; harvest again with --context 32/, [
    "--context",
    "32",
  ]],
  ["another order of the text", 1, /must be harvested with --data-seed 7, it was 0/, ["--data-seed", "7"]],
  ["another precision", 1, /must be harvested with --precision f16, it was f32/, ["--precision", "f16"]],
  ["a layer that is not in them", 1, /layer3\.resid_mid must be among them, they are layer2\.resid_mid, /, [
    "--layers",
    "3",
  ]],
  ["a site that is not in them", 1, /layer2\.mlp_in must be among them/, ["--source", "mlp_in"]],
  [
    "more steps than they have contexts for",
    1,
    /the run draws from 85 contexts, there are 68; run their mtc harvest again with --contexts 85, or/,
    ["--steps", "40"],
  ],
];
for (const [what, code, message, args] of contradictions) {
  Deno.test(`shards are refused for a run with ${what}`, async () => {
    assertSentence(await train("refused", SHARDS, ...args), code, message);
    assert.ok(!names(runs).includes("refused"));
  });
}

/** A copy of the harvest whose files may be spoilt. */
async function copied(name: string): Promise<string> {
  const copy = join(home, name);
  await Deno.mkdir(copy);
  for (const file of names(SHARDS)) await Deno.copyFile(join(SHARDS, file), join(copy, file));
  return copy;
}

/** Writes a shard anew with other tensors or metadata. */
async function rewrite(
  path: string,
  change: (tensors: (TensorToWrite & { data: Uint32Array | Float32Array | Int32Array })[]) => void,
  metadata: Record<string, string> = {},
): Promise<void> {
  const file = await openSafetensors(path), tensors = [];
  for (const [name, { dtype, shape }] of file.tensors) {
    tensors.push({ name, dtype: dtype as TensorToWrite["dtype"], shape: [...shape], data: await file.read(name) });
  }
  await file.close();
  change(tensors);
  await writeSafetensors(path, tensors, { ...file.metadata, ...metadata });
}

const spoilt: [what: string, spoil: (copy: string) => Promise<unknown>, message: RegExp][] = [
  [
    "truncated",
    (copy) => Deno.truncate(join(copy, SECOND), 5000),
    /_00001.*header promises \d+ bytes, the file has 5000/,
  ],
  [
    "lying about its shape",
    (copy) =>
      rewrite(join(copy, FIRST), (tensors) =>
        tensors.forEach((tensor) =>
          Object.assign(tensor, {
            shape: tensor.name === "tokens" ? [60, 32] : tensor.shape,
          })
        )),
    /_00000\.safetensors: tokens must be I32 \[60, 64\] as harvest\.json says, it is I32 \[60, 32\]/,
  ],
  [
    "changed in a single number",
    (copy) =>
      rewrite(join(copy, FIRST), (tensors) => {
        tensors.find(({ name }) => name === "layer4.mlp_out")!.data[12 * 64 * 128 + 7] += 1e-3;
      }),
    /_00000\.safetensors: context 12 must be as it was harvested, its layer4\.mlp_out is not; remove it and the shards/,
  ],
  [
    "with NaN",
    (copy) =>
      rewrite(join(copy, FIRST), (tensors) => {
        tensors.find(({ name }) => name === "layer2.mlp_out")!.data[5] = NaN;
      }),
    /_00000\.safetensors: every activation must be finite, one of layer2\.mlp_out in context 0 is NaN/,
  ],
  [
    "with two contexts in each other's place",
    (copy) =>
      rewrite(join(copy, FIRST), (tensors) => {
        for (const { data, shape } of tensors) {
          const each = data.length / shape[0], first = data.slice(3 * each, 4 * each);
          data.copyWithin(3 * each, 9 * each, 10 * each);
          data.set(first, 9 * each);
        }
      }),
    /_00000\.safetensors: context 3 must be as it was harvested, its tokens is not/,
  ],
  [
    "in another shard's place",
    async (copy) => {
      await Deno.rename(join(copy, FIRST), join(copy, "x"));
      await Deno.rename(join(copy, SECOND), join(copy, FIRST));
      await Deno.rename(join(copy, "x"), join(copy, SECOND));
    },
    /_00000\.safetensors: it must begin with context 0, it begins with 30/,
  ],
  [
    "of another harvest",
    (copy) => rewrite(join(copy, SECOND), () => {}, { harvest: "0".repeat(64) }),
    /_00001\.safetensors: it must be a shard of the harvest that harvest\.json describes, it is one of another/,
  ],
  [
    "missing between others",
    (copy) => Deno.remove(join(copy, FIRST)),
    /_00001.*must begin with context 0, it begins with 30/,
  ],
  ["missing at the end", (copy) => Deno.remove(join(copy, SECOND)), /the run draws from 68 contexts, there are 30/],
  [
    "without harvest.json",
    (copy) => Deno.remove(join(copy, "harvest.json")),
    /must hold harvest\.json, .* it holds none/,
  ],
  [
    "with a harvest.json of a newer format",
    (copy) => editJson(copy, (harvest) => harvest.format = 99),
    /must be a harvest\.json of format 1, it is one of format 99; use the mtc that wrote it/,
  ],
  [
    "with a harvest.json that lacks a key",
    (copy) => editJson(copy, (harvest) => delete harvest.context),
    /must be a harvest\.json of format 1, context: /,
  ],
  [
    "with a harvest.json that ends early",
    (copy) => Deno.truncate(join(copy, "harvest.json"), 100),
    /must be complete JSON/,
  ],
];

// deno-lint-ignore no-explicit-any -- whatever it holds
async function editJson(copy: string, edit: (harvest: any) => void): Promise<void> {
  const path = join(copy, "harvest.json"), harvest = JSON.parse(await Deno.readTextFile(path));
  edit(harvest);
  await Deno.writeTextFile(path, JSON.stringify(harvest));
}

for (const [i, [what, spoil, message]] of spoilt.entries()) {
  Deno.test(`shards are refused: ${what}`, async () => {
    const copy = await copied(`spoilt${i}`);
    await spoil(copy);
    assertSentence(await train(`spoilt${i}`, copy), 1, message);
    assert.ok(!names(runs).includes(`spoilt${i}`), "nothing was begun");
  });
}

Deno.test("damage that is found in the middle of a run leaves a run that goes on once it is undone", async () => {
  const copy = await copied("late");
  await rewrite(join(copy, SECOND), (tensors) => tensors.find(({ name }) => name === "documents")!.data[1300] ^= 1);
  const message =
    /_00001\.safetensors: context 50 must be .* its documents is not; .*, then go on with: mtc train --resume/;
  assertSentence(await train("late", copy), 1, message);
  await Deno.copyFile(join(SHARDS, SECOND), join(copy, SECOND));
  await succeed("train", "--resume", join(runs, "late"));
  assert.deepEqual(await content("late"), expected);
});

Deno.test("shards of another model or another text are refused, and of a copy of the model are not", async () => {
  const model = join(home, "tiny-gemma2");
  await Deno.mkdir(model);
  for (const name of names(TINY)) await Deno.copyFile(join(TINY, name), join(model, name));
  const args = ["--model", model, "--data", join(home, "text.txt"), "--dry-run"];
  await Deno.writeTextFile(join(home, "text.txt"), "The state of the union is strong. ".repeat(2000));
  assertSentence(await train("other", SHARDS, ...args), 1, /must come from the run's text, they come from another/);
  const same = await train("other", SHARDS, "--model", model, "--dry-run", "--learning-rate", "8e-3", "--warmup", "2");
  assert.equal(same.code, 0, same.stderr);
  const weights = join(model, "model.safetensors"), bytes = await Deno.readFile(weights);
  bytes[8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)) + 100] ^= 1;
  await Deno.writeFile(weights, bytes);
  const message = /they must come from the model .*tiny-gemma2, they come from tiny-gemma2, which is another/;
  assertSentence(await train("other", SHARDS, "--model", model), 1, message);
});

Deno.test("shards in the documents' own order are refused with how to get others", async () => {
  const args = harvestArgs.filter((_, i) => !harvestArgs.slice(i - 1, i + 1).includes("--data-seed") || i === 0);
  await succeed(...args, "--contexts", "68", "--out", join(home, "unordered"));
  const outcome = await train("unordered", join(home, "unordered"));
  assertSentence(outcome, 1, /must be in the order of a training, .* own; harvest again with --data-seed 0/);
});

Deno.test("a run is not resumed from shards that are gone, or are others now", async () => {
  const copy = await copied("changing");
  await succeed("train", ...REST, "--activations", copy, "--runs", runs, "--name", "changing");
  for (const layer of LAYERS) {
    await Deno.remove(join(runs, "changing", layer, "transcoder.safetensors"));
    await Deno.remove(join(runs, "changing", layer, "checkpoints", "step_000030"), { recursive: true });
  }
  await editJson(copy, (harvest) => harvest.seed = 1);
  for (const name of [FIRST, SECOND]) await Deno.remove(join(copy, name));
  const resume = () => mtc("train", "--resume", join(runs, "changing"));
  assertSentence(await resume(), 1, /must be those that the run began with, those there now are others; put them back/);
  await Deno.remove(copy, { recursive: true });
  assertSentence(await resume(), 1, /must hold harvest\.json/);
});
