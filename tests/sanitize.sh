#!/usr/bin/env bash
# sanitize.sh - the tests under AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer, in a build of its own.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD_DIR:=build/sanitize}"
# Slower by a factor: more time for each test.
: "${T_TIMEOUT:=1800}"
CONFIGURE_FLAGS="--enable-asan --enable-ubsan ${CONFIGURE_FLAGS-}"
CFLAGS=${CFLAGS--g -O1}
export BUILD_DIR T_TIMEOUT CONFIGURE_FLAGS CFLAGS
exec ./tests/run.sh
