import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../../core/files/safetensors.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const TINY = fileURLToPath(new URL("../../core/builtin/tiny-gemma2/", import.meta.url));

async function run(command: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env: { NO_COLOR: "1" } }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const harvestArgs = (args: string[]) => ["run", "--no-check", "-A", MAIN, "harvest", ...args];
const harvest = (args: string[]) => run(Deno.execPath(), harvestArgs(args));

/** Runs a shell script in a mount namespace of its own, where anyone may mount. */
const withMounts = (script: string, args: string[]) => run("unshare", ["-rm", "sh", "-c", script, "sh", ...args]);
const canMount = await withMounts("mount -t tmpfs tmpfs /mnt", []).then(({ code }) => code === 0, () => false);

async function inTemporary(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

Deno.test("mtc harvest writes tokens and activations that add up, from a model directory and text files", () =>
  inTemporary(async (directory) => {
    const text = join(directory, "text.txt"), out = join(directory, "new", "out");
    await Deno.writeTextFile(text, "We the people of this country ask for peace. ".repeat(40));
    await Deno.writeTextFile(join(directory, "more.txt"), "The state of the union is strong. ".repeat(40));
    const { code, stdout, stderr } = await harvest([
      ...["--model", TINY, "--data", text, join(directory, "more.txt"), "--layers", "1,0"],
      ...["--sites", "resid_mid,mlp_out,resid_post", "--context", "20", "--contexts", "5", "--out", out, "--json"],
    ]);
    assert.equal(code, 0, stderr);
    const tensors = [1, 0].flatMap((l) => ["resid_mid", "mlp_out", "resid_post"].map((site) => `layer${l}.${site}`));
    const path = join(out, "activations_00000.safetensors");
    assert.deepEqual(JSON.parse(stdout), {
      files: [path],
      contexts: 5,
      context: 20,
      width: 128,
      tensors: ["tokens", ...tensors],
    });
    assert.deepEqual(names(out), ["activations_00000.safetensors", "harvest.json"]);
    assert.match(stderr, /^ {2}disk {4}\d+ KiB of .* free$/m);
    const file = await openSafetensors(path);
    assert.deepEqual([file.info("tokens").dtype, file.info("tokens").shape], ["I32", [5, 20]]);
    const tokens = await file.read("tokens");
    for (let c = 0; c < 5; c++) assert.equal(tokens[c * 20], 2, "each context begins with BOS");
    for (const l of [0, 1]) {
      assert.deepEqual(file.info(`layer${l}.mlp_out`).shape, [5, 20, 128]);
      const [mid, branch, post] = await Promise.all(
        ["resid_mid", "mlp_out", "resid_post"].map((site) => file.readF32(`layer${l}.${site}`)),
      );
      assert.deepEqual(mid.map((value, i) => value + branch[i]), post);
    }
    await file.close();
  }));

const refused: [what: string, args: string[], code: number, message: RegExp][] = [
  ["a layer that the model has not", ["--layers", "6"], 2, /layers are counted from 0 to 5.*use --layers 5/],
  ["a site that does not exist", ["--layers", "1", "--sites", "mlp"], 2, /a site is one of resid_pre.*got "mlp"/],
  ["a context longer than the model allows", ["--layers", "1", "--context", "513"], 1, /at most 512 tokens/],
  ["no contexts", ["--layers", "1", "--contexts", "0"], 2, /--contexts: it must be a whole number above 0, it is "0"/],
  ["a model that is not there", ["--layers", "1", "--model", "/nowhere"], 1, /Cannot open the model \/nowhere/],
  ["text that is not there", ["--layers", "1", "--data", "/nowhere.txt"], 1, /\/nowhere\.txt/],
];
for (const [what, args, expected, message] of refused) {
  Deno.test(`mtc harvest refuses ${what} in one sentence and makes no directory`, () =>
    inTemporary(async (directory) => {
      const { code, stdout, stderr } = await harvest([...args, "--out", join(directory, "out")]);
      assert.equal(code, expected, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^mtc: [^\n]*\n$/);
      assert.match(stderr, message);
      assert.deepEqual(names(directory), []);
    }));
}

/** Copies the embedded model and spoils its weights. */
async function spoiltModel(directory: string, spoil: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): Promise<string> {
  const model = join(directory, "model");
  await Deno.mkdir(model);
  for (const name of names(TINY)) await Deno.copyFile(join(TINY, name), join(model, name));
  const weights = join(model, "model.safetensors");
  await Deno.writeFile(weights, spoil(await Deno.readFile(weights)));
  return model;
}

const spoilt: [what: string, spoil: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array, message: RegExp][] = [
  ["are truncated", (bytes) => bytes.subarray(0, bytes.length - 1000), /promises \d+ bytes, the file has \d+/],
  ["lie about their header", (bytes) => bytes.fill(255, 0, 6), /the header is to be \d+ bytes long/],
  ["hold NaN", (bytes) => bytes.fill(255, bytes.length - 400), /tensor "model\..*must be finite, element \d+ is NaN/],
];
for (const [what, spoil, message] of spoilt) {
  Deno.test(`mtc harvest refuses weights that ${what}`, () =>
    inTemporary(async (directory) => {
      const model = await spoiltModel(directory, spoil), out = join(directory, "out");
      const { code, stderr } = await harvest(["--model", model, "--layers", "5", "--out", out]);
      assert.equal(code, 1);
      assert.match(stderr, /^mtc: [^\n]*model\.safetensors[^\n]*\n$/);
      assert.match(stderr, message);
      assert.deepEqual(names(directory), ["model"]);
    }));
}

Deno.test("mtc harvest leaves a directory that holds files alone", () =>
  inTemporary(async (directory) => {
    await Deno.writeTextFile(join(directory, "notes.txt"), "mine");
    const { code, stderr } = await harvest(["--layers", "1", "--out", directory]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /must be new or empty, or hold a part of the same harvest, it holds notes\.txt; choose another --out/,
    );
    assert.deepEqual(names(directory), ["notes.txt"]);
  }));

const onSmallDisk: [what: string, options: string, message: RegExp, left: string][] = [
  [
    "refuses more than the disk has room for",
    "size=512k",
    /needs 1\.0 MiB of disk, 51\d KiB are free; ask for fewer/,
    "",
  ],
  // Three files: the root, the directory and harvest.json.
  [
    "on a disk that takes no more files says so and leaves nothing half-written",
    "size=8m,nr_inodes=3",
    /^mtc: Cannot write .*activations_00000\.safetensors: the disk is full; .*\n$/m,
    "harvest.json\n",
  ],
];
for (const [what, options, message, left] of onSmallDisk) {
  Deno.test({
    name: `mtc harvest ${what}`,
    ignore: !canMount,
    fn: () =>
      inTemporary(async (directory) => {
        const script =
          `mount -t tmpfs -o ${options} tmpfs ${directory} && { "$@"; code=$?; ls -A ${directory}/out; exit $code; }`;
        const args = harvestArgs(["--layers", "1", "--contexts", "16", "--out", join(directory, "out")]);
        const { code, stdout, stderr } = await withMounts(script, [Deno.execPath(), ...args]);
        assert.equal(code, 1, stderr);
        assert.match(stderr, message);
        assert.equal(stdout, left);
      }),
  });
}
