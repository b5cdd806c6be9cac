// One training step of the decoder rows of one Matryoshka group, and the gradient of the activations they were given.
//   slope[e] = scale * <residual[b_e], w_i>,   g = scale * sum over entries of f_e residual[b_e],   summed over main and aux,
//   then g -= <g, w_i> w_i, Adam, w_i /= |w_i|.
// start [2, all_features + 1], token, value [entries]: the kept tokens by feature, row 0 of start for the main selection, row 1
// for that of the dead features; residual [prefixes + 1, tokens, width], of which slab `group` holds this group's suffix sums
// and the last slab the residual of the dead features; decoder, mean, square [all_features, width]; slope [entries], for encoder_step.
// One workgroup per feature; dot products by the shared reduction, four entries at a time, then each lane owns every LANES-th
// column and sums four of them at a time. LANES must be at least 4.
// f32; sums in ascending token order, main before aux; decoder, mean and square are updated in place, slopes overwritten.
override LANES: u32 = 64u;
override WIDTH: u32 = 128u;
struct Params {
  tokens: u32, first_feature: u32, features: u32, all_features: u32, group: u32, prefixes: u32, scale: f32, aux_scale: f32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> token: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read_write> decoder: array<f32>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> square: array<f32>;
@group(0) @binding(7) var<storage, read_write> slope: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// The row's gradient, later its new value: too long for registers, private to the workgroup.
var<workgroup> row: array<f32, WIDTH>;

// slope[e] = scale * <residual[slab, token[e]], decoder[base..]> for entries first .. end - 1, four per reduction: a fourth of the
// barriers, and the decoder's row is fetched once for four products.
fn write_slopes(first: u32, end: u32, slab: u32, base: u32, scale: f32, lane: u32) {
  for (var e = first; e < end; e += 4u) {
    let entries = min(vec4u(e, e + 1u, e + 2u, e + 3u), vec4u(end - 1u));
    let rows = slab + WIDTH * vec4u(token[entries.x], token[entries.y], token[entries.z], token[entries.w]);
    var mine = vec4f();
    for (var c = lane; c < WIDTH; c += LANES) {
      let at = rows + c;
      mine = fma(vec4f(residual[at.x], residual[at.y], residual[at.z], residual[at.w]), vec4f(decoder[base + c]), mine);
    }
    let sums = scale * workgroup_sum4(mine, lane);
    if (lane < 4u && e + lane < end) { slope[e + lane] = sums[lane]; }
  }
}

// sum over entries first .. end - 1 of value[e] residual[slab, token[e]], in four columns.
fn weighted_residual(first: u32, end: u32, slab: u32, columns: vec4u) -> vec4f {
  var g = vec4f();
  for (var e = first; e < end; e++) {
    let at = slab + token[e] * WIDTH + columns;
    g = fma(vec4f(value[e]), vec4f(residual[at.x], residual[at.y], residual[at.z], residual[at.w]), g);
  }
  return g;
}

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
  let aux_slab = params.prefixes * params.tokens * WIDTH;
  let aux_i = params.all_features + 1u + i;

  write_slopes(start[i], start[i + 1u], slab, base, params.scale, lane);
  write_slopes(start[aux_i], start[aux_i + 1u], aux_slab, base, params.aux_scale, lane);

  var along = 0.0;
  for (var c = lane; c < WIDTH; c += 4u * LANES) {
    // Columns past the edge repeat the last one; they are summed but not kept.
    let columns = min(vec4u(c, c + LANES, c + 2u * LANES, c + 3u * LANES), vec4u(WIDTH - 1u));
    let g = weighted_residual(start[i], start[i + 1u], slab, columns);
    let aux_g = weighted_residual(start[aux_i], start[aux_i + 1u], aux_slab, columns);
    let gradient = params.scale * g + params.aux_scale * aux_g;
    for (var q = 0u; q < 4u; q++) {
      let column = c + q * LANES;
      if (column < WIDTH) {
        row[column] = gradient[q];
        along = fma(gradient[q], decoder[base + column], along);
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
