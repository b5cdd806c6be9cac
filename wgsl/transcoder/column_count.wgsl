// count[i] = how many tokens keep feature i.
// activations [features, tokens] as f32 bits; inactive [features]; selection [threshold bits, ties, kept, last tie]; count [features].
// One invocation per feature.
// Integers only; count is overwritten.
override LANES: u32 = 8u;
struct Params { tokens: u32, features: u32, min_inactive: u32 }
@group(0) @binding(0) var<storage, read> activations: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;
@group(0) @binding(3) var<storage, read_write> count: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.features) { return; }
  var n = 0u;
  if (inactive[i] >= params.min_inactive) {
    for (var b = 0u; b < params.tokens; b++) {
      n += u32(is_kept(activations[i * params.tokens + b], b * params.features + i, selection[0], selection[1], selection[3]));
    }
  }
  count[i] = n;
}
