// cosine[b, p] = (y - mean) . (y_p - mean) / (|y - mean| |y_p - mean|), 0 where either has no length; y_p = target + r_p, where
// r_p = residual[p] - residual[p + 1], and residual[p] for the last one.
// target [tokens, width]; mean [width]; residual [prefixes, tokens, width], suffix sums as decode leaves them; cosine [tokens, prefixes].
// One workgroup per token; lanes take every LANES-th column, then the shared reduction.
// f32; cosine is overwritten.
override LANES: u32 = 64u;
struct Params { tokens: u32, width: u32, prefixes: u32 }
@group(0) @binding(0) var<storage, read> target_y: array<f32>;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read_write> cosine: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let b = group.y * groups.x + group.x;
  if (b >= params.tokens) { return; }
  let slab = params.tokens * params.width;
  for (var p = 0u; p < params.prefixes; p++) {
    let is_last = p + 1u == params.prefixes;
    var sums = vec4f();
    for (var c = local.x; c < params.width; c += LANES) {
      let at = b * params.width + c;
      var r = residual[p * slab + at];
      if (!is_last) { r -= residual[(p + 1u) * slab + at]; }
      let y = target_y[at] - mean[c];
      let reconstructed = y + r;
      sums += vec4f(y * reconstructed, y * y, reconstructed * reconstructed, 0.0);
    }
    let whole = workgroup_sum4(sums, local.x);
    if (local.x == 0u) {
      let lengths = sqrt(whole.y) * sqrt(whole.z);
      cosine[b * params.prefixes + p] = select(whole.x / lengths, 0.0, lengths == 0.0);
    }
  }
}
