// One row of the metrics ring:
//   [loss, aux_loss, mean squared error per prefix .., total variance, kept, dead, threshold]
//   loss = sum_p weight_p squares_p / (tokens * width) + aux_loss, weight_p = (1, or whole_weight for the last prefix) / (P - 1 + whole_weight),
//   aux_loss = aux_weight * aux_squares / (tokens * width), 0 when no dead feature was active
// squares [tokens, prefixes], aux_squares [tokens, 1]: squared residuals; moments [2, width] of the target; selection and
// aux_selection of this step; inactive [features]; state [threshold, ..]; ring [rows, prefixes + 6]. Errors and the variance are means over tokens and dimensions.
// One workgroup; lanes take every LANES-th item, then the shared reduction.
// f32; row `slot` is overwritten.
override LANES: u32 = 64u;
struct Params {
  tokens: u32, width: u32, features: u32, prefixes: u32, slot: u32, dead_after: u32, aux_weight: f32, whole_weight: f32,
}
@group(0) @binding(0) var<storage, read> squares: array<f32>;
@group(0) @binding(1) var<storage, read> aux_squares: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> selection: array<u32>;
@group(0) @binding(4) var<storage, read> aux_selection: array<u32>;
@group(0) @binding(5) var<storage, read> inactive: array<u32>;
@group(0) @binding(6) var<storage, read> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> ring: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let base = params.slot * (params.prefixes + 6u);
  let scale = 1.0 / (f32(params.tokens) * f32(params.width));
  var loss = 0.0;
  for (var p = 0u; p < params.prefixes; p++) {
    var mine = 0.0;
    for (var b = lane; b < params.tokens; b += LANES) { mine += squares[b * params.prefixes + p]; }
    let error = workgroup_sum(mine, lane) * scale;
    if (lane == 0u) { ring[base + 2u + p] = error; }
    let weight = select(1.0, params.whole_weight, p + 1u == params.prefixes);
    loss += weight * error / (f32(params.prefixes - 1u) + params.whole_weight);
  }
  var aux = 0.0;
  for (var b = lane; b < params.tokens; b += LANES) { aux += aux_squares[b]; }
  let aux_sum = workgroup_sum(aux, lane);
  let aux_loss = select(0.0, aux_sum * scale * params.aux_weight, aux_selection[2] > 0u);
  var variance = 0.0;
  for (var c = lane; c < params.width; c += LANES) { variance += moments[params.width + c]; }
  let total_variance = workgroup_sum(variance, lane) * scale;
  var dead = 0.0;
  for (var i = lane; i < params.features; i += LANES) { dead += f32(inactive[i] >= params.dead_after); }
  let n_dead = workgroup_sum(dead, lane);
  if (lane == 0u) {
    ring[base] = loss + aux_loss;
    ring[base + 1u] = aux_loss;
    let tail = base + 2u + params.prefixes;
    ring[tail] = total_variance;
    ring[tail + 1u] = f32(selection[2]);
    ring[tail + 2u] = n_dead;
    ring[tail + 3u] = state[0];
  }
}
