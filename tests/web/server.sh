# shellcheck shell=sh
# Sourced by bad_requests.sh and aborts.sh: a server with the tiny model, which can talk, and what is looked at when it is left alone.
. "${top_srcdir:=.}/tests/cli/model.sh"
NO_PROXY='*' no_proxy='*'
export NO_PROXY no_proxy
for tool in perl curl; do
  command -v $tool >/dev/null || { echo "1..0 # SKIP no $tool"; exit 0; }
done
"$WABUN" serve --model "$model" --port 0 --host nowhere.invalid >/dev/null 2>"$T_TMP/err"
if grep -q "built without libmicrohttpd" "$T_TMP/err"; then
  echo "1..0 # SKIP built without libmicrohttpd"
  exit 0
fi
printf '{"user": "u{content}", "assistant": "a{content}", "reply": "r"}\n' >"$model/chat.json"
trap 'kill "$server" 2>/dev/null' EXIT

begin () { # ARGUMENT...: a server in the background; $port and $server are its own
  "$WABUN" serve --port 0 --model "$model" "$@" >"$T_TMP/address" 2>"$T_TMP/server.err" &
  server=$!
  i=0
  while [ $i -lt 600 ] && [ ! -s "$T_TMP/address" ] && kill -0 $server 2>/dev/null; do
    i=$((i + 1))
    sleep 0.1
  done
  port=$(sed 's/.*://' "$T_TMP/address")
}
number () { # NAME of metrics
  curl -q -s -m 60 "http://127.0.0.1:$port/metrics" | sed -n "s/^wabun_$1 //p"
}
until_is () { # NAME VALUE
  i=0
  while [ $i -lt 100 ] && [ "$(number "$1")" != "$2" ]; do
    i=$((i + 1))
    sleep 0.1
  done
  test "$(number "$1")" = "$2"
}
finish () { # nothing is left, and it stops
  ok "no request is left" until_is requests_open 0
  ok "no block is lost" until_is blocks_used 0
  kill -TERM $server
  wait $server
  ok "the server stops" test $? -eq 0
  sed 's/^/# server: /' "$T_TMP/server.err"
  done_testing
}
