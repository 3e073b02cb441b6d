#!/bin/sh
# timeout: 300 - wabun write: turns, taking back, another try, an editor, files, exit codes.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

# turns ARGUMENT... <LINES: what is printed, without what is said
turns () { "$WABUN" write --model "$model" --seed 1 --max-length 12 "$@" 2>"$T_TMP/err"; }

printf 'abc\n\n' | turns >"$T_TMP/a"
ok "a turn" test "$(awk '{ print length ($0) }' "$T_TMP/a")" = 12
printf 'abc\n\n' | turns >"$T_TMP/b"
ok "the same seed and lines, the same text" cmp "$T_TMP/a" "$T_TMP/b"
printf 'abc\n\n:p\n' | turns >"$T_TMP/b"
ok "the whole text" test "$(tail -n 1 "$T_TMP/b")" = "abc$(cat "$T_TMP/a")"
printf 'abc\n\n\n:p\n' | turns >"$T_TMP/b"
ok "it goes on from the whole" test "$(tail -n 1 "$T_TMP/b")" = "abc$(sed -n 1p "$T_TMP/b")$(sed -n 2p "$T_TMP/b")"
printf 'abc\n\n:r\n:p\n' | turns >"$T_TMP/b"
ok "another try is another one" test "$(sed -n 1p "$T_TMP/b")" != "$(sed -n 2p "$T_TMP/b")"
ok "and takes the place of the first" test "$(tail -n 1 "$T_TMP/b")" = "abc$(sed -n 2p "$T_TMP/b")"
printf 'abc\n\n:u\n:u\n:u\n' | turns >"$T_TMP/b"
ok "taking back" eval '[ "$(sed -n 2p "$T_TMP/b")" = abc ] && [ -z "$(sed -n 3p "$T_TMP/b")" ] && grep -q "nothing to take back" "$T_TMP/err"'
printf 'abc\n：p\n' | turns >"$T_TMP/b"
ok "a full-width colon" test "$(cat "$T_TMP/b")" = abc
printf 'abc\n:n 3\n\n:q\n:p\n' | turns >"$T_TMP/b"
ok ":n, and :q ends" test "$(awk '{ print length ($0) }' "$T_TMP/b")" = 3
printf ':n 0\n:t x\n:?\n:s\n' | turns >"$T_TMP/b"
ok "wrong commands are told, and it goes on" test "$(grep -c 'wabun: warning: :[nts]' "$T_TMP/err")" -eq 3
ok "help" grep -q '^  :q  *ends' "$T_TMP/err"

printf 'old' >"$T_TMP/story.txt"
printf ' new\n' | turns --file "$T_TMP/story.txt" >"$T_TMP/b"
ok "a file is read, and saved at the end" test "$(cat "$T_TMP/story.txt")" = 'old new'
printf 'abc\n:e\n:e\n' | EDITOR='sed -i s/b/XX/' VISUAL='' turns >"$T_TMP/b"
ok "an editor" test "$(cat "$T_TMP/b")" = "$(printf 'aXXc\naXXc')"
printf 'abc\n:e\n:p\n' | EDITOR=false VISUAL='' turns >"$T_TMP/b"
ok "one that fails changes nothing" eval '[ "$(cat "$T_TMP/b")" = abc ] && grep -q "the editor did not end well" "$T_TMP/err"'
printf ':s %s\n:p\n' "$T_TMP/none/x" | turns --file "$T_TMP/story.txt" >"$T_TMP/b"
ok "a save that fails ends nothing" eval '[ "$(cat "$T_TMP/b")" = "$(printf "old new\nold new")" ] && grep -q "warning: .*none/x" "$T_TMP/err"'
"$WABUN" write --model "$model" --num-generate 2 </dev/null >"$T_TMP/b" 2>"$T_TMP/err"
ok "one text" test $? -eq 2
"$WABUN" write </dev/null >"$T_TMP/b" 2>"$T_TMP/err"
ok "no model" test $? -eq 2
done_testing
