#!/bin/sh
# timeout: 600 - a save onto a disk that is too small: one message, the old checkpoint untouched, no rubbish.
# The disk is a tmpfs of 1 MiB in a mount namespace of its own; where that is not allowed the test is skipped.
: "${top_builddir:=.}" "${T_TMP:=/tmp}" "${MPIRUN:=mpirun}"
program=$top_builddir/tests/mpi/test_checkpoint
disk=$T_TMP/disk

if [ "${1-}" != inside ]; then
  [ -x "$program" ] || { echo "$program is not built"; exit 77; }
  mkdir -p "$disk" || exit 99
  for flags in -m -rm; do
    # shellcheck disable=SC2016 # expanded by the inner shell
    if unshare $flags sh -c 'mount -t tmpfs -o size=1m wabun "$1"' sh "$disk" 2>/dev/null; then
      exec unshare $flags "${SHELL:-/bin/sh}" "$0" inside
    fi
  done
  echo "may not mount a small disk here"
  exit 77
fi

OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM T_TMP
bad=0
for ranks in 1 3; do
  mount -t tmpfs -o size=1m wabun "$disk" || exit 99
  # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
  timeout -k 5 240 $MPIRUN ${MPIRUN_FLAGS-} -np $ranks "$program" --full "$disk" </dev/null || bad=1
  left=$(cd "$disk" && find . ! -name step-00000010 ! -path './step-00000010/*' ! -name .)
  if [ -n "$left" ]; then
    echo "left over: $left"
    bad=1
  fi
  umount "$disk" || bad=1
done
exit $bad
