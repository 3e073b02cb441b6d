#!/usr/bin/env bash
# run.sh - from a fresh clone to test results: installs what is missing, builds with warnings as errors, runs the tests.
# The last line is "N passed, M failed, K skipped"; the exit code is not 0 when anything failed.
#
#   BUILD_DIR=DIR        where to build (default build/tests)
#   CONFIGURE_FLAGS=...  in front of ours
#   JOBS=N               jobs of make (default: the number of cores)
#   TEST_JOBS=N          tests at once (default 2; those that measure time run alone)
#   TESTS='NAME...'      only these, for instance 'tests/mpi/test_ring tests/cli/generate.sh'
#
# tests/ci.sh runs it in other ways of building.
#
# usage: tests/run.sh [--distcheck | --slurm | --web | --help]
#   --distcheck   make distcheck: a tarball that builds and tests itself
#   --slurm   instead of the tests: install Slurm as well, and run jobs/train.sbatch on 4 nodes of it on this machine
#             (tests/slurm/run.sh; as root, ten minutes)
#   --web     instead of the tests: OpenAI's client from npm against wabun serve, its page and one of wabun report in Chromium
#             (tests/web/run.sh; Node 20)
set -u
slurm='' web='' distcheck=''
case ${1-} in
  '') ;;
  --slurm) slurm=yes ;;
  --web) web=yes ;;
  --distcheck) distcheck=yes ;;
  -h | --help) sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p}' "$0"; exit 0 ;;
  *) echo "run.sh: unknown argument $1; tests/run.sh --help" >&2; exit 2 ;;
esac
exec </dev/null # closed, perhaps, which configure does not survive
# What the tools say is read, here and by configure.  (The tests' environment is the affair of run-tap.sh.)
export LC_ALL=C.UTF-8
case ${TMPDIR-} in *[[:space:]]*) unset TMPDIR ;; esac # compilers and autoconf do not always quote it
cd "$(dirname "$0")/.." || exit 1
top=$PWD
build=${BUILD_DIR:-build/tests}
jobs=${JOBS:-$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2)}

fail () {
  echo "run.sh: $1" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

./jobs/install-deps.sh || fail "jobs/install-deps.sh failed"
if [ ! -x configure ] || [ -n "$(find configure.ac Makefile.am m4/wb_*.m4 src tests jobs doc -newer configure \
  \( -name '*.ac' -o -name '*.am' -o -name '*.m4' -o -name 'Makefile.inc' \) -print -quit)" ]; then
  ./autogen.sh >autogen.log 2>&1 || { cat autogen.log; fail "autogen.sh failed"; }
  rm -f autogen.log
fi
mkdir -p "$build" && cd "$build" || fail "cannot make $build"
# shellcheck disable=SC2086 # a list of words
"$top/configure" --enable-werror ${CONFIGURE_FLAGS-} >configure.out 2>&1 || { tail -n 30 configure.out; fail "configure failed"; }
sed -n '/^  wabun /,$p' configure.out
# count WORD FILE: of what automake's harness counted
count () { sed -n "s/^# $1: *//p" "$2" | head -n 1; }
if [ -n "$distcheck" ]; then
  make distcheck >distcheck.out 2>&1 || { grep -E '^(FAIL|ERROR|XPASS):' distcheck.out; tail -n 60 distcheck.out; }
  grep -q 'archives ready for distribution' distcheck.out || fail "make distcheck failed: $build/distcheck.out"
  echo
  echo "$(count PASS distcheck.out) passed, $(count FAIL distcheck.out) failed, $(count SKIP distcheck.out) skipped"
  exit 0
fi
make -j"$jobs" >make.out 2>&1 || { tail -n 60 make.out; fail "make failed"; }
if [ -n "$slurm" ]; then
  if ! command -v slurmctld >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "run.sh: installing Slurm"
    { apt-get update -q && env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
      slurmctld slurmd slurm-client munge iproute2 util-linux procps; } >slurm-install.out 2>&1 ||
      { tail -n 20 slurm-install.out; fail "Slurm cannot be installed"; }
  fi
  WABUN=$PWD/wabun "$top/tests/slurm/run.sh" | tee slurm.out
  code=${PIPESTATUS[0]}
  passed=$(grep -c '^ok' slurm.out) failed=$(grep -c '^not ok' slurm.out)
  echo
  if [ "$code" -eq 77 ]; then echo "skipped: $(tail -n 1 slurm.out)"; echo "0 passed, 0 failed, 1 skipped"; exit 0; fi
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  echo "$passed passed, $failed failed, 0 skipped"
  exit "$code"
fi
if [ -n "$web" ]; then
  if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "run.sh: installing Chromium"
    env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium fonts-noto-cjk >web-install.out 2>&1 ||
      tail -n 3 web-install.out # its part is skipped
  fi
  WABUN=$PWD/wabun "$top/tests/web/run.sh" | tee web.out
  code=${PIPESTATUS[0]}
  passed=$(grep -c '^ok' web.out) failed=$(grep -c '^not ok' web.out)
  echo
  if [ "$code" -eq 77 ]; then echo "skipped: $(tail -n 1 web.out)"; echo "0 passed, 0 failed, 1 skipped"; exit 0; fi
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  echo "$passed passed, $failed failed, 0 skipped"
  exit "$code"
fi
rm -f test-suite.log tests/tsan-report.*
began=$(date +%s)
make -j"${TEST_JOBS:-2}" -k check ${TESTS:+TESTS="$TESTS"}
status=$?
echo
echo "tests: $(($(date +%s) - began)) s; the slowest:"
find tests -name '*.log' -newer make.out -exec awk '/^# [0-9]+ s in all$/ { printf "%5d s  %s\n", $2, substr (FILENAME, 1, length (FILENAME) - 4) }' {} + |
  sort -rn | head -n 10
[ -f test-suite.log ] || fail "make check did not come to its end"
if [ $status -ne 0 ]; then cat test-suite.log; fi

log=test-suite.log
passed=$(($(count PASS $log) + $(count XFAIL $log)))
failed=$(($(count FAIL $log) + $(count XPASS $log) + $(count ERROR $log)))
skipped=$(count SKIP $log)
# ThreadSanitizer writes what it finds to files beside the tests.
for report in tests/tsan-report.*; do
  [ -f "$report" ] || continue
  cat "$report"
  failed=$((failed + 1))
done
if [ $status -ne 0 ] && [ $failed -eq 0 ]; then failed=1; fi
if [ $passed -eq 0 ] && [ $failed -eq 0 ]; then failed=1; fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
