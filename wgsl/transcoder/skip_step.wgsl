// One training step of a skip connection: Adam with the gradient scale * product.
// product [count]: the product of the transposed source and the residuals of all prefixes; weight, mean, square [count], Adam's; the count is a
// multiple of 4.
// One invocation per four elements, spread over a linear grid.
// f32; weight, mean and square are updated in place.
struct Params {
  count: u32, scale: f32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> product: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> square: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = (group.y * groups.x + group.x) * 64u + local.x;
  if (i >= params.count / 4u) { return; }
  let updated = adam(params.step_size, weight[i], params.scale * product[i], mean[i], square[i]);
  weight[i] = updated.weight;
  mean[i] = updated.mean;
  square[i] = updated.square;
}
