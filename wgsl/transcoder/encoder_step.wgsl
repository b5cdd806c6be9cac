// One training step of the encoder rows and their biases.
//   g_w = sum over entries of slope_e x[b_e],   g_b = sum over entries of slope_e,   main and aux, then Adam on both.
// start [2, features + 1], token, slope [entries]: the kept tokens by feature and the gradients of their activations, row 0 of
// start for the main selection, row 1 for that of the dead features; x [tokens, width]; encoder, mean, square [features, width];
// bias [3, features] with its Adam mean and square.
// One workgroup per feature; each lane owns every LANES-th column and sums four of them at a time; lane 0 owns the bias.
// f32; sums in ascending token order, main before aux; everything is updated in place.
override LANES: u32 = 64u;
struct Params {
  tokens: u32, features: u32, width: u32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> token: array<u32>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> encoder: array<f32>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> square: array<f32>;
@group(0) @binding(7) var<storage, read_write> bias: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// sum + the entries first .. end - 1 of slope[e] x[token[e]], in four columns.
fn add_sources(first: u32, end: u32, columns: vec4u, sum: vec4f) -> vec4f {
  var g = sum;
  for (var e = first; e < end; e++) {
    let at = token[e] * params.width + columns;
    g = fma(vec4f(slope[e]), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), g);
  }
  return g;
}

fn update(at: u32, gradient: f32) {
  let updated = adam(encoder[at], gradient, mean[at], square[at]);
  encoder[at] = updated.x;
  mean[at] = updated.y;
  square[at] = updated.z;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let i = group.y * groups.x + group.x;
  if (i >= params.features) { return; }
  let aux_i = params.features + 1u + i;
  let last = params.width - 1u;
  for (var c = local.x; c < params.width; c += 4u * LANES) {
    // Columns past the edge repeat the last one; they are summed but not updated.
    let columns = min(vec4u(c, c + LANES, c + 2u * LANES, c + 3u * LANES), vec4u(last));
    let main_g = add_sources(start[i], start[i + 1u], columns, vec4f());
    let g = add_sources(start[aux_i], start[aux_i + 1u], columns, main_g);
    update(i * params.width + c, g.x);
    if (c + LANES < params.width) { update(i * params.width + c + LANES, g.y); }
    if (c + 2u * LANES < params.width) { update(i * params.width + c + 2u * LANES, g.z); }
    if (c + 3u * LANES < params.width) { update(i * params.width + c + 3u * LANES, g.w); }
  }
  if (local.x == 0u) {
    var g = 0.0;
    for (var e = start[i]; e < start[i + 1u]; e++) { g += slope[e]; }
    for (var e = start[aux_i]; e < start[aux_i + 1u]; e++) { g += slope[e]; }
    let F = params.features;
    let updated = adam(bias[i], g, bias[F + i], bias[2u * F + i]);
    bias[i] = updated.x;
    bias[F + i] = updated.y;
    bias[2u * F + i] = updated.z;
  }
}
