// y[r, d] = (x[order[first + r] - block_first, c] - columns[0, d]) * columns[1, d] with d = y_column + c, for the rows whose number lies
// in block_first .. block_first + block_rows - 1.
// x [block_rows, width] one block of the rows that order numbers; order [..] row numbers; columns [2, y_width] what is taken from
// each column and what the rest is multiplied by; y [rows, y_width]; widths and y_column are multiples of 4.
// One invocation per four elements that are written, spread over a linear grid; one whose row lies in another block writes nothing.
// Two roundings per element, one where nothing is taken away; the columns of y are overwritten once every block had its dispatch.
struct Params { rows: u32, width: u32, first: u32, block_first: u32, block_rows: u32, y_width: u32, y_column: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> columns: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

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
  // Rows before the block wrap around to numbers beyond it.
  let place = order[params.first + row] - params.block_first;
  if (place >= params.block_rows) { return; }
  let y_quads = params.y_width / 4u;
  let y_place = params.y_column / 4u + column;
  y[row * y_quads + y_place] = (x[place * quads + column] - columns[y_place]) * columns[y_quads + y_place];
}
