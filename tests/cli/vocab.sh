#!/bin/sh
# timeout: 120 - wabun vocab: a vocabulary trained, read back, the same again.  Writes TAP.
: "${top_srcdir:=.}" "${WABUN:=./wabun}"
work=${T_TMP:-$(mktemp -d)}
point=0
verdict () { # WHAT COMMAND...
  point=$((point + 1))
  what=$1
  shift
  if "$@"; then
    echo "ok $point - $what"
  else
    sed 's/^/# /' "$work/err"
    echo "not ok $point - $what"
  fi
}
fails () { # CODE PATTERN ARGUMENT...
  want=$1 pattern=$2
  shift 2
  "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null
  [ $? -eq "$want" ] && grep -q -e "$pattern" "$work/err"
}
does () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null; }
ids () { "$WABUN" encode --tokenizer "$1" --jsonl <"$work/line"; }

# ---- a corpus of two genres
mkdir -p "$work/in/plain"
i=0
while [ $i -lt 60 ]; do
  i=$((i + 1))
  echo "今日は日曜日で天気がよいので、公園を散歩する。カタカナ$i回目の言葉と日本語の文章である。" >"$work/in/plain/$i.txt"
  echo "{\"genre\": \"novel\", \"text\": \"吾輩は猫である。名前はまだ無い。$i匹の猫が東京の公園を見ている。\"}" >>"$work/in/lines.jsonl"
done

verdict "ja-bpe is trained" does vocab train --kind ja-bpe --no-words --size 512 -o "$work/a" "$work/in/plain" "$work/in/lines.jsonl"
verdict "it says what it read, by genre" grep -q "^novel" "$work/err"
verdict "the last word is the end of text, without a line end" eval '[ "$(tail -c 13 "$work/a/ja-bpe.txt")" = "<|endoftext|>" ]'
verdict "no pair lies across scripts: one of kanji is there, one of kanji and kana is not" \
  eval 'grep -qx 日本 "$work/a/ja-bpe.txt" && ! grep -qx 輩は "$work/a/ja-bpe.txt"'
verdict "no word is longer than two characters" eval '! LC_ALL=C.UTF-8 grep -qE "^[^<]..+$" "$work/a/ja-bpe.txt"'

verdict "the same again, from the inputs in another order, on other threads" eval '
  OMP_NUM_THREADS=3 does vocab train --kind ja-bpe --no-words --size 512 -o "$work/b" "$work/in/lines.jsonl" "$work/in/plain" &&
  cmp "$work/a/ja-bpe.txt" "$work/b/ja-bpe.txt" && cmp "$work/a/emoji.json" "$work/b/emoji.json"'
mkdir -p "$work/links" && cp "$work/in/plain/1.txt" "$work/in/lines.jsonl" "$work/links" && ln -s nowhere "$work/links/gone.txt" && ln -s . "$work/links/circle"
verdict "a link that leads nowhere is left out, and said" eval 'does vocab train --kind ja-bpe --no-words --size 512 -o "$work/l" "$work/links" && grep -q "gone.txt" "$work/err"'
verdict "another command does not replace it" fails 2 "a/ja-bpe.txt is there already, made with other options" vocab train --kind ja-bpe --no-words --size 600 -o "$work/a" "$work/in/plain"
verdict "the same one makes it again" does vocab train --kind ja-bpe --no-words --size 512 -o "$work/a" "$work/in/plain" "$work/in/lines.jsonl"
verdict "with weights it is another one" eval '
  does vocab train --kind ja-bpe --no-words --size 512 --weight novel=1 --weight plain=0.01 -o "$work/c" "$work/in/lines.jsonl" "$work/in/plain" &&
  ! cmp -s "$work/a/ja-bpe.txt" "$work/c/ja-bpe.txt"'

# ---- it encodes and decodes
printf '%s\n' '{"text": "日本の公園で猫を見た👍🏻、鬱！\n(^_^)"}' >"$work/line"
ids "$work/a" >"$work/ids"
"$WABUN" decode --tokenizer "$work/a" --jsonl <"$work/ids" >"$work/back"
verdict "text comes back, but for the tone of skin" eval 'grep -q "日本の公園で猫を見た👍、鬱！..(^_^)" "$work/back"'
id () { echo $(($(grep -n -x -F -e "$1" "$work/a/ja-bpe.txt" | cut -d : -f 1) - 1)); }
verdict "an emoji with its tone is one id" grep -q "[ []$(id '<|emoji5|>'), " "$work/ids"
verdict "a character that the text lacked is bytes" \
  grep -q "$(id '<|byte233|>'), $(id '<|byte172|>'), $(id '<|byte177|>')" "$work/ids"

# ---- compare
verdict "compare: a table by genre" does vocab compare -t byte -t "$work/a" -o "$work/page.html" "$work/in/plain" "$work/in/lines.jsonl"
verdict "compare: a byte is a token, and no word of several is whole" \
  eval 'awk "\$1 == \"all\" && \$2 == \"byte\" { exit !(\$6 == 1 && \$8 == 100 && \$9 == 0) }" "$work/out"'
verdict "compare: two characters at most are a token" \
  eval 'awk -v t="$work/a" "\$1 == \"novel\" && \$2 == t { found = \$5 > 1 && \$5 <= 2 } END { exit !found }" "$work/out"'
verdict "compare: the page has a plot and needs no other file" \
  eval 'grep -q "<svg" "$work/page.html" && ! grep -qE "<script|src=|href=" "$work/page.html"'
verdict "compare: JSON" does vocab compare --json -t "$work/a" "$work/in/plain"
printf 'カタカナ 公園 言葉\n' >"$work/words.txt"
verdict "compare: words kept whole are counted, those of one token" eval '
  does vocab compare --json -t "$work/a" "$work/words.txt" && grep -q "\"words\": 3" "$work/out" && grep -q "\"words_whole\": 2" "$work/out"'
verdict "compare: without a tokenizer" fails 2 "-t T is missing" vocab compare "$work/in"

# ---- models of SentencePiece, where it was built in
if "$WABUN" vocab train --kind unigram --size 350 -o "$work/u" "$work/in" 2>"$work/err"; then
  verdict "unigram: text comes back byte for byte" eval '
    ids "$work/u" >"$work/ids" && "$WABUN" decode --tokenizer "$work/u" --jsonl <"$work/ids" | cmp - "$work/line"'
  verdict "unigram: the same again, on other threads" eval '
    OMP_NUM_THREADS=3 does vocab train --kind unigram --size 350 -o "$work/u3" "$work/in" && cmp "$work/u/spiece.model" "$work/u3/spiece.model"'
  verdict "bpe" does vocab train --kind bpe --size 350 -o "$work/s" "$work/in"
  verdict "too many pieces for the text" fails 5 "this text gives at most [0-9]* pieces" vocab train --kind bpe --size 90000 -o "$work/x" "$work/in"
  verdict "ja-bpe with words has pairs" eval '
    does vocab train --kind ja-bpe --size 512 -o "$work/w" "$work/in" && grep -qxE "[^<]." "$work/w/ja-bpe.txt"'
else
  verdict "without SentencePiece it is said what to do" grep -q "libsentencepiece-dev" "$work/err"
  verdict "words too" fails 2 "--no-words" vocab train --kind ja-bpe --size 512 -o "$work/x" "$work/in"
fi

# ---- a document of 6 MB for a sample of 16, as one line of JSON, as lines, and as one line of plain text: parts of it count
awk 'BEGIN { printf "{\"text\": \""; for (i = 0; i < 250000; i++) printf "書物の一行%d。", i; print "\"}" }' >"$work/long.jsonl"
sed 's/^{"text": "//; s/"}$//' "$work/long.jsonl" >"$work/line.txt"
sed 's/。/。\
/g' "$work/line.txt" >"$work/lines.txt"
for file in long.jsonl line.txt lines.txt; do
  verdict "$file is longer than a quarter of the sample, and is not left out" eval '
    does vocab train --kind ja-bpe --no-words --force --memory 128M --size 512 -o "$work/long" "$work/$file" &&
    ! grep -q "left out" "$work/err" && grep -qx 書物 "$work/long/ja-bpe.txt"'
done

# ---- threads: the same files on 1, 2 and 3, for one seed
{ cat "$work/in/plain"/*.txt; head -n 30000 "$work/lines.txt"; } >"$work/both.txt"
for kind in ja-bpe unigram bpe; do
  [ $kind = ja-bpe ] || [ -d "$work/u" ] || continue
  words=
  [ -d "$work/u" ] || words=--no-words
  # shellcheck disable=SC2086
  verdict "$kind: the same files on 1, 2 and 3 threads" eval '
    same=yes
    for n in 1 2 3; do
      OMP_NUM_THREADS=$n does vocab train --kind $kind $words --memory 128M --seed 7 --size 512 -o "$work/$kind-$n" "$work/both.txt" || same=no
    done
    [ $same = yes ] && diff -r "$work/$kind-1" "$work/$kind-2" && diff -r "$work/$kind-1" "$work/$kind-3"'
done

# ---- errors
verdict "an unknown kind, and the nearest" fails 2 'did you mean `ja-bpe`' vocab train --kind jabpe --size 600 -o "$work/x" "$work/in"
verdict "a size too small" fails 2 'from 512 to' vocab train --kind ja-bpe --size 100 -o "$work/x" "$work/in"
verdict "no text" fails 5 'no text' vocab train --kind ja-bpe --size 600 -o "$work/x" /dev/null
verdict "no such input" fails 3 'nowhere' vocab train --kind ja-bpe --size 600 -o "$work/x" "$work/nowhere"
verdict "a weight for a genre that is not there" fails 2 'no text of that genre' vocab train --kind ja-bpe --size 600 --weight poem=1 -o "$work/x" "$work/in"
verdict "after errors nothing is left" test ! -e "$work/x"
echo "1..$point"
