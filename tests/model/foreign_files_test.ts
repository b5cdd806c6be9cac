/** Directories that hold something else than a model: the sentence names what it is, and what makes a model of it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../core/errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { TensorSource } from "../../core/files/tensor_source.ts";
import { openModel } from "../../core/model/files.ts";

/** A golden model of float32 in three shards. */
const SHARDS = new URL("../golden/gemma2/shards/", import.meta.url).pathname;
const POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5228717512\n";

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function says(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof UserError, `${error}`);
    assert.match(error.message, message);
    return true;
  };
}

/** Files to remove, and files to write in their place. */
const cases: [what: string, gone: RegExp, written: Record<string, string>, message: RegExp][] = [
  [
    "a Git-LFS pointer as a shard",
    /^$/,
    { "model-00002-of-00003.safetensors": POINTER },
    /-00002-.* Git-LFS pointer.*; .*git lfs pull/,
  ],
  ["one as the index", /^$/, { "model.safetensors.index.json": POINTER }, /index\.json: .* Git-LFS pointer/],
  ["one as the tokenizer", /^$/, { "tokenizer.json": POINTER }, /tokenizer\.json: .* Git-LFS pointer/],
  ["one as config.json", /^$/, { "config.json": POINTER }, /config\.json: .* Git-LFS pointer/],
  [
    "PyTorch's pickles alone",
    /safetensors/,
    { "pytorch_model.bin": "PK", "a.txt": "" },
    /it must hold model\.safetensors, .*, it holds pytorch_model\.bin: weights of another format; .*save_pretrained\('\/.*'\)"$/,
  ],
  [
    "GGUF",
    /safetensors/,
    { "gemma-Q4.gguf": "GGUF" },
    /it holds gemma-Q4\.gguf: GGUF; take the same model in Hugging Face's format$/,
  ],
  [
    "shards without their index",
    /index\.json/,
    {},
    /it holds model-00001-of-00003\.safetensors: shards without .*; download .*index\.json/,
  ],
  ["no weights", /safetensors/, {}, /it holds no weights; download them$/],
  [
    "a shard less",
    /00003-of/,
    {},
    /-00003-.*: it must be there, as .* lists it, 1 of its 3 shards is missing; download what is missing$/,
  ],
  [
    "a PEFT adapter",
    /config\.json|safetensors/,
    { "adapter_config.json": "{}" },
    /it holds adapter_config\.json: a PEFT adapter alone; merge it/,
  ],
  [
    "a tokenizer of SentencePiece alone",
    /tokenizer\.json/,
    { "tokenizer.model": "x" },
    /it must hold tokenizer\.json, it holds tokenizer\.model; make it of that: python -c/,
  ],
];
for (const [what, gone, written, message] of cases) {
  Deno.test(`a directory with ${what}`, () =>
    inDirectory(async (directory) => {
      for (const { name } of Deno.readDirSync(SHARDS)) {
        if (gone.source !== "^$" && gone.test(name)) continue;
        await Deno.copyFile(join(SHARDS, name), join(directory, name));
      }
      for (const [name, content] of Object.entries(written)) await Deno.writeTextFile(join(directory, name), content);
      await assert.rejects(openModel(directory), says(message));
    }));
}

Deno.test("what is no directory", () =>
  inDirectory(async (directory) => {
    await assert.rejects(openModel(join(directory, "nowhere")), says(/config\.json, there is no such directory; give/));
    await Deno.writeTextFile(join(directory, "file"), "");
    await assert.rejects(
      openModel(join(directory, "file")),
      says(/config\.json, it is a file; give a Hugging Face directory/),
    );
  }));

const tensors: [what: string, names: string[], message: RegExp][] = [
  [
    "an adapter that was not merged",
    ["model.layers.0.mlp.up_proj.base_layer.weight"],
    /base_layer.weight" is of a LoRA adapter .*; merge it/,
  ],
  [
    "an unknown prefix",
    ["student.layers.0.mlp.up_proj.weight"],
    /there is "student\.layers.* save the model without "student\." in front/,
  ],
  [
    "a quantised projection",
    ["model.layers.0.mlp.up_proj.qweight"],
    /hold quantised ones; take a checkpoint that is not quantised$/,
  ],
  [
    "fewer layers",
    ["model.layers.0.mlp.down_proj.weight"],
    /have none among 1 tensors, the first of which is "model\.layers\.0\.mlp\.down/,
  ],
];
for (const [what, names, message] of tensors) {
  Deno.test(`a checkpoint of ${what}`, () =>
    inDirectory(async (directory) => {
      const path = join(directory, "model.safetensors");
      const data = names.map((name): TensorToWrite => ({
        name,
        dtype: "F32",
        shape: [2, 2],
        data: new Float32Array(4),
      }));
      await writeSafetensors(path, data);
      const source = new TensorSource("it", [await openSafetensors(path)]);
      try {
        await assert.rejects(source.readF32("layers.0.mlp.up_proj.weight", [2, 2]), says(message));
        if (what !== "fewer layers") return;
        await assert.rejects(
          source.readF32("layers.1.mlp.up_proj.weight", [2, 2]),
          says(/the layers .* end with 0; take/),
        );
      } finally {
        await source.close();
      }
    }));
}

Deno.test("a matrix of another shape beside what bitsandbytes keeps", () =>
  inDirectory(async (directory) => {
    const path = join(directory, "model.safetensors"), name = "model.layers.0.mlp.up_proj.weight";
    await writeSafetensors(path, [
      { name, dtype: "F32", shape: [4, 1], data: new Float32Array(4) },
      { name: `${name}.absmax`, dtype: "F32", shape: [1], data: new Float32Array(1) },
    ]);
    const source = new TensorSource("it", [await openSafetensors(path)]);
    try {
      assert.throws(
        () => source.matrix("layers.0.mlp.up_proj.weight", [2, 2]),
        says(/\[4, 1\]; take a checkpoint that is not quantised$/),
      );
    } finally {
      await source.close();
    }
  }));
