/** A run knows its model and its text: others of the same shape and size are refused, the same ones are taken wherever they lie. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { openSafetensors, writeSafetensors } from "../../core/files/safetensors.ts";
import { jsonl } from "../text/corpora.ts";
import { finishedContent, SMALL, TINY } from "./small_train.ts";
import { inDirectory, mtc, type Outcome } from "./tiny_run.ts";

const ARGS = [...SMALL, "--layers", "1", "--steps", "6"];

const SPEECHES = Array.from(
  { length: 60 },
  (_, i) => `Speech ${i}. We ask for ${["peace", "work", "roads"][i % 3]} and trust. `.repeat(40),
);

async function copyModel(to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const file of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TINY, file), join(to, file));
  }
}

/** The model with one tensor in which every number has another sign. */
async function trainFurther(directory: string): Promise<void> {
  const path = join(directory, "model.safetensors"), file = await openSafetensors(path);
  const tensors = [];
  for (const [name, { shape }] of file.tensors) {
    const data = await file.readF32(name);
    const isChanged = name.endsWith("layers.3.mlp.up_proj.weight");
    tensors.push({ name, dtype: "F32" as const, shape, data: isChanged ? data.map((value) => -value) : data });
  }
  await file.close();
  await writeSafetensors(path, tensors);
}

/** The model as it is, as float32: what {@link trainFurther} writes but for the change. */
async function widen(directory: string): Promise<void> {
  const path = join(directory, "model.safetensors"), file = await openSafetensors(path);
  const tensors = [];
  for (const [name, { shape }] of file.tensors) {
    tensors.push({ name, dtype: "F32" as const, shape, data: await file.readF32(name) });
  }
  await file.close();
  await writeSafetensors(path, tensors);
}

function assertDone({ code, stderr }: Outcome): void {
  assert.equal(code, 0, stderr);
}

function assertRefused({ code, stderr }: Outcome, message: RegExp): void {
  assert.equal(code, 1, stderr);
  assert.match(stderr, message);
}

Deno.test("another model of the same shape is refused, and the same one is taken from its new place", () =>
  inDirectory(async (directory) => {
    const old = join(directory, "old"), moved = join(directory, "moved"), data = join(directory, "speech.jsonl");
    await copyModel(old);
    await widen(old);
    await Deno.writeTextFile(data, jsonl(SPEECHES));
    const run = join(directory, "first"), layer = join(run, "layer1");
    assertDone(await mtc("train", ...ARGS, "--model", old, "--data", data, "--runs", directory, "--name", "first"));
    const whole = await finishedContent(layer), before = await mtc("evaluate", "--run", layer, "--json");
    assertDone(before);

    await Deno.rename(old, moved);
    const at = ["--model", moved];
    const missing = await mtc("encode", "--run", layer, "--text", "My fellow citizens");
    assertRefused(
      missing,
      /Cannot open the model \S+old: it must hold config\.json, there is no such directory; .*--model/,
    );
    assertDone(await mtc("encode", "--run", layer, "--text", "My fellow citizens", ...at));
    const newData = join(directory, "elsewhere");
    await Deno.mkdir(newData);
    await Deno.rename(data, join(newData, basename(data)));
    const elsewhere = ["--data", join(newData, basename(data))];
    const after = await mtc("evaluate", "--run", layer, "--json", ...at, ...elsewhere);
    assertDone(after);
    assert.equal(after.stdout, before.stdout);

    // What follows the last step is done again, with all that the run has from its steps.
    await Deno.remove(join(layer, "transcoder.safetensors"));
    assertDone(await mtc("train", "--resume", run, ...at, ...elsewhere));
    assert.deepEqual(await finishedContent(layer), whole);

    await trainFurther(moved);
    const others =
      /the model's weights and tokenizer must be the fingerprint \w{12} that the run began with, they are fingerprint \w{12}; put \S+ back as it was, or give its new place with --model/;
    assertRefused(await mtc("encode", "--run", layer, "--text", "My fellow citizens", ...at), others);
    assertRefused(await mtc("evaluate", "--run", layer, ...at, ...elsewhere), others);
    await Deno.remove(join(layer, "transcoder.safetensors"));
    assertRefused(await mtc("train", "--resume", run, ...at, ...elsewhere), others);
  }));
