// squares[p, c] = sum over tokens of r_p[b, c]^2, where r_p = residual[p] - residual[p + 1], and residual[p] for the last one.
// residual [prefixes, tokens, width], suffix sums as decode leaves them; squares [prefixes, width], overwritten. Units of the target, squared.
// One invocation per column and prefix; neighbouring invocations read neighbouring columns.
// f32 sums in ascending token order; a difference of suffix sums has their rounding errors.
struct Params { tokens: u32, width: u32, prefixes: u32 }
@group(0) @binding(0) var<storage, read> residual: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  if (column >= params.width) { return; }
  let slab = params.tokens * params.width;
  let is_last = id.y + 1u == params.prefixes;
  var sum = 0.0;
  for (var b = 0u; b < params.tokens; b++) {
    let at = id.y * slab + b * params.width + column;
    var r = residual[at];
    if (!is_last) { r -= residual[at + slab]; }
    sum = fma(r, r, sum);
  }
  squares[id.y * params.width + column] = sum;
}
