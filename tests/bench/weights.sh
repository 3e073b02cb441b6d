#!/bin/sh
# Writing and reading prompts with weights in fp32, bf16 and int8, by turns with llama.cpp on the same model at as many bytes
# (F32, F16 and BF16, Q8_0), if node-llama-cpp is in $WABUN_PEERS (tests/peers/llama.sh says how).  Not part of make check:
# the numbers mean something on a machine that has nothing else to do.  In a build directory, a quarter of an hour:
#     WABUN=$PWD/wabun ../tests/bench/weights.sh [PRESET...]     default small medium
#   WEIGHTS_PROMPT=512  WEIGHTS_TOKENS=64  WEIGHTS_TURNS=3  WEIGHTS_TEXTS="1 8"  WEIGHTS_CACHE=fp32
# Prints, for each turn, tokens a second, what share of the bound wabun reaches (the bytes of a step at the speed at which the
# memory of the weights is read), and wabun's speed as a multiple of llama.cpp's.
case ${1-} in
  -h | --help) echo "usage: tests/bench/weights.sh [PRESET]..."; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  -*) echo "weights.sh: unknown option $1; tests/bench/weights.sh --help" >&2; exit 2 ;;
esac
: "${WABUN:=wabun}" "${WEIGHTS_PROMPT:=512}" "${WEIGHTS_TOKENS:=64}" "${WEIGHTS_TURNS:=3}" "${WEIGHTS_TEXTS:=1 8}" "${WEIGHTS_CACHE:=fp32}"
[ $# -gt 0 ] || set -- small medium
export LC_ALL=C.UTF-8
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/bench/random_model.sh
. "$(dirname "$0")/random_model.sh"
llama=
if [ -d "${WABUN_PEERS-}/node_modules/node-llama-cpp" ]; then
  cp "$here/../web/load_llama.mjs" "$WABUN_PEERS"
  llama=yes
fi
peer () { # GGUF-TYPE TEXTS TOKENS
  [ -n "$llama" ] || { echo -; return; }
  (cd "$WABUN_PEERS" && node load_llama.mjs "$work/$1.gguf" "$2" "$WEIGHTS_PROMPT" "$3" 2>"$work/llama.err")
}
row () { # WHAT WABUN OF-BOUND PEER
  printf '%-8s%-7s%-6s%-8s%12s%10s%12s%9s\n' "$preset" "$type" "$file" "$1" "$2" "$3" "$4" \
    "$(echo "$2 $4" | awk '$2 > 0 { printf "%.2f", $1 / $2; next } { print "-" }')"
}

printf '%-8s%-7s%-6s%-8s%12s%10s%12s%9s\n' preset wabun peer texts "tokens/s" "of bound" "llama.cpp" ratio
for preset; do
  rm -rf "$work/vocab" "$work/run" "$work"/*.gguf
  random_model "$preset"
  for file in f32 f16 bf16 q8_0; do [ -z "$llama" ] || run export "$work/run/latest" --to gguf --type $file -o "$work/$file.gguf"; done
  turn=0
  while [ $turn -lt "$WEIGHTS_TURNS" ]; do
    turn=$((turn + 1))
    for pair in fp32:f32 bf16:f16 bf16:bf16 int8:q8_0; do
      type=${pair%:*} file=${pair#*:}
      for texts in $WEIGHTS_TEXTS; do
        run bench generate --preset "$preset" --weights $type --cache "$WEIGHTS_CACHE" --batch "$texts" --prompt "$WEIGHTS_PROMPT" \
          --tokens "$WEIGHTS_TOKENS" --json
        cp "$work/out" "$work/generate"
        sed -n 's/.*"batches": *\[{/{/p' "$work/generate" >"$work/step"
        row "$texts" "$(number tokens_per_s_mean "$work/step")" \
          "$(sed -n 's/.*"of_bound": *\([0-9.]*\).*/\1/p' "$work/step" | awk '{ printf "%.0f %%", 100 * $1 }')" \
          "$(peer $file "$texts" "$WEIGHTS_TOKENS")"
      done
      row prompt "$(sed -n 's/.*"prompt_processing": *{[^}]*"tokens_per_s": *\([0-9.]*\).*/\1/p' "$work/generate" |
        awk '{ printf "%.1f", $1 }')" - "$(peer $file 1 0)"
    done
  done
done
