// inactive[i] = 0 where the batch keeps feature i, else inactive[i] + tokens.
// start [features + 1] of the kept tokens by feature; inactive [features], tokens since the feature was last kept.
// One invocation per feature.
// Integers; inactive is updated in place and saturates instead of wrapping: a feature that never fires stays dead.
struct Params { tokens: u32, features: u32 }
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read_write> inactive: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.features) { return; }
  inactive[i] = select(0u, max(inactive[i], inactive[i] + params.tokens), start[i] == start[i + 1u]);
}
