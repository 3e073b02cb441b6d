#!/bin/sh
# timeout: 600 - ranks that hang: stopped, in a file system that does not answer, killed: who is named, and the run ends
# with 76 within the limit.  Writes TAP.
# shellcheck disable=SC2010,SC2013,SC2046,SC2086 # lists of words, names without spaces
. "${top_srcdir:=.}/tests/cli/train_common.sh"
: "${top_builddir:=.}"
prepare
warn=2 limit=5
OMPI_MCA_orte_execute_quiet=1
export OMPI_MCA_orte_execute_quiet

trap '[ -z "$pid" ] || kill -KILL $all $pid 2>/dev/null' EXIT
pid='' all=''
# endless N RUN ARGUMENT...: a run without end in the background: $pid; the processes of its ranks, in order: $all
endless () {
  n=$1 dir=$2
  shift 2
  set -- "$WABUN" train cfg --set "run=\"$dir\"" --set train.steps=1000000 --set checkpoint.every=0 --set log.every=100 \
    --set watchdog.warn=$warn --set watchdog.limit=$limit --set watchdog.other=60 "$@"
  # shellcheck disable=SC2086 # a list of words
  [ "$n" -eq 1 ] || set -- $MPIRUN ${MPIRUN_FLAGS-} -np "$n" "$@"
  "$@" </dev/null >"$dir.log" 2>&1 &
  pid=$!
  within 240 grep -q '"step": 100,' "$dir/metrics.jsonl" || { cat "$dir.log"; echo "# $dir: no step 100"; }
  # The children of rank 0's parent, in the order of their ranks.
  zero=$(sed 's/process \([0-9]*\).*/\1/' "$dir/.lock")
  parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$zero/stat")
  all=$(for p in $(cat "/proc/$parent/task/$parent/children"); do
    tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | sed -n "s/^\(OMPI_COMM_WORLD\|PMI\)_RANK=\([0-9]*\)/\2 $p/p"
  done | sort -n | cut -d ' ' -f 2 | tr '\n' ' ')
}
nth () { echo "$all" | cut -d ' ' -f $(($1 + 1)); } # the process of a rank
hits () { start=$(date +%s); }
# ended RUN CODE SECONDS: it ends with this code within so many seconds after hits ()
ended () {
  wait "$pid"
  code=$?
  pid=
  took=$(($(date +%s) - start))
  cat "$1.log"
  echo "exit code $code after $took s"
  [ $code -eq "$2" ] && [ $took -le "$3" ]
}
errors () { grep '^wabun: ' "$1" | grep -v '^wabun: warning: ' | grep -v '^wabun: progress again'; }
slack=20 # a launcher's own time, and other programs on the same cores

host=$(uname -n)
# ---- stopped --------------------------------------------------------------------------------------------------------
endless 2 stop
hits
kill -STOP "$(nth 1)"
ok "a rank under SIGSTOP is named" within $((warn + slack)) \
  grep -q "^wabun: warning: step [0-9]*: no progress for [0-9.]* s: rank 1 on $host is stopped" stop.log
kill -CONT "$(nth 1)"
ok "and that it goes on" within $slack grep -q '^wabun: progress again after' stop.log
ok "the run has not ended" kill -0 "$pid"
hits
kill -STOP "$(nth 1)"
ok "stopped again, for longer: the run ends with 76" ended stop 76 $((limit + slack))
ok "one message, with its name" test "$(errors stop.log | grep -c "no progress.*rank 1 on $host is stopped.*run the same command again")" -eq 1
ok "and no other" test "$(errors stop.log | wc -l)" -eq 1
ok "history.jsonl has it" grep -q '"event":"end".*"code":76,.*rank 1 on' stop/history.jsonl
ok "wabun status tells" sh -c "'$WABUN' status stop | grep -q 'no progress'"
none_left () { for p in $all; do grep '^State:[[:space:]]*[^Z]' "/proc/$p/status" 2>/dev/null && return 1; done; true; }
ok "nothing is left of it" within $slack none_left

# Rank 0, which speaks for all others.
endless 3 first
hits
kill -STOP "$(nth 0)"
ok "rank 0 under SIGSTOP: ends with 76" ended first 76 $((limit + slack))
ok "another rank names it" test "$(errors first.log | grep -c "no progress.*rank 0 on $host is stopped")" -eq 1
ok "once" test "$(errors first.log | wc -l)" -eq 1
ok "and records it in its place" test "$(grep -c '"event":"end".*"code":76,.*rank 0 on' first/history.jsonl)" -eq 1

# ---- a file system that does not answer -----------------------------------------------------------------------------
if [ -s "$top_builddir/tests/fault/stuck.so" ]; then
  LD_PRELOAD=$top_builddir/tests/fault/stuck.so STUCK_PATH=tokens.bin STUCK_WHEN=$PWD/dead STUCK_RANK=1
  export LD_PRELOAD STUCK_PATH STUCK_WHEN STUCK_RANK
  endless 2 read
  hits
  : >dead
  ok "a read that never returns: ends with 76" ended read 76 $((limit + slack))
  ok "rank and what it does are named" test "$(errors read.log | grep -c "rank 1 on $host does not finish: step [0-9]*, reading samples")" -eq 1
  rm dead
  unset STUCK_RANK
  STUCK_PATH=model.safetensors
  : >dead
  hits
  train 1 write --set train.steps=2 --set watchdog.warn=1 --set watchdog.limit=1 --set watchdog.other=4
  ok "a write that never returns: ends with 76" test "$code" -eq 76
  ok "in the save of the step" test "$(errors log | grep -c 'save of step 2: no progress for')" -eq 1
  ok "and does so in time" test $(($(date +%s) - start)) -le $((limit + slack))
  rm dead
  unset LD_PRELOAD STUCK_PATH STUCK_WHEN
  ok "the run goes on from there" trained 1 write --set train.steps=2
else
  ok "a read that never returns # SKIP no shared objects here" true
fi

# ---- killed ---------------------------------------------------------------------------------------------------------
# mpirun ends the others by SIGTERM, which is no request.
OMPI_MCA_odls_base_sigkill_timeout=10
export OMPI_MCA_odls_base_sigkill_timeout
endless 2 killed
hits
victim=$(nth 1)
kill -KILL "$victim"
ended killed 0 100 >killed.end
ok "a rank that is killed: who is gone is said" grep -q "^wabun: rank 1 on $host (process $victim) is gone" killed.log
ok "and no request is claimed" sh -c '! grep -q "on request" killed.log'

# ---- off ------------------------------------------------------------------------------------------------------------
endless 2 off --set watchdog.enabled=false
kill -STOP "$(nth 1)"
sleep $((warn + 2))
kill -CONT "$(nth 1)"
ok "watchdog.enabled = false: nothing is said" sh -c '! grep -q "no progress" off.log'
kill -USR1 "$pid"
hits
ok "and the run can be stopped as ever" ended off 75 60
done_testing
