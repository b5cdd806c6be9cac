// norms[first + r] = |x[r]|, the Euclidean length of a row.
// x [rows, width]; norms [first + rows].
// One workgroup per row; lanes take every LANES-th column, then the shared reduction.
// f32 throughout; norms before first are not touched.
override LANES: u32 = 64u;
struct Params { rows: u32, width: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> norms: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let r = group.y * groups.x + group.x;
  if (r >= params.rows) { return; }
  var squares = 0.0;
  for (var c = local.x; c < params.width; c += LANES) {
    let value = x[r * params.width + c];
    squares += value * value;
  }
  let whole = workgroup_sum(squares, local.x);
  if (local.x == 0u) { norms[params.first + r] = sqrt(whole); }
}
