#!/bin/sh
# timeout: 1200 - what an MPI library may lack: levels of threads, shared memory, a start; on one rank or on all.  Writes TAP.
#
#   tests/fault/mpi.sh           the windows of a run of two ranks fail, call by call, on rank 1
#   tests/fault/mpi.sh --all     on either rank
#
# Run in a build directory after `make check TESTS=`; WABUN_FAULTS names the program with faults on order (faults_mpi.c
# says which calls fail, and how).  What must hold with every MPI library: without a level of threads that wabun needs,
# exit code 2 and one message; without what only makes it faster, one warning and the same results.
all=false
case ${1-} in
  '') ;;
  --all) all=true ;;
  -h | --help) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "mpi.sh: unknown argument $1; mpi.sh --help" >&2; exit 2 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}" "${top_builddir:=.}"
: "${WABUN_FAULTS:=$(cd "$top_builddir" && pwd)/tests/fault/wabun-faults}"
. "$top_srcdir/tests/cli/train_common.sh"
[ -x "$WABUN_FAULTS" ] || { echo "1..0 # SKIP the linker does not replace calls (--wrap)"; exit 0; }
T_STEPS=2 T_LAYERS=1
export T_STEPS T_LAYERS
prepare
sed -i.bak 's/warmup = 5/warmup = 1/' cfg

# faulty RANKS [NAME=VALUE...]: train so in `run`; code, log
faulty () {
  np=$1
  shift
  rm -rf run
  ranks "$np" env "$@" "$WABUN_FAULTS" train cfg >log 2>&1
  code=$?
}
messages () { grep -a '^wabun: ' log | grep -avc '^wabun: warning'; }
warnings () { grep -ac '^wabun: warning' log; }

# refused PATTERN RANKS NAME=VALUE...: exit code 2, one message of that kind, no run
refused () {
  p=$1
  shift
  faulty "$@"
  cat log
  [ $code -eq 2 ] && [ "$(messages)" -eq 1 ] && grep -aq "^wabun: .*$p" log && [ ! -d run ]
}
# goes_on WARNINGS PATTERN RANKS NAME=VALUE...: so many warnings, the last of that kind, and the results of `good`
goes_on () {
  w=$1 p=$2
  shift 2
  faulty "$@"
  kept "$w" "$p"
}
kept () {
  cat log
  [ $code -eq 0 ] && [ "$(messages)" -eq 0 ] && [ "$(warnings)" -eq "$1" ] || return 1
  [ "$1" -eq 0 ] || grep -aq "^wabun: warning: .*$2" log || return 1
  same_files run/step-00000002 good/step-00000002
}

faulty 2 WABUN_FAULT=@9
ok "two ranks without faults" test $code -eq 0 -a "$(warnings)" -eq 0
[ $code -eq 0 ] || cat log
mv run good

# ---- levels of threads ----------------------------------------------------------------------------------------------

single='lets a process have one thread only'
ok "MPI_THREAD_SINGLE on all ranks" refused "$single" 2 WABUN_FAULT_LEVEL=0
ok "MPI_THREAD_SINGLE on rank 1" refused "$single" 2 WABUN_FAULT_LEVEL=0@1
ok "MPI_THREAD_FUNNELED, and more is not needed" goes_on 0 '' 2 WABUN_FAULT_LEVEL=1
for at in '' @0 @1; do
  ok "no thread of messages: MPI_THREAD_SERIALIZED on ${at:-all ranks}" \
    goes_on 1 'WABUN_COMM_THREAD=1: .* MPI_THREAD_MULTIPLE' 2 WABUN_COMM_THREAD=1 WABUN_FAULT_LEVEL=2$at
done

# ---- a start --------------------------------------------------------------------------------------------------------

no_start () {
  faulty 2 "WABUN_FAULT=mpi:1@$1"
  cat log
  [ $code -eq 70 ] && [ "$(grep -a '^wabun: ' log | grep -acv 'stopped by the launcher')" -eq 1 ] &&
    grep -aq "^wabun: rank $1 on .*: MPI does not start: MPI_Init_thread failed" log
}
# Hydra, of MPICH, waits for ever when a process ends that never spoke to it.
openmpi=false
case $($MPIRUN --version 2>&1) in *"Open MPI"*) openmpi=true ;; esac
if $openmpi; then
  ok "MPI_Init_thread fails on rank 0" no_start 0
  ok "MPI_Init_thread fails on rank 1" no_start 1
fi

# ---- shared memory --------------------------------------------------------------------------------------------------

# windows RANK: each call after the start fails in its turn
windows () {
  rm -f calls
  faulty 2 "WABUN_FAULT=@$1" WABUN_FAULT_LOG="$PWD/calls"
  n=$(grep -c '^mpi ' calls)
  ok "rank $1 makes windows" test "$n" -gt 4
  awk '$1 == "mpi" && $2 > 1 { print $2, $4 }' calls >names
  while read -r number call; do
    ok "call $number of rank $1, $call, fails" goes_on 1 "share no memory (rank $1: $call failed: " 2 "WABUN_FAULT=mpi:$number@$1"
  done <names
}
windows 1
$all && windows 0
for at in @0 @1; do
  ok "no window at all on rank ${at#@}" goes_on 1 "share no memory (rank ${at#@}: " 2 "WABUN_FAULT=mpi:2+$at"
done

if $openmpi; then ok "Open MPI without its part for windows" goes_on 1 'share no memory (rank 0: MPI_Win_allocate_shared failed: ' 2 OMPI_MCA_osc=^sm; fi

# A /dev/shm that is too small: MPI is not even asked.  (Open MPI then sends its own messages another way.)
cat >small <<'END'
mount -t tmpfs -o size=64k wabun /dev/shm && exec "$@"
END
no_space () {
  rm -rf run
  ranks 2 unshare -m sh ./small "$WABUN_FAULTS" train cfg >log 2>&1
  code=$?
  kept 1 'share no memory (rank 0: /dev/shm has no'
}
if $openmpi && unshare -m sh ./small true 2>/dev/null; then ok "a /dev/shm that is too small" no_space; fi
done_testing
