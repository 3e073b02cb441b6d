#!/bin/sh
# All peers: programs by others on what wabun writes, and wabun on what they write.  Not part of make check.
#     WABUN=.../wabun WABUN_PEERS=DIR LLMC=DIR TRANSFORMERS=DIR/src ORACLE=DIR TENSORBOARD=DIR tests/peers/run.sh
#
#   llama.sh          llama.cpp, Hugging Face's tokenizers and reader of GGUF (npm packages in WABUN_PEERS)
#   formats.sh        PyTorch, NumPy, llm.c (LLMC), Hugging Face transformers (TRANSFORMERS, ORACLE)
#   eval.sh           bits per byte by their definition, in NumPy
#   tensorboard.sh    TensorBoard's reader of event files (a module of Python, or TENSORBOARD)
#   sentencepiece.sh  SentencePiece's Python module, on README.ja.md
# Each says at its top what it needs; what is not installed is skipped.  Writes TAP, one point for each.
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/peers/run.sh"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "run.sh: unknown argument $1; tests/peers/run.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
point=0 bad=0
peer () { # NAME ARGUMENT...
  name=$1
  shift
  point=$((point + 1))
  sh "$here/$name.sh" "$@" >"$log" 2>&1
  code=$?
  sed 's/^/    /' "$log"
  case $code in
    0) echo "ok $point - $name" ;;
    77) echo "ok $point - $name # SKIP not installed" ;;
    *) echo "not ok $point - $name"; bad=1 ;;
  esac
}
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
peer llama
peer formats
peer eval
peer tensorboard
peer sentencepiece "$here/../../README.ja.md"
echo "1..$point"
exit $bad
