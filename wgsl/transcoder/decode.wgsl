// Nested reconstructions of each token and the weighted suffix sums of their residuals:
//   y_p = bias_weight * bias + sum over kept features i < END_p of value_i * decoder[i]
//   r_p = y_p + target_weight * target,   squares[b, p] = |r_p|^2
//   residual[p] = sum over q >= p of r_q, where all but the last prefix's count inner_weight times
// row_start [tokens + 1], index, value [entries]; decoder [features, width]; bias [width]; target [tokens, width];
// residual [prefixes, tokens, width], written from element residual_first on; squares [tokens, prefixes].
// One workgroup per token. Columns go in quads (the width is a multiple of 4): each lane owns every LANES-th, walks the token's features
// in ascending order, and takes four of its quads per walk, so that an index is fetched once for sixteen sums.
// f32 with fused multiply-adds; squares by per-lane partial sums, then the shared reduction. Outputs are overwritten.
override LANES: u32 = 64u;
// Where each prefix ends; those beyond the last prefix are not used.
override END_0: u32 = 0u;
override END_1: u32 = 0u;
override END_2: u32 = 0u;
override END_3: u32 = 0u;
override END_4: u32 = 0u;
override END_5: u32 = 0u;
override END_6: u32 = 0u;
override END_7: u32 = 0u;
struct Params {
  tokens: u32, width: u32, features: u32, prefixes: u32, residual_first: u32, target_weight: f32, bias_weight: f32, inner_weight: f32,
}
@group(0) @binding(0) var<storage, read> row_start: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> decoder: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> target_y: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> residual: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> squares: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// sum + the entries first .. end - 1 of value[e] decoder[index[e]].
fn add_features(first: u32, end: u32, quads: u32, place: Place, sum: Sums) -> Sums {
  var y = sum;
  for (var e = first; e < end; e++) {
    let at = index[e] * quads;
    let f = vec4f(value[e]);
    y.a = fma(f, decoder[at + place.a], y.a);
    y.b = fma(f, decoder[at + place.b], y.b);
    y.c = fma(f, decoder[at + place.c], y.c);
    y.d = fma(f, decoder[at + place.d], y.d);
  }
  return y;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let b = group.y * groups.x + group.x;
  if (b >= params.tokens) { return; }
  let first = row_start[b];
  let end = row_start[b + 1u];
  let quads = params.width / 4u;
  let slab = params.tokens * quads;
  let origin = params.residual_first / 4u + b * quads;
  var ends = array<u32, 8>(END_0, END_1, END_2, END_3, END_4, END_5, END_6, END_7);
  // Entries of each prefix, counted once: a loop that breaks costs SIMD machines a mask per instruction.
  var entries: array<u32, 8>;
  for (var e = first; e < end; e++) {
    let i = index[e];
    for (var p = 0u; p < params.prefixes; p++) { entries[p] += u32(i < ends[p]); }
  }
  for (var q = local.x; q < quads; q += 4u * LANES) {
    let place = place_of(q, quads);
    var sum = Sums(bias[place.a], bias[place.b], bias[place.c], bias[place.d]);
    sum = Sums(params.bias_weight * sum.a, params.bias_weight * sum.b, params.bias_weight * sum.c, params.bias_weight * sum.d);
    var next = first;
    for (var p = 0u; p < params.prefixes; p++) {
      let until = first + entries[p];
      sum = add_features(next, until, quads, place, sum);
      next = until;
      let goal = b * quads;
      let out = origin + p * slab;
      residual[out + place.a] = sum.a + params.target_weight * target_y[goal + place.a];
      if (place.count > 1u) { residual[out + place.b] = sum.b + params.target_weight * target_y[goal + place.b]; }
      if (place.count > 2u) { residual[out + place.c] = sum.c + params.target_weight * target_y[goal + place.c]; }
      if (place.count > 3u) { residual[out + place.d] = sum.d + params.target_weight * target_y[goal + place.d]; }
    }
  }
  for (var p = 0u; p < params.prefixes; p++) {
    var mine = 0.0;
    for (var q = local.x; q < quads; q += LANES) {
      let r = residual[origin + p * slab + q];
      mine += dot(r, r);
    }
    let sum = workgroup_sum(mine, local.x);
    if (local.x == 0u) { squares[b * params.prefixes + p] = sum; }
  }
  for (var q = local.x; q < quads; q += LANES) {
    let at = origin + q;
    var suffix = residual[at + (params.prefixes - 1u) * slab];
    for (var p = params.prefixes - 1u; p > 0u; p--) {
      suffix = fma(vec4f(params.inner_weight), residual[at + (p - 1u) * slab], suffix);
      residual[at + (p - 1u) * slab] = suffix;
    }
  }
}
