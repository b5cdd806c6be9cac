/** Views of tensors: the same storage in another shape, never more of it than there is. */

import assert from "node:assert/strict";
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { front, viewOf } from "../../core/gpu/tensor.ts";

const gpu = await openGpu();
const numbers = Float32Array.from({ length: 21 }, (_, i) => i);
const tensor = tensorFrom(gpu, "numbers", [7, 3], numbers);

Deno.test("a view is the tensor's first elements", async () => {
  for (const shape of [[7, 3], [3, 7], [21], [20], [2, 2, 5], [1], [0, 3]]) {
    const view = viewOf(tensor, shape), count = shape.reduce((a, b) => a * b, 1);
    assert.deepEqual(view, { ...tensor, shape });
    assert.deepEqual(await downloadF32(gpu, view), numbers.slice(0, count));
  }
});

Deno.test("the front is the tensor's first rows, whatever their rank", () => {
  for (const rows of [0, 1, 6, 7]) assert.deepEqual(front(tensor, rows).shape, [rows, 3]);
  assert.deepEqual(front(createTensor(gpu, "list", [5], "u32"), 4).shape, [4]);
  assert.deepEqual(front(createTensor(gpu, "slabs", [2, 3, 4]), 1).shape, [1, 3, 4]);
});

Deno.test("more than the tensor holds is refused by its name", () => {
  assert.throws(
    () => viewOf(tensor, [2, 11]),
    new RangeError(
      'Cannot view "numbers" as 2 x 11: it must hold that many elements, it holds 7 x 3',
    ),
  );
  assert.throws(() => front(tensor, 8), RangeError);
  assert.throws(() => front(tensor, NaN), RangeError);
});
