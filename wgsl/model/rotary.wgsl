// Each head's dimensions i and i + head_dim / 2 turn by the angle of their position: (a cos - b sin, b cos + a sin).
// qkv [contexts, context, (heads + 2 key_value_heads) head_dim]; turns [context, head_dim / 2] of (cos, sin); rotated [contexts, blocks, heads +
// key_value_heads, head_dim, 16]: blocks of 16 positions lie innermost, so that attention reads 16 queries, or neighbouring keys, side by side.
// One workgroup per block and head, lanes along the dimensions.
// f32; rotated is overwritten, its positions past the context repeat the last one.
override LANES: u32 = 32u;
struct Params { contexts: u32, context: u32, heads: u32, key_value_heads: u32, head_dim: u32 }
@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> turns: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> rotated: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let half = params.head_dim / 2u;
  let width = (params.heads + 2u * params.key_value_heads) * params.head_dim;
  let block = (group.z * groups.x + group.x) * groups.y + group.y;
  for (var i = local.x; i < half; i += LANES) {
    let low = (block * params.head_dim + i) * 16u;
    let high = low + half * 16u;
    for (var p = 0u; p < 16u; p++) {
      let position = min(group.x * 16u + p, params.context - 1u);
      let pair = (group.z * params.context + position) * width + group.y * params.head_dim + i;
      let a = qkv[pair];
      let b = qkv[pair + half];
      let turn = turns[position * half + i];
      rotated[low + p] = a * turn.x - b * turn.y;
      rotated[high + p] = b * turn.x + a * turn.y;
    }
  }
}
