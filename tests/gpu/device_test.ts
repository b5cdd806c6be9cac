/** Tensors on the device: sizes, transfers, and errors that come late. */

import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import {
  checkDevice,
  createTensor,
  download,
  downloadAll,
  downloadF32,
  downloadU32,
  openGpu,
  settle,
  tensorFrom,
  upload,
} from "../../core/gpu/device.ts";
import { wrongProducts } from "../../core/gpu/smoke.ts";
import { elements } from "../../core/gpu/tensor.ts";

const gpu = await openGpu();

Deno.test("the device says what it is and has the adapter's own limits", () => {
  assert.ok(gpu.adapter.length > 0);
  assert.equal(gpu.isCpu, /llvmpipe|lavapipe|swiftshader|WARP/i.test(gpu.adapter));
  assert.ok(gpu.limits.maxStorageBuffersPerShaderStage >= 13, "decoder_step binds 13 storage buffers");
});

Deno.test("the elements of a shape", () => {
  assert.equal(elements([3, 4, 5]), 60);
  assert.equal(elements([]), 1);
  assert.equal(elements([7, 0]), 0);
});

Deno.test("a new tensor is zero", async () => {
  assert.deepEqual(await downloadF32(gpu, createTensor(gpu, "new", [2, 3])), new Float32Array(6));
});

Deno.test("data keep their bits and decide the type", async () => {
  const bits = Uint32Array.of(0, 1, 0x7fc00001, 0xffc12345, 0x80000000, 0x7f800000);
  const floats = tensorFrom(gpu, "floats", [6], new Float32Array(bits.buffer));
  const words = tensorFrom(gpu, "words", [2, 3], bits), signed = tensorFrom(gpu, "signed", [2], Int32Array.of(-1, 5));
  assert.deepEqual([floats.type, words.type, signed.type], ["f32", "u32", "i32"]);
  assert.deepEqual(new Uint32Array(await download(gpu, floats)), bits);
  assert.deepEqual(await downloadU32(gpu, words), bits);
  assert.deepEqual(new Int32Array(await download(gpu, signed)), Int32Array.of(-1, 5));
});

Deno.test("several tensors are read with one wait, in order, empty ones too", async () => {
  const tensor = (...values: number[]) => tensorFrom(gpu, "t", [values.length], Float32Array.from(values));
  const read = await downloadAll(gpu, [tensor(1, 2), tensor(), tensor(3), tensor(4, 5, 6)]);
  assert.deepEqual(read.map((bytes) => Array.from(new Float32Array(bytes))), [[1, 2], [], [3], [4, 5, 6]]);
  assert.deepEqual(await downloadAll(gpu, []), []);
  assert.equal((await download(gpu, tensor())).byteLength, 0);
});

Deno.test("an upload fills the front, also from the middle of a host array, and refuses too much", async () => {
  const tensor = tensorFrom(gpu, "weights", [2, 2], Float32Array.of(1, 2, 3, 4));
  upload(gpu, tensor, Float32Array.of(9, 8, 7, 6).subarray(2));
  assert.deepEqual(Array.from(await downloadF32(gpu, tensor)), [7, 6, 3, 4]);
  assert.throws(() => upload(gpu, tensor, new Float32Array(5)), {
    name: "RangeError",
    message: 'Cannot upload "weights": it holds 4 elements, got 5',
  });
});

Deno.test("a tensor larger than the adapter binds is refused with its size and what to do", () => {
  const most = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  const rows = Math.floor(most / 4096) + 1;
  assert.throws(() => createTensor(gpu, "buffer", [rows, 1024]), (error: Error) => {
    assert.ok(error instanceof UserError);
    const sizes = `binds at most ${most} bytes, this needs ${rows * 4096}; choose a smaller`;
    assert.ok(error.message.startsWith(`Cannot allocate "buffer" (${rows} x 1024): `), error.message);
    assert.ok(error.message.includes(sizes), error.message);
    return true;
  });
});

Deno.test("a mistake that WebGPU reports late is thrown once, then forgotten", async () => {
  const small = createTensor(gpu, "small", [1]);
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(small.buffer, 0, small.buffer, 0, 4);
  try {
    gpu.device.queue.submit([encoder.finish()]);
  } catch { /* some versions throw at once as well */ }
  await assert.rejects(settle(gpu), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^Cannot go on with /);
    return true;
  });
  checkDevice(gpu);
  await settle(gpu);
});

Deno.test("products of whole numbers come out exactly", async () => {
  assert.equal(await wrongProducts(gpu), 0);
});
