/** Who owns the GPU's memory, and that no copy of a handle loses an error. */

import assert from "node:assert/strict";
import {
  createTensor,
  downloadAll,
  downloadF32,
  type Gpu,
  openGpu,
  settle,
  tensorFrom,
} from "../../core/gpu/device.ts";
import { openScope } from "../../core/gpu/scope.ts";
import { Pass } from "../../core/gpu/run.ts";
import { wrongProducts } from "../../core/gpu/smoke.ts";
import { tuneTiles } from "../../core/gpu/tune.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";

const gpu = await openGpu();

/** Records y = x transposed, for 4 x 4 matrices. */
function recordTranspose(pass: Pass, on: Gpu) {
  const x = tensorFrom(on, "x", [4, 4], Float32Array.from({ length: 16 }, (_, i) => i)),
    y = createTensor(on, "y", [4, 4]);
  pass.run(transpose, { x, y }, { rows: 4, columns: 4, padded_rows: 4 });
  return y;
}

Deno.test("closing a scope frees its tensors and their bind groups, and nothing else", async () => {
  const kept = createTensor(gpu, "kept", [8]), before = gpu.memory.bytes, groups = gpu.shared.bindGroups.size;
  {
    using scope = openScope(gpu);
    const pass = new Pass(scope), y = recordTranspose(pass, scope);
    pass.submit();
    assert.equal(scope.memory.bytes, 128);
    assert.equal(gpu.memory.bytes, before + 128);
    assert.equal(gpu.shared.bindGroups.size, groups + 1);
    assert.equal((await downloadF32(scope, y))[1], 4);
  }
  assert.equal(gpu.memory.bytes, before);
  assert.equal(gpu.shared.bindGroups.size, groups);
  assert.deepEqual(await downloadF32(gpu, kept), new Float32Array(8));
});

Deno.test("a scope is closed with the one that it lies in, and when its block is left by an error", () => {
  const before = gpu.memory.bytes;
  assert.throws(() => {
    using outer = openScope(gpu);
    const inner = openScope(outer);
    createTensor(inner, "inner", [3]);
    createTensor(outer, "outer", [5]);
    assert.equal(gpu.memory.bytes, before + 32);
    throw new TypeError("on purpose");
  }, TypeError);
  assert.equal(gpu.memory.bytes, before);
});

Deno.test("nothing can be allocated in a closed scope", () => {
  const scope = openScope(gpu), before = gpu.memory.bytes;
  scope[Symbol.dispose]();
  assert.throws(() => createTensor(scope, "late", [3]), { name: "RangeError", message: /"late": its scope is closed/ });
  assert.equal(gpu.memory.bytes, before);
});

Deno.test("work that was submitted before its scope is closed still runs", async () => {
  const result = createTensor(gpu, "result", [16]);
  {
    using scope = openScope(gpu);
    const pass = new Pass(scope), y = recordTranspose(pass, scope);
    pass.copy(y, 0, result, 0, 16);
    pass.submit();
  }
  assert.equal((await downloadF32(gpu, result))[1], 4);
  await settle(gpu);
});

Deno.test("bindings are made once for the same tensors, and anew for those that came in their place", async () => {
  using scope = openScope(gpu);
  const pass = new Pass(scope), groups = gpu.shared.bindGroups.size;
  const x = tensorFrom(scope, "x", [1, 4], Float32Array.of(1, 2, 3, 4)), y = createTensor(scope, "y", [4, 1]);
  for (let i = 0; i < 3; i++) pass.run(transpose, { x, y }, { rows: 1, columns: 4, padded_rows: 1 });
  pass.submit();
  assert.equal(gpu.shared.bindGroups.size, groups + 1);
  await settle(gpu);
});

Deno.test("measuring a device leaves nothing on it", async () => {
  using own = await openGpu(null);
  await wrongProducts(own);
  await tuneTiles(own, [{ rows: 8, columns: 8, depth: 8, weight: "f32", epilogue: "none" }], null);
  assert.equal(own.memory.bytes, 0);
  assert.equal(own.shared.bindGroups.size, 0);
});

Deno.test("an error is seen through every handle of the device, whichever it was made with", async () => {
  const lost = (on: Gpu) => assert.rejects(settle(on), { name: "UserError", message: /^Cannot go on with / });
  const provoke = () => void gpu.device.createBuffer({ label: "impossible", size: 4, usage: 0 });
  const copy: Gpu = { ...gpu, isCpu: !gpu.isCpu };
  using scope = openScope(gpu);
  for (const on of [copy, scope, gpu]) {
    provoke();
    await lost(on);
    await settle(gpu);
  }
  provoke();
  await assert.rejects(downloadAll(copy, [createTensor(copy, "small", [1])]), { name: "UserError" });
});

Deno.test("a handle cannot be changed", () => {
  assert.throws(() => Object.assign(gpu, { isCpu: !gpu.isCpu }), TypeError);
});
