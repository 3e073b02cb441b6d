#!/bin/sh
# plan.sh - what `wabun plan` says beside what `wabun train` measures, on 1, 2 and 4 ranks of this machine: a table of
# seconds a step.  About five minutes on two cores; a machine with nothing else to do.
#
# usage: tests/bench/plan.sh
#   WABUN=PROGRAM        (default: wabun)
#   PRESET=small STEPS=4 BATCH=4
set -eu
case ${1-} in
  '') ;;
  -h | --help) sed -n '2,/^set -eu/{s/^# \{0,1\}//;/^set -eu/d;p;}' "$0"; exit 0 ;;
  *) echo "plan.sh: unknown argument $1; tests/bench/plan.sh --help" >&2; exit 2 ;;
esac
: "${WABUN:=wabun}" "${PRESET:=small}" "${STEPS:=4}" "${BATCH:=4}" "${MPIRUN:=mpirun --oversubscribe --bind-to none}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cores=$(nproc)
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "line %d of a text\n", i * i % 9973 }' >text
"$WABUN" encode --tokenizer byte -o tok text 2>/dev/null
cat >cfg <<CFG
run = "run"; model = { preset = "$PRESET"; vocab_size = 20573; };
data = { train = "tok"; };
train = { global_batch = $BATCH; steps = $STEPS; warmup = 1; }; checkpoint = { every = 0; }; log = { every = 1; };
CFG
"$WABUN" bench step --preset "$PRESET" --batch 1 --threads "$cores" --steps 6 --json >rate.json
rate=$(sed -n 's/.*"gflops":\([0-9.]*\),.*/\1/p' rate.json)
echo "$cores threads sustain $rate GFLOP/s"
printf '%-34s %9s %9s %s\n' 'ranks (data x pipeline x tensor)' planned measured planned/measured
for layout in '1 1 1' '2 1 1' '1 2 1' '1 1 2' '4 1 1' '1 1 4'; do
  # shellcheck disable=SC2086 # three words
  set -- $layout
  ranks=$(($1 * $2 * $3))
  threads=$((cores / ranks > 0 ? cores / ranks : 1))
  set -- "$1 x $2 x $3" --set "parallel.pipeline=$2" --set "parallel.tensor=$3" --set "parallel.threads=$threads"
  name=$1
  shift
  planned=$("$WABUN" plan cfg --ranks "$ranks" --ranks-per-node "$ranks" --threads "$threads" --json \
    --gflops "$(awk "BEGIN { print $rate / $ranks }")" "$@" 2>/dev/null | sed 's/.*"layout":{\([^}]*\)}.*/\1/; s/.*"step_seconds":\([0-9.]*\).*/\1/')
  rm -rf run
  # shellcheck disable=SC2086 # words
  $MPIRUN -n "$ranks" "$WABUN" train cfg "$@" </dev/null >log 2>&1 || { tail -n 3 log; exit 1; }
  measured=$(sed -n 's/.*"tokens": \([0-9]*\),.*"total": \([0-9.]*\)}.*/\2/p' run/metrics.jsonl | sort -n | sed -n "$(((STEPS + 1) / 2))p")
  printf '%-34s %9.2f %9.2f %16.2f\n' "$name" "$planned" "$measured" "$(awk "BEGIN { print $planned / $measured }")"
done
