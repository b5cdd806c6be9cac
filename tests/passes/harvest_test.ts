/** A harvest: its shards hold what the model computes and where each context comes from, however often it was interrupted. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { downloadF32, openGpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { openModel } from "../../core/model/files.ts";
import { loadDecoder } from "../../core/model/forward.ts";
import type { Tap } from "../../core/model/sites.ts";
import { contextsPerShard, type Harvest, standingOf, writeActivations } from "../../core/passes/harvest.ts";
import { contextBytes, openShards, writeShard } from "../../core/runs/shards.ts";
import { sliceBatch, START } from "../../core/text/contexts.ts";
import { openTokenSource } from "../../core/text/source.ts";
import { randomText } from "./random_text.ts";

const CONTEXT = 8, CONTEXTS = 11, WIDTHS = [128, 128];
const TAPS: readonly Tap[] = [{ layer: 0, site: "resid_mid" }, { layer: 1, site: "mlp_out" }];
/** Three contexts to a shard. */
const SHARD_BYTES = 3 * contextBytes(CONTEXT, WIDTHS) + 100;

const gpu = await openGpu(), files = await openModel("builtin");
const decoder = await loadDecoder(gpu, files, { taps: TAPS, maxTokens: 2 * CONTEXT, context: CONTEXT });
const openText = (start = START) =>
  openTokenSource({ tokenizer: files, data: "builtin", split: "train", context: CONTEXT, seed: 5, start });
const source = await openText(), { summary } = source;
const { batch } = await source.next(CONTEXTS);
source.close();

const description = {
  ...{ format: 1, mtc_version: "0.1.0", adapter: gpu.adapter, seed: 5, context: CONTEXT },
  model: { name: files.name, path: files.path, fingerprint: "f".repeat(64) },
  data: { files: [], ...summary },
};
const wanted = { ...description, taps: TAPS, precision: "f32" } as const;

const home = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));

async function harvest(name: string, contexts: number, changes: Partial<Harvest> = {}): Promise<string[]> {
  const directory = join(home, name);
  await Deno.mkdir(directory, { recursive: true });
  const standing = await standingOf(directory, wanted), source = await openText(standing.position);
  try {
    return await writeActivations({
      ...{ gpu, decoder, source, description, contexts, standing, directory, shardBytes: SHARD_BYTES },
      onRounded: () => assert.fail("nothing is rounded"),
      onProgress() {},
      ...changes,
    });
  } finally {
    await source.close();
  }
}

async function contentOf(name: string) {
  const shards = await openShards(join(home, name));
  try {
    return await shards.read(0, shards.contexts, [0, 1]);
  } finally {
    await shards.close();
  }
}

const paths = await harvest("whole", CONTEXTS);
const whole = await contentOf("whole");

Deno.test("shards hold contexts in the order of the stream, and what the model computes for each", async () => {
  assert.equal(contextsPerShard(CONTEXT, WIDTHS, SHARD_BYTES), 3);
  assert.deepEqual(paths, [0, 1, 2, 3].map((n) => join(home, "whole", `activations_0000${n}.safetensors`)));
  assert.deepEqual(whole.batch, batch);
  for (let c = 0; c < CONTEXTS; c++) {
    const pass = new Pass(gpu), taken = decoder.forward(pass, sliceBatch(batch, c, c + 1));
    pass.submit();
    for (const [t, { tensor }] of taken.entries()) {
      const rows = (await downloadF32(gpu, tensor)).subarray(0, CONTEXT * 128);
      assert.deepEqual(whole.activations[t].subarray(c * CONTEXT * 128, (c + 1) * CONTEXT * 128), rows);
    }
  }
});

Deno.test("from where the text stands behind a context, it goes on with the next one", async () => {
  for (const c of [0, 4, 9]) {
    const source = await openText(whole.positions[c]);
    const next = await source.next(1);
    await source.close();
    assert.deepEqual(next.batch, sliceBatch(batch, c + 1, c + 2));
    assert.deepEqual(next.position, whole.positions[c + 1]);
  }
});

Deno.test("any contexts and taps can be read, across the borders of shards", async () => {
  const shards = await openShards(join(home, "whole"));
  assert.deepEqual([shards.contexts, shards.count, shards.widths], [CONTEXTS, 4, WIDTHS]);
  for (const [first, contexts] of [[0, 1], [2, 2], [1, 9], [10, 1], [3, 3]]) {
    const { batch: read, positions, activations } = await shards.read(first, contexts, [1]);
    assert.deepEqual(read, sliceBatch(batch, first, first + contexts));
    assert.deepEqual(positions, whole.positions.slice(first, first + contexts));
    const each = CONTEXT * 128;
    assert.deepEqual(activations, [whole.activations[1].slice(first * each, (first + contexts) * each)]);
  }
  assert.deepEqual([TAPS[1], TAPS[0], { layer: 2, site: "mlp_out" } as const].map((tap) => shards.indexOf(tap)), [
    1,
    0,
    -1,
  ]);
  await shards.close();
});

Deno.test("a harvest that is interrupted again and again, and then asked for more, ends with the same contents", async () => {
  for (const stopAt of [1, 4, 8]) {
    const stop = new AbortController();
    const stopped = harvest("interrupted", CONTEXTS - 1, {
      signal: stop.signal,
      onProgress: (done) => done >= stopAt && stop.abort(),
    });
    await assert.rejects(stopped, (error) => error === stop.signal.reason);
    await Deno.writeTextFile(
      join(home, "interrupted", `.activations_00003.safetensors.${crypto.randomUUID()}.tmp`),
      "",
    );
  }
  assert.equal((await harvest("interrupted", CONTEXTS - 1)).length, 2);
  assert.deepEqual(await harvest("interrupted", CONTEXTS - 1), []);
  assert.equal((await harvest("interrupted", CONTEXTS)).length, 1);
  assert.deepEqual(await contentOf("interrupted"), whole);
  assert.ok([...Deno.readDirSync(join(home, "interrupted"))].every(({ name }) => !name.startsWith(".")));
});

Deno.test("a directory takes only the harvest that it holds a part of", async () => {
  const directory = join(home, "whole");
  for (
    const [changes, found] of [
      [{ seed: 6 }, "--data-seed"],
      [{ context: 9 }, "--context"],
      [{ taps: [TAPS[1]] }, "--layers or --sites"],
      [{ precision: "f16" }, "--precision"],
      [{ model: { fingerprint: "e".repeat(64) } }, "model"],
      [{ data: { ...description.data, fingerprint: "e".repeat(64) } }, "text"],
    ] as const
  ) {
    await assert.rejects(
      standingOf(directory, { ...wanted, ...changes } as typeof wanted),
      (error: Error) =>
        "parts" in error && (error.parts as { found: string }).found === `it holds one with another ${found}`,
    );
  }
  const { contexts, shards, position } = await standingOf(directory, wanted);
  assert.deepEqual([contexts, shards, position], [CONTEXTS, 4, whole.positions[CONTEXTS - 1]]);
});

Deno.test("a place beyond four gigabytes of a file is kept exactly", async () => {
  const directory = join(home, "far"), position = { ...START, epoch: 3, volume: 2, byte: 2 ** 40 + 12345, token: 7 };
  await Deno.mkdir(directory);
  await Deno.writeTextFile(join(directory, "harvest.json"), JSON.stringify({ ...wanted, precision_errors: {} }));
  const activations = WIDTHS.map((width) => new Float32Array(CONTEXT * width).fill(0.5));
  const content = { batch: randomText(1, CONTEXT, 1), positions: [position], activations };
  await writeShard(directory, { ...wanted, precision_errors: {} }, 0, 0, content);
  assert.deepEqual((await standingOf(directory)).position, position);
});

Deno.test("records without text before a context are kept with its place, where there are any", async () => {
  const directory = join(home, "bad"),
    places = [START, { ...START, token: 7, bad: 2 }, { ...START, token: 8, bad: 70000 }];
  await Deno.mkdir(directory);
  await Deno.writeTextFile(join(directory, "harvest.json"), JSON.stringify({ ...wanted, precision_errors: {} }));
  const activations = WIDTHS.map((width) => new Float32Array(3 * CONTEXT * width).fill(0.5));
  const content = { batch: randomText(3, CONTEXT, 1), positions: places, activations };
  await writeShard(directory, { ...wanted, precision_errors: {} }, 0, 0, content);
  const rest = {
    batch: randomText(1, CONTEXT, 1),
    positions: [START],
    activations: WIDTHS.map((width) => new Float32Array(CONTEXT * width)),
  };
  await writeShard(directory, { ...wanted, precision_errors: {} }, 1, 3, rest);
  const shards = await openShards(directory);
  assert.deepEqual((await shards.read(0, 4, [0])).positions, [...places, START]);
  await shards.close();
});

Deno.test("activations that are not finite are not written", async () => {
  const directory = join(home, "infinite");
  await Deno.mkdir(directory);
  const activations = WIDTHS.map((width) => new Float32Array(2 * CONTEXT * width));
  activations[1][CONTEXT * 128 + 3] = -Infinity;
  const content = { batch: randomText(2, CONTEXT, 1), positions: [START, START], activations };
  await assert.rejects(writeShard(directory, { ...wanted, precision_errors: {} }, 0, 40, content), {
    message: "Cannot harvest layer1.mlp_out: every activation must be finite, one of context 41 is -Infinity; " +
      "check the model's weights, or leave --precision out",
  });
  assert.deepEqual([...Deno.readDirSync(directory)], []);
});
