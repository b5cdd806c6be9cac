// logits[r, first + c] = cap tanh(product[r, c] / cap) (product[r, c] where SOFT_CAP is 0).
// product [rows, columns]: the head's products with one block of the vocabulary; logits [rows, vocabulary], of which its columns are written.
// One invocation per element of product, spread over a linear grid.
// f32; these columns of logits are overwritten.
override SOFT_CAP: f32 = 30.0;
struct Params { rows: u32, columns: u32, first: u32, vocabulary: u32 }
@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  if (i >= params.rows * params.columns) { return; }
  let at = i / params.columns * params.vocabulary + params.first + i % params.columns;
  logits[at] = soft_capped(product[i]);
}
