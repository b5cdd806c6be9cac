/** Bad input to `mtc train`: one clear sentence, the right exit code, nothing half-written. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { MAIN, names, SMALL, TINY } from "./small_train.ts";
import { inDirectory, mtc, type Outcome } from "./tiny_run.ts";

const SHARDS = new URL("../golden/gemma2/shards/", import.meta.url).pathname;
const decoder = new TextDecoder();

/** Runs that refuse their input end before the first step, so these may be long ones. */
const train = (runs: string, ...args: string[]) => mtc("train", ...SMALL, "--runs", runs, "--name", "run", ...args);

/** The error must be the only line that begins with "mtc:", and the last one; before it a run may have said what it is. */
function assertSentence({ code, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
  assert.equal(code, expected, stderr);
  assert.equal(stdout, "");
  const lines = stderr.trimEnd().split("\n"), last = lines.pop()!;
  assert.match(last, /^mtc: [^\n]*$/);
  assert.match(last, message);
  assert.ok(lines.every((line) => /^(Estimating |Training |Harvesting |\s)/.test(line)), stderr);
}

/** In the sentence's directory there is no run, nor a directory for runs, nor anything hidden. */
async function assertRefused(code: number, message: RegExp, args: (directory: string) => Promise<string[]> | string[]) {
  await inDirectory(async (directory) => {
    const given = await args(directory), before = names(directory);
    assertSentence(await train(join(directory, "runs"), ...given), code, message);
    assert.deepEqual(names(directory), before, "nothing is left");
  });
}

const wrongLines: [what: string, args: string[], message: RegExp][] = [
  ["k > F", ["--k", "65"], /^mtc: Cannot train with --k 65: it must be a whole number from 1 to the dictionary's 64/],
  ["k = 0", ["--k", "0"], /--k 0: it must be a whole number from 1/],
  [
    "k that is no number",
    ["--k", "many"],
    /Cannot read --k: it must be a whole number, it is "many"; write it in digits alone$/,
  ],
  [
    "a group of 0",
    ["--groups", "0,5"],
    /Cannot read --groups: it must be whole numbers above 0 with commas between them, it is "0,5"; write it like/,
  ],
  ["groups of letters", ["--groups", "a,b"], /Cannot read --groups: .* it is "a,b"/],
  ["no groups", ["--groups", ""], /Cannot read --groups: .* it is ""/],
  [
    "groups that do not add up",
    ["--dictionary", "100"],
    /--groups 16,32,16: they must add up to --dictionary 100, they add up to 64/,
  ],
  ["a layer out of range", ["--layers", "6"], /counted from 0 to 5, so the deepest is 5; use --layers 5/],
  [
    "a source in a layer out of range",
    ["--source", "layer6.resid_mid"],
    /layer 6: .* so the deepest is 5; use --source layer5\.resid_mid$/,
  ],
  ["one of several layers out of range", ["--layers", "2,26"], /layer 26: .* so the deepest is 5/],
  [
    "layers that are none",
    ["--layers", "2;4"],
    /Cannot read --layers: it must be whole numbers with commas between them, it is "2;4"/,
  ],
  ["a site that does not exist", ["--target", "mlp"], /a site is one of resid_pre, .* got "mlp"/],
  ["one of several sources that does not exist", ["--source", "resid_mid,"], /a site is one of resid_pre, .* got ""/],
  [
    "a target before its source",
    ["--source", "resid_post", "--target", "resid_mid"],
    /layer2\.resid_post -> layer2\.resid_mid: the target must come after the source/,
  ],
  [
    "one of several targets before the source",
    ["--target", "layer1.mlp_out,layer4.mlp_out"],
    /layer2\.resid_mid -> layer1\.mlp_out: the target must come after the source/,
  ],
  [
    "a target out of range",
    ["--target", "layer2.mlp_out,layer6.mlp_out"],
    /layer 6: .* counted from 0 to 5, so the deepest is 5; use --target layer5\.mlp_out$/,
  ],
  [
    "layers that no site asks for",
    ["--layers", "2,4", "--source", "layer1.resid_mid", "--target", "layer4.mlp_out"],
    /--layers 2,4: --source or --target must name a site without its layer, .*; leave --layers out, or name sites alone$/,
  ],
  [
    "norms below the median",
    ["--exclude-norm-above", "1"],
    /--exclude-norm-above 1: it must be above 1, times the median norm, or 0 for no limit$/,
  ],
  ["a context of BOS alone", ["--context", "1"], /--context 1: it must be a whole number, 2 or more/],
  [
    "a buffer smaller than a step",
    ["--buffer", "127"],
    /--buffer 127: it must hold the tokens of a step, at least 128 for --batch 256 and --passes 2$/,
  ],
  ["no steps", ["--steps", "0"], /--steps 0: it must be a positive whole number/],
  [
    "a longer warm-up than the run",
    ["--warmup", "31"],
    /--warmup 31: it must be a whole number from 0 to the run's 30/,
  ],
  ["a learning rate below 0", ["--learning-rate", "-1"], /--learning-rate -1: it must be a positive number/],
  ["no dead features at all", ["--aux-k", "0"], /--aux-k 0: it must be a positive whole number/],
  ["a name that leads elsewhere", ["--name", "../other"], /Cannot name the run "\.\.\/other"/],
  ["a name that hides", ["--name", ".run"], /Cannot name the run "\.run"/],
  ["no name", ["--name", ""], /option '--name <name>' must not be empty/],
  [
    "an option that does not exist",
    ["--lerning-rate", "1"],
    /unknown option '--lerning-rate' \(Did you mean --learning-rate\?\)/,
  ],
  ["a stray word", ["now"], /too many arguments for 'train'/],
];
for (const [what, args, message] of wrongLines) {
  Deno.test(`refuses ${what}`, () => assertRefused(2, message, () => args));
}

Deno.test("refuses a context longer than the model allows", () =>
  assertRefused(
    1,
    /contexts have at most 512 tokens, asked for 513; use --context 512 or less/,
    () => ["--context", "513"],
  ));

Deno.test("E2, E3, M9: a dry run refuses what the run refuses, with the flags that it comes from", async () => {
  const cases: [args: string[], message: RegExp][] = [
    [["--context", "513"], /contexts have at most 512 tokens, asked for 513; use --context 512 or less$/],
    [["--context", "100000"], /contexts have at most 512 tokens, asked for 100000; use --context 512 or less$/],
    [
      ["--dictionary", "1000000000", "--groups", "1000000000"],
      /it needs at least .* of memory, .* are free; nothing smaller .*, or use a smaller --dictionary or --context$/,
    ],
  ];
  await inDirectory(async (directory) => {
    for (const [args, message] of cases) {
      // What the run would be stands on stdout, as it does where it fits.
      assertSentence({ ...await train(directory, ...args, "--dry-run"), stdout: "" }, 1, message);
      assert.deepEqual(names(directory), []);
    }
  });
});

Deno.test("refuses a buffer that the machine cannot hold", () =>
  assertRefused(1, /Cannot train this plan: it needs at least .* of memory, .* are free; use --buffer \d+$/, () => [
    ...["--steps", "100000000", "--buffer", "1000000000"],
  ]));

/** Copies a model directory and spoils it. */
async function spoilt(from: string, to: string, spoil: (directory: string) => Promise<void>): Promise<string> {
  const model = join(to, "model");
  await Deno.mkdir(model);
  for (const name of names(from)) await Deno.copyFile(join(from, name), join(model, name));
  await spoil(model);
  return model;
}

type Spoil = (directory: string) => Promise<void>;

const remove = (name: string): Spoil => (directory) => Deno.remove(join(directory, name));

const editJson =
  (name: string, edit: (value: { model: { vocab: Record<string, number> } }) => void): Spoil => async (directory) => {
    const path = join(directory, name), value = JSON.parse(await Deno.readTextFile(path));
    edit(value);
    await Deno.writeTextFile(path, JSON.stringify(value));
  };

const editBytes = (name: string, edit: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): Spoil => async (directory) => {
  const path = join(directory, name);
  await Deno.writeFile(path, edit(await Deno.readFile(path)));
};

/** Makes the header of the weights say that the embedding has one row less than it has. */
function shortenFirstTensor(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const header = new TextDecoder("latin1").decode(bytes.subarray(0, 4096)), at = header.indexOf("[4096,128]");
  assert.ok(at > 0);
  bytes.set(new TextEncoder().encode("[4095,128]"), at);
  return bytes;
}

const WEIGHTS = "model.safetensors";
const badModels: [what: string, from: string, spoil: Spoil, message: RegExp][] = [
  [
    "a directory without config.json",
    TINY,
    remove("config.json"),
    /Cannot open the model .*: it must hold config\.json/,
  ],
  [
    "a malformed config.json",
    TINY,
    (d) => Deno.writeTextFile(join(d, "config.json"), "{"),
    /config\.json: it must be JSON/,
  ],
  [
    "another kind of model",
    TINY,
    editJson("config.json", (config) => Object.assign(config, { model_type: "llama" })),
    /config\.json: it must be a Gemma-2 or Gemma-3 text model, it is Llama/,
  ],
  [
    "missing weights",
    TINY,
    remove(WEIGHTS),
    /Cannot open the model .*: it must hold model\.safetensors, .*it holds no weights/,
  ],
  [
    "a missing shard",
    SHARDS,
    remove("model-00002-of-00003.safetensors"),
    /model-00002-of-00003\.safetensors: it must be there, as .*index\.json lists it, 1 of its 3 shards is missing; download/,
  ],
  [
    "truncated weights",
    TINY,
    editBytes(WEIGHTS, (bytes) => bytes.subarray(0, bytes.length - 1000)),
    /model\.safetensors: the header promises \d+ bytes, the file has \d+; download/,
  ],
  [
    "a truncated shard",
    SHARDS,
    editBytes("model-00003-of-00003.safetensors", (bytes) => bytes.subarray(0, 29000)),
    /model-00003-of-00003\.safetensors: the header promises \d+ bytes, the file has 29000/,
  ],
  [
    "a header that lies about its own size",
    TINY,
    editBytes(WEIGHTS, (bytes) => bytes.fill(255, 0, 6)),
    /model\.safetensors: the header is to be \d+ bytes long, \d+ bytes follow/,
  ],
  [
    "a header that lies about a tensor's size",
    TINY,
    editBytes(WEIGHTS, shortenFirstTensor),
    /tensor "model\.embed_tokens\.weight" of BF16 \[4095, 128\] takes 1048320 bytes, the header gives it 1048576/,
  ],
  [
    "weights of another width than config.json says",
    TINY,
    editJson("config.json", (config) => Object.assign(config, { hidden_size: 64 })),
    /tensor "model\.layers\.0\.input_layernorm\.weight" must be \[64\] as config\.json says, it is \[128\]/,
  ],
  [
    "NaN in the weights",
    TINY,
    editBytes(WEIGHTS, (bytes) => bytes.fill(255, bytes.length - 400)),
    /tensor "model\..*model\.safetensors must be finite, element \d+ is NaN/,
  ],
  ["a model without tokenizer", TINY, remove("tokenizer.json"), /it must hold tokenizer\.json/],
  [
    "a tokenizer with more tokens than the model",
    TINY,
    editJson("tokenizer.json", ({ model }) => model.vocab["one more"] = 4096),
    /ids must be below the model's vocab_size 4096, that of "one more" is 4096; take tokenizer\.json/,
  ],
  [
    "a tokenizer with another BOS",
    TINY,
    editJson("config.json", (config) => Object.assign(config, { bos_token_id: 1 })),
    /bos_token must have the model's bos_token_id 1, it has id 2/,
  ],
];
for (const [what, from, spoil, message] of badModels) {
  // Layer 5 reads every weight of the model, so that no damage goes unseen.
  Deno.test(`refuses ${what}`, () =>
    assertRefused(1, message, async (directory) => ["--layers", "5", "--model", await spoilt(from, directory, spoil)]));
}

Deno.test("refuses a model directory that does not exist", () =>
  assertRefused(1, /Cannot open the model .*nowhere: it must hold config\.json/, (directory) => [
    ...["--model", join(directory, "nowhere")],
  ]));

const SENTENCE = "The state of the union is strong. ";
const badTexts: [what: string, name: string, content: string | Uint8Array<ArrayBuffer>, message: RegExp][] = [
  ["empty text", "text.txt", "", /text\.txt: it must hold text, it is empty/],
  [
    "text of one word",
    "text.txt",
    "Peace",
    /it must have at least three documents, lines or words, it has 1; give more text/,
  ],
  [
    "text too short for a context",
    "text.txt",
    SENTENCE,
    /contexts of 64 tokens: the training text must have at least 63 tokens, it has \d/,
  ],
  ["text that is not UTF-8", "text.txt", Uint8Array.of(0x66, 0xfc, 0x72), /text\.txt: text must be valid UTF-8/],
  [
    "a line of JSON without text",
    "text.jsonl",
    '{"text": "a"}\n{"txt": 1}\n',
    /text\.jsonl line 2: .* under "text", this one has none, but txt; mend or remove the record/,
  ],
  ["another kind of file", "text.pdf", "%PDF", /text files end in \.txt, .* or \.tsv, this one ends in "\.pdf"/],
];
for (const [what, name, content, message] of badTexts) {
  Deno.test(`refuses ${what}`, () =>
    assertRefused(1, message, async (directory) => {
      const path = join(directory, name);
      await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
      return ["--data", path];
    }));
}

Deno.test("refuses text that does not exist", () =>
  assertRefused(1, /nowhere\.txt: the file must exist, there is none/, (d) => ["--data", join(d, "nowhere.txt")]));

Deno.test("leaves the directory of another run alone", () =>
  inDirectory(async (runs) => {
    await Deno.mkdir(join(runs, "run", "layer2"), { recursive: true });
    await Deno.writeTextFile(join(runs, "run", "layer2", "config.json"), '{ "mtc_version": "0.1.0" }');
    assertSentence(
      await train(runs),
      1,
      /run: it must be empty or new, it holds layer2; choose another --name, or go on with it: mtc train --resume .*run$/,
    );
    assert.deepEqual([names(runs), names(join(runs, "run")), names(join(runs, "run", "layer2"))], [
      ["run"],
      ["layer2"],
      ["config.json"],
    ]);
  }));

Deno.test("leaves a directory of other files alone", () =>
  inDirectory(async (runs) => {
    await Deno.mkdir(join(runs, "run"));
    await Deno.writeTextFile(join(runs, "run", "notes.txt"), "mine");
    assertSentence(await train(runs), 1, /it must be empty or new, it holds notes\.txt; choose another --name$/);
    assert.deepEqual([names(runs), names(join(runs, "run"))], [["run"], ["notes.txt"]]);
  }));

Deno.test("refuses to keep runs in a file, or below one", () =>
  inDirectory(async (directory) => {
    const file = join(directory, "file");
    await Deno.writeTextFile(file, "mine");
    assertSentence(
      await train(file),
      1,
      /Cannot keep runs in .*file: it must be a directory, it is a file; choose another --runs/,
    );
    assertSentence(await train(join(file, "runs")), 1, /runs.run: a part of the path is a file, not a directory/);
    assert.deepEqual([names(directory), await Deno.readTextFile(file)], [["file"], "mine"]);
  }));

Deno.test("a loss that is no longer a number ends the run and says what to change", () =>
  inDirectory(async (runs) => {
    const { code, stderr } = await train(runs, "--learning-rate", "1e30");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^mtc: Cannot go on training layer2: the loss must be a number, it is \w+ at step \d+; start another run with a lower --learning-rate than 1e\+30, or a --bias-rate and a --beta2 nearer to their defaults$/m,
    );
  }));

Deno.test("a transcoder that training ruined, with a loss that still is a number, is told as that", () =>
  inDirectory(async (runs) => {
    const { code, stdout, stderr } = await train(runs, "--learning-rate", "1e6");
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^ {4}It did not learn: its error is \S+e\d+ times the variance of its target, .*lower --learning-rate$/m,
    );
  }));

/** The program in a process of its own. */
async function spawn(command: string, args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const trainArgs = (
  runs: string,
) => ["run", "--no-check", "-A", MAIN, "train", ...SMALL, "--runs", runs, "--name", "run"];

Deno.test({
  name: "without an adapter it says so, and which variable hides it",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    inDirectory(async (directory) => {
      const hidden = {
        VK_DRIVER_FILES: "/nowhere.json",
        VK_ICD_FILENAMES: "/nowhere.json",
        DENO_WEBGPU_BACKEND: "vulkan",
      };
      const outcome = await spawn(Deno.execPath(), trainArgs(join(directory, "runs")), hidden);
      assertSentence(
        outcome,
        1,
        /^mtc: Cannot open a GPU: WebGPU needs an adapter, VK_DRIVER_FILES names \/nowhere\.json, where there is no file; unset VK_DRIVER_FILES/,
      );
      assert.deepEqual(names(directory), []);
    }),
});

/** Runs a shell script in a mount namespace of its own, where anyone may mount; $@ is the program with its arguments. */
const withMounts = (script: string, runs: string) =>
  spawn("unshare", ["-rm", "sh", "-c", script, "sh", Deno.execPath(), ...trainArgs(runs)]);
const canMount = await withMounts("mount -t tmpfs tmpfs /mnt", "").then(({ code }) => code === 0, () => false);

Deno.test({
  name: "a file system that is read-only is refused before any work",
  ignore: !canMount,
  fn: () =>
    inDirectory(async (directory) => {
      const script = `mount -t tmpfs -o ro tmpfs ${directory} && { "$@"; code=$?; ls -A ${directory}; exit $code; }`;
      const outcome = await withMounts(script, join(directory, "runs"));
      assertSentence(outcome, 1, /Cannot create .*runs.run: the file system is read-only; choose another directory/);
      assert.ok(!outcome.stderr.includes("Harvesting"));
    }),
});

Deno.test({
  name: "a disk that is too small is refused before any work",
  ignore: !canMount,
  fn: () =>
    inDirectory(async (directory) => {
      const script =
        `mount -t tmpfs -o size=600k tmpfs ${directory} && { "$@"; code=$?; ls -A ${directory}; exit $code; }`;
      const outcome = await withMounts(script, join(directory, "runs"));
      assertSentence(outcome, 1, /Cannot train this plan: it needs .* of disk, 600 KiB are free/);
    }),
});

/** Shell commands that wait for a file and then fill the directory's disk, but for some kilobytes, with the file `filling`. */
const fillOnce = (path: string, directory: string, kilobytes: number) =>
  `( until [ -e ${path} ]; do sleep 0.01; done
     free=$(df -k --output=avail ${directory} | tail -n 1)
     head -c $(( (free - ${kilobytes}) * 1024 )) /dev/zero > ${directory}/filling ) &`;

Deno.test({
  name: "a disk that is full at the start is left as it was",
  ignore: !canMount,
  fn: () =>
    inDirectory(async (directory) => {
      // Directories take no space here and each file a page or more: there is room for the first of the run's files, not for all.
      const fill = fillOnce(join(directory, "runs", ".run.lock"), directory, 8);
      const script = `mount -t tmpfs -o size=8m tmpfs ${directory} && { ${fill}
        "$@"; code=$?; wait; ls -A ${directory} | grep -v filling; exit $code; }`;
      const outcome = await withMounts(script, join(directory, "runs"));
      assertSentence(
        outcome,
        1,
        /Cannot write .*(config\.json|metrics\.csv|\.safetensors): the disk is full; free some space/,
      );
    }),
});

Deno.test({
  name: "a disk that becomes full keeps whole checkpoints only, and the run goes on when there is space again",
  ignore: !canMount,
  fn: () =>
    inDirectory(async (directory) => {
      const run = join(directory, "runs", "run");
      const listing = `ls -A ${run}/layer2/checkpoints ${run}/layer4/checkpoints >&2`;
      const resume = `${Deno.execPath()} run --no-check -A ${MAIN} train --resume ${run} --json`;
      // Room for one layer's checkpoint and not for the other's.
      const script = `mount -t tmpfs -o size=8m tmpfs ${directory} && { ${fillOnce(run, directory, 560)}
        "$@"; echo "code $?" >&2; wait; ${listing}; } && rm ${directory}/filling && ${resume}`;
      const { code, stdout, stderr } = await withMounts(script, join(directory, "runs"));
      assert.equal(code, 0, stderr);
      const message =
        /^mtc: Cannot write .*layer4.checkpoints.*: the disk is full; free some space or choose another directory, then go on with: mtc train --resume .*run\ncode 1$/m;
      assert.match(stderr, message);
      assert.match(
        stderr,
        /layer2.checkpoints:\nstep_000010\n\n.*layer4.checkpoints:\n(?!\.)/,
        "nothing is left half-written",
      );
      assert.equal(basename(JSON.parse(stdout).run), "run");
    }),
});

Deno.test("a text of one word has nothing to learn where it enters the model, which is said", () =>
  assertRefused(
    1,
    /train on layer0\.resid_pre: its activations must .* not all the same, .* more than one word/,
    async (directory) => {
      const path = join(directory, "word.txt");
      await Deno.writeTextFile(path, "state ".repeat(20_000));
      return ["--data", path, "--layers", "0", "--source", "resid_pre"];
    },
  ));
