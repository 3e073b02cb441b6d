# shellcheck shell=sh
# Sourced by generate.sh, score.sh and transform.sh: a tiny model, and checks that write TAP.
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${top_builddir:=.}" "${T_TMP:=$(mktemp -d)}"
WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8
export WABUN_NO_RETUNE OMP_NUM_THREADS LC_ALL
make_model=$top_builddir/tests/cli/make_model
model=$T_TMP/model
point=0
"$make_model" "$model" && "$make_model" --bare "$T_TMP/bare" || exit 99

ok () { # WHAT COMMAND...: a point of TAP
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$T_TMP/ok" 2>&1; then
    echo "ok $point - $what"
  else
    sed 's/^/# /' "$T_TMP/ok"
    echo "not ok $point - $what"
  fi
}

# fails WHAT CODE PATTERN ARGUMENT...: exit code, nothing on stdout, PATTERN on the one line of error
fails () {
  what=$1 code=$2 pattern=$3
  shift 3
  "$WABUN" "$@" >"$T_TMP/out" 2>"$T_TMP/err" </dev/null
  got=$?
  sed 's/^/# /' "$T_TMP/err"
  ok "$what" test "$got" -eq "$code" -a ! -s "$T_TMP/out" -a "$(grep -c -e "$pattern" "$T_TMP/err")" -eq 1
}

done_testing () { echo "1..$point"; }
