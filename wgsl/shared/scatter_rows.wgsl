// y[order[first + r], c] = x[r % x_rows, x_column + c] for r below rows; the rows of y that order does not name keep what they hold.
// x [x_rows, x_width]: as many rows as are written, or one for all of them; order [..] row numbers, each once and less than y_rows;
// y [y_rows, width]; widths and x_column are multiples of 4.
// One invocation per four elements that are written, spread over a linear grid.
// No rounding; the rows named are overwritten.
struct Params { rows: u32, width: u32, first: u32, x_rows: u32, y_rows: u32, x_width: u32, x_column: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  let quads = params.width / 4u;
  if (i >= params.rows * quads) { return; }
  let row = i / quads;
  let column = i % quads;
  let place = row % params.x_rows * (params.x_width / 4u) + params.x_column / 4u + column;
  y[order[params.first + row] * quads + column] = x[place];
}
