#!/bin/sh
# timeout: 600 - Fine-tuning: the last layers, answers only; what is frozen, resumed and refused.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
T_STEPS=8 T_LAYERS=3
export T_STEPS T_LAYERS
prepare
trained 1 base --set train.steps=4 >/dev/null || { cat log; exit 99; }
# tuned RUN: a configuration that goes on from the base
sed '/^tokenizer/d; s/^model = .*/model = { base = "base\/latest"; };/' cfg >tuned && mv tuned cfg
echo 'finetune = { layers = 1; };' >>cfg

# tensors FILE: "name sum", a line a tensor, of a safetensors file
tensors () {
  perl -e '
    open F, "<:raw", $ARGV[0] or die; read F, $n, 8; $n = unpack "Q<", $n; read F, $h, $n;
    while ($h =~ /"([^"]+)":\{"dtype":"F32","shape":\[[\d,]*\],"data_offsets":\[(\d+),(\d+)\]\}/g) {
      seek F, 8 + $n + $2, 0; read F, $d, $3 - $2; printf "%s %s\n", $1, unpack "%32C*", $d; }' "$1" | LC_ALL=C sort
}

# ---- the last layers -------------------------------------------------------------------------------------------------
ok "the last layer learns" trained 1 last
ok "says so" grep -q 'finetune    the last 1 of 3 layers: 12,768 of 47,424 parameters learn' log
tensors base/latest/model.safetensors >a
tensors last/latest/model.safetensors >b
ok "all tensors are there" test "$(wc -l <a)" -eq 40 -a "$(wc -l <b)" -eq 40
ok "only those of that layer and the last LayerNorm have changed" test "$(diff a b | sed -n 's/^> \([a-z_]*\.*[0-9]*\).*/\1/p' | sort -u | tr '\n' ' ')" = "h.2 ln_f. "
ok "and only they have a state" sh -c "[ \$(tensors () { :; }; grep -ao 'exp_avg\.[a-z0-9_.]*' last/latest/optimizer.safetensors | grep -cv 'h\.2\|ln_f') -eq 0 ]"
ok "of two arrays" test "$(grep -ao 'exp_avg[a-z0-9_.]*' last/latest/optimizer.safetensors | wc -l)" -eq 28
for grid in '2 data=2' '2 pipeline=2' '2 tensor=2' '3 pipeline=3'; do
  n=${grid%% *} run=$(echo "$grid" | tr ' =' '--')
  ok "on $grid" trained "$n" "$run" --set "parallel.${grid#* }" --set parallel.micro_batch=2
  ok "the same losses" near last "$run" 1e-5
done
ok "half of it" trained 2 halves --set train.steps=8 --set checkpoint.every=4 --set parallel.tensor=2
rm -r halves/step-00000008 halves/latest
ok "and on from there in another layout" trained 2 halves --set parallel.pipeline=2 --set parallel.micro_batch=2
ok "the same as at once" near last halves 1e-5
ok "other layers" ends_with 2 1 halves --set train.steps=9 --set finetune.layers=2
ok "are refused" grep -q 'was trained with finetune.layers = 1 (0: all), the configuration says 2: set it back' log
ok "more layers than there are" ends_with 2 1 more --set finetune.layers=4
ok "say so" grep -q 'finetune.layers = 4, but the model has 3: set it to "all", or to at most 3' log
ok "a misspelt key" ends_with 2 1 more --set finetune.layer=4
ok "is named" grep -q 'unknown key `finetune.layer`; did you mean `finetune.layers`?' log
ok "all layers by name" trained 1 all --set finetune.layers=all --set train.steps=2
ok "as without the key" trained 1 none --set finetune.layers=all --set train.steps=2
ok "have the same bits" same_files all/latest none/latest
ok "a name that is none" ends_with 2 1 more --set finetune.layers=some
ok "is refused" grep -q '`finetune.layers` = `some` is neither a whole number nor one of all' log
"$WABUN" plan cfg --json >last.json && "$WABUN" plan cfg --set finetune.layers=all --json >all.json
bytes () { sed -n "s/.*\"memory\":{[^}]*\"$2\":\([0-9]*\).*/\1/p" "$1"; }
ok "the plan knows what is not kept" test "$(bytes last.json gradients)" -lt "$(($(bytes all.json gradients) / 3))" \
  -a "$(bytes last.json optimizer)" -lt "$(($(bytes all.json optimizer) / 3))"

# ---- answers only ----------------------------------------------------------------------------------------------------
i=0
while [ $i -lt 60 ]; do
  printf '{"prompt": "問：%d+%d=", "response": "答：%d\\r\\n"}\n' $i $((i * 7 % 31)) $((i + i * 7 % 31))
  i=$((i + 1))
done >qa.jsonl
ok "prompts and responses" "$WABUN" encode --tokenizer byte --answers -o qa qa.jsonl
# The first: 10 bytes of prompt; 7 of the answer, LF, the end.
ok "the mask" test "$(head -c 24 qa.mask | od -An -v -tu1 | tr -d ' \n')" = 000000000011111111100000
ok "on 3 ranks" ranks 3 "$WABUN" encode --tokenizer byte --answers -o qa3 qa.jsonl
ok "has the same bytes" sh -c 'cmp qa.mask qa3.mask && cmp qa.bin qa3.bin && cmp qa.idx qa3.idx && ! ls | grep rank'
ok "decoded, it is both" sh -c "'$WABUN' decode --tokenizer byte qa | head -n 1 | grep -q '^問：0+0=答：0$'"
ok "text without prompts" sh -c "! '$WABUN' encode --tokenizer byte --answers -o qb text 2>err && grep -q 'wants lines of JSON' err"
ok "another text there later has no mask" sh -c "'$WABUN' encode --tokenizer byte --force -o qa3 text && [ ! -e qa3.mask ]"
cp qa.bin bad.bin && cp qa.idx bad.idx && head -c 9 qa.mask >bad.mask
ok "another mask" sh -c "! '$WABUN' decode --tokenizer byte bad 2>err && grep -q 'bad.mask: 9 bytes, but bad has .* ids' err"
set -- --set data.train=qa --set data.validation=qa --set validation.every=4 --set finetune.layers=all
ok "answers are learned" trained 1 answers "$@"
ok "and counted" grep -q 'of responses' log
for grid in 'data=2' 'pipeline=2' 'tensor=2'; do
  ok "on $grid" trained 2 "answers-$grid" "$@" --set "parallel.$grid" --set parallel.micro_batch=2
  ok "the same losses" near answers "answers-$grid" 1e-5
done

# ---- the best ---------------------------------------------------------------------------------------------------------
head -n 1 text >few.txt && "$WABUN" encode --tokenizer byte -o few few.txt 2>/dev/null
set -- --set data.train=few --set data.validation=tokens --set validation.every=5 --set validation.patience=3 --set finetune.layers=all \
  --set checkpoint.keep_best=true --set checkpoint.keep=1 --set checkpoint.every=7 --set train.steps=200 --set train.lr=0.01
best () { readlink "$1/best"; }
ok "a run that gets worse ends by itself" trained 1 early "$@"
ok "and says why" grep -q "step [0-9]*/200  3 validations in a row were no better, so the run ends: the lowest validation loss was .*: early/best" log
ok "its best checkpoint is kept" test "$(steps early)" = "$(best early | sed 's/step-0*//') $(sed -n 's|^step \([0-9]*\)/200  3 valid.*|\1|p' log)"
ok "it can be used" "$WABUN" generate --model early/best --seed 1 --max-length 5
ok "it is the one with the lowest loss" test "$(sed -n 's/^{"step": \([0-9]*\),.*"val_loss": \([^,}]*\).*/\2 \1/p' early/metrics.jsonl |
  sort -n | head -n 1 | cut -d ' ' -f 2)" = "$(best early | sed 's/step-0*//')"
ok "again" trained 1 early "$@"
ok "there is nothing to do" grep -q 'early is done: 3 validations in a row were no better' log
for run in stopped killed; do
  start 1 "$run" "$@"
  within 60 test -e "$run/latest" && { [ $run = killed ] || : >"$run/STOP"; }
  [ $run = stopped ] || kill -KILL "$(sed -n 's/.*pid \([0-9]*\).*/\1/p;s/.*"process": *\([0-9]*\).*/\1/p' "$run/history.jsonl" | head -n 1)"
  wait
  ok "$run, it goes on" trained 1 "$run" "$@"
  ok "to the same best" test "$(best "$run")" = "$(best early)"
  ok "and the same end" same_files early/latest "$run/latest"
  ok "and the same bytes" same_files early/best "$run/best"
done
ok "on 2 ranks too" trained 2 early2 "$@"
ok "the same best" test "$(best early2)" = "$(best early)"
ok "more patience" trained 1 early "$@" --set validation.patience=5
ok "goes on" grep -q 'resuming from early/' log
ok "without validation" ends_with 2 1 none2 --set checkpoint.keep_best=true
ok "there is no best" grep -q 'checkpoint.keep_best. needs .data.validation' log

# ---- adapters ---------------------------------------------------------------------------------------------------------
set -- --set finetune.layers=all --set finetune.lora_rank=3 --set finetune.lora_alpha=6 --set train.lr=0.02 \
  --set data.validation=tokens --set validation.every=4 --set checkpoint.every=3 --set train.steps=8
ok "adapters learn" trained 1 lora "$@"
ok "and nothing else" grep -q 'adapters of rank 3, alpha 6, in all layers: 4,608 of 52,032 parameters learn' log
ok "PEFT's files" test -e lora/latest/adapter_config.json -a ! -e lora/latest/model.safetensors
names () { perl -e 'open F, "<:raw", $ARGV[0] or die; read F, $n, 8; read F, $h, unpack "Q<", $n;
  print "$1 $2\n" while $h =~ /"([^"]+)":\{"dtype":"F32","shape":(\[[\d,]*\])/g' "$1" | LC_ALL=C sort; }
for l in 0 1 2; do
  for m in 'attn.c_attn 32 96' 'attn.c_proj 32 32' 'mlp.c_fc 32 128' 'mlp.c_proj 128 32'; do
    # shellcheck disable=SC2086 # a list of words
    set_of () { echo "base_model.model.transformer.h.$l.$1.lora_A.weight [3,$2]"; echo "base_model.model.transformer.h.$l.$1.lora_B.weight [$3,3]"; }
    # shellcheck disable=SC2086
    set_of $m
  done
done | LC_ALL=C sort >want
names lora/latest/adapter_model.safetensors >got
ok "PEFT's names, and shapes" cmp want got
ok "PEFT's configuration" sh -c 'grep -q "\"fan_in_fan_out\": true" lora/latest/adapter_config.json && grep -q "\"peft_type\": \"LORA\"" lora/latest/adapter_config.json'
ok "which names the base" grep -q "\"base_model_name_or_path\": \"$PWD/base/step-00000004\"" lora/latest/adapter_config.json
for grid in 'data=2' 'pipeline=2' 'tensor=2'; do
  ok "on $grid" trained 2 "lora-$grid" "$@" --set "parallel.$grid" --set parallel.micro_batch=2
  ok "the same losses" near lora "lora-$grid" 1e-5
done
start 1 lora-killed "$@"
within 60 test -e lora-killed/latest
kill -KILL "$(sed -n 's/.*"process":\([0-9]*\).*/\1/p' lora-killed/history.jsonl | head -n 1)"
wait
ok "killed, it goes on" trained 1 lora-killed "$@"
ok "to the same bytes" sh -c 'cmp lora/latest/adapter_model.safetensors lora-killed/latest/adapter_model.safetensors && cmp lora/latest/optimizer.safetensors lora-killed/latest/optimizer.safetensors'
rm -r lora-killed/step-00000008 lora-killed/latest
ok "on in another layout" trained 2 lora-killed "$@" --set parallel.tensor=2
ok "to the same losses" near lora lora-killed 1e-5
ok "another rank" ends_with 2 1 lora-killed "$@" --set finetune.lora_rank=2
ok "is refused" grep -q 'was trained with finetune.lora_rank = 3' log
val () { sed -n 's/.*"val_loss": \([^,}]*\).*/\1/p' "$1/metrics.jsonl" | sed -n "$2"; }
ok "merged on export" "$WABUN" export lora/latest --to hf -o merged
ok "it is a model" trained 1 after --set finetune.layers=all --set 'model.base="merged"' --set data.validation=tokens --set train.steps=1
ok "that computes the same" sh -c "awk 'BEGIN { d = $(val lora '$p') - $(val after 1p); exit !(d < 2e-6 && d > -2e-6 && $(val lora 1p) - $(val lora '$p') > 1e-3) }'"
"$WABUN" score --model merged text >s1 && "$WABUN" score --model lora/latest text >s2
ok "as the adapter's directory does" cmp s1 s2
"$WABUN" score --model base/latest text >s3
ok "and the base does not" sh -c '! cmp -s s1 s3'
ok "it writes" "$WABUN" generate --model lora/latest --seed 1 --max-length 5
ok "it is whole" "$WABUN" verify lora
ok "an adapter is no base" ends_with 2 1 more --set 'model.base="lora/latest"'
ok "says what would do" grep -q 'is an adapter, not a model: make one of both with' log
ok "some linears of the last layers" trained 1 some "$@" --set finetune.layers=2 --set 'finetune.targets="c_attn, mlp.c_proj"'
ok "have adapters" test "$(names some/latest/adapter_model.safetensors | sed 's/.*h\.\(.*\)\.lora.*/\1/' | sort -u | tr '\n' ' ')" = "1.attn.c_attn 1.mlp.c_proj 2.attn.c_attn 2.mlp.c_proj "
ok "and can be merged" "$WABUN" export some/latest --to hf -o merged2
ok "another linear" ends_with 2 1 more "$@" --set finetune.targets=c_atn
ok "is refused by name" grep -q 'finetune.targets: .c_atn. is no linear layer; they are c_attn' log
ok "without a base" ends_with 2 1 more --set 'model.base=""' --set model.preset=tiny --set tokenizer=byte --set finetune.lora_rank=2
ok "there is nothing to adapt" grep -q 'finetune: what is frozen needs weights: name the model to start from as model.base' log
cp -R base moved && mv base/step-00000004 away
ok "a base that is away" ends_with 3 1 lora "$@" --set train.steps=9
mv away base/step-00000004
ok "the same model elsewhere" trained 1 lora "$@" --set train.steps=9 --set 'model.base="moved/latest"'
ok "is taken" grep -q "\"base_model_name_or_path\": \"$PWD/moved/step-00000004\"" lora/latest/adapter_config.json
"$WABUN" plan cfg "$@" --set 'model.base=""' --set model.preset=xl --set model.vocab_size=50257 --set finetune.lora_rank=16 \
  --set train.global_batch=1 --set parallel.micro_batch=1 --set parallel.recompute=block --json >xl.json
ok "the plan: an xl model by LoRA in the memory of a laptop" awk "BEGIN { exit !($(sed -n 's/.*"layout":{[^}]*"memory":\([0-9.]*\).*/\1/p' xl.json) < 8 * 2 ^ 30) }"

done_testing
