#!/bin/sh
# timeout: 600 - wabun verify, and the checksums of a model that is loaded: every kind of damage is named.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_STEPS=8
export T_STEPS
prepare
trained 1 good --set checkpoint.every=2 >/dev/null || { cat log; exit 99; }

# flip FILE BYTE: one byte of it is another one
flip () {
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  # shellcheck disable=SC2059 # an octal escape
  printf "\\$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
# poison FILE BYTE: a NaN there
poison () { printf '\000\000\300\177' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
verify () { # CODE DIR
  "$WABUN" verify "$2" >out 2>err
  got=$?
  cat out err
  [ $got -eq "$1" ]
}
lines () { wc -l <out; }
named () { # PATTERN: one line of the output has it
  [ "$(grep -c -e "$1" out)" -eq 1 ] && return
  cat out
  return 1
}
last=step-00000008

# ---- good -----------------------------------------------------------------------------------------------------------
ok "a run" verify 0 good
ok "a line for each checkpoint" test "$(lines)" -eq 4 -a "$(grep -c ': good: 5 files, 84 tensors, ' out)" -eq 4 -a ! -s err
ok "a checkpoint" verify 0 good/step-00000002
ok "the newest" verify 0 good/latest
cp -R good/latest/. plain && rm plain/checksums.json plain/state.json
ok "somebody else's model" verify 0 plain
ok "says what was not looked at" named 'plain: good: .*no checksums.json, so only the numbers'

# ---- damaged --------------------------------------------------------------------------------------------------------
cp -R good bad
flip bad/$last/model.safetensors 50000
truncate -s 1000 bad/$last/optimizer.safetensors
rm bad/$last/config.json bad/step-00000006/checksums.json
ok "a run with damage" verify 5 bad
ok "a flipped bit" named "bad/$last/model.safetensors: damaged: 1 of 1 blocks"
ok "a file cut off" named "bad/$last/optimizer.safetensors: damaged: 1000 bytes long, should be"
ok "a file missing" named "bad/$last/config.json: missing"
ok "no checksums" named 'bad/step-00000006: checksums.json is missing'
ok "the good ones beside them" test "$(lines)" -eq 6 -a "$(grep -c ': good' out)" -eq 2
ok "one message" test "$(cat err)" = "wabun: bad: 2 of 4 checkpoints are damaged"

cp -R good/latest/. unnamed
# the entry of the weights goes, with all its lines
awk '/"model.safetensors"/ { skip = 1 } !skip { print } skip && /}/ { skip = 0 }' good/latest/checksums.json >unnamed/checksums.json
ok "an entry missing from checksums.json" verify 5 unnamed
ok "the file is named" named 'unnamed/model.safetensors: checksums.json does not name it'
echo '{' >unnamed/checksums.json
ok "checksums.json damaged" verify 5 unnamed
ok "with its line" named 'unnamed/checksums.json:[0-9]*: damaged'

poison plain/model.safetensors $(($(stat -c %s plain/model.safetensors) - 4))
poison plain/model.safetensors $(($(stat -c %s plain/model.safetensors) - 12))
ok "NaN among the weights" verify 5 plain
ok "tensor, number and place" named 'plain/model.safetensors: [a-z0-9._]*: 2 numbers are NaN or infinite, the first is number [0-9]*$'

# ---- what cannot be looked at ---------------------------------------------------------------------------------------
mkdir empty
ok "neither model nor run" verify 2 empty
ok "no such directory" verify 3 nowhere
ok "a file" verify 2 good/latest/model.safetensors
ok "says that a directory is wanted" grep -q 'model.safetensors is a file: verify wants the directory' err
ok "no name" test "$("$WABUN" verify 2>&1 | head -n 1)" = "wabun: verify wants a DIR: a model, a checkpoint, or a run"

# ---- loading --------------------------------------------------------------------------------------------------------
loads () { # CODE COMMAND DIR...
  want=$1 command=$2 dir=$3
  shift 3
  case $command in
    score) echo abc | "$WABUN" score --model "$dir" "$@" - >out 2>err ;;
    *) "$WABUN" "$command" --model "$dir" --context abc "$@" >out 2>err ;;
  esac
  got=$?
  cat err
  [ $got -eq "$want" ]
}
cp -R good/latest/. flipped
flip flipped/model.safetensors 50000
for command in generate score transform; do
  ok "$command: a flipped bit" loads 5 $command flipped
  ok "$command: one message" test ! -s out -a "$(grep -c 'flipped/model.safetensors: damaged.*--no-verify' err)" -eq 1
  ok "$command --no-verify" loads 0 $command flipped --no-verify
done
cp -R good/latest/. state
flip state/optimizer.safetensors 50000
ok "what is not loaded is not looked at" loads 0 transform state
done_testing
