#!/bin/sh
# wabun eval against the definition of bits per byte, computed by other code: NumPy in double precision (eval_peer.py).
# Not part of `make check`.
#     WABUN=.../wabun tests/peers/eval.sh
# PYTHON (default: /usr/bin/python3) must have NumPy (Debian: python3-numpy), else all is skipped.  Writes TAP.
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/peers/eval.sh"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "eval.sh: unknown argument $1; tests/peers/eval.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${PYTHON:=/usr/bin/python3}"
export WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
"$PYTHON" -c 'import numpy' 2>/dev/null || { echo "1..0 # SKIP no NumPy"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
run () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null || { cat "$work/err" >&2; exit 99; }; }
point=0 bad=0

# Documents of 1 to 600 characters, some longer than the models' context.
grep -v '^    ' "$here/../../README.ja.md" | grep . | cut -c1-600 | head -n 30 >"$work/text"
"$PYTHON" -c 'import json, sys
for line in sys.stdin: print(json.dumps({"text": line.rstrip("\n")}))' <"$work/text" >"$work/documents.jsonl"
run vocab train --kind ja-bpe --no-words --size 1200 -o "$work/vocab" "$work/text"
for tokenizer in byte "$work/vocab"; do
  kind=$(basename "$tokenizer")
  run encode --tokenizer "$tokenizer" -o "$work/tok-$kind" "$work/text"
  cat >"$work/cfg" <<END
run = "$work/$kind"; seed = 1; tokenizer = "$tokenizer"; data = { train = "$work/tok-$kind"; };
model = { layers = 2; width = 64; heads = 4; context = 96; };
train = { global_batch = 4; steps = 60; lr = 3e-3; warmup = 5; }; checkpoint = { every = 60; };
END
  run train "$work/cfg"
  model=$work/$kind/latest
  "$WABUN" encode --tokenizer "$model" --jsonl <"$work/documents.jsonl" >"$work/ids"
  "$PYTHON" -c 'import json, sys
for a, b in zip(open(sys.argv[1]), open(sys.argv[2])):
    print(json.dumps({"text": json.loads(a)["text"], "ids": json.loads(b)["ids"]}))' "$work/documents.jsonl" "$work/ids" >"$work/both"
  for stride in 0 7 96; do
    point=$((point + 1))
    "$PYTHON" "$here/eval_peer.py" "$model" $stride <"$work/both" >"$work/theirs"
    given=
    [ $stride = 0 ] || given="--stride $stride"
    # shellcheck disable=SC2086 # two words
    "$WABUN" eval "$model" --text "$work/documents.jsonl" --json $given >"$work/ours" 2>"$work/err" </dev/null
    if "$PYTHON" -c 'import json, sys
ours, theirs = json.load(open(sys.argv[1]))["text"][0]["models"][0], json.load(open(sys.argv[2]))
ours["error"] = ours["calibration"]["error"]
far = max(abs(ours[k] / theirs[k] - 1) for k in theirs)
print("#   bits per byte %.9f, %.9f by the definition; calibration error %.6f, %.6f; largest relative difference %.1e"
      % (ours["bits_per_byte"], theirs["bits_per_byte"], ours["error"], theirs["error"], far))
sys.exit(far > 1e-5)' "$work/ours" "$work/theirs"; then echo "ok $point - $kind, stride $stride"; else bad=1; cat "$work/err"; echo "not ok $point - $kind, stride $stride"; fi
  done
done
echo "1..$point"
exit $bad
