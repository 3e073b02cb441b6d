#!/bin/sh
# timeout: 600 - wabun status: a run that is killed, stopped, goes on, fails, ends; and while it runs.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

status () { # CODE ARGUMENT...
  want=$1
  shift
  # as on a login node: no launcher, and MPI would not start
  OMPI_MCA_btl=none OMPI_MCA_pml=none "$WABUN" status "$@" >out 2>err
  got=$?
  cat out err
  [ $got -eq "$want" ]
}
field () { sed -n "s/^$1  *//p" out; }
says () { # FIELD PATTERN
  field "$1" | grep -q -e "$2" && return
  cat out
  return 1
}
at_step () { [ "$(losses "$1" 2>/dev/null | wc -l)" -ge "$2" ]; }
# killed RUN STEP: SIGKILL once it has logged so many steps and saved; state and time are looked at before
killed () {
  dir=$1
  "$WABUN" train cfg --set "run=\"$dir\"" --set train.steps=100000 --set checkpoint.every=4 >"$dir.log" 2>&1 </dev/null &
  pid=$!
  within 100 at_step "$dir" "$2"
  within 100 test -e "$dir/latest/checksums.json" # it is written beside the steps
  status 0 "$dir" >/dev/null
  cp out running
  kill -9 $pid
  wait $pid 2>/dev/null
}

WABUN_END_TIME=$(($(date +%s) + 7200))
export WABUN_END_TIME
killed a 6
unset WABUN_END_TIME
cp running out
ok "the end of its job" says 'job ends' '^[0-9-]* [0-9:]*$'
ok "while it runs" says state '^running$'
ok "step" says step '^[0-9]* of 100000 ([0-9.]* %)$'
ok "loss" says loss '^[0-9.]*$'
ok "speed" says speed '^[0-9.e+]* tokens/s; last record .* ago$'
ok "checkpoint" says checkpoint '^step [0-9]*, all files'
ok "one start" test "$(grep -c '^start ' out)" -eq 1 -a "$(grep -c 'on .*; goes on$' out)" -eq 1

ok "killed" status 0 a
ok "has failed" says state '^failed: its end was not recorded: it was killed'
killed a $(($(losses a | tail -n 1 | cut -d ' ' -f 1) + 4))
cp running out
ok "it goes on" says state '^running$'
ok "the first start with its reason" test "$(grep -c '^start 1 .*step 0, 1 rank on .*; killed, or its node lost' out)" -eq 1
killed a $(($(losses a | tail -n 1 | cut -d ' ' -f 1) + 4))
ok "killed three times" status 0 a
ok "three starts" test "$(grep -c '^start [12] .*killed, or its node lost' out)" -eq 2 -a "$(grep -c '^start 3 .*; no end is recorded$' out)" -eq 1
ok "two restarts" says restarts '^2$'
ok "as JSON" status 0 a --json
cat >json.pl <<'EOF'
local $/;
$_ = <>;
exit !(/"state": "failed"/ && /"steps": 100000/ && /"restarts": 2/ && /"skipped_steps": 0/ && /"spikes": 0/ && /"rollbacks": \[\]/ && /"loss": [\d.]+,/ && /"checkpoint": \d+/ && 3 == (() = /"event": "start"/g) && /\A\{.*\}\n\z/s);
EOF
ok "one object" perl json.pl out

"$WABUN" train cfg --set 'run="a"' --set train.steps=100000 >log 2>&1 </dev/null &
pid=$!
last=$(losses a | tail -n 1 | cut -d ' ' -f 1)
within 100 grep -q "step $((last + 3))/" log
kill -TERM $pid
wait $pid
ok "stopped" test $? -eq 75
status 0 a >/dev/null
ok "is stopped" says state '^stopped: stopped on request at step'
ok "time left" says 'time left' 'once it goes on, saves and validations counted$'
ok "once" test "$(grep -c 'stopped on request' out)" -eq 1
ok "the fourth start" test "$(grep -c '^start 4 .*; ended with 75 at step [0-9]*$' out)" -eq 1

ok "on two ranks to its end" trained 2 b --set 'data.validation="tokens"' --set validation.every=9
ok "a finished run" status 0 b
ok "is finished" says state '^finished$'
ok "at its last step" says step '^20 of 20 (100.0 %)$'
ok "on two ranks" test "$(grep -c '^start 1 .*step 0, 2 ranks on .*; ended with 0 at step 20: done$' out)" -eq 1
ok "no error" test ! -s err
ok "a validation and its step" says loss '^[0-9.]*, validation [0-9.]* at step 20$'
head -c -1 b/metrics.jsonl >m && sed '/"step": 20,.*"val_loss"/d' m >b/metrics.jsonl
status 0 b --json >/dev/null
ok "of an older step" grep -q '"val_step": 18' out
ok "numbers that go bad" ends_with 6 1 c --set train.lr=1e30 --set train.clip=0 --set train.weight_decay=0 --set train.warmup=0
status 0 c >/dev/null
ok "have failed" says state '^failed: .*numbers went bad'

# ---- job scripts: their lines in the history, and whether another start is worth it
ok "stopped: another start is worth it" status 75 a --again
ok "says from where" grep -q "a: to be started again from step [0-9]*: stopped on request" err
ok "finished: it is not" status 0 b --again
ok "bad numbers: it is not" status 6 c --again
ok "its run directory" sh -c '[ "$("$1" train cfg --set "run=\"x y\"" --dry-run --resume none)" = "x y" ]' sh "$WABUN"
ok "nothing is made there" test ! -e "x y"
ok "a wrong key" sh -c '"$1" train cfg --set trian.steps=1 --dry-run 2>err; [ $? -eq 2 ]' sh "$WABUN"

event () { printf '{"event":"%s","time":%s,"job":"7"%s}\n' "$1" "$(date +%s)" "${2-}" >>j/history.jsonl; }
mkdir j
event job ',"restart":0'
status 0 j >/dev/null
ok "a job whose ranks are not there yet" says state '^starting$'
event "job end" ',"code":127'
ok "the launcher failed" status 75 j --again
event "job requeued"
status 0 j >/dev/null
ok "back into the queue" says state '^queued: the launcher did not get as far as a run$'
ok "with the launcher's code" grep -q '^start 1 .*, job 7; no end is recorded (its launcher ended with 127); back into the queue$' out
export SLURM_JOB_ID=7 SLURM_RESTART_COUNT=1
event job ',"restart":1'
ok "data that are missing" ends_with 3 1 j --set 'data.train="nowhere"'
ok "are recorded, in the job's own start" sh -c '"$1" status j >out; grep -q "^state .*nowhere" out && grep "^start 2 .*, job 7, restart 1; ended with 3$" out' sh "$WABUN"
ok "the one before with its reason" grep -q '^start 1 .*, job 7; the launcher did not .* (its launcher ended with 127); back into the queue$' out
ok "at the first start a wrong name" status 3 j --again
ok "the job goes on" ends_with 0 1 j --set train.steps=5
SLURM_RESTART_COUNT=2
ok "and further" trained 1 j --set train.steps=6 --set checkpoint.every=2
ok "is done" status 0 j --again
for turn in 3 4 5; do
  event job ",\"restart\":$turn"
  [ $turn -lt 5 ] && ok "start $turn that dies" status 75 j --again
done
ok "three starts without a newer checkpoint" status 7 j --again
mkdir k && sed 's/"code":0/"code":75/' j/history.jsonl | sed '/"restart":[3-5]/d' >k/history.jsonl && cp -R j/step-* k
for turn in 0 1 2; do # killed after a checkpoint, then starts that never run
  printf '{"event":"job","time":1,"job":"8"}\n' >>k/history.jsonl
  [ $turn -gt 0 ] || printf '{"event":"start","time":1,"job":"8","process":1}\n{"event":"began","job":"8","step":0}\n' >>k/history.jsonl
  ok "killed, then $turn that never run" status 75 k --again
done
printf '{"event":"job","time":1,"job":"8"}\n' >>k/history.jsonl
ok "killed, then three" status 7 k --again
status 7 j --again >/dev/null
ok "says so" grep -q 'j: the last 3 starts left no newer checkpoint (the newest is of step 6), so it is not started again' err
SLURM_RESTART_COUNT=6
ok "a newer checkpoint" trained 1 j --set train.steps=8
rm -f j/step-00000008/state.json
ok "that is lost" status 0 j --again
unset SLURM_JOB_ID SLURM_RESTART_COUNT

"$WABUN" train cfg --set 'run="early"' >log 2>&1 </dev/null & # a signal before the first step ends it at once
pid=$!
within 100 test -s early/history.jsonl
kill -TERM $pid
wait $pid
code=$?
status 0 early >/dev/null
ok "a signal at the start" sh -c '[ $1 -eq 75 ] && grep -q "^state  *stopped: stopped on request" out' sh $code

rm -f b/step-00000020/state.json
mv b/step-00000010 b/step-00000010.damaged
status 0 b >/dev/null
ok "no whole checkpoint" says checkpoint '^none$'
ok "one set aside" says damaged '^1 checkpoint set aside$'

mkdir empty
ok "no run" status 2 empty
ok "a checkpoint" status 2 a/latest
ok "no such directory" status 3 nowhere
done_testing
