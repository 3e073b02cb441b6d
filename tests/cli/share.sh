#!/bin/sh
# --share: weights mapped from a file beside the model.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"
panels=$model/weights.panels

# writes OUT ARGUMENT...: a text
writes () {
  out=$T_TMP/$1
  shift
  "$WABUN" generate --seed 1 --context abc --max-length 20 --model "$@" >"$out" 2>"$out.err" </dev/null
}
like_own () { cmp "$T_TMP/own" "$T_TMP/$1" && test ! -s "$T_TMP/$1.err"; }
inode () { stat -c %i "$panels"; }
scores_own () {
  echo abc | "$WABUN" score --model "$model" - >"$T_TMP/a" && echo abc | "$WABUN" score --share --model "$model" - >"$T_TMP/b" &&
    cmp "$T_TMP/a" "$T_TMP/b"
}

writes own "$model"
ok "nobody shares unasked" test ! -e "$panels"
writes first "$model" --share
ok "the first to share makes the file" test -s "$panels"
ok "and writes the same text" like_own first
made=$(inode)
writes second "$model" --share
ok "the second writes the same text" like_own second
ok "from the same file" test "$(inode)" = "$made"
ok "also more texts at once" sh -c "'$WABUN' generate --seed 2 --num-generate 20 --model '$model' >'$T_TMP/many' &&
  '$WABUN' generate --share --seed 2 --num-generate 20 --model '$model' >'$T_TMP/shared' && cmp '$T_TMP/many' '$T_TMP/shared'"
ok "score and share" scores_own
ok "verify takes a model with it" "$WABUN" verify "$model"

# It is mapped, not copied.
mkfifo "$T_TMP/lines"
"$WABUN" score --share --model "$model" - <"$T_TMP/lines" >"$T_TMP/out" &
pid=$!
exec 3>"$T_TMP/lines"
i=0
while [ $i -lt 100 ] && ! grep -q 'r--s.*weights\.panels' /proc/$pid/maps; do i=$((i + 1)); sleep 0.1; done
ok "the weights are pages of the file" grep 'r--s.*weights\.panels' /proc/$pid/maps
exec 3>&-
wait $pid

# A file that is not right is made anew.
size=$(stat -c %s "$panels")
printf x | dd of="$panels" bs=1 seek=$((size - 5)) conv=notrunc 2>/dev/null
writes again "$model" --share
ok "a damaged file does not count" like_own again
ok "and is replaced" test "$(inode)" != "$made"
printf 'short' >"$panels"
writes again "$model" --share
ok "nor does a short one" like_own again
made=$(inode)
touch -d '2001-01-01' "$model/model.safetensors"
writes again "$model" --share
ok "nor that of a model that has changed" test "$(inode)" != "$made"
ok "and the text is the model's" like_own again

# Where it cannot be written.
rm "$panels"
mkdir "$panels"
writes private "$model" --share
ok "without the file each has its own weights" cmp "$T_TMP/own" "$T_TMP/private"
ok "and one warning" test "$(grep -c 'not shared: .*weights\.panels' "$T_TMP/private.err")" -eq 1
rmdir "$panels"

# Many at once.
for i in 1 2 3 4; do writes "at$i" "$model" --share & done
wait
ok "several that make it at once agree" sh -c "cd '$T_TMP' && cmp own at1 && cmp own at2 && cmp own at3 && cmp own at4"
ok "nothing else is left" test "$(find "$model" -name 'weights.panels*' | wc -l)" -eq 1

done_testing
