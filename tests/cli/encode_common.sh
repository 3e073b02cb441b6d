# What the tests of encode share; sourced.
# shellcheck shell=sh disable=SC2034 # used by who sources it
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}" "${MPIRUN:=mpirun}"
work=$T_TMP
point=0

"$WABUN" help encode >/dev/null 2>&1 || { echo "1..0 # SKIP this program has no wabun encode"; exit 0; }

verdict () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@"; then
    echo "ok $point - $what"
  else
    sed 's/^/# /' "$work/err"
    echo "not ok $point - $what"
  fi
}
