// y[c, r] = x[r, c].
// x [rows, columns]; y [columns, padded_rows], whose entries from column `rows` on are set to zero.
// One invocation per element of y, spread over a linear grid.
// No arithmetic: a copy.
struct Params { rows: u32, columns: u32, padded_rows: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  if (i >= params.columns * params.padded_rows) { return; }
  let column = i / params.padded_rows;
  let row = i % params.padded_rows;
  y[i] = select(0.0, x[min(row, params.rows - 1u) * params.columns + column], row < params.rows);
}
