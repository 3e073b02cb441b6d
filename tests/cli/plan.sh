#!/bin/sh
# timeout: 600 - wabun plan: what it prints, what it refuses, and that the memory is what a run really takes.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

# plan ARGUMENT...: exit code; `out` and `err`
plan () {
  timeout -k 5 240 "$WABUN" plan "$@" >out 2>err </dev/null
  code=$?
  return $code
}
prints () { # PATTERN ARGUMENT...
  p=$1
  shift
  plan "$@" && [ ! -s err ] && grep -q -e "$p" out && return
  cat out err
  echo "exit code $code; wanted: $p"
  return 1
}
refused () { # PATTERN ARGUMENT...
  p=$1
  shift
  plan "$@"
  sed -n 1p err
  [ $code -eq 2 ] && [ ! -s out ] && [ "$(grep -c '^wabun: ' err)" -eq 1 ] && grep -q -e "$p" err && return
  cat out err
  echo "exit code $code; wanted: $p"
  return 1
}

ok "one rank" prints 'on 1 rank: data 1 x pipeline 1 x tensor 1' cfg
ok "two ranks" prints 'on 2 ranks: data 2 x pipeline 1 x tensor 1' cfg --ranks 2
ok "eight ranks" prints 'on 8 ranks: data 2 x pipeline 2 x tensor 2' cfg --ranks 8 --set parallel.pipeline=2 \
  --set parallel.tensor=2 --set train.global_batch=16
ok "a row for each stage, of memory and of traffic" test "$(grep -c '^[01]: ' out)" -eq 4
ok "the idle share of the pipeline" grep -q 'idle share = 11.1 %' out
ok "parameters" prints '^34,720 parameters: 2 layers, width 32, 4 heads, context 32, vocabulary 257' cfg
ok "sums of a row" awk '/^0:/ { exit !($3 == "136" && $4 == "KiB") }' out
ok "no vocabulary is needed" prints '^The tokenizer vocab/none does not exist: planned with 20,573 ids.*assumed' cfg \
  --set 'tokenizer="vocab/none"'
ok "its size may be given" prints '^The tokenizer vocab/none does not exist: planned with 300 ids, as the model says' cfg \
  --set 'tokenizer="vocab/none"' --set model.vocab_size=300
case $top_srcdir in /*) top=$top_srcdir ;; *) top=$OLDPWD/$top_srcdir ;; esac
for job in "$top"/jobs/*.cfg; do
  case $job in */corpus.cfg) continue ;; esac # of a corpus: tests/cli/corpus.sh
  set --
  case $job in */finetune.cfg) set -- --set 'model.base=""' --set model.preset=small --set model.vocab_size=20573 ;; esac # of a model that is not here
  ok "$(basename "$job") as it stands" prints ' parameters: ' "$job" "$@"
done
ok "no token file is needed" prints 'on 1 rank' cfg --set 'data.train="nowhere"'

ok "uneven shares" prints 'at most: data ranks have 2 or 1 sequences, 25.0 % of the places are empty' cfg --ranks 8
ok "take the time of the largest" sh -c '
  step () { "$1" plan cfg --gflops 1 --json --ranks 8 --set train.global_batch="$2" | sed "s/.*\"layout\":{[^}]*\"compute_seconds\":\([^,]*\).*/\1/"; }
  step "$1" 12; step "$1" 16; test "$(step "$1" 12)" = "$(step "$1" 16)"' sh "$WABUN"
ok "a batch smaller than the ranks" refused 'global_batch = 12 .*16 data ranks' cfg --ranks 16
ok "tensor that does not divide the heads" refused 'parallel.tensor = 3 .*4 heads.*2 or 4' cfg --set parallel.tensor=3
ok "more stages than layers" refused 'parallel.pipeline = 4 .*2 layers.*at most 2' cfg --set parallel.pipeline=4
ok "ranks that are no multiple" refused '3 ranks cannot be .*multiple of 2' cfg --ranks 3 --set parallel.pipeline=2
ok "an unknown key" refused 'train.stesp.*train.steps' cfg --set train.stesp=1
ok "no configuration" refused 'which configuration' --ranks 2
ok "an unknown option" refused 'unknown option' cfg --rank 2

# ---- traffic --------------------------------------------------------------------------------------------------------
# row PATTERN: the row of stage 0 in the table of traffic, which is the second one
row () { sed -n '/over the network/,$ { /^0:/p }' out | grep -E "$1"; }
plan cfg --ranks 2
ok "half of the gradients and of the weights" row '^0: 0-1 +68 KiB +68 KiB +136 KiB$'
plan cfg --ranks 2 --set parallel.wire=bf16
ok "gradients on the bf16 wire" row '^0: 0-1 +34 KiB +68 KiB'
plan cfg --ranks 4 --ranks-per-node 2
ok "two ranks of a node share the ring between nodes" row '^0: 0-1 +34 KiB +34 KiB'
plan cfg --ranks 4 --ranks-per-node 4
ok "nothing leaves a node" grep -q '^Nothing is sent over the network' out
ok "no figures of nothing" sh -c '! grep " 0 B" out | grep -v "^ *[0-9]* *[0-9]* *[0-9]* *[0-9]* "'
plan cfg --ranks 2 --set parallel.pipeline=2
ok "the tied embedding, between first and last stage" row '^0: 0-0 +32 KiB +48 KiB +80 KiB$'
plan cfg --ranks 2 --set parallel.tensor=2
ok "sums of the tensor group" row '^0: 0-1 +[1-9][0-9.]* [KM]iB +[1-9][0-9.]* [KM]iB$'
if plan cfg --ranks 2 --set parallel.tensor=2 --set 'train.optimizer="muon"' || ! grep -q 'built without' err; then
  ok "products of Muon" row '^0: 0-1( +[1-9][0-9.]* [MK]iB){3}$'
else
  ok "without ScaLAPACK, what Muon needs is said" refused 'needs ScaLAPACK.*install libscalapack-openmpi-dev' cfg --ranks 2 \
    --set parallel.tensor=2 --set 'train.optimizer="muon"'
fi

# ---- time -----------------------------------------------------------------------------------------------------------
ok "no rate, no time: one line says how to get it" prints '^How long: give --gflops' cfg
ok "and nothing else about time" sh -c '! grep -q "tokens/s\|node-hours" out'
# flop of the run = GFLOP a token x tokens a step x steps
ok "seconds of a run at a rate" prints '^The run: .* days, .* node-hours on 1 node,' cfg --gflops 0.001 --set train.steps=1000000
days_of () { # PFLOP at 0.001 GFLOP/s in days, against those printed
  awk '/ PFLOP for / { p = $9 } /^The run:/ { gsub (",", ""); d = $3 }
       END { print p, d; w = p * 1e9 / 86400; exit !(d > 0.98 * w && d < 1.02 * w) }' out
}
ok "which are flop by rate" days_of
ok "two ranks on a slow link" prints '^A step: .* computing and .* of communication that nothing hides' cfg --ranks 2 \
  --gflops 100 --link 0.001
echo '{"bench": "step", "ranks": 1, "gflops": 0.001, "mfu": 0.5, "threads": 3, "tokens_per_s": 1}' >bench.json
ok "the rate of a bench" prints '^A rank sustains .* GFLOP/s (bench.json: MFU 50 %, 3 threads a rank)' cfg --bench bench.json --set train.steps=1000000
ok "gives the same days" days_of
ok "less than a day is not said in days" prints "^The run: [0-9.]* m\{0,1\}s, " cfg --gflops 1000
ok "one of both" refused 'both say how fast' cfg --bench bench.json --gflops 1
echo '{"bench": "gemm"}' >gemm.json
plan cfg --bench gemm.json
ok "another bench is an error" test $code -eq 5 -a "$(grep -c '^wabun: gemm.json: not the output of' err)" -eq 1

# ---- layouts --------------------------------------------------------------------------------------------------------
ok "layouts of four ranks" prints '^Layouts of 4 ranks, least idle time and traffic first' cfg --ranks 4
ok "this one is marked" test "$(grep -c ' \*$' out)" -eq 1
ok "by time, where there is a rate" prints '^Layouts of 4 ranks, the fastest first' cfg --ranks 4 --gflops 1
ok "what does not fit is left out" prints '^No layout of 4 ranks takes less than' cfg --ranks 4 --memory 0.001
ok "and the plan says so of itself" grep -q '^That is more than the .* of --memory' out
ok "ranks that would do, and a layout" refused '; 12 ranks would do; 16 ranks work with .*parallel.pipeline=[12] .*parallel.tensor=[24]' cfg \
  --ranks 16
ok "likewise where they are no multiple" refused 'these ranks would do: 2 or 4; 3 ranks work with' cfg --ranks 3 --set parallel.pipeline=2
if command -v python3 >/dev/null; then
  plan cfg --ranks 4 --gflops 1 --json
  cat >check.py <<'EOF'
import json
p = json.load(open("out"))
assert p["layout"]["data"] == 4 and p["layouts"][0]["tokens_per_s"] >= p["layout"]["tokens_per_s"] > 0
assert p["machine"]["nodes"] == 4 and p["machine"]["link_assumed"] and p["machine"]["memory_limit"] is None
assert p["model"]["parameters"] == 34720 and p["stages"][0]["memory"]["total"] > 0
assert abs (p["layout"]["node_hours"] - 4 * 24 * p["layout"]["days"]) < 1e-6
EOF
  ok "--json has everything" python3 check.py
fi

# ---- a base model ---------------------------------------------------------------------------------------------------
mkdir base && cat >base/config.json <<'EOF'
{"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 32, "n_ctx": 32, "vocab_size": 300}
EOF
cat >based <<'EOF'
run = "run";
model = { base = "base"; };
data = { train = "tokens"; };
EOF
ok "a base without tokenizer" prints 'width 64, 4 heads, context 32, vocabulary 300' based
ok "the base's own sizes may be given" prints 'width 64, 4 heads, context 32, vocabulary 300' based \
  --set model.width=64 --set model.vocab_size=300
for set in layers=3 width=32 heads=2 context=16 vocab_size=301; do
  ok "but no others: $set" refused "model.${set%=*}. = ${set#*=}, but .model.base. = base has" based --set "model.$set"
done
echo '{"kind": "byte"}' >base/wabun-tokenizer.json
ok "a base with tokenizer" prints 'vocabulary 300' based --set sample.every=1
echo '{"kind": "byt' >base/wabun-tokenizer.json
plan based
ok "the copy of a save is planned" prints '^Checkpoints are copied and written while steps go on: [0-9.]* .iB more of a rank' cfg
ok "not where it is not wanted" prints '^Steps wait for each checkpoint (checkpoint.background)' cfg --set checkpoint.background=false
plan based
ok "a damaged one is an error" test $code -eq 5 -a "$(grep -c '^wabun: base/wabun-tokenizer.json' err)" -eq 1

# ---- the plan and the real peak -------------------------------------------------------------------------------------
cat >cfg <<'EOF'
run = "run";
seed = 3;
tokenizer = "byte";
model = { layers = 4; width = 512; heads = 8; context = 256; };
data = { train = "tokens"; };
train = { global_batch = 4; steps = 1; };
EOF

# bytes_of TEXT: "1.5 MiB" as a number of MiB
bytes_of () { awk -v n="${1% *}" -v unit="${1#* }" 'BEGIN { print unit == "GiB" ? n * 1024 : unit == "KiB" ? n / 1024 : n }'; }

# against NAME DATA PIPELINE TENSOR [ARGUMENT...]
against () {
  n=$(($2 * $3 * $4)) name=$1
  options="--set parallel.pipeline=$3 --set parallel.tensor=$4"
  shift 4
  # shellcheck disable=SC2086 # a list of words
  plan cfg --ranks $n $options "$@"
  planned=$(sed -n 's/^The most a rank takes: \([^,]*\),.*/\1/p' out)
  # shellcheck disable=SC2086
  trained $n "$name" $options --set checkpoint.background=false "$@" >/dev/null
  ok "$name: the report says what the plan says" grep -q "^  memory *$planned a rank at most" log
  real=$(sed -n 's/^peak memory \(.*\) a rank at most.*/\1/p' log)
  ok "$name: the real peak is within 10 % of it" awk -v real="$(bytes_of "$real")" -v plan="$(bytes_of "$planned")" \
    'BEGIN { printf "%s MiB, planned %s MiB: %+.1f %%\n", real, plan, 100 * (real / plan - 1)
             exit !(real > 100 && real < 1.1 * plan && real > 0.9 * plan) }'
  rm -rf "$name"
}
if [ -z "${ASAN_OPTIONS-}" ]; then # whose shadow memory is in nobody's plan
  against one 1 1 1
  against data 2 1 1
  against pipeline 1 2 1
  against tensor 1 1 2
  against muon 2 1 1 --set 'train.optimizer="muon"'
  against muon16 2 1 1 --set 'train.optimizer="muon"' --set 'train.precision="bf16-anywhere"'
  against adagrad 2 1 1 --set 'train.optimizer="adagrad"' --set parallel.zero=0 --set parallel.recompute='"block"'
fi
done_testing
