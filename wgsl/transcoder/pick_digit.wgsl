// Finds the digit in which the wanted-th largest activation lies, and sets it in the threshold's bits.
// counts [2048], cleared behind the reading; selection: [0] threshold bits so far, [1] how many are still wanted among
// those that agree with them (at the end: how many ties to take), [2] how many are kept in all, [3] last tie (row_write).
// One workgroup; each lane sums a run of digits, then lane 0 walks down the runs and the digits.
// Integers only. When fewer than `wanted` activations are positive, all of them are kept.
override LANES: u32 = 64u;
struct Params { shift: u32, width: u32, wanted: u32, is_first: u32 }
@group(0) @binding(0) var<storage, read_write> counts: array<u32>;
@group(0) @binding(1) var<storage, read_write> selection: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

var<workgroup> run_sums: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_id) local: vec3u) {
  let digits = 1u << params.width;
  let run = (digits + LANES - 1u) / LANES;
  var sum = 0u;
  for (var d = local.x * run; d < min((local.x + 1u) * run, digits); d++) { sum += counts[d]; }
  run_sums[local.x] = sum;
  workgroupBarrier();
  if (local.x == 0u) {
    var total = 0u;
    for (var l = 0u; l < LANES; l++) { total += run_sums[l]; }
    var wanted = selection[1];
    if (params.is_first == 1u) {
      wanted = min(params.wanted, total);
      selection[0] = 0u;
      selection[2] = wanted;
      selection[3] = 0xffffffffu;
    }
    if (wanted > 0u) {
      var lane = LANES - 1u;
      while (lane > 0u && run_sums[lane] < wanted) { wanted -= run_sums[lane]; lane--; }
      var digit = min((lane + 1u) * run, digits) - 1u;
      while (digit > lane * run && counts[digit] < wanted) { wanted -= counts[digit]; digit--; }
      selection[0] |= digit << params.shift;
    }
    selection[1] = wanted;
  }
  workgroupBarrier();
  storageBarrier();
  for (var d = local.x; d < digits; d += LANES) { counts[d] = 0u; }
}
