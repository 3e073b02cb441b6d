#!/bin/sh
# run-tap.sh TEST - runs one test and is the only writer of TAP (automake's LOG_COMPILER).
#
# TEST is a program built from $top_srcdir/TEST.c, or a *.sh script.  The first three lines of its source may hold
#   ranks: 1 2 3 4    run under mpirun, one TAP point for each count; otherwise once, directly
#   timeout: 600      seconds, never less than 300: they are for what hangs, not for what is slow
#   expect: 3         wanted exit code
#   alone: why        no other test runs beside it (of several at once, make -jN check), for instance as it measures time
# Exit code 77 is a skip, 124 a timeout.  A script that prints a TAP plan (1..N) itself is passed through.
#
# The last line is "# N s in all": tests/run.sh lists the slowest.
#
# A test gets an environment that is the same everywhere, whatever the caller has: made here, and nowhere else.
#   T_TIMEOUT=N          seconds for each point, whatever the test says
#   T_MAX_RANKS=N        points with more ranks are skipped
#   T_ENV='NAME=VALUE...'  words that are set for the tests after all else was taken away, for instance WABUN_ISA=avx2
#   MPIRUN, MPIRUN_FLAGS   how ranks are started
# PATH, LD_LIBRARY_PATH and the sanitizers' options are left alone.

exec </dev/null # closed, perhaps: then the next file opened would become the standard input
LC_ALL=C
export LC_ALL
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
  case $name in
    WABUN | T_TIMEOUT | T_MAX_RANKS | T_ENV | T_LOCKED | LC_ALL) ;;
    WABUN_* | T_* | LC_* | LANG | LANGUAGE) unset "$name" ;;
    OMP_* | GOMP_* | KMP_* | OPENBLAS_* | GOTO_* | MKL_* | DNNL_* | ONEDNN_*) unset "$name" ;;
    OMPI_* | PMIX_* | PRTE_* | PMI_* | MPICH_* | MPIR_* | HYDRA_* | UCX_* | MV2_* | SLURM_*) unset "$name" ;;
    ENV | BASH_ENV | CDPATH | GREP_OPTIONS | GREP_COLOR | GREP_COLORS | POSIXLY_CORRECT | TMP | TEMP) unset "$name" ;;
  esac
done
umask 022
# shellcheck disable=SC3045 # where a shell has no such option, limits stay
ulimit -c 0 2>/dev/null
# shellcheck disable=SC3045
ulimit -S -s 8192 2>/dev/null # a lower limit that cannot be raised stays

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
alone=$(printf '%s\n' "$head" | grep -c 'alone: ')
expect=$(printf '%s\n' "$head" | sed -n 's/.*expect: *\([0-9][0-9]*\).*/\1/p' | sed 1q)
limit=${own_limit:-300}
[ "$limit" -ge 300 ] || limit=300
limit=${T_TIMEOUT:-$limit}
expect=${expect:-0}

# Tests share a lock; one that runs alone has it for itself.  A test that runs others (T_LOCKED) has it already, and what
# a test leaves running (9>&-) does not keep it.
mkdir -p "$PWD/tests/tmp" || exit 99
if [ -z "${T_LOCKED-}" ] && command -v flock >/dev/null 2>&1; then
  exec 9>"$PWD/tests/tmp/.lock"
  if [ "$alone" -gt 0 ]; then flock -x 9; else flock -s 9; fi
  T_LOCKED=yes
  export T_LOCKED
fi
began=$(date +%s)
in_all () { echo "# $(($(date +%s) - began)) s in all"; }

scratch=$PWD/tests/tmp/$name.$$
tmp=
trap 'rm -rf "$scratch" ${tmp:+"$tmp"}' EXIT
trap 'exit 99' HUP INT TERM
mkdir -p "$scratch/home" || exit 99
# A short name: Open MPI makes sockets below it.  One for each test: of several mpiruns at once, one that ends removes
# the common directory while another makes its own in it.
for dir in /tmp /var/tmp "$scratch"; do
  tmp=$(mktemp -d "$dir/wabun-XXXXXX" 2>/dev/null) && break
done

LANG=C.UTF-8 LC_ALL=C.UTF-8 TZ=UTC0 TERM=dumb SHELL=/bin/sh HOME=$scratch/home TMPDIR=$tmp
export LANG LC_ALL TZ TERM SHELL HOME TMPDIR
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export OMP_NUM_THREADS OPENBLAS_NUM_THREADS
# Open MPI refuses root, which is what a container runs as.  More ranks than cores: waiting ranks must give their core
# away.
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_mpi_yield_when_idle
for word in ${T_ENV-}; do
  # shellcheck disable=SC2163 # the word is an assignment
  export "$word"
done

# run POINT DESCRIPTION COMMAND...: output as TAP comments, then one point.
run () {
  point=$1 what=$2
  shift 2
  T_TMP=$scratch/$point
  export T_TMP
  mkdir -p "$T_TMP"
  start=$(date +%s)
  { timeout -k 5 "$limit" "$@" </dev/null 2>&1 9>&-; echo $? >"$scratch/code"; } | tee "$scratch/out" | sed 's/^/# /'
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
    timeout -k 5 "$limit" /bin/sh "$test_path" </dev/null >"$scratch/log" 2>&1 9>&-
    code=$?
    if grep -q '^1\.\.[0-9]' "$scratch/log"; then
      cat "$scratch/log"
      in_all
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
        if [ "$np" -gt "${T_MAX_RANKS:-$np}" ]; then
          echo "ok $point - $name, ranks $np # SKIP more ranks than T_MAX_RANKS"
          continue
        fi
        # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
        run $point "$name, ranks $np" $MPIRUN $MPIRUN_FLAGS -np "$np" "$test_path"
      done
    fi
    ;;
esac
in_all
# The points tell what failed; a code of its own would count it twice.
exit 0
