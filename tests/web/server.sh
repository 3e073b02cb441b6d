# shellcheck shell=sh
# Sourced by bad_requests.sh and aborts.sh: a server with the tiny model, which can talk, and what is looked at when it is
# left alone.
. "${top_srcdir:=.}/tests/cli/server.sh"
command -v perl >/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }
printf '{"user": "u{content}", "assistant": "a{content}", "reply": "r"}\n' >"$model/chat.json"

begin () { start --model "$model" "$@"; }
finish () { # nothing is left, and it stops
  ok "no request is left" until_is requests_open 0
  ok "no block is lost" until_is blocks_used 0
  kill -TERM "$server"
  wait "$server"
  ok "the server stops" test $? -eq 0
  sed 's/^/# server: /' "$T_TMP/server.err"
  done_testing
}
