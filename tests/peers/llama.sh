#!/bin/sh
# llama.cpp and Hugging Face's tokenizers open what wabun exports.  Not part of make check: it needs Node 20 and a folder
# with npm packages,
#     mkdir peers && cd peers && npm i -E --ignore-scripts tokenizers @huggingface/gguf node-llama-cpp@3.21.1
# Then, with wabun in the PATH or in $WABUN:
#     WABUN_PEERS=.../peers tests/peers/llama.sh [TEXT]
# TEXT (default: README.ja.md) is what models and vocabularies are made of.  Its first PEERS_LINES (40) lines are scored.
# Checks of packages that are not there are skipped.  Writes TAP.
case ${1-} in
  -h | --help) echo "usage: tests/peers/llama.sh [TEXT]"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  -*) echo "llama.sh: unknown option $1; tests/peers/llama.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${WABUN_PEERS:=$PWD}" "${PEERS_LINES:=40}"
text=${1:-$here/../../README.ja.md}
export WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8
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
skip () { point=$((point + 1)); echo "ok $point - $1 # SKIP $2 is not in $WABUN_PEERS"; }
have () { [ -d "$WABUN_PEERS/node_modules/$1" ]; }
run () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null || { cat "$work/err" >&2; exit 99; }; }
node () (cd "$WABUN_PEERS" && command node "$@")
command -v node >/dev/null || { echo "1..0 # SKIP no node"; exit 0; }
cp "$here"/*.mjs "$here"/*.cjs "$WABUN_PEERS" # a module is looked for beside the script

# ---- models, one with words of two characters, two with vocabularies of SentencePiece
grep -v '^    ' "$text" | grep . | sed -E 's,^(.{60}).*,\1,' >"$work/text"
mkdir "$work/vocab"
node -e '
  const fs = require("fs"), text = fs.readFileSync(process.argv[1], "utf8"), count = {};
  const letters = [...new Set(text.replace(/[<\s]/gu, ""))], pairs = text.match(/[^<\s]{2}/gu);
  for (const pair of pairs) count[pair] = (count[pair] ?? 0) + 1;
  const words = [...letters, "<", ...Object.keys(count).filter((pair) => count[pair] > 1), "<SP>", "<BR>", "<TAB>",
    "<URL>", "<EMAIL>", "<TEL>", "<DATE>", "<PRICE>",
    "<|emoji1|>", ...Array.from({length: 256}, (_, byte) => `<|byte${byte}|>`), "<|endoftext|>"];
  fs.writeFileSync(process.argv[2] + "/ja-bpe.txt", words.join("\n"));
  fs.writeFileSync(process.argv[2] + "/emoji.json", JSON.stringify({emoji: {"😀": "<|emoji1|>", "😃": "<|emoji1|>"},
    emoji_inv: {"<|emoji1|>": "😀"}}));' "$work/text" "$work/vocab"
for kind in byte ja-bpe unigram bpe; do
  case $kind in
    byte) tokenizer=byte ;;
    ja-bpe) tokenizer=$work/vocab ;;
    *) tokenizer=$work/v-$kind
      if ! "$WABUN" vocab train --kind $kind --size 800 -o "$tokenizer" "$work/text" >"$work/out" 2>&1; then
        skip "$kind" "what trains its vocabulary"
        continue
      fi ;;
  esac
  run encode --force --tokenizer "$tokenizer" -o "$work/tok" "$work/text"
  cat >"$work/cfg" <<END
run = "$work/$kind"; seed = 1; tokenizer = "$tokenizer"; data = { train = "$work/tok"; };
model = { layers = 2; width = 256; heads = 4; context = 256; };
train = { global_batch = 4; steps = 40; lr = 3e-3; warmup = 5; }; checkpoint = { every = 40; };
END
  run train "$work/cfg"
  model=$work/$kind/latest
  run export "$model" --to hf -o "$work/hf-$kind"

  # Lines with their ids, as a text between two ends for scores, and what the ids are as a text.
  { sed -n "1,${PEERS_LINES}p" "$work/text"; echo '𠮷 😀é	—\\ <tag> a<BR'; } >"$work/lines"
  node -e '
    for (const text of require("fs").readFileSync(process.argv[1], "utf8").split("\n"))
      if (text !== "") console.log(JSON.stringify({text}));' "$work/lines" >"$work/lines.jsonl"
  # Tokens that text spells out, for tokenizer.json only: as the last line.
  echo '{"text": "a<|byte200|>b<|byte227|><|byte129|><|byte130|>あ<<|byte7|><|byte1<|byte9|>|><|emoji1|><SP>"}' >>"$work/lines.jsonl"
  "$WABUN" encode --tokenizer "$model" --jsonl <"$work/lines.jsonl" >"$work/ids"
  "$WABUN" decode --tokenizer "$model" --jsonl <"$work/ids" >"$work/texts"
  end=$(sed -n 's/.*"eos_token_id": *\([0-9]*\).*/\1/p' "$model/config.json")
  node -e '
    const fs = require("fs"), [text, ids, back] = process.argv.slice(1, 4).map((file) =>
      fs.readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line)));
    const end = Number(process.argv[4]), fold = process.argv[5] === "ja-bpe", plain = [], framed = [];
    text.forEach((line, i) => {
      const folded = line.text.replaceAll(/[\u2014\u2212]/g, "ー").replaceAll("\u3000", " ");
      plain.push(JSON.stringify({text: line.text, ids: ids[i].ids, back: back[i].text}));
      if (i < text.length - 1) framed.push(JSON.stringify({text: fold ? folded : line.text, ids: [end, ...ids[i].ids, end]}));
    });
    fs.writeFileSync(process.argv[6], plain.join("\n") + "\n");
    fs.writeFileSync(process.argv[7], framed.join("\n") + "\n");' "$work/lines.jsonl" "$work/ids" "$work/texts" "$end" $kind \
    "$work/plain" "$work/framed"

  case $kind in
    byte | ja-bpe)
      if have tokenizers; then
        ok "$kind: tokenizer.json in Hugging Face's tokenizers" sh -c 'cd "$1" && node tokenizers.cjs "$2" <"$3"' - \
          "$WABUN_PEERS" "$work/hf-$kind/tokenizer.json" "$work/plain"
      else skip "$kind: tokenizer.json" tokenizers; fi ;;
  esac
  case $kind in
    ja-bpe) # the ids of --clean from texts as they are; the last would take a backtracker exponential time
      run export "$model" --to hf --clean -o "$work/hf-clean"
      cat >"$work/dirty" <<'END'
詳しくは https://example.jp/a?b=c#d または ｆｔｐ：／／example.jp へ。
連絡先はinfo+a@example.co.jp、ｂ＠example.jp、電話は03-1234-5678、(03)1234-5678、０３１２３４５６７８です
2020年1月1日10時30分から12/31(火)まで、令和3年12月31日(水) 平成２年１月２日 13月 0月
1億2千万3千円、1,234,567円（税込）、１２３４円(税抜)、12,34円、0,123円、1234,567ドル、千ドル、万ユーロ+tax 円周率
笑い（＾＾）(^^) 😀㍻！？～ａｂｃ＜URL＞　<|byte200|>1٣円 𑽒円 1𑽒2円
123456,123456,123456,123456,123456,123456,123456,123456,123456,123456,123456,123456 1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣1٣x円
END
      node -e '
        for (const text of require("fs").readFileSync(process.argv[1], "utf8").trimEnd().split("\n"))
          console.log(JSON.stringify({text}));' "$work/dirty" >"$work/dirty.jsonl"
      "$WABUN" encode --clean --tokenizer "$model" --jsonl <"$work/dirty.jsonl" >"$work/ids"
      "$WABUN" decode --tokenizer "$model" --jsonl <"$work/ids" >"$work/texts"
      node -e '
        const [text, ids, back] = process.argv.slice(1).map((file) =>
          require("fs").readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line)));
        text.forEach((line, i) => console.log(JSON.stringify({text: line.text, ids: ids[i].ids, back: back[i].text})));' \
        "$work/dirty.jsonl" "$work/ids" "$work/texts" >"$work/cleaned"
      if have tokenizers; then
        ok "$kind: tokenizer.json of --clean in Hugging Face's tokenizers" sh -c 'cd "$1" && node tokenizers.cjs "$2" <"$3"' - \
          "$WABUN_PEERS" "$work/hf-clean/tokenizer.json" "$work/cleaned"
      else skip "$kind: tokenizer.json of --clean" tokenizers; fi ;;
  esac

  # What the arithmetic allows, beside wabun on the same numbers, which it takes back from the file: llama.cpp computes GELU
  # by a table of 16 bits, and with numbers of 8 or 4 bits it rounds the inputs to 8 bits.  Unigram has no bytes there.
  "$WABUN" score --model "$model" --tokens --digits 9 "$work/lines" >"$work/original"
  lines=all
  [ $kind != unigram ] || lines=0.9
  for type in f32:1e-4 f16:0.003 bf16:0.03 q8_0:0.06 q4_k:0.08; do
    file=$work/$kind.${type%:*}.gguf
    run export "$model" --to gguf --type "${type%:*}" -o "$file"
    run import "$file" --tokenizer "$model" -o "$work/back-$kind-${type%:*}"
    "$WABUN" score --model "$work/back-$kind-${type%:*}" --tokens --digits 9 "$work/lines" >"$work/scores"
    if have @huggingface/gguf; then
      ok "$kind ${type%:*}: Hugging Face's reader of GGUF" node -e 'import ("@huggingface/gguf").then (async (m) => {
        const file = await m.gguf (process.argv[1], {allowLocalFile: true});
        process.exit (file.tensorInfos.length === 28 && file.metadata["gpt2.block_count"] === 2 ? 0 : 1); })' "$file"
    else skip "$kind ${type%:*}: its header" @huggingface/gguf; fi
    if have node-llama-cpp; then
      node llama_score.mjs "$file" <"$work/framed" >"$work/llama"
      ok "$kind ${type%:*}: llama.cpp's log-probabilities" node compare.mjs "$work/scores" "$work/framed" "$work/llama" \
        "${type#*:}" "$work/original" $lines
      # Where the difference comes from: both agree to 2e-5 with double precision, theirs once it has the same table.
      if [ "${type%:*}" = f32 ]; then
        for gelu in exact table; do node reference.mjs "$work/back-$kind-f32" $gelu <"$work/framed" >"$work/$gelu"; done
        ok "$kind f32: llama.cpp against double precision with its table" node compare.mjs "$work/table" "$work/framed" \
          "$work/llama" 2e-5 "$work/original" 0
        node -e 'const fs = require ("fs"), lines = (f) => fs.readFileSync (f, "utf8").trimEnd ().split ("\n");
          const last = (l) => Number (l.slice (l.lastIndexOf ("\t") + 1)), [a, b] = process.argv.slice (1, 3).map ((f) => lines (f).map (last));
          console.log (Math.max (...a.map ((x, i) => Math.abs (x - b[i]) / Math.max (1, Math.abs (x)))), a.length === b.length);' \
          "$work/exact" "$work/scores" >"$work/differ"
        ok "$kind f32: wabun against double precision" awk '{ print; exit !($1 < 1e-5 && $2 == "true") }' "$work/differ"
      fi
    else skip "$kind ${type%:*}: llama.cpp" node-llama-cpp; fi
  done
done
echo "1..$point"
exit $bad
