import assert from "node:assert/strict";
import { join } from "node:path";
import { openGpu } from "../../core/gpu/device.ts";
import { candidateTiles, tileFor, tileKey } from "../../core/gpu/products.ts";
import { type NeededProduct, tuneTiles } from "../../core/gpu/tune.ts";

const opened = await openGpu();
const product: NeededProduct = { rows: 64, columns: 128, depth: 64, weight: "f32", epilogue: "none" };
/** The adapter as if it were a GPU: its candidates run here too. */
function asGpu() {
  opened.shared.tiles.clear();
  return { ...opened, isCpu: false };
}
const here = () => Deno.makeTempDir().then((directory) => join(directory, "cache", "tiles.json"));

Deno.test("what is tuned is a candidate, is remembered, and is not measured again", async () => {
  const file = await here(), gpu = asGpu();
  const tuned = await tuneTiles(gpu, [product], file);
  const key = tileKey(gpu, product, "f32"), chosen = gpu.shared.tiles.get(key)!;
  assert.deepEqual(tuned, { [key]: chosen });
  assert.ok(candidateTiles(gpu).includes(chosen));
  assert.equal(tileFor(gpu, product), chosen);
  const written = JSON.parse(await Deno.readTextFile(file));
  assert.deepEqual(written, { [`${gpu.adapter}, Deno ${Deno.version.deno}`]: { [key]: chosen } });

  // Another choice in the cache is believed: nothing is measured that could contradict it.
  const other = candidateTiles(gpu).find((tile) => tile !== chosen)!;
  written[`${gpu.adapter}, Deno ${Deno.version.deno}`][key] = other;
  await Deno.writeTextFile(file, JSON.stringify(written));
  const second = asGpu();
  await tuneTiles(second, [product], file);
  assert.equal(tileFor(second, product), other);
});

Deno.test("what a run was tuned to before stays", async () => {
  const file = await here(), gpu = asGpu();
  gpu.shared.tiles.set(tileKey(gpu, product, "f32"), "shared64");
  gpu.shared.tiles.set("another run's", "shared128");
  assert.deepEqual(await tuneTiles(gpu, [product], file), { [tileKey(gpu, product, "f32")]: "shared64" });
  assert.equal(tileFor(gpu, product), "shared64");
  await assert.rejects(Deno.stat(file), Deno.errors.NotFound, "nothing was measured");
});

Deno.test("a damaged cache is measured anew, and one that cannot be written does no harm", async () => {
  const file = await here();
  await Deno.mkdir(join(file, ".."), { recursive: true });
  for (const content of ["{", `{"x": {"y": "no tile"}}`, "[]", "null", "5", `""`]) {
    await Deno.writeTextFile(file, content);
    const gpu = asGpu();
    await tuneTiles(gpu, [product], file);
    assert.ok(gpu.shared.tiles.size === 1, content);
  }
  const gpu = asGpu();
  await tuneTiles(gpu, [product], "/proc/none/tiles.json");
  assert.equal(gpu.shared.tiles.size, 1);
});

Deno.test("sizes have their own choices on GPUs and share one on CPUs; a depth that is no multiple of 4 has no choice", () => {
  const gpu = asGpu(), cpu = { ...opened, isCpu: true }, wider = { ...product, columns: 256 };
  assert.notEqual(tileKey(gpu, product, "f32"), tileKey(gpu, wider, "f32"));
  assert.notEqual(tileKey(gpu, product, "f32"), tileKey(gpu, product, "f16"));
  assert.equal(tileKey(cpu, product, "f32"), tileKey(cpu, wider, "f32"));
  assert.equal(tileFor(gpu, { ...product, depth: 6 }), "lanes");
});
