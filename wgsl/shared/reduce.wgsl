
// The sum of `value` over the workgroup, the same in every lane, added in one fixed tree. LANES must be a power of two.
var<workgroup> reduce_scratch: array<f32, LANES>;
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lane] = value;
  for (var stride = LANES / 2u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { reduce_scratch[lane] += reduce_scratch[lane + stride]; }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}

// The largest `value` of the workgroup, the same in every lane.
fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lane] = value;
  for (var stride = LANES / 2u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + stride]); }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}

// Four sums at once.
var<workgroup> reduce_scratch4: array<vec4f, LANES>;
fn workgroup_sum4(value: vec4f, lane: u32) -> vec4f {
  workgroupBarrier();
  reduce_scratch4[lane] = value;
  for (var stride = LANES / 2u; stride > 0u; stride >>= 1u) {
    workgroupBarrier();
    if (lane < stride) { reduce_scratch4[lane] += reduce_scratch4[lane + stride]; }
  }
  workgroupBarrier();
  return reduce_scratch4[0];
}
