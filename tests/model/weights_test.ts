import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { openSafetensors, writeSafetensors } from "../../core/files/safetensors.ts";
import { openGpu } from "../../core/gpu/device.ts";
import { BUILTIN, type ModelFiles, modelFingerprint, openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import { Pass } from "../../core/gpu/run.ts";

const gpu = await openGpu();
/** A golden model of float32 in three shards, and one of bfloat16 in two. */
const SHARDS = new URL("../golden/gemma2/shards/", import.meta.url).pathname;
const BF16 = new URL("../golden/gemma2/long/", import.meta.url).pathname;
const SECOND = "model-00002-of-00003.safetensors";

/** A copy of a golden model, spoilt, then loaded as far as layer 1's mlp_out. */
async function load(spoil: (directory: string) => Promise<void>, model = SHARDS): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(model)) await Deno.copyFile(join(model, name), join(directory, name));
    await spoil(directory);
    const files = await openModel(directory);
    try {
      await loadDecoder(gpu, files, { taps: [{ layer: 1, site: "mlp_out" }], maxTokens: 4, context: 4 });
    } finally {
      await files.weights.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function editJson(path: string, edit: (value: Record<string, unknown>) => void): Promise<void> {
  const value = JSON.parse(await Deno.readTextFile(path));
  edit(value);
  await Deno.writeTextFile(path, JSON.stringify(value));
}

/** Overwrites a shard's last two float32 values; they belong to the tensor that lies last. */
async function spoilEnd(path: string, value: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes.set(new Uint8Array(new Float32Array([value, value]).buffer), bytes.length - 8);
  await Deno.writeFile(path, bytes);
}

/** Overwrites the beginning of a tensor, whichever shard it lies in. */
async function spoilTensor(directory: string, tensor: string, bytes: Uint8Array): Promise<void> {
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith(".safetensors")) continue;
    const path = join(directory, name);
    const file = await openSafetensors(path);
    const info = file.tensors.get(tensor);
    await file.close();
    if (!info) continue;
    const content = await Deno.readFile(path);
    content.set(bytes, info.begin);
    await Deno.writeFile(path, content);
  }
}

const EMBEDDING = "model.embed_tokens.weight";
const notANumber = new Uint8Array(Float32Array.of(NaN).buffer);

const spoilt: [string, (directory: string) => Promise<void>, RegExp][] = [
  ["no config.json", (d) => Deno.remove(join(d, "config.json")), /it must hold config.json/],
  ["no tokenizer.json", (d) => Deno.remove(join(d, "tokenizer.json")), /it must hold tokenizer.json/],
  [
    "a missing shard",
    (d) => Deno.remove(join(d, SECOND)),
    /Cannot read .*00002-of-00003.* as model.safetensors.index.json lists it/,
  ],
  [
    "a truncated shard",
    (d) => Deno.truncate(join(d, SECOND), 29000),
    /00002-of-00003.*promises \d+ bytes, the file has 29000/,
  ],
  ["a shard that the index forgot", (d) =>
    editJson(join(d, "model.safetensors.index.json"), (index) => {
      const map = index.weight_map as Record<string, string>;
      for (const [name, file] of Object.entries(map)) if (file === SECOND) delete map[name];
    }), /it needs a tensor "model\.layers\..*", its safetensors files have none/],
  ["an index that leads elsewhere", (d) =>
    editJson(join(d, "model.safetensors.index.json"), (index) => {
      (index.weight_map as Record<string, string>)["model.norm.weight"] = "../other.safetensors";
    }), /shards must lie in the same directory, "\.\.\/other\.safetensors" does not/],
  ["an index that is none", (d) => Deno.writeTextFile(join(d, "model.safetensors.index.json"), "{}"), /weight_map/],
  [
    "another width",
    (d) => editJson(join(d, "config.json"), (config) => config.hidden_size = 40),
    /"model\.embed_tokens\.weight" must be \[53, 40\] as config.json says, it is \[53, 36\]/,
  ],
  [
    "NaN",
    (d) => spoilEnd(join(d, SECOND), NaN),
    /tensor "model\.layers\.\d.*00002-of-00003.* must be finite, element \d+ is NaN/,
  ],
  [
    "NaN in a row that no text uses",
    (d) => spoilTensor(d, EMBEDDING, notANumber),
    /"model\.embed_tokens\.weight".* element 0 is NaN/,
  ],
  ["infinity", (d) => spoilEnd(join(d, SECOND), -Infinity), /must be finite, element \d+ is -Infinity/],
];
for (const [what, spoil, message] of spoilt) {
  Deno.test(`refuses a model with ${what}`, async () => {
    await assert.rejects(load(spoil), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a whole file counts where an index of an older save lies beside it, and weights are told from others whatever their files", async () => {
  const directory = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(SHARDS)) await Deno.copyFile(join(SHARDS, name), join(directory, name));
    const fingerprint = async () => {
      const files = await openModel(directory);
      try {
        return { shards: files.weights.files.length, fingerprint: await modelFingerprint(files) };
      } finally {
        await files.weights.close();
      }
    };
    const sharded = await fingerprint();
    const files = await openModel(directory), whole = join(directory, "model.safetensors");
    const tensors = [];
    for (const file of files.weights.files) {
      for (const [name, { shape }] of file.tensors) {
        tensors.push({ name, dtype: "F32" as const, shape, data: await file.readF32(name) });
      }
    }
    await files.weights.close();
    await writeSafetensors(whole, tensors);
    assert.deepEqual(await fingerprint(), { shards: 1, fingerprint: sharded.fingerprint });
    const { data } = tensors.find(({ name }) => name.endsWith("layers.1.mlp.up_proj.weight"))!;
    data.forEach((value, i) => data[i] = 1.001 * value);
    await writeSafetensors(whole, tensors);
    assert.notEqual((await fingerprint()).fingerprint, sharded.fingerprint);
    await Deno.remove(whole);
    const tokenizer = join(directory, "tokenizer.json");
    await Deno.writeTextFile(tokenizer, `${await Deno.readTextFile(tokenizer)} `);
    assert.notEqual((await fingerprint()).fingerprint, sharded.fingerprint);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Gemma-3's golden model of float32, and its multimodal one. */
const SCALED = new URL("../golden/gemma3/scaled/", import.meta.url).pathname;
const MULTIMODAL = new URL("../golden/gemma3/multimodal/", import.meta.url).pathname;

/** Replaces a part of the names in a checkpoint's header by another of the same length. */
async function renameTensors(directory: string, from: string, to: string): Promise<void> {
  const path = join(directory, "model.safetensors"), bytes = await Deno.readFile(path);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  assert.ok(header.includes(from) && from.length === to.length);
  bytes.set(new TextEncoder().encode(header.replaceAll(from, to)), 8);
  await Deno.writeFile(path, bytes);
}

Deno.test("refuses a Gemma-3 model without norms of its heads, or with NaN in them", async () => {
  const missing = load((d) => renameTensors(d, "layers.1.self_attn.k_norm", "layers.1.self_attn.x_norm"), SCALED);
  await assert.rejects(missing, /UserError: .* it needs a tensor "model\.layers\.1\.self_attn\.k_norm\.weight" or/);
  const spoilt = load((d) => spoilTensor(d, "model.layers.0.self_attn.q_norm.weight", notANumber), SCALED);
  await assert.rejects(spoilt, /tensor "model\.layers\.0\.self_attn\.q_norm\.weight" of .* element 0 is NaN/);
});

Deno.test("a multimodal model's tensors are found under both generations of names", async () => {
  await load(() => Promise.resolve(), MULTIMODAL);
  await load((d) => renameTensors(d, "language_model.model.", "model.language_model."), MULTIMODAL);
  await assert.rejects(
    load((d) => renameTensors(d, "language_model.model.", "language_model.other."), MULTIMODAL),
    /it needs a tensor "model\.embed_tokens\.weight" or "embed_tokens\.weight", or the same behind "language_model\."/,
  );
});

/** The second of two bfloat16, little-endian. */
const second = (bits: number) => Uint8Array.of(0x80, 0x3f, bits & 255, bits >> 8);
const spoiltBf16: [tensor: string, bits: number, value: string][] = [
  ["model.layers.0.mlp.up_proj.weight", 0x7fc0, "NaN"],
  ["model.layers.1.self_attn.v_proj.weight", 0xff80, "-Infinity"],
  ["model.layers.1.input_layernorm.weight", 0x7f80, "Infinity"],
  [EMBEDDING, 0xffff, "NaN"],
];
for (const [tensor, bits, value] of spoiltBf16) {
  Deno.test(`refuses a bfloat16 model with ${value} in ${tensor}, and names file and tensor`, async () => {
    const loading = load((directory) => spoilTensor(directory, tensor, second(bits)), BF16);
    await assert.rejects(loading, (error) => {
      assert.ok(error instanceof UserError, String(error));
      const expected =
        `^Cannot load the weights: tensor "${tensor}" of .*/model-0000\\d-of-00002\\.safetensors must be finite, element 1 is ${value};`;
      assert.match(error.message, new RegExp(expected));
      return true;
    });
  });
}

Deno.test("tells how many of the layers that are needed are loaded", () =>
  builtin(async (files) => {
    const heard: [number, number][] = [];
    const onLoading = (layers: number, needed: number) => heard.push([layers, needed]);
    const taps = [{ layer: 3, site: "attn_in" }, { layer: 1, site: "mlp_out" }] as const;
    await loadDecoder(gpu, files, { taps, maxTokens: 4, context: 4, onLoading });
    assert.deepEqual(heard, [[0, 4], [1, 4], [2, 4], [3, 4], [4, 4]]);
  }));

async function builtin(run: (files: ModelFiles) => Promise<void>): Promise<void> {
  const files = await openModel(BUILTIN);
  await run(files);
  await files.weights.close();
}

Deno.test("refuses contexts longer than the model's, and layers it has not", () =>
  builtin(async (files) => {
    const load = (layer: number, context: number) =>
      loadDecoder(gpu, files, { taps: [{ layer, site: "resid_mid" }], maxTokens: context, context });
    await assert.rejects(load(0, 513), /at most 512 tokens, asked for 513; use --context 512 or less/);
    await assert.rejects(load(6, 8), /Cannot take activations of layer 6: .* use --layers 5/);
  }));

Deno.test("refuses tokens outside the vocabulary, and batches beyond the capacity", () =>
  builtin(async (files) => {
    const model = await loadDecoder(gpu, files, { taps: [{ layer: 0, site: "attn_in" }], maxTokens: 8, context: 4 });
    const forward = (contexts: number, context: number, id: number) =>
      model.forward(new Pass(gpu), { contexts, context, ids: new Uint32Array(contexts * context).fill(id) });
    assert.throws(() => forward(1, 4, 4096), /Cannot embed token 4096: the model's vocabulary has 4096 tokens/);
    assert.throws(() => forward(3, 4, 5), RangeError);
    assert.throws(() => forward(1, 5, 5), RangeError);
  }));
