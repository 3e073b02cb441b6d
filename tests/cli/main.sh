#!/bin/sh
# timeout: 600 - the program around the subcommands: help, version, exit codes, one line of error.  Writes TAP.
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}"
point=0

# check WHAT CODE STDOUT-PATTERN STDERR-PATTERN ARGUMENT...: an empty pattern wants nothing there
check () {
  what=$1 code=$2 out=$3 err=$4
  shift 4
  point=$((point + 1))
  "$WABUN" "$@" >"$T_TMP/out" 2>"$T_TMP/err" </dev/null
  got=$? bad=
  [ "$got" -eq "$code" ] || bad="exit code $got, expected $code"
  for stream in out err; do
    eval "pattern=\$$stream"
    if [ -z "$pattern" ]; then
      [ ! -s "$T_TMP/$stream" ] || bad="$bad; something on std$stream"
    else
      grep -q -e "$pattern" "$T_TMP/$stream" || bad="$bad; no '$pattern' on std$stream"
    fi
  done
  if [ -z "$bad" ]; then
    echo "ok $point - $what"
  else
    echo "# $bad"
    sed 's/^/# /' "$T_TMP/out" "$T_TMP/err"
    echo "not ok $point - $what"
  fi
}

truth () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@"; then echo "ok $point - $what"; else echo "not ok $point - $what"; fi
}

check "no argument" 0 "usage: wabun SUBCOMMAND" ""
check "help" 0 "bench  " "" help
check "--help" 0 "Exit codes" "" --help
check "--version" 0 "^wabun [0-9]" "" --version
check "-V" 0 "^wabun [0-9]" "" -V
check "version" 0 "^wabun [0-9]" "" version
check "help of a subcommand" 0 "^usage: wabun bench" "" help bench
check "--help behind a subcommand" 0 "^usage: wabun bench" "" bench step --help
check "manual page of a subcommand" 0 "^.TH WABUN.-BENCH 1" "" help --man bench
check "manual page of an unknown subcommand" 2 "" "no subcommand .benhc.; did you mean .bench.?" help --man benhc
check "completion" 0 "^complete -F _wabun wabun" "" help --completion bash
check "completion for zsh" 0 "^#compdef wabun" "" help --completion zsh
check "completion for another shell" 2 "" "no completion for .fish.: bash, zsh" help --completion fish
check "help by a word: an option" 0 "^  --resume WHAT" "" help -k checkpoint
check "with what goes on below" 0 "^ *none: a new start; DIR" "" help -k "new start" auto
check "whatever its case" 0 "^  checkpoint.every " "" help -k Checkpoint STEPS
check "a key of a corpus" 0 "^  filters.min_chars" "" help -k min_chars
check "a word that is nowhere" 2 "" "there is no .nosuchword. in the help" help -k nosuchword
check "no word" 2 "" "which word" help -k
check "help of an unknown subcommand" 2 "" "no subcommand .benhc.; did you mean .bench.?" help benhc
check "help with too much" 2 "" "one argument too many" help bench step
check "unknown subcommand" 2 "" "no subcommand .benhc.; did you mean .bench.?" benhc
check "unknown subcommand, nothing near" 2 "" "no subcommand .zzzzzz.$" zzzzzz
check "unknown option of the program" 2 "" "unknown option --frobnicate" --frobnicate
check "an error says where help is" 2 "" "^Try .wabun help bench.\.$" bench --json
truth "one line of error and one of advice" test "$(wc -l <"$T_TMP/err")" -eq 2
check "unknown option of a subcommand" 2 "" "unknown option --treads; did you mean --threads?" --no-retune bench step --treads 2
check "an option without its value" 2 "" "^wabun: --steps wants a value" bench step --no-retune --steps
check "an option out of range" 2 "" "^wabun: --steps wants a whole number between 1 and" bench step --no-retune --steps 0
check "full-width digits" 2 "" "^wabun: --batch wants a whole number, got .４.: type it in half-width digits$" bench step --no-retune --batch=４
check "a value that is no number" 2 "" "^wabun: --batch wants a whole number, got .8x.$" bench step --no-retune --batch=8x
check "bench alone lists the benches" 0 "^  step  " "" bench --no-retune
check "unknown bench" 2 "" "no bench .weather.: there are step" bench --no-retune weather
check "unknown preset" 2 "" "tiny|small|medium" bench step --no-retune --preset huge

"$WABUN" help --man >"$T_TMP/wabun.1"
if [ -f "$top_srcdir/doc/wabun.1" ]; then
  # The version in the first lines follows configure.ac by itself only when the page is made again.
  truth "the manual page is current (wabun help --man >doc/wabun.1)" cmp "$top_srcdir/doc/wabun.1" "$T_TMP/wabun.1"
fi
if [ -e /dev/full ]; then
  point=$((point + 1))
  "$WABUN" help --man >/dev/full 2>"$T_TMP/err"
  code=$?
  if [ $code -eq 3 ] && grep -q "standard output" "$T_TMP/err"; then ok=ok; else ok="not ok"; fi
  echo "$ok $point - a full disk behind stdout is an error"
fi
# A reader that leaves: no death by signal (141), no error.  true reads nothing, head one line.
for reader in true "head -n 1"; do
  for what in "help --man" "help train"; do
    # shellcheck disable=SC2086 # lists of words
    { "$WABUN" $what 2>"$T_TMP/err"; echo $? >"$T_TMP/code"; } | $reader >/dev/null
    truth "a reader that leaves: $what | $reader" test "$(cat "$T_TMP/code")" -eq 0 -a ! -s "$T_TMP/err"
  done
done
# A command of one process runs in every task of a launcher, whatever its variables say, and prints its errors there.
alone () { # WHAT VARIABLE=VALUE...
  what=$1
  shift
  point=$((point + 1))
  echo '{"text":"a"}' | env "$@" "$WABUN" encode --tokenizer byte --jsonl >"$T_TMP/out" 2>"$T_TMP/err" &&
    env "$@" "$WABUN" decode --tokenizer byte --jsonl <"$T_TMP/out" >"$T_TMP/text" 2>>"$T_TMP/err"
  code=$?
  echo '{"text":' | env "$@" "$WABUN" encode --tokenizer byte --jsonl >/dev/null 2>"$T_TMP/bad"
  bad=$?
  if [ $code -eq 0 ] && [ $bad -eq 5 ] && grep -q 'ids' "$T_TMP/out" && grep -q '"a"' "$T_TMP/text" &&
    [ ! -s "$T_TMP/err" ] && grep -q '^wabun: ' "$T_TMP/bad"; then ok=ok; else
    ok="not ok"
    echo "# exit codes $code and $bad"
    sed 's/^/# /' "$T_TMP/out" "$T_TMP/text" "$T_TMP/err" "$T_TMP/bad"
  fi
  echo "$ok $point - one process: $what"
}
alone "the second rank of mpirun" OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 PMIX_RANK=1
alone "the fourth task of srun" SLURM_PROCID=3 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=3
alone "SLURM_PROCID by itself" SLURM_PROCID=3
alone "PMI" PMI_RANK=1 PMI_SIZE=2
alone "MVAPICH2" MV2_COMM_WORLD_RANK=1 MV2_COMM_WORLD_SIZE=2
# Of a command that uses ranks only the launcher's first process speaks.
point=$((point + 1))
OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 "$WABUN" bench step --no-retune --steps 0 >"$T_TMP/out" 2>"$T_TMP/err"
if [ $? -eq 2 ] && [ ! -s "$T_TMP/err" ]; then ok=ok; else ok="not ok"; fi
echo "$ok $point - the second rank is silent and has the same exit code"
echo "1..$point"
