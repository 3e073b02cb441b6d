#!/bin/sh
# timeout: 600 - wabun train: spikes, and going back to a checkpoint.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_STEPS=20
export T_STEPS
prepare
# In order, with noise in the windows of steps 13 and 14: 12 sequences of 32 bytes are a step.
corpus 60 >usual
# random bytes as text
noise () { awk -v n="$1" 'BEGIN { srand (7); for (i = 0; i < n; i++) printf "%c", 33 + int (rand () * 94) }'; }
{ head -c $((12 * 384)) usual | iconv -c -f UTF-8 -t UTF-8; noise 700; printf '\n'; cat usual; } >text
"$WABUN" encode --tokenizer byte -o tokens text >/dev/null 2>&1 || exit 99
# A resumed run does not need the same number of steps: the rate is constant.
{ echo 'run = "run";'; config | sed 's/warmup = 5;/warmup = 5; decay = "constant"; spike_window = 8; spike_z = 1.0;/
  s/data = {/data = { shuffle = false;/'; } >cfg
warned () { grep -c "^wabun: warning: step $1/20: $2" log; }

# ---- spikes ---------------------------------------------------------------------------------------------------------
ok "a spike is reported" trained 1 seen
ok "once, with its windows" test "$(warned 13 'spike: loss [0-9.]* ([0-9.]* standard deviations above [0-9.]*), gradient norm [0-9.]*: done all the same; highest loss in windows 1[45][0-9] (document 0 at [0-9]*)')" -eq 1
ok "nothing else is" test "$(grep -c 'warning: step' log)" -eq 1
ok "in metrics.jsonl" test "$(grep -c '^{"step": 13, .*"health": {"event": "spike", "skipped": 0, .*"windows": ".* of tokens, ..."}}' seen/metrics.jsonl)" -eq 1
ok "no step is left out there" test "$(losses seen | wc -l)" -eq 20
ok "in history.jsonl with all windows" test "$(grep '"event":"spike"' seen/history.jsonl | grep -o '"window":' | wc -l)" -eq 12
ok "not where it is not wanted" trained 1 unseen --set train.spike_z=0
ok "nothing is said" test "$(grep -c 'warning: step' log)" -eq 0
ok "and nothing changes" cmp seen/latest/model.safetensors unseen/latest/model.safetensors
for n in 1 2; do start $n "skip$n" --set train.spike_skip=true; done
wait
for n in 1 2; do
  ok "spikes are skipped on $n ranks" went_well "skip$n"
  cp "skip$n.log" log
  ok "each is said" test "$(warned '1[34]' 'spike: .*: skipped; highest loss')" -eq 2
  ok "and is no step of training" test "$(losses "skip$n" | wc -l)" -eq 18
done
"$WABUN" status skip2 >status.txt
ok "wabun status counts them" test "$(grep -c -e '^skipped  *2 (last: step 14)$' -e '^spikes  *2 (last: step 14)$' -e '^rollbacks  *0$' status.txt)" -eq 3
ok "the weights are not those with the noise" sh -c '! cmp -s seen/latest/model.safetensors skip1/latest/model.safetensors'
for at in 7 13; do # before the window is full; between two spikes
  trained 2 "half$at" --set train.spike_skip=true --set train.steps=$at >/dev/null
  ok "interrupted at step $at" trained 2 "half$at" --set train.spike_skip=true
  ok "it decides as it would have: the same bits" same_but_steps skip2/step-00000020 "half$at/step-00000020"
done

# ---- a loss that has risen --------------------------------------------------------------------------------------------
ok "a risen loss is bad" trained 2 rise --set train.loss_rise=0.5 --set train.spike_z=0
ok "as NaN is" test "$(warned '1[34]' 'loss [0-9.]* (its lowest mean was [0-9.]*), gradient norm [0-9.]*: skipped; highest loss')" -eq 2
ok "but not too often" ends_with 6 2 risen --set train.loss_rise=0.5 --set train.bad_steps=1
ok "which is said" grep -q "^wabun: .*step 14: loss .*the numbers went bad, in more than train.bad_steps in a row" log

# ---- back to a checkpoint -------------------------------------------------------------------------------------------
# As above two steps of noise, of which the second is one too many.
bad="--set train.loss_rise=0.5 --set train.bad_steps=1 --set checkpoint.every=5"
# rollbacks RUN: "step to count [first,last]" of each
rollbacks () { sed -n 's/.*"event":"rollback",.*"step":\([0-9]*\),"to":\([0-9]*\),"count":\([0-9]*\),.*"left_out":\(\[[0-9,]*\]\).*/\1 \2 \3 \4/p' "$1/history.jsonl"; }
for n in 1 2; do
  # shellcheck disable=SC2086 # a list of words
  ok "going back on $n ranks" trained $n "back$n" $bad --set train.rollback=2
  ok "is said" test "$(grep -c '^wabun: warning: step 14: loss .*: going back to a checkpoint (1 of train.rollback = 2); the batches of steps 12 to 14 are left out' log)" -eq 1
  ok "with the steps" grep -q '^steps 12 to 14 are left out' log
  ok "in history.jsonl" test "$(rollbacks "back$n")" = "14 10 1 [12,14]"
  ok "metrics.jsonl goes on from there" test "$(losses "back$n" | tail -7 | cut -d ' ' -f 1 | tr '\n' ' ')" = "11 15 16 17 18 19 20 "
  ok "and so do checkpoints" test "$(steps "back$n")" = "5 10 15 20"
done
"$WABUN" status back2 >status.txt
ok "wabun status tells of it" grep -q '^rollbacks  *1 (last: from step 14 to 10: step 14: loss .*went bad' status.txt
# Killed before it went back, and after: what is there then is step 10, as it was first and as it is after.
trained 2 before --set train.steps=10 --set checkpoint.every=5 >/dev/null
cp -R back2 after && rm -r after/step-0000001[5] after/step-00000020
for run in before after; do
  # shellcheck disable=SC2086 # a list of words
  ok "killed $run it" trained 2 $run $bad --set train.rollback=2
  ok "it comes to the same bits" same_files back2/step-00000020 $run/step-00000020
done
ok "without doing it again" test "$(rollbacks after)" = "$(rollbacks back2)"
# An update that spoils the weights, which are saved.
trained 1 spoilt --set train.steps=8 --set checkpoint.every=4 >/dev/null
trained 1 spoilt --set train.steps=9 --set train.lr=3 --set train.clip=0.0 >/dev/null
ok "a poisoned checkpoint without train.rollback" ends_with 6 1 spoilt --set train.loss_rise=1 --set train.bad_steps=1
ok "with it" trained 1 spoilt --set train.loss_rise=1 --set train.bad_steps=1 --set train.rollback=1
ok "is set aside" test -d spoilt/step-00000009.damaged
ok "the one before it is taken, without the step that spoilt it" test "$(rollbacks spoilt)" = "11 8 1 [9,11]"
ok "latest is the last" test "$(readlink spoilt/latest)" = step-00000020
# What does not get better.
ok "in vain" ends_with 6 2 before --set train.steps=40 --set train.lr=1e30 --set train.min_lr=1e30 --set train.clip=0.0 --set train.rollback=3
ok "it goes back as often as it may, over restarts" test "$(rollbacks before | sed 's/ \[.*//' | tail -2 | tr '\n' ';')" = "25 20 2;30 20 3;"
ok "and says so" grep -q 'all of train.rollback = 3 have been used up' log
ok "no checkpoint to go back to" ends_with 6 1 none --set train.lr=1e30 --set train.clip=0.0 --set train.rollback=3
ok "is said" grep -q 'there is no checkpoint for train.rollback' log
done_testing
