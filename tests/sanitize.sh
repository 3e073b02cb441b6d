#!/usr/bin/env bash
# sanitize.sh - the tests under AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer, in a build of its own.
#
#   BUILD_DIR=DIR        where to build (default build/sanitize)
#   CONFIGURE_FLAGS=...  after ours; CFLAGS=... instead of -g -O1
#   JOBS=N, TEST_JOBS=N  as for tests/run.sh
#
# usage: tests/sanitize.sh [--help]
set -u
case ${1-} in
  '') ;;
  -h | --help) sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p}' "$0"; exit 0 ;;
  *) echo "sanitize.sh: unknown argument $1; tests/sanitize.sh --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.." || exit 1
: "${BUILD_DIR:=build/sanitize}"
# Slower by a factor: more time for each test.
: "${T_TIMEOUT:=1800}"
CONFIGURE_FLAGS="--enable-asan --enable-ubsan ${CONFIGURE_FLAGS-}"
CFLAGS=${CFLAGS--g -O1}
export BUILD_DIR T_TIMEOUT CONFIGURE_FLAGS CFLAGS
exec ./tests/run.sh
