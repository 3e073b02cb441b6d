#!/bin/sh
# timeout: 900 - files with bad headers are refused: one message each, exit code 5, bounded time and memory.  Writes TAP.
#
#   tests/fault/headers.sh [COUNT [SEED]]     20 of them, drawn by SEED (0); all (over 1,000): tests/fault/headers.sh all
#
# safetensors, config.json, index files, GGUF, npz, PyTorch, TensorFlow, llm.c, token files, SentencePiece, ja-bpe: headers.pl.
case ${1-} in
  -h | --help) sed -n '4,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}" "${WABUN:=./wabun}" "${T_TMP:=$(mktemp -d)}"
perl -e 'exit 0' 2>/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }
export WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 LC_ALL=C.UTF-8
count=${1:-20}
[ "$count" != all ] || count=100000
# Code and libraries take some 55 MB; no header makes a process take more than 100 above.
if perl "$top_srcdir/tests/fault/headers.pl" "$WABUN" "$T_TMP" "$count" "${2:-0}" >"$T_TMP/report" 2>&1; then
  echo "ok 1 - every bad header is refused"
else
  echo "not ok 1 - every bad header is refused"
fi
sed 's/^/# /' "$T_TMP/report"
peak=$(sed -n 's/.*, \([0-9]*\) MB of memory$/\1/p' "$T_TMP/report")
if [ "${peak:-1000}" -lt 160 ]; then echo "ok 2 - no memory beyond bounds"; else echo "not ok 2 - no memory beyond bounds"; fi
echo "1..2"
