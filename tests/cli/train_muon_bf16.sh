#!/bin/sh
# timeout: 900 - wabun train: Muon with products in bf16 learns the same on any number of ranks, whole and on grids, and
# resumes bit for bit.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

muon='--set train.optimizer="muon" --set train.precision="bf16-anywhere"'
# on N RUN [OPTION...]: in the background
on () {
  np=$1 name=$2
  shift 2
  # shellcheck disable=SC2086 # a list of words
  start "$np" "$name" $muon "$@"
}
scalapack=$(grep -c '^#define HAVE_SCALAPACK' "${top_builddir:-.}/config.h")

# ---- the number of ranks: losses apart by values that are rounded the other way --------------------------------------
start 1 fp32 --set 'train.optimizer="muon"'
for n in 1 2 4; do on $n run$n; done
on 2 again
wait
for n in 1 2 4; do
  ok "20 steps on $n ranks" went_well run$n
  [ $n -eq 1 ] || ok "$n ranks have the losses of one" near run1 run$n 1e-3
done
ok "it learns what fp32 does" near fp32 run1 2e-3
ok "and not by the same numbers" sh -c '! cmp -s fp32/step-00000020/model.safetensors run1/step-00000020/model.safetensors'
ok "the same bits again on 2 ranks" same_files run2/step-00000020 again/step-00000020
for run in run1 run2; do
  ok "$run says how it multiplies" grep -q '^  muon .*; products in bf16' $run.log
done
ok "in fp32 nothing is said of it" sh -c '! grep "^  muon " fp32.log | grep bf16'

# ---- forms that several ranks share ----------------------------------------------------------------------------------
if [ "$scalapack" -gt 0 ]; then
  on 2 grid --set 'train.muon_layout="grid"'
  on 4 tensor --set parallel.tensor=2 --set 'train.muon_layout="whole"'
  wait
  for run in grid tensor; do
    ok "$run" went_well $run
    ok "$run has the losses of one rank" near run1 $run 1e-3
    ok "$run says that ScaLAPACK multiplies fp32" grep -q \
      '^  muon .*; operands rounded to bf16, products in fp32 (ScaLAPACK)$' $run.log
  done
fi

# ---- resuming --------------------------------------------------------------------------------------------------------
cp -R run2 half && rm -r half/step-00000020 half/latest && ln -s step-00000010 half/latest
cp -R half other
cp -R half full
on 2 half
on 1 other
start 2 full --set 'train.optimizer="muon"'
wait
ok "10 steps and 10 more on 2 ranks" went_well half
ok "are 20, bit for bit" same_files run2/step-00000020 half/step-00000020
ok "10 steps on 2 ranks and 10 more on 1" went_well other
ok "have nearly the losses of 2" near run2 other 1e-3
ok "10 in bf16 and 10 more in fp32" went_well full
ok "is told" grep -q 'train.precision = "bf16", now it is "fp32"' full.log
done_testing
