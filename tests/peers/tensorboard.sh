#!/bin/sh
# TensorBoard's own reader on the event files of a run; not part of `make check`.
#     WABUN=.../wabun tests/peers/tensorboard.sh
# The same numbers must be in metrics.jsonl, in the event files, and in the tables of `wabun report`: of a run, and of one
# that was killed, so that its later event files take back steps of the earlier ones.
# The reader is Python's module tensorboard where PYTHON (default: /usr/bin/python3) has it, or it is made of TENSORBOARD, a
# copy of https://github.com/tensorflow/tensorboard (2.20 is known to run), by protoc (Debian: protobuf-compiler,
# python3-protobuf, python3-absl, python3-numpy).  Without either, it is skipped.  Writes TAP.
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/peers/tensorboard.sh"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "tensorboard.sh: unknown argument $1; tests/peers/tensorboard.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${PYTHON:=/usr/bin/python3}"
export WABUN_NO_RETUNE=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
skip () { echo "1..0 # SKIP $1"; exit 77; }
reader () { "$PYTHON" -c 'import tensorboard.backend.event_processing.event_accumulator' >"$work/err" 2>&1; }
if ! reader; then
  [ -d "${TENSORBOARD-}/tensorboard/compat/proto" ] || skip "no TensorBoard: no module of $PYTHON, no copy in TENSORBOARD"
  command -v protoc >/dev/null || skip "no protoc"
  mkdir "$work/reader"
  (cd "$TENSORBOARD" && find tensorboard \( -name '*.py' -o -name '*.proto' \) -print0 | tar c --null -T -) | tar x -C "$work/reader"
  (cd "$work/reader" && find tensorboard/compat/proto tensorboard/plugins tensorboard/util -name '*.proto' -exec protoc --python_out=. {} +) || exit 99
  PYTHONPATH=$work/reader
  export PYTHONPATH
  reader || { cat "$work/err" >&2; skip "TensorBoard's reader does not run"; }
fi

cd "$work" || exit 99
run () { "$WABUN" "$@" >out 2>err </dev/null || { cat err >&2; exit 99; }; }
"$WABUN" help --man >text
run encode --tokenizer byte -o tok text
cat >cfg <<'CFG'
seed = 1; tokenizer = "byte"; data = { train = "tok"; validation = "tok"; };
model = { layers = 2; width = 64; heads = 4; context = 64; };
train = { global_batch = 4; steps = 60; lr = 3e-3; warmup = 5; }; checkpoint = { every = 20; };
log = { every = 1; }; validation = { every = 10; samples = 4; }; sample = { every = 20; }; report = { tensorboard = true; };
CFG
run train cfg --set 'run="one"'
# Killed with steps beyond its newest checkpoint, as a rule.
"$WABUN" train cfg --set 'run="killed"' --set train.steps=100000 >out 2>err </dev/null &
pid=$!
i=0
while [ $i -lt 1000 ] && ! { [ -e killed/latest ] && grep -q '"step": 35, ' killed/metrics.jsonl; }; do i=$((i + 1)); sleep 0.05; done
kill -9 $pid
wait $pid 2>/dev/null
last=$(sed -n 's/.*"step": \([0-9]*\), .*"loss".*/\1/p' killed/metrics.jsonl | tail -n 1)
run train cfg --set 'run="killed"' --set "train.steps=$((last + 30))"
point=1 bad=0
if [ "$(ls killed/events.out.tfevents.* | wc -l)" -eq 2 ]; then echo "ok 1 - two event files"; else bad=1; echo "not ok 1 - two event files"; fi
for name in one killed; do
  run report $name -o $name.html
  point=$((point + 1))
  if "$PYTHON" "$here/tensorboard_peer.py" $name $name.html >out 2>&1; then echo "ok $point - $name"; else bad=1; echo "not ok $point - $name"; fi
  sed 's/^/#   /' out
done
echo "1..$point"
exit $bad
