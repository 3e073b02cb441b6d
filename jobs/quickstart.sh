#!/bin/sh
# quickstart.sh - from a fresh clone to Japanese text by a model of your own; see --help.
set -eu

usage () {
  cat <<'END'
usage: jobs/quickstart.sh [OPTION]...

Installs what is missing (jobs/install-deps.sh), builds wabun, takes Japanese text from packages of Debian
(jobs/corpus-debian.sh), makes a vocabulary of it, turns it into tokens, trains a tiny GPT-2 on two ranks and lets it write.
  --corpus DIR     train on your own text: .txt files (a document each) and .jsonl files (a line {"text": ...} each),
                   in UTF-8 or a Japanese encoding; also a single file
  --ranks N        ranks of the training (2)
  --minutes M      time of the training (5); its number of steps follows from the speed of this machine
  --tokenizer T    own (the default): a vocabulary of 4,096 ids made from the text; byte; or a directory with
                   ja-bpe.txt and emoji.json
  --build DIR      where to build (build/quickstart)
  --work DIR       where text, tokens and the model go (quickstart-run)
  --no-install     do not install anything
WABUN=PROGRAM in the environment: this wabun, nothing is built or installed. The quickstart.sh that `make install` has
installed takes the wabun installed with it, or that of the PATH.
Ctrl-C saves the model and ends; the same command goes on from there.
Exit code: 0 done, 75 stopped after a checkpoint, else what went wrong (see wabun --help).
END
}

say () { printf '\n==> %s\n' "$*"; }
fail () { code=$1; shift; echo "quickstart: $*" >&2; exit "$code"; }

corpus='' ranks=2 minutes=5 tokenizer=own build='' work=quickstart-run install=yes
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --no-install) install=no; shift; continue ;;
    --corpus | --ranks | --minutes | --tokenizer | --build | --work) ;;
    *) usage >&2; fail 2 "unknown option $1" ;;
  esac
  [ $# -ge 2 ] || fail 2 "$1 wants a value"
  case $1 in
    --corpus) corpus=$2 ;;
    --ranks) ranks=$2 ;;
    --minutes) minutes=$2 ;;
    --tokenizer) tokenizer=$2 ;;
    --build) build=$2 ;;
    --work) work=$2 ;;
  esac
  shift 2
done
number () { case $2 in '' | *[!0-9]* | 0*) fail 2 "$1 wants a number from 1 on, not $2" ;; esac; }
number --ranks "$ranks"
number --minutes "$minutes"

here=$PWD
jobs=$(cd -P "$(dirname "$0")" && pwd)
top=${jobs%/*}
absolute () { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
[ -z "$corpus" ] || { corpus=$(absolute "$corpus"); [ -e "$corpus" ] || fail 3 "$corpus does not exist"; }
case $tokenizer in byte | own) ;; *) tokenizer=$(absolute "$tokenizer") ;; esac
if [ -n "$build" ]; then build=$(absolute "$build"); else build=$top/build/quickstart; fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
case $work$tokenizer in *[\"\\]*) fail 2 "no \" and no \\ in the names of --work and --tokenizer, please" ;; esac

# ---- build ----------------------------------------------------------------------------------------------------------

if [ -z "${WABUN-}" ] && [ ! -e "$top/configure.ac" ]; then # an installed place
  if [ -x "$top/../../bin/wabun" ]; then
    WABUN=$(cd "$top/../../bin" && pwd)/wabun
  else
    WABUN=$(command -v wabun) || fail 2 "there is no wabun in the PATH: set WABUN=/path/to/wabun"
  fi
fi
# shellcheck source=jobs/progress.sh
. "$jobs/progress.sh"
if [ -n "${WABUN-}" ]; then
  case $WABUN in */*) wabun=$(absolute "$WABUN") ;; *) wabun=$(command -v "$WABUN") || wabun=$WABUN ;; esac
  [ -x "$wabun" ] || fail 2 "WABUN=$WABUN is not a program"
  say "taking $wabun"
else
  say "building wabun in $build"
  if [ $install = yes ]; then "$jobs/install-deps.sh"; fi
  mkdir -p "$build"
  log=$build/quickstart.log
  build () {
    if [ ! -x "$top/configure" ]; then (cd "$top" && ./autogen.sh) || return; fi
    cd "$build" || return
    if [ ! -e config.status ]; then "$top/configure" || return; fi
    make -j"$(nproc 2>/dev/null || echo 2)"
  }
  building () {
    if [ -e "$build/Makefile" ]; then
      # What the Makefile has rules for, against what is there; a few are of parts that were left out.
      all=$(grep '^[a-z].*\.lo:' "$build/Makefile" | sort -u | wc -l) made=$(find "$build" -name '*.lo' | wc -l)
      if [ "$((made + 5))" -lt "$all" ]; then echo "    $made of about $all files are compiled ($log)"; else echo "    linking ($log)"; fi
    else
      echo "    autoconf and configure: $(last_line "$log") ($log)"
    fi >&3
  }
  (with_progress building build 3>&1 >"$log" 2>&1 </dev/null) ||
    { tail -n 30 "$log" >&2; fail 3 "the build failed, $log has it all"; }
  wabun=$build/wabun
fi
"$wabun" --version
# shellcheck source=jobs/local-mpi.sh
. "$jobs/local-mpi.sh"

# ---- text -----------------------------------------------------------------------------------------------------------

cd "$work"
# What this directory was begun with stays.
inputs="corpus=$corpus tokenizer=$tokenizer"
if [ -e inputs ] && [ "$(cat inputs)" != "$inputs" ]; then
  fail 2 "$work was begun with other text or another tokenizer ($(cat inputs)): choose another --work"
fi
echo "$inputs" >inputs

# vocabulary INPUT...: the vocabulary, once.  Without SentencePiece's words, which take minutes.
making () { echo "    still making the vocabulary"; }
vocabulary () {
  [ "$tokenizer" = own ] || return 0
  [ -e vocab/ja-bpe.txt ] ||
    with_progress making "$wabun" vocab train --kind ja-bpe --no-words --size 4096 -o vocab "$@" || exit
  tokenizer=$work/vocab
}

# encode PREFIX INPUT...: a token file, once.
encoding () { [ -t 2 ] || echo "    tokens of $prefix: $(du -ck "$prefix"* 2>/dev/null | tail -n 1 | cut -f 1) KB so far"; }
encode () {
  prefix=$1
  shift
  [ -e "$prefix.idx" ] || with_progress encoding "$wabun" encode --tokenizer "$tokenizer" -o "$prefix" "$@"
}

say "text"
valid=tok/valid
mkdir -p split tok
if [ -z "$corpus" ]; then
  "$jobs/corpus-debian.sh" corpus
  vocabulary corpus/text/manuals corpus/text/stories
  for part in manuals stories; do
    encode tok/$part --validation 0.02 corpus/text/$part
    [ -e tok/valid.idx ] || "$wabun" decode --tokenizer "$tokenizer" --jsonl tok/$part-valid >split/$part.jsonl
  done
  encode tok/valid split/manuals.jsonl split/stories.jsonl
  # There is little of the stories: each is seen more often.
  train='( { tokens = "tok/manuals"; weight = 0.85; }, { tokens = "tok/stories"; weight = 0.15; } )'
else
  vocabulary "$corpus"
  encode tok/train --validation 0.02 "$corpus"
  train='"tok/train"' valid=tok/train-valid
fi
rm -rf split

# ---- training -------------------------------------------------------------------------------------------------------

# Ranks run in a session of their own, so that Ctrl-C reaches this script only: mpirun would give them one second.
# SIGUSR1 makes them finish the step, save and leave with 75.
mpi () {
  setsid mpirun -n "$ranks" "$@" </dev/null &
  pid=$!
  trap 'kill -USR1 $pid 2>/dev/null || :' INT TERM HUP
  code=0
  wait $pid || code=$?
  while kill -0 $pid 2>/dev/null; do # a signal has ended the wait
    code=0
    wait $pid || code=$?
  done
  trap - INT TERM HUP
  return $code
}

batch=8 context=256
if [ $((batch % ranks)) -ne 0 ]; then batch=$((ranks * ((batch + ranks - 1) / ranks))); fi
if [ ! -e train.cfg ]; then
  say "measuring the speed of this machine"
  ids=257
  case $tokenizer in byte) ;; *) ids=$(($(wc -l <"$tokenizer/ja-bpe.txt") + 1)) ;; esac
  measuring () { echo "    still measuring: $ranks ranks, 51 steps" >&3; }
  with_progress measuring mpi "$wabun" bench step --layers 4 --width 128 --heads 4 --context $context --vocab "$ids" --batch $batch --steps 50 \
    --json 3>&1 >speed || fail $? "no speed"
  speed=$(sed -n 's/.*"tokens_per_s": *\([0-9]*\).*/\1/p' speed)
  [ -n "$speed" ] || fail 3 "wabun bench gave no speed"
  steps=$((speed * minutes * 57 / (batch * context))) # 57 s a minute: validations take their share
  [ $steps -ge $((minutes * 60)) ] || steps=$((minutes * 60))
  every=$((steps / 10)) steps=$((steps / 10 * 10))
  line=$((speed * 5 / (batch * context))) # a line of the log every 5 seconds, 20 where the machine turns out to be slower
  [ $line -le $((every / 2)) ] || line=$((every / 2))
  [ $line -ge 1 ] || line=1
  echo "$speed tokens a second: $steps steps of $((batch * context)) tokens in $minutes minutes"
  cat >train.cfg.new <<END
# Written by jobs/quickstart.sh; wabun help train tells what else there is.
run = "run";
seed = 1;
# So small because minutes are short: a model of twice the width learns more from a step, but takes half as many.
model = { layers = 4; width = 128; heads = 4; context = $context; };
tokenizer = "$tokenizer";
data = { train = $train; validation = "$valid"; };
train = { global_batch = $batch; steps = $steps; lr = 3e-3; warmup = $((steps / 40)); };
checkpoint = { every = $((every * 2)); keep = 2; };
validation = { every = $every; samples = 64; };
log = { every = $line; };
sample = { every = $((every * 2)); length = 200; context = "この"; };
END
  mv train.cfg.new train.cfg
fi

say "training"
code=0
mpi "$wabun" train train.cfg || code=$?
case $code in
  0) ;;
  75) say "stopped; go on with the same command"; exit 75 ;;
  *) exit $code ;;
esac

# ---- what came of it ------------------------------------------------------------------------------------------------

say "result"
sed -n 's/.*"step": *\([0-9]*\).*"val_bpb": *\([0-9.e+-]*\).*/\1 \2/p' run/metrics.jsonl | awk '
  NR == 1 { first = $2 }
  { last = $2; step = $1 }
  END { printf "Validation, bits per byte: %.3f before the first step, %.3f after step %d (%.0f %% less).\n", first, last, step,
    100 * (1 - last / first) }'
if [ -z "$corpus" ]; then set -- "この関数は" "「" "ファイルを"; else set -- "" "日本" "この"; fi
seed=0
for context; do
  seed=$((seed + 1))
  printf '\n--- it goes on from: %s\n%s' "${context:-<nothing>}" "$context"
  "$wabun" generate --model run/latest --context "$context" --max-length 400 --temperature 0.7 --seed $seed
done
cat <<END

The model has learnt for minutes; hours and a larger model make sense of it.  Next:
  $wabun generate --model $work/run/latest --context '昔々'
  $jobs/quickstart.sh --corpus DIR --work DIR2 --minutes 60
      your own text, a longer training
  $jobs/small.cfg, train.sbatch
      larger models, a cluster with Slurm
  README.md
      what else there is
The model is a Hugging Face GPT-2 directory: $work/run/latest
END
