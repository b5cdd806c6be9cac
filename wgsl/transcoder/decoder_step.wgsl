// One training step of the decoder rows of one Matryoshka group, and the gradient of the activations they were given.
//   slope[e] = scale * <residual[b_e], w_i>,   g = scale * sum over entries of f_e residual[b_e],   summed over main and aux,
//   then g -= <g, w_i> w_i, Adam, w_i /= |w_i|.
// start [2, all_features + 1], token, value [entries]: the kept tokens by feature, row 0 of start for the main selection, row 1
// for that of the dead features; residual [prefixes + 1, tokens, width], of which slab `group` holds this group's suffix sums
// and the last slab the residual of the dead features; decoder, mean, square [all_features, width]; slope [entries], for encoder_step;
// the width is a multiple of 4.
// One workgroup per feature. Columns go in quads: each lane owns every LANES-th, four at a time where it sums over entries, so that
// an index is fetched once for sixteen columns; dot products by the shared reduction, four entries at a time. LANES must be at least 4.
// f32; sums in ascending token order, main before aux; decoder, mean and square are updated in place, slopes overwritten.
override LANES: u32 = 64u;
// A fourth of the width.
override QUADS: u32 = 32u;
struct Params {
  tokens: u32, first_feature: u32, features: u32, all_features: u32, group: u32, prefixes: u32, scale: f32, aux_scale: f32,
  beta1: f32, beta2: f32, epsilon: f32, step_size: f32, correction: f32,
}
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> token: array<u32>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> decoder: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> square: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> slope: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// The row's gradient, later its new value: too long for registers, private to the workgroup.
var<workgroup> row: array<vec4f, QUADS>;

// slope[e] = scale * <residual[slab, token[e]], decoder[base..]> for entries first .. end - 1, four per reduction: a fourth of the
// barriers, and the decoder's row is fetched once for four products.
fn write_slopes(first: u32, end: u32, slab: u32, base: u32, scale: f32, lane: u32) {
  for (var e = first; e < end; e += 4u) {
    let entries = min(vec4u(e, e + 1u, e + 2u, e + 3u), vec4u(end - 1u));
    let rows = slab + QUADS * vec4u(token[entries.x], token[entries.y], token[entries.z], token[entries.w]);
    var mine = vec4f();
    for (var q = lane; q < QUADS; q += LANES) {
      let w = decoder[base + q];
      let at = rows + q;
      mine += vec4f(dot(residual[at.x], w), dot(residual[at.y], w), dot(residual[at.z], w), dot(residual[at.w], w));
    }
    let sums = scale * workgroup_sum4(mine, lane);
    if (lane < 4u && e + lane < end) { slope[e + lane] = sums[lane]; }
  }
}

// sum over entries first .. end - 1 of value[e] residual[slab, token[e]].
fn weighted_residual(first: u32, end: u32, slab: u32, place: Place) -> Sums {
  var g = Sums();
  for (var e = first; e < end; e++) {
    let at = slab + token[e] * QUADS;
    let f = vec4f(value[e]);
    g.a = fma(f, residual[at + place.a], g.a);
    g.b = fma(f, residual[at + place.b], g.b);
    g.c = fma(f, residual[at + place.c], g.c);
    g.d = fma(f, residual[at + place.d], g.d);
  }
  return g;
}

// Keeps a quad of the gradient; its product with the decoder's row.
fn keep(q: u32, base: u32, g: vec4f, aux_g: vec4f) -> f32 {
  let gradient = params.scale * g + params.aux_scale * aux_g;
  row[q] = gradient;
  return dot(gradient, decoder[base + q]);
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
  let base = i * QUADS;
  let slab = params.group * params.tokens * QUADS;
  let aux_slab = params.prefixes * params.tokens * QUADS;
  let aux_i = params.all_features + 1u + i;

  write_slopes(start[i], start[i + 1u], slab, base, params.scale, lane);
  write_slopes(start[aux_i], start[aux_i + 1u], aux_slab, base, params.aux_scale, lane);

  var along = 0.0;
  for (var q = lane; q < QUADS; q += 4u * LANES) {
    let place = place_of(q, QUADS);
    let g = weighted_residual(start[i], start[i + 1u], slab, place);
    let aux_g = weighted_residual(start[aux_i], start[aux_i + 1u], aux_slab, place);
    along += keep(place.a, base, g.a, aux_g.a);
    if (place.count > 1u) { along += keep(place.b, base, g.b, aux_g.b); }
    if (place.count > 2u) { along += keep(place.c, base, g.c, aux_g.c); }
    if (place.count > 3u) { along += keep(place.d, base, g.d, aux_g.d); }
  }
  let projection = workgroup_sum(along, lane);
  var length = 0.0;
  for (var q = lane; q < QUADS; q += LANES) {
    let at = base + q;
    let w = decoder[at];
    let updated = adam(w, row[q] - projection * w, mean[at], square[at]);
    mean[at] = updated.mean;
    square[at] = updated.square;
    row[q] = updated.weight;
    length += dot(updated.weight, updated.weight);
  }
  let norm = sqrt(workgroup_sum(length, lane));
  for (var q = lane; q < QUADS; q += LANES) { decoder[base + q] = row[q] / norm; }
}
