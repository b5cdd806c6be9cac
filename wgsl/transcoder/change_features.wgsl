// What changed activations of features add to the target that they are decoded into, where the token keeps the rest of what it has:
//   y[order[first + b]] += constant + sum over the kept entries e of token b of (change[i, 0] value_e + change[i, 1]) decoder[i], i = index_e
// row_start [tokens + 1], index, value [entries]; change [features, 2]; decoder [features, width]; constant [width]; order [..] row numbers,
// each once and less than y_rows; y [y_rows, width]; the width is a multiple of 4.
// One workgroup per token. Columns go in quads: each lane owns every LANES-th, walks the token's features in ascending order, and takes
// four of its quads per walk. Entries that nothing changes cost their index alone.
// f32 with fused multiply-adds, the constant first, then one rounding of the sum with y. Rows not named keep what they hold, and so do
// those whose features are not changed where the constant is 0.
override LANES: u32 = 64u;
struct Params { tokens: u32, width: u32, features: u32, first: u32, y_rows: u32 }
@group(0) @binding(0) var<storage, read> row_start: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> change: array<vec2f>;
@group(0) @binding(4) var<storage, read> decoder: array<vec4f>;
@group(0) @binding(5) var<storage, read> constant: array<vec4f>;
@group(0) @binding(6) var<storage, read> order: array<u32>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let b = group.y * groups.x + group.x;
  if (b >= params.tokens) { return; }
  let quads = params.width / 4u;
  let origin = order[params.first + b] * quads;
  for (var q = local.x; q < quads; q += 4u * LANES) {
    let place = place_of(q, quads);
    var sum = Sums(constant[place.a], constant[place.b], constant[place.c], constant[place.d]);
    for (var e = row_start[b]; e < row_start[b + 1u]; e++) {
      let i = index[e];
      let changed = change[i];
      if (changed.x == 0.0 && changed.y == 0.0) { continue; }
      let f = vec4f(fma(changed.x, value[e], changed.y));
      let at = i * quads;
      sum.a = fma(f, decoder[at + place.a], sum.a);
      sum.b = fma(f, decoder[at + place.b], sum.b);
      sum.c = fma(f, decoder[at + place.c], sum.c);
      sum.d = fma(f, decoder[at + place.d], sum.d);
    }
    y[origin + place.a] += sum.a;
    if (place.count > 1u) { y[origin + place.b] += sum.b; }
    if (place.count > 2u) { y[origin + place.c] += sum.c; }
    if (place.count > 3u) { y[origin + place.d] += sum.d; }
  }
}
