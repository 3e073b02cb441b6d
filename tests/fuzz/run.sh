#!/usr/bin/env bash
# run.sh - fuzzes the readers under AddressSanitizer and UndefinedBehaviorSanitizer, with clang's libFuzzer.
#
#   BUILD_DIR=DIR   where to build (default build/fuzz); DIR/corpus/HARNESS keeps what was found between runs,
#                   DIR/findings the inputs that show a fault
#   FUZZ=PROGRAM    run this one; nothing is built
#   JOBS=N          jobs of make (default: the number of cores)
#   RSS_MB=N        memory of a harness (default 1500); a single block may have half of it
#   TIMEOUT=N       seconds for one input (default 10)
#
# Prints a table: seconds of processor time, inputs run, places in the code reached before and after, findings.  Ends
# with 1 when there is a finding.  To see one again: DIR/tests/fuzz/fuzz --harness=HARNESS FINDING, with top_srcdir set
# to the source tree; with -minimize_crash=1 -max_total_time=60 it becomes smaller.  Mended, it is kept in
# tests/fuzz/regressions/HARNESS, which `make check` runs.
#
# usage: tests/fuzz/run.sh MINUTES [HARNESS...]    (minutes are shared among the harnesses; default all)
set -u
case ${1-} in
  '' | -h | --help) sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p}' "$0"; [ -n "${1-}" ]; exit $((2 * $?)) ;;
  *[!0-9.]*) echo "run.sh: $1 is not a number of minutes; tests/fuzz/run.sh --help" >&2; exit 2 ;;
esac
exec </dev/null
export LC_ALL=C.UTF-8
minutes=$1
shift
cd "$(dirname "$0")/../.." || exit 1
export top_srcdir=$PWD
build=${BUILD_DIR:-build/fuzz}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
: "${RSS_MB:=1500}" "${TIMEOUT:=10}"
mkdir -p "$build" && cd "$build" || exit 1
build=$PWD

build_it () {
  # The compiler inside mpicc, of Open MPI and of MPICH; for make as well.
  export OMPI_CC=clang MPICH_CC=clang
  command -v clang >/dev/null || {
    echo "run.sh: clang is not here; Debian and Ubuntu: apt-get install clang libclang-rt-14-dev libomp-dev" >&2
    exit 2
  }
  [ -x "$top_srcdir/configure" ] || (cd "$top_srcdir" && ./autogen.sh) >autogen.out 2>&1 || { cat autogen.out; exit 1; }
  if [ ! -f Makefile ]; then
    "$top_srcdir/configure" --enable-fuzz --enable-asan --enable-ubsan CXX="clang++ -std=c++17" CFLAGS="${CFLAGS--g -O1}" \
      CXXFLAGS="${CXXFLAGS--g -O1} -fno-sanitize=vptr,function" >configure.out 2>&1 ||
      { tail -n 30 configure.out; exit 1; }
  fi
  make -j"$jobs" tests/fuzz/fuzz >make.out 2>&1 || { tail -n 60 make.out; exit 1; }
}
fuzz=${FUZZ-}
[ -n "$fuzz" ] || { build_it; fuzz=$build/tests/fuzz/fuzz; }
known=$("$fuzz" --list)
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $known
for h; do
  printf '%s\n' "$known" | grep -qx -- "$h" || { echo "run.sh: no harness $h; there are" $known >&2; exit 2; }
done

# Inputs are written to files for readers that open them: in memory, where that can be.
for dir in /dev/shm "${TMPDIR:-/tmp}"; do
  TMPDIR=$(mktemp -d "$dir/wabun-fuzz-run-XXXXXX" 2>/dev/null) && break
done
export TMPDIR OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' HUP INT TERM
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export LSAN_OPTIONS=suppressions=$top_srcdir/tests/lsan.supp:print_suppressions=0
seconds=$(awk -v m="$minutes" -v n=$# 'BEGIN { s = int (60 * m / n + 0.5); print (s > 1 ? s : 1) }')
TIMEFORMAT='%U %S'
findings=0
mkdir -p logs findings
printf '%-12s %9s %12s %7s %7s %9s\n' harness 'cpu s' inputs before reached findings
for h; do
  made=$TMPDIR/seeds
  rm -rf "$made" && mkdir -p "corpus/$h" "$made"
  "$fuzz" --harness="$h" --seeds="$made" || exit 1
  set -- "$build/corpus/$h" "$made"
  for dir in "$top_srcdir/tests/fuzz/seeds/$h" "$top_srcdir/tests/fuzz/regressions/$h"; do
    [ -d "$dir" ] && set -- "$@" "$dir"
  done
  [ -f "$top_srcdir/tests/fuzz/words/$h" ] && set -- "$@" "-dict=$top_srcdir/tests/fuzz/words/$h"
  log=logs/$h
  time=$({ time "$fuzz" --harness="$h" -max_total_time="$seconds" -rss_limit_mb="$RSS_MB" -malloc_limit_mb=$((RSS_MB / 2)) \
    -timeout="$TIMEOUT" -max_len=65536 -len_control=50 -print_final_stats=1 -reload=0 \
    -artifact_prefix="$build/findings/$h-" "$@" >"$log" 2>&1; } 2>&1)
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  before=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log" | head -n 1)
  reached=$(sed -n 's/^#.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
  found=$(grep -c 'Test unit written to' "$log")
  grep -q 'stat::number_of_executed_units' "$log" || found=$((found > 0 ? found : 1)) # it ended before its time
  findings=$((findings + found))
  printf '%-12s %9s %12s %7s %7s %9s\n' "$h" "$(echo "$time" | awk '{ printf "%.1f", $1 + $2 }')" "${inputs:-?}" \
    "${before:-?}" "${reached:-?}" "$found"
  [ "$found" -eq 0 ] || grep -E 'ERROR|runtime error|^[^ ]*\.c:[0-9]+: |SUMMARY|Test unit written' "$log" | sed 's/^/  /'
done
echo "$findings findings"
[ $findings -eq 0 ]
