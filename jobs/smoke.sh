#!/bin/sh
# smoke.sh - one minute: does wabun train under mpirun on this machine?  See --help.
set -u

usage () {
  cat <<'END'
usage: jobs/smoke.sh [WABUN]

Trains a very small model on 1, 2 and 3 ranks, compares their losses, resumes from a checkpoint, and lets the model write.
WABUN is the program; without it: the variable WABUN, the newest of build*/wabun, build/*/wabun and ./wabun in the source
tree, the wabun that was installed with this script, or that of the PATH.
Prints a line PASS or FAIL for each check; exit code 0 when all passed, 1 when one failed, 2 when there is nothing to run.
END
}

jobs=$(cd -P "$(dirname "$0")" && pwd)
top=${jobs%/*}
wabun=
[ $# -le 1 ] || { usage >&2; exit 2; }
case ${1-${WABUN-}} in
  -h | --help) usage; exit 0 ;;
  '')
    for file in "$top"/wabun "$top"/build*/wabun "$top"/build/*/wabun; do
      if [ -x "$file" ] && { [ -z "$wabun" ] || [ -n "$(find "$file" -newer "$wabun")" ]; }; then wabun=$file; fi
    done
    if [ -z "$wabun" ] && [ ! -e "$top/configure.ac" ] && [ -x "$top/../../bin/wabun" ]; then # an installed place
      wabun=$(cd "$top/../../bin" && pwd)/wabun
    fi
    [ -n "$wabun" ] || wabun=$(command -v wabun) || {
      echo "smoke: no wabun is built; ./jobs/quickstart.sh builds it, or: ./autogen.sh && ./configure && make" >&2
      exit 2
    } ;;
  -*) usage >&2; exit 2 ;;
  *)
    wabun=${1-$WABUN}
    case $wabun in */*) wabun=$(cd "$(dirname "$wabun")" && pwd)/${wabun##*/} ;; *) wabun=$(command -v "$wabun") ;; esac ;;
esac
[ -x "$wabun" ] || { echo "smoke: $wabun is not a program" >&2; exit 2; }
command -v mpirun >/dev/null 2>&1 || { echo "smoke: there is no mpirun here" >&2; exit 2; }
# shellcheck source=jobs/local-mpi.sh
. "$jobs/local-mpi.sh"
OMP_NUM_THREADS=1
export OMP_NUM_THREADS

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cd "$work" || exit 2
echo "smoke: $("$wabun" --version), $wabun"
echo "smoke: $(mpirun --version 2>/dev/null | head -n 1)"

failed=0
pass () { echo "PASS  $*"; }
fail () { # WHAT [LOG]
  echo "FAIL  $1"
  [ $# -lt 2 ] || sed 's/^/      /' "$2" | tail -n 12
  failed=$((failed + 1))
}
check () { # WHAT COMMAND...
  what=$1
  shift
  if "$@" >log 2>&1 </dev/null; then pass "$what"; else fail "$what (exit code $?)" log; fi
}
train () { # RANKS RUN ARGUMENT...
  ranks=$1 run=$2
  shift 2
  timeout 300 mpirun -n "$ranks" "$wabun" train smoke.cfg --set "run=\"$run\"" "$@"
}
# Losses of steps, one a line.
losses () { sed -n 's/.*"step": *\([0-9]*\),.*"loss": *\([0-9.e+-]*\).*/\1 \2/p' "$1/metrics.jsonl"; }
same () { # RUN RUN: every step that the second has, within 1e-5 of the loss
  { losses "$1"; echo end; losses "$2"; } | awk '
    $1 == "end" { second = 1; next }
    !second { loss[$1] = $2; next }
    { n++; d = $2 - loss[$1]; if (d < 0) d = -d; if (!($1 in loss) || d > 1e-5 * $2) { print "step", $1 ": " loss[$1], "and", $2; bad = 1 } }
    END { if (n == 0) print "no steps"; exit bad || n == 0 }'
}

"$wabun" help --man >text.txt # some text that is at hand
cat >smoke.cfg <<'END'
model = { layers = 2; width = 48; heads = 4; context = 64; };
tokenizer = "byte";
data = { train = "tok"; validation = "tok"; };
train = { global_batch = 6; steps = 12; lr = 3e-3; warmup = 3; };
checkpoint = { every = 6; keep = 2; };
validation = { every = 6; samples = 6; };
log = { every = 1; };
END

check "text to tokens" "$wabun" encode --tokenizer byte -o tok text.txt
for ranks in 1 2 3; do
  check "12 steps on $ranks ranks" train $ranks run$ranks
done
falls () { losses run1 | awk 'NR == 1 { first = $2 } { last = $2 } END { print first, last; exit !(NR == 12 && last < 0.9 * first) }'; }
check "the loss falls" falls
for ranks in 2 3; do
  check "the same losses on 1 and $ranks ranks" same run1 run$ranks
done
check "6 steps of 2 ranks, resumed on 3" train 3 resumed --resume run2/step-00000006
check "the same losses, resumed or not" same run2 resumed
writes () {
  "$wabun" generate --model run3/latest --context '和文' --max-length 40 --seed 1 >written && [ -s written ]
}
check "the model writes" writes

if [ $failed -eq 0 ]; then echo "smoke: all passed"; else echo "smoke: $failed failed"; fi
[ $failed -eq 0 ]
