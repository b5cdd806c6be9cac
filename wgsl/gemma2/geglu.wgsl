// hidden = gelu(gate) * up, gelu(g) = g (1 + tanh(u)) / 2 = g / (1 + exp(-2 u)), u = sqrt(2 / pi) (g + 0.044715 g^3).
// gate_up [rows, 2 width]: the gate's columns, then the up projection's; hidden [rows, width].
// One workgroup per row; lanes take every LANES-th column.
// f32; the quotient keeps its relative accuracy where 1 + tanh cancels, its exponent is held below overflow; hidden is overwritten.
override LANES: u32 = 256u;
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<storage, read> gate_up: array<f32>;
@group(0) @binding(1) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const MINUS_TWO_ROOT_TWO_OVER_PI = -1.5957691216057308;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let gates = row * 2u * params.width;
  for (var c = local.x; c < params.width; c += LANES) {
    let gate = gate_up[gates + c];
    let exponent = MINUS_TWO_ROOT_TWO_OVER_PI * fma(0.044715 * gate * gate, gate, gate);
    hidden[row * params.width + c] = gate / (1.0 + exp(min(exponent, 80.0))) * gate_up[gates + params.width + c];
  }
}
