/** The reductions: workgroup_sum, its form for four sums, and workgroup_max, in a kernel of their own and bit for bit. */

import assert from "node:assert/strict";
import reduceSource from "../../wgsl/shared/reduce.wgsl" with { type: "text" };
import { createTensor, downloadF32, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { defineKernel } from "../../wgsl/kernel.ts";
import { gaussians } from "../random.ts";

/** Sums of the workgroup's LANES numbers times 1, 3, then 2, 4, 5, 6 and again 1, and their maximum, right after one another; every lane says what it got. */
const sums = defineKernel({
  name: "sums",
  source: `
    override LANES: u32 = 64u;
    struct Params { groups: u32 }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<uniform> params: Params;
    @compute @workgroup_size(LANES)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
      let at = group.x * LANES + local.x;
      if (group.x >= params.groups) { return; }
      y[8u * at] = workgroup_sum(x[at], local.x);
      y[8u * at + 1u] = workgroup_sum(3.0 * x[at], local.x);
      let four = workgroup_sum4(x[at] * vec4f(2.0, 4.0, 5.0, 6.0), local.x);
      for (var n = 0u; n < 4u; n++) { y[8u * at + 2u + n] = four[n]; }
      y[8u * at + 6u] = workgroup_sum4(vec4f(x[at]), local.x).w;
      y[8u * at + 7u] = workgroup_max(x[at], local.x);
    }
  ` + reduceSource,
  bindings: { x: "read", y: "write" },
  params: { groups: "u32" },
  constants: { LANES: 64 },
  shapes: ({ groups }, { LANES }) => ({ x: [groups, LANES], y: [groups, LANES, 8] }),
  workgroups: ({ groups }) => [groups, 1, 1],
});

/** The same tree with float32 rounding: halves are folded onto each other until one number is left. */
function treeSum(values: Float32Array): number {
  const scratch = values.slice();
  for (let stride = scratch.length / 2; stride >= 1; stride /= 2) {
    for (let lane = 0; lane < stride; lane++) scratch[lane] += scratch[lane + stride];
  }
  return scratch[0];
}

const gpu = await openGpu();

for (const lanes of [1, 2, 4, 8, 16, 32, 64, 128, 256]) {
  Deno.test(`workgroup_sum: ${lanes} lanes, the same in each lane, bit for bit`, async () => {
    const groups = 7, x = gaussians(groups * lanes, lanes);
    const y = createTensor(gpu, "y", [groups, lanes, 8]);
    const pass = new Pass(gpu);
    pass.run(sums, { x: tensorFrom(gpu, "x", [groups, lanes], x), y }, { groups }, { LANES: lanes });
    pass.submit();
    const actual = await downloadF32(gpu, y);
    for (let g = 0; g < groups; g++) {
      const own = x.slice(g * lanes, (g + 1) * lanes);
      const expected = [1, 3, 2, 4, 5, 6, 1].map((factor) => treeSum(own.map((value) => factor * value)));
      expected.push(Math.max(...own));
      for (let lane = 0; lane < lanes; lane++) {
        const at = 8 * (g * lanes + lane);
        assert.deepEqual(Array.from(actual.subarray(at, at + 8)), expected, `group ${g}, lane ${lane}`);
      }
    }
  });
}
