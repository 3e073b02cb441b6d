#!/bin/sh
# timeout: 900 - damage of every kind to the newest checkpoint: found, said, and gone back from.  Writes TAP.
#
#   tests/fault/damage.sh [COUNT [SEED]]     10 and 0; the whole of it: 100
#
# Files cut off, bits flipped, files missing, exchanged, overwritten, replaced by links or directories, entries lost from
# checksums.json (damage.pl).  `wabun verify` must tell it, a start must name the checkpoint and go on from the one
# before, and the end must be the same bits.
case ${1-} in
  -h | --help) sed -n '4,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}" "${WABUN:=./wabun}"
helper=$(cd "$top_srcdir" && pwd)/tests/fault/damage.pl
. "$top_srcdir/tests/cli/train_common.sh"
perl -e 'exit 0' 2>/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }
T_STEPS=5
export T_STEPS
prepare
trained 1 whole --set checkpoint.every=2 >/dev/null || { cat log; exit 99; }
cp -R whole good && rm -r good/step-00000005 && ln -sfn step-00000004 good/latest
sed -i.bak '/^{"step": 5,/d' good/metrics.jsonl && rm good/metrics.jsonl.bak

try () { # SEED
  rm -rf run && cp -R good run
  perl "$helper" "$1" run/step-00000002 run/step-00000004 || return 1
  timeout 60 "$WABUN" verify run/step-00000004 >verified 2>&1
  code=$?
  [ $code -eq 5 ] || [ $code -eq 3 ] || { echo "verify: $code"; cat verified; return 1; }
  trained 1 run || return 1
  grep -q '^wabun: warning: .*step-00000004.*going back' log || { echo "nothing said"; cat log; return 1; }
  grep -q 'resuming from run/step-00000002' log || { cat log; return 1; }
  [ -e run/step-00000004.damaged ] && same_files run/step-00000005 whole/step-00000005 && clean run && once run
}
seed=${2:-0} left=${1:-10} all=${1:-10} found=0
: >reports
while [ "$left" -gt 0 ]; do
  if try "$seed" >report 2>&1; then
    found=$((found + 1))
    head -n 1 report >>done.txt
  else
    { echo "seed $seed:"; cat report; } >>reports
  fi
  seed=$((seed + 1)) left=$((left - 1))
done
ok "$found of $all kinds of damage are found and gone back from" test $found -eq "$all"
sed 's/^/# /' reports
sed 's/^/# found: /' done.txt
done_testing
