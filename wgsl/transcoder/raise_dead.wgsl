// bias[i] += rise where feature i is dead and the batch keeps it in neither selection.
// No gradient reaches such a feature, whose activations are all 0: its bias alone can bring it back.
// start [2, features + 1]: the kept tokens by feature, row 0 for the main selection, row 1 for that of the dead features; inactive [features],
// tokens since the feature was last kept, as the selections saw them; bias [3, features], of which row 0 is changed.
// One invocation per feature.
// f32; bias is updated in place.
struct Params { features: u32, dead_after: u32, rise: f32 }
@group(0) @binding(0) var<storage, read> start: array<u32>;
@group(0) @binding(1) var<storage, read> inactive: array<u32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= params.features || inactive[i] < params.dead_after) { return; }
  let aux_i = params.features + 1u + i;
  if (start[i] == start[i + 1u] && start[aux_i] == start[aux_i + 1u]) { bias[i] += params.rise; }
}
