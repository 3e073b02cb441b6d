#!/bin/sh
# sentencepiece.sh TEXT... - wabun beside SentencePiece's own Python module; not part of `make check`.
#
# From TEXT (files, or directories of *.txt) it trains four models with the peer: unigram and BPE of 8,000 pieces, BPE
# with byte fallback and without a dummy prefix, and unigram that keeps line ends and spaces.  With each of them 2,000
# lines of TEXT, and texts of several lines, are encoded by both, and their ids and ids drawn at random decoded by both.
# Prints matches N/N and ends with 1 when some differ, with 77 where python3-sentencepiece is not installed.  WABUN is
# the program (default ./wabun), PYTHON the interpreter (default: /usr/bin/python3, Debian's, or python3).
: "${WABUN:=./wabun}"
case ${1-} in
  -h | --help) echo "usage: tests/peers/sentencepiece.sh TEXT..."; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  -*) echo "sentencepiece.sh: unknown option $1; tests/peers/sentencepiece.sh --help" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "usage: tests/peers/sentencepiece.sh TEXT..." >&2; exit 2; }
for python in "${PYTHON:-/usr/bin/python3}" python3; do
  "$python" -c 'import sentencepiece' 2>/dev/null && WABUN=$WABUN exec "$python" "$(dirname "$0")/sentencepiece_peer.py" "$@"
done
echo "$0: python3-sentencepiece is not installed: nothing was compared" >&2
exit 77
