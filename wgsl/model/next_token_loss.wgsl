// loss = log(sum over the vocabulary of exp(z)) - z[target], z = cap tanh(product / cap) (product where SOFT_CAP is 0), taken in block by block.
// product [rows, columns]: the head's products with the vocabulary's tokens first .. first + columns - 1; target_token [rows]: the token that follows,
// 0xffffffff where none does; state [rows, 3]: largest z so far, sum of exp(z - largest), the target's z; loss [rows], 0 where no token follows.
// One workgroup per row; lanes take every LANES-th column.
// f32; each block is summed in a fixed tree below its own maximum, then both sums below the larger one. The block with first = 0 begins
// state, the others update it in place; the one that ends with the vocabulary overwrites loss.
override LANES: u32 = 256u;
override SOFT_CAP: f32 = 30.0;
struct Params { rows: u32, columns: u32, first: u32, vocabulary: u32 }
@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read> target_token: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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
  var largest = LOWEST;
  for (var c = local.x; c < params.columns; c += LANES) { largest = max(largest, soft_capped(product[begin + c])); }
  largest = workgroup_max(largest, local.x);
  var sum = 0.0;
  for (var c = local.x; c < params.columns; c += LANES) { sum += exp(soft_capped(product[begin + c]) - largest); }
  sum = workgroup_sum(sum, local.x);
  if (local.x > 0u) { return; }

  let token = target_token[row];
  let at = row * 3u;
  var chosen = 0.0;
  if (params.first > 0u) {
    let before = state[at];
    let both = max(before, largest);
    sum = state[at + 1u] * exp(before - both) + sum * exp(largest - both);
    largest = both;
    chosen = state[at + 2u];
  }
  if (token >= params.first && token - params.first < params.columns) {
    chosen = soft_capped(product[begin + token - params.first]);
  }
  state[at] = largest;
  state[at + 1u] = sum;
  state[at + 2u] = chosen;
  if (params.first + params.columns < params.vocabulary) { return; }
  loss[row] = select(log(sum) + (largest - chosen), 0.0, token == 0xffffffffu);
}
