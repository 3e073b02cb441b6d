#!/bin/sh
# Run by environment.sh through the harness, from environments that are no good: what a test finds, and a little of what
# the program does.  Writes TAP.
left=$(env | sed -n 's/^\([A-Z_]*\)=.*/\1/p' | grep -e '^OPENBLAS_' -e '^OMP_' -e '^WABUN_' -e '^LC_' -e '^SLURM_' |
  grep -vx -e OPENBLAS_NUM_THREADS -e OMP_NUM_THREADS -e LC_ALL)
outer=$LC_ALL/$LANG/$TZ/$TERM/$OMP_NUM_THREADS/$OPENBLAS_NUM_THREADS/$(umask)
# shellcheck disable=SC3045 # empty where the shell cannot tell
core=$(ulimit -c 2>/dev/null)
stdin=$(readlink /proc/self/fd/0 2>/dev/null || echo /dev/null)
. "${top_srcdir:=.}/tests/cli/train_common.sh"

ok "nothing of the caller's" test "$left" = ""
ok "what tests are promised" test "$outer" = C.UTF-8/C.UTF-8/UTC0/dumb/1/1/0022
ok "no core files" test "${core:-0}" = 0
ok "an empty standard input" test "$stdin" = /dev/null
ok "a home of its own" test -d "$HOME" -a -w "$HOME" -a "$(ls "$HOME")" = ""
case $TMPDIR in *[[:space:]]*) tmp=blanks ;; *) tmp=$(ls -A "$TMPDIR") ;; esac
ok "a directory for temporary files" test "$tmp" = ""

prepare
quiet () { "$@" >out 2>err && ! grep "wabun: " err; }
for np in 1 2; do
  ok "train on $np ranks" trained $np run$np --set train.steps=2 --set train.warmup=1
  ok "without a warning" test "$(grep -c 'wabun: ' log)" -eq 0
done
ok "plan" quiet "$WABUN" plan cfg --ranks 2
bench="--layers 1 --width 32 --heads 2 --context 16 --vocab 257 --threads 1"
# shellcheck disable=SC2086 # a list of words
ok "bench" quiet "$WABUN" bench step $bench --steps 1
ok "generate" quiet "$WABUN" generate --model run1/latest --seed 1 --max-length 4
done_testing
