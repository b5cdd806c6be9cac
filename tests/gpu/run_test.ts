/** Recording and running kernels: order, parameters, and what is refused. */

import assert from "node:assert/strict";
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { defineKernel, linearGrid } from "../../wgsl/kernel.ts";

/** y[at] = FACTOR y[at] + add, with a parameter of each type. */
const affine = defineKernel({
  name: "affine",
  source: `
    override FACTOR: f32 = 1.0;
    struct Params { at: u32, add: f32, subtract: i32, items: u32, a: u32, b: u32 }
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<uniform> params: Params;
    @compute @workgroup_size(1)
    fn main() { y[params.at] = FACTOR * y[params.at] + params.add - f32(params.subtract) + f32(params.a) * f32(params.b); }
  `,
  bindings: { y: "write" },
  params: { at: "u32", add: "f32", subtract: "i32", items: "u32", a: "u32", b: "u32" },
  constants: { FACTOR: 1 },
  shapes: ({ items }) => ({ y: [items] }),
  workgroups: ({ items }) => [Math.min(items, 1), 1, 1],
});

/** y[i] = the invocation's own number in a linear grid. */
const number = defineKernel({
  name: "number",
  source: `
    struct Params { items: u32 }
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<uniform> params: Params;
    @compute @workgroup_size(1)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = group.y * groups.x + group.x;
      if (i < params.items) { y[i] = f32(i); }
    }
  `,
  bindings: { y: "write" },
  params: { items: "u32" },
  constants: {},
  shapes: ({ items }) => ({ y: [items] }),
  workgroups: ({ items }) => linearGrid(items, 1),
});

const gpu = await openGpu();
const nothing = { at: 0, add: 0, subtract: 0, items: 4, a: 0, b: 0 };
const four = (...values: number[]) => tensorFrom(gpu, "y", [4], Float32Array.from(values));
const read = async (tensor: ReturnType<typeof four>) => Array.from(await downloadF32(gpu, tensor));

Deno.test("commands run in the order they were recorded: kernels, copies and clears see what came before", async () => {
  const y = four(1, 2, 3, 4), kept = four(0, 0, 0, 0);
  const pass = new Pass(gpu);
  pass.run(affine, { y }, { ...nothing, add: 10 });
  pass.copy(y, 0, kept, 2, 2);
  pass.clear(y);
  pass.run(affine, { y }, { ...nothing, at: 1, add: 5 });
  pass.copy(y, 1, kept, 0, 1);
  pass.run(affine, { y }, { ...nothing, at: 1 }, { FACTOR: 3 });
  pass.run(affine, { y: kept }, { ...nothing, at: 3, add: 0.5 });
  pass.submit();
  assert.deepEqual(await read(y), [0, 15, 0, 0]);
  assert.deepEqual(await read(kept), [5, 0, 11, 2.5]);
});

Deno.test("parameters of each type arrive, beyond the first 16 bytes too", async () => {
  const y = four(0, 0, 0, 0);
  const pass = new Pass(gpu);
  pass.run(affine, { y }, { at: 3, add: -0.75, subtract: -7, items: 4, a: 3, b: 5 });
  pass.submit();
  assert.deepEqual(await read(y), [0, 0, 0, 21.25]);
});

Deno.test("a pass can be used again after submit, and submitting an empty one does nothing", async () => {
  const y = four(0, 0, 0, 0);
  const pass = new Pass(gpu);
  pass.submit();
  for (let n = 0; n < 3; n++) {
    pass.run(affine, { y }, { ...nothing, add: 1 });
    pass.submit();
    pass.submit();
  }
  assert.deepEqual(await read(y), [3, 0, 0, 0]);
});

Deno.test("passes submitted without waiting keep their own parameters, even when one outgrows the parameter buffer", async () => {
  const size = 2000, y = createTensor(gpu, "y", [size]);
  const record = (from: number, to: number) => {
    const pass = new Pass(gpu);
    for (let at = from; at < to; at++) pass.run(affine, { y }, { ...nothing, items: size, at, add: at + 1 });
    pass.submit();
  };
  record(0, 3);
  record(3, 260); // 257 blocks of 256 bytes: one more than the first buffer holds
  record(260, 264);
  record(264, size);
  record(0, 5);
  const expected = Array.from({ length: size }, (_, at) => at < 5 ? 2 * (at + 1) : at + 1);
  assert.deepEqual(await read(y), expected);
});

Deno.test("a grid too long for one dimension goes on in the second", async () => {
  for (const items of [1, 65535, 65536, 131071]) {
    const y = createTensor(gpu, "y", [items]);
    const pass = new Pass(gpu);
    pass.run(number, { y }, { items });
    pass.submit();
    const actual = await downloadF32(gpu, y);
    assert.ok(actual.every((value, i) => value === i), `${items} items`);
    y.buffer.destroy();
  }
  assert.deepEqual(linearGrid(0, 64), [1, 1, 1]);
  assert.deepEqual(linearGrid(65, 64), [2, 1, 1]);
});

Deno.test("a tensor that is too small is refused before anything is recorded, with the numbers", async () => {
  const y = four(1, 2, 3, 4);
  const pass = new Pass(gpu);
  assert.throws(() => pass.run(affine, { y }, { ...nothing, items: 5 }), {
    name: "RangeError",
    message: 'Cannot run "affine": y must hold 5 elements, "y" holds 4',
  });
  const grid = defineKernel({ ...affine, name: "grid", shapes: () => ({ y: [1024, 2304] }) });
  const small = createTensor(gpu, "activations", [1024, 2048]);
  assert.throws(() => pass.run(grid, { y: small }, nothing), {
    message: 'Cannot run "grid": y must hold 1024 x 2304 elements, "activations" holds 1024 x 2048',
  });
  pass.submit();
  assert.deepEqual(await read(y), [1, 2, 3, 4]);
});

Deno.test("an empty grid runs nothing", async () => {
  const y = four(1, 2, 3, 4);
  const pass = new Pass(gpu);
  pass.run(affine, { y }, { ...nothing, items: 0, add: 1 });
  pass.submit();
  assert.deepEqual(await read(y), [1, 2, 3, 4]);
});

Deno.test("a tensor of another shape with enough elements is taken: shapes are checked by size", async () => {
  const y = tensorFrom(gpu, "y", [2, 3], new Float32Array(6));
  const pass = new Pass(gpu);
  pass.run(affine, { y }, { ...nothing, at: 3, add: 2 });
  pass.submit();
  assert.deepEqual(await read(y), [0, 0, 0, 2, 0, 0]);
});

Deno.test("a kernel that does not compile surfaces at the next reading, by its name", async () => {
  const broken = defineKernel({ ...affine, name: "broken_kernel", source: "fn main() { nonsense }" });
  const y = four(1, 2, 3, 4);
  const pass = new Pass(gpu);
  pass.run(broken, { y }, nothing);
  pass.submit();
  await assert.rejects(downloadF32(gpu, y), (error: Error) => {
    assert.equal(error.name, "UserError");
    assert.match(error.message, /^Cannot go on with .*broken_kernel/s);
    return true;
  });
  assert.deepEqual(await read(y), [1, 2, 3, 4], "and the device works on");
});
