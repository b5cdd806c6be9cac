// removed[i, p] = sum over tokens of |r_p - a d|^2 - |r_p|^2 with a = activations[i, b], d = decoder[i]: how much larger the squared error of
// prefix p were without feature i, for the prefixes that it belongs to; r_p = residual[p] - residual[p + 1], and residual[p] for the last one.
// activations [features, tokens], 0 where a feature is not active; residual [prefixes, tokens, width], suffix sums as decode leaves them;
// decoder [features, width]; removed [features, prefixes], overwritten, in units of the target, squared.
// One workgroup per feature; lanes take every LANES-th column of each token that it is active on, then the shared reduction.
// f32 sums of a d (a d - 2 r_p); a difference of suffix sums has their rounding errors.
override LANES: u32 = 64u;
struct Params { tokens: u32, width: u32, features: u32, prefixes: u32 }
@group(0) @binding(0) var<storage, read> activations: array<f32>;
@group(0) @binding(1) var<storage, read> residual: array<f32>;
@group(0) @binding(2) var<storage, read> decoder: array<f32>;
@group(0) @binding(3) var<storage, read_write> removed: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = group.y * groups.x + group.x;
  if (i >= params.features) { return; }
  let slab = params.tokens * params.width;
  var sums: array<f32, 8>;
  for (var b = 0u; b < params.tokens; b++) {
    let a = activations[i * params.tokens + b];
    if (a <= 0.0) { continue; }
    for (var c = local.x; c < params.width; c += LANES) {
      let written = a * decoder[i * params.width + c];
      let at = b * params.width + c;
      var above = 0.0;
      for (var p = params.prefixes; p > 0u; p--) {
        let suffix = residual[(p - 1u) * slab + at];
        sums[p - 1u] = fma(written, written - 2.0 * (suffix - above), sums[p - 1u]);
        above = suffix;
      }
    }
  }
  for (var p = 0u; p < params.prefixes; p++) {
    let sum = workgroup_sum(sums[p], local.x);
    if (local.x == 0u) { removed[i * params.prefixes + p] = sum; }
  }
}
