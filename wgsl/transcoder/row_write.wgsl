// Writes the kept activations as sparse rows: token by token, features ascending within a token.
// activations [features, tokens] as f32 bits; inactive [features]; start [tokens * SEGMENTS + 1] and ties_before
// [tokens, SEGMENTS] from scan; index [entries] feature numbers; value [entries] activations; row_start [tokens + 1].
// One invocation per (token, segment). Kept: above the threshold, or equal to it while ties are still to take; ties go to
// the lowest flat index token * features + feature, and selection[3] receives that of the last one taken.
// Integers only, values are copied; everything named is overwritten.
override LANES: u32 = 8u;
override SEGMENTS: u32 = 16u;
struct Params { tokens: u32, features: u32, min_inactive: u32 }
@group(0) @binding(0) var<storage, read> activations: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read> start: array<u32>;
@group(0) @binding(3) var<storage, read> ties_before: array<u32>;
@group(0) @binding(4) var<storage, read_write> selection: array<u32>;
@group(0) @binding(5) var<storage, read_write> row_start: array<u32>;
@group(0) @binding(6) var<storage, read_write> index: array<u32>;
@group(0) @binding(7) var<storage, read_write> value: array<u32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  if (b >= params.tokens) { return; }
  let length = (params.features + SEGMENTS - 1u) / SEGMENTS;
  let threshold = selection[0];
  let wanted = selection[1];
  var at = start[b * SEGMENTS + id.y];
  var taken = ties_before[b * SEGMENTS + id.y];
  if (id.y == 0u) { row_start[b] = at; }
  if (id.y == 0u && b == params.tokens - 1u) { row_start[params.tokens] = start[params.tokens * SEGMENTS]; }
  for (var i = id.y * length; i < min((id.y + 1u) * length, params.features); i++) {
    if (inactive[i] < params.min_inactive) { continue; }
    let bits = activations[i * params.tokens + b];
    if (!is_positive(bits)) { continue; }
    var kept = bits > threshold;
    if (bits == threshold && taken < wanted) {
      kept = true;
      taken++;
      if (taken == wanted) { selection[3] = b * params.features + i; }
    }
    if (kept) {
      index[at] = i;
      value[at] = bits;
      at++;
    }
  }
}
