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
done_testing
