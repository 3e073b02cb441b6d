#!/bin/sh
# installcheck.sh WABUN - does the installed program work?  Help, text to tokens, two steps of training, generated text,
# without mpirun and with two ranks if there is an mpirun; in a folder of its own below $PWD.  For `make installcheck`.
set -u
case ${1-} in -h | --help) echo "usage: tests/installcheck.sh WABUN"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
if [ $# -ne 1 ] || ! [ -x "$1" ]; then echo "usage: tests/installcheck.sh WABUN" >&2; exit 2; fi
wabun=$1
work=$(mktemp -d "$PWD/installcheck-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cd "$work" || exit 2
# Open MPI: as root (in a container), and more ranks than cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMP_NUM_THREADS=1

failed=0
check () { # WHAT COMMAND...
  what=$1
  shift
  if "$@" >log 2>&1 </dev/null; then
    echo "PASS  $what"
  else
    echo "FAIL  $what (exit code $?)"
    sed 's/^/      /' log | tail -n 12
    failed=$((failed + 1))
  fi
}
version () { "$wabun" --version | grep '^wabun [0-9]'; }
help () { "$wabun" help | grep '^  train ' && "$wabun" help train | grep train.steps; }
writes () { "$wabun" generate --model "$1/latest" --context '和文' --max-length 20 --seed 1 >written && [ -s written ]; }

cat >check.cfg <<'CFG'
model = { layers = 1; width = 32; heads = 2; context = 32; };
tokenizer = "byte";
data = { train = "tok"; validation = "tok"; };
train = { global_batch = 2; steps = 2; lr = 1e-3; };
validation = { every = 2; samples = 2; };
CFG
"$wabun" help --man >text.txt
check "version" version
check "help" help
check "text to tokens" "$wabun" encode --tokenizer byte -o tok text.txt
check "2 steps of training" "$wabun" train check.cfg --set 'run="one"'
check "generated text" writes one
mpirun=${MPIRUN:-mpirun}
if command -v "$mpirun" >/dev/null 2>&1; then
  # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
  check "2 steps of training on 2 ranks" timeout 300 "$mpirun" ${MPIRUN_FLAGS-} -n 2 "$wabun" train check.cfg --set 'run="two"'
  check "generated text" writes two
else
  echo "SKIP  ranks: there is no $mpirun"
fi
[ $failed -eq 0 ] || { echo "installcheck: $failed failed"; exit 1; }
echo "installcheck: $wabun works"
