#!/bin/sh
# timeout: 300 - wabun serve: the API against generate, score and transform, streams, errors, keys, limits, signals.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/server.sh"

# field NAME: every value of that name, of one line of JSON, one a line
field () { grep -o "\"$1\":\(\"\([^\"\\\\]\|\\\\.\)*\"\|[^,}\"]*\|\[[^]]*\]\)" | sed "s/^\"$1\"://; s/^\"\(.*\)\"\$/\1/"; }
complete () { post /v1/completions "$1" | field text; }
near () { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d <= 1e-8 * b * b) }'; }
talks_until () { # TEXT
  i=0
  while [ $i -lt 100 ] && [ "$(post /v1/chat/completions "{$talk}" | field content)" != "$1" ]; do
    i=$((i + 1))
    sleep 0.1
  done
  [ $i -lt 100 ]
}

start --model letters="$model" --allow-origin http://named.example
ok "prints one line, its address" grep -q -x 'http://127\.0\.0\.1:[0-9]*' "$T_TMP/address"
ok "/health" test "$(get /health)" = '{"status":"ok"}'
ok "/v1/models" test "$(get /v1/models | field id)" = letters

# ---- texts are those of generate
"$WABUN" generate --model "$model" --seed 5 --top-k 0 --context abc --num-generate 3 --max-length 40 2>/dev/null |
  grep -v '^===' >"$T_TMP/want"
request='"prompt":"abc","seed":5,"max_tokens":40'
complete "{$request,\"n\":3}" >"$T_TMP/got"
ok "n texts, beyond the model's positions" cmp "$T_TMP/want" "$T_TMP/got"
head -n 1 "$T_TMP/want" >"$T_TMP/first"
complete "{$request}" >"$T_TMP/got"
ok "one text" cmp "$T_TMP/first" "$T_TMP/got"
complete '{"prompt":[97,98,99],"seed":5,"max_tokens":40,"model":"letters","user":"x"}' >"$T_TMP/got"
ok "a prompt of ids" cmp "$T_TMP/first" "$T_TMP/got"
complete '{"prompt":["abc","xyz"],"seed":5,"max_tokens":40}' | head -n 1 >"$T_TMP/got"
ok "beside another prompt" cmp "$T_TMP/first" "$T_TMP/got"
pids=
for i in 1 2 3 4 5 6 7 8; do
  complete "{\"prompt\":\"abc\",\"seed\":$i,\"n\":$i,\"max_tokens\":40}" >"$T_TMP/among$i" &
  pids="$pids $!"
done
# shellcheck disable=SC2086 # a list
wait $pids
head -n 1 "$T_TMP/among5" >"$T_TMP/got"
ok "among others" cmp "$T_TMP/first" "$T_TMP/got"
"$WABUN" generate --model "$model" --temperature 0 --context abc --max-length 9 >"$T_TMP/want"
complete '{"prompt":"abc","temperature":0,"max_tokens":9}' >"$T_TMP/got"
ok "temperature 0" cmp "$T_TMP/want" "$T_TMP/got"

# ---- searches, alone and among others
for i in 1 2 3; do
  complete "{\"prompt\":\"abc\",\"seed\":$i,\"n\":$i,\"max_tokens\":40}" >"$T_TMP/among$i" &
  pids="$pids $!"
done
"$WABUN" generate --model "$model" --beams 3 --no-repeat-ngram 2 --context abc --num-generate 2 --max-length 40 | grep -v '^===' >"$T_TMP/want"
complete '{"prompt":"abc","beams":3,"no_repeat_ngram":2,"n":2,"max_tokens":40}' >"$T_TMP/got"
ok "beam search, beyond the model's positions" cmp "$T_TMP/want" "$T_TMP/got"
"$WABUN" generate --model "$model" --penalty-alpha 0.6 --candidates 5 --context abc --max-length 40 >"$T_TMP/want"
complete '{"prompt":"abc","penalty_alpha":0.6,"candidates":5,"max_tokens":40}' >"$T_TMP/got"
ok "contrastive search" cmp "$T_TMP/want" "$T_TMP/got"
post /v1/completions '{"prompt":"abc","penalty_alpha":0.6,"candidates":5,"max_tokens":40,"stream":true}' >"$T_TMP/events"
ok "in a stream" test "$(field text <"$T_TMP/events" | tr -d '\n')" = "$(cat "$T_TMP/want")"
# shellcheck disable=SC2086 # a list
wait $pids

# ---- streams
post /v1/completions "{$request,\"stream\":true,\"stream_options\":{\"include_usage\":true}}" >"$T_TMP/events"
ok "a stream: the same text" test "$(field text <"$T_TMP/events" | tr -d '\n')" = "$(cat "$T_TMP/first")"
ok "with its usage" grep -q '"choices":\[\],"usage":{"prompt_tokens":3,' "$T_TMP/events"
ok "and its end" test "$(grep '^data' "$T_TMP/events" | tail -n 1)" = "data: [DONE]"
stop=$(cut -c 5-6 "$T_TMP/first")
before=$(awk -v s="$stop" '{ print substr ($0, 1, index ($0, s) - 1) }' "$T_TMP/first")
ok "a stop sequence" test "$(complete "{$request,\"stop\":[\"$stop\",\"0\"]}")" = "$before"
post /v1/completions "{$request,\"stop\":\"$stop\",\"stream\":true}" >"$T_TMP/events"
ok "in a stream" test "$(field text <"$T_TMP/events" | tr -d '\n')" = "$before"
ok "with its reason" test "$(field finish_reason <"$T_TMP/events" | tail -n 1)" = stop

# ---- log-probabilities, scores, vectors, ids
post /v1/completions '{"prompt":[256,97,98,99,256],"max_tokens":0,"echo":true,"logprobs":2}' >"$T_TMP/got"
sum=$(field token_logprobs <"$T_TMP/got" | tr -d '[]' | tr ',' '\n' | awk '{ s += $1 } END { print s }')
want=$(echo abc | "$WABUN" score --model "$model" - | cut -f 2)
ok "echo with log-probabilities: what score says" near "$sum" "$want"
ok "the first token has none" grep -q '"token_logprobs":\[null,-' "$T_TMP/got"
ok "/score" near "$(post /score '{"text":"abc"}' | field logprob)" "$want"
post /score '{"text":["abc","","zz"],"tokens":true}' >"$T_TMP/got"
ok "/score: several, with tokens" test "$(field count <"$T_TMP/got" | tr '\n' ' ')" = "4 1 3 "
want=$("$WABUN" transform --model "$model" --context abc | tr -d '[] ' | cut -d , -f 3)
ok "/v1/embeddings" near "$(post /v1/embeddings '{"input":"abc"}' | field embedding | tr -d '[]' | cut -d , -f 3)" "$want"
ok "packed" test "$(post /v1/embeddings '{"input":["abc"],"encoding_format":"base64"}' | field embedding | wc -c)" -eq 173
ok "/tokenize" test "$(post /tokenize '{"text":"aあ"}' | field tokens)" = "[97,227,129,130]"
ok "/detokenize" test "$(post /detokenize '{"tokens":[97,227,129,130]}')" = '{"text":"aあ"}'

# ---- errors: STATUS PATH BODY
while read -r want path body; do
  got=$(post "$path" "$body" -o "$T_TMP/error" -w '%{http_code}')
  ok "$want $path $(printf %.60s "$body")" test "$got" = "$want" -a "$(grep -c '{"error":{"message":"' "$T_TMP/error")" -eq 1
done <<'END'
400 /v1/completions {
400 /v1/completions []
400 /v1/completions "abc"
400 /v1/completions {"prompt":"a"}{"prompt":"b"}
400 /v1/completions {"prompt":"a","prompt":"b"}
400 /v1/completions {"prompt":"\ud800"}
400 /v1/completions {"prompt":"\u0000"}
400 /v1/completions {"prompt":[[[1]]]}
400 /v1/completions {"prompt":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}
400 /v1/completions {"prompt":{}}
400 /v1/completions {"prompt":[-1]}
400 /v1/completions {"prompt":[257]}
400 /v1/completions {"prompt":[1,"a"]}
400 /v1/completions {"prompt":[97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97,97]}
400 /v1/completions {"prompt":"a","max_tokens":-5}
400 /v1/completions {"prompt":"a","max_tokens":1.5}
400 /v1/completions {"prompt":"a","max_tokens":1e400}
400 /v1/completions {"prompt":"a","max_tokens":99999999999999999999}
400 /v1/completions {"prompt":"a","temperature":NaN}
400 /v1/completions {"prompt":"a","temperature":"warm"}
400 /v1/completions {"prompt":"a","temperature":-1}
400 /v1/completions {"prompt":"a","top_p":2}
400 /v1/completions {"prompt":"a","n":0}
400 /v1/completions {"prompt":["a","b"],"n":100}
400 /v1/completions {"prompt":"a","best_of":3}
400 /v1/completions {"prompt":"a","suffix":"b"}
400 /v1/completions {"prompt":"a","logprobs":21}
400 /v1/completions {"prompt":"a","stop":[""]}
400 /v1/completions {"prompt":"a","stop":1}
400 /v1/completions {"prompt":"a","stream":1}
400 /v1/completions {"prompt":"a","stream":true,"stream_options":1}
400 /v1/completions {"prompt":"a","presence_penalty":"a"}
400 /v1/completions {"prompt":"a","logit_bias":{"500":1}}
400 /v1/completions {"prompt":"a","beams":65}
400 /v1/completions {"prompt":"a","beams":2,"n":3}
400 /v1/completions {"prompt":"a","beams":2,"penalty_alpha":0.5}
400 /v1/completions {"prompt":"a","penalty_alpha":0.5,"n":2}
400 /v1/completions {"prompt":"a","beams":40,"max_tokens":1}
400 /v1/embeddings {"input":""}
400 /v1/embeddings {}
400 /score {"txt":"a"}
400 /tokenize {"text":1}
400 /detokenize {"tokens":[300]}
400 /v1/chat/completions {"messages":[{"role":"user","content":"a"}]}
404 /../../etc/passwd {}
405 /v1/models {}
END
ok "405: GET" test "$(get /v1/completions -o "$T_TMP/error" -w '%{http_code}')" = 405
printf '{"prompt":"\377"}' >"$T_TMP/body"
ok "a body that is not UTF-8" test "$(post /v1/completions "@$T_TMP/body" -o /dev/null -w '%{http_code}')" = 400
head -c 5000000 /dev/zero | tr '\0' a >"$T_TMP/body"
ok "a body that is too large" test "$(post /v1/completions "@$T_TMP/body" -o /dev/null -w '%{http_code}')" = 413
ok "and one in chunks" test "$(post /v1/completions "@$T_TMP/body" -H 'Transfer-Encoding: chunked' -o /dev/null -w '%{http_code}')" = 413
ok "a page of another address" test "$(get /v1/models -H 'Origin: http://evil.example' -o /dev/null -w '%{http_code}')" = 403
ok "one of this address" test "$(get /v1/models -H "Origin: $url" -o /dev/null -w '%{http_code}')" = 200
get /v1/models -H 'Origin: http://named.example' -D "$T_TMP/headers" -o /dev/null
ok "one that was named" grep -qi 'access-control-allow-origin: http://named.example' "$T_TMP/headers"
ok "headers for browsers" grep -qi 'x-content-type-options: nosniff' "$T_TMP/headers"

# ---- bench serve
"$WABUN" bench serve --url "$url" --clients 3 --prompt 4 --tokens 20 --vocab 256 --json >"$T_TMP/bench" 2>"$T_TMP/err"
ok "bench serve" grep -q '"bench": *"serve".*"clients": *3,.*"tokens_per_s": *[1-9].*"first_ms": *[0-9.]*[1-9]' "$T_TMP/bench"
fails "bench serve without an address" 2 "wants --url" bench serve
fails "bench serve where nobody listens" 3 "127.0.0.1:1" bench serve --url http://127.0.0.1:1

# ---- clients that go away; the end
long='{"prompt":"a","seed":1,"max_tokens":16000,"min_tokens":16000,"n":16'
curl -q -s -m 1 -d "$long}" "$url/v1/completions" >/dev/null
curl -q -s -m 1 -d "$long,\"stream\":true}" "$url/v1/completions" >/dev/null
ok "whoever has gone is not written for" until_is cancelled_total 2
ok "nothing is under way any more" until_is texts_running 0
ok "no block is lost" test "$(number blocks_used)" = 0
kill -HUP $server
ok "SIGHUP: it goes on" test "$(complete "{$request}")" = "$(cat "$T_TMP/first")"
curl -q -s -N -d '{"prompt":"a","seed":1,"max_tokens":3000,"min_tokens":3000,"stream":true}' "$url/v1/completions" \
  >"$T_TMP/events" &
stream=$!
i=0
while [ $i -lt 600 ] && [ ! -s "$T_TMP/events" ]; do
  i=$((i + 1))
  sleep 0.05
done
kill -TERM $server
wait $stream
ok "SIGTERM: a stream is finished" grep -q '^data: \[DONE\]' "$T_TMP/events"
wait $server
ok "exit code 0" test $? -eq 0

# ---- conversations: a second model that has a template
cp -r "$model" "$T_TMP/talker"
cat >"$T_TMP/talker/chat.json" <<'END'
{"begin": "<|endoftext|>", "system": "s{content}", "user": "u{content}\n", "assistant": "a{content}<|endoftext|>", "reply": "abc", "stop": ["0"]}
END
start --model "$T_TMP/talker" --model "$model"
talk='"model":"talker","seed":5,"max_tokens":30,"messages":[{"role":"system","content":"x"},{"role":"user","content":"y"},{"role":"assistant","content":"z"},{"role":"user","content":[{"type":"text","text":"い"}]}]'
ids=[256,115,120,117,121,10,97,122,256,117,227,129,132,10,97,98,99]
complete "{\"prompt\":$ids,\"seed\":5,\"max_tokens\":30}" >"$T_TMP/want"
post /v1/chat/completions "{$talk}" >"$T_TMP/got"
ok "/v1/chat/completions: what follows its text" test -s "$T_TMP/want" -a "$(field content <"$T_TMP/got")" = "$(cat "$T_TMP/want")"
ok "in the API's form" grep -q '"object":"chat.completion".*"message":{"role":"assistant","content":"' "$T_TMP/got"
post /v1/chat/completions "{$talk,\"stream\":true}" >"$T_TMP/events"
ok "a stream of it" test "$(field content <"$T_TMP/events" | tr -d '\n')" = "$(cat "$T_TMP/want")" -a "$(grep -c '"role":"assistant"' "$T_TMP/events")" -eq 1
ok "with its end" test "$(grep '^data' "$T_TMP/events" | tail -n 1)" = "data: [DONE]"
post /v1/chat/completions "{$talk,\"logprobs\":true,\"top_logprobs\":2}" >"$T_TMP/got"
ok "with log-probabilities" test "$(grep -o '"top_logprobs":\[{[^]]*\][^]]*\]' "$T_TMP/got" | grep -c .)" -eq "$(wc -m <"$T_TMP/want" | awk '{ print $1 - 1 }')"
stop=$(cut -c 5-6 "$T_TMP/want")
before=$(awk -v s="$stop" '{ print substr ($0, 1, index ($0, s) - 1) }' "$T_TMP/want")
sed -i "s/\"0\"/\"0\", \"$stop\"/" "$T_TMP/talker/chat.json"
kill -HUP $server
ok "SIGHUP: the template is read anew" talks_until "$before"
ok "a model without a template says so" sh -c 'echo "$1" | grep -q "it has no chat.json"' - "$(post /v1/chat/completions '{"model":"model","messages":[{"role":"user","content":"a"}]}')"
while read -r body; do
  got=$(post /v1/chat/completions "{\"model\":\"talker\",$body}" -o "$T_TMP/error" -w '%{http_code}')
  ok "400 chat $(printf %.60s "$body")" test "$got" = 400 -a "$(grep -c '{"error":{"message":"' "$T_TMP/error")" -eq 1
done <<'END'
"messages":[]
"messages":{"role":"user","content":"a"}
"messages":["a"]
"messages":[{"role":"tool","content":"a"}]
"messages":[{"role":"user"}]
"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]
"messages":[{"role":"user","content":"a<|endoftext|>"}]
"messages":[{"role":"user","content":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]
"messages":[{"role":"user","content":"a"}],"logprobs":3
"messages":[{"role":"user","content":"a"}],"tools":[{}]
"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object"}
END
kill -TERM $server
wait $server
while read -r what text; do
  echo "$text" >"$T_TMP/talker/chat.json"
  fails "chat.json: $what" 5 "chat.json" serve --port 0 --model "$T_TMP/talker"
done <<'END'
no-JSON {"user": "{content}",
a-list []
no-content {"user": "u", "assistant": "{content}", "reply": ""}
twice {"user": "{content}{content}", "assistant": "{content}", "reply": ""}
no-reply {"user": "{content}", "assistant": "{content}"}
unknown {"user": "{content}", "assistant": "{content}", "reply": "", "stops": []}
stop {"user": "{content}", "assistant": "{content}", "reply": "", "stop": [""]}
END

printf '# keys\nsesame-open\n\nanother-key-1\n' >"$T_TMP/keys"
start --model "$model" --api-keys "$T_TMP/keys" --queue 1
code () { get /v1/models "$@" -o /dev/null -w '%{http_code}'; }
ok "no key" test "$(code)" = 401
ok "a wrong key" test "$(code -H 'Authorization: Bearer sesame-opem')" = 401
ok "a key" test "$(code -H 'Authorization: Bearer another-key-1')" = 200
ok "/health needs none" test "$(get /health -o /dev/null -w '%{http_code}')" = 200
curl -q -s -m 60 -H 'Authorization: Bearer sesame-open' -d "$long}" "$url/v1/completions" >/dev/null &
busy=$!
number () { get /metrics -H 'Authorization: Bearer sesame-open' | sed -n "s/^wabun_$1 //p"; }
ok "one is under way" until_is requests_open 1
ok "the next one is refused" test "$(post /v1/completions '{"prompt":"a"}' -H 'Authorization: Bearer sesame-open' -o /dev/null -w '%{http_code}')" = 429
kill $busy
kill -TERM $server
wait $server
ok "stopped" test $? -eq 0

# ---- limits of a client and of a request; keys that are read anew; the end
start --model "$model" --api-keys "$T_TMP/keys" --per-client 1 --max-seconds 2 --max-body 2000 --max-tokens 300000
as () { # KEY PATH BODY ARGUMENT...
  key=$1
  shift
  post "$@" -H "Authorization: Bearer $key"
}
status () { as "$@" -o "$T_TMP/error" -w '%{http_code}'; }
as another-key-1 /v1/completions "$long}" -o "$T_TMP/late" -w '%{http_code}' >"$T_TMP/code" &
busy=$!
as sesame-open /v1/completions "$long,\"stream\":true}" >"$T_TMP/events" &
ok "two clients have a request each" until_is requests_open 2
ok "another one of the same client is refused" test "$(status sesame-open /v1/completions '{"prompt":"a"}')" = 429
ok "with its reason" grep -q client_full "$T_TMP/error"
wait $busy
ok "what takes too long is ended" test "$(cat "$T_TMP/code")" = 503 -a "$(grep -c time_limit "$T_TMP/late")" -eq 1
ok "nobody has one" until_is requests_open 0
ok "a stream of it as well" grep -q '"code":"time_limit"' "$T_TMP/events"
ok "then they may ask again" test "$(status sesame-open /v1/completions '{"prompt":"a"}')" = 200
ok "too many bytes" test "$(status sesame-open /v1/completions "{\"prompt\":\"$(head -c 2000 /dev/zero | tr '\0' a)\"}")" = 413
ok "too many tokens" test "$(status sesame-open /v1/completions '{"prompt":"a","n":100,"max_tokens":3001}')" = 400
echo another-key-2 >"$T_TMP/keys"
kill -HUP $server
i=0
while [ $i -lt 100 ] && [ "$(status another-key-2 /tokenize '{"text":"a"}')" != 200 ]; do
  i=$((i + 1))
  sleep 0.1
done
ok "SIGHUP: a new key" test $i -lt 100
ok "and an old one" test "$(status sesame-open /tokenize '{"text":"a"}')" = 401
number () { get /metrics -H 'Authorization: Bearer another-key-2' | sed -n "s/^wabun_$1 //p"; }
as another-key-2 /v1/completions "$long,\"stream\":true}" >"$T_TMP/events" &
until_is requests_open 1
kill -TERM $server
ok "SIGTERM: who comes now is told" test "$(i=0; while [ $i -lt 50 ] && [ "$(status another-key-2 /v1/completions '{"prompt":"a"}')" = 429 ]; do i=$((i + 1)); done; status another-key-2 /v1/completions '{"prompt":"a"}')" = 503
wait $server
ok "stopped" test $? -eq 0

# How its threads wait: asleep on a busy machine, else after spinning briefly; both are set before it starts again.
(unset WABUN_NO_RETUNE OMP_NUM_THREADS OMP_WAIT_POLICY GOMP_SPINCOUNT; start --model "$model" && echo $server >"$T_TMP/pid")
waits=$(tr '\0' '\n' <"/proc/$(cat "$T_TMP/pid")/environ" | grep -c -E '^(OMP_WAIT_POLICY=passive|GOMP_SPINCOUNT=20000)$')
name=$(cat "/proc/$(cat "$T_TMP/pid")/comm")
kill "$(cat "$T_TMP/pid")"
ok "its threads spin only briefly" test "$waits" -eq 1
ok "and it keeps its name" test "$name" = wabun

fails "no model" 2 "serve wants --model" serve --port 0
fails "no such model" 3 "none" serve --port 0 --model "$T_TMP/none"
fails "two of one name" 2 "two models have the name model" serve --port 0 --model "$model" --model "$model"
fails "no such address" 3 "nowhere.invalid" serve --port 0 --model "$model" --host nowhere.invalid
: >"$T_TMP/keys"
fails "no keys in the file" 5 "no key in it" serve --port 0 --model "$model" --api-keys "$T_TMP/keys"
fails "unknown option" 2 "did you mean --port" serve --ports 0
done_testing
