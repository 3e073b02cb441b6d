#!/bin/sh
# alone: it measures time - wabun bench: every bench in a tiny setting: table, JSON fields, sane figures, refusals.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare
small="--layers 2 --width 64 --heads 2 --context 128 --vocab 257"
tiny="--layers 1 --width 32 --heads 2 --context 16 --vocab 257 --threads 1"

# bench RANKS NAME ARGUMENT...: exit code; `out` and `err`
bench () {
  np=$1
  shift
  if [ "$np" -eq 1 ]; then
    timeout -k 5 60 "$WABUN" bench "$@" >out 2>err </dev/null
  else
    # shellcheck disable=SC2086 # a list of words
    timeout -k 5 60 $MPIRUN ${MPIRUN_FLAGS-} -np "$np" "$WABUN" bench "$@" >out 2>err </dev/null
  fi
}
# The value of the first field of this name in `out`.
field () { grep -o "\"$1\":[^,}]*" out | head -n 1 | cut -d: -f2 | tr -d '"'; }
# between FIELD LEAST MOST
between () {
  value=$(field "$1")
  awk -v x="$value" -v least="$2" -v most="$3" -v name="$1" 'BEGIN {
    print name, x
    exit !(x ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ && x + 0 >= least + 0 && x + 0 <= most + 0) }'
}
is () { # FIELD VALUE
  echo "$1 $(field "$1")"
  [ "$(field "$1")" = "$2" ]
}
one_object () { # NAME: one line, an object, of this bench, with a closing brace, nothing else
  [ "$(wc -l <out)" -eq 1 ] && grep -q "^{\"bench\":\"$1\",.*}\$" out && return
  cat out err
  return 1
}
table () { # PATTERN...: each on some line, and no JSON
  for p in "$@"; do
    grep -q -e "$p" out || { cat out err; echo "wanted: $p"; return 1; }
  done
  ! grep -q '^{' out
}
refused () { # PATTERN ARGUMENT...: exit code 2 and one message
  p=$1
  shift
  bench 1 "$@"
  code=$?
  [ $code -eq 2 ] && [ ! -s out ] && [ "$(grep -c '^wabun: ' err)" -eq 1 ] && grep -q -e "$p" err && return
  cat out err
  echo "exit code $code; wanted: $p"
  return 1
}
fields () { # NAME...
  for f in "$@"; do
    grep -q "[{,]\"$f\":" out || { cat out; echo "no field $f"; return 1; }
  done
}

# ---- the table of benches
bench 1
names=$(sed -n 's/^  \([a-z]*\)  .*/\1/p' out)
ok "the list" test -n "$names"
"$WABUN" help bench >text
# shellcheck disable=SC2016
# shellcheck disable=SC2086
ok "help has each of them" sh -c 'for n; do grep -q "^  $n  " text || exit 1; done' sh $names
ok "an unknown bench" refused 'no bench .weather.' weather
ok "a misspelt bench" refused 'did you mean step' stpe
ok "an option before the name" refused 'name of the bench comes first' --json step

# Every bench: an unknown option is refused; what it prints is looked at below.
for name in $names; do
  ok "$name: an unknown option" refused 'unknown option' "$name" --frobnicate
done

# ---- step
# The figures of a step.  MFU is GFLOP/s over the peak, to the digits printed.  How large it is says nothing here: the peak
# and the steps are not measured at the same moment, and on a busy machine either may be a fraction of the other.
mfu_is_the_ratio () {
  awk -v mfu="$(field mfu)" -v gflops="$(field gflops)" -v peak="$(field fma_peak_gflops)" 'BEGIN {
    d = mfu * peak / gflops - 1; print "mfu", mfu, "off by", d; exit !(d * d < 1e-10) }'
}
step_is_sane () {
  mfu_is_the_ratio && between tokens_per_s 1 1e9 && between mfu 1e-9 50 && between fma_peak_gflops 0.01 1e7 &&
    between gflops 1e-9 1e7 &&
    between loss 5 6.5 && between peak_rss_bytes 1e6 1e11 && between tokens_per_s_min 1 "$(field tokens_per_s)" &&
    between tokens_per_s_max "$(field tokens_per_s)" 1e9
}
# Least <= median <= most; who waits least waits 0; the slowest is one of them, on this host; what a rank computes, waits
# and cannot hide is a step, and no step is longer than the longest that was timed around it.
ranks_fit () { # RANKS
  sed 's/.*"over_ranks"://; s/}.*//' out >over_ranks
  cat over_ranks
  tr -d '{["' <over_ranks | tr ':,]@' '    ' | awk -v P="$1" -v host="$(hostname)" -v steps="$(sed 's/.*"steps":\[\([^]]*\)\].*/\1/' out)" '{
    for (i = 1; i <= NF; i++) {
      if ($i == "compute" || $i == "waiting") for (k = 1; k <= 3; k++) v[$i, k] = $(i + k)
      if ($i == "exposed" || $i == "hidden" || $i == "slowest") v[$i] = $(i + 1)
      if ($i == "slowest") on = $(i + 2)
    } }
    END { n = split (steps, s, ","); for (i = 1; i <= n; i++) longest = s[i] > longest ? s[i] : longest
      for (k = 2; k <= 3; k++) if (v["compute", k] < v["compute", k - 1] || v["waiting", k] < v["waiting", k - 1]) exit 1
      exit !(v["compute", 1] > 0 && v["waiting", 1] == 0 && v["exposed"] >= 0 && v["hidden"] <= 1 && on == host &&
             v["slowest"] >= 0 && v["slowest"] < P && v["compute", 3] + v["exposed"] < 1.001 * longest) }'
}
step_fields="preset params vocab batch micro_batch context threads ranks pipeline tensor blas blas_core gemm isa cpu phases over_ranks profile bandwidth_gbs planned_bytes steps"
# shellcheck disable=SC2086
for np in 1 2 3; do
  bench $np step $tiny --batch 6 --steps 3 --json
  ok "step on $np ranks: one object" one_object step
  ok "step on $np ranks: figures" step_is_sane
  ok "step on $np ranks: ranks" is ranks $np
  ok "step on $np ranks: batch" is batch 6
  ok "step on $np ranks: the ranks compared" ranks_fit $np
  ok "step on $np ranks: parameters" is params $((257 * 32 + 16 * 32 + 12 * 32 * 32 + 13 * 32 + 2 * 32))
done
# shellcheck disable=SC2086
ok "step: fields" fields $step_fields
# The median of three steps and the flop of a token: 6 (12 L C^2 + V C) + 6 L C (T + 1).
ok "step: the figures belong together" awk -v rate="$(field tokens_per_s)" -v gflops="$(field gflops)" \
  -v peak="$(field fma_peak_gflops)" -v mfu="$(field mfu)" \
  -v steps="$(sed 's/.*"steps":\[\([^]]*\)\].*/\1/' out)" 'BEGIN {
    n = split (steps, s, ",")
    for (i = 1; i <= 3; i++) for (j = i + 1; j <= 3; j++) if (s[j] < s[i]) { t = s[i]; s[i] = s[j]; s[j] = t }
    flop = 6 * (12 * 32 * 32 + 257 * 32) + 6 * 32 * 17
    print n, "steps", 6 * 16 / s[2], rate, rate * flop * 1e-9, gflops, gflops / peak, mfu
    exit !(n == 3 && near(6 * 16 / s[2], rate) && near(rate * flop * 1e-9, gflops) && near(gflops / peak, mfu)) }
    function near(a, b) { return a / b < 1.001 && b / a < 1.001 }'
# shellcheck disable=SC2086
bench 1 step $tiny --steps 1
ok "step: a table" table '^tokens/s ' '^MFU .*%' '^peak ' '^memory '
ok "step: one rank is not compared" sh -c '! grep -q "over the ranks" out'
# Without instructions for bf16 it is computed all the same, and MFU is of the peak of fp32.
WABUN_ISA=portable
export WABUN_ISA
# shellcheck disable=SC2086
bench 1 step $tiny --steps 1 --precision bf16-anywhere --json
ok "step in bf16: what multiplied" sh -c 'grep -q "\"precision\":\"bf16\"" out && grep -q "\"bf16_unit\":\"plain C\"" out && ! grep -q bf16_peak out'
ok "step in bf16: figures" step_is_sane
# shellcheck disable=SC2086
ok "bf16 where nothing multiplies it" refused 'slower than fp32' step $tiny --precision bf16
unset WABUN_ISA
# shellcheck disable=SC2086
ok "bf16 of other benches" refused 'unknown option' gemm $tiny --precision bf16
# shellcheck disable=SC2086
bench 2 step $tiny --batch 6 --steps 1
ok "step: ranks in the table" table '^over the ranks ' '^  compute .*slowest: rank [01] on ' '^  waiting .*0\.0000 ' '^  exposed '
# shellcheck disable=SC2086
bench 1 step $tiny --steps 1 --profile
ok "step: a profile" table '^kernel  *phase  *calls' '^qkv dw  *linear  *1 ' '^optimizer  *update  *1 ' '^limits of a rank: '
ok "step: no steps" refused '[-][-]steps wants' step --steps 0
ok "step: no such preset" refused 'tiny|small' step --preset smal
ok "step: heads that do not divide" refused 'not a multiple' step --width 33 --heads 2

# ---- gemm
# shellcheck disable=SC2086
bench 1 gemm $tiny --json
ok "gemm: one object" one_object gemm
ok "gemm: fields" fields threads fma_peak_gflops gemm blas_core cpu products name m n k gflops gflops_min gflops_max of_peak repeats
# shellcheck disable=SC2016
ok "gemm: figures" sh -c 'test "$(grep -o "\"gflops\":" out | wc -l)" -eq 15'
ok "gemm: a share" between of_peak 1e-6 50 # the peak is measured at another moment, and a busy machine has better ones
ok "gemm: spread" between gflops "$(field gflops_min)" "$(field gflops_max)"
ok "gemm: the size" is m 16
# shellcheck disable=SC2086
bench 1 gemm $tiny
ok "gemm: a table" table 'of peak' '^qkv forward  *16  *96  *32 ' '^head dw '

# ---- generate (ring has its own: bench_ring.sh)
# shellcheck disable=SC2086
bench 1 generate $tiny --tokens 4 --batch 3 --json
ok "generate: one object" one_object generate
ok "generate: fields" fields prompt tokens threads batches prompt_processing ms ms_min ms_max ms_sampling read_gbps fma_peak_gflops of_bandwidth of_peak of_bound
ok "generate: a batch" is batch 3
ok "generate: speed" between tokens_per_s 1 1e9
ok "generate: a share" between of_bound 1e-7 1.5
# bytes of a step: 12 C^2 + V C, and keys and values of 3 texts behind 8 + 2.5 positions
ok "generate: bytes" awk -v bytes="$(grep -o '"batches".*' out | grep -o '"bytes":[^,]*' | cut -d: -f2)" 'BEGIN {
    want = 4 * (12 * 32 * 32 + 257 * 32 + 3 * 2 * 32 * (8 + 2.5)); print bytes, want; exit !(bytes / want < 1.0001 && want / bytes < 1.0001) }'
# In each line of the table: a rate is the number over the time, a share the bound over the time, their order is right.
# What a prompt takes is compared with the multiply-adds only.
generate_fits () {
  sed 's/{"\(tokens\|batch\)":/\n&/g' out | awk '
    function value(name) { return match($0, "\"" name "\":[-+.e0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : -1 }
    function near(a, b) { return a > 0 && b > 0 && a / b < 1.001 && b / a < 1.001 }
    /^{"(tokens|batch)":/ {
      n++; print
      step = /^{"batch"/; ms = value("ms"); memory = value("of_bandwidth"); peak = value("of_peak")
      if (!near(value("tokens_per_s"), 1e3 * value(step ? "batch" : "tokens") / ms) || value("ms_min") > ms || value("ms_max") < ms ||
          !near(peak, value("flop") / value("fma_peak_gflops") * 1e-6 / ms)) bad = 1
      if (step && (!near(memory, value("bytes") / value("read_gbps") * 1e-6 / ms) ||
          !near(value("of_bound"), memory > peak ? memory : peak) || value("ms_sampling") > value("ms_max"))) bad = 1
    }
    END { print n, "lines"; exit bad || n != 2 }'
}
ok "generate: the figures belong together" generate_fits
# shellcheck disable=SC2086
bench 1 generate $tiny --tokens 3
ok "generate: a table" table '^prompt  *8 tokens' '^ *1 ' '^ *32 ' 'of bound'
# shellcheck disable=SC2086
ok "generate: too many tokens" refused '[-][-]prompt 8 and --tokens 14 do not fit' generate $tiny --prompt 8 --tokens 14
# shellcheck disable=SC2086
bench 1 generate $tiny --prompt 15 --batch 1 --json
ok "generate: as many tokens as fit" is tokens 1
# shellcheck disable=SC2086
bench 1 generate $tiny --batch 1 --json
ok "generate: half of the context behind the other" is tokens 8
ok "generate: no texts" refused '[-][-]batch wants' generate --batch 0
ok "generate: no such preset" refused 'tiny|small' generate --preset smal
# shellcheck disable=SC2086
bench 2 generate $tiny --tokens 4
ok "generate: one process only" grep -q 'run it without mpirun' err

# ---- muon: forms there are, and figures that fit together
# shellcheck disable=SC2086
for np in 1 2; do
  bench $np muon $tiny --batch 4 --steps 2 --json
  ok "muon on $np ranks: one object" one_object muon
  ok "muon on $np ranks: figures" sh -c 'sed "s/{\"step\"/\n&/g" out | awk "
    /^{\"step\"/ { n++; split (\$0, v, /[:,]/); print \$0; if (!(v[2] > 0 && v[4] > 0 && v[4] < v[2] && v[6] < v[4])) bad = 1 }
    END { exit bad || n < 2 }"'
done
# shellcheck disable=SC2086
bench 1 muon $tiny --steps 1
ok "muon: a table" table '^adamw ' '^whole .*%' 'qkv whole'
ok "muon: in fp32 only" sh -c '! grep -q bf16 out'
# shellcheck disable=SC2086
bench 1 muon $tiny --steps 1 --precision bf16-anywhere
ok "muon in bf16: beside fp32" table '^adamw  ' '^adamw bf16 ' '^whole  .*%' '^whole bf16 .*%' '^bf16  .*fp32 sums'
ok "muon in bf16: its products" table '^whole bf16  *qkv whole.*; products in bf16$'
# shellcheck disable=SC2086
bench 1 muon $tiny --steps 1 --precision bf16-anywhere --json
ok "muon in bf16: an object for each" sh -c 'grep -q "\"precision\":\"bf16\"" out && test "$(grep -o "\"[a-z]*\(_bf16\)*\":{\"step\"" out | tr "\n" " ")" = "\"adamw\":{\"step\" \"adamw_bf16\":{\"step\" \"whole\":{\"step\" \"whole_bf16\":{\"step\" "'
ok "muon: no steps" refused '[-][-]steps wants' muon --steps 0
ok "muon: no such preset" refused 'tiny|small' muon --preset smal

# ---- threads: counts, the same on every machine
# shellcheck disable=SC2086
bench 1 threads $small --json
ok "threads: one object" one_object threads
ok "threads: fields" fields preset batch behind balance teams texts threads barriers useful serial uneven kernels kernel calls flop
# The calls and the arithmetic of a step, kernel by kernel, are those that a real one counts.
# shellcheck disable=SC2086
bench 1 threads $small --threads 3 --batch 2 --micro-batch 1 --json
sed 's/{"texts"/\n&/g' out | grep '^{"texts":0,' | sed 's/{"kernel"/\n&/g' | sed -n 's/^{"kernel":"\([^"]*\)","calls":\([^,]*\),"flop":\([^,]*\),.*/\1|\2|\3/p' | sort >counted
# shellcheck disable=SC2086
bench 1 step $small --threads 1 --batch 2 --micro-batch 1 --steps 1 --profile --json
sed 's/.*"profile"://; s/{"kernel"/\n&/g' out | sed -n 's/^{"kernel":"\([^"]*\)",.*"calls":\([^,]*\),.*"flop":\([^,]*\),.*/\1|\2|\3/p' | sort >done
threads_fit () {
  awk -F'|' '
    NR == FNR { calls[$1] = $2; flop[$1] = $3; next }
    { n++; print $0, "counted", $1 in calls ? calls[$1] " " flop[$1] : "not" }
    !($1 in calls) { if ($2 > 0 && $1 !~ /^(verdict|polling|weights|gradients wait|pipeline wait|tensor group)$/) bad = 1; next }
    $2 != calls[$1] && $1 != "softmax, loss" || $3 > 0 && ($3 / flop[$1] > 1.001 || flop[$1] / $3 > 1.001) { print "differs"; bad = 1 }
    END { exit bad || n < 25 }' counted done
}
ok "threads: a step does what is counted" threads_fit
# 24 panels on 24 threads are even; their 72 chunks on 64 are not.
even () { # THREADS: of inference's products
  bench 1 threads --preset small --layers 1 --threads "$1" --detail && sed -n 's/^  proj  *\([0-9].*\)/\1/p' out | sed -n 2p | awk '{ print $0; exit !('"$2"') }'
}
ok "threads: panels that fit" even 24 '$2 == 0 && $3 == 0'
ok "threads: panels that do not" even 64 '$3 > 0.1'
ok "threads: one alone wastes nothing" sh -c '"$WABUN" bench threads --threads 1 >out 2>err && test "$(grep -c "  100.0    0.0    0.0" out)" -eq 4'
ok "threads: a table" table '^threads  *1$' '^training, 8 sequences ' '^inference, 1 text '
ok "threads: no threads" refused '[-][-]threads wants' threads --threads 0

# ---- encode
bench 1 encode --threads 2 --repeats 1 --json
ok "encode: one object" one_object encode
ok "encode: fields" fields threads bytes text vocabulary repeats rates tokenizer clean mb_per_s mb_per_s_min mb_per_s_max tokens
ok "encode: a byte is a token" is tokens "$(field bytes)"
ok "encode: figures" between mb_per_s 0.01 1e6
ok "encode: spread" between mb_per_s "$(field mb_per_s_min)" "$(field mb_per_s_max)"
ok "encode: no repeats" refused '[-][-]repeats wants' encode --repeats 0
printf 'abc\n\343\201\202\n' >some.txt
bench 1 encode --threads 1 --repeats 2 --tokenizer byte some.txt
ok "encode: a table, of files" table '^8 B.* (files)' '^byte  *no  *1 '
ok "encode: no such file" sh -c '"$WABUN" bench encode nowhere.txt 2>err; test $? -eq 3 && grep -q "nowhere.txt" err'

done_testing
