#!/usr/bin/env bash
# Measures mtc on a GPU machine within eight minutes and prints a table for bench/README.md. It needs no network where .gpu/ is
# packed (bench/README.md, "A GPU"), and no more than bash, coreutils and, for the comparison, a Python with torch and transformers.
#
#   bench/gpu.sh            at the published recipe's sizes
#   bench/gpu.sh --small    the same parts at sizes that a software driver runs in about two minutes
#   bench/gpu.sh --entries  only lists what Deno is to run there, for packing
#
# OUT names the folder for what each part printed (else one under /tmp), PYTHON the Python (else python3). Every part has its own
# time, and one that fails or takes longer leaves a row that says so. The exit code is 1 when one failed.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# The kernels one by one and whole passes, against float64 and against figures of PyTorch's and Hugging Face's; the adapter chooses
# the shapes.
tests=(
  tests/gpu/run_test.ts tests/shared/transpose_test.ts tests/gpu/row_blocks_test.ts tests/transcoder/selection_test.ts
)
more_tests=(
  tests/catalogue_test.ts tests/gpu/device_test.ts tests/gpu/tune_test.ts tests/shared/matmul_test.ts tests/shared/reduce_test.ts
  tests/training/kernels_test.ts tests/training/bookkeeping_test.ts tests/transcoder/encode_test.ts
  tests/training/step_test.ts tests/model/kernels_test.ts tests/model/forward_test.ts tests/passes/precision_test.ts
)
scripts=(main.ts bench/gpu/measure.ts bench/gpu/table.ts bench/peers/main.ts bench/two_layers.ts bench/soak.ts)
case "$#:${1-}" in
0:) size=full tests+=("${more_tests[@]}") ;;
1:--small) size=small ;;
1:--entries)
  printf '%s\n' "${scripts[@]}" "${tests[@]}" "${more_tests[@]}"
  exit
  ;;
*)
  sed -n '2,10s/^# \{0,1\}//p' bench/gpu.sh >&2
  exit 2
  ;;
esac

# Seconds after which no part goes on; the eight minutes also hold 5 s of grace for one that does not stop, Python, and the table.
DEADLINE=$((SECONDS + 445))
logs=${OUT:-$(mktemp -d)}/gpu
mkdir -p "$logs" || exit 1
rm -f "$logs"/*
PYTHON=${PYTHON:-python3}

if ! command -v deno >/dev/null && [ -f .gpu/prelude.sh ]; then
  # shellcheck source=/dev/null
  . .gpu/prelude.sh >"$logs/prelude.txt" 2>&1
fi
if ! command -v deno >/dev/null; then
  echo "gpu.sh: Deno is neither on PATH nor packed in .gpu/; bench/README.md, \"A GPU\", says how to pack it" >&2
  exit 1
fi
export NO_COLOR=1

# A line for the table: name, exit code or "skipped", seconds, seconds allowed, why it was skipped.
record() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$logs/parts.tsv"; }

# part NAME SECONDS COMMAND...: runs a part, its output in NAME.out and NAME.err, the GPU's memory in use in NAME.memory (MiB).
part() {
  local name=$1 allowed=$2 left=$((DEADLINE - SECONDS)) begun=$SECONDS sampler="" status
  shift 2
  if [ "$left" -lt 10 ]; then
    record "$name" skipped 0 0 "no time was left"
    return
  fi
  [ "$allowed" -le "$left" ] || allowed=$left
  echo "gpu.sh: $name, at most $allowed s" >&2
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$logs/$name.memory" 2>/dev/null &
    sampler=$!
  fi
  timeout -k 5 "$allowed" "$@" >"$logs/$name.out" 2>"$logs/$name.err" </dev/null
  status=$?
  if [ -n "$sampler" ]; then
    kill "$sampler"
    wait "$sampler"
  fi 2>/dev/null
  record "$name" "$status" $((SECONDS - begun)) "$allowed" ""
}

measure=(deno run -A bench/gpu/measure.ts)
peers=(deno run -A bench/peers/main.ts --json --python "$PYTHON")
case $size in
full) repeats=15 layer_repeats=7 forward_repeats=3 two_layers=(--model 2b --repeats 5) soak=() ;;
small)
  repeats=1 layer_repeats=1 forward_repeats=1 two_layers=(--repeats 1) soak=(--steps 200)
  measure+=(--small)
  peers+=(--shape small)
  ;;
esac

command -v nvidia-smi >/dev/null &&
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$logs/card.txt" 2>/dev/null
# What must be known comes first.
part doctor 40 deno run -A main.ts doctor --json
part tests 120 deno test -A --no-check "${tests[@]}"
part products_f32 40 "${measure[@]}" products --repeats 5
part products_f16 40 "${measure[@]}" products --repeats 5 --precision f16
part step 50 "${measure[@]}" step --repeats $repeats
part forward 90 "${measure[@]}" forward --repeats $forward_repeats
if timeout 20 "$PYTHON" -c 'import torch, transformers' >"$logs/python.txt" 2>&1; then
  part peers_step 50 "${peers[@]}" --only step --repeats $repeats
  part peers_layer 60 "${peers[@]}" --only layer --repeats $layer_repeats
else
  for name in peers_step peers_layer; do record $name skipped 0 0 "$PYTHON has no torch and transformers"; done
fi
part forward_f16 60 "${measure[@]}" forward --repeats $forward_repeats --precision f16
part two_layers 60 deno run -A bench/two_layers.ts "${two_layers[@]}"
part soak 30 deno run -A bench/soak.ts "${soak[@]}"

deno run -A bench/gpu/table.ts "$logs" $size | tee "$logs/table.md"
echo "gpu.sh: $SECONDS s in all; each part's output is in $logs" >&2
! cut -f 2 "$logs/parts.tsv" | grep -qvE '^(0|skipped)$'
