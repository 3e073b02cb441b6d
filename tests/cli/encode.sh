#!/bin/sh
# timeout: 600 - wabun encode and decode: files, lines, bad input, exit codes, any number of ranks.  Writes TAP.
# shellcheck disable=SC2016,SC2034 # what verdict evaluates
vocab=${top_srcdir:=.}/tests/golden/bpe
. "$top_srcdir/tests/cli/encode_common.sh"

# check WHAT CODE STDERR-PATTERN ARGUMENT...: stdin is $work/in; stdout stays in $work/out; one line of error at most
check () {
  what=$1 want=$2 pattern=$3
  shift 3
  "$WABUN" "$@" <"$work/in" >"$work/out" 2>"$work/err"
  code=$?
  [ $code -eq "$want" ] || echo "# exit code $code, expected $want"
  if [ "$want" -eq 0 ]; then
    verdict "$what" test $code -eq 0
  else
    verdict "$what" eval '[ $code -eq "$want" ] && grep -q -e "$pattern" "$work/err" &&
      [ "$(grep -c "^wabun: " "$work/err")" -eq 1 ]'
  fi
}

says () { # WHAT FILE TEXT
  printf '%s\n' "$3" >"$work/want"
  verdict "$1" cmp "$2" "$work/want" 2>>"$work/err"
}

: >"$work/in"
: >"$work/err"

# ---- lines
printf '%s\n' '{"text": "日本 猫\n"}' '' '{"text": "", "more": 1}' '{"text": "a\u0000b"}' '{"text": "http://a.b"}' >"$work/in"
check "lines: byte" 0 "" encode --tokenizer byte --jsonl
says "lines: ids of bytes" "$work/out" '{"ids": [230, 151, 165, 230, 156, 172, 32, 231, 140, 171, 10]}
{"ids": []}
{"ids": [97, 0, 98]}
{"ids": [104, 116, 116, 112, 58, 47, 47, 97, 46, 98]}'
check "lines: ja-bpe" 0 "" encode --tokenizer "$vocab" --clean --jsonl
cp "$work/out" "$work/in"
check "lines: back" 0 "" decode --tokenizer "$vocab" --jsonl
says "lines: text" "$work/out" '{"text": "日本 猫\n"}
{"text": ""}
{"text": "a\u0000b"}
{"text": "<URL>"}'

printf '%s\n' '{"text": "a"}' '{"text": ' >"$work/in"
check "lines: bad JSON is named" 5 "input:2: not JSON" encode --tokenizer byte --jsonl
verdict "lines: the good ones before it were answered" test "$(wc -l <"$work/out")" -eq 1
echo '{"text": "\ud800"}' >"$work/in"
check "lines: half a surrogate pair" 5 "input:1" encode --tokenizer byte --jsonl
printf '{"text": "\377"}\n' >"$work/in"
check "lines: not UTF-8" 5 "input:1" encode --tokenizer byte --jsonl
echo '{"txt": "a"}' >"$work/in"
check "lines: no text" 5 'no string "text"' encode --tokenizer byte --jsonl
echo '[1]' >"$work/in"
check "lines: no object" 5 "input:1" decode --tokenizer byte --jsonl
echo '{"ids": [1, 257]}' >"$work/in"
check "lines: an id outside" 5 'ids\[1\] is 257' decode --tokenizer byte --jsonl
echo '{"ids": [1.5]}' >"$work/in"
check "lines: half an id" 5 'ids\[0\]' decode --tokenizer byte --jsonl
: >"$work/in"
check "lines: none" 0 "" encode --tokenizer byte --jsonl
verdict "lines: none, so no answer" test ! -s "$work/out"

# A co-process gets each answer before it sends the next line.
mkfifo "$work/to" "$work/from"
"$WABUN" encode --tokenizer byte --jsonl <"$work/to" >"$work/from" &
exec 3>"$work/to" 4<"$work/from"
answers=
for x in a b c; do
  echo "{\"text\": \"$x\"}" >&3
  read -r line <&4
  answers="$answers$line"
done
exec 3>&- 4<&-
wait
verdict "co-process" test "$answers" = '{"ids": [97]}{"ids": [98]}{"ids": [99]}'

# ---- files
mkdir -p "$work/texts/b" "$work/texts/a/deep" "$work/none" "$work/blank"
printf '\357\273\277日本' >"$work/texts/b/1.txt"
printf '猫\r\n犬' >"$work/texts/a/2.txt"
printf '{"text": "山"}\n\n{"text": "川", "id": 7}\n{"text": ""}\n{"text": "東京"}' >"$work/texts/a/deep/3.jsonl"
: >"$work/texts/a/0.txt"
echo "not read" >"$work/texts/a/readme.html"
ln -s . "$work/texts/b/circle"
touch "$work/none/a.pdf" "$work/blank/a.txt"
check "a directory" 0 "" encode --tokenizer "$vocab" -o "$work/tok/one" "$work/texts"
verdict "a summary" grep -q "5 documents, 12 tokens, .* bytes per token.*2 without text" "$work/err"
verdict "what was left out" grep -q "left out: 1 .html" "$work/err"
check "decoding a token file" 0 "" decode --tokenizer "$vocab" "$work/tok/one"
says "documents in the order of names" "$work/out" '猫
犬<|endoftext|>
山<|endoftext|>
川<|endoftext|>
東京<|endoftext|>
日本<|endoftext|>'
check "the same command makes its files again" 0 "" encode --tokenizer "$vocab" -o "$work/tok/one" "$work/texts"
check "another one does not" 2 "tok/one is there already, made with other options .*--force" encode --tokenizer "$vocab" --keep-crlf -o "$work/tok/one" "$work/texts"
check "nor of other text" 2 "tok/one is there already" encode --tokenizer "$vocab" -o "$work/tok/one" "$work/texts/a"
check "unless it is told to" 0 "" encode --force --tokenizer "$vocab" -o "$work/tok/one" "$work/texts"
rm "$work/tok/one.tokenizer"
check "files of which nothing is known" 2 "nothing tells that this command made it" encode --tokenizer "$vocab" -o "$work/tok/one" "$work/texts"
check "as lines" 0 "" decode --tokenizer "$vocab" --jsonl "$work/tok/one"
mv "$work/out" "$work/again.jsonl"
check "and back" 0 "" encode --tokenizer "$vocab" -o "$work/tok/again" "$work/again.jsonl"
verdict "gives the same ids" cmp "$work/tok/one.bin" "$work/tok/again.bin"
printf 'a b' >"$work/in"
check "the standard input" 0 "" encode --tokenizer byte -o "$work/tok/in" -
check "decoding it" 0 "" decode --tokenizer byte "$work/tok/in"
says "one document" "$work/out" 'a b<|endoftext|>'

# ---- what is wrong
check "no tokenizer" 2 "tokenizer is missing" encode -o "$work/x" "$work/texts"
check "no prefix" 2 "PREFIX is missing" encode --tokenizer byte "$work/texts"
check "no input" 2 "no INPUT" encode --tokenizer byte -o "$work/x"
check "unknown option" 2 "did you mean --clean" encode --tokenizer byte --claen -o "$work/x" "$work/texts"
check "lines and files" 2 "neither" encode --tokenizer byte --jsonl -o "$work/x"
check "unknown tokenizer" 3 "kinds known" encode --tokenizer "$work/nowhere" -o "$work/x" "$work/texts"
check "a directory without tokenizer" 2 "kinds known" encode --tokenizer "$work/none" -o "$work/x" "$work/texts"
check "no such input" 3 "nowhere.txt" encode --tokenizer byte -o "$work/x" "$work/nowhere.txt"
check "no text files" 5 "1 file there, but none that ends in" encode --tokenizer byte -o "$work/x" "$work/none"
check "empty files" 5 "all empty" encode --tokenizer byte -o "$work/x" "$work/blank"
echo '{"text": ""}' >"$work/empty.jsonl"
check "empty documents" 5 "no document has any text" encode --tokenizer byte -o "$work/x" "$work/empty.jsonl"
printf '\037\213\010\000 no gzip at all' >"$work/x.gz"
check "compressed, but damaged" 5 "x.gz: broken" encode --tokenizer byte -o "$work/x" "$work/x.gz"
printf '{"text": "a"}\n\n{"text"}\n{"text": "b"}\n' >"$work/bad.jsonl"
check "a bad line" 5 "bad.jsonl:3: not JSON" encode --bad-lines stop --tokenizer byte -o "$work/x" "$work/texts" "$work/bad.jsonl"
check "another vocabulary" 5 "vocabulary has" decode --tokenizer byte "$work/tok/one"
check "no such token file" 3 "nowhere.idx" decode --tokenizer byte "$work/nowhere"
head -c 40 "$work/tok/one.idx" >"$work/tok/again.idx"
check "a truncated index" 5 "truncated" decode --tokenizer "$vocab" "$work/tok/again"
verdict "nothing is left of what failed" eval '! ls "$work"/x.* "$work"/*tmp* 2>/dev/null | grep -v "x\.gz$"'

# ---- ranks and threads
i=0
while [ $i -lt 500 ]; do
  i=$((i + 1))
  printf '{"text": "%d 日本の山と川。電話は(03)1234-%04d、猫\\n犬%d"}\n' $i $i $((i * i))
done >"$work/texts/many.jsonl"
i=0
while [ $i -lt 20 ]; do
  i=$((i + 1))
  printf '東京大学%d\n' $i $((i * 3)) $((i * 7)) >"$work/texts/b/t$i.txt"
done
OMP_NUM_THREADS=1 "$WABUN" encode --tokenizer "$vocab" --clean -o "$work/serial" "$work/texts" 2>"$work/err"
OMP_NUM_THREADS=3 "$WABUN" encode --tokenizer "$vocab" --clean -o "$work/threads" "$work/texts" 2>"$work/err"
# which tokenizer it was
for name in serial serial.idx serial.bin; do
  "$WABUN" inspect "$work/$name" >"$work/out" 2>"$work/err"
  verdict "inspect $name names the tokenizer" grep -q '^  tokenizer  *ja-bpe of [0-9,]* ids ([0-9a-f]\{16\})$' "$work/out"
done
verdict "3 threads: the same file" eval 'cmp "$work/serial.bin" "$work/threads.bin" && cmp "$work/serial.idx" "$work/threads.idx"'

# Texts that several threads share: 4 MB with line ends of both kinds, no line end in the last 2 MB, a mark at the start;
# their ids are those of one call for the whole text.  `words` has words that lie across line ends (東<BR>1 is 東< B R >1), so there is one call.
awk 'BEGIN {
  printf "\357\273\277"
  for (i = 0; i < 60000; i++) printf "%d日目、山と川 (^_^)\t%d東%s", i, i % 7, i % 3 == 0 ? "\r\n" : "\n"
  for (i = 0; i < 130000; i++) printf "東京大学%d", i % 11 }' >"$work/long.txt"
mkdir -p "$work/words"
cp "$vocab/emoji.json" "$work/words"
{ printf '%s\n' '東<' '>1' '>2' '>3' '>4' '>5' '>6' '>7' '>8' '>9'; cat "$vocab/ja-bpe.txt"; } >"$work/words/ja-bpe.txt"
{ printf '{"text": "'; tail -c +4 "$work/long.txt" | awk '{ gsub (/\t/, "\\t"); gsub (/\r/, "\\r"); printf "%s%s", n++ ? "\\n" : "", $0 }'
  echo '"}'; } >"$work/long.jsonl"
# Lines longer than a thread's share, short ones, and none at the end of one.
awk 'BEGIN { for (n = 1; n <= 7; n++) {
  printf "{\"text\": \""; for (i = 0; i < 30000 * (n % 4); i++) printf "山と川%d", n; printf "\"}\n\n" } 
  for (n = 0; n < 30000; n++) printf "{\"text\": \"猫%d\"}\n", n
  printf "{\"text\": \"犬\"}" }' >"$work/lines.jsonl"
for v in "$vocab" "$work/words"; do
  of=$(basename "$v")
  "$WABUN" encode --tokenizer "$v" --jsonl <"$work/long.jsonl" 2>"$work/err" | tr -cs '0-9' '\n' | sed '/^$/d' >"$work/want"
  for n in 1 2 3; do
    for from in "$work/long.txt" -; do
      rm -f "$work"/long.bin "$work"/long.idx
      OMP_NUM_THREADS=$n "$WABUN" encode --keep-crlf --tokenizer "$v" -o "$work/long" "$from" <"$work/long.txt" 2>"$work/err"
      { od -An -v -w2 -tu2 "$work/long.bin" | sed '$d' | tr -d ' '; } >"$work/out" 2>>"$work/err"
      verdict "$of, $n threads, a long text from $(basename "$from")" eval 'cmp "$work/want" "$work/out" >>"$work/err" &&
        grep -q "1 document, " "$work/err"'
    done
  done
done
OMP_NUM_THREADS=1 "$WABUN" encode --tokenizer byte -o "$work/lines1" "$work/lines.jsonl" "$work/long.txt" 2>"$work/err"
verdict "long lines and short ones" eval 'grep -q "30,008 documents.*1 without text" "$work/err"'
for n in 2 3; do
  OMP_NUM_THREADS=$n "$WABUN" encode --tokenizer byte -o "$work/lines$n" "$work/lines.jsonl" "$work/long.txt" 2>"$work/err"
  verdict "$n threads: the same file" eval 'cmp "$work/lines1.bin" "$work/lines$n.bin" && cmp "$work/lines1.idx" "$work/lines$n.idx"'
done
"$WABUN" decode --tokenizer byte --jsonl "$work/lines1" 2>"$work/err" | head -n 30007 >"$work/out"
{ sed '/^$/d; /: ""}/d' "$work/lines.jsonl"; echo; } >"$work/want"
verdict "the lines, whole and in order" cmp "$work/out" "$work/want" 2>>"$work/err"
sed '29000s/.*/{"text": 1}/; 29500s/.*/no JSON/' "$work/lines.jsonl" >"$work/wrong.jsonl"
for n in 1 3; do
  OMP_NUM_THREADS=$n "$WABUN" encode --bad-lines stop --tokenizer byte -o "$work/x" "$work/wrong.jsonl" 2>"$work/err"
  code=$?
  verdict "$n threads: the first of two bad lines is named" eval '[ $code -eq 5 ] &&
    [ "$(grep -v warning "$work/err" | grep -c "^wabun: .*wrong.jsonl:29000: no string")" -eq 1 ] && ! ls "$work"/x.bin* 2>/dev/null'
done

# A stray byte in much text is not worth a warning.
i=0
while [ $i -lt 99 ]; do i=$((i + 1)); printf '日本語'; done >"$work/stray.txt"
printf '\377\n' >>"$work/stray.txt"
"$WABUN" encode --tokenizer byte -o "$work/stray" "$work/stray.txt" 2>"$work/err"
verdict "a stray byte: no warning" eval '! grep -q "warning" "$work/err" && [ -s "$work/stray.bin" ]'
check "-o DIR/ is refused" 2 "that is a directory; .*/text" encode --tokenizer byte -o "$work/texts/" "$work/texts"
check "-o DIR is refused" 2 "that is a directory; .*/text" encode --tokenizer byte -o "$work/texts" "$work/texts"
if command -v "$MPIRUN" >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
  fi
  for ranks in 1 2 3 5; do
    # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
    timeout 240 $MPIRUN ${MPIRUN_FLAGS-} -np $ranks "$WABUN" encode --tokenizer "$vocab" --clean -o "$work/r$ranks" "$work/texts" \
      </dev/null 2>"$work/err"
    verdict "$ranks ranks: the same file" eval 'cmp "$work/serial.bin" "$work/r$ranks.bin" &&
      cmp "$work/serial.idx" "$work/r$ranks.idx" && cmp "$work/serial.tokenizer" "$work/r$ranks.tokenizer" && [ "$(ls "$work"/r"$ranks".* | wc -l)" -eq 3 ]'
  done
  # shellcheck disable=SC2086
  timeout 240 $MPIRUN ${MPIRUN_FLAGS-} -np 3 "$WABUN" encode --bad-lines stop --tokenizer byte -o "$work/x" "$work/texts" "$work/bad.jsonl" \
    </dev/null >/dev/null 2>"$work/err"
  code=$?
  verdict "3 ranks: one of them meets a bad line, one message" eval '[ $code -eq 5 ] &&
    [ "$(grep -c "bad.jsonl:3: not JSON" "$work/err")" -eq 1 ] && ! ls "$work"/x.bin "$work"/x.rank* 2>/dev/null'
fi
echo "1..$point"
