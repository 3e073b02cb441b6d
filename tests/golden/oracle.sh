#!/bin/sh
# oracle.sh DIR - compares ja-bpe and ja-swe with reference results; not part of `make check`.
#
# DIR holds vocab/ja-bpe.txt, vocab/ja-swe32k.txt, vocab/emoji.json, {bpe,swe}_public.jsonl (lines {"text", "clean",
# "ids", "decoded"}) and {bpe,swe}_decode_public.jsonl (lines {"ids", "decoded"}), made with the original encoders.
# Prints matches N/N for each and ends with 1 when some line differs.  WABUN is the program (default ./wabun); needs jq.
: "${WABUN:=./wabun}"
case ${1-} in -h | --help) echo "usage: oracle.sh DIR"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: $0 DIR" >&2; exit 2; }
command -v jq >/dev/null || { echo "$0: jq is needed" >&2; exit 77; }
bad=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

compare () { # WHAT GOT WANTED
  n=$(wc -l <"$3")
  same=$(paste "$2" "$3" | awk -F '\t' '$1 == $2 { n++ } END { print n + 0 }')
  echo "$1: $same/$n"
  [ "$same" -eq "$n" ] && [ "$(wc -l <"$2")" -eq "$n" ] || bad=1
}

for kind in bpe swe; do
  vocab=$(echo "$1"/vocab/ja-$kind*.txt)
  for clean in false true; do
    flag=
    [ $clean = true ] && flag=--clean
    jq -c "select (.clean == $clean)" "$1/${kind}_public.jsonl" >"$work/lines"
    # shellcheck disable=SC2086 # no flag is no word
    jq -c '{text}' "$work/lines" | "$WABUN" encode --tokenizer "$vocab" $flag --jsonl | jq -c .ids >"$work/got"
    jq -c .ids "$work/lines" >"$work/want"
    compare "ja-$kind: encode, clean $clean" "$work/got" "$work/want"
  done
  for file in public decode_public; do
    jq -c '{ids}' "$1/${kind}_$file.jsonl" | "$WABUN" decode --tokenizer "$vocab" --jsonl | jq -c .text >"$work/got"
    jq -c .decoded "$1/${kind}_$file.jsonl" >"$work/want"
    compare "ja-$kind: decode ${kind}_$file" "$work/got" "$work/want"
  done
done
exit $bad
