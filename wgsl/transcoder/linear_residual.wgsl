// residual[b, c] += bias[c] - target[b, c];   squares[b] = |residual[b]|^2 afterwards.
// residual [tokens, width] holds x W and is updated in place; bias [width]; target [tokens, width]; squares [tokens], overwritten.
// One workgroup per token; lanes take every LANES-th column, then the shared reduction.
// f32, two roundings per element.
override LANES: u32 = 64u;
struct Params { tokens: u32, width: u32 }
@group(0) @binding(0) var<storage, read> bias: array<f32>;
@group(0) @binding(1) var<storage, read> target_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> residual: array<f32>;
@group(0) @binding(3) var<storage, read_write> squares: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let b = group.y * groups.x + group.x;
  if (b >= params.tokens) { return; }
  var mine = 0.0;
  for (var c = local.x; c < params.width; c += LANES) {
    let at = b * params.width + c;
    let r = residual[at] + bias[c] - target_y[at];
    residual[at] = r;
    mine = fma(r, r, mine);
  }
  let sum = workgroup_sum(mine, local.x);
  if (local.x == 0u) { squares[b] = sum; }
}
