// counts[digit] += 1 for each positive activation that agrees with the threshold's bits found so far, digit by digit.
// activations [features, tokens] as f32 bits (non-negative floats order like their bits); inactive [features], tokens since
// the feature last fired: those below min_inactive are passed over; selection[0] holds the bits found so far.
// One workgroup per (block of FEATURE_BLOCK features, block of TOKEN_BLOCK tokens), lanes along the tokens.
// Integer atomics only, so the order of the additions cannot matter; counts must be zero before.
override LANES: u32 = 64u;
override TOKEN_BLOCK: u32 = 256u;
override FEATURE_BLOCK: u32 = 64u;
struct Params { tokens: u32, features: u32, shift: u32, width: u32, min_inactive: u32 }
@group(0) @binding(0) var<storage, read> activations: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> params: Params;

const DIGITS = 2048u;
var<workgroup> local_counts: array<atomic<u32>, DIGITS>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let above = params.shift + params.width;
  let prefix = selection[0] >> above;
  let mask = (1u << params.width) - 1u;
  let first = group.y * FEATURE_BLOCK;
  let end = min(first + FEATURE_BLOCK, params.features);
  let token_end = min((group.x + 1u) * TOKEN_BLOCK, params.tokens);
  for (var i = first; i < end; i++) {
    if (inactive[i] < params.min_inactive) { continue; }
    for (var b = group.x * TOKEN_BLOCK + local.x; b < token_end; b += LANES) {
      let bits = activations[i * params.tokens + b];
      if (is_positive(bits) && (bits >> above) == prefix) {
        atomicAdd(&local_counts[(bits >> params.shift) & mask], 1u);
      }
    }
  }
  workgroupBarrier();
  for (var d = local.x; d <= mask; d += LANES) {
    let count = atomicLoad(&local_counts[d]);
    if (count > 0u) { atomicAdd(&counts[d], count); }
  }
}
