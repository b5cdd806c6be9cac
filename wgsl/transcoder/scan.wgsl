// start[first + n] = base + sum over m < n of kept[m], kept[m] = above[m] + as many of ties[m] as are still to take when m is
// reached; start[first + items] is the end. ties[m] is replaced by the number of ties taken before m, at most selection[1].
// above, ties [items]; start [first + items + 1]; selection[1] how many ties to take in all.
// One workgroup; each lane owns a run of items, run totals are scanned by lane 0.
// Integers only.
override LANES: u32 = 64u;
struct Params { items: u32, first: u32, base: u32 }
@group(0) @binding(0) var<storage, read> above: array<u32>;
@group(0) @binding(1) var<storage, read_write> ties: array<u32>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;
@group(0) @binding(3) var<storage, read_write> start: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> run_ties: array<u32, LANES>;
var<workgroup> run_kept: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_id) local: vec3u) {
  let run = (params.items + LANES - 1u) / LANES;
  let begin = min(local.x * run, params.items);
  let end = min(begin + run, params.items);
  let wanted = selection[1];

  var sum_ties = 0u;
  for (var n = begin; n < end; n++) { sum_ties += ties[n]; }
  run_ties[local.x] = sum_ties;
  workgroupBarrier();
  var before = 0u;
  for (var l = 0u; l < local.x; l++) { before += run_ties[l]; }

  var sum_kept = 0u;
  for (var n = begin; n < end; n++) {
    let mine = ties[n];
    let taken_before = min(before, wanted);
    sum_kept += above[n] + min(mine, wanted - taken_before);
    ties[n] = taken_before;
    before += mine;
    start[params.first + n] = sum_kept;
  }
  run_kept[local.x] = sum_kept;
  workgroupBarrier();
  var base = params.base;
  for (var l = 0u; l < local.x; l++) { base += run_kept[l]; }
  // start[] holds inclusive sums of the run so far; shift them by one and add what lies before the run.
  var previous = 0u;
  for (var n = begin; n < end; n++) {
    let inclusive = start[params.first + n];
    start[params.first + n] = base + previous;
    previous = inclusive;
  }
  if (local.x == LANES - 1u) { start[params.first + params.items] = base + previous; }
}
