#!/bin/sh
# timeout: 900 - wabun train: the same losses on any number of ranks, resuming bit for bit, checkpoints, signals.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

# ---- the number of ranks --------------------------------------------------------------------------------------------
for n in 1 2 3 4; do start $n "run$n"; done
wait
for n in 1 2 3 4; do
  ok "20 steps on $n ranks" went_well "run$n"
  [ $n -eq 1 ] || ok "$n ranks have the losses of one" near run1 "run$n" 1e-5
done
for n in 1 2 3; do start $n "again$n"; done
wait
for n in 1 2 3; do
  ok "the same bits again on $n ranks" same_files "run$n/step-00000020" "again$n/step-00000020"
done
ok "every step is in metrics.jsonl once" once run3
ok "the loss falls" awk -v a="$(losses run1 | sed -n '1s/.* //p')" -v b="$(losses run1 | sed -n '$s/.* //p')" \
  'BEGIN { print a, b; exit !(b < 0.9 * a) }'
ok "metrics are JSON with a known set of keys" grep -q \
  '^{"step": 20, "tokens": 7680, "loss": .*, "lr": .*, "grad_norm": .*, "tokens_per_s": .*, "mfu": .*, "seconds": {"data": .*, "total": [^}]*}, "ranks": {"compute": \[[^]]*\], "waiting": \[0, [^]]*\], "exposed": [^,]*, "hidden": [^,]*, "slowest": "[01]@[^"]*"}, "memory": [0-9]*}$' \
  run2/metrics.jsonl
ok "validation, bits per byte" trained 2 valid --set 'data.validation="tokens"' --set validation.every=10 --set train.steps=10
ok "are in metrics.jsonl" test "$(grep -c '"val_loss": .*"val_bpb": ' valid/metrics.jsonl)" -eq 2
ok "samples of text" trained 2 sample --set sample.every=4 --set train.steps=8 --set 'sample.context="むかし"' --set sample.length=9
ok "are in samples.txt" test "$(grep -c '^==== step [48]$' sample/samples.txt)" -eq 2
ok "a run is no model, and the message names the one it has" sh -c \
  '! "$1" generate --model sample 2>said && grep -q "model sample: is a run; its newest model is sample/latest" said' sh "$WABUN"
ok "where no rank holds the whole model" trained 2 cut --set sample.every=4 --set train.steps=8 --set parallel.tensor=2
ok "a warning says so" grep -q '^wabun: warning: .*sample.every: no texts are written' log

# ---- resuming -------------------------------------------------------------------------------------------------------
# halved RUN NEW: as if it had been stopped after step 10, and then a little further
halved () {
  cp -R "$1" "$2" && rm -r "$2/step-00000020" "$2/latest" && ln -s step-00000010 "$2/latest"
}
for n in 1 2 3; do
  halved "run$n" "half$n"
  start $n "half$n"
done
halved run1 other
start 3 other
wait
for n in 1 2 3; do
  ok "10 steps and 10 more on $n ranks" went_well "half$n"
  ok "are 20, bit for bit" same_files "run$n/step-00000020" "half$n/step-00000020"
  ok "with the same metrics" near "run$n" "half$n" 0
done
ok "10 steps on 1 rank and 10 more on 3" went_well other
ok "have the losses of one rank" near run1 other 1e-5
for optimizer in adagrad adam sgd muon; do start 2 $optimizer --set "train.optimizer=\"$optimizer\""; done
wait
for optimizer in adagrad adam sgd muon; do
  halved $optimizer "half-$optimizer"
  start 2 "half-$optimizer" --set "train.optimizer=\"$optimizer\""
done
wait
for optimizer in adagrad adam sgd muon; do
  ok "10 and 10 more with $optimizer" went_well "half-$optimizer"
  ok "are 20, bit for bit" same_files $optimizer/step-00000020 "half-$optimizer/step-00000020"
done

# ---- what the updates of Muon look like -----------------------------------------------------------------------------
# orthogonal RUN: its metrics say what the singular values of an update were, the largest near 1
orthogonal () {
  sed -n 's/.*"step": 10, .*"most": \([0-9.e+-]*\), "rms": \([0-9.e+-]*\).*/\1 \2/p' "$1/metrics.jsonl" |
    awk '{ print; if ($1 > 1 && $1 < 1.3 && $2 > 0 && $2 < 0.7) ++good } END { exit good != 1 }'
}
for n in 1 3; do
  ok "muon_check on $n ranks" trained $n "muon$n" --set 'train.optimizer="muon"' --set train.muon_check=5 --set train.steps=10
  ok "is in the log" grep -q '^step 10/10  singular values of an update' log
  ok "and in the metrics" orthogonal "muon$n"
done
ok "whatever the number of ranks" awk 'NR == 1 { a = $2 } END { d = (a - $2) / a; exit NR != 2 || d * d > 1e-6 }' <<EOF
$(orthogonal muon1)
$(orthogonal muon3)
EOF

# ---- the end, and beyond --------------------------------------------------------------------------------------------
ok "a finished run says that it is done" trained 2 run2
ok "in one line" grep -q 'run2 is done: 20 of 20 steps' log
ok "train.steps raised goes on" trained 2 run2 --set train.steps=23
ok "metrics go on as well" once run2
ok "at the right step" test "$(steps run2)" = "10 20 23"
ok "latest is the newest" test "$(readlink run2/latest)" = step-00000023
ok "keep = 2" trained 1 keep --set checkpoint.every=3 --set checkpoint.keep=2
ok "keeps two" test "$(steps keep)" = "18 20"

# ---- --resume -------------------------------------------------------------------------------------------------------
ok "--resume DIR" trained 2 new --resume run1/step-00000010
ok "says so" grep -q "resuming from run1/step-00000010 (step 10)" log
losses run1 | sed 1,10d >want
losses new >got
ok "and goes on with the same losses" awk 'NR == FNR { a[$1] = $2; next } { d = (a[$1] - $2) / $2; if (d * d > 1e-10) exit 1 } END { exit FNR != 10 }' want got
ok "--resume DIR with nothing to do writes the checkpoint" trained 3 copy --resume run1/step-00000020
ok "as it was, from any layout" same_files run1/step-00000020 copy/step-00000020
ok "--resume RUN/latest" trained 1 keep --resume keep/latest
ok "--resume of an older one is refused" ends_with 2 1 run1 --resume run1/step-00000010
ok "and says which is in the way" grep -q 'has a checkpoint of step 20.*move step 11 and later away' log
ok "--resume none is refused where there are checkpoints" ends_with 2 2 run1 --resume none
ok "and says so" grep -q 'run1 already has checkpoints (newest: step 20)' log
ok "nothing was touched" test "$(steps run1)" = "10 20"
ok "--resume none in a new run" trained 1 none --resume none --set train.steps=2
ok "--resume of a directory that is not there" ends_with 3 1 new2 --resume nowhere

# ---- killed ---------------------------------------------------------------------------------------------------------
# A run without end, in the background; $pid is the process that was started.
pid=
trap '[ -z "$pid" ] || kill "$pid"' EXIT
# reached RUN STEP: its newest checkpoint is that of STEP or of a later one (a fast run prunes each within milliseconds).
reached () {
  newest=$(readlink "$1/latest" | sed 's/^step-0*//')
  [ "${newest:-0}" -ge "$2" ]
}
endless () {
  n=$1 dir=$2
  shift 2
  set -- "$WABUN" train cfg --set "run=\"$dir\"" --set train.steps=1000000 --set checkpoint.every=4 \
    --set checkpoint.keep=2 "$@"
  # shellcheck disable=SC2086 # a list of words
  [ "$n" -eq 1 ] || set -- $MPIRUN ${MPIRUN_FLAGS-} -np "$n" "$@"
  if env --default-signal=INT true 2>/dev/null; then set -- env --default-signal=INT "$@"; fi
  "$@" </dev/null >"$dir.log" 2>&1 &
  pid=$!
  within 240 reached "$dir" 8 || echo "# $dir did not get to step 8 within 240 s"
}
finish () { # its exit code
  wait "$pid"
  code=$?
  pid=
  return $code
}
# A few more steps than it has.
goes_on () {
  newest=$(steps "$2" | sed 's/.* //')
  trained "$1" "$2" --set "train.steps=$((newest + 3))" --set checkpoint.keep=2 && grep -q "resuming from $2/step-" log
}

for n in 1 2; do
  endless $n "killed$n"
  # The lock names rank 0, which is killed as the kernel would do it.
  kill -9 "$(sed 's/process \([0-9]*\).*/\1/' "killed$n/.lock")"
  finish
  mkdir -p "killed$n/step-00000099.tmp" "killed$n/.tokenizer"
  echo rubbish >"killed$n/step-00000099.tmp/model.safetensors"
  echo rubbish >"killed$n/config.cfg.tmp-1-0"
  ok "a killed run on $n ranks goes on" goes_on $n "killed$n"
  ok "no step twice" once "killed$n"
  ok "what was half written is gone" clean "killed$n"
done

# ---- one run at a time ----------------------------------------------------------------------------------------------
endless 1 alone
ok "a second run in the same directory is refused" ends_with 3 2 alone --set checkpoint.keep=2
ok "and names the first" grep -q "alone: another run is writing there (process $pid on " log
kill -TERM $pid
finish
ok "while the first goes on to its end" test $? -eq 75

# ---- stopped before the first step ----------------------------------------------------------------------------------
# The configuration is a pipe that nobody writes to, so that the start lasts as long as the test wants.
early () { # SIGNAL N CODE
  rm -f pipe opened
  mkfifo pipe
  (exec sh -c 'exec 3>pipe; : >opened; exec sleep 240') &
  writer=$!
  set -- "$1" "$2" "$3" "$WABUN" train pipe
  signal=$1 n=$2 want=$3
  shift 3
  # shellcheck disable=SC2086 # a list of words
  [ "$n" -eq 1 ] || set -- $MPIRUN ${MPIRUN_FLAGS-} -np "$n" "$@"
  if env --default-signal=INT true 2>/dev/null; then set -- env --default-signal=INT "$@"; fi
  "$@" </dev/null >early.log 2>&1 &
  pid=$!
  within 240 test -e opened || echo "# nobody opened the configuration within 240 s"
  kill -"$signal" $pid
  finish
  code=$?
  kill $writer
  cat early.log
  [ "$code" -eq "$want" ] && [ "$(grep -c '^wabun: .*stopped on request before a first step' early.log)" -eq 1 ]
}
for signal in TERM USR1 INT; do
  if [ $signal = INT ] && ! env --default-signal=INT true 2>/dev/null; then continue; fi
  ok "SIG$signal while it starts ends it at once" early $signal 1 75
done
ok "SIGUSR1 to mpirun while it starts" early USR1 3 75

# ---- stopped --------------------------------------------------------------------------------------------------------
# stopped SIGNAL N CODE: sent to the process that was started
stopped () {
  endless "$2" "stop-$1-$2"
  kill -"$1" $pid
  finish
  code=$?
  [ $code -eq "$3" ] && return
  echo "exit code $code, expected $3"
  return 1
}
for signal in TERM USR1 INT; do
  if [ $signal = INT ] && ! env --default-signal=INT true 2>/dev/null; then continue; fi
  ok "SIG$signal to a single process" stopped $signal 1 75
  ok "a message" grep -q 'wabun: .*stopped on request at step .*run the same command again' stop-$signal-1.log
  ok "that was announced" grep -q '^wabun: asked to stop: this step is finished.*second Ctrl-C ends at once' stop-$signal-1.log
  newest=$(steps stop-$signal-1 | sed 's/.* //')
  ok "the step it stopped at is saved" grep -q "at step $newest of" stop-$signal-1.log
  ok "the next run goes on" goes_on 1 stop-$signal-1
done
ok "SIGUSR1 to mpirun reaches the ranks" stopped USR1 2 75
ok "one message" test "$(grep -c '^wabun: .*stopped on request' stop-USR1-2.log)" -eq 1
ok "the next run goes on" goes_on 2 stop-USR1-2
ok "no step twice" once stop-USR1-2
# mpirun ends the ranks itself on these: it sends them SIGCONT, a second later SIGTERM, another second later SIGKILL, and
# gives an exit code of its own.  Small checkpoints are through before that; in any case the run goes on.
for signal in TERM INT; do
  if [ $signal = INT ] && ! env --default-signal=INT true 2>/dev/null; then continue; fi
  endless 2 "mpirun-$signal"
  kill -$signal $pid
  finish
  ok "SIG$signal to mpirun: the next run goes on" goes_on 2 "mpirun-$signal"
  ok "no step twice" once "mpirun-$signal"
done
openmpi=false
case $($MPIRUN --version 2>&1) in *"Open MPI"*) openmpi=true ;; esac
$openmpi && ok "the report says how short that is" grep -q 'mpirun gives the ranks 2 s to save.*sigkill_timeout=10' mpirun-TERM.log

# Stopped and continued, as a shell does, is no request to stop.
endless 2 paused
kill -TSTP $pid
sleep 1
kill -CONT $pid
newest=$(readlink paused/latest | sed 's/^step-0*//')
ok "stopped and continued, a run goes on" within 240 reached paused $((newest + 40))
ok "without a word" test "$(grep -c 'stopped on request' paused.log)" -eq 0
kill -USR1 $pid
finish

# With the time that README and jobs/ ask for, steps that last longer than that second end in a checkpoint too.
OMPI_MCA_odls_base_sigkill_timeout=10 OMPI_MCA_orte_execute_quiet=1
export OMPI_MCA_odls_base_sigkill_timeout OMPI_MCA_orte_execute_quiet
long_steps () {
  trained 2 speed --set train.steps=2 --set train.warmup=1 --set train.global_batch=600 --set checkpoint.every=0
  sequences=$(sed -n 's/.*"tokens": \([0-9]*\),.*"total": \([0-9.]*\)}.*/\2/p' speed/metrics.jsonl |
    awk '{ t = $1 } END { n = 2 * int (3 * 600 / t / 2); print (n > 600 ? n : 600) }') # about 3 s a step
  # shellcheck disable=SC2086 # a list of words
  $MPIRUN ${MPIRUN_FLAGS-} -np 2 "$WABUN" train cfg --set 'run="long"' --set train.steps=1000 --set train.global_batch="$sequences" \
    --set checkpoint.every=0 </dev/null >long.log 2>&1 &
  pid=$!
  within 240 grep -q "^step 1/" long.log || echo "# no step within 240 s"
  kill -TERM $pid
  # The ranks hear of it at once, not only when mpirun's ten seconds are over.
  within 240 test -e long/latest || echo "# no checkpoint"
  finish
  cat long.log
  newest=$(steps long | sed 's/.* //')
  [ -n "$newest" ] && grep -q "at step $newest of" long.log
}
ok "SIGTERM to mpirun in a long step: its checkpoint" long_steps
says='^wabun: asked to stop: this step.*without one'
$openmpi && says="$says; mpirun returns after 20 s"
ok "which was announced" grep -q "$says" long.log
ok "one message, and none of mpirun's" test "$(grep -c '^wabun: .*stopped on request' long.log) $(grep -c '^mpirun\|^---' long.log)" = "1 0"
ok "no word of a short time" test "$(grep -c 'gives the ranks' long.log)" -eq 0
done_testing
