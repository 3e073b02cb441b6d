#!/bin/sh
# wabun serve against OpenAI's client, its page and one of wabun report in Chromium.  Not part of make check.  Installs npm packages beside
# the build; Chromium is the system's (Debian: apt-get install chromium), without it that part is skipped.
# tests/run.sh --web starts it, or by hand, in a build directory:
#     WABUN=$PWD/wabun ../tests/web/run.sh
#   WABUN_WEB=DIR   where the npm packages are (default ./web)
# Writes TAP.
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/web/run.sh"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "run.sh: unknown argument $1; tests/web/run.sh --help" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
: "${WABUN:=wabun}" "${WABUN_WEB:=$PWD/web}"
NO_PROXY='*' no_proxy='*' WABUN_NO_RETUNE=1 LC_ALL=C.UTF-8
export NO_PROXY no_proxy WABUN_NO_RETUNE LC_ALL
work=$(mktemp -d) || exit 99
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

skip () { echo "1..0 # SKIP $1"; exit 77; }
command -v npm >/dev/null || skip "no npm"
if [ ! -d "$WABUN_WEB/node_modules/axe-core" ]; then
  mkdir -p "$WABUN_WEB" && (cd "$WABUN_WEB" && env -u NO_PROXY -u no_proxy npm i -E --no-audit --no-fund --ignore-scripts openai playwright-core axe-core) \
    >"$work/npm" 2>&1 || { cat "$work/npm" >&2; skip "npm installs no packages here"; }
fi

# A model of a few seconds' training on README.ja.md.
run () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null || { cat "$work/err" >&2; exit 99; }; }
grep -v '^    ' "$here/../../README.ja.md" | grep . >"$work/text"
run vocab train --kind ja-bpe --size 1500 -o "$work/vocab" "$work/text"
run encode --tokenizer "$work/vocab" -o "$work/tok" "$work/text"
cat >"$work/cfg" <<END
run = "$work/run"; seed = 1; tokenizer = "$work/vocab"; data = { train = "$work/tok"; validation = "$work/tok"; };
model = { layers = 2; width = 64; heads = 4; context = 256; };
train = { global_batch = 4; steps = 150; lr = 3e-3; warmup = 5; }; checkpoint = { every = 50; };
log = { every = 1; }; validation = { every = 10; samples = 4; }; sample = { every = 50; };
END
run train "$work/cfg"
run report "$work/run" -o "$work/one.html"
for lr in 1e-4 3e-4 1e-3 1e-2; do run train "$work/cfg" --set "run=\"$work/lr-$lr\"" --set train.steps=70 --set train.lr=$lr; done
run report "$work/run" "$work"/lr-* -o "$work/several.html"
# Killed three times, each time some steps after its newest checkpoint, and finished.
at () { readlink "$work/killed/latest" 2>/dev/null | sed 's/^step-0*//'; }
again () { run train "$work/cfg" --set "run=\"$work/killed\"" --set checkpoint.every=20 --set log.every=1 --set "train.steps=$1"; }
for k in 1 2 3; do
  until=$(($(at | grep . || echo 0) + 40))
  (again 100000) &
  pid=$!
  i=0
  while [ $i -lt 1000 ] && [ "$(at | grep . || echo 0)" -lt $until ]; do i=$((i + 1)); sleep 0.1; done
  child=$(ps -o pid= --ppid $pid | head -n 1)
  kill -9 $child
  wait $pid
done
again $(($(at) + 30))
run report "$work/killed" -o "$work/killed.html"
cp -rL "$work/run/latest" "$work/talker"
printf '{"user": "{content}\\n", "assistant": "{content}\\n", "reply": ""}' >"$work/talker/chat.json"

"$WABUN" serve --model readme="$work/talker" --model other="$work/run/latest" --port 0 >"$work/address" 2>"$work/log" &
server=$!
i=0
while [ $i -lt 300 ] && [ ! -s "$work/address" ]; do i=$((i + 1)); sleep 0.1; done
url=$(cat "$work/address")
cp "$here"/*.mjs "$WABUN_WEB" # a module is looked for beside the script
bad=0 point=0
: "${WABUN_CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)}"
export WABUN_CHROMIUM
for test in api page report; do
  if [ $test != api ] && [ -z "$WABUN_CHROMIUM" ]; then
    point=$((point + 1))
    echo "ok $point - $test # SKIP no chromium"
    continue
  fi
  set -- "$url"
  [ $test != report ] || set -- "$work/one.html" "$work/killed.html" "$work/several.html" "$work/run/metrics.jsonl"
  timeout 300 node "$WABUN_WEB/$test.mjs" "$@" >"$work/tap" 2>&1
  code=$?
  grep -v '^[0-9]*\.\.' "$work/tap" | sed "s/^\(not \)\{0,1\}ok /&$test: /"
  point=$((point + $(grep -c '^\(not \)\{0,1\}ok ' "$work/tap")))
  [ $code -eq 0 ] || { bad=1; echo "not ok $test: came to its end"; point=$((point + 1)); }
done
kill -TERM $server
wait $server
code=$?
server=
point=$((point + 1))
if [ $code -eq 0 ]; then echo "ok the server stops"; else bad=1; echo "not ok the server stops"; fi
echo "1..$point"
exit $bad
