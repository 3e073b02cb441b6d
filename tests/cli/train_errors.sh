#!/bin/sh
# timeout: 900 - wabun train: whatever is wrong is one message and the documented exit code on any number of ranks.
vocab=$(cd "${top_srcdir:=.}/tests/golden/bpe" && pwd)
. "$top_srcdir/tests/cli/train_common.sh"
prepare

# What may not change when a run is refused; history.jsonl gets a line.
contents () { [ ! -d "$1" ] || find "$1" -type f ! -name .lock ! -name config.cfg ! -name history.jsonl | sort | xargs cksum; }

# messages FILE: the errors in it, and not the warnings
messages () { grep '^wabun: ' "$1" | grep -v '^wabun: warning: '; }

# refuse CODE PATTERN RANKS RUN ARGUMENT...: on each number of ranks, in a copy of the run, all at once
refuse () {
  want=$1 pattern=$2 counts=$3 where=$4
  shift 4
  for k in $counts; do
    rm -rf "$where.$k" 2>/dev/null
    [ ! -e "$where" ] || cp -R "$where" "$where.$k"
    (
      contents "$where.$k" >"before.$k"
      train "$k" "$where.$k" "$@"
      echo $code >"code.$k"
      contents "$where.$k" >"after.$k"
    ) &
  done
  wait
  for k in $counts; do
    code=$(cat "code.$k")
    log=$(basename "$where").$k.log
    messages "$log" >found
    sed -n 1p found
    if [ "$code" -ne "$want" ] || [ "$(wc -l <found)" -ne 1 ] || ! grep -q -e "$pattern" found ||
      ! cmp -s "before.$k" "after.$k"; then
      cat "$log"
      echo "$k ranks: exit code $code, expected $want; $(wc -l <found) messages; wanted: $pattern"
      diff "before.$k" "after.$k"
      return 1
    fi
  done
}

# refused WHAT CODE PATTERN ARGUMENT...: in a run that has checkpoints, on 1, 2 and 3 ranks
refused () {
  w=$1 c=$2 p=$3
  shift 3
  ok "$w" refuse "$c" "$p" "1 2 3" run "$@"
}

# with FILE LINE: the configuration with one more line, the eighth
with () { { echo 'run = "run";'; config; echo "$1"; } >cfg; }
usual () { with ''; }

# flip FILE BYTE: one byte of it is another one
flip () {
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  # shellcheck disable=SC2059 # an octal escape
  printf "\\$(printf %o $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

trained 1 run >/dev/null || { cat log; exit 99; }
cp -R run good

# ---- configuration --------------------------------------------------------------------------------------------------
ok "a global batch smaller than the ranks" refuse 2 'global_batch = 2 .*4 data ranks.*set it to 4' 4 run --set train.global_batch=2
with 'trian = { steps = 3; };'
refused "an unknown group" 2 'cfg:9: .*trian.*did you mean .*train'
with 'checkpoints = 1;'
refused "an unknown key" 2 'cfg:9: .*checkpoints'
usual
refused "an unknown key of --set" 2 'train.stesp.*did you mean .*train.steps' --set train.stesp=3
with 'tokenizer = "byte"; '
refused "a key twice" 2 'cfg:9: '
with 'validation = { every = "often"; };'
refused "a wrong type" 2 'cfg:9: .*validation.every.*wants a whole number'
with 'validation = { every = 1'
refused "a syntax error" 2 'cfg:1\{0,1\}[0-9]: '
usual
refused "a value out of range" 2 'train.steps.*0' --set train.steps=0
mv cfg away
refused "no configuration" 3 '^wabun: .*cfg: '
mv away cfg
refused "an unknown option" 2 'unknown option --rseume; did you mean --resume' --rseume none
refused "a vocabulary smaller than the tokenizer" 2 'vocab_size = 100 .*257 ids' --set model.vocab_size=100
refused "a width that the heads do not divide" 2 'width.*33.*heads' --set model.width=33
without_bf16 () { # the same with kernels for which nothing multiplies bf16
  WABUN_ISA=portable
  export WABUN_ISA
  refuse "$@"
  without_code=$?
  unset WABUN_ISA
  return $without_code
}
ok "bf16 on a processor without it" without_bf16 2 'train.precision = "bf16": .* slower than fp32 (kernels portable.*bf16-anywhere' "1 2 3" run --set 'train.precision="bf16"'
refused "absurdly many threads" 2 '4096 threads in a process that may use [0-9]* core.*at most' --set parallel.threads=4096
many () { # the same from the environment
  OMP_NUM_THREADS=99999
  export OMP_NUM_THREADS
  refuse "$@"
  many_code=$?
  OMP_NUM_THREADS=1
  return $many_code
}
ok "and from OMP_NUM_THREADS" many 2 'OMP_NUM_THREADS: 99999 threads' "1 2 3" run
refused "no tokenizer there" 3 'nowhere' --set 'tokenizer="nowhere"'
refused "no base model there" 3 'nowhere' --set 'model.base="nowhere"'

# ---- token files ----------------------------------------------------------------------------------------------------
tokens () { cp tokens.bin bad.bin && cp tokens.idx bad.idx; }
refused "no token file" 3 'nowhere' --set 'data.train="nowhere"'
refused "no validation file" 3 'nowhere' --set 'data.validation="nowhere"'
tokens && head -c 1000 tokens.bin >bad.bin
refused "a .bin that is cut off" 5 'bad.bin' --set 'data.train="bad"'
tokens && head -c 40 tokens.idx >bad.idx
refused "an .idx that is cut off" 5 'bad.idx' --set 'data.train="bad"'
tokens && : >bad.idx
refused "an .idx that is empty" 5 'bad.idx' --set 'data.train="bad"'
tokens && flip bad.idx 2
refused "an .idx of something else" 5 'bad.idx' --set 'data.train="bad"'
tokens && printf '\377\377' | dd of=bad.bin bs=1 seek=6000 conv=notrunc 2>/dev/null
refused "an id beyond the vocabulary" 5 'bad.*65535.*0 .. 256' --set 'data.train="bad"'
refused "the same in the validation" 5 'bad.*65535.*0 .. 256' --set 'data.validation="bad"'
corpus 1 | head -c 20 >short && "$WABUN" encode --tokenizer byte -o short short >/dev/null 2>&1
refused "fewer tokens than one window" 5 'short' --set 'data.train="short"'

# Which tokenizer the ids are of.
"$WABUN" encode --tokenizer "$vocab" -o ja text >/dev/null 2>&1
refused "tokens of another tokenizer" 2 'ja was encoded with the tokenizer ja-bpe of .*`tokenizer` = "byte" is byte of 257 ids.*encode the text again' \
  --set 'data.train=("tokens", "ja")'
refused "in the validation" 2 'ja was encoded with the tokenizer ja-bpe' --set 'data.validation="ja"'
refused "another tokenizer than that of model.base" 2 'tokenizer.* is ja-bpe of .*model.base.* has its own, byte of 257 ids' \
  --set "tokenizer=\"$vocab\"" --set 'model.base="good/latest"' --set 'data.train="ja"'
tokens && cp tokens.tokenizer bad.tokenizer && truncate -s 10 bad.tokenizer
refused "a note that is cut off" 5 'bad.tokenizer is not what wabun encode writes' --set 'data.train="bad"'
cp ja.tokenizer bad.tokenizer
ok "a note of other files says nothing" trained 1 noted --set 'data.train="bad"' --set train.steps=1
rm bad.tokenizer
ok "nor does none" trained 1 noted --set 'data.train="bad"' --set train.steps=2

# A file that is truncated while it is in use.
usual
unread () { # RANKS ARGUMENT...: until the first logged step; then what KEY names is gone
  n=$1
  shift
  rm -rf gone.log gone && cp tokens.bin gone.bin && cp tokens.idx gone.idx
  (train "$n" gone --set train.steps=1000000 --set checkpoint.every=0 "$@"; echo $code >gone.code) &
  within 240 test -s gone/metrics.jsonl
  : >gone.bin
}
for n in 1 3; do
  unread $n --set 'data.train="gone"'
  ok "a token file that is truncated while $n ranks train" within 240 grep -q '^wabun: ' gone.log
  wait
  ok "one message: file, place, what to do" test "$(messages gone.log |
    grep -c 'gone.bin: no data at byte [0-9]*.*the checkpoint of step [0-9]* is written: run the same')" -eq 1
  ok "exit code" test "$(cat gone.code)" -eq 3
  cp tokens.bin gone.bin
  ok "and the run goes on when it is back" trained $n gone --set 'data.train="gone"' \
    --set "train.steps=$(($(steps gone) + 2))"
  ok "no step twice" once gone
done
unread 2 --set 'data.validation="gone"' --set validation.every=50
ok "a validation file that is truncated: a warning" within 240 grep -q \
  '^wabun: warning: step [0-9]*/1000000: no validation: gone.bin: no data at byte' gone.log
kill -TERM "$(sed 's/process \([0-9]*\).*/\1/' gone/.lock)"
wait
ok "and the run goes on" test "$(messages gone.log | grep -c 'stopped on request at step')" -eq 1

# ---- layouts --------------------------------------------------------------------------------------------------------
layout () { # WHAT PATTERN KEY=VALUE...
  w=$1 p=$2
  shift 2
  for set in "$@"; do
    shift
    set -- "$@" --set "parallel.$set"
  done
  ok "$w" refuse 2 "$p" "1 2 3 4" run "$@"
}
layout "ranks that are no multiple" 'ranks' pipeline=5
layout "a grid of another size" 'ranks' data=3 tensor=2
ok "tensor does not divide the heads" refuse 2 'parallel.tensor = 3 .*4 heads.*set parallel.tensor to 2 or 4' 3 run --set parallel.tensor=3
ok "more stages than layers" refuse 2 'parallel.pipeline = 3 .*2 layers.*at most 2' 3 run --set parallel.pipeline=3
ok "and on 4 ranks" refuse 2 'parallel.pipeline = 4 .*2 layers.*at most 2' 4 run --set parallel.pipeline=4
layout "interleaving without a pipeline" 'interleave.*= 2 needs .*pipeline' interleave=2
ok "interleaving with too few layers" refuse 2 'parallel.*interleave.*2' "2 4" run --set parallel.pipeline=2 --set parallel.interleave=2
ok "a sequence that the tensor ranks do not divide" refuse 2 'sequence' "2 4" run --set parallel.tensor=2 \
  --set parallel.sequence_parallel=true --set train.sequence_length=31
ok "a micro-batch too large" refuse 2 'global_batch.*= 12 is not a multiple of .*micro_batch.* = 5' "1 2 3 4" run --set parallel.micro_batch=5
ok "a sequence longer than the context" refuse 2 'sequence_length.*64.*32' "1 2 3 4" run --set train.sequence_length=64

# ---- checkpoints ----------------------------------------------------------------------------------------------------
damage () { rm -rf run && cp -R good run; }
newest=run/step-00000020
refused "another width than the checkpoint's" 2 'step-00000020 has .*width 32.*configuration says .*width 64' --set model.width=64
refused "another number of layers" 2 'step-00000020 has 2 layers.*configuration says 3 layers' --set model.layers=3
refused "another number of heads" 2 'step-00000020 has .*4 heads.*configuration says .* 2 heads' --set model.heads=2
refused "another optimizer" 2 'trained with adamw, the configuration says sgd' --set 'train.optimizer="sgd"'
refused "--resume of nothing" 2 'resume wants auto, none or a directory' --resume ''
ok "a checkpoint is no run" ends_with 2 2 run/latest
ok "and the message says what to set" grep -q 'run/latest is a checkpoint, not a run: .*model.base' log
ok "a batch beyond all sense" ends_with 2 1 run --set train.global_batch=1000000000000
refused "--resume of a file" 3 'cfg' --resume cfg
mkdir -p empty
refused "--resume of a directory without checkpoint" 2 'empty.*no checkpoint' --resume empty
flip $newest/model.safetensors 100000
refused "a damaged checkpoint, named" 5 'model.safetensors.*byte' --resume $newest
rm -r run/step-00000010
refused "a damaged checkpoint, the only one" 5 'model.safetensors.*byte'
damage && flip $newest/state.json 20
refused "a damaged state" 5 'state.json' --resume $newest
damage && head -c 5000 good/step-00000020/optimizer.safetensors >$newest/optimizer.safetensors
refused "an optimizer that is cut off" 5 'optimizer.safetensors' --resume $newest
damage && rm $newest/optimizer.safetensors
refused "an optimizer that is gone" 5 'optimizer.safetensors' --resume $newest
damage && rm $newest/checksums.json && head -c 60000 good/step-00000020/model.safetensors >$newest/model.safetensors
refused "cut off, and no checksums" 5 'model.safetensors' --resume $newest
for n in 1 2 3; do
  damage && flip $newest/model.safetensors 100000
  ok "auto falls back to the one before on $n ranks" trained $n run
  ok "with a warning that names file and byte" grep -q \
    '^wabun: warning: .*step-00000020/model.safetensors.*byte.*going back' log
  ok "and makes the damaged one anew" ends_with 0 1 run --resume run/latest
done
trained 1 fresh >/dev/null
damage && flip $newest/model.safetensors 100000 && trained 1 run >/dev/null
ok "with the bits it had" same_files fresh/step-00000020 $newest

# ---- the run directory ----------------------------------------------------------------------------------------------
echo 'a file' >file
ok "a file where the directory should be" refuse 3 'file.*is not a directory.*another .run' "1 2 3" file
ok "it is still there" grep -q 'a file' file
ok "a directory below a file" refuse 3 '^wabun: .*file' "1 2 3" file/run
if [ "$(id -u)" -ne 0 ]; then
  mkdir locked && chmod a-w locked
  ok "a directory that cannot be written" refuse 3 'locked' "1 2 3" locked/run
fi
ok "no directory for temporary files" env TMPDIR="$PWD/nowhere" "$WABUN" train cfg --set 'run="tmpdir"' --set train.steps=2

# ---- numbers --------------------------------------------------------------------------------------------------------
for n in 1 2 3; do start $n "nan$n" --set train.lr=1e30 --set train.clip=0.0; done
wait
for n in 1 2 3; do
  ok "numbers that go bad on $n ranks: three steps are skipped, with their windows" test \
    "$(grep -c '^wabun: warning: step [234]/20: loss nan, .*: skipped; windows [0-9]* (document 0 at [0-9]*), .* of tokens' "nan$n.log")" -eq 3
  ok "then one message" test "$(messages "nan$n.log" | grep -c 'step 5: loss nan.*more than train.bad_steps in a row.*lower train.lr')" -eq 1
  ok "no checkpoint" test -z "$(steps "nan$n")"
done
ok "without skipping" ends_with 6 2 nan2 --set train.lr=1e30 --set train.clip=0.0 --set train.bad_steps=0
ok "the first bad step is the last" test "$(messages log | grep -c 'step 2: loss nan.*lower train.lr')" -eq 1
# An update that ruins the weights, whose own loss is good: they are not saved, or the last good checkpoint would go.
for n in 1 2; do
  ok "a good start on $n ranks" trained $n "ruin$n" --set train.steps=4 --set checkpoint.every=1 --set checkpoint.keep=1
  ok "ruined weights" ends_with 6 $n "ruin$n" --set train.steps=8 --set checkpoint.every=1 --set checkpoint.keep=1 \
    --set train.lr=1e30 --set train.min_lr=1e30 --set train.weight_decay=0.0 --set train.clip=0.0
  ok "are named" test "$(messages log | grep -c 'step 5: the weights have gone bad.*checkpoint of step 4 is kept')" -eq 1
  ok "and not saved" test "$(steps "ruin$n")" = 4
  ok "so the run goes on" trained $n "ruin$n" --set train.steps=8 --set checkpoint.keep=1
done
damage && rm -r run/step-00000020 run/latest && ln -s step-00000010 run/latest
for n in 1 2 3; do
  ok "in a run with checkpoints on $n ranks" ends_with 6 $n run --set train.lr=1e30 --set train.clip=0.0 --set train.min_lr=1e30
  ok "one message, which says what is kept" test "$(messages log | grep -c 'checkpoint of step 10 is kept')" -eq 1
  ok "the last good one is kept, and no bad one" test "$(steps run)" = 10
done
ok "and goes on with a good rate" trained 1 run
ok "to the same bits" same_files fresh/step-00000020 run/step-00000020

# ---- a token file that is cut off under a run -----------------------------------------------------------------------
cut_off () { # RANKS
  cp tokens.idx "cut$1.idx" && cp tokens.bin "cut$1.bin" || return 1
  {
    train "$1" "cutoff$1" --set "data.train=\"cut$1\"" --set train.steps=1000000 --set checkpoint.every=0
    echo $code >"cut$1.code"
  } &
  within 120 grep -q '"step": 3,' "cutoff$1/metrics.jsonl" && : >"cut$1.bin"
  wait
  messages "cutoff$1.log"
  [ "$(cat "cut$1.code")" -eq 3 ] && [ "$(messages "cutoff$1.log" | grep -c "cut$1.bin: no data at byte")" -eq 1 ]
}
for n in 1 2 3; do ok "a token file that is cut off under $n ranks: code 3, one message" cut_off $n; done
done_testing
