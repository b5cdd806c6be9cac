// The probabilities of next tokens that a reference and a model give, each summed over some predictions, taken in block by block. With z =
// cap tanh(product / cap) (product where SOFT_CAP is 0), z' likewise of the reference, over the rows r that are chosen:
//   sums[0, first + c] = sum_r exp(z'[r, c] - largest'[r]) / total'[r]     the reference's
//   sums[1, first + c] = sum_r exp(z[r, c] - largest[r]) / total[r]        the model's
// product, reference [rows, columns]: both heads' products with the vocabulary's tokens first .. first + columns - 1; state [rows, 8] as
// compare_predictions leaves it behind the whole vocabulary, each row held against the reference's of its own number; chosen_row [chosen];
// sums [2, vocabulary], of which the block's columns are written.
// One invocation per column.
// f32, rows in the order of chosen_row; these columns of sums are overwritten, with 0 where no row is chosen.
override SOFT_CAP: f32 = 30.0;
struct Params { rows: u32, columns: u32, first: u32, vocabulary: u32, chosen: u32 }
@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read> reference: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read> chosen_row: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global: vec3u) {
  let column = global.x;
  if (column >= params.columns) { return; }
  var sum = vec2f();
  for (var i = 0u; i < params.chosen; i++) {
    let row = chosen_row[i];
    let at = row * params.columns + column;
    let z = vec2f(soft_capped(reference[at]), soft_capped(product[at]));
    let largest = vec2f(state[row * 8u + 4u], state[row * 8u]);
    let total = vec2f(state[row * 8u + 6u], state[row * 8u + 2u]);
    sum += exp(z - largest) / total;
  }
  sums[params.first + column] = sum.x;
  sums[params.vocabulary + params.first + column] = sum.y;
}
