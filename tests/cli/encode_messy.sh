#!/bin/sh
# timeout: 600 - wabun encode on files as users have them: encodings, suffixes, bad lines, CRLF, splits, signals.  Writes TAP.
# shellcheck disable=SC2016,SC2034 # what verdict evaluates
. "${top_srcdir:=.}/tests/cli/encode_common.sh"

# enc WHAT CODE PATTERN ARGUMENT...: encode into $work/t; the pattern is in what it says
enc () {
  what=$1 want=$2 pattern=$3
  shift 3
  rm -f "$work"/t.* "$work"/t-valid.*
  "$WABUN" encode --tokenizer byte -o "$work/t" "$@" </dev/null >"$work/out" 2>"$work/err"
  code=$?
  verdict "$what" eval '[ $code -eq "$want" ] && grep -q -e "$pattern" "$work/err"'
}
piped () { rm -f "$work"/t.* && "$WABUN" encode --force --tokenizer byte -o "$work/t" - 2>"$work/err"; }
says () { verdict "$1" grep -q -e "$2" "$work/err"; }
silent () { verdict "$1" eval '! grep -q -e "warning" "$work/err"'; }
text () { # WHAT FILE [PREFIX]: the documents are those of the file, each with its end
  "$WABUN" decode --tokenizer byte "${3:-$work/t}" 2>>"$work/err" | sed 's/<|endoftext|>$//' >"$work/got"
  verdict "$1" cmp "$work/got" "$2" 2>>"$work/err"
}
: >"$work/err"

# ---- encodings: the same text in each
i=0
while [ $i -lt 12 ]; do
  i=$((i + 1))
  printf 'メロスは激怒した。必ず、かの邪智暴虐の王を除かなければならぬと決意した。(%d)\n' $i
done >"$work/utf8.txt"
{ cat "$work/utf8.txt"; echo; } >"$work/want"
for c in SHIFT_JIS EUC-JP ISO-2022-JP UTF-16LE UTF-16BE UTF-16; do
  iconv -f UTF-8 -t $c "$work/utf8.txt" >"$work/x.txt"
  case $c in SHIFT_JIS) name=CP932 ;; UTF-16) name=UTF-16LE ;; *) name=$c ;; esac
  enc "$c is converted" 0 "1 file converted from $name" "$work/x.txt"
  text "$c: the text" "$work/want"
  "$WABUN" encode --force --tokenizer byte -o "$work/t" - <"$work/x.txt" 2>"$work/err"
  text "$c from a pipe: the text" "$work/want"
done
iconv -f UTF-8 -t SHIFT_JIS "$work/utf8.txt" >"$work/x.txt"
enc "--from" 0 "converted from CP932" --from sjis "$work/x.txt"
text "--from: the text" "$work/want"
enc "--from nothing" 2 "iconv does not know" --from klingon "$work/x.txt"
enc "--from utf-8: as it is" 5 "is CP932, not utf-8" --from utf-8 "$work/x.txt"
enc "--keep-garbled" 0 "1 document," --from utf-8 --keep-garbled "$work/x.txt"
printf '{"text": "メロスは激怒した。かならずかの王をのぞかねばならぬ"}\n' | iconv -f UTF-8 -t SHIFT_JIS >"$work/sjis.jsonl"
enc "lines in Shift_JIS" 0 "converted from CP932" "$work/sjis.jsonl"
{ echo 'メロスは激怒した。かならずかの王をのぞかねばならぬ'; } >"$work/want"
text "lines in Shift_JIS: the text" "$work/want"
# Longer than a unit, ASCII at first.
{ awk 'BEGIN { for (i = 0; i < 30000; i++) print "plain English, line by line and page by page, number", i }'; cat "$work/utf8.txt"; } >"$work/late.utf8"
iconv -f UTF-8 -t SHIFT_JIS "$work/late.utf8" >"$work/late.txt"
enc "Shift_JIS after much ASCII" 0 "converted from CP932" "$work/late.txt"
{ cat "$work/late.utf8"; echo; } >"$work/want"
text "Shift_JIS after much ASCII: the text" "$work/want"
head -n 4000 "$work/late.utf8" >"$work/part.utf8" # more than the beginning that is looked at, less than a unit
cat "$work/utf8.txt" >>"$work/part.utf8"
for c in SHIFT_JIS ISO-2022-JP; do
  iconv -f UTF-8 -t $c "$work/part.utf8" >"$work/part.txt"
  enc "$c after some ASCII" 0 "converted from" "$work/part.txt"
  { cat "$work/part.utf8"; echo; } >"$work/want"
  text "$c after some ASCII: the text" "$work/want"
done
printf '\223\372\226\173\214\352\n' >"$work/short.txt" # too short to be sure
enc "what is uncertain is named" 5 "short.txt is not UTF-8.*--from" "$work/short.txt"
mkdir "$work/some"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cp "$work/utf8.txt" "$work/some/$i.txt"; done
cp "$work/short.txt" "$work/some"
enc "one garbled of 13 is taken" 0 "13 documents" "$work/some"
says "and named" "short.txt is not UTF-8"

# a wrong --from is said in one way, and nothing is called converted that is not
for c in ISO-2022-JP EUC-JP; do
  iconv -f UTF-8 -t $c "$work/utf8.txt" >"$work/y.txt"
  for from in utf-8 cp932; do
    enc "$c is not $from" 5 "y.txt is $c, not [A-Za-z0-9-]*: leave out --from" --from $from "$work/y.txt"
    verdict "$c as $from: no word of converting it" eval '! grep -q "converted" "$work/err"'
  done
done
enc "UTF-8 is not CP932" 5 "utf8.txt is UTF-8, not CP932" --from sjis "$work/utf8.txt"
enc "nor UTF-16" 5 "utf8.txt is UTF-8, not utf-16" --from utf-16 "$work/utf8.txt"
says "the error names what was given" "1 of 1 documents are not utf-16, as --from says; nothing was written"
# A mixed folder: few documents, but much of the text.
mkdir "$work/mixed"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do iconv -f UTF-8 -t SHIFT_JIS "$work/utf8.txt" >"$work/mixed/$i.txt"; done
cp "$work/utf8.txt" "$work/mixed/14.txt"
enc "one of 14 in UTF-8, as long as the others" 0 "14.txt is UTF-8, not CP932" --from cp932 "$work/mixed"
for i in 1 2 3 4 5 6 7 8; do cat "$work/utf8.txt"; done >"$work/mixed/14.txt"
enc "one of 14, with a third of the text" 5 "1 of 14 documents, with .* of text, are not CP932, as --from says" --from cp932 "$work/mixed"
enc "which --keep-garbled takes" 0 "14 documents" --from cp932 --keep-garbled "$work/mixed"
enc "without --from all is found out" 0 "13 files converted from CP932" "$work/mixed"
head -n 40 "$work/late.utf8" >"$work/ascii.txt"
enc "plain ASCII is each of them" 0 "1 file converted from EUC-JP" --from EUC-JP "$work/ascii.txt"
iconv -f UTF-8 -t EUC-JP "$work/utf8.txt" >"$work/y.txt"
enc "a name of the same encoding" 0 "1 file converted from" --from eucjp "$work/y.txt"
silent "is no mistake"

# <|endoftext|> that is no mark between documents
printf '一\n<|endoftext|>\n\n二<|endoftext|>\n<|endoftext|>\r\n<|endoftext|>\n三\n<|endoftext|>' >"$work/eot.txt"
enc "marks and words" 0 "3 documents" "$work/eot.txt"
says "the word within a line is counted" "warning: <|endoftext|> stands 1 time within a line"
printf '{"text": "a\\n<|endoftext|>\\nb"}\n' >"$work/eot.jsonl"
enc "a text of JSON is one document" 0 "1 document," "$work/eot.jsonl"
says "with a warning" "<|endoftext|> stands 1 time within"
grep -v 二 "$work/eot.txt" >"$work/marks.txt"
enc "marks alone" 0 "3 documents" "$work/marks.txt"
silent "need no warning"

# ---- binary files
printf '\377\330\377\340\000\020JFIF' >"$work/photo.txt"
printf '%%PDF-1.4 text' >"$work/paper.text"
printf 'ab\000\000\000\001\002' >"$work/bin.md"
enc "a picture that is named" 5 "photo.txt is not text: it is a JPEG" "$work/photo.txt"
enc "a PDF that is named" 5 "PDF" "$work/paper.text"
enc "zeros" 5 "binary data" "$work/bin.md"
"$WABUN" encode --force --tokenizer byte -o "$work/t" - <"$work/photo.txt" 2>"$work/err"
verdict "a picture from a pipe" test $? -eq 5

# ---- suffixes
mkdir -p "$work/dir"
echo 一 >"$work/dir/1.TXT"
echo 二 >"$work/dir/2.text"
echo 三 >"$work/dir/3.md"
echo '{"text": "四"}' >"$work/dir/4.JSONL"
echo '{"text": "五", "id": 1}' >"$work/dir/5.ndjson"
printf '{"text": "六"}\n{"text": "七"}\n' >"$work/dir/6.json"
echo '[1, 2]' >"$work/dir/7.json"
touch "$work/dir/a.html" "$work/dir/b.html" "$work/dir/c.epub" "$work/dir/README"
cp "$work/photo.txt" "$work/dir/photo.txt"
enc "suffixes of all kinds" 0 "7 documents" "$work/dir"
says "what is left out is listed" "left out: 2 .html"
says "and the first are named" "left out: .*: .*/dir/README, .*/dir/a.html, .*/dir/b.html, \.\.\."
says "with a picture named .txt" "1 .txt"
says "and where to go with them" "wabun corpus build reads it all"
printf '一\n\n二\n\n三\n\n四\n五\n六\n七\n' >"$work/want"
text "their texts" "$work/want"
mkdir "$work/named"
iconv -f UTF-8 -t EUC-JP "$work/utf8.txt" >"$work/named/a.euc"
iconv -f UTF-8 -t SHIFT_JIS "$work/utf8.txt" >"$work/named/a.SJIS"
enc "names of encodings are texts" 0 "2 documents" "$work/named"
for i in 1 2 3 4; do ln -s nowhere "$work/dir/z$i.txt"; done
ln -s circle "$work/dir/circle"
enc "links that lead nowhere" 0 "7 documents" "$work/dir"
says "one is named" "warning: .*/dir/z1.txt is left out: a symbolic link that leads nowhere"
says "the rest is counted" "and 2 more that cannot be opened"
enc "but not one on the command line" 3 "z1.txt: cannot open" "$work/dir/z1.txt"
rm "$work"/dir/z?.txt "$work/dir/circle"
if [ "$(id -u)" != 0 ]; then
  mkdir "$work/dir/shut" && echo 八 >"$work/dir/shut.txt" && chmod 0 "$work/dir/shut" "$work/dir/shut.txt"
  enc "what may not be read" 0 "7 documents" "$work/dir"
  says "is named" "shut is left out: Permission denied"
  says "a file as well" "shut.txt is left out: Permission denied"
  chmod 700 "$work/dir/shut"
  rm -r "$work/dir/shut" "$work/dir/shut.txt"
fi
enc "JSON that is not lines" 5 "one in each line or in a list" "$work/dir/7.json"
printf '[\n  {\n    "text": "六"\n  },\n  {"text": "七"}\n]\n' >"$work/list.json"
printf '六\n七\n' >"$work/want"
enc "a list of JSON objects" 0 "2 documents" "$work/list.json"
text "... its texts" "$work/want"
verdict "... from a pipe" eval 'piped <"$work/list.json" && grep -q "2 documents" "$work/err"'
cp "$work/dir/6.json" "$work/lines.txt"
"$WABUN" encode --force --tokenizer byte -o "$work/t" - <"$work/lines.txt" 2>"$work/err"
printf '六\n七\n' >"$work/want"
text "lines from a pipe" "$work/want"
echo '{"body": "本文", "text": 1}' >"$work/body.json"
enc "--text-field" 0 "1 document," --text-field body "$work/body.json"
enc "a file twice" 0 "are one file" "$work/dir/1.TXT" "$work/dir/1.TXT"
ln -s "$work/dir/1.TXT" "$work/link.txt"
enc "a file twice, by a link" 0 "are one file" "$work/dir/1.TXT" "$work/link.txt"
mkdir "$work/raw"
echo '<!DOCTYPE html><html><p>本' >"$work/raw/a.txt"
echo '<mediawiki xml:lang="ja">' >"$work/raw/b.txt"
echo '｜邪智《じゃち》［＃改ページ］' >"$work/raw/c.txt"
enc "markup" 0 "1 file of HTML" "$work/raw"
says "markup of a wiki" "1 file of MediaWiki's markup"
says "ruby" "1 file of Aozora"
for i in 1 2 3; do echo '{"text": "<p>本文の段落です。</p><p>次の段落<br>です。</p>"}'; done >"$work/html.jsonl"
for i in 1 2 3 4 5; do printf '{"text": "[[東京]]は{{lang|ja|日本}}の[[首都]]である。"}\n'; done >"$work/wiki.jsonl"
enc "markup in lines of JSON" 0 "warning: lines of JSON: 3 of 8 texts have HTML, .*format = .html" "$work/html.jsonl" "$work/wiki.jsonl"
says "... of a wiki" "5 of 8 texts have MediaWiki's markup, .*format = .wiki"
gzip -c "$work/wiki.jsonl" >"$work/wiki.jsonl.gz"
enc "... packed" 0 "5 of 5 texts have MediaWiki's markup" "$work/wiki.jsonl.gz"
echo '{"text": "括弧［［と(( ))や、<3 や a < b、[1] の注など、記号のある文章。"}' >"$work/plain.jsonl"
enc "none where there is none" 0 "1 document" "$work/plain.jsonl"
silent "... and no warning"

# ---- packed files and archives
mkdir -p "$work/pack"
i=0
while [ $i -lt 400 ]; do
  i=$((i + 1))
  printf '{"text": "%d 番目の文書。"}\n' $i
done >"$work/lines.jsonl"
head -n 200 "$work/lines.jsonl" | gzip >"$work/pack/1.jsonl.gz"
tail -n +201 "$work/lines.jsonl" | zstd -q >"$work/pack/2.jsonl.zst" 2>/dev/null || tail -n +201 "$work/lines.jsonl" | gzip >"$work/pack/2.jsonl.gz"
"$WABUN" encode --tokenizer byte -o "$work/plain" "$work/lines.jsonl" 2>"$work/err"
enc "packed lines in a directory" 0 "400 documents" "$work/pack"
same () { verdict "$1" eval 'cmp "$work/plain.bin" "$work/t.bin" && cmp "$work/plain.idx" "$work/t.idx"'; }
same "packed lines: the same ids"
cat "$work/pack/"* | "$WABUN" encode --force --tokenizer byte -o "$work/t" - 2>"$work/err" # zstd after gzip is damage
verdict "a packed pipe" grep -q "200 documents" "$work/err"
gzip -c "$work/lines.jsonl" | "$WABUN" encode --force --tokenizer byte -o "$work/t" - 2>"$work/err"
same "a packed pipe: the same ids"
gzip -c "$work/x.txt" >"$work/sjis.txt.gz"
enc "packed Shift_JIS" 0 "1 document," "$work/sjis.txt.gz"
iconv -f CP932 -t UTF-8 "$work/x.txt" >"$work/want"
echo >>"$work/want"
text "packed Shift_JIS: the text" "$work/want"
mkdir "$work/tree"
echo 一 >"$work/tree/1.txt"
cp "$work/photo.txt" "$work/tree/2.jpg"
echo '<html><p>三' >"$work/tree/3.html"
printf '{"text": "四"}\n{"text": 4}\n' >"$work/tree/4.jsonl"
(cd "$work" && tar -cf tree.tar tree)
gzip -c "$work/tree.tar" | head -c -12 >"$work/cut.tar.gz"
enc "an archive" 0 "3 documents" "$work/tree.tar"
says "a picture in it is left out" "tree.tar:tree/2.jpg: not text: a JPEG picture"
says "markup in it" "1 document of HTML"
says "a bad line in it" "tree.tar:tree/4.jsonl:2: no string"
enc "--bad-lines stop in an archive" 5 "tree.tar:tree/4.jsonl:2: no string" --bad-lines stop "$work/tree.tar"
enc "an archive that is cut off" 0 "cut.tar.gz: truncated" "$work/cut.tar.gz"
enc "validation from packed lines" 0 "t-valid: " --validation 0.05 "$work/pack"

# ---- bad lines
big=9223372036854775808
{ echo '{"text": "一", "n": '$big'}'; echo '{"text": "二", "x": NaN}'; echo '{"text": null}'; echo '{"text": "\ud800"}'
  printf '\357\273\277{"text": "三"}\n'; echo '{"text": "四"}'; } >"$work/bad.jsonl"
enc "bad lines are left out" 0 "3 documents" "$work/bad.jsonl"
says "named, with a reason" 'bad.jsonl:3: no string "text"'
says "and counted" "3 of 6 lines left out"
printf '一\n三\n四\n' >"$work/want"
text "the good ones" "$work/want"
enc "--bad-lines stop" 5 "bad.jsonl:2: not JSON" --bad-lines stop "$work/bad.jsonl"
enc "--bad-lines other" 2 "skip or stop" --bad-lines other "$work/bad.jsonl"
awk 'BEGIN { for (i = 1; i <= 5000; i++) print i % 40 ? "{\"text\": \"猫\"}" : "{\"text\": NaN}" }' >"$work/many.jsonl"
enc "too many bad lines" 5 "125 of 5,\?000 lines cannot be read.*many.jsonl:40:.*nothing was written" "$work/many.jsonl"
verdict "nothing is left" eval '! ls "$work"/t.* 2>/dev/null'
enc "--bad-lines skip" 0 "4,875 documents" --bad-lines skip "$work/many.jsonl"
says "five are named" "and 120 more lines"

enc "--jsonl with options for files" 2 "line by line" --jsonl --from cp932

# ---- line ends
printf 'a\r\nb\rc\r\n' >"$work/dos.txt"
printf '{"text": "a\\r\\nb\\rc\\r\\n"}' >"$work/dos.jsonl"
printf 'a\nb\rc\n\n' >"$work/want"
for f in dos.txt dos.jsonl; do
  enc "CRLF of $f" 0 "" "$work/$f"
  text "CRLF of $f is LF" "$work/want"
done
printf 'a\r\r\nb\r\r\r\n\r\rc\r' >"$work/twice.txt"
printf 'a\nb\n\r\rc\r\n' >"$work/want"
enc "CR CR LF, of a file that was converted twice" 0 "" "$work/twice.txt"
text "... is LF too" "$work/want"
printf 'a\r\nb\rc\r\n\n' >"$work/want"
for f in dos.txt dos.jsonl; do
  enc "--keep-crlf of $f" 0 "" --keep-crlf "$work/$f"
  text "--keep-crlf of $f: CRLF" "$work/want"
done

# ---- documents in plain text
awk 'BEGIN { for (d = 0; d < 60; d++) { for (i = d * d * 15 % 9000; i >= 0; i--) printf "文書%d の %d 行目%s", d, i, d % 7 ? "\n" : "\r\n"
  printf "<|endoftext|>%s%s", d % 5 ? "\n" : "\r\n", d % 9 ? "" : "<|endoftext|>\n" } }' >"$work/marks.txt"
gzip -c "$work/marks.txt" >"$work/marks.txt.gz"
same () { for e in .bin .idx "$@"; do cmp "$work/t$e" "$work/one$e" || return 1; done; }
enc "<|endoftext|> in a text" 0 "t: 60 documents" "$work/marks.txt"
for e in .bin .idx; do cp "$work/t$e" "$work/one$e"; done
enc "... in a packed text" 0 "t: 60 documents" "$work/marks.txt.gz"
verdict "the same" same
verdict "... from a pipe" eval 'cat "$work/marks.txt" | piped && same'
verdict "... in another encoding" eval 'iconv -f UTF-8 -t CP932 "$work/marks.txt" | piped && grep -q "converted from CP932" "$work/err" && same'
enc "--validation of a text with documents" 0 "t: 5[0-9] documents" --validation 0.1 "$work/marks.txt"
for e in .bin .idx -valid.bin -valid.idx; do cp "$work/t$e" "$work/one$e"; done
enc "... of a packed one" 0 "t: 5[0-9] documents" --validation 0.1 "$work/marks.txt.gz"
verdict "the same" same -valid.bin -valid.idx
head -n 100 "$work/marks.txt" >"$work/few.txt"
enc "... of one with few" 0 "t-valid: " --validation 0.1 "$work/few.txt"

# ---- validation
awk 'BEGIN { for (i = 0; i < 2000; i++) printf "{\"text\": \"文書%d\"}\n", i }' >"$work/docs.jsonl"
enc "--validation" 0 "t-valid: " --validation 0.05 "$work/docs.jsonl"
"$WABUN" decode --tokenizer byte "$work/t" | sort >"$work/a1"
"$WABUN" decode --tokenizer byte "$work/t-valid" | sort >"$work/v1"
verdict "every document is on one side" eval '[ "$(cat "$work/a1" "$work/v1" | sort -u | wc -l)" -eq 2000 ] &&
  [ "$(wc -l <"$work/v1")" -gt 50 ] && [ "$(wc -l <"$work/v1")" -lt 150 ]'
cp "$work/t.bin" "$work/one.bin"
cp "$work/t-valid.idx" "$work/one-valid.idx"
awk 'BEGIN { for (i = 2999; i >= 0; i--) printf "{\"text\": \"文書%d\"}\n", i }' >"$work/more.jsonl"
enc "--validation, more documents" 0 "t-valid: " --validation 0.05 "$work/more.jsonl"
"$WABUN" decode --tokenizer byte "$work/t-valid" | sort >"$work/v2"
verdict "a document stays on its side" eval '[ "$(comm -23 "$work/v1" "$work/v2" | wc -l)" -eq 0 ] &&
  [ "$(comm -12 "$work/a1" "$work/v2" | wc -l)" -eq 0 ]'
head -n 30 "$work/docs.jsonl" >"$work/thirty.jsonl"
enc "at least one is for validation" 0 "t-valid: 1 document," --validation 0.000001 "$work/thirty.jsonl"
head -n 3 "$work/docs.jsonl" | sed 's/"}/\\n次の行\\n最後の行"}/' >"$work/three.jsonl"
enc "few documents are cut" 0 "t-valid: 3 documents" --validation 0.5 "$work/three.jsonl"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "%d 行目の文。\n", i }' >"$work/long.txt"
enc "a long text is cut" 0 "t-valid: 1 document," --validation 0.1 "$work/long.txt"
{ "$WABUN" decode --tokenizer byte "$work/t"; "$WABUN" decode --tokenizer byte "$work/t-valid"; } | grep -v '^<|endoftext|>$' >"$work/got"
verdict "at a line end" cmp "$work/got" "$work/long.txt" 2>>"$work/err"
verdict "near its end" eval '[ "$("$WABUN" decode --tokenizer byte "$work/t-valid" | wc -l)" -gt 9000 ]'
iconv -f UTF-8 -t SHIFT_JIS "$work/utf8.txt" >"$work/x.txt"
enc "a converted text is cut" 0 "t-valid: 1 document," --validation 0.1 "$work/x.txt"
printf 'one line' >"$work/line.txt"
awk 'BEGIN { for (d = 0; d < 12; d++) { for (i = 0; i < 200 + (d == 4) * 3000; i++) printf "文書%dの%d行目\n", d, i
  if (d < 11) print "<|endoftext|>" } }' >"$work/uneven.txt"
enc "validation that is far from its share" 0 "validation has [0-9.]* % of the text, not 1 %: it is 1 of 12 documents" \
  --validation 0.01 "$work/uneven.txt"
"$WABUN" encode --tokenizer byte -o "$work/old" --validation 0.1 "$work/utf8.txt" 2>"$work/err"
silent "new files for validation"
"$WABUN" encode --force --tokenizer byte -o "$work/old" "$work/utf8.txt" 2>"$work/err"
says "old files for validation" "warning: .*/old-valid is from an earlier encoding and stays as it is:.*remove .*/old-valid.bin"
verdict "they stay" test -s "$work/old-valid.bin"
enc "nothing to cut" 5 "nothing was left for validation" --validation 0.1 "$work/line.txt"
verdict "nothing is written" eval '! ls "$work"/t.* "$work"/t-valid.* 2>/dev/null'

# ---- signals
# stopped SIGNAL COMMAND...: it reads a pipe that says nothing; once it writes, a signal ends it
mkfifo "$work/pipe"
stopped () {
  signal=$1
  shift
  sleep 60 >"$work/pipe" &
  holder=$!
  "$@" >"$work/out" 2>"$work/err" </dev/null &
  pid=$!
  i=0
  while [ $i -lt 200 ] && ! ls "$work"/stop.*tmp-* >/dev/null 2>&1; do
    i=$((i + 1))
    sleep 0.1
  done
  ls "$work"/stop.*tmp-* >/dev/null 2>&1 || echo "# nothing was being written"
  kill -s "$signal" $pid
  wait $pid
  code=$?
  kill $holder
  wait $holder 2>/dev/null
  [ $i -lt 200 ] && [ $code -ne 0 ] && ! ls "$work"/stop* 2>/dev/null
}
for s in TERM HUP; do
  verdict "SIG$s leaves nothing" stopped $s "$WABUN" encode --tokenizer byte -o "$work/stop" "$work/pipe"
done
dead=$(sh -c 'echo $$') host=$(uname -n | cut -c 1-32)
touch "$work/t.bin.tmp-$host-$dead-0" "$work/t.bin.tmp-elsewhere-$dead-0" "$work/t.bin.tmp-$host-$$-0"
echo a >"$work/a.txt"
"$WABUN" encode --force --tokenizer byte -o "$work/t" "$work/a.txt" 2>"$work/err"
verdict "what a dead process left is removed, of this host only" eval '[ ! -e "$work/t.bin.tmp-$host-$dead-0" ] &&
  [ -e "$work/t.bin.tmp-elsewhere-$dead-0" ] && [ -e "$work/t.bin.tmp-$host-$$-0" ]'

# ---- ranks
if command -v "$MPIRUN" >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
  fi
  mpi () { # PREFIX ARGUMENT...
    prefix=$1
    shift
    # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
    timeout 240 $MPIRUN ${MPIRUN_FLAGS-} -np 3 "$WABUN" encode --tokenizer byte -o "$prefix" "$@" </dev/null 2>"$work/err"
  }
  set -- "$work/dir" "$work/pack" "$work/tree.tar" "$work/x.txt" "$work/bad.jsonl" "$work/some" "$work/docs.jsonl" "$work/late.txt"
  OMP_NUM_THREADS=2 "$WABUN" encode --tokenizer byte -o "$work/serial" --validation 0.05 "$@" 2>"$work/err"
  grep -v MB/s "$work/err" | sort >"$work/said1"
  mpi "$work/r3" --validation 0.05 "$@"
  verdict "3 ranks: the same files" eval 'cmp "$work/serial.bin" "$work/r3.bin" && cmp "$work/serial.idx" "$work/r3.idx" &&
    cmp "$work/serial-valid.bin" "$work/r3-valid.bin" && cmp "$work/serial-valid.tokenizer" "$work/r3-valid.tokenizer" &&
    [ "$(ls "$work"/r3* | wc -l)" -eq 6 ]'
  grep -v MB/s "$work/err" | sort >"$work/said3"
  verdict "3 ranks: the same is said" eval 'grep "left out\|converted\|not UTF-8\|bad.jsonl:" "$work/said1" >"$work/s1" &&
    grep "left out\|converted\|not UTF-8\|bad.jsonl:" "$work/said3" >"$work/s3" && diff "$work/s1" "$work/s3"'
  mpi "$work/x3" "$work/many.jsonl"
  code=$?
  verdict "3 ranks: too many bad lines" eval '[ $code -eq 5 ] && [ "$(grep -c "^wabun: .*nothing was written" "$work/err")" -eq 1 ] &&
    ! ls "$work"/x3* 2>/dev/null'
  # shellcheck disable=SC2086
  # mpirun would kill them a second after the signal, which a busy machine may need to schedule them
  verdict "mpirun stopped by SIGTERM leaves nothing" stopped TERM env OMPI_MCA_odls_base_sigkill_timeout=5 $MPIRUN ${MPIRUN_FLAGS-} -np 2 "$WABUN" encode --tokenizer byte \
    -o "$work/stop" "$work/pipe" "$work/docs.jsonl"
fi
echo "1..$point"
