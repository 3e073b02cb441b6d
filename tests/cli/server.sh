# shellcheck shell=sh
# Sourced by the tests of `wabun serve`, in tests/cli and tests/web: a server in the background, and what it says of
# itself.  What `model.sh` has is there too.
. "${top_srcdir:=.}/tests/cli/model.sh"
NO_PROXY='*' no_proxy='*'
export NO_PROXY no_proxy
command -v curl >/dev/null || { echo "1..0 # SKIP no curl"; exit 0; }
"$WABUN" serve --model "$model" --port 0 --host nowhere.invalid >/dev/null 2>"$T_TMP/err"
if grep -q "built without libmicrohttpd" "$T_TMP/err"; then
  echo "1..0 # SKIP built without libmicrohttpd"
  exit 0
fi
trap 'kill "$server" 2>/dev/null' EXIT

# start ARGUMENT...: a server in the background; $url, $port and $server are its own
start () {
  rm -f "$T_TMP/address"
  "$WABUN" serve --port 0 "$@" >"$T_TMP/address" 2>"$T_TMP/server.err" &
  server=$!
  i=0
  while [ $i -lt 600 ] && [ ! -s "$T_TMP/address" ] && kill -0 $server 2>/dev/null; do
    i=$((i + 1))
    sleep 0.1
  done
  url=$(cat "$T_TMP/address")
  # shellcheck disable=SC2034 # for those who source this
  port=${url##*:}
}
get () { path=$1; shift; curl -q -s -m 60 "$@" "$url$path"; }
post () { path=$1 body=$2; shift 2; curl -q -s -m 60 -d "$body" "$@" "$url$path"; }
number () { # NAME of metrics
  get /metrics | sed -n "s/^wabun_$1 //p"
}
until_is () { # NAME VALUE
  i=0
  while [ $i -lt 300 ] && [ "$(number "$1")" != "$2" ]; do
    i=$((i + 1))
    sleep 0.1
  done
  test "$(number "$1")" = "$2"
}
