#!/bin/sh
# OpenBLAS takes the processor for a Prescott (tests/cli/blas_core.c): the program starts itself again, once, with
# the right core type, and says so; not when it may not, when the user has chosen, or when it does not help.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
unset WABUN_NO_RETUNE
shim=${top_builddir:=.}/tests/cli/blas_core.so
case $shim in /*) ;; *) shim=$OLDPWD/$shim ;; esac

skip () {
  echo "1..0 # SKIP $1"
  exit 0
}
has () { grep -q -m 1 "^flags.*[[:space:]]$1\\([[:space:]]\\|\$\\)" /proc/cpuinfo; }

# What the processor deserves, by the system's own list of what it can do.
if has avx512f && has avx512bw && has avx512dq && has avx512vl; then
  want=SkylakeX
elif has avx2 && has fma; then
  want=Haswell
else
  skip "no processor that deserves more than Prescott's kernels"
fi
[ -s "$shim" ] || skip "no shared library could be built"
bench="bench step --layers 1 --width 32 --heads 2 --context 16 --vocab 257 --threads 1 --batch 2 --steps 1"

# run RANKS [VARIABLE=VALUE]... COMMAND...: with the pretended OpenBLAS; out, err, starts
run () {
  np=$1
  shift
  : >starts
  ranks "$np" env LD_PRELOAD="$shim" BLAS_CORE_LOG="$PWD/starts" "$@" >out 2>err
  code=$?
  [ $code -eq 0 ] && return
  echo "exit code $code"
  cat out err
  return 1
}
# shellcheck disable=SC2086 # a list of words
run 1 WABUN_NO_RETUNE=1 "$WABUN" $bench >probe 2>&1 || {
  sed 's/^/# /' probe
  skip "nothing can be loaded in front of this program (sanitizers must come first)"
}
grep -q '^asked' starts || skip "OpenBLAS is linked statically, so nothing answers for it"

# started PROCESSES TIMES: so many processes, each of which started so many times
started () {
  sed -n 's/^started //p' starts | sort | uniq -c | awk -v n="$1" -v times="$2" '
    { print; if ($1 != times) bad = 1 } END { exit bad || NR != n }' && return
  cat starts out err
  return 1
}
says () { grep -q -e "$2" "$1" || { cat "$1"; echo "wanted: $2"; return 1; }; }
silent () { if grep -e "$2" "$1"; then return 1; fi; }
warns () { # TIMES PATTERN: so many warnings about the BLAS, all with that pattern
  [ "$(grep -c 'warning: .*BLAS' err)" -eq "$1" ] && { [ "$1" -eq 0 ] || says err "$2"; } && return
  cat err
  return 1
}

# ---- bench
for np in 1 2; do
  # shellcheck disable=SC2086
  ok "bench on $np ranks" run $np "$WABUN" $bench
  ok "$np ranks start twice" started $np 2
  ok "$np ranks: the table says so" says out "BLAS $want (.*), started again: OpenBLAS had chosen Prescott$"
  ok "$np ranks: no warning" warns 0
done
# shellcheck disable=SC2086
ok "bench --json" run 1 "$WABUN" $bench --json
ok "names both core types" says out "\"blas_core\":\"$want\",\"retuned_from\":\"Prescott\""
# shellcheck disable=SC2086
ok "an empty OPENBLAS_CORETYPE chooses nothing" run 1 OPENBLAS_CORETYPE= "$WABUN" $bench
ok "it starts twice" started 1 2

# ---- left alone
# shellcheck disable=SC2086
for np in 1 2; do
  ok "--no-retune on $np ranks" run $np "$WABUN" $bench --no-retune
  ok "$np ranks start once" started $np 1
  ok "$np ranks: one warning" warns 1 "Prescott kernels, .* $want ones, .*: set OPENBLAS_CORETYPE=$want\$"
  ok "$np ranks: the table says what runs" says out "BLAS Prescott "
  ok "$np ranks: and no more" silent out 'started again'
done
# shellcheck disable=SC2086
ok "--no-retune before the subcommand" run 1 "$WABUN" --no-retune $bench --json
ok "it starts once" started 1 1
ok "JSON without a start" says out '"blas_core":"Prescott","retuned_from":null'
# shellcheck disable=SC2086
ok "WABUN_NO_RETUNE" run 1 WABUN_NO_RETUNE=1 "$WABUN" $bench
ok "it starts once" started 1 1

# ---- the user has chosen
# shellcheck disable=SC2086
ok "a lesser core type of the user's" run 2 OPENBLAS_CORETYPE=Nehalem "$WABUN" $bench
ok "starts once" started 2 1
ok "is used" says out 'BLAS Nehalem '
ok "with a warning" warns 1 "Nehalem kernels, .*: set OPENBLAS_CORETYPE=$want\$"
# shellcheck disable=SC2086
ok "the right core type of the user's" run 2 "OPENBLAS_CORETYPE=$want" "$WABUN" $bench
ok "starts once" started 2 1
ok "without a warning" warns 0
ok "and without a word about starting again" silent out 'started again'

# ---- it does not help
# shellcheck disable=SC2086
for np in 1 2; do
  ok "a BLAS that does not follow, on $np ranks" run $np BLAS_CORE_STUBBORN=1 "$WABUN" $bench
  ok "$np ranks: no endless loop" started $np 2
  ok "$np ranks: one warning" warns 1 "OPENBLAS_CORETYPE=$want is set, but this BLAS does not follow it"
done

# ---- train
prepare
for np in 1 2; do
  ok "train on $np ranks" run $np "$WABUN" train cfg --set "run=\"run$np\"" --set train.steps=2
  ok "$np ranks start twice" started $np 2
  ok "$np ranks: the report says so" says err "^  BLAS .* core type $want, started again: OpenBLAS had chosen Prescott\$"
  ok "$np ranks: no warning" warns 0
  ok "$np ranks: it trained" says err '^done: 2 steps'
done
ok "train --no-retune" run 2 "$WABUN" train cfg --no-retune --set 'run="slow"' --set train.steps=2
ok "starts once" started 2 1
ok "one warning" warns 1 "set OPENBLAS_CORETYPE=$want\$"
ok "the report says what runs" says err '^  BLAS .* core type Prescott$'

# ---- where the warning stands: behind what can be wrong with a command, before its results
alone () { # CODE PATTERN COMMAND...: the only message
  want_code=$1 pattern=$2
  shift 2
  run 1 WABUN_NO_RETUNE=1 "$@" >ran
  [ $code -eq "$want_code" ] && says err "$pattern" && [ "$(grep -c '^wabun: ' err)" -eq 1 ] && return
  cat ran
  return 1
}
"$top_builddir/tests/cli/make_model" model >/dev/null || exit 99
ok "an error of usage, alone" alone 2 'unknown option --stepz' "$WABUN" bench step --stepz 1
ok "of a configuration" alone 2 'heads' "$WABUN" train cfg --set model.width=33
ok "of a configuration that fails late" alone 2 'not a multiple' "$WABUN" train cfg --set parallel.micro_batch=5
ok "no model" alone 3 'no such directory' "$WABUN" generate --model nowhere
ok "too many threads" alone 2 '4096 threads' "$WABUN" score --model model --threads 4096 text
ok "nothing to train" run 1 WABUN_NO_RETUNE=1 "$WABUN" train cfg --set 'run="slow"' --set train.steps=2
ok "no warning" warns 0
ok "a bench without products" run 1 WABUN_NO_RETUNE=1 "$WABUN" bench encode --tokenizer byte --repeats 1
ok "no warning" warns 0
generate="generate --model model --seed 1 --context abc --max-length 20"
# shellcheck disable=SC2086
ok "generate" run 1 "$WABUN" $generate
ok "starts twice" started 1 2
cp out text1
# shellcheck disable=SC2086
ok "generate --no-retune" run 1 "$WABUN" $generate --no-retune
ok "one warning" warns 1 "set OPENBLAS_CORETYPE=$want\$"
ok "the same text" cmp text1 out
if script -qec true /dev/null >/dev/null 2>&1; then
  script -qec "LD_PRELOAD='$shim' '$WABUN' $generate --no-retune" /dev/null </dev/null | tr -d '\r' >terminal
  head -n 1 terminal >err
  sed 1d terminal >out
  ok "on a terminal: a line of its own" warns 1 "set OPENBLAS_CORETYPE=$want\$"
  ok "before the text" cmp text1 out
fi

# ---- what does not compute has no need to
ok "encode" run 1 "$WABUN" encode --tokenizer byte -o again text
ok "starts once" started 1 1
ok "without a warning" warns 0

done_testing
