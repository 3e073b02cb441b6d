#!/bin/sh
# timeout: 600 - wabun train: which checkpoint a run goes on from: damaged ones, copied runs, directories that cannot be made.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_STEPS=8
export T_STEPS
prepare

# flip FILE BYTE: one byte of it is another one
flip () {
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  # shellcheck disable=SC2059 # an octal escape
  printf "\\$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
generates () { "$WABUN" generate --model "$1" --seed 1 --max-length 5; }
names () { (cd "$1" && echo step-* latest*); }

trained 1 good --set checkpoint.every=2 >/dev/null || { cat log; exit 99; }

# ---- damaged --------------------------------------------------------------------------------------------------------
for n in 1 2; do
  cp -R good "run$n"
  flip "run$n/step-00000008/model.safetensors" 50000
  flip "run$n/step-00000006/optimizer.safetensors" 50000
  ok "two damaged checkpoints on $n ranks" trained $n "run$n" --set train.steps=5 --set checkpoint.keep=2
  ok "two warnings" test "$(grep -c '^wabun: warning: .*step-0000000[68]/.*damaged.*going back' log)" -eq 2
  ok "the good one before them" grep -q "resuming from run$n/step-00000004" log
  ok "they are set aside, the good ones are kept" test "$(names "run$n")" = \
    "step-00000004 step-00000005 step-00000006.damaged step-00000008.damaged latest"
  ok "latest is the new one" test "$(readlink "run$n/latest")" = step-00000005
done
cp -R good done
flip done/step-00000008/model.safetensors 50000
ok "with nothing left to do" trained 1 done --set train.steps=6
ok "latest is the good one" test "$(readlink done/latest)" = step-00000006
cp done/config.cfg config.before
ok "fewer steps than there are" ends_with 2 2 done --set train.steps=5
ok "says so" grep -q '^wabun: .*train.steps = 5, but done/step-00000006 is of step 6 already: set train.steps higher' log
ok "nothing to do, with other options" trained 2 done --set train.steps=6 --set log.every=7
ok "config.cfg is that of what was trained" cmp done/config.cfg config.before
ok "and works" generates done/latest
cp -R good refused
flip refused/step-00000008/model.safetensors 50000
ok "a start that is refused" ends_with 2 1 refused --set 'train.optimizer="sgd"'
ok "sets nothing aside" test "$(names refused)" = "$(names good)"

# ---- not whole ------------------------------------------------------------------------------------------------------
# broken WHAT WORDS: run `broken`, whose newest checkpoint was broken just now, goes on from step 6 and says so
broken () {
  ok "$1" trained "${n:-1}" broken --set train.steps=9
  ok "is said" test "$(grep -c "^wabun: warning: .*step-00000008.*$2.*going back" log)" -eq 1
  ok "the one before it" grep -q 'resuming from broken/step-00000006' log
  ok "and it is set aside" test -e broken/step-00000008.damaged -a ! -e broken/step-00000008
  ok "no step twice" once broken
  rm -rf broken && cp -R good broken
}
cp -R good broken && newest=broken/step-00000008
rm $newest/checksums.json && n=2 broken "no checksums" 'checksums.json is missing'
rm $newest/checksums.json && ln -s nowhere $newest/checksums.json && broken "a dangling link" 'checksums.json is missing'
rm $newest/checksums.json && mkdir $newest/checksums.json && broken "a directory in its place" 'checksums.json is not a file'
rm $newest/state.json && broken "no state" 'state.json is missing'
rm -r $newest && echo 'a file' >$newest && broken "a file in the place of the directory" 'is not a directory'
rm -r $newest && cp -R broken/step-00000004 $newest && broken "another step" 'holds step 4'
grep -v '"bytes": [0-9]*,$' $newest/checksums.json >c && cp c $newest/checksums.json && broken "an entry without its size" 'entry'
# the entry of a file that need not be named
awk '/"wabun-tokenizer.json"/ { skip = 1 } !skip { print } skip && /}/ { skip = 0 }' good/latest/checksums.json |
  sed '$!{N;}; s/},\n }/}\n }/; P; D' >$newest/checksums.json
broken "an entry missing" 'checksums.json.*damaged'
rm -r $newest && mkdir $newest
ok "an empty directory" trained 1 broken --set train.steps=9
ok "says nothing" sh -c '! grep -q warning log && grep -q "resuming from broken/step-00000006" log'
rm -rf broken && cp -R good broken && rm broken/step-*/checksums.json
ok "none is whole" ends_with 5 2 broken --set train.steps=9
ok "and what to do is said" grep -q '^wabun: .*step-00000002: checksums.json is missing.*there is no older one; move it away' log
ok "nothing was touched" test "$(names broken)" = "$(names good)"

# Not a number, with checksums that are right.
nan () { # CHECKPOINT FILE: in its last value
  printf '\000\000\300\177' | dd of="$1/$2" bs=1 conv=notrunc seek=$(($(wc -c <"$1/$2") - 4)) 2>/dev/null
  "$top_builddir/tests/cli/make_model" --sums "$1" "$2"
}
rm -rf broken && cp -R good broken && nan broken/step-00000008 model.safetensors && nan broken/step-00000006 optimizer.safetensors
ok "numbers that are bad" trained 2 broken --set train.steps=9
ok "weights: tensor and place" grep -q "^wabun: warning: .*step-00000008/model.safetensors: tensor '.*' holds NaN at .*; going back" log
ok "the optimizer's" grep -q "^wabun: warning: .*step-00000006/optimizer.safetensors: tensor '.*' holds NaN or infinity; going back" log
ok "the one before them is taken" grep -q 'resuming from broken/step-00000004' log
ok "and they are set aside" test "$(names broken)" = \
  "step-00000002 step-00000004 step-00000006.damaged step-00000008.damaged step-00000009 latest"
rm -rf broken && cp -R good broken && rm -r broken/step-0000000[246] && nan broken/step-00000008 model.safetensors
ok "in the only one" ends_with 5 1 broken --set train.steps=9
ok "what to do is said" grep -q '^wabun: .*holds NaN at .*there is no older one; move it away' log

# ---- snapshots for keeps --------------------------------------------------------------------------------------------
ok "checkpoint.archive" trained 1 kept --set checkpoint.every=2 --set checkpoint.keep=1 --set checkpoint.archive=3
ok "keeps multiples for ever" test "$(names kept) $(names kept/archive)" = "step-00000008 latest step-00000003 step-00000006 latest*"
ok "as whole models" "$WABUN" verify kept/archive
ok "that generate" generates kept/archive/step-00000003
ok "with the bits of a checkpoint" same_files good/step-00000006 kept/archive/step-00000006
rm -r kept/archive/step-00000006 && mkdir kept/archive/step-00000006.tmp && cp -R good/step-00000006 kept
ok "one that a killed run missed" trained 1 kept --set train.steps=9 --set checkpoint.archive=2 --set checkpoint.keep=1
ok "is made up for" test "$(names kept/archive)" = "step-00000003 step-00000006 step-00000008 latest*"
clean kept || ok "nothing is left over" false

# ---- killed between a save and its link -------------------------------------------------------------------------------
cp -R good late && ln -sfn step-00000006 late/latest
ok "a run that is done, but for the link" trained 1 late
ok "latest is the newest again" test "$(readlink late/latest)" = step-00000008

# ---- latest that is not a link --------------------------------------------------------------------------------------
cp -RL good copied
ok "a copied run whose latest is a directory goes on" trained 2 copied --set train.steps=9
ok "the copy steps aside" test "$(names copied)" = \
  "step-00000002 step-00000004 step-00000006 step-00000008 step-00000009 latest latest.copied"
ok "with a warning" grep -q '^wabun: warning: copied/latest was a directory' log
ok "latest is the newest" test "$(readlink copied/latest)" = step-00000009
mkdir moved && cp -RL good/latest moved/latest
ok "a run of which only latest was copied goes on" trained 1 moved --set train.steps=9
ok "from there" grep -q 'resuming from moved/step-00000008' log
ok "as a checkpoint of its own" test "$(names moved)" = "step-00000008 step-00000009 latest"

cp -R good plain && rm plain/latest && echo step-00000004 >plain/latest
ok "latest as a file: generate" generates plain/latest
ok "score" sh -c 'echo むかし | "$1" score --model plain/latest/ -' sh "$WABUN"
ok "encode" "$WABUN" encode --tokenizer plain/latest -o other text
ok "the same tokens" cmp other.bin tokens.bin
cp cfg usual.cfg
sed 's|^model = .*|model = { base = "plain/latest"; };|' usual.cfg >cfg
ok "model.base" trained 2 based --set train.steps=2
real=$(cd plain/step-00000004 && pwd -P)
ok "is reported by its real path, step and checksum" grep -q "^  base  *$real (step 4, checksums.json has XXH64 [0-9a-f]\{16\})" log
ok "and so in config.cfg" sh -c 'grep -q "// model.base: step 4, checksums.json" based/config.cfg && grep -q "base = \"$1\"" based/config.cfg' sh "$real"
before=$(names plain)
ok "of the run itself is refused" ends_with 2 2 plain --set train.steps=90
ok "and says so" grep -q 'plain/latest" is a checkpoint of this very run: set another .run' log
ok "nothing was touched" test "$(names plain)" = "$before"
ok "which can be run again" ranks 2 "$WABUN" train based/config.cfg --set 'run="again"'
ok "to the same end" cmp based/latest/model.safetensors again/latest/model.safetensors
cp -R plain spoilt && rm spoilt/step-00000004/checksums.json
# the last four bytes are of the last tensor, wpe.weight
printf '\000\000\300\177' | dd of=spoilt/step-00000004/model.safetensors bs=1 conv=notrunc \
  seek=$(($(wc -c <spoilt/step-00000004/model.safetensors) - 4)) 2>/dev/null
sed 's|^model = .*|model = { base = "spoilt/latest"; };|' usual.cfg >cfg
ok "a base that holds NaN" ends_with 5 2 nan
ok "is named with its tensor and place" grep -q "spoilt/step-00000004/model.safetensors: tensor '[a-z_.0-9]*' holds NaN at \[[0-9]*, [0-9]*\]" log
mv usual.cfg cfg
ok "--resume" trained 2 resumed --resume plain/latest
ok "goes on from what it names" grep -q 'resuming from plain/step-00000004 (step 4)' log
ok "a run names it" sh -c \
  '! "$1" generate --model plain 2>said && grep -q "model plain: is a run; its newest model is plain/latest" said' sh "$WABUN"
ok "the run goes on" trained 1 plain --set train.steps=9 --set checkpoint.keep=2
ok "and latest is a link again" test "$(readlink plain/latest)" = step-00000009

# ---- what has changed since -----------------------------------------------------------------------------------------
# changed WHAT PATTERN ARGUMENT...: resuming with it says so, in one line
changed () {
  w=$1 p=$2
  shift 2
  rm -rf changed && cp -R good changed
  ok "$w" trained 2 changed --set train.steps=9 "$@"
  ok "says so in one line" sh -c '[ "$(grep -c "changed/step-00000008 was made with" log)" -eq "$2" ] && grep -q -e "$1" log' sh "$p" "${lines:-2}"
}
lines=1 changed "more steps" '^changed/step-00000008 was made with train.steps = 8, now it is 9: only the schedule' --set 'train.decay="cosine"'
changed "another precision" '^changed/step-00000008 was made with train.precision = "fp32", now it is "bf16": losses differ' --set 'train.precision="bf16-anywhere"'
ok "its report names what multiplies" grep -q 'products .*; linears and output in bf16 with fp32 sums, by ' log
changed "another seed" '^wabun: warning: .* with seed = 3, now it is 4: the order of the data' --set seed=4
changed "no shuffling" '^wabun: warning: .* with data.shuffle = true, now it is false: the order' --set data.shuffle=false
changed "another batch" '^wabun: warning: .* with train.global_batch = 12, now it is 6: samples may be' --set train.global_batch=6
changed "shorter sequences" '^wabun: warning: .* with train.sequence_length = 32, now it is 16: samples' --set train.sequence_length=16
lines=3 changed "another rate" '^changed/.* with train.lr = 0.003, now it is 0.001: only the schedule' --set train.lr=1e-3
changed "another decay" '^changed/.* with train.decay = "cosine", now it is "linear": only' --set 'train.decay="linear"'
changed "less weight decay" '^changed/.* with train.weight_decay = 0.1, now it is 0.01: later updates' --set train.weight_decay=0.01
ok "other steps of Muon change nothing without it" trained 2 changed --set train.steps=10 --set train.muon_steps=6
ok "and are not told" test "$(grep -c muon_steps log)" -eq 0
ok "a run with Muon" trained 1 muon --set 'train.optimizer="muon"' --set train.steps=2
ok "goes on with other steps of it" trained 1 muon --set 'train.optimizer="muon"' --set train.steps=3 --set train.muon_steps=6
ok "which is told" grep -q 'was made with train.muon_steps = 5, now it is 6: later updates' log
mkdir tok && cp tokens.bin tokens.idx tok
changed "a token file that was moved" '^changed/.* with data.train = "tokens", now it is "tok/tokens": nothing' --set 'data.train="tok/tokens"'
corpus 61 >more && "$WABUN" encode --tokenizer byte -o tok/more more >/dev/null 2>&1
changed "other data" '^wabun: warning: .* with data.train = "tokens", now it is "tok/more": the data are other' --accept --set 'data.train="tok/more"'
changed "one more file" '^wabun: warning: .* with data.train = \["tokens"\], now it is \["tokens", "tok/more"\]: the data are' --accept \
  --set 'data.train=("tokens", "tok/more")'
rm -rf changed && cp -R good changed
ok "other data without --accept are refused" ends_with 2 2 changed --set 'data.train="tok/more"'
ok "with what differs, and what to do" grep -q \
  'run = "changed" is a training of its own, at step 8; data.train was tokens, now it is tok/more: set another .run.*--accept' log
ok "so is one more file" ends_with 2 1 changed --set 'data.train=("tokens", "tok/more")'
ok "nothing was touched" test "$(names changed)" = "$(names good)"
ok "nothing at all" trained 1 changed
ok "says nothing" sh -c '! grep -q "was made with" log'
cp tok/more.bin tokens.bin && cp tok/more.idx tokens.idx
ok "a token file that has changed is refused" ends_with 2 3 changed --set train.steps=9
ok "with both sizes" grep -q \
  'data.train: tokens is not the file any more that changed/step-00000008 was trained with (17462 bytes, now [0-9]*)' log
sed 's|家|犬|g' <text >same_sizes && "$WABUN" encode --force --tokenizer byte -o tokens same_sizes >/dev/null 2>&1
ok "one of the same size as well" ends_with 2 1 changed --set train.steps=9
ok "nothing was touched" test "$(names changed)" = "$(names good)"
ok "--accept" trained 2 changed --set train.steps=9 --accept
ok "warns" grep -q '^wabun: warning: changed/step-00000008 was made with tokens = "[0-9a-f]*", now it is "[0-9a-f]*": the data' log
ok "once" trained 2 changed --set train.steps=10
cp tok/tokens.bin tok/tokens.idx .
ok "a checkpoint copied to another run" trained 2 twin --resume good/latest --set train.lr=1
ok "is the same bytes, whatever is set" same_files good/step-00000008 twin/step-00000008
# a checkpoint of an older release
old () {
  cp -R good old && rm -r old/step-0000000[246] && sed -n '1,8p' good/latest/state.json |
    sed 's/"optimizer": "adamw",/"optimizer": "adamw"\n}/' >old/step-00000008/state.json
  "$top_builddir/tests/cli/make_model" --sums old/step-00000008 state.json
}
old
ok "a checkpoint without settings" trained 2 old --set train.steps=9 --set train.lr=1e-3
ok "says nothing of what it does not know" sh -c '! grep -q "was made with" log'
rm -r old && old
ok "but what it knows" trained 2 old --set train.steps=9 --set seed=5
ok "in one line" test "$(grep -c 'was made with seed = 3, now it is 5' log)" -eq 1
rm -r old && old
precision='was made with train.precision = "fp32", now it is "bf16": losses differ'
ok "and that there was one precision only" trained 2 old --set train.steps=9 --set 'train.precision="bf16-anywhere"'
ok "in one line" test "$(grep -c "$precision" log)" -eq 1
rm -rf changed && cp -R good changed # older than the precision, but not than settings
sed '/"train.precision"/d' good/latest/state.json >changed/step-00000008/state.json
"$top_builddir/tests/cli/make_model" --sums changed/step-00000008 state.json
ok "a checkpoint older than the precision" trained 2 changed --set train.steps=9
ok "says only what has changed" sh -c 'test "$(grep -c "was made with" log)" -eq 1 && grep -q "was made with train.steps = 8, now it is 9" log'
cp good/latest/state.json changed/step-00000008 && rm -r changed/step-00000009
sed -i '/"train.precision"/d' changed/step-00000008/state.json
"$top_builddir/tests/cli/make_model" --sums changed/step-00000008 state.json
ok "with another precision" trained 2 changed --set train.steps=9 --set 'train.precision="bf16-anywhere"'
ok "it says so" test "$(grep -c "$precision" log)" -eq 1
rm -rf changed && cp -R based changed
sed 's|^model = .*|model = { base = "good/latest"; };|' cfg >other.cfg
mv cfg usual.cfg && mv other.cfg cfg
ok "another base is refused" ends_with 2 2 changed --set train.steps=3
ok "with both" grep -q 'run = "changed" is a .*; model.base was .*/plain/step-00000004, now it is .*/good/step-00000008: set another .run' log
ok "the checkpoints of the base were a link" trained 2 changed --set train.steps=3 --set 'model.base="plain/step-00000009"'
rm -rf changed && cp -R good changed
ok "fine-tuning in the run of the base's reader" ends_with 2 1 changed --set 'model.base="plain/latest"' --set 'data.train="tok/more"'
ok "names base and data" grep -q 'model.base was not given, now it is .*/plain/step-.*; data.train was tokens, now it is tok/more:' log
rm -rf changed && cp -R based changed
ok "another base, accepted" trained 2 changed --set train.steps=3 --accept
ok "changes nothing" grep -q "^changed/.* with model.base = \".*/plain/step-00000004\", now it is \".*/good/step-00000008\": nothing" log
ok "config.cfg names the one it began with" grep -q 'base = ".*/plain/step-00000004"' changed/config.cfg
mv usual.cfg cfg

# ---- a directory that cannot be made --------------------------------------------------------------------------------
said () { messages=$(grep '^wabun: ' log | grep -v '^wabun: warning') && echo "$messages" && echo "$messages" | grep -q "$1"; }
echo 'a file' >file
ok "below a file" ends_with 3 2 file/run
ok "says so" said '^wabun: .*file: cannot make the directory: a file of that name is in the way'
ln -s nowhere/at/all dangling
ok "a link that leads nowhere" ends_with 3 2 dangling
ok "says so" said 'dangling: cannot make the directory: a symbolic link of that name leads nowhere'
mkdir ro
readonly_run () { # train in a file system that may not be written
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare "$1" sh -c 'mount -t tmpfs -o ro wabun ro && exec "$0" train cfg --set "run=\"ro/run\"" </dev/null' "$WABUN" >log 2>&1
  code=$?
  cat log
  [ $code -eq 3 ]
}
for flags in -m -rm; do
  # shellcheck disable=SC2016 # expanded by the inner shell
  if unshare $flags sh -c 'mount -t tmpfs -o ro wabun "$1"' sh "$PWD/ro" 2>/dev/null; then
    ok "a read-only file system" readonly_run $flags
    ok "says so" said 'ro/run: cannot make the directory: Read-only file system'
    break
  fi
done
done_testing
