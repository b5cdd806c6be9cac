// rest[b, c] = target[b, c] - rest[b, c]: what a skip connection leaves of the target.
// target [count]; rest [count], what the skip connection gives, is updated in place.
// One invocation per element, spread over a linear grid.
// f32, one rounding.
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> target_y: array<f32>;
@group(0) @binding(1) var<storage, read_write> rest: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  if (i < params.count) { rest[i] = target_y[i] - rest[i]; }
}
