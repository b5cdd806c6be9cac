// y[r] = scale * x[order[first + r]].
// x [capacity, width] raw activations of the shuffle buffer; order [..] row numbers; y [rows, width].
// One invocation per element of y, spread over a linear grid.
// One rounding per element; y is overwritten.
struct Params { rows: u32, width: u32, first: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  if (i >= params.rows * params.width) { return; }
  let row = i / params.width;
  let column = i % params.width;
  y[i] = params.scale * x[order[params.first + row] * params.width + column];
}
