#!/bin/sh
# timeout: 600 - a disk that fills up during a save: one message, nothing lost, and the run goes on later.  Writes TAP.
# The disk is a tmpfs of 1 MiB in a mount namespace of its own; where that is not allowed the test is skipped.
if [ "${1-}" != inside ]; then
  : "${T_TMP:=$(mktemp -d)}"
  export T_TMP
  mkdir -p "$T_TMP/disk" || exit 99
  for flags in -m -rm; do
    # shellcheck disable=SC2016 # expanded by the inner shell
    if unshare $flags sh -c 'mount -t tmpfs -o size=1m wabun "$1"' sh "$T_TMP/disk" 2>/dev/null; then
      exec unshare $flags "${SHELL:-/bin/sh}" "$0" inside
    fi
  done
  echo "1..0 # SKIP may not mount a small disk here"
  exit 0
fi
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

# A checkpoint takes about 430 KB: the first two fit, the third does not.
for n in 1 2 3; do
  mount -t tmpfs -o size=1m wabun disk || exit 99
  head -c 20000 text >disk/ballast
  ok "the disk is full at step 15 on $n ranks" ends_with 3 $n disk/run --set checkpoint.every=5 --set checkpoint.failures=0
  ok "one message" test "$(grep -c '^wabun: .*disk/run/step-00000015.*No space left' log)" -eq 1
  ok "and no other" test "$(grep '^wabun: ' log | grep -v 'warning: .*metrics.jsonl' | grep -c -e '^wabun: [^w]' -e 'No space left')" -eq 1
  ok "nothing half written is left" clean disk/run
  ok "the checkpoints before it are there" test "$(steps disk/run)" = "5 10"
  ok "the last one is the latest" test "$(readlink disk/run/latest)" = step-00000010
  ok "and writes" "$WABUN" generate --model disk/run/latest --seed 1 --max-length 5
  rm -r disk/run/step-00000005 disk/ballast
  ok "with space again the run goes on" trained $n disk/run --set checkpoint.every=0
  ok "to its end" test "$(steps disk/run)" = "10 20"
  ok "no step twice" once disk/run
  umount disk || exit 99
done

# A save may fail now and then, but not the last one.
mount -t tmpfs -o size=1m wabun disk || exit 99
head -c 20000 text >disk/ballast
ok "the disk is full at steps 15 and 20" ends_with 3 2 disk/run --set checkpoint.every=5
ok "a warning for the first" test "$(grep -c '^wabun: warning: step 15/20: no checkpoint: .*No space left.*next one' log)" -eq 1
ok "an error for the last" test "$(grep -c '^wabun: .*disk/run/step-00000020.*No space left' log)" -eq 1
ok "the ones before are there" test "$(steps disk/run)" = "5 10"
umount disk || exit 99

# Full for a while, with no checkpoint due: metrics.jsonl lacks the lines of that time, and nothing else happens.
whole () { # every line is an object, steps rise, and some are missing
  grep -v '"save"' disk/run/metrics.jsonl | awk '!/^\{"step": [0-9]+, .*\}$/ { print NR ": " $0; bad = 1 }
    { step = $2 + 0; if (step <= last) { print "step " step " after " last; bad = 1 } gap = gap || (NR > 2 && step > last + 20); last = step }
    END { exit bad || !gap }'
}
mount -t tmpfs -o size=2m wabun disk || exit 99
"$WABUN" train cfg --set 'run="disk/run"' --set train.steps=1000000 --set checkpoint.every=0 --set log.every=20 >while.log 2>&1 </dev/null &
pid=$!
trap 'kill $pid 2>/dev/null' EXIT
ok "a run with metrics" within 240 test -s disk/run/metrics.jsonl
head -c 3000000 /dev/zero >disk/ballast 2>/dev/null
ok "warns when the disk is full" within 240 grep -q '^wabun: warning: disk/run/metrics.jsonl: cannot write: No space left' while.log
rm disk/ballast
ok "says when it can write again" within 240 grep -q '^disk/run/metrics.jsonl can be written again' while.log
size=$(wc -c <disk/run/metrics.jsonl)
longer () { [ "$(wc -c <disk/run/metrics.jsonl)" -gt "$size" ]; }
ok "goes on writing" within 240 longer
kill -TERM $pid
wait $pid
ok "and ends as it should" test $? -eq 75
ok "one warning" test "$(grep -c '^wabun: warning: .*metrics.jsonl' while.log)" -eq 1
ok "metrics.jsonl has whole lines" whole
trap - EXIT
umount disk || exit 99

# Full from the start: metrics and configuration cannot be written either.
mount -t tmpfs -o size=1m wabun disk || exit 99
head -c 2000000 /dev/zero >disk/ballast 2>/dev/null
ok "no space at all" ends_with 3 2 disk/run
ok "one message" test "$(grep -c '^wabun: .*No space left' log)" -eq 1
umount disk || exit 99
done_testing
