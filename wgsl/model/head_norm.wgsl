// v = gain * v / sqrt(mean(v^2) + epsilon) for each query head and each key head v of qkv; values stay as they are.
// qkv [rows, (heads + 2 key_value_heads) head_dim]: activations; gain [2, head_dim]: one plus the checkpoint's weight, of queries, then of keys.
// One workgroup per row and head, heads innermost; lanes take every LANES-th dimension.
// f32 throughout, the sum of squares in a fixed tree; qkv is updated in place.
override LANES: u32 = 64u;
struct Params { rows: u32, heads: u32, key_value_heads: u32, head_dim: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> gain: array<f32>;
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let normed_heads = params.heads + params.key_value_heads;
  let i = group.y * groups.x + group.x;
  let row = i / normed_heads;
  if (row >= params.rows) { return; }
  let head = i % normed_heads;
  let first = (row * (normed_heads + params.key_value_heads) + head) * params.head_dim;
  let first_gain = select(0u, params.head_dim, head >= params.heads);
  var squares = 0.0;
  for (var d = local.x; d < params.head_dim; d += LANES) { squares = fma(qkv[first + d], qkv[first + d], squares); }
  let scale = inverseSqrt(workgroup_sum(squares, local.x) / f32(params.head_dim) + params.epsilon);
  for (var d = local.x; d < params.head_dim; d += LANES) { qkv[first + d] *= scale * gain[first_gain + d]; }
}
