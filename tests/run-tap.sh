#!/bin/sh
# run-tap.sh TEST - runs one test and is the only writer of TAP (automake's LOG_COMPILER).
#
# TEST is a program built from $top_srcdir/TEST.c, or a *.sh script.  The first three lines of its source may hold
#   ranks: 1 2 3 4    run under mpirun, one TAP point for each count; otherwise once, directly
#   timeout: 600      seconds, never less than 300: they are for what hangs, not for what is slow
#   expect: 3         wanted exit code
# Exit code 77 is a skip, 124 a timeout.  A script that prints a TAP plan (1..N) itself is passed through.

test_path=$1
: "${top_srcdir:=.}" "${top_builddir:=.}" "${MPIRUN:=mpirun}"
export top_srcdir top_builddir MPIRUN MPIRUN_FLAGS

case $test_path in
  *.sh) source=$test_path ;;
  *) source=$top_srcdir/${test_path#"$top_builddir"/}.c ;;
esac
case $test_path in /*) ;; *) test_path=./$test_path ;; esac
name=$(basename "$test_path")

head=$(sed -n '1,3p' "$source" 2>/dev/null)
ranks=$(printf '%s\n' "$head" | sed -n 's/.*ranks:\([0-9 ]*\).*/\1/p' | sed 1q)
own_limit=$(printf '%s\n' "$head" | sed -n 's/.*timeout: *\([0-9][0-9]*\).*/\1/p' | sed 1q)
expect=$(printf '%s\n' "$head" | sed -n 's/.*expect: *\([0-9][0-9]*\).*/\1/p' | sed 1q)
limit=${own_limit:-300}
[ "$limit" -ge 300 ] || limit=300
limit=${T_TIMEOUT:-$limit}
expect=${expect:-0}

if [ "$(id -u)" = 0 ]; then # Open MPI refuses root, which is what a container runs as
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
fi
# More ranks than cores: waiting ranks must give their core away.
: "${OMPI_MCA_mpi_yield_when_idle=1}"
export OMPI_MCA_mpi_yield_when_idle

scratch=$PWD/tests/tmp/$name.$$
mkdir -p "$scratch" || exit 99
trap 'rm -rf "$scratch"' EXIT
trap 'exit 99' HUP INT TERM

# run POINT DESCRIPTION COMMAND...: output as TAP comments, then one point.
run () {
  point=$1 what=$2
  shift 2
  T_TMP=$scratch/$point
  export T_TMP
  mkdir -p "$T_TMP"
  start=$(date +%s)
  { timeout -k 5 "$limit" "$@" </dev/null 2>&1; echo $? >"$scratch/code"; } | tee "$scratch/out" | sed 's/^/# /'
  code=$(cat "$scratch/code")
  seconds=$(($(date +%s) - start))
  if [ "$code" -eq "$expect" ]; then
    echo "ok $point - $what, $seconds s"
  elif [ "$code" -eq 77 ]; then
    why=$(sed -n '$p' "$scratch/out" | tr -d '#')
    echo "ok $point - $what # SKIP $why"
  else
    case $code in
      124 | 137) echo "# no end within $limit s" ;;
      *) echo "# exit code $code, expected $expect" ;;
    esac
    echo "not ok $point - $what"
  fi
}

case $test_path in
  *.sh)
    # A script may be its own writer of TAP; which it is, is known only at its end.
    T_TMP=$scratch/1
    export T_TMP
    mkdir -p "$T_TMP"
    timeout -k 5 "$limit" "${SHELL:-/bin/sh}" "$test_path" </dev/null >"$scratch/log" 2>&1
    code=$?
    if grep -q '^1\.\.[0-9]' "$scratch/log"; then
      cat "$scratch/log"
      case $code in 124 | 137) echo "Bail out! no end within $limit s" ;; esac
      exit $code
    fi
    echo 1..1
    # shellcheck disable=SC2016 # expanded by the inner shell
    run 1 "$name" sh -c 'cat "$1"; exit "$2"' sh "$scratch/log" "$code"
    ;;
  *)
    if [ -z "$ranks" ]; then
      echo 1..1
      run 1 "$name" "$test_path"
    else
      # shellcheck disable=SC2086 # a list of words
      set -- $ranks
      echo "1..$#"
      point=0
      for np in "$@"; do
        point=$((point + 1))
        # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
        run $point "$name, ranks $np" $MPIRUN $MPIRUN_FLAGS -np "$np" "$test_path"
      done
    fi
    ;;
esac
# The points tell what failed; a code of its own would count it twice.
exit 0
