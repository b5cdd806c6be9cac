// token[start[first + i] + n] = the n-th token that keeps feature i, ascending; value[..] its activation.
// activations [features, tokens] as f32 bits; inactive [features]; selection as in column_count; start [first + features + 1];
// token, value [entries].
// One invocation per feature.
// Integers only, values are copied; both outputs are overwritten.
override LANES: u32 = 8u;
struct Params { tokens: u32, features: u32, min_inactive: u32, first: u32 }
@group(0) @binding(0) var<storage, read> activations: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;
@group(0) @binding(3) var<storage, read> start: array<u32>;
@group(0) @binding(4) var<storage, read_write> token: array<u32>;
@group(0) @binding(5) var<storage, read_write> value: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.features || inactive[min(i, params.features - 1u)] < params.min_inactive) { return; }
  var at = start[params.first + i];
  for (var b = 0u; b < params.tokens; b++) {
    let bits = activations[i * params.tokens + b];
    if (is_kept(bits, b * params.features + i, selection[0], selection[1], selection[3])) {
      token[at] = b;
      value[at] = bits;
      at++;
    }
  }
}
