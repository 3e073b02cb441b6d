#!/bin/sh
# timeout: 600 - what would make a run fail later is found when it starts: other programs, command lines or token files on
# some ranks, a run in use elsewhere, too little disk, a time limit before the next checkpoint.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare
sed -i "s|^run = .*|run = \"$PWD/run\";|" cfg
host=$(uname -n)
OMPI_MCA_orte_execute_quiet=1
export OMPI_MCA_orte_execute_quiet

errors () { grep '^wabun: ' log | grep -v '^wabun: warning: '; }
# two CODE COMMAND... : COMMAND...: one rank of each
two () {
  want=$1
  shift
  # shellcheck disable=SC2086 # a list of words
  timeout -k 5 240 $MPIRUN ${MPIRUN_FLAGS-} -np 1 "$@" >log 2>&1 </dev/null
  code=$?
  cat log
  [ $code -eq "$want" ] && [ "$(errors | wc -l)" -eq 1 ]
}

# ---- the same on every rank -----------------------------------------------------------------------------------------
version=$("$WABUN" --version | sed 's/wabun //')
other=$(echo "$version" | tr 0-8 1-9)
LC_ALL=C sed "s/$(echo "$version" | sed 's/\./\\./g')/$other/g" "$WABUN" >other-wabun && chmod +x other-wabun
if [ "$(./other-wabun --version)" = "wabun $other" ]; then
  ok "another build on rank 1 is refused" two 2 "$WABUN" train cfg : -np 1 ./other-wabun train cfg
  ok "with both named" sh -c "grep -q '^wabun: .*rank 1: another program runs on $host (wabun $other.* than on rank 0 (wabun $version.*install the same build' log"
else
  ok "another build on rank 1 # SKIP the program cannot be changed here" true
fi
ok "another command line on rank 1 is refused" two 2 "$WABUN" train cfg : -np 1 "$WABUN" train cfg --set train.lr=1
ok "and named" grep -q '^wabun: .*the command line (--set, --resume) differs between ranks 0 and 1' log
mkdir elsewhere && cp tokens.idx tokens.bin elsewhere
printf X | dd of=elsewhere/tokens.bin bs=1 seek=100 conv=notrunc 2>/dev/null
ok "other token files on the second node are refused" two 2 -x WABUN_NODE_RANKS=1 "$WABUN" train cfg \
  : -np 1 -x WABUN_NODE_RANKS=1 sh -c "cd elsewhere && exec '$WABUN' train ../cfg"
ok "and named" grep -q "^wabun: .*rank 1: tokens.* on $host is another file than on the node of rank 0" log
ok "nothing was trained" test ! -e run/metrics.jsonl
ok "Slurm's tasks that are not used are mentioned" sh -c "SLURM_NTASKS=4 '$WABUN' train cfg --set 'run=\"tasks\"' --set train.steps=1 2>&1 </dev/null | grep -q 'warning: Slurm granted 4 tasks, this run has 1 rank:'"

# ---- in use on another host -----------------------------------------------------------------------------------------
# A record of another machine, whose beat goes on while the file `alive` is there.
mkdir run
foreign () { printf 'process 42 on far, machine %016x, since 7, beat %012d\n' 1 "$1" >run/.owner; }
beats () {
  i=0
  while [ -e alive ]; do
    i=$((i + 1))
    foreign $i
    sleep 1
  done
}
: >alive
beats &
within 20 test -s run/.owner
ok "a run that another host writes is refused" ends_with 3 1 run
ok "with its host" grep -q 'run: another run is writing there (process 42 on far)' log
ok "wabun status sees it run" sh -c "'$WABUN' status run | grep -q running"
rm alive
wait
foreign 5
ok "when its beat has stopped, the run is taken over" trained 1 run --set train.steps=2
ok "which is said" grep -q 'was last written by process 42 on far: waiting' log
ok "and the record goes with the run" test ! -e run/.owner
echo "process 999999999 on $host, machine $(printf %016x 1), since 7, beat 1" >run/.owner
"$WABUN" train cfg --set train.steps=1000000 --set checkpoint.every=0 >lost.log 2>&1 </dev/null &
pid=$!
trap 'kill $pid 2>/dev/null' EXIT
within 60 grep -q "process $pid on" run/.owner
foreign 1
wait $pid
ok "a run whose directory is taken ends" test $? -eq 3
trap - EXIT
ok "and says by whom" grep -q '^wabun: .*another run has begun to write there (process 42 on far)' lost.log
rm run/.owner

# ---- time -----------------------------------------------------------------------------------------------------------
late () { WABUN_END_TIME=$1 "$WABUN" train cfg --set "run=\"$2\"" --set train.steps=8 >log 2>&1 </dev/null; }
ok "a run with a time limit" late $(($(date +%s) - 5)) time
ok "that ends before the next checkpoint is warned of" grep -q '^wabun: warning: the job ends in .*the next checkpoint, that of step 8,' log
ok "one with a later limit" late $(($(date +%s) + 3600)) time2
ok "is not" sh -c '! grep -q "the job ends" log'
done_testing
