#!/bin/sh
# finetune.sh - what fine-tuning by all layers, the last two and LoRA gains and costs, in one command.  See --help.
set -u

usage () {
  cat <<'END'
usage: tests/bench/finetune.sh [OPTION]... GENERAL NOVEL

GENERAL and NOVEL are directories of text files.  A model is trained on GENERAL, and then tuned on NOVEL in three ways:
all layers, the last two, LoRA.  For each seed; one file in ten of both is held out and measured by wabun eval, before and
after: bits per byte on NOVEL, which should fall, and on GENERAL, which rises where the model forgets.  Told are means and
ranges over the seeds, memory (measured and planned) and time of a step.

  --seeds "1 2 3"      seeds of weights and order
  --layers N, --width N, --heads N, --context N, --vocabulary N   of the model (6, 224, 7, 128, 4000: 4.6 million parameters)
  --base-steps N       steps on GENERAL (default 2000)
  --tune-steps N       steps on NOVEL (default 400)
  --batch N            sequences of a step (default 32)
  --held N             bytes of each held-out file that are measured, at most (default 20000)
  --lr-all X, --lr-last X, --lr-lora X   learning rates (5e-4, 1e-3, 3e-3)
  --rank N             of LoRA (default 8; alpha is twice that)
  --ranks N            MPI ranks (default 1)
  --layouts N          also the first N steps of each way, with 4 sequences, on one rank and on two as 2 x 1 x 1, 1 x 2 x 1,
                       1 x 1 x 2 (data x pipeline x tensor): the largest difference of a loss (default 0: not)
  --dir DIR            where to work, and where to go on (default: a temporary directory, removed)
  --wabun FILE         the program (default: $WABUN, else the newest one built in this tree)

Exit code: 0 done, 1 a run failed, 2 wrong option.
END
}

top=$(cd "$(dirname "$0")/../.." && pwd)
seeds="1 2 3" layers=6 width=224 heads=7 context=128 vocabulary=4000 base=2000 tune=400 batch=32 held=20000 rank=8 ranks=1 layouts=0
lr_all=5e-4 lr_last=1e-3 lr_lora=3e-3 dir="" wabun=${WABUN-} general="" novel=""
wrong () { echo "finetune: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --*) [ $# -gt 1 ] || wrong "$1 wants a value" ;;
    *) if [ -z "$general" ]; then general=$1; elif [ -z "$novel" ]; then novel=$1; else wrong "one directory too many: $1"; fi
      shift
      continue ;;
  esac
  case $1 in
    --seeds) seeds=$2 ;; --layers) layers=$2 ;; --width) width=$2 ;; --heads) heads=$2 ;; --context) context=$2 ;;
    --vocabulary) vocabulary=$2 ;; --base-steps) base=$2 ;; --tune-steps) tune=$2 ;; --batch) batch=$2 ;; --held) held=$2 ;;
    --rank) rank=$2 ;; --ranks) ranks=$2 ;; --layouts) layouts=$2 ;; --lr-all) lr_all=$2 ;; --lr-last) lr_last=$2 ;; --lr-lora) lr_lora=$2 ;;
    --dir) dir=$2 ;; --wabun) wabun=$2 ;;
    *) wrong "unknown option $1; --help lists them" ;;
  esac
  shift 2
done
if [ "$layouts" -gt 0 ] && [ $((heads % 2)) -ne 0 ]; then wrong "--layouts wants an even number of heads: --heads 8"; fi
if [ ! -d "$general" ] || [ ! -d "$novel" ]; then wrong "GENERAL and NOVEL must be directories of text files"; fi
# shellcheck disable=SC2012 # names of ours
[ -n "$wabun" ] || wabun=$(ls -t "$top"/wabun "$top"/build/*/wabun 2>/dev/null | head -n 1)
[ -x "$wabun" ] || wrong "no program wabun: build it, or name it with --wabun"
case $wabun in /*) ;; *) wabun=$PWD/$wabun ;; esac
general=$(cd "$general" && pwd) novel=$(cd "$novel" && pwd)
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir" && cd "$dir" || exit 2

run () { # what is long and fails is shown
  "$@" >run.log 2>&1 </dev/null && return
  tail -n 20 run.log >&2
  echo "finetune: this failed: $*" >&2
  exit 1
}

# ---- text: every tenth file is held out ------------------------------------------------------------------------------
split () { # NAME DIRECTORY
  [ -d "text/$1" ] && return
  mkdir -p "text/$1" "held/$1"
  i=0
  for file in "$2"/*; do
    [ -f "$file" ] || continue
    i=$((i + 1))
    if [ $((i % 10)) -eq 5 ]; then # whole lines
      head -c "$held" "$file" | sed '$d' >"held/$1/$(basename "$file")"
    else
      ln -s "$file" "text/$1/"
    fi
  done
}
split general "$general"
split novel "$novel"
[ -d vocab ] || run "$wabun" vocab train --kind ja-bpe --no-words --size "$vocabulary" -o vocab text/general
for genre in general novel; do
  [ -e "tok-$genre.idx" ] || run "$wabun" encode --tokenizer vocab -o "tok-$genre" "text/$genre"
done

# ---- training --------------------------------------------------------------------------------------------------------
train () { # RUN STEPS LR TOKENS MODEL-LINE FINETUNE-LINE
  [ -e "$1/done" ] && return
  cat >"$1.cfg" <<END
run = "$1"; seed = $seed;
$5
data = { train = "$4"; };
train = { global_batch = $batch; steps = $2; warmup = $(($2 / 20 + 1)); lr = $3; };
checkpoint = { every = 0; keep = 1; };
log = { every = 10; };
$6
END
  if [ "$ranks" -gt 1 ]; then
    run mpirun --oversubscribe --bind-to none -n "$ranks" "$wabun" train "$1.cfg"
  else
    run "$wabun" train "$1.cfg"
  fi
  cp run.log "$1/log" && touch "$1/done"
}
for seed in $seeds; do
  train "base-$seed" "$base" 1e-3 tok-general \
    "tokenizer = \"vocab\"; model = { layers = $layers; width = $width; heads = $heads; context = $context; };" ""
  from="model = { base = \"base-$seed/latest\"; };"
  train "all-$seed" "$tune" "$lr_all" tok-novel "$from" ""
  train "last2-$seed" "$tune" "$lr_last" tok-novel "$from" "finetune = { layers = 2; };"
  train "lora-$seed" "$tune" "$lr_lora" tok-novel "$from" "finetune = { lora_rank = $rank; lora_alpha = $((2 * rank)).0; };"
  [ -e "eval-$seed.json" ] && continue
  "$wabun" eval --json "base-$seed/latest" "all-$seed/latest" "last2-$seed/latest" "lora-$seed/latest" \
    --text held/general held/novel >eval.json 2>run.log || { cat run.log >&2; exit 1; }
  mv eval.json "eval-$seed.json"
done

# ---- layouts ---------------------------------------------------------------------------------------------------------
seed=${seeds%% *}
for way in all last2 lora; do
  [ "$layouts" -gt 0 ] || break
  for layout in data=1 data=2 pipeline=2 tensor=2; do
    [ -e "on-$way-$layout/metrics.jsonl" ] && continue
    run mpirun --oversubscribe --bind-to none -n "${layout#*=}" "$wabun" train "$way-$seed.cfg" --set "run=on-$way-$layout" \
      --set "parallel.$layout" --set parallel.micro_batch=2 --set train.global_batch=4 --set "train.steps=$layouts" --set log.every=1
  done
  for layout in data=2 pipeline=2 tensor=2; do
    for run in data=1 $layout; do
      grep -o '"loss": *[0-9.e+-]*' "on-$way-$run/metrics.jsonl" | sed 's/.*: *//' >"losses-$run"
    done
    paste losses-data=1 "losses-$layout" | awk -v way="$way" -v layout="$layout" '
      { d = ($2 - $1) / $1; d = d < 0 ? -d : d; if (!(d <= far)) far = d }
      END { printf "%s on %s: %d steps, losses differ by %.1e of themselves at most\n", way, layout, NR, far }'
  done
done

# ---- what came of it -------------------------------------------------------------------------------------------------
cat >table.pl <<'END'
use strict; use warnings; use JSON::PP;
my ($tune, @seeds) = @ARGV;
sub slurp { open my $f, "<", $_[0] or die "$_[0]: $!\n"; local $/; <$f> }
my %bits;
for my $seed (@seeds) {
  my $j = decode_json (slurp ("eval-$seed.json"));
  for my $g (@{$j->{text}}) { for my $m (@{$g->{models}}) {
    my ($how) = $m->{model} =~ /^(\w+)-/;
    push @{$bits{$how}{$g->{genre}}}, $m->{bits_per_byte}; } }
}
sub text { my @x = sort { $a <=> $b } @_; my $m = 0; $m += $_ / @x for @x; sprintf "%.4f (%.4f to %.4f)", $m, $x[0], $x[-1] }
printf "%-7s  %-27s  %-27s  %-20s  %-16s  %s\n", "", "bits per byte on novel", "on general", "learn", "memory, planned", "a step";
for my $how (qw(base all last2 lora)) {
  my (@took, $learn, $peak, $plan);
  for my $seed (@seeds) {
    my $log = slurp ("$how-$seed/log");
    $log =~ /done: (\d+) steps in ([\d.]+) (ms|s|min|h)/ or next;
    push @took, $2 * { ms => 1e-3, s => 1, min => 60, h => 3600 }->{$3} / $1;
    ($peak, $plan) = ("$1", "$2") if $log =~ /peak memory (.+?) a rank at most, (.+?) planned/;
    $learn = $log =~ /: (\S+) of \S+ parameters learn/ ? $1 : $log =~ /model +(\S+) parameters/ ? $1 : "?";
  }
  @took = sort { $a <=> $b } @took;
  printf "%-7s  %-27s  %-27s  %-20s  %-16s  %s\n", $how, text (@{$bits{$how}{novel}}), text (@{$bits{$how}{general}}), $learn, "$peak, $plan",
    sprintf ("%.0f ms", 1e3 * $took[int (@took / 2)]);
}
END
# shellcheck disable=SC2086 # a list of numbers
perl table.pl "$tune" $seeds
