#!/bin/sh
# timeout: 900 - wabun train: what one layout of ranks saved, any other goes on from, and saves as it was.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_LAYERS=4
prepare

# grid DATA PIPELINE TENSOR: the options for it
grid () { echo "--set parallel.data=$1 --set parallel.pipeline=$2 --set parallel.tensor=$3"; }

# shellcheck disable=SC2046 # lists of words
ok "2 x 2 x 2" trained 8 first $(grid 2 2 2)
step=first/step-00000010
losses first | sed 1,10d >want

# on_grid DATA PIPELINE TENSOR [ARGUMENT...]
on_grid () {
  name=$1x$2x$3 n=$(($1 * $2 * $3)) options=$(grid "$1" "$2" "$3")
  shift 3
  # shellcheck disable=SC2086 # lists of words
  ok "on $name goes on from it${*:+ ($2)}" trained $n "on-$name" --resume $step $options "$@"
  losses "on-$name" >got
  # shellcheck disable=SC2016
  ok "the loss is that of the run that was not interrupted" awk '
    NR == FNR { want[$1] = $2; next }
    { d = (want[$1] - $2) / want[$1]; if (d < 0) d = -d; if (d > most) most = d }
    END { printf "largest relative difference %.2g over %d steps\n", most, FNR; exit !(FNR == 10 && most <= 1e-5) }' want got
  # shellcheck disable=SC2086
  ok "re-saved at once" trained $n "copy-$name" --resume $step --set train.steps=10 $options "$@"
  ok "it is the same bytes" same_but_steps $step "copy-$name/step-00000010"
}
on_grid 1 1 1
on_grid 4 1 1
on_grid 1 4 1
on_grid 1 1 4
on_grid 3 2 1
on_grid 5 1 1 # 12 sequences: some have a sequence more
on_grid 2 1 2 --set parallel.zero=0
on_grid 1 2 2 --set parallel.sequence_parallel=true
on_grid 1 2 1 --set parallel.interleave=2

# Muon: momentum of matrices that one rank had whole, or several in slabs, on any other layout.
# muon_on FORM DATA PIPELINE TENSOR
muon="--set train.optimizer=\"muon\""
# shellcheck disable=SC2046,SC2086 # lists of words
ok "muon on 2 x 2 x 1" trained 4 muon $muon $(grid 2 2 1)
mstep=muon/step-00000010
losses muon | sed 1,10d >want
muon_on () {
  name=muon-$1-$2x$3x$4 n=$(($2 * $3 * $4)) options="$muon --set train.muon_layout=\"$1\" $(grid "$2" "$3" "$4")"
  # shellcheck disable=SC2086
  ok "$name goes on from it" trained $n "$name" --resume $mstep $options
  losses "$name" >got
  # shellcheck disable=SC2016
  ok "the loss is that of the run that was not interrupted" awk '
    NR == FNR { want[$1] = $2; next }
    { d = (want[$1] - $2) / want[$1]; if (d < 0) d = -d; if (d > most) most = d }
    END { printf "largest relative difference %.2g over %d steps\n", most, FNR; exit !(FNR == 10 && most <= 1e-5) }' want got
  # shellcheck disable=SC2086
  ok "re-saved at once" trained $n "copy-$name" --resume $mstep --set train.steps=10 $options
  ok "it is the same bytes" same_but_steps $mstep "copy-$name/step-00000010"
}
muon_on whole 1 1 1
muon_on whole 3 1 1
if grep -q '^#define HAVE_SCALAPACK' "${top_builddir:-.}/config.h"; then
  muon_on grid 3 1 1
  muon_on auto 1 1 2
  muon_on grid 2 1 2
fi

# All the way: every layout after the other, each from the last one's checkpoint.
trained 1 chain --set train.steps=2 --set train.decay='"constant"' >/dev/null
trained 1 whole --set train.steps=8 --set train.decay='"constant"' >/dev/null
to=2
for layout in "1 2 2" "3 1 1" "2 1 2"; do
  to=$((to + 2))
  # shellcheck disable=SC2046,SC2086 # lists of words
  trained $(echo $layout | awk '{ print $1 * $2 * $3 }') chain $(grid $layout) --set train.steps=$to \
    --set train.decay='"constant"' >/dev/null
done
ok "one layout after the other" near whole chain 1e-5
done_testing
