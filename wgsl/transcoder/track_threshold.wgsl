// The inference threshold: threshold += rate * (smallest kept activation - threshold), started at the first value.
// selection [threshold bits, ties, kept, last tie] of this step; state [threshold, has_started].
// One invocation.
// f32; state is updated in place, and left alone by a step that kept nothing.
struct Params { rate: f32 }
@group(0) @binding(0) var<storage, read> selection: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() {
  if (selection[2] == 0u) { return; }
  let smallest = bitcast<f32>(selection[0]);
  state[0] = select(smallest, state[0] + params.rate * (smallest - state[0]), state[1] == 1.0);
  state[1] = 1.0;
}
