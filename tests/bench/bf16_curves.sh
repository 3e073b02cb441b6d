#!/bin/sh
# bf16_curves.sh - does a model learn as well with train.precision = "bf16" as with "fp32"?  See --help.
set -u

usage () {
  cat <<'END'
usage: tests/bench/bf16_curves.sh [OPTION]... TEXT...

Trains the same model on TEXT (files and directories) with train.precision = "fp32" and "bf16", by several seeds and
optimizers.  One file in ten is held out, and its first bytes are the validation text.  Told are the bits per byte of it
at the end, by seed, their mean and spread (the largest less the smallest), and whether the means of the precisions are
closer than the spread of the seeds of fp32.  The whole curves go into curves.csv of the directory.  A seed is one
of weights and order: with the same seed both precisions begin with the same weights and see the same text.

  --steps N            steps of 2,048 tokens (default 300)
  --seeds "1 2 3"
  --optimizers "adamw muon"
  --lr-adamw X, --lr-muon X   highest learning rates (2e-3, 8e-3)
  --layers N, --width N, --heads N, --context N, --batch N   (6, 240, 5, 256, 8: 5.2 million parameters)
  --vocabulary N       entries of a ja-bpe made of every fourth file (default 4000); or:
  --tokenizer T        one that is there
  --held N             bytes of each held-out file, at most (default 3000)
  --jobs N             so many runs at once, each with one thread (default 1, with all cores)
  --anywhere           bf16 also on a processor without instructions for it, slowly
  --dir DIR            where to work, and where to go on (default: a temporary directory, removed)
  --wabun FILE         the program (default: $WABUN, else the newest one built in this tree)

Exit code: 0 the means are that close, for each optimizer; 1 they are not, or a run failed; 2 wrong option.
END
}

top=$(cd "$(dirname "$0")/../.." && pwd)
steps=300 seeds="1 2 3" optimizers="adamw muon" lr_adamw=2e-3 lr_muon=8e-3 layers=6 width=240 heads=5 context=256 batch=8
vocabulary=4000 tokenizer="" held=3000 bf16=bf16 jobs=1 dir="" wabun=${WABUN-}
wrong () { echo "bf16_curves: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --anywhere) bf16="bf16-anywhere"; shift; continue ;;
    --*) [ $# -gt 1 ] || wrong "$1 wants a value" ;;
    *) break ;;
  esac
  case $1 in
    --steps) steps=$2 ;; --seeds) seeds=$2 ;; --optimizers) optimizers=$2 ;; --lr-adamw) lr_adamw=$2 ;; --lr-muon) lr_muon=$2 ;;
    --layers) layers=$2 ;; --width) width=$2 ;; --heads) heads=$2 ;; --context) context=$2 ;; --batch) batch=$2 ;;
    --vocabulary) vocabulary=$2 ;; --tokenizer) tokenizer=$2 ;; --held) held=$2 ;; --jobs) jobs=$2 ;; --dir) dir=$2 ;; --wabun) wabun=$2 ;;
    *) wrong "unknown option $1; --help lists them" ;;
  esac
  shift 2
done
[ $# -gt 0 ] || wrong "no text is given; --help says more"
for o in $optimizers; do
  case $o in adamw | muon) ;; *) wrong "--optimizers takes adamw and muon, not $o" ;; esac
done
# shellcheck disable=SC2012 # names of ours
[ -n "$wabun" ] || wabun=$(ls -t "$top"/wabun "$top"/build/*/wabun 2>/dev/null | head -n 1)
[ -x "$wabun" ] || wrong "no program wabun: build it, or name it with --wabun"
case $wabun in /*) ;; *) wabun=$PWD/$wabun ;; esac
case $tokenizer in '' | /* | byte) ;; *) tokenizer=$PWD/$tokenizer ;; esac
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir" || exit 2

run () { # LOG COMMAND...: what is long and fails is shown
  log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null && return
  tail -n 20 "$log" >&2
  echo "bf16_curves: this failed: $*" >&2
  exit 1
}

# ---- text: every tenth file is held out ------------------------------------------------------------------------------
if [ ! -d "$dir/text" ]; then
  rm -rf "$dir/new" && mkdir -p "$dir/new/train" "$dir/new/held" "$dir/new/vocab" || exit 2
  find "$@" -type f | LC_ALL=C sort >"$dir/new/files" || exit 2
  i=0
  while IFS= read -r file; do
    case $file in /*) ;; *) file=$PWD/$file ;; esac
    i=$((i + 1))
    name=$i-$(basename "$file")
    if [ $((i % 10)) -eq 5 ]; then # whole lines
      head -c "$held" "$file" | sed '$d' >"$dir/new/held/$name"
    else
      ln -s "$file" "$dir/new/train/$name"
      [ $((i % 4)) -ne 0 ] || ln -s "$file" "$dir/new/vocab/$name"
    fi
  done <"$dir/new/files"
  [ "$i" -ge 10 ] || wrong "ten files at least, so that one can be held out; here are $i"
  mv "$dir/new" "$dir/text"
fi
cd "$dir" || exit 2
if [ -z "$tokenizer" ]; then
  tokenizer=vocab
  [ -d vocab ] || run vocab.log "$wabun" vocab train --kind ja-bpe --no-words --size "$vocabulary" -o vocab text/vocab
fi
for part in train held; do
  [ -e "$part.idx" ] || run "$part.log" "$wabun" encode --tokenizer "$tokenizer" -o "$part" "text/$part"
done

# ---- training, all ways for a seed before the next -------------------------------------------------------------------
train () { # OPTIMIZER PRECISION SEED
  name=$1-$2-$3
  case $1 in adamw) lr=$lr_adamw ;; muon) lr=$lr_muon ;; esac
  precision=$2
  [ "$2" = fp32 ] || precision=$bf16
  cat >"$name.cfg" <<END
run = "$name"; seed = $3; tokenizer = "$tokenizer";
model = { layers = $layers; width = $width; heads = $heads; context = $context; };
data = { train = "train"; validation = "held"; };
train = { global_batch = $batch; steps = $steps; warmup = $((steps / 10 + 1)); lr = $lr; optimizer = "$1"; precision = "$precision"; };
checkpoint = { every = 0; keep = 1; };
validation = { every = $((steps / 8 > 0 ? steps / 8 : 1)); samples = 0; };
log = { every = 10; };
END
  run "$name.log" "$wabun" train "$name.cfg"
  touch "$name/done"
  echo "bf16_curves: $name: $(values "$name" | tail -n 1 | awk '{ print $2 }') bits per byte" >&2
}
values () { # step and bits per byte of each validation of a run
  sed -n 's/.*"step": *\([0-9]*\).*"val_bpb": *\([0-9.]*\).*/\1 \2/p' "$1/metrics.jsonl"
}
finish () { # PID...
  for pid in "$@"; do wait "$pid" || failed=yes; done
  [ -z "$failed" ] || exit 1
}
failed=""
[ "$jobs" -eq 1 ] || export OMP_NUM_THREADS=1
set --
for seed in $seeds; do
  for optimizer in $optimizers; do
    for precision in fp32 bf16; do
      [ -e "$optimizer-$precision-$seed/done" ] && continue
      train "$optimizer" "$precision" "$seed" &
      set -- "$@" $!
      [ $# -ge "$jobs" ] || continue
      finish "$@"
      set --
    done
  done
done
finish "$@"

# ---- what came of it -------------------------------------------------------------------------------------------------
for optimizer in $optimizers; do
  for precision in fp32 bf16; do
    for seed in $seeds; do
      values "$optimizer-$precision-$seed" | awk -v way="$optimizer,$precision,$seed" 'BEGIN { OFS = "," } { print way, $1, $2 }'
    done
  done
done >curves.rows
{ echo optimizer,precision,seed,step,bits_per_byte && cat curves.rows; } >curves.csv
grep -h -m 1 -o '[0-9,]* parameters.*' "${optimizers%% *}-fp32-${seeds%% *}.log" | head -n 1
echo "bits per byte of $(cat text/held/* | wc -c) held-out bytes after $steps steps of $((batch * context)) tokens"
awk -F, -v seeds="$seeds" -v optimizers="$optimizers" '
  { last[$1, $2, $3] = $5 } # steps rise
  END {
    n = split (seeds, seed, " ")
    printf "%-12s %-6s", "", ""
    for (i = 1; i <= n; i++) printf "  seed %-4s", seed[i]
    printf "  %-7s  %s\n", "mean", "spread"
    for (k = 1; k <= split (optimizers, o, " "); k++) {
      for (p = 1; p <= split ("fp32 bf16", precision, " "); p++) {
        sum = 0
        printf "%-12s %-6s", o[k], precision[p]
        for (i = 1; i <= n; i++) {
          x = last[o[k], precision[p], seed[i]]
          if (x + 0 <= 0) { print "no value"; exit 1 }
          printf "  %.5f  ", x
          sum += x
          if (i == 1 || x > most) most = x
          if (i == 1 || x < least) least = x
          if (p == 1) fp32[i] = x
          else { d = x - fp32[i]; d = d < 0 ? -d : d; if (i == 1 || d > pair) pair = d }
        }
        mean[p] = sum / n; spread[p] = most - least
        printf "  %.5f  %.5f\n", mean[p], spread[p]
      }
      d = mean[2] - mean[1]
      within = (d < 0 ? -d : d) <= spread[1]
      printf "%s: bf16 - fp32 = %+.5f, %s the spread of fp32 (%.5f); with the same seed %.5f apart at most\n", o[k], d,
        within ? "within" : "NOT within", spread[1], pair
      if (!within) bad = 1
    }
    exit bad
  }' curves.rows
