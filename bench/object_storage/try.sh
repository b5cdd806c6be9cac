#!/bin/bash
# What works in a mounted bucket: `bash bench/object_storage/try.sh MTC BUCKET`, with an executable of mtc and a directory of the bucket that holds nothing else.
# A line for each thing that is tried: its exit code, its seconds, the last line of what it printed and of what it said.
mtc=$(realpath "$1") bucket=$(realpath "$2")
disk=$(mktemp -d)
cd "$disk" || exit 1
cat > plan.json <<'PLAN'
{"layers": [2], "dictionary": [64], "k": 8, "seed": [0, 1], "lease": 4, "steps": 20, "batch": 256, "buffer": 1024, "passes": 2, "checkpoint-every": 10, "sample-every": 10,
 "samples": 10, "sample-tokens": 1024, "evaluation-tokens": 512, "loss-tokens": 0}
PLAN

try() {
  local name=$1 begun=$SECONDS
  shift
  timeout 600 "$@" > told 2> said
  printf '%s | %s | %s s | %s | %s\n' "$name" $? $((SECONDS - begun)) "$(tail -n 1 told)" "$(tr '\r' '\n' < said | tail -n 1)"
}

try "a serial run on the disk" "$mtc" sweep plan.json
one=$(ls runs | grep seed0)
mkdir "$bucket/work" && cp plan.json "$bucket/work"
try "--list" "$mtc" sweep "$bucket/work/plan.json" --list
try "--task 0" "$mtc" sweep "$bucket/work/plan.json" --task 0
try "--status" "$mtc" sweep "$bucket/work/plan.json" --status
try "the task's bytes" cmp "runs/$one/layer2/transcoder.safetensors" "$bucket/work/runs/$one/layer2/transcoder.safetensors"
try "mtc harvest" "$mtc" harvest --layers 2 --contexts 20 --out "$bucket/harvest"
mkdir "$bucket/runs"
try "cp -rn of finished runs" cp -rn runs/. "$bucket/runs/"
try "their bytes" diff -r runs "$bucket/runs"
try "--status of them" "$mtc" sweep plan.json --runs "$bucket/runs" --status
try "report --tasks, to the disk" "$mtc" report --runs "$bucket/runs" --tasks --out report
try "report --tasks, to the bucket" "$mtc" report --runs "$bucket/runs" --tasks --out "$bucket/report"
try "report --quick, to the disk" "$mtc" report --runs "$bucket/runs" --quick --out pages
try "encode" "$mtc" encode --run "$bucket/runs/$one" --text "The state of the union"
try "evaluate" "$mtc" evaluate --run "$bucket/runs/$one" --tokens 512
try "export of a set, to the disk" "$mtc" export --to circuit-tracer --runs "$bucket/runs" --seed 0 --out set
try "export, to the bucket" "$mtc" export --to saelens --run "runs/$one" --out "$bucket/sae"
try "--task 1 of a plan in the bucket, runs on the disk" "$mtc" sweep "$bucket/work/plan.json" --runs local --task 1
rm -r "$disk"
