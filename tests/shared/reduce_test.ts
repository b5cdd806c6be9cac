/** The one reduction: workgroup_sum, in a kernel of its own and bit for bit. */

import assert from "node:assert/strict";
import reduceSource from "../../wgsl/shared/reduce.wgsl" with { type: "text" };
import { createTensor, downloadAll, openGpu, tensorFrom } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { defineKernel } from "../../wgsl/kernel.ts";
import { gaussians } from "../random.ts";

/** Each workgroup sums its LANES numbers, then the numbers times 3, right after one another; every lane says what it got. */
const twoSums = defineKernel({
  name: "two_sums",
  source: `
    override LANES: u32 = 64u;
    struct Params { groups: u32 }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> first: array<f32>;
    @group(0) @binding(2) var<storage, read_write> second: array<f32>;
    @group(0) @binding(3) var<uniform> params: Params;
    @compute @workgroup_size(LANES)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
      let at = group.x * LANES + local.x;
      if (group.x >= params.groups) { return; }
      let once = workgroup_sum(x[at], local.x);
      let thrice = workgroup_sum(3.0 * x[at], local.x);
      first[at] = once;
      second[at] = thrice;
    }
  ` + reduceSource,
  bindings: { x: "read", first: "write", second: "write" },
  params: { groups: "u32" },
  constants: { LANES: 64 },
  shapes: ({ groups }, { LANES }) => ({ x: [groups, LANES], first: [groups, LANES], second: [groups, LANES] }),
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
    const first = createTensor(gpu, "first", [groups, lanes]), second = createTensor(gpu, "second", [groups, lanes]);
    const pass = new Pass(gpu);
    const tensors = { x: tensorFrom(gpu, "x", [groups, lanes], x), first, second };
    pass.run(twoSums, tensors, { groups }, { LANES: lanes });
    pass.submit();
    const [once, thrice] = (await downloadAll(gpu, [first, second])).map((bytes) => new Float32Array(bytes));
    for (let g = 0; g < groups; g++) {
      const own = x.slice(g * lanes, (g + 1) * lanes);
      const expected = [treeSum(own), treeSum(own.map((value) => 3 * value))];
      for (let lane = 0; lane < lanes; lane++) {
        assert.deepEqual([once[g * lanes + lane], thrice[g * lanes + lane]], expected, `group ${g}, lane ${lane}`);
      }
    }
  });
}
