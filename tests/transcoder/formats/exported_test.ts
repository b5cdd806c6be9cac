/** Bytes of what is written for other tools: a change of them is a change of what their real loaders were tried with (tests/reference/export_loaders.py). */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { openSafetensors } from "../../../core/files/safetensors.ts";
import {
  writeCircuitTracerConfig,
  writeCircuitTracerLayer,
  writeEmptyLayer,
} from "../../../core/transcoder/formats/circuit_tracer.ts";
import { writeSaelens } from "../../../core/transcoder/formats/saelens.ts";
import { writeSparsify } from "../../../core/transcoder/formats/sparsify.ts";
import { prefixOf, scaleInputs, type Transcoder } from "../../../core/transcoder/weights.ts";
import { inDirectory } from "../../cli/tiny_run.ts";
import { activationsOf, randomTranscoder, reconstructionOf } from "../random_transcoder.ts";

/** SHA-256, the first 16 digits. */
const SAELENS = {
  "cfg.json": "90410330f577fb83",
  "sae_weights.safetensors": "1b5721d65c740f8e",
  "sparsity.safetensors": "4e0e734196bca44a",
};
const CIRCUIT_TRACER = {
  "config.yaml": "20fc40a3ec45c551",
  "layer_0.safetensors": "403e5748981a01ac",
  "layer_1.safetensors": "0b289c1b3eaaf769",
};
const SPARSIFY = { "cfg.json": "d6d82fb81c0cdab7", "sae.safetensors": "29c752a9b9be8e21" };

/** Numbers that are exact in every way of computing them, so that the bytes hang on nothing but the writers. */
function plainTranscoder(skip: boolean): Transcoder {
  const numbers = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => (i % 13 - 6) / step);
  return {
    shape: { d_in: 4, d_out: 4, groups: [2, 4], ...skip && { skip } },
    weights: {
      encoder: numbers(24, 8),
      encoderBias: numbers(6, 16),
      decoder: numbers(24, 4),
      decoderBias: numbers(4, 2),
      ...skip && { skip: numbers(16, 32) },
    },
    thresholds: Float32Array.of(-0.5, 0, 0.25, 0.5, Infinity, 1),
  };
}

async function digests(directory: string): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const { name } of Deno.readDir(directory)) {
    const hash = createHash("sha256").update(await Deno.readFile(join(directory, name)));
    found.push([name, hash.digest("hex").slice(0, 16)]);
  }
  return Object.fromEntries(found.sort(([a], [b]) => a < b ? -1 : 1));
}

const metadata = {
  ...{ model_name: "gemma-2-2b", hook_name: "blocks.17.hook_resid_mid", hook_name_out: "blocks.17.hook_mlp_out" },
  ...{ prepend_bos: true, context_size: 64, dataset_path: "text", matryoshka_widths: [2, 6] },
};

Deno.test("SAELens: the bytes of a directory, and what its config must say", () =>
  inDirectory(async (directory) => {
    await writeSaelens(directory, plainTranscoder(false), metadata, [0.5, 0.25, 0, 0, 0, 1]);
    assert.deepEqual(await digests(directory), SAELENS);
    const config = JSON.parse(await Deno.readTextFile(join(directory, "cfg.json")));
    assert.equal(config.architecture, "jumprelu_transcoder");
    assert.ok(Number.parseInt(config.metadata.sae_lens_version) >= 6);
    assert.deepEqual(config.metadata.matryoshka_widths, [2, 6]);
    await writeSaelens(directory, plainTranscoder(true), metadata);
    assert.equal(
      JSON.parse(await Deno.readTextFile(join(directory, "cfg.json"))).architecture,
      "jumprelu_skip_transcoder",
    );
  }));

Deno.test("circuit-tracer: the bytes of a set, and no threshold below 0, as its activation has no relu", () =>
  inDirectory(async (directory) => {
    await writeCircuitTracerConfig(directory, {
      ...{ model_name: "google/gemma-2-2b", scan: "/a/set" },
      ...{ feature_input_hook: "hook_resid_mid", feature_output_hook: "hook_mlp_out" },
    });
    await writeEmptyLayer(directory, 0, 4, 6, true);
    await writeCircuitTracerLayer(directory, 1, plainTranscoder(true));
    assert.deepEqual(await digests(directory), CIRCUIT_TRACER);
    const file = await openSafetensors(join(directory, "layer_1.safetensors"));
    assert.deepEqual(
      await file.readF32("activation_function.threshold"),
      Float32Array.of(0, 0, 0.25, 0.5, Infinity, 1),
    );
    assert.deepEqual(file.metadata, { format: "pt" });
    assert.deepEqual(file.info("W_enc").shape, [6, 4]);
    await file.close();
    const none = await openSafetensors(join(directory, "layer_0.safetensors"));
    assert.deepEqual(await none.readF32("b_enc"), new Float32Array(6).fill(-1));
    await none.close();
  }));

Deno.test("sparsify: the bytes of a directory, and no tensor that its loader does not know", () =>
  inDirectory(async (directory) => {
    await writeSparsify(directory, plainTranscoder(true), 3);
    assert.deepEqual(await digests(directory), SPARSIFY);
    const file = await openSafetensors(join(directory, "sae.safetensors"));
    assert.deepEqual([...file.tensors.keys()], ["W_dec", "W_skip", "b_dec", "encoder.bias", "encoder.weight"]);
    await file.close();
    const { k, transcode, normalize_decoder } = JSON.parse(await Deno.readTextFile(join(directory, "cfg.json")));
    assert.deepEqual([k, transcode, normalize_decoder], [3, true, false]);
  }));

Deno.test("a prefix is a transcoder of its own: what the whole gives with its first features alone", () => {
  const whole = randomTranscoder({ d_in: 5, d_out: 3, groups: [4, 2, 1] }, 0.1, 1), prefix = prefixOf(whole, 2);
  const x = [0.3, -1, 2, 0.7, -0.4];
  const active = (transcoder: Transcoder) =>
    [...activationsOf(transcoder, x).entries()].filter(([i, value]) => value > transcoder.thresholds[i]);
  assert.deepEqual(prefix.shape, { d_in: 5, d_out: 3, groups: [4, 2] });
  assert.ok(active(prefix).length > 0 && active(prefix).length < active(whole).length);
  assert.deepEqual(reconstructionOf(prefix, active(prefix), 6), reconstructionOf(whole, active(whole), 6));
});

Deno.test("with a gain folded in, activations in front of the gain give what those behind it gave", () => {
  const transcoder = randomTranscoder({ d_in: 5, d_out: 3, groups: [4], skip: true }, 0, 1);
  const gain = Float32Array.of(0.5, 2, 4, 0.25, 1),
    folded = { ...transcoder, weights: scaleInputs(transcoder.weights, gain) };
  const before = [1, -0.5, 0.25, 2, -1], behind = before.map((value, i) => value * gain[i]);
  const [a, b] = [activationsOf(folded, before), activationsOf(transcoder, behind)];
  assert.ok(a.some((value) => value > 0));
  a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) < 1e-6));
  const y = reconstructionOf(folded, a.entries(), 4, before);
  reconstructionOf(transcoder, b.entries(), 4, behind).forEach((value, i) => assert.ok(Math.abs(value - y[i]) < 1e-6));
});
