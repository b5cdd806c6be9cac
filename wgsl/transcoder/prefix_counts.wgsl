// counts[b, p] = how many of token b's entries are of features below END_p.
// row_start [tokens + 1], index [entries] ascending within a token; counts [tokens, prefixes], overwritten.
// One invocation per token, which walks its entries once.
// Integers only.
// Where each prefix ends; those beyond the last prefix are not used.
override END_0: u32 = 0u;
override END_1: u32 = 0u;
override END_2: u32 = 0u;
override END_3: u32 = 0u;
override END_4: u32 = 0u;
override END_5: u32 = 0u;
override END_6: u32 = 0u;
override END_7: u32 = 0u;
struct Params { tokens: u32, prefixes: u32 }
@group(0) @binding(0) var<storage, read> row_start: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let b = id.x;
  if (b >= params.tokens) { return; }
  var ends = array<u32, 8>(END_0, END_1, END_2, END_3, END_4, END_5, END_6, END_7);
  let end = row_start[b + 1u];
  var e = row_start[b];
  let first = e;
  for (var p = 0u; p < params.prefixes; p++) {
    for (; e < end; e++) {
      if (index[e] >= ends[p]) { break; }
    }
    counts[b * params.prefixes + p] = e - first;
  }
}
