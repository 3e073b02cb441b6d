#!/bin/sh
# timeout: 600 - every command with every kind of tokenizer: train, encode, decode, generate, score, transform, and the
# tokenizer that a model directory carries.  Writes TAP.
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}"
point=0
cd "$T_TMP" || exit 99
case $top_srcdir in /*) ;; *) top_srcdir=$OLDPWD/$top_srcdir ;; esac

ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >log 2>&1 </dev/null; then
    echo "ok $point - $what"
  else
    tail -n 20 log | sed 's/^/# /'
    echo "not ok $point - $what"
  fi
}

# ---- text, and a vocabulary of each kind
i=0
while [ $i -lt 300 ]; do
  i=$((i + 1))
  printf '山の道を%d回歩いた。雨が降る日も、風の強い日も歩いた。\n川の水は冷たく、空は青い。No. %d\n' $i $((i * 7))
done >text.txt
mkdir swe
{ printf '%s\n' した,シタ た い,イ の 山,川 日 '、' '。' は,ハ を 道 が も 青い '<' '>' '<SP>' '<BR>' '<TAB>' '<BLOCK>' '<KIGOU>' \
    '<U2000U2BFF>'
  b=0
  while [ $b -lt 255 ]; do printf '<|byte%d|>\n' $b; b=$((b + 1)); done
  printf '<|endoftext|>'; } >swe/ja-swe9.txt
echo '{"emoji": {}, "emoji_inv": {}}' >swe/emoji.json
kinds="byte $top_srcdir/tests/golden/bpe swe swe/ja-swe9.txt"

train_model () { # NAME SIZE OPTION...: by the library's trainer, which takes one of two sizes by chance
  name=$1 size=$2
  shift 2
  if command -v spm_train >/dev/null 2>&1; then
    spm_train --input=text.txt --model_prefix="$name" --vocab_size="$size" --hard_vocab_limit=false --minloglevel=2 "$@"
  else
    /usr/bin/python3 -c 'import sys, sentencepiece as s; s.SentencePieceTrainer.Train (" ".join (sys.argv[1:]))' \
      --input=text.txt --model_prefix="$name" --vocab_size="$size" --hard_vocab_limit=false --minloglevel=2 "$@"
  fi >log 2>&1
}
printf 'not a model' >bad.model
: >none
said () { "$WABUN" encode --tokenizer bad.model --jsonl <none 2>err; [ $? -eq "$1" ] && grep -q "$2" err && [ "$(wc -l <err)" -le 2 ]; }
if said 2 "built without SentencePiece"; then
  echo "# SentencePiece: not built in"
elif train_model uni 120 --model_type=unigram; then
  train_model bpe 400 --model_type=bpe --byte_fallback --add_dummy_prefix=false --normalization_rule_name=identity \
    --remove_extra_whitespaces=false '--user_defined_symbols=<|endoftext|>'
  kinds="$kinds uni.model bpe.model"
  ok "a damaged model is one message" said 5 "bad.model: no SentencePiece model"
else
  echo "# SentencePiece: neither spm_train nor python3-sentencepiece is installed: its models are left out"
fi

same_text () { # TOKENIZER: lines of text come back (SentencePiece folds what it folds, so these have no line ends)
  printf '{"text": "%s"}\n' '山の道を歩いた。' '空は青い。No. 7' '' >in
  "$WABUN" encode --tokenizer "$1" --jsonl <in >ids && "$WABUN" decode --tokenizer "$1" --jsonl <ids >out && diff in out
}
cat >train.cfg <<'E2'
model = { layers = 1; width = 16; heads = 2; context = 32; };
data = { train = "tok"; validation = "tok"; };
train = { global_batch = 2; steps = 2; lr = 1e-3; };
validation = { every = 2; samples = 2; };
E2
saved_ids () { "$WABUN" encode --tokenizer run/latest --jsonl <in >ids2 && cmp ids ids2; }
trains () { "$WABUN" train train.cfg --set 'run="run"' --set "tokenizer=\"$1\"" >trained 2>&1 || { cat trained; false; }; }
bits () { grep -q ' bits per byte' trained; }
writes () { "$WABUN" generate --model run/latest --context '山の' --max-length 20 --seed 1 >one &&
  "$WABUN" generate --model run/latest --context '山の' --max-length 20 --seed 1 --output-file two && [ -s one ]; }
scores () { "$WABUN" score --model run/latest in >scores && [ "$(wc -l <scores)" -eq 3 ]; }
vectors () { "$WABUN" transform --model run/latest --context '山の道' >vector && grep -q '^\[' vector; }
for kind in $kinds; do
  name=${kind#"$top_srcdir"/}
  ok "$name: text and back" same_text "$kind"
  rm -rf run tok.*
  ok "$name: a token file" "$WABUN" encode --tokenizer "$kind" -o tok text.txt
  ok "$name: training" trains "$kind"
  ok "$name: bits per byte" bits
  ok "$name: the model's tokenizer" saved_ids
  ok "$name: writing" writes
  ok "$name: scores" scores
  ok "$name: a vector" vectors
done
echo "1..$point"
