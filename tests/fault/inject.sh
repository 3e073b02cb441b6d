#!/bin/sh
# timeout: 600 - files that cannot be written: call after call fails while a run saves and while text is encoded.  Writes TAP.
#
#   tests/fault/inject.sh          of every eighth kind of call one, each with another error
#   tests/fault/inject.sh --all    every call, on one rank and on two, with ENOSPC, EIO, EACCES, EROFS, EDQUOT (an hour)
#
# A library (inject.c) lets the n-th call below the run directory fail: open, write, fsync, close, rename, mkdir, link,
# unlink and their like; once, or from then on.  What must hold: exit code 0 or 3; with 3 one message; every checkpoint
# that is there is whole; without the fault the run goes on to the same bits, and nothing is left over.  INJECT_SEED
# chooses other calls.
# shellcheck disable=SC2046,SC2086 # lists of words
all=false
case ${1-} in
  '') ;;
  --all) all=true ;;
  -h | --help) sed -n '4,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "inject.sh: unknown argument $1; inject.sh --help" >&2; exit 2 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}" "${WABUN:=./wabun}"
source=$(cd "$top_srcdir" && pwd)/tests/fault/inject.c
. "$top_srcdir/tests/cli/train_common.sh"
if [ -n "${ASAN_OPTIONS-}" ]; then
  echo "1..0 # SKIP the sanitizer must be the first library"
  exit 0
fi
if ! ${CC:-cc} -O1 -std=gnu11 -shared -fPIC -o inject.so "$source" -ldl 2>cc.log || ! env LD_PRELOAD="$PWD/inject.so" true; then
  echo "1..0 # SKIP no compiler for a library that goes before the system's"
  exit 0
fi
T_STEPS=4 T_LAYERS=1
export T_STEPS T_LAYERS
prepare
here=$(pwd -P)
messages () { grep -a '^wabun: ' log | grep -avc '^wabun: warning'; }

# with AT TARGET: the words in front of a program whose AT-th call below TARGET fails (0: none) with the error $error
with () {
  rm -f calls
  echo env INJECT_DIR="$here/$2" INJECT_AT="$1" INJECT_LOG="$here/calls" INJECT_ERRNO="$error" INJECT_RANK="$rank" \
    ${on:+INJECT_ON=1} LD_PRELOAD="$here/inject.so"
}

# ---- saving ---------------------------------------------------------------------------------------------------------

# injected AT RANKS ARGUMENT...: train in `run`, as far as that goes
injected () {
  words=$(with "$1" run) n=$2
  shift 2
  ranks "$n" $words "$WABUN" train cfg --set checkpoint.every=1 --set checkpoint.keep=2 --set checkpoint.archive=3 "$@" >log 2>&1
  code=$?
}
# try_train AT RANKS ARGUMENT...: 0: all that must hold does
try_train () {
  rm -rf run && cp -R good run
  injected "$@"
  what=$code
  grep -aq '^wabun: warning' log && what=$code+
  { [ $code -eq 0 ] || [ $code -eq 3 ]; } || { echo "exit code $code"; return 1; }
  [ "$(messages)" -eq $((code / 3)) ] || { echo "$(messages) messages, exit code $code"; return 1; }
  timeout 60 "$WABUN" verify run >verified 2>&1 </dev/null || { cat verified; return 1; }
  cp calls fault.calls
  cp log fault.log
  shift
  injected 0 "$@"
  [ $code -eq 0 ] || { echo "exit code $code without the fault"; cat log; return 1; }
  same_files run/step-00000004 whole/step-00000004 && clean run && in_order
}
# No step is in metrics.jsonl twice; one may be missing, with a warning.
in_order () {
  grep -q 'warning: .*metrics.jsonl: cannot' fault.log || once run || return 1
  losses run | awk '$1 <= last { print "step " $1 " after " last; exit 1 } { last = $1 }'
}
count_train () { rm -rf run && cp -R good run && injected 0 "$@"; }

# ---- encoding -------------------------------------------------------------------------------------------------------

same_tokens () { cmp "$1/t.bin" out/t.bin && cmp "$1/t.idx" out/t.idx && cmp "$1/t.tokenizer" out/t.tokenizer; }
# encode AT RANKS ARGUMENT...: the tokens of `other` in the place of those of `text`
encode () {
  words=$(with "$1" out) n=$2
  shift 2
  rm -rf out && cp -R old out
  ranks "$n" $words "$WABUN" encode --force --tokenizer byte "$@" -o out/t other >log 2>&1
  code=$?
}
try_encode () {
  encode "$@"
  cp log fault.log
  cp calls fault.calls
  what=$code
  grep -aq '^wabun: warning' log && what=$code+
  [ "$(messages)" -eq $((code / 3)) ] || { echo "$(messages) messages, exit code $code"; return 1; }
  case $code in
    0) same_tokens new ;;
    3) same_tokens old ;;
    *) echo "exit code $code"; return 1 ;;
  esac
}
count_encode () { encode 0 "$@"; }

# ---- call after call ------------------------------------------------------------------------------------------------

# The numbers of the calls that are to fail: all, or of every $few-th kind (the call, and the name without numbers) one.
points () {
  if $all; then
    cut -d ' ' -f 1 calls
  else
    LC_ALL=C awk -v seed="$((${INJECT_SEED:-1} + turn))" -v few="$few" '
      { kind = $2 " " $3; gsub (/[0-9]+/, "#", kind); if (!(kind in n)) name[++kinds] = kind; at[kind, ++n[kind]] = $1 }
      END { for (k = 1 + seed % few; k <= kinds; k += few) print at[name[k], 1 + (seed + k) % n[name[k]]] }' calls
  fi
}

# sweep WHAT train|encode ERRORS RANKS ARGUMENT...: with each of the errors at all calls; of several, by turns, a+b
turn=0
sweep () {
  title=$1 kind=$2 errors=$3
  shift 3
  error=0
  count_$kind "$@"
  calls=$(wc -l <calls)
  points >numbers
  for error in $errors; do
    : >reports
    : >codes
    by_turns=$error
    turn=$((turn + 1))
    while read -r at; do
      error=$(echo "$by_turns" | tr + '\n' | sed -n "$((1 + at % $(echo "$by_turns" | tr + '\n' | wc -l)))p")
      if try_$kind $at "$@" >report 2>&1; then
        echo "$what" >>codes
      else
        { echo "error $error at call $(sed -n "${at}p" fault.calls 2>/dev/null):"; cat report; grep -a '^wabun' log fault.log; } >>reports
      fi
    done <numbers
    tried=$(wc -l <numbers) good=$(wc -l <codes)
    ok "$title: $tried of $calls calls fail: $(grep -c 3 codes) end it, $(grep -c '0+' codes) are warnings, $(grep -cx 0 codes) nothing" \
      test "$good" -eq "$tried" -a "$tried" -gt 0
    sed 's/^/# /' reports
  done
}

# On so many ranks: `whole`, and `good`, which has lost its last two steps
reference () {
  rm -rf whole good
  trained "$1" whole --set checkpoint.every=1 >/dev/null || { cat log; exit 99; }
  cp -R whole good && rm -r good/step-0000000[34] && ln -sfn step-00000002 good/latest
  sed -i.bak '/^{"step": [34],/d' good/metrics.jsonl
  rm -f good/metrics.jsonl.bak
}
front="--set checkpoint.background=false --set checkpoint.failures=0"
back="--set checkpoint.background=true --set checkpoint.failures=0"
rank=0 on='' few=8
# 28 ENOSPC, 5 EIO, 13 EACCES, 30 EROFS, 122 EDQUOT
errors=28+5+13+30+122 first=28+5+13+30+122 second=28+5+13+30+122
$all && first="28 5+13+30+122" second="5 28+13+30+122"
reference 1
sweep "saving in the foreground" train "$first" 1 $front
sweep "saving in the background" train "$second" 1 $back
few=16
sweep "saving, which may fail three times" train "$errors" 1
on=yes
sweep "saving, from then on, in the foreground" train 28+30 1 $front
sweep "saving, from then on, in the background" train 28+30 1 $back
on=
reference 2
few=50 rank=1
sweep "saving on rank 1 of 2" train 28+5 2 $back
rank=0
sweep "saving on rank 0 of 2" train 5+122 2 $($all && echo $back || echo $front)

corpus 90 >other
mkdir old new
for name in old:text new:other; do
  "$WABUN" encode --tokenizer byte -o ${name%:*}/t ${name#*:} >log 2>&1 || { cat log; exit 99; }
done
few=2
sweep "encoding" encode "$first" 1
few=12
sweep "encoding on rank 0 of 2" encode 28+5 2
rank=1
sweep "encoding on rank 1 of 2" encode 28+5 2
done_testing
