// Of each token's positive activations the `wanted` largest stay, ties to the lowest features; the others become 0.
// activations [features, tokens] as f32 bits, each written once. Bits of positive floats are ordered as their values are.
// One invocation per token, neighbours along the tokens: bit by bit it finds the largest threshold that `wanted` activations reach.
// Integers only; what is not positive (is_positive.wgsl) becomes 0 too.
override LANES: u32 = 8u;
struct Params { tokens: u32, features: u32, wanted: u32 }
@group(0) @binding(0) var<storage, read_write> activations: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

fn reached(b: u32, least: u32) -> u32 {
  var count = 0u;
  for (var i = 0u; i < params.features; i++) {
    let bits = activations[i * params.tokens + b];
    count += u32(is_positive(bits) && bits >= least);
  }
  return count;
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  if (b >= params.tokens) { return; }
  // It stays 0 where fewer are positive than are wanted.
  var least = 0u;
  for (var bit = 0x40000000u; bit > 0u; bit >>= 1u) {
    if (reached(b, least | bit) >= params.wanted) { least |= bit; }
  }
  var ties = params.wanted - min(params.wanted, reached(b, least + 1u));
  for (var i = 0u; i < params.features; i++) {
    let at = i * params.tokens + b;
    let bits = activations[at];
    var stays = is_positive(bits) && bits > least;
    if (is_positive(bits) && bits == least && ties > 0u) {
      stays = true;
      ties--;
    }
    activations[at] = select(0u, bits, stays);
  }
}
