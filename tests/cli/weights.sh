#!/bin/sh
# --weights: matrices in 16 and 8 bits.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

for i in 1 2 3 4 5 6 7 8; do echo "line $i of a text"; done >"$T_TMP/lines"
scores () { "$WABUN" score --digits 9 --model "$model" "$@" "$T_TMP/lines" 2>"$T_TMP/err" | cut -f 2; }
# far FILE MOST: from the scores of fp32, relative; not the same ones either
far () {
  paste "$T_TMP/fp32" "$1" | awk -v most="$2" '
    { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > worst) worst = d }
    END { print "# " worst; exit !(NR == 8 && worst > 0 && worst < most) }'
}

scores >"$T_TMP/fp32"
scores --weights fp32 >"$T_TMP/same"
ok "fp32 is what it was" cmp "$T_TMP/fp32" "$T_TMP/same"
for type in bf16 int8; do
  scores --weights $type >"$T_TMP/$type"
  ok "$type: near the scores of fp32" far "$T_TMP/$type" 0.02
  scores --weights $type --share >"$T_TMP/first"
  ok "$type, shared: the same" cmp "$T_TMP/$type" "$T_TMP/first"
  ok "$type, shared: a file of its own" test -s "$model/weights.panels.$type"
  made=$(stat -c %i "$model/weights.panels.$type")
  scores --weights $type --share >"$T_TMP/second"
  ok "$type, shared: the same once more" cmp "$T_TMP/$type" "$T_TMP/second"
  ok "$type, shared: from the same file" test "$(stat -c %i "$model/weights.panels.$type")" = "$made"
  ok "$type: texts at once and one by one are the same" sh -c "'$WABUN' generate --weights $type --seed 2 --num-generate 20 \
    --max-length 20 --model '$model' >'$T_TMP/many' && '$WABUN' generate --weights $type --seed 2 --num-generate 20 \
    --max-length 20 --threads 1 --model '$model' >'$T_TMP/alone' && cmp '$T_TMP/many' '$T_TMP/alone'"
  ok "$type: transform" sh -c "'$WABUN' transform --weights $type --model '$model' --context abc | grep -q '^\[.*\]$'"
done
bits () { "$WABUN" eval "$model" "$@" --text "$T_TMP/lines" 2>/dev/null | awk 'NR == 3 { print $3 }'; }
fp32=$(bits) int8=$(bits --weights int8)
ok "eval measures them too" test "$fp32" != "$int8" -a "${#fp32}" -eq 7 -a "${#int8}" -eq 7
scores --cache bf16 >"$T_TMP/cache"
ok "keys and values in bf16: near the scores of fp32" far "$T_TMP/cache" 0.02
ok "keys and values in bf16: many texts at once and one by one are the same" sh -c "'$WABUN' generate --cache bf16 --seed 2 \
  --num-generate 20 --max-length 20 --context abc --model '$model' >'$T_TMP/many' && '$WABUN' generate --cache bf16 --seed 2 \
  --num-generate 20 --max-length 20 --context abc --threads 1 --model '$model' >'$T_TMP/alone' && cmp '$T_TMP/many' '$T_TMP/alone'"
ok "int8 takes half of bf16's bytes" sh -c "test \$(stat -c %s '$model/weights.panels.int8') -lt \$(stat -c %s '$model/weights.panels.bf16')"
"$WABUN" generate --weights int4 --model "$model" >"$T_TMP/out" 2>"$T_TMP/err"
ok "an unknown type: code 2" test $? -eq 2
ok "an unknown type: the known ones are named" grep -q 'fp32|bf16|int8, got .int4.' "$T_TMP/err"

done_testing
