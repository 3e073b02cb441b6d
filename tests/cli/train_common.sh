# shellcheck shell=sh
# Sourced by the tests of `wabun train`: a small corpus, a configuration, runs on ranks, and checks that write TAP.
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${MPIRUN:=mpirun}" "${T_TMP:=$(mktemp -d)}"
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
: "${OMPI_MCA_mpi_yield_when_idle=1}" "${TMPDIR:=/tmp}"
WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 LC_ALL=C.UTF-8
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_mpi_yield_when_idle TMPDIR
export WABUN_NO_RETUNE OMP_NUM_THREADS OPENBLAS_NUM_THREADS LC_ALL
case $WABUN in /*) ;; *) WABUN=$PWD/$WABUN ;; esac
cd "$T_TMP" || exit 99
point=0

ok () { # WHAT COMMAND...: a point of TAP
  what=$1
  shift
  point=$((point + 1))
  if "$@" >ok 2>&1; then
    sed 's/^/# /' ok
    echo "ok $point - $what"
  else
    sed 's/^/# /' ok
    echo "not ok $point - $what"
  fi
}

done_testing () { echo "1..$point"; }

# corpus SENTENCES >FILE
corpus () {
  awk -v n="$1" 'BEGIN {
    for (i = 0; i < n; i++)
      printf "むかしむかし、ある村の%d番目の家におじいさんとおばあさんが住んでいました。%d日目に川へ行きました。\n", i, 7 * i % 31
  }'
}

# The configuration every test starts from; T_LAYERS and T_STEPS may change it.
config () {
  cat <<EOF
seed = 3;
tokenizer = "byte";
model = { layers = ${T_LAYERS:-2}; width = 32; heads = 4; context = 32; };
data = { train = "tokens"; };
train = { global_batch = 12; steps = ${T_STEPS:-20}; lr = 3e-3; warmup = 5; };
checkpoint = { every = 10; keep = 0; };
log = { every = 1; };
EOF
}

prepare () {
  corpus 60 >text && "$WABUN" encode --tokenizer byte -o tokens text >encode.log 2>&1 || {
    cat encode.log
    exit 99
  }
  { echo 'run = "run";'; config; } >cfg
}

# ranks N COMMAND...: one rank runs without a launcher.  The time is that of a hang: what takes a second here may take
# minutes where sanitizers and other programs share a few cores.
ranks () {
  np=$1
  shift
  if [ "$np" -eq 1 ]; then
    timeout -k 5 240 "$@" </dev/null
  else
    # Of several at once, one that ends removes Open MPI's common directory while another makes its own in it.
    session=$(mktemp -d "$TMPDIR/wabun.XXXXXX") || return 99
    # shellcheck disable=SC2086 # a list of words
    TMPDIR=$session timeout -k 5 240 $MPIRUN ${MPIRUN_FLAGS-} -np "$np" "$@" </dev/null
    status=$?
    rm -rf "$session"
    return $status
  fi
}

# train N RUN ARGUMENT...: the exit code; what it says is in RUN.log (and in `log`)
train () {
  n=$1 dir=$2
  shift 2
  ranks "$n" "$WABUN" train cfg --set "run=\"$dir\"" "$@" >"$(basename "$dir").log" 2>&1
  code=$?
  cp "$(basename "$dir").log" log 2>/dev/null # several at once: any of them
  return $code
}

# trained N RUN ARGUMENT...: a run that must go well
trained () {
  train "$@" && return
  cat log
  echo "# wabun train $*: exit code $code"
  return 1
}

# start N RUN ARGUMENT...: train in the background; `wait`, then went_well RUN
start () { (train "$@" && echo fine >"$dir.fine") & }
went_well () { [ -f "$1.fine" ] || { cat "$1.log"; return 1; } }

ends_with () { # CODE N RUN ARGUMENT...
  want=$1
  shift
  train "$@"
  [ "$code" -eq "$want" ] && return
  cat log
  echo "exit code $code, expected $want"
  return 1
}

# losses RUN: lines "step loss"
losses () { sed -n 's/^{"step": \([0-9]*\),.*"loss": \([^,}]*\).*/\1 \2/p' "$1/metrics.jsonl"; }

# near RUN RUN TOLERANCE: the same steps, losses within the relative tolerance; prints the largest difference
near () {
  losses "$1" >losses.1
  losses "$2" >losses.2
  [ -s losses.1 ] && [ "$(wc -l <losses.1)" -eq "$(wc -l <losses.2)" ] || {
    echo "steps: $(wc -l <losses.1) and $(wc -l <losses.2)"
    return 1
  }
  paste -d ' ' losses.1 losses.2 | awk -v tolerance="$3" '
    { d = ($2 - $4) / $2; if (d < 0) d = -d; if (d > most) most = d; if ($1 != $3) wrong = 1 }
    END { printf "largest relative difference %.2g over %d steps\n", most, NR; exit wrong || !(most <= tolerance) }'
}

# same_files DIR DIR: the checkpoint's files are the same bytes
same_files () {
  for file in model.safetensors optimizer.safetensors state.json config.json checksums.json; do
    [ -f "$1/$file" ] || [ -f "$2/$file" ] || continue
    cmp "$1/$file" "$2/$file" || return 1
  done
}

# same_but_steps DIR DIR: the same bytes, but for train.steps in the settings that state.json remembers
same_but_steps () {
  for file in model.safetensors optimizer.safetensors config.json; do
    cmp "$1/$file" "$2/$file" || return 1
  done
  sed 's/"train.steps": *[0-9]*//' "$1/state.json" >state.1
  sed 's/"train.steps": *[0-9]*//' "$2/state.json" >state.2
  cmp state.1 state.2
}

# steps RUN: its checkpoints, as "10 20"
steps () { (cd "$1" && ls -d step-* 2>/dev/null) | sed -n 's/^step-0*\([0-9]*\)$/\1/p' | tr '\n' ' ' | sed 's/ $//'; }

# once RUN: no step twice in metrics.jsonl, and none left out
once () {
  losses "$1" | awk '$1 != NR { print "step " $1 " in line " NR; exit 1 }'
}

# within SECONDS COMMAND...: waits until it is true
within () {
  turns=$((10 * $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    turns=$((turns - 1))
    [ $turns -gt 0 ] || return 1
    sleep 0.1
  done
}

# What a run that ended may not leave behind.
clean () {
  rubbish=$(cd "$1" && find . -name '*.tmp*' -o -name '*.old' -o -name .tokenizer)
  [ -z "$rubbish" ] && return
  echo "left over: $rubbish"
  return 1
}
