#!/bin/sh
# timeout: 600 - wabun score: against a sum token by token, long lines, options, odd input.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

long=thequickbrownfoxjumpsoverthelazydogandwritesjapanesetextallthelongdayuntilitsleeps
cat >"$T_TMP/lines" <<END
abc

日本語
$long
z
END
score () { "$WABUN" score --model "$model" "$@"; }
direct () { "$make_model" --score "$model" "$1"; }
number () { printf '%s\n' "$1" | sed 's/.*	//'; }
near () { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && d * d <= 1e-7 * b * b) }'; }

score "$T_TMP/lines" >"$T_TMP/out"
ok "a line for each" test "$(wc -l <"$T_TMP/out")" -eq 5
i=0
while IFS= read -r line; do
  i=$((i + 1))
  got=$(sed -n "${i}p" "$T_TMP/out")
  ok "line $i: its text" test "${got%	*}" = "$line"
  ok "line $i: the sum token by token" near "$(number "$got")" "$(direct "$line")"
done <"$T_TMP/lines"
score - <"$T_TMP/lines" >"$T_TMP/stdin"
ok "the standard input" cmp "$T_TMP/out" "$T_TMP/stdin"
sed 's/$/\r/' "$T_TMP/lines" | score - >"$T_TMP/crlf"
ok "CRLF" cmp "$T_TMP/out" "$T_TMP/crlf"
printf 'abc\n\nz' | score - >"$T_TMP/last"
sed -n '1,2p;5p' "$T_TMP/out" >"$T_TMP/want"
ok "no newline at the end" cmp "$T_TMP/want" "$T_TMP/last"
: | score - >"$T_TMP/empty"
ok "nothing to score" test ! -s "$T_TMP/empty"

# More lines than run together, of many lengths, in their order.
awk -v s="$long$long" 'BEGIN { for (i = 0; i < 400; i++) print substr (s, 1 + i % 60, i * 7 % 90) }' >"$T_TMP/many"
score "$T_TMP/many" >"$T_TMP/out"
cut -f 1 "$T_TMP/out" >"$T_TMP/texts"
ok "many lines, in order" cmp "$T_TMP/many" "$T_TMP/texts"
for i in 1 57 200 311 400; do
  got=$(sed -n "${i}p" "$T_TMP/out")
  ok "many lines: line $i" near "$(number "$got")" "$(direct "${got%	*}")"
done

printf 'ab\n' | score --tokens - >"$T_TMP/tokens"
ok "--tokens: tokens, end and total" test "$(cut -f 1 "$T_TMP/tokens" | tr '\n' ' ')" = "a b <|endoftext|> ab "
# shellcheck disable=SC2016 # awk
ok "--tokens: they sum up" awk -F '	' '{ x[NR] = $2 } END { d = x[1] + x[2] + x[3] - x[4]; exit !(d * d < 1e-5) }' \
  "$T_TMP/tokens"
printf 'ab\n\n' | score --tokens --exclude-end - >"$T_TMP/without"
ok "--exclude-end: no end" test "$(cut -f 1 "$T_TMP/without" | tr '\n' ' ')" = "a b ab  "
# shellcheck disable=SC2016 # awk
ok "--exclude-end: the sum without it" awk -F '	' 'NR == FNR { t[NR] = $2; next } FNR == 3 {
  d = t[1] + t[2] - $2; exit !(d * d < 1e-5) }' "$T_TMP/tokens" "$T_TMP/without"
ok "--exclude-end: nothing scores 0" test "$(sed -n 4p "$T_TMP/without")" = "	0"
ok "--digits: as many" test "$(printf 'ab\n' | score --digits 9 - | sed 's/.*\t//' | tr -dc 0-9 | wc -c)" -ge 8
printf '\377あ\tb\n' | score --keep-garbled --tokens - >"$T_TMP/odd"
ok "--tokens: characters where they are whole" grep -q '^あ	' "$T_TMP/odd"
ok "--tokens: a tab is written \\t" grep -q '^\\t	' "$T_TMP/odd"
ok "any bytes" test "$(wc -l <"$T_TMP/odd")" -eq 8

# Who writes a line and waits for its answer gets it.
mkfifo "$T_TMP/fifo"
score - <"$T_TMP/fifo" >"$T_TMP/answer" &
exec 3>"$T_TMP/fifo"
echo abc >&3
i=0
while [ $i -lt 600 ] && [ ! -s "$T_TMP/answer" ]; do
  i=$((i + 1))
  sleep 0.1
done
ok "a line is answered before the next one" test -s "$T_TMP/answer"
exec 3>&-
wait

fails "no file" 2 "wants a FILE" score --model "$model"
fails "no such file" 3 "none: cannot open" score --model "$model" "$T_TMP/none"
fails "two files" 2 "one argument too many" score --model "$model" a b
fails "a model without --model" 2 "one argument too many: the model is given by --model DIR" score "$model" "$T_TMP/lines"
fails "unknown option" 2 "did you mean --tokens" score --model "$model" --token -
fails "a flag with a value" 2 "tokens takes no value" score --model "$model" --tokens=yes -
fails "no tokenizer" 5 "no tokenizer" score --model "$T_TMP/bare" -
awk 'BEGIN { for (i = 0; i < 300; i++) print "a line of a longer file, number", i }' >"$T_TMP/longer"
for file in many longer; do
  score "$T_TMP/$file" >/dev/full 2>"$T_TMP/err"
  ok "a full disk ($file)" test $? -eq 3
  ok "with the reason" grep -q "standard output: cannot write: No space left" "$T_TMP/err"
done
for i in 1 2 3 4 5 6 7 8; do cat "$T_TMP/longer"; done >"$T_TMP/longest" # more than a pipe holds
{ score "$T_TMP/longest" 2>"$T_TMP/err"; echo $? >"$T_TMP/code"; } | head -n 1 >"$T_TMP/out"
ok "a reader that leaves" test "$(cat "$T_TMP/code")" -eq 0 -a ! -s "$T_TMP/err" -a "$(wc -l <"$T_TMP/out")" -eq 1

# Other encodings: what is certain is converted, as wabun encode does it, also from a pipe; what is not is refused.
printf 'メロスは激怒した。\nabc\n\n必ず、かの邪智暴虐の王を除かなければならぬ。\n' >"$T_TMP/utf8"
score "$T_TMP/utf8" >"$T_TMP/want"
for c in SHIFT_JIS EUC-JP ISO-2022-JP UTF-16 UTF-16BE; do
  iconv -f UTF-8 -t $c "$T_TMP/utf8" >"$T_TMP/other"
  score "$T_TMP/other" >"$T_TMP/out" 2>"$T_TMP/err"
  ok "$c is converted" cmp "$T_TMP/want" "$T_TMP/out"
  ok "... and said once" test "$(grep -c ": converted from " "$T_TMP/err")" -eq 1
  score - <"$T_TMP/other" 2>"$T_TMP/err" | cmp - "$T_TMP/want" >"$T_TMP/differ" 2>&1
  ok "... from a pipe" test ! -s "$T_TMP/differ"
done
printf '\357\273\277' | cat - "$T_TMP/utf8" >"$T_TMP/mark"
score "$T_TMP/mark" >"$T_TMP/out"
ok "a byte order mark is no text" cmp "$T_TMP/want" "$T_TMP/out"
printf '\223\372\226\173\214\352\n' >"$T_TMP/few"
fails "too little to be certain" 5 "few:1 is not UTF-8, and its encoding cannot be told" score --model "$model" "$T_TMP/few"
score --from sjis "$T_TMP/few" >"$T_TMP/out"
echo 日本語 | score - | cmp - "$T_TMP/out" >"$T_TMP/differ"
ok "--from" test ! -s "$T_TMP/differ"
fails "a wrong --from" 5 "utf8:1 is UTF-8, not CP932: leave out --from" score --model "$model" --from sjis "$T_TMP/utf8"
fails "an encoding that is none" 2 "iconv does not know" score --model "$model" --from klingon "$T_TMP/utf8"
printf '\211PNG\r\n\032\n' >"$T_TMP/png"
fails "a picture" 5 "is not text: it is a PNG picture" score --model "$model" "$T_TMP/png"
printf 'abc\n\223\372\226\173\214\352\n' >"$T_TMP/mixed"
score "$T_TMP/mixed" >"$T_TMP/out" 2>"$T_TMP/err"
ok "lines before the bad one are printed" test $? -eq 5 -a "$(cut -f 1 "$T_TMP/out")" = abc
score --keep-garbled "$T_TMP/mixed" >"$T_TMP/out" 2>"$T_TMP/err"
ok "--keep-garbled takes it, with a warning" test $? -eq 0 -a "$(grep -c "warning.*not UTF-8" "$T_TMP/err")" -eq 1 -a "$(wc -l <"$T_TMP/out")" -eq 2
done_testing
