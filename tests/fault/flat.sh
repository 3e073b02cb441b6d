#!/bin/sh
# flat.sh [STEPS [RANKS]] - memory and descriptors of a long run that saves in the background, validates and writes texts.
#
# Trains a tiny model for STEPS (10,000) steps on RANKS (1) ranks; every save, validation and text comes hundreds of
# times.  Prints resident memory and open descriptors of rank 0 as it goes; exit code 1 when, in the second half, memory
# has grown by more than 2 % or descriptors at all.  Not part of make check: it takes minutes.  WABUN names the program.
# shellcheck disable=SC2010,SC2013,SC2046,SC2086 # lists of words, names without spaces
case ${1-} in
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}" "${WABUN:=./wabun}"
T_STEPS=${1:-10000}
export T_STEPS
. "$top_srcdir/tests/cli/train_common.sh"
prepare
n=${2:-1}
train "$n" run --set checkpoint.every=50 --set checkpoint.keep=3 --set checkpoint.archive=2500 --set checkpoint.background=true \
  --set 'data.validation="tokens"' --set validation.every=50 --set validation.samples=8 --set sample.every=50 \
  --set sample.length=20 --set log.every=50 --set train.global_batch=4 --set train.sequence_length=16 &
waiting=$!
within 120 test -s run/.lock || { cat run.log; exit 1; }
pid=$(sed -n 's/^process \([0-9]*\) .*/\1/p' run/.lock)
: >samples.txt
while kill -0 "$pid" 2>/dev/null; do
  step=$(sed -n 's/^{"step": \([0-9]*\),.*"loss".*/\1/p' run/metrics.jsonl 2>/dev/null | tail -n 1)
  rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
  # what is open but the files of a save, which come and go
  files=$(ls -l "/proc/$pid/fd" 2>/dev/null | grep -c -v 'step-[0-9]*\.tmp\|^total')
  [ -n "$rss" ] && [ -n "$step" ] && echo "$step $rss $files" >>samples.txt
  sleep "${FLAT_SECONDS:-2}"
done
wait $waiting || { tail -n 5 run.log; exit 1; }
awk -v all="$T_STEPS" '
  $1 - last >= all / 10 { print "step " $1 ": " $2 " KiB, " $3 " descriptors"; last = $1 }
  $1 >= all / 2 && !from { from = $2; files = $3 }
  { end = $2; open = $3; if (from && $3 > most) most = $3 }
  END {
    printf "second half: %d to %d KiB (%+.2f %%), %d descriptors, at most %d\n", from, end, 100 * (end - from) / from, files, most
    exit !(from && end <= 1.02 * from && open <= files)
  }' samples.txt
