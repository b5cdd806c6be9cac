// Nested reconstructions of each token and the suffix sums of their residuals:
//   y_p = bias_weight * bias + sum over kept features i < END_p of value_i * decoder[i]
//   r_p = y_p + target_weight * target,   residual[p] = sum over q >= p of r_q,   squares[b, p] = |r_p|^2
// row_start [tokens + 1], index, value [entries]; decoder [features, width]; bias [width]; target [tokens, width];
// residual [prefixes, tokens, width], written from element residual_first on; squares [tokens, prefixes].
// One workgroup per token; each lane owns every LANES-th column, walks the token's features in ascending order, and takes four
// of its columns per walk, so that an index is fetched once for four sums.
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
struct Params { tokens: u32, width: u32, features: u32, prefixes: u32, residual_first: u32, target_weight: f32, bias_weight: f32 }
@group(0) @binding(0) var<storage, read> row_start: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> decoder: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> target_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> residual: array<f32>;
@group(0) @binding(7) var<storage, read_write> squares: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

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
  let slab = params.tokens * params.width;
  let origin = params.residual_first + b * params.width;
  var ends = array<u32, 8>(END_0, END_1, END_2, END_3, END_4, END_5, END_6, END_7);
  let last = params.width - 1u;
  for (var c = local.x; c < params.width; c += 4u * LANES) {
    // Columns past the edge repeat the last one; they are summed but not stored.
    let columns = min(vec4u(c, c + LANES, c + 2u * LANES, c + 3u * LANES), vec4u(last));
    let goal = b * params.width + columns;
    let wanted = params.target_weight * vec4f(target_y[goal.x], target_y[goal.y], target_y[goal.z], target_y[goal.w]);
    var sum = params.bias_weight * vec4f(bias[columns.x], bias[columns.y], bias[columns.z], bias[columns.w]);
    var e = first;
    for (var p = 0u; p < params.prefixes; p++) {
      let prefix_end = ends[p];
      while (e < end) {
        let i = index[e];
        if (i >= prefix_end) { break; }
        let w = i * params.width + columns;
        sum = fma(vec4f(value[e]), vec4f(decoder[w.x], decoder[w.y], decoder[w.z], decoder[w.w]), sum);
        e++;
      }
      let r = sum + wanted;
      let out = origin + p * slab + columns;
      residual[out.x] = r.x;
      if (c + LANES < params.width) { residual[out.y] = r.y; }
      if (c + 2u * LANES < params.width) { residual[out.z] = r.z; }
      if (c + 3u * LANES < params.width) { residual[out.w] = r.w; }
    }
  }
  for (var p = 0u; p < params.prefixes; p++) {
    var mine = 0.0;
    for (var c = local.x; c < params.width; c += LANES) {
      let r = residual[origin + p * slab + c];
      mine = fma(r, r, mine);
    }
    let sum = workgroup_sum(mine, local.x);
    if (local.x == 0u) { squares[b * params.prefixes + p] = sum; }
  }
  for (var c = local.x; c < params.width; c += LANES) {
    let at = origin + c;
    var suffix = residual[at + (params.prefixes - 1u) * slab];
    for (var p = params.prefixes - 1u; p > 0u; p--) {
      suffix += residual[at + (p - 1u) * slab];
      residual[at + (p - 1u) * slab] = suffix;
    }
  }
}
