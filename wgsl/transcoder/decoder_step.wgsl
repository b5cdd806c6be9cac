// One training step of the decoder rows of one Matryoshka group, and the gradient of the activations they were given.
//   slope[e] = scale * <residual[b_e], w_i>,   g = scale * sum over entries of f_e residual[b_e],   summed over main and aux,
//   then g -= <g, w_i> w_i, Adam, w_i /= |w_i|.
// start, token, value: the kept tokens by feature (main), aux_*: those of the dead features; residual [prefixes, tokens, width], of
// which slab `group` is this group's suffix sum; aux_residual [tokens, width]; decoder, mean, square [features, width];
// slope, aux_slope [entries], for encoder_step.
// One workgroup per feature; dot products by the shared reduction, four entries at a time, then each lane owns every LANES-th
// column and sums four of them at a time. LANES must be at least 4.
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

  // Four entries per reduction: a fourth of the barriers, and the decoder's row is fetched once for four products.
  for (var e = first; e < end; e += 4u) {
    let entries = min(vec4u(e, e + 1u, e + 2u, e + 3u), vec4u(end - 1u));
    let rows = slab + WIDTH * vec4u(token[entries.x], token[entries.y], token[entries.z], token[entries.w]);
    var mine = vec4f();
    for (var c = lane; c < WIDTH; c += LANES) {
      let at = rows + c;
      mine = fma(vec4f(residual[at.x], residual[at.y], residual[at.z], residual[at.w]), vec4f(decoder[base + c]), mine);
    }
    let sums = params.scale * workgroup_sum4(mine, lane);
    if (lane < 4u && e + lane < end) { slope[e + lane] = sums[lane]; }
  }
  for (var e = aux_first; e < aux_end; e += 4u) {
    let entries = min(vec4u(e, e + 1u, e + 2u, e + 3u), vec4u(aux_end - 1u));
    let rows = WIDTH * vec4u(aux_token[entries.x], aux_token[entries.y], aux_token[entries.z], aux_token[entries.w]);
    var mine = vec4f();
    for (var c = lane; c < WIDTH; c += LANES) {
      let at = rows + c;
      mine = fma(vec4f(aux_residual[at.x], aux_residual[at.y], aux_residual[at.z], aux_residual[at.w]), vec4f(decoder[base + c]), mine);
    }
    let sums = params.aux_scale * workgroup_sum4(mine, lane);
    if (lane < 4u && e + lane < aux_end) { aux_slope[e + lane] = sums[lane]; }
  }

  var along = 0.0;
  for (var c = lane; c < WIDTH; c += 4u * LANES) {
    // Columns past the edge repeat the last one; they are summed but not kept.
    let columns = min(vec4u(c, c + LANES, c + 2u * LANES, c + 3u * LANES), vec4u(WIDTH - 1u));
    var g = vec4f();
    for (var e = first; e < end; e++) {
      let at = slab + token[e] * WIDTH + columns;
      g = fma(vec4f(value[e]), vec4f(residual[at.x], residual[at.y], residual[at.z], residual[at.w]), g);
    }
    var aux_g = vec4f();
    for (var e = aux_first; e < aux_end; e++) {
      let at = aux_token[e] * WIDTH + columns;
      aux_g = fma(vec4f(aux_value[e]), vec4f(aux_residual[at.x], aux_residual[at.y], aux_residual[at.z], aux_residual[at.w]), aux_g);
    }
    let gradient = params.scale * g + params.aux_scale * aux_g;
    for (var n = 0u; n < 4u; n++) {
      let column = c + n * LANES;
      if (column < WIDTH) {
        row[column] = gradient[n];
        along = fma(gradient[n], decoder[base + column], along);
      }
    }
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
