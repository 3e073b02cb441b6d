#!/bin/sh
# timeout: 600 - environments that are no good: the harness lets none of it through to a test, and the program does there
# what it does elsewhere, or says what is wrong, once.  Writes TAP.
: "${top_builddir:=.}"
. "${top_srcdir:=.}/tests/cli/train_common.sh"
unset WABUN_NO_RETUNE
mkdir "a b  c" locked
chmod a-w locked

# in_a WHERE COMMAND...
in_a () {
  where=$1
  shift
  case $where in
    good) "$@" ;;
    coretype) OPENBLAS_CORETYPE=Haswell "$@" ;;
    threads-*) OMP_NUM_THREADS=${where#threads-} "$@" ;;
    sjis) env -u LC_ALL LANG=ja_JP.SJIS "$@" ;;
    C) LC_ALL=C "$@" ;;
    homeless) env -u HOME "$@" ;;
    home-nowhere) HOME=$T_TMP/nowhere "$@" ;;
    home-locked) HOME=$T_TMP/locked "$@" ;;
    closed) TMPDIR="$T_TMP/a b  c" "$@" <&- ;;
  esac
}

# ---- through the harness: a few tests in all of them, and each of the others in one of five.  That nothing of an
# environment gets through is what environment_inner.sh looks at; these would notice what it does not.
harness () { # WHERE TEST
  (cd "$top_builddir" && in_a "$1" /bin/sh "$top_srcdir/tests/run-tap.sh" "$2") >tap 2>&1
  if grep -q '^ok' tap && ! grep -q -e '^not ok' -e '^Bail' tap; then return; fi
  grep -v '^ok' tap
  return 1
}
all="sjis C homeless home-nowhere home-locked closed coretype threads-0 threads-abc threads-9999"
quick="sjis home-locked closed coretype threads-abc"
# LLVM's OpenMP (14) takes memory it never set for that number: any program may end there, before its main ().
if ldd "$WABUN" | grep -q libomp; then
  all=$(echo "$all" | sed 's/ threads-abc//') quick=$(echo "$quick" | sed 's/ threads-abc//')
fi
units=tests/golden/test_gpt2
for test in "$top_srcdir"/tests/unit/test_*.c; do units="$units tests/unit/$(basename "$test" .c)"; done
turn=0
for where in $all; do
  for test in environment_inner score; do
    ok "$where: $test.sh" harness "$where" "$top_srcdir/tests/cli/$test.sh"
  done
  case " $quick " in *" $where "*) ;; *) continue ;; esac
  ok "$where: main.sh" harness "$where" "$top_srcdir/tests/cli/main.sh"
  number=$turn
  for test in "$top_srcdir/tests/cli/transform.sh" "$top_srcdir/tests/cli/generate.sh" $units; do
    [ $((number % 5)) -ne 0 ] || ok "$where: $(basename "$test")" harness "$where" "$test"
    number=$((number + 1))
  done
  turn=$((turn + 1))
done

# ---- the program itself
"$top_builddir/tests/cli/make_model" model >/dev/null || exit 99
corpus 20 >text
printf 'abcd\nefgh\n' >lines
{ echo 'run = "run";'; config; } >cfg
rm -rf good && mkdir good

# run WHERE NAME ARGUMENT...: what it prints is WHERE/NAME.out and .err, the exit code WHERE/NAME.code
run () {
  where=$1 name=$2
  shift 2
  in_a "$where" timeout -k 5 240 "$WABUN" "$@" >"$where/$name.out" 2>"$where/$name.err"
  echo $? >"$where/$name.code"
}
commands () { # WHERE
  run "$1" version --version
  run "$1" help help
  run "$1" encode encode --tokenizer byte -o "$1/tokens" text
  run "$1" train train cfg --set "run=\"$1/run\"" --set 'data.train="good/tokens"' --set train.steps=2 --set train.warmup=1
  run "$1" generate generate --model model --seed 1 --context abc --max-length 20
  run "$1" score score --model model lines
  for command in train encode generate score transform; do run "$1" "usage-$command" $command --frobnicate; done
  run "$1" usage-bench bench step --frobnicate
}
# What OpenMP says by itself about a bad OMP_NUM_THREADS comes before main () and is not counted.
says () { # WHERE NAME CODE MESSAGES PATTERN: so many lines of the program's own on stderr at most, all of that pattern
  said=$(grep -c '^wabun: ' "$1/$2.err")
  [ "$(cat "$1/$2.code")" -eq "$3" ] && [ "$said" -le "$4" ] && [ "$said" -ge $(($3 > 0)) ] &&
    [ "$(grep -c "^wabun: $5" "$1/$2.err")" -eq "$said" ] && return
  echo "exit code $(cat "$1/$2.code"), expected $3"
  cat "$1/$2.err"
  return 1
}
same () { cmp "good/$1" "$where/$1"; }
# The last digits of sums are the processor's affair.
numbers () {
  [ -s "$where/score.out" ] && paste "good/score.out" "$where/score.out" | awk -F '\t' '
    { d = $2 - $4; if ($1 != $3 || d > 1e-3 || d < -1e-3) { print; bad = 1 } } END { exit bad }'
}

# More threads than cores, and what is wrong shows late: the error comes alone all the same.
crowd=$(($(env -u OMP_NUM_THREADS nproc) * 2))
OMP_NUM_THREADS=$crowd "$WABUN" encode --tokenizer byte -o tokens text 2>err
ok "$crowd threads are a warning" grep -q ": $crowd threads on" err
OMP_NUM_THREADS=$crowd "$WABUN" train cfg --set parallel.micro_batch=5 2>err
ok "an error of the layout" test $? -eq 2
ok "alone" test "$(grep -c '^wabun: ' err)" -eq 1
OMP_NUM_THREADS=9999 "$WABUN" plan cfg 2>err
ok "a plan for 9999 threads a rank" test $? -eq 2
ok "one message" test "$(grep -c '^wabun: OMP_NUM_THREADS: 9999 threads' err)" -eq 1

commands good
for where in good $all; do
  [ -d "$where" ] || { mkdir "$where" && commands "$where"; }
  code=0 most=0 pattern=
  case $where in
    coretype) most=1 pattern="warning: the BLAS runs its " ;;
    threads-9999) code=2 most=1 pattern="OMP_NUM_THREADS: 9999 threads " ;;
  esac
  for name in version help; do
    ok "$where: $name" says "$where" $name 0 0
    ok "$where: the same answer" same $name.out
  done
  for command in train encode generate score transform bench; do
    ok "$where: an error of usage of $command, alone" says "$where" usage-$command 2 1 'unknown option --frobnicate'
  done
  if [ $code -eq 0 ]; then
    ok "$where: encode" says "$where" encode 0 0
    ok "$where: the same tokens" same tokens.bin
  else
    ok "$where: encode" says "$where" encode $code $most "$pattern"
  fi
  for name in train generate score; do
    ok "$where: $name" says "$where" $name $code $most "$pattern"
  done
  [ $code -eq 0 ] || continue
  ok "$where: the same losses" near good/run "$where/run" 1e-4
  ok "$where: the same text" same generate.out
  ok "$where: the same sums" numbers
done

# ---- standard streams that are closed: no file takes their place
shut () { "$WABUN" "$@" <&- >&- 2>&-; }
ok "all three closed" shut train cfg --set 'run="shut"' --set 'data.train="good/tokens"' --set train.steps=2 --set train.warmup=1
ok "the same checkpoint" same_files good/run/latest shut/latest
ok "the same metrics" near good/run shut 0
ok "encode" shut encode --tokenizer byte -o shut/tokens text
ok "the same tokens" cmp good/tokens.bin shut/tokens.bin
"$WABUN" --version >&- 2>err
ok "an answer that nobody can read" test $? -eq 3
ok "is an error" grep -q 'standard output: cannot write' err
"$WABUN" score --model model - <&- >out 2>err
ok "nothing to read from" test $? -eq 3 -a ! -s out
done_testing
