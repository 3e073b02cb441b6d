#!/bin/sh
# wabun serve under load, beside `wabun bench generate` with as many texts, by turns; with node-llama-cpp in $WABUN_PEERS
# (tests/peers/llama.sh says how) also beside llama.cpp on the same model.  Not part of make check: the numbers mean
# something on a machine that has nothing else to do.  In a build directory, half an hour:
#     WABUN=$PWD/wabun ../tests/web/load.sh [CLIENTS...]     default 1 8 32 128
#   LOAD_PRESET=small  LOAD_PROMPT=32  LOAD_TOKENS=256  LOAD_TURNS=3  LOAD_OPTIONS= (of the server, such as --share)
# The model is random.  Tokens a second are those of the whole time, also of its slow moments: the server's while all
# clients write, the bench's as its mean (its table has the median).
case ${1-} in
  -h | --help) echo "usage: tests/web/load.sh [CLIENTS]..."; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *[!0-9]*) echo "load.sh: $1 is not a number of clients; tests/web/load.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${LOAD_PRESET:=small}" "${LOAD_PROMPT:=32}" "${LOAD_TOKENS:=256}" "${LOAD_TURNS:=3}"
[ $# -gt 0 ] || set -- 1 8 32 128
export LC_ALL=C.UTF-8
work=$(mktemp -d) || exit 99
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

. "$here/../bench/random_model.sh"
random_model "$LOAD_PRESET"
llama=
if [ -d "${WABUN_PEERS-}/node_modules/node-llama-cpp" ]; then
  run export "$work/run/latest" --to gguf --type f32 -o "$work/model.gguf"
  cp "$here/load_llama.mjs" "$WABUN_PEERS"
  llama=yes
fi

# ---- the server, with as many texts as clients
most=1
for n; do [ "$n" -le "$most" ] || most=$n; done
# shellcheck disable=SC2086 # options, words
"$WABUN" serve --model "$work/run/latest" --port 0 --texts "$most" --max-seconds 3600 ${LOAD_OPTIONS-} >"$work/address" 2>"$work/log" &
server=$!
i=0
while [ $i -lt 600 ] && [ ! -s "$work/address" ]; do i=$((i + 1)); sleep 0.1; done
url=$(cat "$work/address")
printf '%8s%16s%16s%16s%12s%8s%12s%8s\n' clients "serve tokens/s" generate llama.cpp "first ms" "99 %" "between ms" "99 %"
for n; do
  turn=0
  while [ $turn -lt "$LOAD_TURNS" ]; do
    turn=$((turn + 1))
    run bench serve --url "$url" --clients "$n" --prompt "$LOAD_PROMPT" --tokens "$LOAD_TOKENS" --json
    cp "$work/out" "$work/serve"
    run bench generate --preset "$LOAD_PRESET" --batch "$n" --prompt "$LOAD_PROMPT" --tokens "$LOAD_TOKENS" --json
    cp "$work/out" "$work/generate"
    peer=-
    [ -z "$llama" ] || peer=$(cd "$WABUN_PEERS" && node load_llama.mjs "$work/model.gguf" "$n" "$LOAD_PROMPT" "$LOAD_TOKENS" 2>"$work/llama.err")
    printf '%8d%16s%16s%16s%12s%8s%12s%8s\n' "$n" "$(number tokens_per_s_together "$work/serve")" \
      "$(sed -n 's/.*"batches": *\[{/{/p' "$work/generate" | number tokens_per_s_mean -)" "${peer:--}" "$(number first_ms "$work/serve")" \
      "$(number first_ms_99 "$work/serve")" "$(number between_ms "$work/serve")" "$(number between_ms_99 "$work/serve")"
  done
done
