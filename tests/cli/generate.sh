#!/bin/sh
# timeout: 600 - wabun generate: seeds, lengths, windows, separators, exit codes.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

# texts OUT ARGUMENT...
texts () {
  out=$T_TMP/$1
  shift
  "$WABUN" generate --model "$model" "$@" >"$out" 2>"$out.err" </dev/null
}

ok "runs" texts a --seed 1 --context abc --max-length 20
ok "says nothing with a seed" test ! -s "$T_TMP/a.err"
texts b --seed 1 --context abc --max-length 20
ok "the same seed, the same text" cmp "$T_TMP/a" "$T_TMP/b"
texts b --seed 2 --context abc --max-length 20
ok "another seed, another text" test "$(cat "$T_TMP/a")" != "$(cat "$T_TMP/b")"

texts c --context abc --max-length 20
seed=$(sed -n 's/.*--seed \([0-9]*\).*/\1/p' "$T_TMP/c.err")
texts d --context abc --max-length 20 --seed "$seed"
ok "without a seed one is told" test -n "$seed"
ok "and gives the text again" cmp "$T_TMP/c" "$T_TMP/d"

# More texts than go together; the first ones are those of a smaller number.
texts many --seed 3 --num-generate 35 --max-length 30
texts few --seed 3 --num-generate 3 --max-length 30
ok "separators stand between texts" test "$(grep -c '^========$' "$T_TMP/many")" -eq 34
ok "lines are texts and separators" test "$(wc -l <"$T_TMP/many")" -eq 69
sed -n 1,5p "$T_TMP/many" >"$T_TMP/head"
ok "the number of texts changes none" cmp "$T_TMP/head" "$T_TMP/few"
ok "texts differ" test "$(grep -v '^=' "$T_TMP/many" | sort -u | wc -l)" -gt 30
ok "the end is not printed" test "$(grep -c endoftext "$T_TMP/many")" -eq 0

# Lengths: the model writes letters only, so a token is a letter.
lengths () { grep -v '^=' "$T_TMP/$1" | awk '{ print length ($0) }' | sort -n; }
texts ends --seed 5 --num-generate 16 --max-length 200
ok "some texts end by themselves" test "$(lengths ends | head -n 1)" -lt 200
texts least --seed 5 --num-generate 16 --max-length 200 --min-length 60
ok "--min-length holds" test "$(lengths least | head -n 1)" -ge 60
texts most --seed 5 --num-generate 16 --max-length 50 --min-length 50
ok "--min-length = --max-length" test "$(lengths most | sort -u)" = 50
texts window --seed 5 --max-length 150 --min-length 150
ok "beyond the model's positions" test "$(lengths window)" = 150
texts greedy --temperature 0 --num-generate 2 --max-length 80 --min-length 80
ok "temperature 0: the same text twice" test "$(grep -v '^=' "$T_TMP/greedy" | sort -u | wc -l)" -eq 1
ok "temperature 0 needs no seed" test ! -s "$T_TMP/greedy.err"
texts one --top-k 1 --seed 9 --max-length 80 --min-length 80
ok "--top-k 1 is the most likely" test "$(cat "$T_TMP/one")" = "$(head -n 1 "$T_TMP/greedy")"
texts one --top-k 0 --top-p 1e-9 --seed 9 --max-length 80 --min-length 80
ok "and so is a small --top-p" test "$(cat "$T_TMP/one")" = "$(head -n 1 "$T_TMP/greedy")"

# Ways of drawing.  What each does to a distribution is in tests/unit/test_sample.c.
texts bias --logit-bias 104=50 --logit-bias 105=60 --temperature 0 --max-length 9
ok "--logit-bias" test "$(cat "$T_TMP/bias")" = iiiiiiiii
texts once --no-repeat-ngram 1 --seed 4 --max-length 24 --min-length 24
ok "--no-repeat-ngram 1: no token twice" test "$(fold -w 1 "$T_TMP/once" | sort | uniq -d | wc -l)" -eq 0
texts pairs --no-repeat-ngram 2 --temperature 0 --context ab --max-length 150 --min-length 150
# shellcheck disable=SC2016 # awk
ok "--no-repeat-ngram 2: no two tokens twice, beyond the positions too" awk '{
  $0 = "ab" $0
  for (i = 1; i < length ($0); i++) if (seen[substr ($0, i, 2)]++) exit 1
  exit length ($0) != 152 }' "$T_TMP/pairs"
texts frequent --frequency-penalty 100 --temperature 0 --logit-bias 256=-1000 --context abc --max-length 26
ok "--frequency-penalty: each letter once" test "$(fold -w 1 "$T_TMP/frequent" | sort -u | wc -l)" -eq 26
texts present --presence-penalty 100 --temperature 0 --logit-bias 256=-1000 --context abc --max-length 26
ok "--presence-penalty: the same" cmp "$T_TMP/present" "$T_TMP/frequent"
texts repeated --repetition-penalty 100 --temperature 0 --logit-bias 256=-1000 --context abc --max-length 23
ok "--repetition-penalty: none of the context" test "$(fold -w 1 "$T_TMP/repeated" | sort -u | tr -d '\n')" = \
  defghijklmnopqrstuvwxyz
for way in "--min-p 1" "--typical-p 1e-9 --top-k 1" "--min-p 0.9999999"; do
  # shellcheck disable=SC2086 # options
  texts one $way --seed 9 --max-length 80 --min-length 80
  ok "$way is the most likely" test "$(cat "$T_TMP/one")" = "$(head -n 1 "$T_TMP/greedy")"
done

# Searches.  What each finds is in tests/unit/test_search.c.
for way in "--beams 1" "--penalty-alpha 0.6 --candidates 1" "--penalty-alpha 1e-9"; do
  # shellcheck disable=SC2086 # options
  texts one $way --max-length 80 --min-length 80
  ok "$way is the most likely" test "$(cat "$T_TMP/one")" = "$(head -n 1 "$T_TMP/greedy")"
done
ok "a search needs no seed" test ! -s "$T_TMP/one.err"
# total OUT: the log-probability of its first text
total () { head -n 1 "$T_TMP/$1" | grep -o '"logprob":[-0-9.e]*' | awk -F : '{ s += $2 } END { printf "%.6f\n", s }'; }
texts beams --beams 8 --num-generate 3 --length-penalty 0 --max-length 12 --min-length 12 --logprobs 0
texts single --temperature 0 --max-length 12 --min-length 12 --logprobs 0
ok "beams find a likelier text than the most likely tokens" awk "BEGIN { exit !($(total beams) > $(total single) + 1e-3) }"
ok "and several" test "$(grep '^{' "$T_TMP/beams" | sort -u | wc -l)" -eq 3
texts once --beams 4 --num-generate 2 --max-length 90 --threads 1
texts again --beams 4 --num-generate 2 --max-length 90 --threads 3
ok "beams: the same on any number of threads" cmp "$T_TMP/once" "$T_TMP/again"
texts once --penalty-alpha 0.6 --max-length 90 --threads 1
texts again --penalty-alpha 0.6 --max-length 90 --threads 3
ok "contrast: the same on any number of threads" cmp "$T_TMP/once" "$T_TMP/again"
fails "more texts than beams" 2 "has beams, at most" generate --model "$model" --beams 2 --num-generate 3
fails "contrast has one text" 2 "finds one text" generate --model "$model" --penalty-alpha 0.5 --num-generate 2
fails "two searches" 2 "exclude each other" generate --model "$model" --beams 2 --penalty-alpha 0.5
fails "65 beams" 2 "beams" generate --model "$model" --beams 65

# Stop strings: the same texts, cut.
stop=$(sed -n 1p "$T_TMP/few" | cut -c 7-8)
texts stopped --seed 3 --num-generate 3 --max-length 30 --stop "$stop" --stop 終わり
# shellcheck disable=SC2016 # awk
awk -v s="$stop" '{ i = index ($0, s); print (i > 0 ? substr ($0, 1, i - 1) : $0) }' "$T_TMP/few" >"$T_TMP/cut"
ok "--stop ends a text" cmp "$T_TMP/stopped" "$T_TMP/cut"
ok "before it" test "$(sed -n 1p "$T_TMP/stopped" | wc -c)" -le 7

# Log-probabilities: those of wabun score.
texts lines --seed 3 --num-generate 3 --max-length 30 --logprobs 0
sed 's/^{"text":"\([^"]*\)".*/\1/' "$T_TMP/lines" >"$T_TMP/words"
grep -v '^=' "$T_TMP/few" >"$T_TMP/plain"
ok "--logprobs: the same texts, a line each" cmp "$T_TMP/words" "$T_TMP/plain"
"$WABUN" score --model "$model" --tokens --exclude-end "$T_TMP/plain" 2>&1 | awk -F '\t' 'length ($1) == 1 { print $2 }' >"$T_TMP/scores"
grep -o '"logprob":[^,}]*' "$T_TMP/lines" | cut -d : -f 2 >"$T_TMP/logprobs"
# shellcheck disable=SC2016 # awk
ok "--logprobs: those of wabun score" awk 'NR == FNR { a[NR] = $1; n = NR; next } { d = a[FNR] - $1
  if (d * d > 1e-6 * ($1 * $1 + 1e-2)) exit 1 } END { exit n < 20 || n != FNR }' "$T_TMP/logprobs" "$T_TMP/scores"
texts best --temperature 0 --max-length 20 --logprobs 3
# shellcheck disable=SC2016 # awk
ok "--logprobs 3: the most likely first" awk '{
  n = split ($0, token, /"top":/)
  for (i = 2; i <= n; i++) {
    split (token[i - 1], before, /"id":/); k = split (token[i], top, /"id":/)
    if (k < 4 || before[i == 2 ? 2 : 5] + 0 != top[2] + 0) exit 1
  }
  exit n < 10 }' "$T_TMP/best"

# Contexts.
long=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz
texts long --seed 1 --context "$long" --max-length 10
ok "a long context is a warning" grep -q "warning: the context has 52 tokens.*32" "$T_TMP/long.err"
texts cut --seed 1 --context "$(printf %s "$long" | tail -c 32)" --max-length 10
ok "of which the end is used" cmp "$T_TMP/long" "$T_TMP/cut"
printf 'abc\r\n' >"$T_TMP/context"
texts file --seed 1 --context-file "$T_TMP/context" --max-length 20
ok "--context-file" cmp "$T_TMP/file" "$T_TMP/a"
"$WABUN" generate --model "$model" --seed 1 --context-file - --max-length 20 <"$T_TMP/context" >"$T_TMP/file" 2>"$T_TMP/err"
ok "--context-file -" cmp "$T_TMP/file" "$T_TMP/a"
ok "without a warning" test ! -s "$T_TMP/err"
printf '吾輩は猫である。名前はまだ無い。' >"$T_TMP/context"
texts utf8 --seed 1 --context-file "$T_TMP/context" --max-length 20
iconv -f UTF-8 -t SHIFT_JIS "$T_TMP/context" >"$T_TMP/sjis"
texts file --seed 1 --context-file "$T_TMP/sjis" --max-length 20
ok "a context in Shift_JIS is converted" cmp "$T_TMP/file" "$T_TMP/utf8"
"$WABUN" generate --model "$model" --seed 1 --context "$(cat "$T_TMP/sjis")" --max-length 20 >"$T_TMP/file" 2>"$T_TMP/err"
ok "so is one on the command line" cmp "$T_TMP/file" "$T_TMP/utf8"
printf '\223\372\226\173\214\352' >"$T_TMP/short"
fails "a context too short to be certain" 5 "short is not UTF-8, and its encoding cannot be told" generate --model "$model" --context-file "$T_TMP/short"
texts raw --seed 1 --temperature 9 --top-k 0 --max-length 200 --min-length 200
ok "whatever is drawn, UTF-8 comes out" iconv -f UTF-8 -t UTF-16 "$T_TMP/raw"

# A config.json with fewer layers than the file would load, and compute another model.
cp -r "$model" "$T_TMP/fewer"
sed -i 's/"n_layer": [0-9]*/"n_layer": 1/' "$T_TMP/fewer/config.json"
"$top_builddir/tests/cli/make_model" --sums "$T_TMP/fewer" config.json
fails "fewer layers than the file has" 5 "'h.1.*1 layer, does not have" generate --model "$T_TMP/fewer" --seed 1

# Files.
texts none --seed 3 --num-generate 3 --max-length 30 --output-file "$T_TMP/file"
ok "--output-file" cmp "$T_TMP/file" "$T_TMP/few"
ok "and nothing on the standard output" test ! -s "$T_TMP/none"
fails "a file that cannot be written" 3 "none/file" generate --model "$model" --seed 1 --output-file "$T_TMP/x/none/file"
"$WABUN" generate --model "$model" --seed 1 --max-length 5 >/dev/full 2>"$T_TMP/err"
ok "a full disk" test $? -eq 3

{ "$WABUN" generate --model "$model" --seed 1 --num-generate 2000 --max-length 60 2>"$T_TMP/err"
  echo $? >"$T_TMP/code"; } | head -n 1 >"$T_TMP/out"
ok "a reader that leaves" test "$(cat "$T_TMP/code")" -eq 0 -a ! -s "$T_TMP/err" -a "$(wc -l <"$T_TMP/out")" -eq 1

# Ctrl-C: what is written so far, and the exit code of an interruption.
if env --default-signal=INT true 2>/dev/null; then
  for seconds in 1 5 20 60; do # a slow machine has written nothing in the first second
    env --default-signal=INT timeout --preserve-status -s INT $seconds "$WABUN" generate --model "$model" --seed 1 \
      --max-length 100000000 --min-length 100000000 >"$T_TMP/out" 2>/dev/null
    code=$?
    [ $code -ne 130 ] || [ ! -s "$T_TMP/out" ] || break
  done
  ok "interrupted" test $code -eq 130
  ok "with a text" test "$(wc -c <"$T_TMP/out")" -gt 10
fi

# On a terminal a single text appears while it is written.
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
  script -qec "$WABUN generate --model $model --seed 1 --context abc --max-length 20" /dev/null </dev/null |
    tr -d '\r' >"$T_TMP/tty"
  ok "on a terminal: the same text" cmp "$T_TMP/a" "$T_TMP/tty"
  script -qec "timeout --foreground --preserve-status -s INT 1 $WABUN generate --model $model --seed 1 \
    --max-length 100000000 --min-length 100000000" /dev/null </dev/null >"$T_TMP/tty"
  ok "on a terminal: interrupted" test "$(tail -c 2000 "$T_TMP/tty" | grep -c 'wabun:')" -eq 0
fi

fails "no model" 2 "wants --model" generate --context abc
fails "a text without --context" 2 "one argument too many: .*by --context TEXT" generate --model "$model" 昔々
fails "a model without --model" 2 "one argument too many: the model is given by --model DIR" generate "$model"
fails "no such model" 3 "no such directory" generate --model "$T_TMP/none/x"
fails "a model without tokenizer" 5 "no tokenizer.*--tokenizer" generate --model "$T_TMP/bare"
fails "unknown option" 2 "did you mean --top-k" generate --model "$model" --top-j 3
fails "bad number" 2 "temperature wants a number" generate --model "$model" --temperature warm
fails "out of range" 2 "top-p wants a number between 0 and 1" generate --model "$model" --top-p 1.5
fails "a bias that is none" 2 "logit-bias wants ID=X, got .a." generate --model "$model" --logit-bias a
fails "a bias for no token" 2 "there is no token 300: the tokenizer has 0 to 256" generate --model "$model" --logit-bias 300=1
fails "an empty stop string" 2 "stop wants a text" generate --model "$model" --stop ""
fails "no text" 2 "num-generate wants" generate --model "$model" --num-generate 0
fails "lengths that cross" 2 "min-length 9 is more than --max-length 8" generate --model "$model" --min-length 9 \
  --max-length 8
"$WABUN" generate --model "$T_TMP/bare" --tokenizer byte --seed 1 --context abc --max-length 20 >"$T_TMP/b"
ok "--tokenizer" cmp "$T_TMP/a" "$T_TMP/b"
done_testing
