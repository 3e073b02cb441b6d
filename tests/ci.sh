#!/usr/bin/env bash
# ci.sh - the tests in every way of building that wabun promises, one cell after the other.
#
# usage: tests/ci.sh list          the cells, and what each is
#        tests/ci.sh [CELL...]     these, or all; ends with their totals
#
#   BUILD_DIR=DIR        where to build, in a folder for each cell (default build/ci); CELL.log is what a cell printed
#   CELL_FLAGS=...       more flags of configure, for every cell
#   TESTS='NAME...'      only these tests, for instance tests/mpi/test_ring (not for distcheck)
#   JOBS=N, TEST_JOBS=N  as for tests/run.sh, which each cell runs
#
# A cell whose tools are missing is skipped, unless apt-get can install them here.  The exit code is not 0 when a cell
# failed.
set -u

cells () {
  cat <<'CELLS'
gcc        gcc, Open MPI, all libraries: tests/run.sh as it is
clang      clang in place of gcc
debug      --enable-debug: checks on, optimisation off
sanitize   AddressSanitizer, with leaks, and UndefinedBehaviorSanitizer
tsan       ThreadSanitizer over what has threads of its own
mpich      MPICH in place of Open MPI, and its ScaLAPACK
bare       without any of the libraries that are optional
distcheck  make distcheck
CELLS
}

# What has threads of its own: the encoder's team, the ring's thread, signals, the watchdog, checkpoints in the background, the
# loader, generation, the server.
threaded='tests/unit/test_base tests/unit/test_infer tests/unit/test_texts tests/mpi/test_ring tests/mpi/test_checkpoint
  tests/mpi/test_watch tests/cli/encode.sh tests/cli/corpus.sh tests/cli/train.sh tests/cli/train_saving.sh
  tests/cli/train_resume.sh tests/cli/status.sh tests/cli/generate.sh tests/cli/write.sh tests/cli/serve.sh tests/cli/server.sh'

# need COMMAND PACKAGE...: is the command here, or can it be?
need () {
  local command=$1
  shift
  command -v "$command" >/dev/null && return 0
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "ci.sh: installing $*"
    env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >apt.log 2>&1
  fi
  command -v "$command" >/dev/null && return 0
  echo "ci.sh: no $command; Debian and Ubuntu: apt-get install $*"
  return 1
}

# run_cell CELL: in a shell of its own; 77 is a skip.
run_cell () {
  local flags=
  export BUILD_DIR=$build/$1
  case $1 in
    gcc) ;;
    clang | tsan) # inside mpicc, of Open MPI and of MPICH; for make as well
      need clang clang libclang-rt-dev libomp-dev || return 77
      export OMPI_CC=clang MPICH_CC=clang
      # clang++ with the newest libstdc++ that is here; no -fsanitize for C++ libraries' vtables
      export CXX="clang++ -std=c++17" ;;
    debug) flags=--enable-debug ;;
    sanitize) ;;
    mpich)
      need mpicc.mpich mpich libmpich-dev libscalapack-mpich-dev || return 77
      # Ranks of MPICH spin while a communicator is made: with many more than cores, for minutes.
      : "${T_MAX_RANKS:=$(($(nproc) < 4 ? 4 : $(nproc)))}" "${T_TIMEOUT:=1800}"
      export T_MAX_RANKS T_TIMEOUT
      flags=--with-mpicc=mpicc.mpich ;;
    bare) flags="--without-onednn --without-scalapack --without-microhttpd --without-uchardet --without-sentencepiece --without-dygraphs" ;;
    distcheck) ;;
  esac
  case $1 in
    tsan)
      flags=--enable-tsan
      export CFLAGS="${CFLAGS--g -O1}" T_TIMEOUT="${T_TIMEOUT:-1800}" TESTS="${TESTS:-$threaded}" ;;
  esac
  export CONFIGURE_FLAGS="$flags ${CELL_FLAGS-}"
  case $1 in
    sanitize) ./tests/sanitize.sh ;;
    distcheck) ./tests/run.sh --distcheck ;;
    *) ./tests/run.sh ;;
  esac
}

case ${1-} in
  list) cells; exit 0 ;;
  -h | --help) sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p}' "$0"; exit 0 ;;
esac
# shellcheck disable=SC2046 # words
[ $# -gt 0 ] || set -- $(cells | awk '{ print $1 }')
for cell; do
  cells | awk '{ print $1 }' | grep -qx -- "$cell" || { echo "ci.sh: no cell $cell; tests/ci.sh list" >&2; exit 2; }
done
cd "$(dirname "$0")/.." || exit 1
build=${BUILD_DIR:-build/ci}
mkdir -p "$build" || exit 1
: >"$build/totals"
bad=0
for cell; do
  echo "==== $cell: $(cells | sed -n "s/^$cell  *//p")"
  began=$(date +%s)
  (run_cell "$cell") >"$build/$cell.log" 2>&1
  code=$?
  total=$(tail -n 1 "$build/$cell.log")
  [ $code -ne 77 ] || total="skipped: ${total#ci.sh: }"
  if [ $code -ne 0 ] && [ $code -ne 77 ]; then
    bad=1
    grep -E '^not ok|^FAIL|error:|ThreadSanitizer' "$build/$cell.log" | head -n 40
    total="$total; $build/$cell.log"
  fi
  printf '%-10s %5d s  %s\n' "$cell" $(($(date +%s) - began)) "$total" | tee -a "$build/totals"
done
echo
cat "$build/totals"
exit $bad
