#!/bin/sh
# timeout: 600 - a text sample that there is no memory for: a warning, and the training goes on.  Writes TAP.
# The memory is that of a running process, which prlimit bounds; without it the test is skipped.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
if ! prlimit --version >/dev/null 2>&1; then
  echo "1..0 # SKIP no prlimit"
  exit 0
fi
if [ -n "${ASAN_OPTIONS-}" ]; then
  echo "1..0 # SKIP the sanitizer's allocator ends the program instead"
  exit 0
fi
prepare
cat >cfg <<EOF
run = "run";
tokenizer = "byte";
model = { layers = 4; width = 64; heads = 4; context = 4096; };
data = { train = "tokens"; };
train = { global_batch = 1; steps = 1000000; sequence_length = 64; };
sample = { every = 2000; length = 3000; };
log = { every = 20; };
checkpoint = { every = 0; };
EOF

texts () { [ "$(grep -a -c '  it writes' log)" -gt "$1" ]; }
steps_done () { grep -a 'tokens/s' log | sed -n 's/^step \([0-9]*\)\/.*/\1/p' | tail -n 1; }
beyond () { [ "$(steps_done)" -gt "$1" ]; }

"$WABUN" train cfg >log 2>&1 </dev/null &
pid=$!
trap 'kill $pid 2>/dev/null' EXIT
# Before the first text: what one has given back would be at hand for the next.
ok "steps are done" within 240 beyond 1
size=$(awk '/^VmSize:/ { print $2 * 1024 }' /proc/$pid/status)
prlimit --pid $pid "--as=$((size + 100000)):" || exit 99
ok "a text that there is no memory for is a warning" within 240 grep -a -q \
  '^wabun: warning: step [0-9]*/1000000: no text was written (.*); the run goes on, the next is due in 2000 steps' log
step=$(steps_done)
ok "the training goes on" within 240 beyond $((step + 60))
ok "with one warning" test "$(grep -a -c 'no text was written' log)" -eq 1
prlimit --pid $pid "--as=unlimited:"
ok "texts are written when there is" within 240 texts "$(grep -a -c '  it writes' log)"
trap - EXIT
kill -TERM $pid
wait $pid
ok "and the run ends as it should" test $? -eq 75
done_testing
