#!/bin/sh
# timeout: 600 - wabun eval: bits against a computation of its own, ranks, models, choices, exit codes.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"

eval_ () { # OUT ARGUMENT...
  out=$T_TMP/$1
  shift
  "$WABUN" eval "$@" >"$out" 2>"$out.err" </dev/null
}
near () { awk -v a="$1" -v b="$2" -v tol="${3:-1e-4}" 'BEGIN { d = a - b; exit !(d * d <= tol * tol * b * b) }'; }
# number FILE KEY [N]: the N-th value of a key of JSON
number () { grep -o "\"$2\": *[^,}]*" "$1" | sed -n "${3:-1}s/.*: *//p"; }

# Documents of two genres: short, empty lines among them, beyond the model's 32 positions, any script.
cat >"$T_TMP/novel.txt" <<EOF
abcdefgh
吾輩は猫である。名前はまだ無い。
the quick brown fox jumps over the lazy dog, and the dog does not mind it at all
EOF
cat >"$T_TMP/news.txt" <<EOF
zzz
2020年のニュース、カタカナと漢字。
mnopqrstuvw xyz
12 345 678
EOF
for genre in novel news; do
  sed "s/.*/{\"text\": \"&\", \"genre\": \"$genre\"}/" "$T_TMP/$genre.txt"
done >"$T_TMP/all.jsonl"

ok "runs" eval_ json "$model" --text "$T_TMP/all.jsonl" --json
sed 's/^/# /' "$T_TMP/json.err"
ok "says nothing else" test ! -s "$T_TMP/json.err"
ok "three tables: two genres and all" test "$(grep -c '"genre"' "$T_TMP/json")" -eq 3

# The same from the log-probabilities of tokens.
check () { # GENRE N
  "$WABUN" score --model "$model" --tokens "$T_TMP/$1.txt" 2>/dev/null >"$T_TMP/tokens"
  # A document's line is its total: it comes after its <|endoftext|>.
  awk -F '\t' '{ if (total) { total = 0; next } n++; sum -= $NF; if ($1 == "<|endoftext|>") total = 1 }
    END { printf "%.10g %d\n", sum, n }' "$T_TMP/tokens" >"$T_TMP/sums"
  read -r nats tokens <"$T_TMP/sums"
  bytes=$(tr -d '\n' <"$T_TMP/$1.txt" | wc -c)
  chars=$(tr -d '\n' <"$T_TMP/$1.txt" | wc -m)
  words=$(number "$T_TMP/json" words "$2")
  ok "$1: bytes" test "$bytes" -eq "$(number "$T_TMP/json" bytes "$2")"
  ok "$1: characters" test "$chars" -eq "$(number "$T_TMP/json" characters "$2")"
  ok "$1: tokens" test "$tokens" -eq "$(number "$T_TMP/json" tokens "$2")"
  ok "$1: bits per byte" near "$(number "$T_TMP/json" bits_per_byte "$2")" \
    "$(awk -v s="$nats" -v n="$bytes" 'BEGIN { print s / log (2) / n }')"
  ok "$1: bits per character" near "$(number "$T_TMP/json" bits_per_character "$2")" \
    "$(awk -v s="$nats" -v n="$chars" 'BEGIN { print s / log (2) / n }')"
  ok "$1: perplexity per token" near "$(number "$T_TMP/json" perplexity_per_token "$2")" \
    "$(awk -v s="$nats" -v n="$tokens" 'BEGIN { print exp (s / n) }')" 2e-4
  ok "$1: perplexity per word" near "$(number "$T_TMP/json" perplexity_per_word "$2")" \
    "$(awk -v s="$nats" -v n="$words" 'BEGIN { print exp (s / n) }')" 2e-3
}
check novel 1
check news 2
cat "$T_TMP/novel.txt" "$T_TMP/news.txt" >"$T_TMP/both.txt"
check both 3
ok "words" test "$(number "$T_TMP/json" words 1)" -eq 30

# The calibration of tokens, from the logits of the plain kernels.
while read -r line; do "$make_model" --confidence "$model" "$line"; done <"$T_TMP/both.txt" >"$T_TMP/confidences"
# ece FILE: lines of confidence and 1 or 0
ece () {
  awk '{ m = int($1 * 15); if (m == $1 * 15 && m > 0) m--; n[m]++; p[m] += $1; r[m] += $2; all++ }
    END { for (m in n) e += p[m] > r[m] ? p[m] - r[m] : r[m] - p[m]; printf "%.9g\n", e / all }' "$1"
}
sed 's/^/# /' "$T_TMP/confidences" | head -n 3
ok "calibration: as many tokens" test "$(wc -l <"$T_TMP/confidences")" -eq "$(number "$T_TMP/json" tokens 3)"
ok "calibration: the expected error" near "$(number "$T_TMP/json" error 3)" "$(ece "$T_TMP/confidences")"
ok "calibration: the accuracy" near "$(number "$T_TMP/json" accuracy 3)" "$(awk '{ s += $2 } END { print s / NR }' "$T_TMP/confidences")"
ok "calibration: some tokens are right" awk "BEGIN { exit !($(number "$T_TMP/json" accuracy 3) > 0) }"

# Without the end, and with other windows.
eval_ noend "$model" --text "$T_TMP/all.jsonl" --json --exclude-end
ok "--exclude-end: a token less for each document" test \
  $(($(number "$T_TMP/json" tokens 3) - $(number "$T_TMP/noend" tokens 3))) -eq 7
line=$(sed -n 3p "$T_TMP/novel.txt")
printf %s "$line" >"$T_TMP/line.txt"
for stride in 1 5 16 32; do
  eval_ stride "$model" --text "$T_TMP/line.txt" --json --stride $stride
  ok "--stride $stride" near "-$(number "$T_TMP/stride" nats)" "$("$make_model" --score "$model" "$line" $stride)"
done
fails "a stride beyond the positions" 2 "stride 33: the model has 32" eval "$model" --text "$T_TMP/line.txt" --stride 33
ok "a file's genre is its name" grep -q '"genre": "line"' "$T_TMP/stride"
ok "one document: no interval" test "$(grep -A 1 '"interval"' "$T_TMP/stride" | grep -c null)" -eq 1

# On ranks: to the byte.
for ranks in 2 3; do
  # shellcheck disable=SC2086 # flags
  timeout 120 $MPIRUN $MPIRUN_FLAGS -n $ranks "$WABUN" eval "$model" --text "$T_TMP/all.jsonl" --json \
    >"$T_TMP/ranks" 2>"$T_TMP/err" </dev/null
  ok "$ranks ranks: the same" cmp "$T_TMP/ranks" "$T_TMP/json"
done

# Two models.
"$WABUN" export "$model" --to hf --type bf16 -o "$T_TMP/rounded" >/dev/null 2>&1
ok "another model" test -d "$T_TMP/rounded"
eval_ two "$model" "$T_TMP/rounded" --tokenizer byte --text "$T_TMP/all.jsonl" --json
ok "the first is as it was alone" test "$(number "$T_TMP/two" bits_per_byte 7)" = "$(number "$T_TMP/json" bits_per_byte 3)"
ok "the difference" near "$(number "$T_TMP/two" bits_per_byte 9)" "$(awk -v a="$(number "$T_TMP/two" bits_per_byte 8)" \
  -v b="$(number "$T_TMP/two" bits_per_byte 7)" 'BEGIN { printf "%.10g", a - b }')" 1e-3
eval_ same "$model" "$model" --text "$T_TMP/all.jsonl"
ok "a model is as good as itself" test "$(grep -c -e '- the first *+0.0000  \[0.0000, 0.0000\]' "$T_TMP/same")" -eq 3

# Choices, against the log-probabilities of tokens; a byte is a token.
cat >"$T_TMP/choices.jsonl" <<EOF
{"context": "abc", "choices": ["defg", "hi", "qqqqqqq"], "answer": 1}
{"context": "", "choices": ["z", "yes"], "answer": 0}
{"context": "the quick brown fox jumps over the lazy dog", "choices": [" and", " or else", "x", "!"], "answer": 2}
{"context": "猫", "choices": ["は", "cat"], "answer": 1}
{"context": "q", "choices": ["aaaaaaaaa", "e"], "answer": 0}
EOF
# Per choice: question, choice, answer, bytes, then the whole text.
awk '{
  match ($0, /"context": "[^"]*"/); c = substr ($0, RSTART + 12, RLENGTH - 13)
  match ($0, /\[.*\]/); n = split (substr ($0, RSTART + 2, RLENGTH - 4), s, /", "/)
  answer = $0; gsub (/.*: |}/, "", answer)
  for (i = 1; i <= n; i++) print NR "\t" i - 1 "\t" answer "\t" s[i] "\t" c s[i]
}' "$T_TMP/choices.jsonl" >"$T_TMP/list"
cut -f 5 "$T_TMP/list" >"$T_TMP/wholes"
while IFS='	' read -r q i answer choice whole; do
  k=$(printf %s "$choice" | wc -c)
  printf '%s\n' "$whole" | "$WABUN" score --model "$model" --tokens --exclude-end - 2>/dev/null | sed '$d' | tail -n "$k" |
    awk -F '\t' -v q="$q" -v i="$i" -v a="$answer" -v k="$k" '{ s += $NF } END { printf "%d %d %d %d %.9g\n", q, i, a, k, s }'
done <"$T_TMP/list" >"$T_TMP/sums"
awk '{ if (!($1 in best) || $5 > best[$1]) { best[$1] = $5; which[$1] = $2 }
  if (!($1 in per) || $5 / $4 > per[$1]) { per[$1] = $5 / $4; by[$1] = $2 }; answer[$1] = $3 }
  END { for (q in answer) { n++; a += which[q] == answer[q]; b += by[q] == answer[q] } printf "%.4f %.4f\n", a / n, b / n }' \
  "$T_TMP/sums" >"$T_TMP/shares"
eval_ choices "$model" --choices "$T_TMP/choices.jsonl"
# And their calibration: of each question the softmax of its sums, and of its sums a byte.
awk '{ s[$1, $2] = $5; b[$1, $2] = $5 / $4; n[$1]++; answer[$1] = $3 }
  function sure (v, q, i, best, all) {
    best = 0; all = 0
    for (i = 1; i < n[q]; i++) if (v[q, i] > v[q, best]) best = i
    for (i = 0; i < n[q]; i++) all += exp (v[q, i] - v[q, best])
    return sprintf ("%.9g %d", 1 / all, best == answer[q])
  }
  END { for (q in n) print sure(s, q) >sum; for (q in n) print sure(b, q) >per }' sum="$T_TMP/sure" per="$T_TMP/sure_by_byte" "$T_TMP/sums"
eval_ choices.json "$model" --choices "$T_TMP/choices.jsonl" --json
ok "choices: the expected calibration error" near "$(number "$T_TMP/choices.json" error 1)" "$(ece "$T_TMP/sure")"
ok "choices: the same a byte" near "$(number "$T_TMP/choices.json" error 2)" "$(ece "$T_TMP/sure_by_byte")"
sed 's/^/# /' "$T_TMP/choices" "$T_TMP/choices.err" "$T_TMP/shares" "$T_TMP/sums"
ok "choices: right ones" test "$(awk 'NR == 3 { print $2, $6 }' "$T_TMP/choices")" = "$(cat "$T_TMP/shares")"
# shellcheck disable=SC2016 # awk
ok "choices: some, not all" awk '{ exit !($1 > 0 && $1 < 1) }' "$T_TMP/shares"
# shellcheck disable=SC2086 # flags
timeout 120 $MPIRUN $MPIRUN_FLAGS -n 3 "$WABUN" eval "$model" --choices "$T_TMP/choices.jsonl" \
  >"$T_TMP/ranks" 2>"$T_TMP/err" </dev/null
ok "choices on 3 ranks: the same" cmp "$T_TMP/ranks" "$T_TMP/choices"
cat >"$T_TMP/cloze.jsonl" <<EOF
{"context": "abc", "choices": ["de", "h", "qqqqq"], "after": "fg", "answer": 1}
{"context": "the lazy", "choices": ["x", "!"], "after": " dog", "answer": 0}
{"context": "q", "choices": ["a", "e"], "answer": 0}
EOF
cat >"$T_TMP/filled.jsonl" <<EOF
{"context": "abc", "choices": ["defg", "hfg", "qqqqqfg"], "answer": 1}
{"context": "the lazy", "choices": ["x dog", "! dog"], "answer": 0}
{"context": "q", "choices": ["a", "e"], "answer": 0}
EOF
eval_ cloze "$model" --choices "$T_TMP/cloze.jsonl"
eval_ filled "$model" --choices "$T_TMP/filled.jsonl"
ok "a cloze: what follows the blank counts" eval 'grep -q "[0-9]" "$T_TMP/cloze" && cmp "$T_TMP/cloze" "$T_TMP/filled"'
eval_ both "$model" "$T_TMP/rounded" --text "$T_TMP/line.txt" --choices "$T_TMP/choices.jsonl" --json
ok "text and choices in one object" test "$(grep -c '"text": \|"choices": ' "$T_TMP/both")" -eq 2

{ cat "$T_TMP/choices.jsonl"; echo '{"context": 3}'; echo 'x'; echo '{"context": "", "choices": ["a"], "answer": 0}'
  echo '{"context": "", "choices": ["a", ""], "answer": 0}'; echo '{"context": "", "choices": ["a", "b"], "answer": 2}'
} >"$T_TMP/bad.jsonl"
eval_ bad "$model" --choices "$T_TMP/bad.jsonl"
ok "bad lines are left out" cmp "$T_TMP/bad" "$T_TMP/choices"
for what in 'jsonl:6: no string "context"' 'jsonl:7: not JSON' 'jsonl:8: .*no list of two' 'jsonl:9: choice 1 is' \
  'jsonl:10: .*not the number of a choice, 0 to 1' '5 of 10 lines left out'; do
  ok "and told: $what" grep -q "$what" "$T_TMP/bad.err"
done
fails "--bad-lines stop" 5 "bad.jsonl:6: no string" eval "$model" --choices "$T_TMP/bad.jsonl" --bad-lines stop
awk 'BEGIN { print "{\"context\": \"\", \"choices\": [\"a\", \"b\"], \"answer\": 0}"; for (i = 0; i < 101; i++) print "x" }' \
  >"$T_TMP/worse.jsonl"
"$WABUN" eval "$model" --choices "$T_TMP/worse.jsonl" >"$T_TMP/out" 2>"$T_TMP/err"
ok "too many bad lines" test $? -eq 5 -a ! -s "$T_TMP/out"
eval_ out "$model" --choices "$T_TMP/worse.jsonl" --bad-lines skip
ok "--bad-lines skip" grep -q "^choices: 1 question$" "$T_TMP/out"

# A sampling grid: what people wrote, against computations of its own; a byte is a token.
cat >"$T_TMP/long.txt" <<EOF
abcdefghabcdefghabcdefghijklmnop
<|endoftext|>
it is what it is what it is not, they say
<|endoftext|>
too short
<|endoftext|>
the rain in spain falls mainly in the plain
EOF
cat >"$T_TMP/grid.cfg" <<EOF
text = "$T_TMP/long.txt";
context_length = [4, 10];
top_k = [1, 20];
temperature = [0.5, 1.0];
length = 14;
EOF
eval_ grid "$model" --sampling-grid "$T_TMP/grid.cfg" --json
sed 's/^/# /' "$T_TMP/grid.err"
ok "a grid" test "$(grep -c '"what": "drawn"' "$T_TMP/grid")" -eq 8 -a "$(number "$T_TMP/grid" documents)" = 3
# shares FILE: of lines, the mean share of 4-grams that come again, and of 2-grams that are the first
shares () {
  awk 'function again (n, i, seen, k) { k = 0; for (i = 1; i + n - 1 <= length ($0); i++) k += seen[substr ($0, i, n)]++ > 0
      return k / (length ($0) - n + 1) }
    { four += again(4); two += 1 - again(2) } END { printf "%.9g %.9g\n", four / NR, two / NR }' "$1"
}
grep -v '^<' "$T_TMP/long.txt" | grep ........................ >"$T_TMP/documents"
cut -c 11-24 "$T_TMP/documents" >"$T_TMP/own"
read -r four two <<EOF
$(shares "$T_TMP/own")
EOF
# Rows are own, other, four ways; of each five means: repeated, distinct, bits, closeness, divergence.
ok "own text: repeated" near "$(number "$T_TMP/grid" mean 1)" "$four"
ok "own text: distinct" near "$(number "$T_TMP/grid" mean 2)" "$two"
ok "another context, the same text" test "$(number "$T_TMP/grid" mean 31)" = "$(number "$T_TMP/grid" mean 1)"
cut -c 7-24 "$T_TMP/documents" | "$WABUN" score --model "$model" --tokens --exclude-end - 2>/dev/null |
  awk -F '\t' '{ n++; x[n] = $NF } n == 19 { for (i = 5; i <= 18; i++) s -= x[i]; n = 0 } END { print s / log (2) / 14 / 3 }' \
    >"$T_TMP/bits"
ok "own text: bits" near "$(number "$T_TMP/grid" mean 3)" "$(cat "$T_TMP/bits")"
cut -c 7-10 "$T_TMP/documents" >"$T_TMP/contexts"
"$WABUN" transform --model "$model" --input "$T_TMP/contexts" | tr -d '[],' >"$T_TMP/va"
"$WABUN" transform --model "$model" --input "$T_TMP/own" | tr -d '[],' >"$T_TMP/vb"
paste "$T_TMP/va" "$T_TMP/vb" | awk '{ n = NF / 2; xy = xx = yy = 0
  for (i = 1; i <= n; i++) { xy += $i * $(n + i); xx += $i * $i; yy += $(n + i) * $(n + i) }
  s += xy / sqrt (xx * yy) } END { printf "%.7g\n", s / NR }' >"$T_TMP/cosine"
ok "own text: closeness" near "$(number "$T_TMP/grid" mean 4)" "$(cat "$T_TMP/cosine")"
while IFS= read -r context; do
  "$WABUN" generate --model "$model" --context "$context" --temperature 0 --min-length 14 --max-length 14
done <"$T_TMP/contexts" >"$T_TMP/drawn" 2>/dev/null
ok "drawn: repeated" near "$(number "$T_TMP/grid" mean 11)" "$(shares "$T_TMP/drawn" | cut -d ' ' -f 1)"
ok "drawn: distinct" near "$(number "$T_TMP/grid" mean 12)" "$(shares "$T_TMP/drawn" | cut -d ' ' -f 2)"
"$WABUN" transform --model "$model" --input "$T_TMP/drawn" | tr -d '[],' >"$T_TMP/vd"
cat "$T_TMP/vb" "$T_TMP/vd" | awk '{ for (i = 1; i <= NF; i++) { v[NR, i] = $i; l[NR] += $i * $i } C = NF }
  function far (a, b, i, s) { s = 0; for (i = 1; i <= C; i++) s += v[a, i] * v[b, i]
    s = 2 - 2 * s / sqrt (l[a] * l[b]); return s > 0 ? sqrt (s) : 0 }
  END { n = NR / 2; for (i = 1; i <= n; i++) for (j = 1; j <= n; j++) if (i != j)
      e += (2 * far(i, n + j) - far(i, j) - far(n + i, n + j)) / n / (n - 1)
    printf "%.7g\n", e }' >"$T_TMP/divergence"
ok "drawn: divergence" near "$(number "$T_TMP/grid" mean 15)" "$(cat "$T_TMP/divergence")" 2e-3
ok "own text: no divergence" test "$(number "$T_TMP/grid" mean 5)" = 0.0
# shellcheck disable=SC2086 # flags
timeout 120 $MPIRUN $MPIRUN_FLAGS -n 2 "$WABUN" eval "$model" --sampling-grid "$T_TMP/grid.cfg" --json \
  >"$T_TMP/ranks" 2>"$T_TMP/err" </dev/null
ok "a grid on 2 ranks: the same" cmp "$T_TMP/ranks" "$T_TMP/grid"
eval_ columns "$model" --sampling-grid "$T_TMP/grid.cfg"
ok "as columns" test "$(wc -l <"$T_TMP/columns")" -eq 14
# Other ways to draw, the same in all rows.
printf 'text = "%s"; context_length = 4; length = 14; penalty_alpha = 0.6; candidates = 3; no_repeat_ngram = 2;\n' "$T_TMP/long.txt" >"$T_TMP/ways.cfg"
while IFS= read -r context; do
  "$WABUN" generate --model "$model" --context "$context" --penalty-alpha 0.6 --candidates 3 --no-repeat-ngram 2 --min-length 14 --max-length 14
done <"$T_TMP/contexts" >"$T_TMP/drawn" 2>/dev/null
eval_ ways "$model" --sampling-grid "$T_TMP/ways.cfg" --json
ok "contrastive search in a grid" near "$(number "$T_TMP/ways" mean 12)" "$(shares "$T_TMP/drawn" | cut -d ' ' -f 2)"
grid_fails () { # WHAT CODE PATTERN LINE
  { echo "text = \"$T_TMP/long.txt\";"; echo "$4"; } >"$T_TMP/wrong.cfg"
  fails "$1" "$2" "$3" eval "$model" --sampling-grid "$T_TMP/wrong.cfg"
}
grid_fails "a key that there is not" 2 "wrong.cfg:2: unknown option top_q; did you mean top_" "top_q = 1;"
grid_fails "a number out of range" 2 "wrong.cfg:2: top_p wants numbers between 0 and 1" "top_p = [0.5, 2.0];"
grid_fails "half a token" 2 "wrong.cfg:2: top_k wants whole numbers" "top_k = 1.5;"
grid_fails "no list" 2 "wrong.cfg:2: length wants one number" "length = [9, 10];"
grid_fails "two searches" 2 "exclude each other" "beams = 2; penalty_alpha = 0.5;"
grid_fails "several texts of a contrast" 2 "finds one text" "samples = 2; penalty_alpha = 0.5;"
grid_fails "a list of beams" 2 "wrong.cfg:2: beams wants one number" "beams = [1, 2];"
grid_fails "no configuration" 2 "wrong.cfg:2: syntax error" "length = ;"
grid_fails "texts that are too short" 5 "0 documents of 228 tokens" "length = 100;"
fails "a grid and a text" 2 "is of one MODEL" eval "$model" --sampling-grid "$T_TMP/grid.cfg" --text "$T_TMP/line.txt"

fails "no model" 2 "eval wants a MODEL" eval --text "$T_TMP/all.jsonl"
fails "no text" 2 "eval wants --text FILE.*--choices FILE or" eval "$model"
fails "no such text" 3 "none.*cannot open" eval "$model" --text "$T_TMP/none"
: >"$T_TMP/empty"
fails "no text in it" 5 "no text" eval "$model" --text "$T_TMP/empty"
fails "no tokenizer" 5 "no tokenizer" eval "$T_TMP/bare" --text "$T_TMP/all.jsonl"
fails "no such model" 3 "no such directory" eval "$T_TMP/nothing" --text "$T_TMP/all.jsonl"
fails "unknown option" 2 "did you mean --stride" eval "$model" --text "$T_TMP/all.jsonl" --strides 3
"$WABUN" eval "$model" --text "$T_TMP/all.jsonl" >/dev/full 2>"$T_TMP/err"
ok "a full disk" test $? -eq 3
done_testing
