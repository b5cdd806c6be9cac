/**
 * A multimodal Gemma-3 directory through every command that takes a model or a run. Its weights are the embedded model's, with norms of the
 * heads beside them, under the names of a multimodal checkpoint; its tokenizer has a token for images that the text model does not embed.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { gaussians } from "../random.ts";
import { SMALL, TINY } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const root = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));
const model = join(root, "gemma-3-tiny"), data = join(root, "text"), IMAGE = "<image_soft_token>", VOCABULARY = 4096;

const json = async (...path: string[]) => JSON.parse(await Deno.readTextFile(join(...path)));

async function writeModel(): Promise<void> {
  await Deno.mkdir(model);
  const { head_dim, num_hidden_layers, ...tiny } = await json(TINY, "config.json");
  const text_config = {
    ...{ model_type: "gemma3_text", hidden_size: tiny.hidden_size, intermediate_size: tiny.intermediate_size },
    ...{ num_attention_heads: tiny.num_attention_heads, num_key_value_heads: tiny.num_key_value_heads, head_dim },
    ...{ num_hidden_layers, vocab_size: VOCABULARY, query_pre_attn_scalar: head_dim, sliding_window: 16 },
    ...{ sliding_window_pattern: 2, rope_scaling: { factor: 8, rope_type: "linear" } },
  };
  const config = { model_type: "gemma3", text_config, vision_config: {}, eos_token_id: [1, 106] };
  await Deno.writeTextFile(join(model, "config.json"), JSON.stringify(config));

  const tokenizer = await json(TINY, "tokenizer.json");
  tokenizer.added_tokens.push({ id: VOCABULARY, content: IMAGE, special: true, normalized: false });
  await Deno.writeTextFile(join(model, "tokenizer.json"), JSON.stringify(tokenizer));
  await Deno.copyFile(join(TINY, "tokenizer_config.json"), join(model, "tokenizer_config.json"));

  const file = await openSafetensors(join(TINY, "model.safetensors"));
  const tensors: TensorToWrite[] = [];
  const add = (name: string, shape: readonly number[], values: Float32Array<ArrayBuffer>) =>
    tensors.push({ name, dtype: "F32", shape, data: values });
  add("vision_tower.vision_model.embeddings.position_embedding.weight", [4, 8], gaussians(32, 1));
  for (const [name, { shape }] of file.tensors) add(`language_model.${name}`, shape, await file.readF32(name));
  for (let l = 0; l < num_hidden_layers; l++) {
    for (const norm of ["q_norm", "k_norm"]) {
      const gain = gaussians(head_dim, l).map((value) => 0.2 * value);
      add(`language_model.model.layers.${l}.self_attn.${norm}.weight`, [head_dim], gain);
    }
  }
  await file.close();
  await writeSafetensors(join(model, "model.safetensors"), tensors);
}

async function writeText(): Promise<void> {
  await Deno.mkdir(data);
  for (let n = 0; n < 40; n++) {
    const words = Array.from(
      { length: 300 },
      (_, i) => ["peace", "the people", IMAGE, "taxes", "of war"][(i * i + n) % 5],
    );
    await Deno.writeTextFile(join(data, `${n}.txt`), words.join(" "));
  }
}

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await mtc(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

Deno.test("a multimodal Gemma-3 directory is harvested, trained on, evaluated, encoded and reported", async () => {
  await writeModel();
  await writeText();
  const of = ["--model", model, "--data", data], runs = join(root, "runs"), layer = join(runs, "first", "layer2");
  const out = join(root, "activations");
  await done("harvest", ...of, "--layers", "0,5", "--contexts", "4", "--context", "48", "--out", out);
  const file = await openSafetensors(join(out, "activations_00000.safetensors"));
  const { shape } = file.info("tokens"), tokens = await file.read("tokens");
  assert.deepEqual(shape, [4, 48]);
  assert.ok(Array.from(tokens).every((id) => id < VOCABULARY), "what spells the image token is text");
  assert.ok((await file.readF32("layer5.mlp_out")).every(Number.isFinite));
  await file.close();

  await done("train", ...of, ...SMALL, "--layers", "2", "--aux-k", "8", "--runs", runs, "--name", "first");
  const { model: recorded, source } = await json(layer, "config.json"), { fvu } = await json(layer, "evaluation.json");
  const { fingerprint, ...described } = recorded;
  assert.match(fingerprint, /^[0-9a-f]{64}$/);
  assert.deepEqual(described, { name: "gemma-3-tiny", path: model, layers: 6, d_model: 128, vocab_size: VOCABULARY });
  assert.equal(source.layer, 2);
  assert.equal(JSON.parse(await done("evaluate", "--run", layer, "--json")).fvu, fvu);
  const encoded = JSON.parse(await done("encode", "--run", layer, "--text", `peace ${IMAGE}`, "--json"));
  assert.ok(encoded.tokens.length > 4);
  await done("report", "--quick", "--runs", join(runs, "first"), "--out", join(root, "report"));
});
