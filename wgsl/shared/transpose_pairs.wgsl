// y[c, r] = x[r, c], elements of 16 bits.
// x [rows, columns / 2] and y [columns, padded_rows / 2] in pairs, the even one in the lower half of a u32; y is zero from column `rows` on.
// One invocation per square of 2 x 2 elements, spread over a linear grid.
// No arithmetic: a copy.
struct Params { rows: u32, columns: u32, padded_rows: u32 }
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

fn pair_at(row: u32, pair: u32) -> u32 {
  return select(0u, x[min(row, params.rows - 1u) * (params.columns / 2u) + pair], row < params.rows);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  let row_pairs = params.padded_rows / 2u;
  if (i >= params.columns / 2u * row_pairs) { return; }
  let column_pair = i / row_pairs;
  let row_pair = i % row_pairs;
  let upper = pair_at(2u * row_pair, column_pair);
  let lower = pair_at(2u * row_pair + 1u, column_pair);
  let at = 2u * column_pair * row_pairs + row_pair;
  y[at] = (upper & 0xffffu) | (lower << 16u);
  y[at + row_pairs] = (upper >> 16u) | (lower & 0xffff0000u);
}
