#!/bin/bash
# run.sh - jobs/train.sbatch on a real Slurm of 4 nodes, all on this machine: srun and mpirun, a time limit, scancel, a
# node that crashes, a slurmd that dies, starts that get no further.  Writes TAP; each point has its seconds.
#
# usage: tests/slurm/run.sh [CASE]...    as root; tests/run.sh --slurm installs Slurm, builds, and runs it
#   WABUN=build/wabun    the program
#   KEEP=1               leave the directory of the test
#
# Cases: limit scancel killed crash slurmd loop sweep (default: all of these); page, which runs the ten lines of
# doc/cluster.md as they are there, with a tarball of this tree and a build of its own (environment-modules or Lmod).  About fifteen minutes in all; exit code 77: not possible here, and why.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
case ${1-} in
  -h | --help) sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
  -*) echo "run.sh: unknown option $1; usage: tests/slurm/run.sh [CASE]..." >&2; exit 2 ;;
esac
# shellcheck source=tests/slurm/cluster.sh
. "$top/tests/slurm/cluster.sh"

if [ "${WABUN_SLURM_INSIDE-}" != 1 ]; then
  cluster_possible || exit 77
  export WABUN_SLURM_INSIDE=1
  exec unshare --pid --mount --net --uts --fork --kill-child=KILL --mount-proc "$0" "$@"
fi

wabun=${WABUN:-$top/build/wabun}
case $wabun in /*) ;; *) wabun=$PWD/$wabun ;; esac
[ -x "$wabun" ] || { echo "$wabun is not built"; exit 1; }
for name in $(env | sed -n 's/^\(SLURM_[A-Z_]*\|OMPI_[A-Za-z_]*\|SBATCH_[A-Z_]*\|OPENBLAS_[A-Z]*\)=.*/\1/p'); do unset "$name"; done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export WABUN=$wabun WABUN_NO_RETUNE=1 LC_ALL=C.UTF-8
T=$(mktemp -d /tmp/wabun-slurm-XXXXXX) || exit 1
chmod 755 "$T" # munge wants its socket to be reached
C=$T/cluster
[ "${KEEP-}" = 1 ] || trap 'rm -rf "$T"' EXIT
mkdir "$T/work" && cd "$T/work" || exit 1

point=0 failed=0 began=$(date +%s)
ok () { # WHAT COMMAND...
  local what=$1 now
  shift
  point=$((point + 1))
  if "$@" >"$T/said" 2>&1; then
    now=$(date +%s)
    echo "ok $point - $what ($((now - began)) s)"
  else
    now=$(date +%s)
    sed 's/^/# /' "$T/said"
    echo "not ok $point - $what ($((now - began)) s)"
    failed=$((failed + 1))
  fi
}

trap 'exit 130' INT TERM # the first process of a space has no default for them

# ---- a tiny run ----------------------------------------------------------------------------------------------------------

for i in $(seq 60); do echo "むかしむかし、ある村の$i 番目の家におじいさんが住んでいました。"; done >text
"$wabun" encode --tokenizer byte -o tokens text 2>/dev/null || exit 1
cat >cfg <<'CFG'
run = "run";
seed = 3;
tokenizer = "byte";
model = { layers = 2; width = 64; heads = 4; context = 32; };
data = { train = "tokens"; };
train = { global_batch = 12; steps = 20; lr = 3e-3; warmup = 5; };
checkpoint = { every = 50; keep = 3; };
log = { every = 1; };
CFG

submit () { # NAME STEPS OPTION-OF-SBATCH... -- ARGUMENT...: sets job
  local name=$1 steps=$2 options=()
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  job=$(sbatch --parsable --nodes=4 --ntasks-per-node=1 --cpus-per-task=1 --output="$name.out" "${options[@]}" \
    "$top/jobs/train.sbatch" cfg --set "run=$name" --set "train.steps=$steps" "$@")
}
field () { scontrol -o show job "$job" | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1; }
state () { field JobState; }
over () { case $(state) in PENDING | RUNNING | COMPLETING | CONFIGURING | REQUEUED | RESIZING | SUSPENDED) return 1 ;; esac; }
ended () { # SECONDS STATE: the job comes to its end, with this state
  wait_for "$1" over
  [ "$(state)" = "$2" ] && return
  echo "job $job: $(state), reason $(field Reason), exit $(field ExitCode)"
  tail -n 15 "$(field StdOut)"
  cluster_log
  return 1
}
losses () { sed -n 's/^{"step": \([0-9]*\),.*"loss": \([^,}]*\).*/\1 \2/p' "$1/metrics.jsonl"; }
step () { losses "$1" 2>/dev/null | tail -n 1 | cut -d ' ' -f 1; }
at_step () { [ "$(step "$1")" -ge "$2" ]; }
once () { losses "$1" | awk -v n="$2" '$1 != NR { print "step " $1 " in line " NR; exit 1 } END { if (NR != n) { print NR " steps"; exit 1 } }'; }
same () { cmp "$1/latest/model.safetensors" "$2/latest/model.safetensors" && cmp "$1/latest/optimizer.safetensors" "$2/latest/optimizer.safetensors"; }
pending () { [ "$(state)" = PENDING ]; }
smaller () { # the job waits for the node that is gone: it may do with 3
  wait_for 120 pending
  scontrol update JobId="$job" NumNodes=3 NumTasks=3 NumCPUs=3-3
}
# near WHOLE RUN: the step after the last resume has the same loss to rounding, which hundreds of steps make larger: the
# last one to 5 %
near () {
  local first
  first=$(sed -n 's/^{"event":"began".*"step":\([0-9]*\).*/\1/p' "$2/history.jsonl" | tail -n 1)
  paste -d ' ' <(losses "$1") <(losses "$2") | awk -v at=$((first + 1)) '
    { d = ($2 - $4) / $2; if (d < 0) d = -d }
    $1 == at { print $0, d; resumed = d }
    { last = d }
    END { print $0, last; exit !(resumed < 1e-3 && last < 0.05) }'
}
restarts () { # RUN N: so many starts are recorded, and the status says so
  "$wabun" status "$1" >status.txt
  cat status.txt
  [ "$(grep -c '^start ' status.txt)" -eq "$2" ]
}
says () { grep -q -e "$2" "$1" && return; cat "$1"; return 1; }
show () { echo "# ---- wabun status $1: $2"; "$wabun" status "$1" 2>&1 | sed 's/^/# /'; }
new_case () { began=$(date +%s); echo "# $1"; }
wanted () { [ -z "$cases" ] || case " $cases " in *" $1 "*) ;; *) return 1 ;; esac; }
cases="$*"

ok "a Slurm of 4 nodes" cluster_up 4 1
[ $failed = 0 ] || { cluster_log; echo "1..$point"; exit 1; }

new_case "launchers"
for launch in srun mpirun; do
  began=$(date +%s)
  LAUNCH=$launch submit $launch 20
  ok "$launch: 20 steps on 4 nodes" ended 180 COMPLETED
  ok "$launch: its last step" once $launch 20
done
ok "the same bits" same srun mpirun
# Steps that take more than a minute: what the others are compared with.
began=$(date +%s)
submit rate 100
ok "100 steps" ended 300 COMPLETED
seconds=$(sed -n 's/.*done: 100 steps in \([0-9.]*\) s.*/\1/p' rate.out | head -n 1)
steps=$(awk -v s="${seconds:-10}" 'BEGIN { n = int (80 * 100 / s / 50) * 50; if (n < 100) n = 100; if (n > 3000) n = 3000; print n }')
echo "# 100 steps in ${seconds:-more than 60} s: runs of $steps steps"
began=$(date +%s)
submit whole "$steps"
ok "a run that nothing disturbs" ended 600 COMPLETED

if wanted limit; then
  for launch in srun mpirun; do
    new_case "a time limit of 2 minutes, a signal 60 s before it (Slurm may be 60 s early); $launch"
    LAUNCH=$launch submit limit-$launch "$steps" --time=00:02:00 --signal=B:USR1@60
    wait_for 200 grep -q '"job requeued"' limit-$launch/history.jsonl
    ok "$launch: after the signal the job goes back into the queue" says limit-$launch/history.jsonl '"job requeued"'
    show limit-$launch "in the queue"
    ok "$launch: it comes to its end" ended 900 COMPLETED
    ok "$launch: at the right step" once limit-$launch "$steps"
    ok "$launch: the same bits" same whole limit-$launch
    show limit-$launch "at its end"
  done
fi

if wanted limit; then
  new_case "a time limit before the first checkpoint"
  submit short 1000000 --time=00:02:00 --signal=B:USR1@10 -- --set checkpoint.every=0
  wait_for 90 grep -q 'warning: the job ends in' short.out
  ok "is said within the first steps" says short.out 'warning: the job ends in .*, but the next checkpoint, that of step 1000000, is .* away'
  "$wabun" status short >status.txt
  ok "and wabun status tells when" says status.txt "^job ends  *$(date -d "$(field EndTime)" '+%Y-%m-%d %H:%M:%S')$"
  show short "running"
  scancel "$job"
  wait_for 60 over
fi

if wanted scancel; then
  new_case "scancel"
  submit cancelled "$steps"
  wait_for 120 at_step cancelled $((steps / 4))
  scancel "$job"
  ok "scancel ends it" ended 60 CANCELLED
  sleep 15
  ok "and it stays so" ended 1 CANCELLED
  show cancelled "cancelled"
  began=$(date +%s)
  submit cancelled "$steps"
  wait_for 120 at_step cancelled $((steps / 2))
  scancel --batch --signal=USR2 "$job"
  wait_for 120 over
  ok "USR2 ends it" ended 60 FAILED
  ok "with a checkpoint" test "$("$wabun" status cancelled | grep -c 'ended with 75')" = 2
  ok "and neither was put back into the queue" sh -c '! grep "job requeued" cancelled/history.jsonl'
  show cancelled "stopped"
  submit cancelled "$steps"
  ok "the next one comes to the end" ended 600 COMPLETED
  ok "at the right step" once cancelled "$steps"
  ok "the same bits" same whole cancelled
fi

if wanted killed; then
  for launch in srun mpirun; do
    new_case "a rank is killed three times; $launch"
    LAUNCH=$launch submit killed-$launch "$steps"
    for turn in 1 2 3; do
      wait_for 180 at_step killed-$launch $((steps * turn / 4 + 55))
      show killed-$launch "running, before kill $turn"
      pid=$(ps -eo pid=,comm= | awk -v name="$(basename "$wabun" | cut -c 1-15)" '$2 == name { print $1 }' | sed -n "${turn}p")
      kill -KILL "$pid"
      wait_for 90 eval "[ \$(grep -c '\"job requeued\"' killed-$launch/history.jsonl) -ge $turn ]"
      ok "$launch: kill $turn: back into the queue" eval "[ \$(grep -c '\"job requeued\"' killed-$launch/history.jsonl) -ge $turn ]"
      show killed-$launch "after kill $turn"
    done
    ok "$launch: it comes to its end" ended 600 COMPLETED
    ok "$launch: at the right step" once killed-$launch "$steps"
    ok "$launch: the same bits" same whole killed-$launch
    ok "$launch: four starts" restarts killed-$launch 4
    show killed-$launch "at its end"
  done
fi

if wanted crash; then
  for launch in srun mpirun; do
    new_case "a node crashes; $launch"
    wait_for 60 cluster_idle 4
    LAUNCH=$launch submit crash-$launch "$steps"
    wait_for 180 at_step crash-$launch $((steps / 3 + 55))
    cluster_crash 3
    smaller
    ok "$launch: it goes on on 3 nodes to its end" ended 600 COMPLETED
    ok "$launch: 3 ranks" sh -c "'$wabun' status crash-$launch | grep -q 'start 2 .*3 ranks'"
    ok "$launch: at the right step" once crash-$launch "$steps"
    ok "$launch: the same loss to rounding" near whole crash-$launch
    show crash-$launch "at its end"
    cluster_boot 3
    ok "the node comes back" wait_for 90 cluster_idle 4
  done
fi

if wanted slurmd; then
  new_case "a slurmd dies, its rank lives"
  wait_for 60 cluster_idle 4
  submit slurmd "$steps"
  wait_for 180 at_step slurmd 55 # nearly all of the run is to come: it takes Slurm half a minute to notice
  cluster_stop_slurmd 4
  ok "Slurm notices, and puts the job back into the queue" smaller
  show slurmd "its node lost, in the queue"
  ok "it goes on on 3 nodes to its end" ended 600 COMPLETED
  ok "after one restart, with 3 ranks" restarts slurmd 2
  ok "3 ranks" says status.txt '^start 2 .*3 ranks.*restart 1'
  ok "at the right step" once slurmd "$steps"
  ok "the same loss to rounding" near whole slurmd
  show slurmd "at its end"
  cluster_crash 4
  cluster_boot 4
  ok "the node comes back" wait_for 90 cluster_idle 4
fi

if wanted loop; then
  new_case "starts that get no further"
  cat >dies <<'PROGRAM'
#!/bin/sh
case "$*" in *--dry-run* | status*) exec "$REAL" "$@" ;; esac
[ "$SLURM_PROCID" != 2 ] || kill -SEGV $$
sleep 60
PROGRAM
  chmod +x dies
  REAL=$wabun WABUN=$PWD/dies submit loop 20
  ok "after three starts it is not started again" ended 300 FAILED
  ok "exit code 7" test "$(field ExitCode)" = 7:0
  ok "says why" says loop.out 'the last 3 starts left no newer checkpoint (there is none), so it is not started again'
  ok "three starts" restarts loop 3
  began=$(date +%s)
  submit nowhere 20 -- --set 'data.train="nowhere"'
  ok "a file that is not there: once" ended 120 FAILED
  ok "exit code 3" test "$(field ExitCode)" = 3:0
  began=$(date +%s)
  submit wrong 20 -- --set trian.steps=1
  ok "a wrong key, found before a rank starts" ended 60 FAILED
  ok "exit code 2" test "$(field ExitCode)" = 2:0
  SETUP=nowhere.sh submit setup 20
  ok "a SETUP that is not there" ended 60 FAILED
  ok "is named" says setup.out 'SETUP=nowhere.sh: no such file'
fi

if wanted sweep; then
  new_case "a sweep"
  printf '# rates\ntrain.lr=1e-3\ntrain.lr=2e-3 train.warmup=2\n' >sweep.txt
  SWEEP=sweep.txt submit sweep 20 --nodes=2 --array=1-2 --output=sweep-%a.out
  ok "two runs" wait_for 180 eval 'wait_for 1 grep -q "done" sweep-1.out && grep -q "done" sweep-2.out'
  wait_for 60 over
  ok "beside each other" test -d sweep-1/step-00000020 -a -d sweep-2/step-00000020
  ok "with the keys of their lines" grep -q 'lr = 0.002' sweep-2/config.cfg
fi

# shellcheck disable=SC2016 # expanded by page.sh
# What stands for a site: its tarball, its three modules; and what is other here: processors of a node, a short run.
page () { # FILE
  sed -n 's/^    //p' "$1" | sed -e 's|https://SITE/||' -e 's/--cpus-per-task=32/--cpus-per-task=1/' -e '$s/$/ --set train.steps=20/' >page.lines
  [ "$(wc -l <page.lines)" -eq 10 ] || return 1
  local module init=
  mkdir -p modules page.home page.work/my-texts && rm -rf page.home/* page.work/runs
  for module in gcc openmpi openblas; do echo '#%Module1.0' >modules/$module; done
  for module in /usr/share/modules/init/bash /usr/share/lmod/lmod/init/bash; do [ ! -r $module ] || init=$module; done
  [ -n "$init" ] || { echo "neither environment-modules nor Lmod is installed"; return 1; }
  for i in $(seq 400); do
    { echo "第$i話"; sed -n "$((i % 90 + 1)),$((i % 90 + 60))p" "$top/README.ja.md"; } >"page.work/my-texts/$i.txt"
  done
  printf '%s\n' "set -e -o pipefail" ". $init" "module use $PWD/modules" "wget () { cp \"$PWD/\$1\" .; }" 'cd "$HOME"' >page.sh
  cat page.lines >>page.sh
  env -u WABUN HOME="$PWD/page.home" WORK="$PWD/page.work" bash page.sh >page.out 2>&1 || { tail -n 30 page.out; return 1; }
  job=$(sed -n 's/^Submitted batch job //p' page.out)
}
if [ -n "$cases" ] && wanted page; then
  new_case "the ten lines of doc/cluster.md"
  commands () { sed -n 's/^    //p' "$1" | sed 's/ *#.*//'; }
  ok "in the Japanese page too" diff <(commands "$top/doc/cluster.md") <(commands "$top/doc/cluster.ja.md")
  # shellcheck disable=SC2016 # expanded by the inner shell
  ok "a tarball" sh -c 'cd "$1" && make -s dist >"$2/dist.out" 2>&1 && cp wabun-*.tar.gz "$2"' sh "$(dirname "$wabun")" "$PWD"
  ok "all ten" page "$top/doc/cluster.md"
  ok "the job comes to its end" ended 300 COMPLETED
  ok "its run" says page.work/runs/tiny/history.jsonl '"step":20,"code":0'
  ok "a page of it" page.home/wabun/bin/wabun report page.work/runs/tiny -o tiny.html
fi

echo "# seconds in all: $SECONDS"
echo "1..$point"
[ $failed = 0 ]
