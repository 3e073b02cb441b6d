#!/bin/sh
# timeout: 900 - files that cannot be written: call after call fails while a run saves and while text is encoded.  Writes TAP.
#
#   tests/fault/inject.sh          some of the calls (minutes)
#   tests/fault/inject.sh --all    every call, in the foreground, in the background, on one rank and on two (about an hour)
#
# A library (inject.c) lets the n-th call below the run directory fail: open, write, fsync, close, rename, mkdir, link,
# unlink and their like; once, or from then on.  What must hold: exit code 0 or 3; with 3 one message; every checkpoint
# that is there is whole; without the fault the run goes on to the same bits, and nothing is left over.  INJECT_SEED
# chooses other calls.
# shellcheck disable=SC2010,SC2013,SC2046,SC2086 # lists of words, names without spaces
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
if ! ${CC:-cc} -std=gnu11 -shared -fPIC -o inject.so "$source" -ldl 2>cc.log || ! env LD_PRELOAD="$PWD/inject.so" true; then
  echo "1..0 # SKIP no compiler for a library that goes before the system's"
  exit 0
fi
T_STEPS=4
export T_STEPS
prepare
here=$(pwd -P)

# with AT COMMAND...: under the library; the rest is in the environment.  AT 0: only counted, in `calls`
with () {
  at=$1
  shift
  rm -f calls
  env INJECT_DIR="$here/$target" INJECT_AT="$at" INJECT_LOG="$here/calls" LD_PRELOAD="$here/inject.so" "$@"
}
# injected AT RANKS ARGUMENT...: train in `run`, as far as that goes
injected () {
  at=$1 n=$2
  shift 2
  rm -f calls
  ranks "$n" env INJECT_DIR="$here/run" INJECT_AT="$at" INJECT_LOG="$here/calls" LD_PRELOAD="$here/inject.so" \
    "$WABUN" train cfg --set checkpoint.every=1 --set checkpoint.keep=2 --set checkpoint.archive=3 "$@" >log 2>&1
  code=$?
}
messages () { grep -a '^wabun: ' log | grep -avc '^wabun: warning'; }
count () { [ -f calls ] && wc -l <calls || echo 0; }

# try AT RANKS ARGUMENT...: 0: all that must hold does
try () {
  rm -rf run && cp -R good run
  injected "$@"
  { [ $code -eq 0 ] || [ $code -eq 3 ]; } || { echo "exit code $code"; return 1; }
  [ $code -eq 0 ] || [ "$(messages)" -eq 1 ] || { echo "$(messages) messages"; return 1; }
  [ $code -eq 3 ] || [ "$(messages)" -eq 0 ] || { echo "$(messages) messages, and exit code 0"; return 1; }
  timeout 60 "$WABUN" verify run >verified 2>&1 || { cat verified; return 1; }
  fault=$(sed -n "$1p" calls)
  cp log fault.log
  shift
  injected 0 "$@"
  [ $code -eq 0 ] || { echo "exit code $code without the fault"; cat log; return 1; }
  same_files run/step-00000004 whole/step-00000004 && clean run && once run || return 1
  return 0
}

# sweep WHAT STRIDE RANKS ARGUMENT...: try every STRIDE-th call; INJECT_ERRNO and the like are in the environment
sweep () {
  what=$1 stride=$2
  shift 2
  rm -rf run && cp -R good run
  injected 0 "$@"
  calls=$(count) tried=0 failed=0 ended=0
  at=$((1 + ${INJECT_SEED:-0} % stride))
  : >reports
  while [ $at -le "$calls" ]; do
    tried=$((tried + 1))
    if try $at "$@" >report 2>&1; then
      grep -aq '^wabun: [^w]' fault.log && ended=$((ended + 1))
    else
      failed=$((failed + 1))
      { echo "call $at ($(sed -n "${at}p" calls 2>/dev/null) $fault):"; cat report; grep -a '^wabun' log fault.log; } >>reports
    fi
    at=$((at + stride))
  done
  ok "$what: $tried of $calls calls fail, of which $ended end the run" test $failed -eq 0 -a $tried -gt 0
  sed 's/^/# /' reports
}

trained 1 whole --set checkpoint.every=1 >/dev/null || { cat log; exit 99; }
trained 1 good --set checkpoint.every=1 --set train.steps=2 --set train.lr=3e-3 >/dev/null || exit 99
rm -rf good && cp -R whole good && rm -r good/step-0000000[34] && ln -sfn step-00000002 good/latest
sed -i.bak '/^{"step": [34],/d' good/metrics.jsonl 2>/dev/null
rm -f good/metrics.jsonl.bak
export INJECT_ERRNO INJECT_RANK

front="--set checkpoint.background=false --set checkpoint.failures=0"
back="--set checkpoint.background=true --set checkpoint.failures=0"
few=61
$all && few=1
# errno: 28 ENOSPC, 5 EIO, 13 EACCES, 122 EDQUOT
INJECT_RANK=0
# shellcheck disable=SC2086 # lists of words
{
  INJECT_ERRNO=28 && sweep "no space, in the foreground" $few 1 $front
  INJECT_ERRNO=5 && sweep "input/output error, in the background" $few 1 $back
  if $all; then
    INJECT_ERRNO=5 && sweep "input/output error, in the foreground" 1 1 $front
    INJECT_ERRNO=28 && sweep "no space, in the background" 1 1 $back
    INJECT_ERRNO=122 && sweep "quota, saves may fail" 1 1 --set checkpoint.background=true
    INJECT_ERRNO=13 && sweep "not allowed, in the foreground" 1 1 $front
    INJECT_ON=1 && export INJECT_ON
    INJECT_ERRNO=28 && sweep "no space from then on, in the foreground" 1 1 $front
    INJECT_ERRNO=28 && sweep "no space from then on, in the background" 1 1 $back
    unset INJECT_ON
  fi
}

# On two ranks the weights are those of two ranks.
rm -rf whole good
trained 2 whole --set checkpoint.every=1 >/dev/null || { cat log; exit 99; }
cp -R whole good && rm -r good/step-0000000[34] && ln -sfn step-00000002 good/latest
sed -i.bak '/^{"step": [34],/d' good/metrics.jsonl
rm -f good/metrics.jsonl.bak
INJECT_RANK=1
# shellcheck disable=SC2086
{
  INJECT_ERRNO=5 && sweep "input/output error on rank 1" $($all && echo 1 || echo 9) 2 $back
  if $all; then
    INJECT_ERRNO=28 && sweep "no space on rank 1, in the foreground" 1 2 $front
    INJECT_RANK=0
    INJECT_ERRNO=122 && sweep "quota on rank 0 of 2" 1 2 $back
  fi
}

# ---- encoding -------------------------------------------------------------------------------------------------------
INJECT_RANK=0 target=out
corpus 90 >other
mkdir old new && "$WABUN" encode --tokenizer byte -o old/t text >/dev/null 2>&1 && "$WABUN" encode --tokenizer byte -o new/t other >/dev/null 2>&1 || exit 99
same_tokens () { cmp "$1/t.bin" out/t.bin && cmp "$1/t.idx" out/t.idx; }
encode () { # AT: the tokens of `other` in the place of those of `text`
  rm -rf out && cp -R old out
  with "$1" timeout 60 "$WABUN" encode --force --tokenizer byte -o out/t other >log 2>&1 </dev/null
  code=$?
}
try_encode () {
  encode "$1"
  case $code in
    0) same_tokens new || return 1 ;;
    3) [ "$(messages)" -eq 1 ] || { echo "$(messages) messages"; return 1; }
      same_tokens old || same_tokens new || return 1 ;;
    *) echo "exit code $code"; return 1 ;;
  esac
}
for INJECT_ERRNO in 28 5; do
  encode 0
  calls=$(count) at=1 failed=0
  : >reports
  while [ $at -le "$calls" ]; do
    try_encode $at >report 2>&1 || { failed=$((failed + 1)); { echo "call $at, $(sed -n "${at}p" calls):"; cat report log; } >>reports; }
    at=$((at + 1))
  done
  ok "encoding, error $INJECT_ERRNO: each of $calls calls" test $failed -eq 0 -a "$calls" -gt 5
  sed 's/^/# /' reports
done
done_testing
