// normed = branch_gain * rms(branch), sum = residual + normed, next = next_gain * rms(sum), where rms(v) = v / sqrt(mean(v^2) + epsilon).
// branch, residual, normed, sum, next [rows, width]: activations; branch_gain, next_gain [width]: one plus the checkpoint's weight.
// One workgroup per row; lanes take every LANES-th column, always the same ones, so that a lane reads back only what it wrote.
// f32 throughout, sums of squares in a fixed tree; normed, sum and (unless NORM_NEXT is 0) next are overwritten.
override LANES: u32 = 256u;
override NORM_NEXT: u32 = 1u;
struct Params { rows: u32, width: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> branch: array<f32>;
@group(0) @binding(1) var<storage, read> branch_gain: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read> next_gain: array<f32>;
@group(0) @binding(4) var<storage, read_write> normed: array<f32>;
@group(0) @binding(5) var<storage, read_write> sum: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

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
  for (var c = local.x; c < params.width; c += LANES) { squares = fma(branch[first + c], branch[first + c], squares); }
  let branch_scale = inverseSqrt(workgroup_sum(squares, local.x) / f32(params.width) + params.epsilon);
  squares = 0.0;
  for (var c = local.x; c < params.width; c += LANES) {
    let value = branch[first + c] * branch_scale * branch_gain[c];
    let total = residual[first + c] + value;
    normed[first + c] = value;
    sum[first + c] = total;
    squares = fma(total, total, squares);
  }
  if (NORM_NEXT == 0u) { return; }
  let next_scale = inverseSqrt(workgroup_sum(squares, local.x) / f32(params.width) + params.epsilon);
  for (var c = local.x; c < params.width; c += LANES) { next[first + c] = sum[first + c] * next_scale * next_gain[c]; }
}
