#!/bin/sh
# timeout: 600 - wabun train: checkpoints in the background, files that ask for one or for the end, how long saves took.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_STEPS=12
export T_STEPS
prepare

# saves RUN: the steps of its records of saves
saves () { sed -n 's/^{"step": \([0-9]*\), .*"save": {"seconds": [0-9.e-]*, "blocked": [0-9.e-]*, "bytes": [0-9]*, "mb_per_s": [0-9.e+-]*}}$/\1/p' "$1/metrics.jsonl" | tr '\n' ' '; }

# ---- the same bytes -------------------------------------------------------------------------------------------------
for n in 1 2 3; do
  ok "in the foreground on $n ranks" trained $n "front$n" --set checkpoint.every=3 --set checkpoint.background=false
  ok "says so" grep -q '^  checkpoint  every 3 steps, [0-9]* KiB; steps wait for it$' log
  ok "in the background" trained $n "back$n" --set checkpoint.every=3 --set checkpoint.background=true
  ok "says so" grep -q '^  checkpoint  every 3 steps, [0-9]* KiB, while steps go on: they wait only for a copy' log
  for step in 03 06 09 12; do
    ok "the same files at step $step" same_files "front$n/step-000000$step" "back$n/step-000000$step"
  done
  ok "a record of each save" test "$(saves "back$n")" = "3 6 9 12 " -a "$(saves "front$n")" = "3 6 9 12 "
  ok "no step twice" once "back$n"
  ok "nothing is left over" clean "back$n"
done
ok "a save at every step" trained 2 each --set checkpoint.every=1 --set checkpoint.keep=2
ok "waits for the one before, and says so once" test "$(grep -c 'is still being written, and is waited for' log)" -le 1
ok "ends where it should" same_files front2/step-00000012 each/latest
ok "keeps what it should" test "$(steps each)" = "11 12"
ok "resumes" trained 3 each --set train.steps=14
ok "auto is the default, and takes the background" grep -q '^  checkpoint  every 10 steps, .* while steps go on' log
ok "no step twice" once each
ok "a word that is none" ends_with 2 1 none --set checkpoint.background=perhaps

# ---- files that ask -------------------------------------------------------------------------------------------------
gone () { [ ! -e "$1" ]; }
for n in 1 2; do
  train $n "asked$n" --set train.steps=1000000 --set checkpoint.every=0 --set train.warmup=5 &
  pid=$!
  ok "a run on $n ranks" within 120 test -s "asked$n/metrics.jsonl"
  touch "asked$n/SAVE"
  ok "SAVE is obeyed and removed" within 120 gone "asked$n/SAVE"
  ok "there is a checkpoint" test -f "asked$n/latest/state.json"
  ok "and one only" test "$(steps "asked$n" | wc -w)" -eq 1
  touch "asked$n/STOP"
  wait $pid
  ok "STOP ends it with 75" test $? -eq 75
  ok "and is removed" gone "asked$n/STOP"
  ok "after a checkpoint" test "$(steps "asked$n" | wc -w)" -eq 2
  ok "the log says who asked" grep -q "^step [0-9]*/1000000  asked$n/STOP asks for it" "asked$n.log"
  last=$(steps "asked$n")
  last=${last#* }
  ok "it goes on" trained $n "asked$n" --set train.steps=$((last + 2)) --set checkpoint.every=0 --set train.warmup=5
  ok "no step twice" once "asked$n"
done

# ---- killed while it saves ------------------------------------------------------------------------------------------
# The record of the save of step 6 stays when the run goes on from there, those after it go.
cp -R back2 cut && rm -r cut/step-00000009 cut/step-00000012 cut/latest
ok "goes on from step 6" trained 2 cut --set checkpoint.every=3
ok "records of saves once each" test "$(saves cut)" = "3 6 9 12 "
ok "the same end" same_files back2/step-00000012 cut/step-00000012
done_testing
