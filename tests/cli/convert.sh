#!/bin/sh
# timeout: 600 - wabun inspect, export and import: what comes out, round trips bit for bit, damaged files.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

run () { "$WABUN" "$@" >"$T_TMP/run.out" 2>"$T_TMP/run.err"; }
has () { grep -q -e "$2" "$1"; }
# The tensors of two models of one file are the same bytes.
same () { cmp "$1/model.safetensors" "$2/model.safetensors"; }

# ---- inspect
run inspect "$model"
ok "inspect: a checkpoint" has "$T_TMP/run.out" 'a checkpoint of wabun'
ok "inspect: its parameters" has "$T_TMP/run.out" 'parameters  *34,720$'
ok "inspect: its tokenizer" has "$T_TMP/run.out" 'tokenizer  *byte, 257 ids$'
ok "inspect: its checksums" has "$T_TMP/run.out" 'checksums  *good$'
run inspect --json "$model"
ok "inspect --json" has "$T_TMP/run.out" '"layers": 2,'
cp -r "$model" "$T_TMP/damaged"
printf X | dd of="$T_TMP/damaged/model.safetensors" bs=1 seek=60000 conv=notrunc 2>/dev/null
run inspect "$T_TMP/damaged"
ok "inspect: a damaged checkpoint" has "$T_TMP/run.out" 'checksums  *bad: .*model.safetensors'
run inspect "$model/model.safetensors"
ok "inspect: tensors" has "$T_TMP/run.out" 'wte.weight, type f32, shape 257 x 32$'
printf 'some text\nmore of it\n' >"$T_TMP/text.txt"
run encode --tokenizer byte -o "$T_TMP/tok" "$T_TMP/text.txt"
for f in tok tok.idx; do
  run inspect "$T_TMP/$f"
  ok "inspect: token file $f" has "$T_TMP/run.out" 'tokens  *22$'
done
fails "inspect: nothing there" 3 'no/such: cannot open' inspect no/such
fails "inspect: no format" 2 'text.txt: of no format that is known' inspect "$T_TMP/text.txt"
fails "inspect: no path" 2 'inspect wants a PATH' inspect
mkdir "$T_TMP/run" && ln -s ../model "$T_TMP/run/latest"
fails "inspect: a run" 3 'is a run; its newest model is' inspect "$T_TMP/run"
run inspect "$T_TMP/run/latest"
ok "inspect: the newest of a run" has "$T_TMP/run.out" 'a checkpoint of wabun'

# ---- to Hugging Face and back
hf=$T_TMP/hf
run export "$model" --to hf -o "$hf"
ok "hf: exports" test -f "$hf/model.safetensors"
for f in config.json generation_config.json README.md tokenizer.json tokenizer_config.json wabun-tokenizer.json; do
  ok "hf: $f" test -s "$hf/$f"
done
ok "hf: the format that transformers wants" has "$hf/model.safetensors" '"__metadata__":{"format":"pt"}'
ok "hf: f32 is bit for bit the same" same "$model" "$hf"
printf 'abc\nxyz\n' >"$T_TMP/lines"
score () { "$WABUN" score --model "$1" "$T_TMP/lines"; }
score "$model" >"$T_TMP/want"
score "$hf" >"$T_TMP/got"
ok "hf: the same scores" cmp "$T_TMP/want" "$T_TMP/got"
run import "$hf" -o "$T_TMP/back"
ok "hf and back: bit for bit" same "$model" "$T_TMP/back"
run export "$model" --to hf --shard-size 1 -o "$T_TMP/one"
ok "hf: below the size there is one file" test -f "$T_TMP/one/model.safetensors"

# Conversations go with the model.
cp -R "$model" "$T_TMP/talks"
printf '{"begin": "", "user": "人「{content}」\\n", "assistant": "AI「{content}」<|endoftext|>", "reply": "AI「"}' >"$T_TMP/talks/chat.json"
run export "$T_TMP/talks" --to hf -o "$T_TMP/talks.hf"
ok "hf: chat.json is copied" cmp "$T_TMP/talks/chat.json" "$T_TMP/talks.hf/chat.json"
printf '%s' "{%- for message in messages %}{%- if message['role'] == 'user' %}{{ \"人「\" + message['content'] + \"」\n\" }}{%- endif %}" \
  "{%- if message['role'] == 'assistant' %}{{ \"AI「\" + message['content'] + \"」<|endoftext|>\" }}{%- endif %}{%- endfor %}" \
  '{%- if add_generation_prompt %}{{ "AI「" }}{%- endif %}' >"$T_TMP/template"
ok "hf: and is a template" cmp "$T_TMP/template" "$T_TMP/talks.hf/chat_template.jinja"
run import "$T_TMP/talks.hf" -o "$T_TMP/talks.back"
ok "hf: import takes it along" cmp "$T_TMP/talks/chat.json" "$T_TMP/talks.back/chat.json"
echo '[1]' >"$T_TMP/talks/chat.json"
fails "hf: a chat.json that is none" 5 'talks/chat.json: no JSON object' export "$T_TMP/talks" --to hf -o "$T_TMP/no"

# A model of several files: 1 MB and more of tensors.
"$WABUN" inspect --json "$model" >/dev/null
cat >"$T_TMP/big.cfg" <<END
run = "$T_TMP/big"; seed = 1; tokenizer = "byte";
model = { layers = 2; width = 128; heads = 2; context = 32; };
data = { train = ( { tokens = "$T_TMP/many"; } ); };
parallel = { threads = 1; };
train = { global_batch = 2; steps = 2; lr = 1e-3; warmup = 0; };
checkpoint = { every = 2; };
END
yes 'the text that this model sees' | head -n 200 >"$T_TMP/many.txt"
run encode --tokenizer byte -o "$T_TMP/many" "$T_TMP/many.txt"
run train "$T_TMP/big.cfg"
big=$T_TMP/big/latest
run inspect "$big"
ok "inspect: steps" has "$T_TMP/run.out" 'step  *2$'
ok "inspect: data" has "$T_TMP/run.out" 'data  *tokens .*/many, weight 1, bytes'
run export "$big" --to hf --shard-size 1 -o "$T_TMP/shards"
ok "hf: several files" test -f "$T_TMP/shards/model-00002-of-00002.safetensors" -a \
  ! -e "$T_TMP/shards/model.safetensors"
ok "hf: their index" has "$T_TMP/shards/model.safetensors.index.json" '"wte.weight": "model-00001-of-00002.safetensors"'
run import "$T_TMP/shards" -o "$T_TMP/unsharded"
ok "hf: several files and back" same "$big" "$T_TMP/unsharded"
ok "hf: the card knows the steps" has "$T_TMP/shards/README.md" '^| steps | 2 |$'

for type in f16 bf16; do
  run export "$model" --to hf --type $type -o "$T_TMP/$type"
  run inspect "$T_TMP/$type"
  ok "hf $type: its numbers" has "$T_TMP/run.out" "numbers  *$type$"
  score "$T_TMP/$type" >"$T_TMP/got"
  # shellcheck disable=SC2016 # awk
  ok "hf $type: nearly the same scores" sh -c 'paste "$1" "$2" | awk -F "\t" "
    { d = \$2 - \$4; n++; if (d * d > 0.01 * \$2 * \$2) exit 1 } END { exit n != 2 }"' - "$T_TMP/want" "$T_TMP/got"
  run import "$T_TMP/$type" -o "$T_TMP/$type.f32"
  run export "$T_TMP/$type.f32" --to hf --type $type -o "$T_TMP/$type.again"
  ok "hf $type: there and back again" same "$T_TMP/$type" "$T_TMP/$type.again"
done
ok "config.json says the type" has "$T_TMP/bf16/config.json" '"torch_dtype": "bfloat16"'

# ---- GGUF
run export "$model" --to gguf -o "$T_TMP/f32.gguf"
run inspect "$T_TMP/f32.gguf"
ok "gguf: what it is" has "$T_TMP/run.out" 'numbers  *f32 (28)$'
ok "gguf: its tokenizer" has "$T_TMP/run.out" 'tokenizer  *rwkv, 257 ids$'
run import "$T_TMP/f32.gguf" -o "$T_TMP/gguf"
ok "gguf and back: bit for bit" same "$model" "$T_TMP/gguf"
"$WABUN" score --model "$T_TMP/gguf" "$T_TMP/lines" >"$T_TMP/got"
ok "gguf and back: the same scores, with its tokenizer" cmp "$T_TMP/want" "$T_TMP/got"
run export "$T_TMP/hf" --to gguf --type q8_0 -o "$T_TMP/q8.gguf"
run export "$T_TMP/q8.gguf" --to gguf --type q8_0 -o "$T_TMP/q8again.gguf"
run inspect "$T_TMP/q8.gguf"
ok "gguf: Q8_0 for matrices, f32 for the rest" has "$T_TMP/run.out" 'numbers  *q8_0 (9), f32 (19)$'
ok "gguf: Q8_0 again is the same" sh -c 'tail -c 40000 "$1" >"$1.end"; tail -c 40000 "$2" | cmp - "$1.end"' - \
  "$T_TMP/q8.gguf" "$T_TMP/q8again.gguf"
run export "$big" --to gguf --type q4_k -o "$T_TMP/q4.gguf"
ok "gguf: what is said of it" has "$T_TMP/run.err" 'q4.gguf: 1 file, .* for llama.cpp'
ok "gguf: rows that do not fit" has "$T_TMP/run.err" '6 tensors as q8_0 or f16, since rows are not of whole blocks of q4_k'
run inspect "$T_TMP/q4.gguf"
ok "gguf: Q4_K where rows have whole blocks, Q8_0 for the embedding and other matrices" has "$T_TMP/run.out" \
  'numbers  *q8_0 (7), f32 (19), q4_k (2)$'
run import "$T_TMP/q4.gguf" -o "$T_TMP/q4"
score "$big" >"$T_TMP/got"
score "$T_TMP/q4" >"$T_TMP/got4"
# shellcheck disable=SC2016 # awk
ok "gguf: Q4_K, and back, has nearly the same scores" sh -c 'paste "$1" "$2" | awk -F "\t" "
  { d = \$2 - \$4; n++; if (d * d > 0.01 * \$2 * \$2) exit 1 } END { exit n != 2 }"' - "$T_TMP/got" "$T_TMP/got4"
fails "gguf: something is there" 2 'is there already' export "$model" --to gguf -o "$T_TMP/q8.gguf"
head -c 100000 "$T_TMP/f32.gguf" >"$T_TMP/cut.gguf"
fails "gguf: cut off" 5 'cut.gguf: tensor .*the file was cut off' import "$T_TMP/cut.gguf" -o "$T_TMP/no"
printf 'GGUF\3\0\0\0\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0\0%0176d' 0 >"$T_TMP/huge.gguf"
fails "gguf: 2^60 tensors in 200 bytes" 5 '1152921504606846976 tensors' inspect "$T_TMP/huge.gguf"

# ---- PyTorch: what is no file of its present form (the form itself: tests/unit/test_convert_hostile)
mkdir "$T_TMP/torch"
cp "$model/config.json" "$T_TMP/torch"
printf '\200\002\212\012l\374\234F\371 j\250P\031.' >"$T_TMP/torch/pytorch_model.bin"
fails "torch: before PyTorch 1.6" 5 'an older file can be loaded with PyTorch and saved again' \
  import "$T_TMP/torch" -o "$T_TMP/no"
fails "torch: the file itself" 5 'pytorch_model.bin: not a zip file' inspect "$T_TMP/torch/pytorch_model.bin"
fails "a model directory of PyTorch" 3 'wabun import makes a model of it' generate --model "$T_TMP/torch" --context a
cp "$model/wabun-tokenizer.json" "$T_TMP/torch"
printf 'PK\5\6%018d' 0 | tr 0 '\0' >"$T_TMP/torch/pytorch_model.bin"
fails "torch: an empty zip" 5 'not a zip file' import "$T_TMP/torch" -o "$T_TMP/no"

# ---- llm.c
run export "$model" --to llmc -o "$T_TMP/llmc.bin"
run inspect "$T_TMP/llmc.bin"
ok "llmc: what it is" has "$T_TMP/run.out" 'padded to  *384$'
run import "$T_TMP/llmc.bin" -o "$T_TMP/llmc"
ok "llmc and back: bit for bit" same "$model" "$T_TMP/llmc"
run export "$model" --to llmc --type bf16 -o "$T_TMP/llmc16.bin"
run import "$T_TMP/llmc16.bin" -o "$T_TMP/llmc16"
ok "llmc bf16 and back" same "$T_TMP/bf16.f32" "$T_TMP/llmc16"
for i in 1 2 3; do printf 'document %s\n' $i $i $i >"$T_TMP/doc$i.txt"; done
run encode --tokenizer byte -o "$T_TMP/docs" "$T_TMP/doc1.txt" "$T_TMP/doc2.txt" "$T_TMP/doc3.txt"
same_tokens () { cmp "$1.bin" "$2.bin" && cmp "$1.idx" "$2.idx"; }
run export "$T_TMP/docs" --to llmc -o "$T_TMP/docs.llmc"
run inspect "$T_TMP/docs.llmc"
ok "llmc tokens: what it is" has "$T_TMP/run.out" 'tokens  *102$'
ok "llmc tokens: the end token is first" test "$(od -An -tu2 -j1024 -N4 "$T_TMP/docs.llmc" | tr -d ' ')" = 256100
run import "$T_TMP/docs.llmc" -o "$T_TMP/docs1"
ok "llmc tokens and back" same_tokens "$T_TMP/docs" "$T_TMP/docs1"
run import "$T_TMP/docs.llmc" --tokenizer byte -o "$T_TMP/docs2"
ok "llmc tokens and back, with the tokenizer" same_tokens "$T_TMP/docs" "$T_TMP/docs2"
fails "llmc tokens: something is there" 2 'docs2.idx: is there already' import "$T_TMP/docs.llmc" -o "$T_TMP/docs2"
fails "llmc tokens: --type" 2 '--type is for models' export "$T_TMP/docs" --to llmc --type bf16 -o "$T_TMP/no"
fails "llmc tokens: no such format" 2 'no such format of tokens; there are llmc, npz' export "$T_TMP/docs" --to hf -o "$T_TMP/no"
head -c 1200 "$T_TMP/docs.llmc" >"$T_TMP/docs.cut"
fails "llmc tokens: cut off" 5 'docs.cut: .*cut off or damaged' import "$T_TMP/docs.cut" -o "$T_TMP/no"
head -c 1200 "$T_TMP/llmc.bin" >"$T_TMP/llmc.cut"
fails "llmc: cut off" 5 'llmc.cut: .*cut off or damaged' import "$T_TMP/llmc.cut" -o "$T_TMP/no"

# ---- gpt2-japanese: checkpoints of TensorFlow, token files of NumPy
run export "$hf" --to tf -o "$T_TMP/tf"
for f in checkpoint hparams.json model-0.index model-0.data-00000-of-00001 wabun-tokenizer.json; do
  ok "tf: $f" test -s "$T_TMP/tf/$f"
done
run inspect "$T_TMP/tf"
ok "tf: what it is" has "$T_TMP/run.out" 'name model/h1/mlp/c_fc/w, type f32, shape 1 x 32 x 128$'
run import "$T_TMP/tf" -o "$T_TMP/tf1"
ok "tf and back: bit for bit" same "$model" "$T_TMP/tf1"
rm "$T_TMP/tf/checkpoint"
run import "$T_TMP/tf/model-0.index" -o "$T_TMP/tf2"
ok "tf and back, by the index" same "$model" "$T_TMP/tf2"
cp -r "$T_TMP/tf" "$T_TMP/tfbad"
printf X | dd of="$T_TMP/tfbad/model-0.data-00000-of-00001" bs=1 seek=60000 conv=notrunc 2>/dev/null
fails "tf: damaged numbers" 5 "tensor 'model/.*' does not have its checksum" import "$T_TMP/tfbad" -o "$T_TMP/no"
cp "$T_TMP/tf/model-0.index" "$T_TMP/tfbad"
printf X | dd of="$T_TMP/tfbad/model-0.index" bs=1 seek=100 conv=notrunc 2>/dev/null
fails "tf: a damaged index" 5 'a block does not have its checksum' import "$T_TMP/tfbad" -o "$T_TMP/no"
rm "$T_TMP/tf/hparams.json"
fails "tf: without hparams.json" 5 'nobody knows how many heads' import "$T_TMP/tf" -o "$T_TMP/no"
run export "$T_TMP/docs" --to npz -o "$T_TMP/docs.npz"
run inspect "$T_TMP/docs.npz"
ok "npz: what it is" has "$T_TMP/run.out" 'tokens  *102$'
run import "$T_TMP/docs.npz" -o "$T_TMP/docs3"
ok "npz and back" same_tokens "$T_TMP/docs" "$T_TMP/docs3"
run import "$T_TMP/docs.npz" --tokenizer byte -o "$T_TMP/docs4"
ok "npz and back, with the tokenizer" same_tokens "$T_TMP/docs" "$T_TMP/docs4"
sed 's/, "made_by": .*}/}/' "$T_TMP/docs.tokenizer" >"$T_TMP/docs.identity" # encode's own command was another
ok "npz and back: which tokenizer it is of" cmp "$T_TMP/docs.identity" "$T_TMP/docs4.tokenizer"
head -c 200 "$T_TMP/docs.npz" >"$T_TMP/cut.npz"
fails "npz: cut off" 5 'cut.npz: cut off or damaged' import "$T_TMP/cut.npz" -o "$T_TMP/no"

# ---- ja-bpe for Hugging Face
vocab=$T_TMP/vocab
mkdir "$vocab"
awk 'BEGIN {
  n = split ("日 本 語 日本 本語 の は 。 、 a b < ab <SP> <BR> <TAB> <URL> <|emoji1|> <|emoji2|>", word, " ")
  for (i = 1; i <= n; i++) print word[i]
  for (b = 0; b < 256; b++) print "<|byte" b "|>"
  printf "<|endoftext|>" }' >"$vocab/ja-bpe.txt"
# An earlier key takes its characters away from later ones; some can never match.
cat >"$vocab/emoji.json" <<END
{"emoji": {"😀": "<|emoji1|>", "XY": "<|emoji1|>", "YZ": "<|emoji2|>", "ZX": "<|emoji1|>", "(^^)": "<|emoji2|>",
  "aXY": "<|emoji2|>", "😀😀": "<|emoji2|>", "X": "<|emoji2|>"},
 "emoji_inv": {"<|emoji1|>": "😀", "<|emoji2|>": "(^^)"}}
END
cat >"$T_TMP/ja.txt" <<END
日本語の日本は、日本。
 abab　a	b—−é😀XYZXYZ(^^)aXY
<URL><|endoftext|><|byte97|><BR><|emoji1|><<SP>
END
run encode --tokenizer "$vocab" -o "$T_TMP/jatok" "$T_TMP/ja.txt" "$T_TMP/ja.txt" "$T_TMP/ja.txt"
run train "$T_TMP/big.cfg" --set tokenizer="$vocab" --set run="$T_TMP/ja" --set data.train="$T_TMP/jatok" \
  --set train.steps=1
sed "s/^/# /" "$T_TMP/run.err"
run export "$T_TMP/ja/latest" --to hf -o "$T_TMP/jahf"
for f in tokenizer.json tokenizer_config.json tokenization_wabun.py ja-bpe.txt emoji.json; do
  ok "ja-bpe: $f" test -s "$T_TMP/jahf/$f"
done
ok "ja-bpe: the words as a tree" has "$T_TMP/jahf/tokenizer.json" '"Regex": "(?:<(?:'
# Keys in one expression but for YZ, between two that it could be taken from, and those that never match.
ok "ja-bpe: emoji" has "$T_TMP/jahf/tokenizer.json" '"Regex": "😀|XY"'
# --clean: after the emoji, before the letters of bytes, 95 characters become narrow and six patterns tags.
run export "$T_TMP/ja/latest" --to hf --clean -o "$T_TMP/jaclean"
steps () { sed -n '/"normalizers"/,/"ByteLevel"/p' "$1/tokenizer.json" | grep -c '"type": "Replace"'; }
ok "ja-bpe: --clean adds its normalizers" test $(($(steps "$T_TMP/jaclean") - $(steps "$T_TMP/jahf"))) -eq 101
ok "ja-bpe: --clean for the class" has "$T_TMP/jaclean/tokenizer_config.json" '"clean": true'
ok "ja-bpe: --clean in the card" has "$T_TMP/jaclean/README.md" 'tokenizer.json gives the ids of --clean'
ok "ja-bpe: the class does not clean without it" test "$(grep -c '"clean"' "$T_TMP/jahf/tokenizer_config.json")" -eq 0
if python3 -c '' 2>/dev/null; then
  mkdir "$T_TMP/py"
  cat >"$T_TMP/py/transformers.py" <<'END'
class PreTrainedTokenizer:
    added_tokens_encoder = {}
    def __init__(self, **names): pass
END
  cat >"$T_TMP/py/ids.py" <<'END'
import json, sys
sys.path.insert (0, sys.argv[1])
from tokenization_wabun import WabunTokenizer
t = WabunTokenizer (sys.argv[1] + "/ja-bpe.txt", sys.argv[1] + "/emoji.json")
for line in open (sys.argv[2], encoding="utf-8"):
    words = t._tokenize (json.loads (line)["text"])
    print (json.dumps ({"ids": [t._convert_token_to_id (word) for word in words]}), file=sys.stdout)
    print (json.dumps ({"text": t.convert_tokens_to_string (words)}), file=sys.stderr)
END
  {
    printf '%s\n' '{"text": "日本語の日本は、日本。"}' '{"text": " abab　a\tb—−é😀XYZXYZ(^^)aXY"}' '{"text": ""}' \
      '{"text": "<URL><|endoftext|><|byte97|><BR><|emoji1|><<SP>\r\n\r\n"}' '{"text": "ZXY XYZX 😀😀 X aX <|byte200|>"}'
  } >"$T_TMP/lines.jsonl"
  "$WABUN" encode --tokenizer "$vocab" --jsonl <"$T_TMP/lines.jsonl" >"$T_TMP/ids"
  "$WABUN" decode --tokenizer "$vocab" --jsonl <"$T_TMP/ids" >"$T_TMP/texts"
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$T_TMP/py python3 "$T_TMP/py/ids.py" "$T_TMP/jahf" "$T_TMP/lines.jsonl" \
    >"$T_TMP/py/ids" 2>"$T_TMP/py/texts"
  same_json () { python3 -c 'import json, sys
a, b = ([json.loads (line) for line in open (f)] for f in sys.argv[1:])
sys.exit (a != b or len (a) != 5)' "$1" "$2"; }
  ok "ja-bpe: the ids of tokenization_wabun.py" same_json "$T_TMP/ids" "$T_TMP/py/ids"
  ok "ja-bpe: its texts" same_json "$T_TMP/texts" "$T_TMP/py/texts"

  # Patterns of clean: each alternative, in full width, beside and inside each other.
  {
    printf '%s\n' '{"text": "日https://a.b/c?d=e&f~g日ｆｔｐ：／／ａ.ｂ<a@b.c.d ftp://x @a b.c+d@e-f.g ftp:/a"}' \
      '{"text": "03-1234-5678(03)1234-5678 0312345678 123456 1234567日(日)㈰1月2日3時4分(月)1-2-3 12/31:(火) 12月10日 1月1日㈪㈫㈬㈭㈮"}' \
      '{"text": "2020年1月1日10時30分 令和3年12月31日(水) ㍻1年1月1日㈯ \u32ff2年3月4日 平成٣年1月1日 2020年 0月 13月"}' \
      '{"text": "1億2千万3千円 1,234,567円（税込） 千ドル万ユーロ+tax円円周率 アドルフ 三千円 ０１２円(税抜) 12,34円 1千2億ドル 3ユーロ 4ドル"}' \
      '{"text": "─━│▀▟<BLOCK>■日─ <BLOCK><BLOCK> ━a～！｜　（＾＾）(^^)"}'
  } >"$T_TMP/dirty.jsonl"
  clean_class () { # CLASS TOKENIZER DIR FILE: with clean=True its ids are those of --clean, without it others
    "$WABUN" encode --clean --tokenizer "$2" --jsonl <"$T_TMP/dirty.jsonl" >"$T_TMP/ids" &&
      sed "s/WabunTokenizer/$1/; s,t = .*,t = $1 (sys.argv[1] + '/$4'\, sys.argv[1] + '/emoji.json'\, clean=sys.argv[3] == '1')," \
        "$T_TMP/py/ids.py" >"$T_TMP/py/other.py" &&
      for clean in 1 0; do
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$T_TMP/py python3 "$T_TMP/py/other.py" "$3" "$T_TMP/dirty.jsonl" $clean \
          >"$T_TMP/py/ids" 2>"$T_TMP/py/texts" || { sed 's/^/# /' "$T_TMP/py/texts"; return 1; }
        same_json "$T_TMP/ids" "$T_TMP/py/ids" || echo "clean=$clean: other ids"
      done >"$T_TMP/py/out"
    [ "$(cat "$T_TMP/py/out")" = "clean=0: other ids" ] || { sed 's/^/# /' "$T_TMP/py/out"; return 1; }
  }
  ok "ja-bpe: clean=True of tokenization_wabun.py" clean_class WabunTokenizer "$vocab" "$T_TMP/jahf" ja-bpe.txt
  # The normalizers of tokenizer.json up to the letters of bytes, by Python's expressions; older ones have no (?>...).
  cat >"$T_TMP/py/steps.py" <<'END'
import json, re, sys
sys.path.insert (0, sys.argv[1])
from tokenization_wabun import JaBpe
model = JaBpe (sys.argv[1] + "/ja-bpe.txt", sys.argv[1] + "/emoji.json", clean=True)
steps = json.load (open (sys.argv[1] + "/tokenizer.json", encoding="utf-8"))["normalizer"]["normalizers"]
steps = steps[:steps.index ({"type": "ByteLevel"})]
tags = set ()
for line in open (sys.argv[2], encoding="utf-8"):
    text = got = json.loads (line)["text"]
    for step in steps:
        pattern = step["pattern"].get ("Regex") or re.escape (step["pattern"]["String"])
        got = re.sub (pattern.replace ("(?>", "(?:"), lambda match: step["content"], got)
    if got != model._replace (text): sys.exit (f"{got}\n{model._replace (text)}")
    tags |= {tag for tag in ("<URL>", "<EMAIL>", "<TEL>", "<DATE>", "<PRICE>") if tag in got}
sys.exit (len (tags) != 5)
END
  ok "ja-bpe: --clean by the normalizers of tokenizer.json" env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$T_TMP/py" \
    python3 "$T_TMP/py/steps.py" "$T_TMP/jaclean" "$T_TMP/dirty.jsonl"

  # ja-swe: lines with several spellings, the smallest id, signs that are no word
  swe=$T_TMP/swe
  mkdir "$swe"
  awk 'BEGIN {
    n = split ("日本,本日 日 本 語,言語 本語 の は 。 、 , a b,ab A,Ａ < <SP> <BR> <TAB> <KIGOU> <U2000U2BFF> <BLOCK> <URL> " \
      "<|emoji1|> <|emoji2|>", word, " ")
    for (i = 1; i <= n; i++) print word[i]
    for (b = 0; b < 256; b++) print "<|byte" b "|>"
    printf "<|endoftext|>" }' >"$swe/ja-swe.txt"
  cp "$vocab/emoji.json" "$swe"
  printf '%s\n' '{"text": "本日の日本語は、言語。©→ǂ▀ab,A Ａ<URL><b 𠮷<|byte9|>XYZ"}' '{"text": "é—\r\n\t<|endoftext|"}' >>"$T_TMP/lines.jsonl"
  python_class () { # CLASS TOKENIZER DIR FILE...: the ids and the texts of a class are wabun's
    "$WABUN" encode --tokenizer "$2" --jsonl <"$T_TMP/lines.jsonl" >"$T_TMP/ids" 2>/dev/null
    "$WABUN" decode --tokenizer "$2" --jsonl <"$T_TMP/ids" >"$T_TMP/texts"
    sed "s/WabunTokenizer/$1/; s,t = .*,t = $1 (*sys.argv[3:])," "$T_TMP/py/ids.py" >"$T_TMP/py/other.py"
    dir=$3
    shift 3
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$T_TMP/py "${python:-python3}" "$T_TMP/py/other.py" "$dir" "$T_TMP/lines.jsonl" "$@" \
      >"$T_TMP/py/ids" 2>"$T_TMP/py/texts" || sed 's/^/# /' "$T_TMP/py/texts"
    python3 -c 'import json, sys
for a, b in (sys.argv[1:3], sys.argv[3:5]):
    a, b = ([json.loads (line) for line in open (f)] for f in (a, b))
    if a != b or len (a) != 7: sys.exit (f"{a}\n{b}")' "$T_TMP/ids" "$T_TMP/py/ids" "$T_TMP/texts" "$T_TMP/py/texts"
  }
  run encode --tokenizer "$swe" -o "$T_TMP/swetok" "$T_TMP/ja.txt" "$T_TMP/ja.txt" "$T_TMP/ja.txt"
  run train "$T_TMP/big.cfg" --set tokenizer="$swe" --set run="$T_TMP/sw" --set data.train="$T_TMP/swetok" --set train.steps=1
  run export "$T_TMP/sw/latest" --to hf -o "$T_TMP/swehf"
  run export "$T_TMP/sw/latest" --to hf --clean -o "$T_TMP/sweclean"
  ok "ja-swe: --clean for its class" has "$T_TMP/sweclean/tokenizer_config.json" '"clean": true'
  run export "$T_TMP/sw/latest" --to gguf -o "$T_TMP/swe.gguf"
  run inspect "$T_TMP/swe.gguf"
  ok "ja-swe: gguf" has "$T_TMP/run.out" 'general.description llama.cpp does not have this kind of tokenizer'
  ok "ja-swe: its class is named" has "$T_TMP/swehf/tokenizer_config.json" 'tokenization_wabun.WabunSweTokenizer'
  ok "ja-swe: the ids and texts of tokenization_wabun.py" python_class WabunSweTokenizer "$swe" "$T_TMP/swehf" \
    "$T_TMP/swehf/ja-swe.txt" "$T_TMP/swehf/emoji.json"
  ok "ja-swe: clean=True of it" clean_class WabunSweTokenizer "$swe" "$T_TMP/swehf" ja-swe.txt

  # SentencePiece, where wabun has it, and Python
  for python in python3 /usr/bin/python3; do "$python" -c 'import sentencepiece' 2>/dev/null && break; done
  yes 'some words of one text and other words' | head -n 300 | sed 'n; s/$/ and the end/; n; s/words/lines/' >"$T_TMP/sp.txt"
  if "$WABUN" vocab train --kind unigram --size 310 -o "$T_TMP/sp" "$T_TMP/sp.txt" "$T_TMP/ja.txt" 2>"$T_TMP/run.err" &&
    run encode --tokenizer "$T_TMP/sp" -o "$T_TMP/sptok" "$T_TMP/sp.txt" &&
    run train "$T_TMP/big.cfg" --set tokenizer="$T_TMP/sp" --set run="$T_TMP/spr" --set data.train="$T_TMP/sptok" \
      --set train.steps=1; then
    run export "$T_TMP/spr/latest" --to hf -o "$T_TMP/sphf"
    ok "SentencePiece: its class is named" has "$T_TMP/sphf/tokenizer_config.json" 'WabunSentencePieceTokenizer'
    fails "SentencePiece: --clean" 2 'for models of ja-bpe and ja-swe: the tokenizer of .* is sentencepiece' \
      export "$T_TMP/spr/latest" --to hf --clean -o "$T_TMP/no"
    run export "$T_TMP/spr/latest" --to gguf -o "$T_TMP/sp.gguf"
    run inspect "$T_TMP/sp.gguf"
    ok "SentencePiece: gguf" has "$T_TMP/run.out" 'general.description The tokenizer is of SentencePiece, unigram: llama.cpp'
    ok "SentencePiece: its model as it was" cmp "$T_TMP/sp/spiece.model" "$T_TMP/sphf/spiece.model"
    if "$python" -c 'import sentencepiece' 2>/dev/null; then
      ok "SentencePiece: the ids and texts of tokenization_wabun.py" python_class WabunSentencePieceTokenizer "$T_TMP/sp" \
        "$T_TMP/sphf" "$T_TMP/sphf/spiece.model"
    fi
  else
    sed 's/^/# /' "$T_TMP/run.err"
  fi
else
  point=$((point + 1))
  echo "ok $point - ja-bpe: tokenization_wabun.py # SKIP no python3"
fi

# ---- refusals
fails "export: something is there" 2 'hf: is there already' export "$model" --to hf -o "$hf"
fails "export: no such format" 2 'no such format; there are hf, gguf, llmc, tf' export "$model" --to hfx -o "$T_TMP/no"
fails "export: no such type" 2 'no such type of numbers; there are f32, f16, bf16' export "$model" --to hf --type bf -o "$T_TMP/no"
fails "export: a type it cannot hold" 2 'hf can hold f32 f16 bf16' export "$model" --to hf --type q8_0 -o "$T_TMP/no"
fails "export: not a model" 2 'no model can be taken from it' export "$hf/model.safetensors" --to hf -o "$T_TMP/no"
fails "export: --clean of byte" 2 'for models of ja-bpe and ja-swe: the tokenizer of .* is byte' export "$model" --to hf --clean -o "$T_TMP/no"
mkdir "$T_TMP/bare" && cp "$hf/config.json" "$hf/model.safetensors" "$T_TMP/bare"
fails "export: --clean of no tokenizer" 2 'has no tokenizer that wabun knows' export "$T_TMP/bare" --to hf --clean -o "$T_TMP/no"
for to in gguf llmc tf; do
  fails "export: --clean of $to" 2 'is for --to hf' export "$T_TMP/ja/latest" --to $to --clean -o "$T_TMP/no"
done
fails "export: --clean of tokens" 2 'is for models' export "$T_TMP/docs" --to npz --clean -o "$T_TMP/no"
fails "import: no output" 2 '-o is missing' import "$hf"
printf '{"kind": "byte"}\n' >"$T_TMP/shards/wabun-tokenizer.json"
head -c 300000 "$T_TMP/shards/model-00002-of-00002.safetensors" >"$T_TMP/cut"
cp "$T_TMP/cut" "$T_TMP/shards/model-00002-of-00002.safetensors"
fails "import: a file that was cut off" 5 'was cut off' import "$T_TMP/shards" -o "$T_TMP/no"
# 200 bytes that claim 2^60 elements.
header='{"wte.weight":{"dtype":"F32","shape":[1073741824,1073741824],"data_offsets":[0,4611686018427387904]}}'
{ printf '\145\0\0\0\0\0\0\0%s' "$header"; head -c 100 /dev/zero; } >"$T_TMP/huge.safetensors"
fails "inspect: a header that claims too much" 5 'huge.safetensors' inspect "$T_TMP/huge.safetensors"
run export "$T_TMP/ja/latest" --to gguf -o "$T_TMP/ja.gguf"
run inspect "$T_TMP/ja.gguf"
run import "$T_TMP/ja.gguf" -o "$T_TMP/jaback"
ok "ja-bpe: gguf and back: what of the tokenizer" has "$T_TMP/run.err" 'cannot be taken from a GGUF file.*--tokenizer DIR'
run import "$T_TMP/ja.gguf" --tokenizer "$vocab" -o "$T_TMP/jaback2"
ok "ja-bpe: gguf and back, with its vocabulary" cmp "$T_TMP/jaback2/ja-bpe.txt" "$vocab/ja-bpe.txt"
run inspect "$vocab"
ok "inspect: a vocabulary" has "$T_TMP/run.out" 'tokenizer  *ja-bpe of 276 ids'
run inspect "$T_TMP/ja.gguf"
ok "ja-bpe: gguf" has "$T_TMP/run.out" 'general.description The tokenizer is ja-bpe: llama.cpp gives'
ok "nothing is left of what failed" test -z "$(find "$T_TMP" -name 'no*' -o -name '*.tmp')"
done_testing
