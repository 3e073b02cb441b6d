#!/bin/sh
# compare.sh - wabun against PyTorch on this machine: the ratio of their training speeds, in one command.  See --help.
set -u

usage () {
  cat <<'END'
usage: tests/bench/compare.sh [OPTION]...

Measures training steps of the same model by wabun and by PyTorch, by turns (A B A B ...), and prints the median of each,
the ratio of each pair, and the peak memory of both.  First both train a small model from the same checkpoint on the same
tokens, and their losses must agree to 1e-4 (bf16: 2e-3): they do the same work.

  --preset P         tiny, small, medium (default small); also --layers, --width, --heads, --context, --vocab
  --batch N          sequences of a step (default 8)
  --threads N        threads of a rank (default: all cores / ranks)
  --ranks N          ranks of wabun (default 1); PyTorch gets ranks x threads threads in one process
  --style S          tuned (default) or plain PyTorch: see tests/bench/pytorch_gpt2.py
  --steps N          pairs, each of one measured step behind one that is not (default 3)
  --micro-batch N    sequences at once of PyTorch (default: the best of 1, 2, 4, measured first); wabun chooses
  --precision P      fp32 (default) or bf16: train.precision, and PyTorch's autocast; MFU is of the peak of bf16 then
  --recompute R      none (default) or block: both keep only the inputs of the blocks
  --wabun FILE       the program (default: $WABUN, else the newest one built in this tree)
  --check            only the check of the losses
  --json             one object instead of a table

PyTorch comes from Debian (python3-torch); where it is missing and apt-get is there, it is installed.
Exit code: 0 done, 1 the losses differ or a run failed, 2 wrong option or something is missing.
END
}

top=$(cd "$(dirname "$0")/../.." && pwd)
batch=8 threads=0 ranks=1 steps=3 micro=0 recompute=none precision=fp32 style=tuned json="" only_check="" wabun=${WABUN-}
sizes="--preset small"
wrong () { echo "compare: $*" >&2; exit 2; }
number () { case $2 in '' | *[!0-9]* | 0) wrong "$1 wants a number of at least 1, got \`$2'" ;; esac; }
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --json) json=yes; shift; continue ;;
    --check) only_check=yes; shift; continue ;;
    --preset | --layers | --width | --heads | --context | --vocab | --batch | --threads | --ranks | --steps | --micro-batch | \
      --recompute | --precision | --style | --wabun) [ $# -gt 1 ] || wrong "$1 wants a value" ;;
    *) wrong "unknown option $1; --help lists them" ;;
  esac
  case $1 in
    --preset) case $2 in tiny | small | medium | large | xl) ;; *) wrong "there is no preset $2" ;; esac ;;
    --recompute) case $2 in none | block) recompute=$2 ;; *) wrong "--recompute takes none or block" ;; esac ;;
    --precision) case $2 in fp32 | bf16) precision=$2 ;; *) wrong "--precision takes fp32 or bf16" ;; esac ;;
    --style) case $2 in tuned | plain) style=$2 ;; *) wrong "--style takes tuned or plain" ;; esac ;;
    --wabun) wabun=$2 ;;
    *) number "$1" "$2" ;;
  esac
  case $1 in
    --preset | --layers | --width | --heads | --context | --vocab) sizes="$sizes $1 $2" ;;
    --batch) batch=$2 ;;
    --threads) threads=$2 ;;
    --ranks) ranks=$2 ;;
    --steps) steps=$2 ;;
    --micro-batch) micro=$2 ;;
  esac
  shift 2
done
[ "$micro" -eq 0 ] || [ $((batch % micro)) -eq 0 ] || wrong "--batch must be a multiple of --micro-batch"

if [ -z "$wabun" ]; then
  for file in "$top"/wabun "$top"/build*/wabun "$top"/build/*/wabun; do
    if [ -x "$file" ] && { [ -z "$wabun" ] || [ -n "$(find "$file" -newer "$wabun")" ]; }; then wabun=$file; fi
  done
fi
[ -x "$wabun" ] || wrong "no wabun is built; ./tests/run.sh builds it, or name it with --wabun"

# The system's python first: another one in the PATH does not see Debian's packages.
python=
find_python () {
  for p in /usr/bin/python3 python3; do
    if "$p" -c 'import torch' 2>/dev/null; then python=$p; return 0; fi
  done
  return 1
}
if ! find_python; then
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
  command -v apt-get >/dev/null 2>&1 || wrong "no PyTorch here, and no apt-get to install python3-torch"
  echo "compare: installing python3-torch" >&2
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends python3-torch >/dev/null 2>&1 ||
    wrong "apt-get could not install python3-torch (try apt-get update first)"
  find_python || wrong "python3-torch is installed, but python3 cannot import torch"
fi

cores=$(nproc)
[ "$threads" -gt 0 ] || threads=$((cores / ranks > 0 ? cores / ranks : 1))
# shellcheck source=jobs/local-mpi.sh
. "$top/jobs/local-mpi.sh"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
say () { echo "compare: $*" >&2; }
failed () { # WHAT LOG
  say "$1 failed"
  sed 's/^/  /' "$2" | tail -n 12 >&2
  exit 1
}

# shellcheck disable=SC2086 # lists of words
run_wabun () { # ARGUMENT...
  if [ "$ranks" -eq 1 ]; then
    OMP_NUM_THREADS=$threads "$wabun" bench step $sizes --precision "$precision" --threads "$threads" --json "$@"
  else
    OMP_NUM_THREADS=$threads mpirun -n "$ranks" --bind-to none "$wabun" bench step $sizes --precision "$precision" --threads "$threads" --json "$@" </dev/null
  fi
}
# shellcheck disable=SC2086
run_torch () { "$python" "$top/tests/bench/pytorch_gpt2.py" --threads $((ranks * threads)) --style "$style" --precision "$precision" --json "$@"; }

# ---- the same work -----------------------------------------------------------------------------------------------------
sed 's/<[^>]*>//g' "$top/README.ja.md" >"$work/text.txt"
cat >"$work/cfg" <<END
seed = 1;
tokenizer = "byte";
model = { layers = 3; width = 96; heads = 6; context = 64; };
data = { train = "$work/tok"; shuffle = false; };
train = { global_batch = 4; steps = 1; lr = 1e-3; warmup = 0; decay = "constant"; weight_decay = 0.1; clip = 1.0; beta1 = 0.9; beta2 = 0.95; precision = "$precision"; };
log = { every = 1; };
END
{
  "$wabun" encode --tokenizer byte -o "$work/tok" "$work/text.txt" &&
    "$wabun" train "$work/cfg" --set "run=\"$work/first\"" &&
    sed "s|^model = .*|model = { base = \"$work/first/latest\"; };|" "$work/cfg" >"$work/cfg2" &&
    "$wabun" train "$work/cfg2" --set "run=\"$work/second\"" --set train.steps=8
} >"$work/log" 2>&1 || failed "training with wabun" "$work/log"
run_torch --model "$work/first/latest" --tokens "$work/tok" --batch 4 --micro-batch 2 --steps 8 --lr 1e-3 \
  >"$work/check.json" 2>"$work/log" || failed "training with PyTorch" "$work/log"
"$python" - "$work/second/metrics.jsonl" "$work/check.json" "$precision" >"$work/log" 2>&1 <<'END' || failed "the check of the losses" "$work/log"
import json, sys
ours = [json.loads(line) for line in open(sys.argv[1])]
ours = [x["loss"] for x in ours if "loss" in x]
theirs = json.load(open(sys.argv[2]))["losses"]
worst = max(abs(a - b) for a, b in zip(ours, theirs))
print("wabun  ", *("%.5f" % x for x in ours))
print("PyTorch", *("%.5f" % x for x in theirs))
print("most apart: %.1e" % worst)
sys.exit(not (len(ours) == len(theirs) == 8 and ours[-1] < ours[0] and worst < (1e-4 if sys.argv[3] == "fp32" else 2e-3)))
END
say "the same losses from the same checkpoint, 8 steps, $(tail -n 1 "$work/log")"
[ -z "$only_check" ] || { cat "$work/log"; exit 0; }

# rate FILE: tokens/s of its last object
rate () { sed -n '$s/.*"tokens_per_s": *\([0-9]*\).*/\1/p' "$1"; }

# ---- PyTorch's best micro-batch ----------------------------------------------------------------------------------------
if [ "$micro" -eq 0 ]; then
  best=0 micro=1
  for m in 1 2 4; do
    [ $((batch % m)) -eq 0 ] || continue
    # shellcheck disable=SC2086
    run_torch $sizes --batch $m --micro-batch $m --steps 1 --recompute "$recompute" >"$work/tune.json" 2>"$work/log" || break
    rate=$(rate "$work/tune.json")
    rss=$(sed 's/.*"peak_rss_bytes": \([0-9]*\).*/\1/' "$work/tune.json")
    say "PyTorch ($style), $m at once: $rate tokens/s"
    [ "$rate" -le "$best" ] || best=$rate micro=$m
    # Twice as much must fit.
    awk -v rss="$rss" '/^MemAvailable/ { exit !(2 * rss < $2 * 1024) }' /proc/meminfo || break
  done
fi

# ---- by turns ----------------------------------------------------------------------------------------------------------
i=0
while [ $i -lt "$steps" ]; do
  i=$((i + 1))
  run_wabun --batch "$batch" --steps 1 --recompute "$recompute" >>"$work/wabun.jsonl" 2>"$work/log" || failed "wabun" "$work/log"
  # shellcheck disable=SC2086
  run_torch $sizes --batch "$batch" --micro-batch "$micro" --steps 1 --recompute "$recompute" >>"$work/torch.jsonl" 2>"$work/log" ||
    failed "PyTorch" "$work/log"
  say "pair $i of $steps: wabun $(rate "$work/wabun.jsonl"), PyTorch $(rate "$work/torch.jsonl") tokens/s"
done
"$python" - "$work/wabun.jsonl" "$work/torch.jsonl" "$json" <<'END'
import json, statistics, sys
ours, theirs = ([json.loads(line) for line in open(p)] for p in sys.argv[1:3])
a, b = ours[0], theirs[0]
if a["params"] != b["params"]:
    sys.exit("compare: the models differ: %d and %d parameters" % (a["params"], b["params"]))
rates = [[x["tokens_per_s"] for x in y] for y in (ours, theirs)]
ratios = [x / y for x, y in zip(*rates)]
middle = statistics.median
# tokens/s -> share of the peak, of the same arithmetic
mfu = [x["mfu"] for x in ours]
peak = middle(x.get("bf16_peak_gflops", x["fma_peak_gflops"]) for x in ours)
flop = middle(x["gflops"] / x["tokens_per_s"] for x in ours)
memory = [max(x["peak_rss_bytes"] for x in y) for y in (ours, theirs)]
r = {
    "bench": "compare", "preset": a["preset"], "params": a["params"], "context": a["context"], "batch": a["batch"],
    "ranks": a["ranks"], "threads": a["threads"], "recompute": b["recompute"], "precision": b["precision"], "pairs": len(ratios),
    "peak_gflops": peak,
    "tokens_per_s": middle(rates[0]), "mfu": middle(mfu), "peak_rss_bytes": memory[0] * a["ranks"],
    "pytorch_version": b["version"], "pytorch_style": b["style"], "pytorch_micro_batch": b["micro_batch"], "pytorch_blas_core": b["blas_core"],
    "pytorch_tokens_per_s": middle(rates[1]), "pytorch_mfu": middle(rates[1]) * flop / peak, "pytorch_peak_rss_bytes": memory[1],
    "ratio": middle(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "ratios": ratios,
}
if sys.argv[3]:
    print(json.dumps(r))
    sys.exit()
print("%s: %s parameters, %d sequences of %d a step, %s, recompute %s; measured peak %.0f GFLOP/s"
      % (r["preset"], format(r["params"], ","), r["batch"], r["context"], r["precision"], r["recompute"], peak))
print("%-40s%10s%8s%22s%12s" % ("", "tokens/s", "MFU", "least and most", "memory"))
for name, rate, all_rates, share, rss in (
    ("wabun, %d ranks x %d threads" % (r["ranks"], r["threads"]), r["tokens_per_s"], rates[0], r["mfu"], r["peak_rss_bytes"]),
    ("PyTorch, %s, %d threads, %d at once" % (b["style"], b["threads"], b["micro_batch"]),
     r["pytorch_tokens_per_s"], rates[1], r["pytorch_mfu"], memory[1])):
    print("%-40s%10.1f%7.1f%%%22s%8.2f GiB" % (name, rate, 100 * share, "%.1f - %.1f" % (min(all_rates), max(all_rates)), rss / 2**30))
print("ratio %.2f (pairs: %s)" % (r["ratio"], ", ".join("%.2f" % x for x in ratios)))
END
