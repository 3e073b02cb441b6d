#!/bin/sh
# Other people's programs write what wabun imports and read what it exports; not part of `make check`.
#     WABUN=.../wabun tests/peers/formats.sh
# PyTorch and NumPy are taken where PYTHON (default: /usr/bin/python3, Debian's, with python3-torch and python3-numpy)
# has them; llm.c from the folder LLMC, a copy of https://github.com/karpathy/llm.c; transformers from TRANSFORMERS, the
# folder src of a copy of https://github.com/huggingface/transformers (4.28 to 4.45 are known to run; transformers_peer.py
# says what else they want).  With ORACLE, a folder as tests/golden/oracle.sh takes it, the classes of ja-bpe and ja-swe are
# compared with the ids of the original encoders, too.
# Checks of what is not installed are skipped.  Writes TAP.
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/peers/formats.sh"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "formats.sh: unknown argument $1; tests/peers/formats.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${PYTHON:=/usr/bin/python3}"
export WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
point=0 bad=0

ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$work/ok" 2>&1; then echo "ok $point - $what"; else bad=1; echo "not ok $point - $what"; fi
  sed 's/^/#   /' "$work/ok"
}
skip () { point=$((point + 1)); echo "ok $point - $1 # SKIP $2 is not installed"; }
run () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null || { cat "$work/err" >&2; exit 99; }; }
module () { "$PYTHON" -c "import $1" 2>/dev/null; }
peer () { "$PYTHON" "$here/formats_peer.py" "$@"; }
transformers () { "$PYTHON" -W ignore "$here/transformers_peer.py" "$@"; }
same () { cmp "$1/model.safetensors" "$2/model.safetensors"; }

# ---- a model and its text
grep -v '^    ' "$here/../../README.ja.md" | grep . >"$work/text"
run encode --tokenizer byte -o "$work/tok" "$work/text"
cat >"$work/cfg" <<END
run = "$work/run"; seed = 1; tokenizer = "byte"; data = { train = "$work/tok"; };
model = { layers = 2; width = 64; heads = 4; context = 64; };
train = { global_batch = 4; steps = 20; lr = 3e-3; warmup = 5; }; checkpoint = { every = 20; };
END
run train "$work/cfg"
model=$work/run/latest
run export "$model" --to hf -o "$work/hf"

# ---- PyTorch
if module torch && module numpy; then
  peer torch "$work/hf" "$work/torch" || exit 99
  for kind in plain hugging-face transposed one-storage parameters double sharded; do
    run import "$work/torch/$kind" -o "$work/from-$kind"
    ok "PyTorch: $kind" same "$work/hf" "$work/from-$kind"
  done
  for kind in f16 bf16; do
    run export "$model" --to hf --type $kind -o "$work/hf-$kind"
    run import "$work/hf-$kind" -o "$work/want-$kind"
    run import "$work/torch/$kind" -o "$work/from-$kind"
    ok "PyTorch: $kind" same "$work/want-$kind" "$work/from-$kind"
  done
  for kind in old training calls untied; do
    ok "PyTorch: $kind is refused" sh -c '"$1" import "$2" -o "$3"; test $? -eq 5 -a ! -e "$3" -a ! -e "$2/called"' - \
      "$WABUN" "$work/torch/$kind" "$work/no"
  done
else skip PyTorch "python3-torch or python3-numpy"; fi

# ---- transformers: its own GPT-2 class, and the classes of tokenizers that an export brings along
if [ -n "${TRANSFORMERS-}" ] && [ -d "$TRANSFORMERS/transformers" ] && module torch && module numpy; then
  export TRANSFORMERS HF_HOME="$work/home"
  grep . "$work/text" | sed -E 's,^(.{15}).*,\1,' | sed -n '1,30p' >"$work/lines"
  rows () { # TOKENIZER [ROW]: lines with their ids and what those are as a text
    sed 's/[\\"]/\\&/g; s/\t/\\t/g; s/.*/{"text": "&"}/' "$work/lines" >"$work/rows"
    [ $# -eq 1 ] || printf '%s\n' "$2" >>"$work/rows"
    "$WABUN" encode --tokenizer "$1" --jsonl <"$work/rows" >"$work/ids"
    "$WABUN" decode --tokenizer "$1" --jsonl <"$work/ids" >"$work/back"
    "$PYTHON" -c 'import json, sys
rows, ids, back = ([json.loads(line) for line in open(name, encoding="utf-8")] for name in sys.argv[1:])
for a, b, c in zip(rows, ids, back):
    print(json.dumps({"text": a["text"], "ids": b["ids"], "decoded": c["text"], "clean": False}))' \
      "$work/rows" "$work/ids" "$work/back" >"$work/wanted"
  }
  rows "$model"
  "$WABUN" score --model "$model" --tokens --digits 9 "$work/lines" >"$work/scores"
  run export "$model" --to hf --shard-size 1 -o "$work/hf-sharded"
  for kind in hf hf-sharded; do
    ok "transformers: $kind, its log-probabilities" transformers score "$work/$kind" "$work/scores" "$work/ids"
  done
  for kind in f16 bf16; do
    "$WABUN" score --model "$work/want-$kind" --tokens --digits 9 "$work/lines" >"$work/scores"
    ok "transformers: $kind, its log-probabilities" transformers score "$work/hf-$kind" "$work/scores" "$work/ids"
  done
  printf '{"text": "wabun "}\n' | "$WABUN" encode --tokenizer byte --jsonl >"$work/prompt"
  "$WABUN" generate --model "$model" --context 'wabun ' --temperature 0 --max-length 40 >"$work/greedy" 2>/dev/null
  transformers generate "$work/hf" "$work/prompt" 40 2>/dev/null | "$WABUN" decode --tokenizer byte --jsonl >"$work/theirs"
  ok "transformers: its greedy text" "$PYTHON" -c 'import json, sys
ours, theirs = open(sys.argv[1], encoding="utf-8", newline="").read(), json.loads(open(sys.argv[2], encoding="utf-8").readline())["text"]
print(repr(theirs))
sys.exit(theirs == "" or ours not in (theirs, theirs + "\n"))' "$work/greedy" "$work/theirs"
  ln -s hf "$work/hf-f32"
  ln -s hf "$work/want-f32"
  for type in f32 f16 bf16; do
    ok "transformers: $type, saves" transformers save "$work/hf-$type" "$work/saved-$type"
    for kind in torch safetensors sharded; do
      run import "$work/saved-$type/$kind" --tokenizer byte -o "$work/from-saved-$type-$kind"
      ok "transformers: $type, $kind of save_pretrained" same "$work/want-$type" "$work/from-saved-$type-$kind"
    done
  done
  export_with () { # TOKENIZER NAME: a model of one step that has it, as hf-NAME
    run encode --tokenizer "$1" -o "$work/tok-$2" "$work/text"
    run train "$work/cfg" --set run="$work/run-$2" --set tokenizer="$1" --set data.train="$work/tok-$2" --set train.steps=1
    run export "$work/run-$2/latest" --to hf -o "$work/hf-$2"
  }
  for kind in ja-bpe unigram bpe; do
    if "$WABUN" vocab train --kind $kind --size 900 -o "$work/v-$kind" "$work/text" >"$work/out" 2>&1; then
      export_with "$work/v-$kind" $kind
      rows "$work/v-$kind" '{"text": "a \n<|endoftext|>\n b"}'
      ok "transformers: the class of $kind" transformers tokenize "$work/hf-$kind" "$work/wanted"
    else skip "transformers: the class of $kind" "what trains its vocabulary"; fi
  done
  if [ -n "${ORACLE-}" ]; then
    for kind in bpe swe; do
      export_with "$(echo "$ORACLE/vocab/ja-$kind"*.txt)" original-$kind
      ok "transformers: the class of ja-$kind, ids of the original" transformers tokenize "$work/hf-original-$kind" \
        "$ORACLE/${kind}_public.jsonl"
    done
  else skip "transformers: ids of the original" ORACLE=DIR; fi
else skip transformers "TRANSFORMERS=DIR or python3-torch"; fi

# ---- NumPy
if module numpy; then
  run export "$work/tok" --to npz -o "$work/tok.npz"
  ok "NumPy: reads our ids" peer ids "$work/tok" "$work/tok.npz"
  peer npz "$work/tok" "$work/np" || exit 99
  for kind in stored deflated big-endian; do
    run import "$work/np/$kind.npz" --tokenizer byte -o "$work/np/$kind"
    ok "NumPy: $kind" cmp "$work/tok.bin" "$work/np/$kind.bin"
  done
  for kind in real negative columns; do
    ok "NumPy: $kind is refused" sh -c '"$1" import "$2" -o "$3"; test $? -eq 5 -a ! -e "$3.idx"' - "$WABUN" \
      "$work/np/$kind.npz" "$work/no"
  done
else skip NumPy python3-numpy; fi

# ---- llm.c: its own loss before the first step, of 20 windows of 64 tokens, and ours of the same
if [ -n "${LLMC-}" ] && [ -f "$LLMC/train_gpt2.c" ]; then
  mkdir -p "$work/llmc/dev/data/tinyshakespeare"
  ${CC:-cc} -O2 -o "$work/llmc/train" "$LLMC/train_gpt2.c" -lm || exit 99
  run export "$model" --to llmc -o "$work/llmc/gpt2_124M.bin"
  run export "$work/tok" --to llmc -o "$work/llmc/dev/data/tinyshakespeare/tiny_shakespeare_train.bin"
  peer llmc_tokens "$work/tok" "$work/llmc/dev/data/tinyshakespeare/tiny_shakespeare_val.bin" || exit 99
  (cd "$work/llmc" && ./train >out 2>&1)
  run train "$work/cfg" --set run="$work/once" --set model.base="$model" --set data.shuffle=false \
    --set train.global_batch=20 --set train.steps=1 --set log.every=1
  ok "llm.c: its loss and wabun's" peer loss "$work/once/metrics.jsonl" "$work/llmc/out"
  ok "llm.c: takes our tokens" grep '^step 40: train loss' "$work/llmc/out"
else skip llm.c "LLMC=DIR with its train_gpt2.c"; fi

echo "1..$point"
exit $bad
