/** "Layer 26" of a model of 26 layers: they are counted from 0, so 25 is the last and trains, and 26 is refused with what to give. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { randomModel } from "../../core/bench/random_model.ts";
import { type TensorToWrite, writeSafetensors } from "../../core/files/safetensors.ts";
import { names, SMALL, TINY } from "./small_train.ts";
import { mtc } from "./tiny_run.ts";

const root = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(root, { recursive: true }));
const model = join(root, "deep"), runs = join(root, "runs");

/** As deep as Gemma-2-2B, with the embedded model's tokenizer. */
async function writeModel(): Promise<void> {
  const { config, weights: { files: [file] } } = randomModel({
    ...{ name: "deep", num_hidden_layers: 26, hidden_size: 32, intermediate_size: 64, num_attention_heads: 2 },
    ...{ num_key_value_heads: 1, head_dim: 16, sliding_window: 4096, vocab_size: 4096 },
  });
  await Deno.mkdir(model);
  await Deno.writeFile(join(model, "config.json"), config);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TINY, name), join(model, name));
  }
  const tensors: TensorToWrite[] = [];
  for (const [name, { shape }] of file.tensors) {
    tensors.push({ name, dtype: "F32", shape, data: await file.readF32(name) });
  }
  await writeSafetensors(join(model, "model.safetensors"), tensors);
}

await writeModel();
const few = [
  "--steps",
  "16",
  "--passes",
  "4",
  "--sample-tokens",
  "256",
  "--evaluation-tokens",
  "256",
  "--loss-tokens",
  "128",
];
const train = (layer: number) =>
  mtc("train", ...SMALL, ...few, "--layers", `${layer}`, "--model", model, "--runs", runs, "--name", "deep");

Deno.test("layer 26 is refused with the hint, and nothing is written", async () => {
  const { code, stderr } = await train(26);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^mtc: [^\n]*layer 26: the model's 26 layers are counted from 0 to 25, so the deepest is 25; use --layers 25$/,
  );
  assert.deepEqual(names(runs), []);
});

Deno.test("layer 25 is trained, and measured in the place of the last MLP", async () => {
  const { code, stderr } = await train(25);
  assert.equal(code, 0, stderr);
  const { fvu, loss } = JSON.parse(await Deno.readTextFile(join(runs, "deep", "layer25", "evaluation.json")));
  assert.ok(fvu < 0.95, `held-out FVU ${fvu}`);
  assert.ok(loss.per_prefix.at(-1).kl < loss.zero.kl, "it is nearer to the model than zeros");
});
