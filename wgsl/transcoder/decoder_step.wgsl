// One training step of the decoder rows of one Matryoshka group, and the gradient of the activations they were given.
//   slope[e] = scale * <residual[b_e], w_i>,   g = scale * sum over entries of f_e residual[b_e],   summed over main and aux,
//   then g -= <g, w_i> w_i, Adam, w_i /= |w_i|.
// start, token, value: the kept tokens by feature (main), aux_*: those of the dead features; residual [prefixes, tokens, width], of
// which slab `group` is this group's suffix sum; aux_residual [tokens, width]; decoder, mean, square [features, width];
// slope, aux_slope [entries], for encoder_step.
// One workgroup per feature; dot products by the shared reduction, then each lane owns every LANES-th column.
// f32; sums in ascending token order, main before aux; decoder, mean and square are updated in place, slopes overwritten.
override LANES: u32 = 64u;
override WIDTH: u32 = 128u;
struct Params {
  tokens: u32, first_feature: u32, features: u32, group: u32, scale: f32, aux_scale: f32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> token: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read> aux_start: array<u32>;
@group(0) @binding(5) var<storage, read> aux_token: array<u32>;
@group(0) @binding(6) var<storage, read> aux_value: array<f32>;
@group(0) @binding(7) var<storage, read> aux_residual: array<f32>;
@group(0) @binding(8) var<storage, read_write> decoder: array<f32>;
@group(0) @binding(9) var<storage, read_write> mean: array<f32>;
@group(0) @binding(10) var<storage, read_write> square: array<f32>;
@group(0) @binding(11) var<storage, read_write> slope: array<f32>;
@group(0) @binding(12) var<storage, read_write> aux_slope: array<f32>;
@group(0) @binding(13) var<uniform> params: Params;

// The row's gradient, later its new value: too long for registers, private to the workgroup.
var<workgroup> row: array<f32, WIDTH>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let n = group.y * groups.x + group.x;
  if (n >= params.features) { return; }
  let i = params.first_feature + n;
  let lane = local.x;
  let base = i * WIDTH;
  let slab = params.group * params.tokens * WIDTH;
  let first = start[i];
  let end = start[i + 1u];
  let aux_first = aux_start[i];
  let aux_end = aux_start[i + 1u];

  for (var e = first; e < end; e++) {
    var mine = 0.0;
    let at = slab + token[e] * WIDTH;
    for (var c = lane; c < WIDTH; c += LANES) { mine = fma(residual[at + c], decoder[base + c], mine); }
    let sum = workgroup_sum(mine, lane);
    if (lane == 0u) { slope[e] = params.scale * sum; }
  }
  for (var e = aux_first; e < aux_end; e++) {
    var mine = 0.0;
    let at = aux_token[e] * WIDTH;
    for (var c = lane; c < WIDTH; c += LANES) { mine = fma(aux_residual[at + c], decoder[base + c], mine); }
    let sum = workgroup_sum(mine, lane);
    if (lane == 0u) { aux_slope[e] = params.aux_scale * sum; }
  }

  var along = 0.0;
  for (var c = lane; c < WIDTH; c += LANES) {
    var g = 0.0;
    for (var e = first; e < end; e++) { g = fma(value[e], residual[slab + token[e] * WIDTH + c], g); }
    var aux_g = 0.0;
    for (var e = aux_first; e < aux_end; e++) { aux_g = fma(aux_value[e], aux_residual[aux_token[e] * WIDTH + c], aux_g); }
    let gradient = params.scale * g + params.aux_scale * aux_g;
    row[c] = gradient;
    along = fma(gradient, decoder[base + c], along);
  }
  let projection = workgroup_sum(along, lane);
  var length = 0.0;
  for (var c = lane; c < WIDTH; c += LANES) {
    let w = decoder[base + c];
    let updated = adam(w, row[c] - projection * w, mean[base + c], square[base + c]);
    mean[base + c] = updated.y;
    square[base + c] = updated.z;
    row[c] = updated.x;
    length = fma(updated.x, updated.x, length);
  }
  let norm = sqrt(workgroup_sum(length, lane));
  for (var c = lane; c < WIDTH; c += LANES) { decoder[base + c] = row[c] / norm; }
}
