#!/bin/sh
# timeout: 600 - wabun transform: against the state token by token, files of lines, exit codes.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

transform () { "$WABUN" transform --model "$model" "$@"; }
# The list as words with five digits, as make_model prints a vector.
words () { tr -d '[]' | awk -F ', ' '{ for (i = 1; i <= NF; i++) printf "%s%.5f", (i > 1 ? " " : ""), $i; print "" }'; }
near () { # FILE FILE
  paste -d ' ' "$1" "$2" | awk '{ n = NF / 2; for (i = 1; i <= n; i++) { d = $i - $(i + n); if (d * d > 1e-8) bad = 1 } }
    END { exit bad || n != 32 }'
}

transform --context 日本語 >"$T_TMP/out"
ok "one line" test "$(wc -l <"$T_TMP/out")" -eq 1
ok "a JSON list" grep -Eq '^\[(-?[0-9.]+(e-?[0-9]+)?, ){31}-?[0-9.]+(e-?[0-9]+)?\]$' "$T_TMP/out"
words <"$T_TMP/out" >"$T_TMP/got"
"$make_model" --vector "$model" 日本語 >"$T_TMP/want"
ok "the vector token by token" near "$T_TMP/got" "$T_TMP/want"

awk 'BEGIN { for (i = 0; i < 60; i++) print substr ("thequickbrownfoxjumpsoverthelazydog", 1 + i % 5, 1 + i * 7 % 30) }' \
  >"$T_TMP/lines"
transform --input "$T_TMP/lines" >"$T_TMP/many"
ok "a list for each line" test "$(wc -l <"$T_TMP/many")" -eq 60
for i in 1 2 17 33 60; do
  sed -n "${i}p" "$T_TMP/many" | words >"$T_TMP/got"
  "$make_model" --vector "$model" "$(sed -n "${i}p" "$T_TMP/lines")" >"$T_TMP/want"
  ok "line $i" near "$T_TMP/got" "$T_TMP/want"
done
transform --input - <"$T_TMP/lines" >"$T_TMP/stdin"
ok "the standard input" cmp "$T_TMP/many" "$T_TMP/stdin"

long=thequickbrownfoxjumpsoverthelazydogandthelazycat
transform --context "$long" 2>"$T_TMP/err" | words >"$T_TMP/got"
"$make_model" --vector "$model" "$(printf %s $long | tail -c 32)" >"$T_TMP/want"
ok "of a long text the end" near "$T_TMP/got" "$T_TMP/want"
ok "with a warning" grep -q "warning.*48 tokens.*last 32" "$T_TMP/err"

printf '吾輩は猫である。\n名前はまだ無い。\n' >"$T_TMP/utf8"
iconv -f UTF-8 -t EUC-JP "$T_TMP/utf8" >"$T_TMP/euc"
transform --input "$T_TMP/utf8" >"$T_TMP/want"
transform --input "$T_TMP/euc" >"$T_TMP/got" 2>"$T_TMP/err"
ok "EUC-JP is converted" cmp "$T_TMP/want" "$T_TMP/got"
transform --context "$(head -n 1 "$T_TMP/euc")" 2>"$T_TMP/err" | cmp - "$T_TMP/want" >"$T_TMP/differ" 2>&1
ok "so is a context" grep -q "EOF on -" "$T_TMP/differ"
fails "an empty context" 2 "context is empty" transform --model "$model" --context ""
fails "no text" 2 "wants --context TEXT, or --input" transform --model "$model"
fails "two texts" 2 "wants --context TEXT, or --input" transform --model "$model" --context a --input b
printf 'a\n\n\nb\n' >"$T_TMP/hole"
transform --input "$T_TMP/hole" >"$T_TMP/out" 2>"$T_TMP/err"
ok "empty lines" test $? -eq 0
ok "a warning names the first one" test "$(grep -c "warning.*hole:2: an empty line" "$T_TMP/err")" -eq 1 -a "$(wc -l <"$T_TMP/err")" -eq 1
ok "null in their places" test "$(sed 's/^\[.*/list/' "$T_TMP/out" | tr '\n' ' ')" = "list null null list "
transform --context b >"$T_TMP/want"
sed -n 4p "$T_TMP/out" >"$T_TMP/got"
ok "the line after them" cmp "$T_TMP/want" "$T_TMP/got"
{ transform --input "$T_TMP/lines" 2>"$T_TMP/err"; echo $? >"$T_TMP/code"; } | head -n 1 >"$T_TMP/out"
ok "a reader that leaves" test "$(cat "$T_TMP/code")" -eq 0 -a ! -s "$T_TMP/err"
fails "no such file" 3 "cannot open" transform --model "$model" --input "$T_TMP/none"
fails "a file without --input" 2 "lines. is one argument too many: .*a file of them by --input FILE" transform --model "$model" "$T_TMP/lines"
fails "a model without --model" 2 "one argument too many: the model is given by --model DIR" transform "$model" --context a
fails "no tokenizer" 5 "no tokenizer" transform --model "$T_TMP/bare" --context a
done_testing
