// One training step of the decoder bias: g[c] = scale * sum over tokens of residual[0, b, c], then Adam.
// residual [prefixes, tokens, width], of which slab 0 sums the residuals of all prefixes; bias [3, width] with Adam mean and square.
// One invocation per column.
// f32, sums in ascending token order; bias is updated in place.
struct Params {
  tokens: u32, width: u32, scale: f32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> residual: array<f32>;
@group(0) @binding(1) var<storage, read_write> bias: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= params.width) { return; }
  var sum = 0.0;
  for (var b = 0u; b < params.tokens; b++) { sum += residual[b * params.width + c]; }
  let width = params.width;
  let updated = adam(params.step_size, vec4f(bias[c]), vec4f(params.scale * sum), vec4f(bias[width + c]), vec4f(bias[2u * width + c]));
  bias[c] = updated.weight.x;
  bias[width + c] = updated.mean.x;
  bias[2u * width + c] = updated.square.x;
}
