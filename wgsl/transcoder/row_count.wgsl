// above[b, s], ties[b, s] = how many activations of token b in feature segment s exceed, and equal, the threshold.
// activations [features, tokens] as f32 bits; inactive [features] (see histogram.wgsl); selection[0] the threshold's bits;
// above, ties [tokens, SEGMENTS]. A segment is features / SEGMENTS consecutive features, rounded up.
// One invocation per (token, segment), neighbours along the tokens.
// Integers only; both outputs are overwritten.
override LANES: u32 = 8u;
override SEGMENTS: u32 = 16u;
struct Params { tokens: u32, features: u32, min_inactive: u32 }
@group(0) @binding(0) var<storage, read> activations: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;
@group(0) @binding(3) var<storage, read_write> above: array<u32>;
@group(0) @binding(4) var<storage, read_write> ties: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  if (b >= params.tokens) { return; }
  let length = (params.features + SEGMENTS - 1u) / SEGMENTS;
  let threshold = selection[0];
  var n_above = 0u;
  var n_ties = 0u;
  for (var i = id.y * length; i < min((id.y + 1u) * length, params.features); i++) {
    if (inactive[i] < params.min_inactive) { continue; }
    let bits = activations[i * params.tokens + b];
    if (!is_positive(bits)) { continue; }
    n_above += u32(bits > threshold);
    n_ties += u32(bits == threshold);
  }
  above[b * SEGMENTS + id.y] = n_above;
  ties[b * SEGMENTS + id.y] = n_ties;
}
