// One training step of the encoder rows and their biases.
//   g_w = sum over entries of slope_e x[b_e],   g_b = sum over entries of slope_e,   main and aux, then Adam on both,
// the biases with a step size of their own.
// start [2, features + 1], token, slope [entries]: the kept tokens by feature and the gradients of their activations, row 0 of
// start for the main selection, row 1 for that of the dead features; x [tokens, width]; encoder, mean, square [features, width];
// bias [3, features] with its Adam mean and square; the width is a multiple of 4.
// One workgroup per feature. Columns go in quads: each lane owns every LANES-th, four at a time, so that an index is fetched once for
// sixteen columns; lane 0 owns the bias.
// f32; sums in ascending token order, main before aux; everything is updated in place.
override LANES: u32 = 64u;
struct Params {
  tokens: u32, features: u32, width: u32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32, bias_step_size: f32,
}
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> token: array<u32>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> encoder: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> square: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> bias: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// sum + the entries first .. end - 1 of slope[e] x[token[e]].
fn add_sources(first: u32, end: u32, place: Place, sum: Sums) -> Sums {
  var g = sum;
  for (var e = first; e < end; e++) {
    let at = token[e] * (params.width / 4u);
    let s = vec4f(slope[e]);
    g.a = fma(s, x[at + place.a], g.a);
    g.b = fma(s, x[at + place.b], g.b);
    g.c = fma(s, x[at + place.c], g.c);
    g.d = fma(s, x[at + place.d], g.d);
  }
  return g;
}

fn update(at: u32, gradient: vec4f) {
  let updated = adam(params.step_size, encoder[at], gradient, mean[at], square[at]);
  encoder[at] = updated.weight;
  mean[at] = updated.mean;
  square[at] = updated.square;
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
  let quads = params.width / 4u;
  for (var q = local.x; q < quads; q += 4u * LANES) {
    let place = place_of(q, quads);
    let main_g = add_sources(start[i], start[i + 1u], place, Sums());
    let g = add_sources(start[aux_i], start[aux_i + 1u], place, main_g);
    update(i * quads + place.a, g.a);
    if (place.count > 1u) { update(i * quads + place.b, g.b); }
    if (place.count > 2u) { update(i * quads + place.c, g.c); }
    if (place.count > 3u) { update(i * quads + place.d, g.d); }
  }
  if (local.x == 0u) {
    var g = 0.0;
    for (var e = start[i]; e < start[i + 1u]; e++) { g += slope[e]; }
    for (var e = start[aux_i]; e < start[aux_i + 1u]; e++) { g += slope[e]; }
    let F = params.features;
    let updated = adam(params.bias_step_size, vec4f(bias[i]), vec4f(g), vec4f(bias[F + i]), vec4f(bias[2u * F + i]));
    bias[i] = updated.weight.x;
    bias[F + i] = updated.mean.x;
    bias[2u * F + i] = updated.square.x;
  }
}
