// moments[0, c] = mean over rows of x[r, c];  moments[1, c] = sum over rows of (x[r, c] - mean)^2.
// x [rows, width]; moments [slots, 2, width], of which slot `slot` is overwritten. Units of x, and their square.
// One invocation per column; neighbouring invocations read neighbouring columns.
// Two passes, so nothing cancels; f32 sums in ascending row order.
struct Params { rows: u32, width: u32, slot: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> moments: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  if (column >= params.width) { return; }
  var sum = 0.0;
  for (var r = 0u; r < params.rows; r++) { sum += x[r * params.width + column]; }
  let mean = sum / f32(params.rows);
  var squares = 0.0;
  for (var r = 0u; r < params.rows; r++) {
    let deviation = x[r * params.width + column] - mean;
    squares = fma(deviation, deviation, squares);
  }
  let at = params.slot * 2u * params.width + column;
  moments[at] = mean;
  moments[at + params.width] = squares;
}
