#!/bin/sh
# forced.sh - tests with a choice forced that wabun makes by itself: make isacheck, make gemmcheck.  See --help.
set -u
case ${1-} in
  -h | --help)
    cat <<'END'
usage: tests/forced.sh LOG "NAME=VALUE..." TEST...

Runs every TEST, in the build folder, once with each of the variables set, and sums up.  All output is in LOG as well.
Exit code: 0 all passed, 1 a point failed or there was none, 2 wrong option.  make isacheck and make gemmcheck call it.
END
    exit 0
    ;;
  -*) echo "forced: unknown option $1; --help says more" >&2; exit 2 ;;
esac
[ $# -ge 3 ] || { echo "forced: wants LOG, variables, tests; --help says more" >&2; exit 2; }
log=$1 choices=$2
shift 2
for choice in $choices; do
  for t in "$@"; do
    echo "# $t, $choice"
    T_ENV=$choice sh "${top_srcdir:=.}/tests/run-tap.sh" "$t"
  done
done | tee "$log"
passed=$(grep -c '^ok' "$log") failed=$(grep -c -E '^(not ok|Bail)' "$log")
echo "# $passed passed, $failed failed"
grep -E '^(not ok|Bail|# .*, WABUN_)' "$log" | grep -B 1 -E '^(not ok|Bail)' # where
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
