// What a model predicts against what a reference does, taken in block by block. With z = cap tanh(product / cap) (product where SOFT_CAP is 0),
// z' likewise of the reference, p = softmax(z), p' = softmax(z'):
//   result[r, 0] = log(sum exp(z)) - z[target]                             the next token's loss; 0 where none follows
//   result[r, 1] = sum p' (z' - z) - log(sum exp(z')) + log(sum exp(z))    KL(p' || p)
//   result[r, 2] = 1 where the largest product of both is the same token's (the first of equal ones), 0 elsewhere
// product [rows, columns], reference [references, columns]: both heads' products with the vocabulary's tokens first .. first + columns - 1;
// reference_row [rows]: the row of reference that each is held against; target_token [rows]: the token that follows, 0xffffffff where none does; state [rows, 8]: largest z so far, its token, sum of exp(z - largest), the target's z; of
// the reference the largest, its token and the sum, then sum of exp(z' - largest') (z' - z); result [rows, 3].
// One workgroup per row; lanes take every LANES-th column.
// f32, token numbers too, which are exact below 2^24; each block is summed in fixed trees below its own maxima, then both sums below the larger
// ones. The block with first = 0 begins state, the others update it in place; the one that ends with the vocabulary overwrites result.
override LANES: u32 = 256u;
override SOFT_CAP: f32 = 30.0;
struct Params { rows: u32, columns: u32, first: u32, vocabulary: u32, references: u32 }
@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read> reference: array<f32>;
@group(0) @binding(2) var<storage, read> reference_row: array<u32>;
@group(0) @binding(3) var<storage, read> target_token: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const LOWEST = -3.0e38;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let begin = row * params.columns;
  let other = reference_row[row] * params.columns;
  // The cap keeps the order, so it is taken of the largest alone. A lane's columns ascend: the first of equal products stays.
  var best = vec2f(LOWEST);
  var place = vec2f(f32(params.columns));
  for (var c = local.x; c < params.columns; c += LANES) {
    let here = vec2f(product[begin + c], reference[other + c]);
    place = select(place, vec2f(f32(c)), here > best);
    best = max(best, here);
  }
  let most = vec2f(workgroup_max(best.x, local.x), workgroup_max(best.y, local.x));
  place = select(vec2f(f32(params.columns)), place, best == most);
  place = -vec2f(workgroup_max(-place.x, local.x), workgroup_max(-place.y, local.x));
  var largest = vec2f(soft_capped(most.x), soft_capped(most.y));
  var sums = vec4f();
  for (var c = local.x; c < params.columns; c += LANES) {
    let z = vec2f(soft_capped(product[begin + c]), soft_capped(reference[other + c]));
    let e = exp(z - largest);
    sums += vec4f(e.x, e.y, e.y * (z.y - z.x), 0.0);
  }
  sums = workgroup_sum4(sums, local.x);
  if (local.x > 0u) { return; }

  var token = place + f32(params.first);
  let wanted = target_token[row];
  let at = row * 8u;
  var chosen = 0.0;
  if (params.first > 0u) {
    let before = vec2f(state[at], state[at + 4u]);
    let both = max(before, largest);
    let old = exp(before - both);
    let fresh = exp(largest - both);
    sums = vec4f(state[at + 2u], state[at + 6u], state[at + 7u], 0.0) * vec4f(old, old.y, 0.0) + sums * vec4f(fresh, fresh.y, 0.0);
    token = select(token, vec2f(state[at + 1u], state[at + 5u]), before >= largest);
    largest = both;
    chosen = state[at + 3u];
  }
  if (wanted >= params.first && wanted - params.first < params.columns) {
    chosen = soft_capped(product[begin + wanted - params.first]);
  }
  state[at] = largest.x;
  state[at + 1u] = token.x;
  state[at + 2u] = sums.x;
  state[at + 3u] = chosen;
  state[at + 4u] = largest.y;
  state[at + 5u] = token.y;
  state[at + 6u] = sums.y;
  state[at + 7u] = sums.z;
  if (params.first + params.columns < params.vocabulary) { return; }
  let logs = log(sums.xy);
  result[row * 3u] = select(logs.x + (largest.x - chosen), 0.0, wanted == 0xffffffffu);
  result[row * 3u + 1u] = sums.z / sums.y + (logs.x - logs.y) + (largest.x - largest.y);
  result[row * 3u + 2u] = select(0.0, 1.0, token.x == token.y);
}
