// y[r] = gain * x[r] / sqrt(mean(x[r]^2) + epsilon).
// x, y [rows, width]: activations; gain [width]: one plus the checkpoint's weight.
// One workgroup per row; lanes take every LANES-th column.
// f32 throughout, the sum of squares in a fixed tree; y is overwritten.
override LANES: u32 = 256u;
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let first = row * params.width;
  var squares = 0.0;
  for (var c = local.x; c < params.width; c += LANES) { squares = fma(x[first + c], x[first + c], squares); }
  let scale = inverseSqrt(workgroup_sum(squares, local.x) / f32(params.width) + params.epsilon);
  for (var c = local.x; c < params.width; c += LANES) { y[first + c] = x[first + c] * scale * gain[c]; }
}
