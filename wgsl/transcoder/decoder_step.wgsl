// One training step of the decoder rows of one Matryoshka group, and the gradient of the activations they were given.
//   slope[e] = scale * <residual[b_e], w_i>,   g = sum over entries of (scale * f_e) residual[b_e], main and aux each with its scale,
//   then g -= <g, w_i> w_i, Adam, w_i /= |w_i|.
// start [2, all_features + 1], token, value [entries]: the kept tokens by feature, row 0 of start for the main selection, row 1
// for that of the dead features; residual [prefixes + 1, tokens, width], of which slab `group` holds this group's suffix sums
// and the last slab the residual of the dead features; decoder, mean, square [all_features, width]; slope [entries], for encoder_step;
// the width is a multiple of 4.
// One workgroup per feature. Columns go in quads, each lane owns every LANES-th; entries go in fours, whose residuals are read once for both
// their slopes (by the shared reduction) and the gradient (in workgroup memory). LANES must be at least 4. A row that is wider than workgroup
// memory goes in parts, and its gradient is summed twice: the whole of it must be known before any of it is projected.
// f32; sums in ascending token order, main before aux; decoder, mean and square are updated in place, slopes overwritten.
override LANES: u32 = 64u;
// A fourth of the width.
override QUADS: u32 = 32u;
// The quads of a part, a multiple of LANES where there are several.
override PART: u32 = 32u;
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

// The gradient of a part of the row: too long for registers, private to the workgroup.
var<workgroup> row: array<vec4f, PART>;

// For the part from quad `begin` on and the entries first .. end - 1: row += scale * value[e] * residual[slab, token[e]], and, where
// `is_sloped`, slope[e] += scale * <residual[slab, token[e]], decoder[base..]>, which begins with the first part.
fn add_entries(first: u32, end: u32, slab: u32, base: u32, begin: u32, is_sloped: bool, scale: f32, lane: u32) {
  let until = min(QUADS, begin + PART);
  for (var e = first; e < end; e += 4u) {
    let entries = min(vec4u(e, e + 1u, e + 2u, e + 3u), vec4u(end - 1u));
    let at = slab + QUADS * vec4u(token[entries.x], token[entries.y], token[entries.z], token[entries.w]);
    // Entries past the end repeat the last one; they are weighted with 0 and their slopes are dropped.
    let f = select(
      vec4f(),
      scale * vec4f(value[entries.x], value[entries.y], value[entries.z], value[entries.w]),
      vec4u(e, e + 1u, e + 2u, e + 3u) < vec4u(end),
    );
    var mine = vec4f();
    for (var q = begin + lane; q < until; q += LANES) {
      let w = decoder[base + q];
      let r0 = residual[at.x + q];
      let r1 = residual[at.y + q];
      let r2 = residual[at.z + q];
      let r3 = residual[at.w + q];
      mine += vec4f(dot(r0, w), dot(r1, w), dot(r2, w), dot(r3, w));
      row[q - begin] = fma(vec4f(f.w), r3, fma(vec4f(f.z), r2, fma(vec4f(f.y), r1, fma(vec4f(f.x), r0, row[q - begin]))));
    }
    if (is_sloped) {
      let sums = scale * workgroup_sum4(mine, lane);
      if (lane < 4u && e + lane < end) {
        slope[e + lane] = select(slope[e + lane] + sums[lane], sums[lane], begin == 0u);
      }
    }
  }
}

// Sums the gradient of a part of the row of feature i, main before aux.
fn sum_part(i: u32, begin: u32, is_sloped: bool, lane: u32) {
  for (var q = lane; q < min(PART, QUADS - begin); q += LANES) { row[q] = vec4f(); }
  for (var side = 0u; side < 2u; side++) {
    let is_aux = side == 1u;
    let at = i + select(0u, params.all_features + 1u, is_aux);
    let slab = select(params.group, params.prefixes, is_aux) * params.tokens * QUADS;
    let scale = select(params.scale, params.aux_scale, is_aux);
    add_entries(start[at], start[at + 1u], slab, i * QUADS, begin, is_sloped, scale, lane);
  }
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

  // Each lane reads and writes only its own quads of the row, so no barrier is needed.
  var along = 0.0;
  for (var begin = 0u; begin < QUADS; begin += PART) {
    let until = min(QUADS, begin + PART);
    sum_part(i, begin, true, lane);
    for (var q = begin + lane; q < until; q += LANES) { along += dot(row[q - begin], decoder[base + q]); }
  }
  let projection = workgroup_sum(along, lane);
  var length = 0.0;
  for (var begin = 0u; begin < QUADS; begin += PART) {
    let until = min(QUADS, begin + PART);
    if (PART < QUADS) { sum_part(i, begin, false, lane); }
    for (var q = begin + lane; q < until; q += LANES) {
      let at = base + q;
      let w = decoder[at];
      let updated = adam(params.step_size, w, row[q - begin] - projection * w, mean[at], square[at]);
      mean[at] = updated.mean;
      square[at] = updated.square;
      decoder[at] = updated.weight;
      length += dot(updated.weight, updated.weight);
    }
  }
  let norm = sqrt(workgroup_sum(length, lane));
  for (var q = lane; q < QUADS; q += LANES) { decoder[base + q] /= norm; }
}
