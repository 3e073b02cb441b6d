#!/bin/sh
# timeout: 600 - call after call fails, in every command: one message, the right exit code, no leak, old files whole.  Writes TAP.
#
#   tests/fault/walk.sh             of every command one call or a few
#   tests/fault/walk.sh --long      the first call of each stack of callers (an hour, on two idle cores)
#   tests/fault/walk.sh --all       every call
#   tests/fault/walk.sh --every N   of these stacks every N-th
#   tests/fault/walk.sh --only E    of commands whose title matches the expression E; after one of the others
#
# Run in a build directory after `make check TESTS=`; WABUN_FAULTS names the program with faults on order (faults.c says
# which calls fail, and how).  WALK_SEED chooses other calls; WALK_KEEP=DIR keeps what is said of wrong ends there.
# What must hold at every point: an end, in time; exit code 0, or the one of the fault with one message; no memory
# held, nothing that a sanitizer says; files as they were before, or as they are without the fault.
# shellcheck disable=SC2016,SC2046,SC2086,SC2013 # lists of words; commands that another shell expands
form=short only=. every='' here=$(pwd)
while [ $# -gt 0 ]; do
  case $1 in
    --long | --all) form=${1#--} ;;
    --every) form=every every=$2; shift ;;
    --only) only=$2; shift ;;
    -h | --help) sed -n '4,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "walk.sh: unknown argument $1; walk.sh --help" >&2; exit 2 ;;
  esac
  shift
done
: "${top_srcdir:=$(dirname "$0")/../..}" "${top_builddir:=$here}" "${WABUN:=$here/wabun}"
: "${WABUN_FAULTS:=$top_builddir/tests/fault/wabun-faults}" "${WALK_SEED:=0}"
top_srcdir=$(cd "$top_srcdir" && pwd) top_builddir=$(cd "$top_builddir" && pwd)
export T_TMP WABUN_FAULTS
. "$top_srcdir/tests/cli/train_common.sh"
F=$WABUN_FAULTS
[ -x "$F" ] || { echo "1..0 # SKIP the linker does not replace calls (--wrap)"; exit 0; }
work=$(pwd -P)

# ---- one point ------------------------------------------------------------------------------------------------------

# run_it ORDER: the command in a fresh directory w; $code, `out`, `err` and `hit`.  Where somebody stops and continues
# all programs (to measure), mpirun hands that on, and a run ends as it does on request: it is no end of a fault's.
run_it () {
  turn=0
  while turn=$((turn + 1)); do
    rm -rf w hit && cp -R start w
    (cd w && WABUN_FAULT=$1 WABUN_FAULT_LOG=$work/hit limited sh -c "$command" >../out 2>../err </dev/null)
    code=$?
    undated w/page.html
    [ $turn -lt 3 ] && grep -a -q '^wabun: \(asked to stop\|stopped by the launcher\)' err || return 0
  done
}
# Pages tell the minute in which they were made.
undated () { [ ! -f "$1" ] || sed -i 's/[0-9-]* [0-9:]* UTC/now UTC/' "$1"; }
limited () {
  session=$(mktemp -d "$TMPDIR/wabun.XXXXXX") || return 99
  TMPDIR=$session timeout -k 5 $limit "$@"
  status=$?
  rm -rf "$session"
  return $status
}
same_tree () { diff -r -q --no-dereference $free "$1" w >differences; }
# Files as they were, or as they would be: all of them.
as_before_or_after () {
  rmdir w/out 2>/dev/null # empty, it is nothing
  same_tree start && return
  cp differences differences.start
  same_tree whole && return
  case $failed in unlink | rmdir | remove) grep -v 'Only in w.*: .*\.\(tmp\|old\|rank\)' differences >left; [ -s left ] || return 0 ;; esac
  echo "files are neither as before nor as after:"
  sed 's/^/  before: /' differences.start
  sed 's/^/  after: /' differences
  return 1
}
# Each file as it was, or as it would be.
whole_files () {
  (cd w && find . -type f) >files
  while read -r file; do
    cmp -s "w/$file" "start/$file" || cmp "w/$file" "whole/$file" || return 1
  done <files
}
# As they were, or the beginning of what is to be printed.
a_beginning () {
  size=$(wc -c <w/text.out)
  cmp -s w/text.out start/text.out || head -c "$size" whole/text.out | cmp w/text.out -
}
# Parts that are done stay; without the fault they go on to the same corpus.
goes_on () {
  same_tree start || same_tree whole && return
  case $free in *" .work"*) ;; *) free="$free -x .work" ;; esac
  [ $code -ne 0 ] || ! grep -q 'warning: could not be used' err || return 0 # listed in the manifest
  rubbish=$(find w -name '*.tmp*')
  case $failed in unlink | rmdir | remove) rubbish= ;; esac
  [ -z "$rubbish" ] || { echo "left over: $rubbish"; return 1; }
  (cd w && limited sh -c "$command" >../out 2>../log </dev/null) && same_tree whole && return
  cat log differences
  return 1
}
checkpoints_whole () {
  rubbish=$(find w \( -name '*.tmp*' -o -name '*.old' -o -name .tokenizer \) ! -name '.owner*')
  case $failed in unlink | rmdir | remove) rubbish= ;; esac
  [ -z "$rubbish" ] || { echo "left over: $rubbish"; return 1; }
  for step in start/run/step-*; do
    grep -q 'going back to the checkpoint before it' err && break # the run makes it anew
    [ ! -e "$step" ] || same_files $step w/${step#start/} || return 1
  done
  ls -d w/run/step-* >/dev/null 2>&1 || return 0
  timeout $limit "$WABUN" verify w/run >verified 2>&1 </dev/null || { cat verified; return 1; }
  [ ! -L w/run/latest ] || [ -e w/run/latest/config.json ] || { echo "latest leads nowhere"; return 1; }
}

# judge KIND: says what is wrong
judge () {
  { grep '^leak' hit | grep -vxF -f held; grep -a 'detected memory leaks' err; } >leaked 2>/dev/null
  [ ! -s leaked ] || leaks=$((leaks + 1)) # whatever else is wrong
  case $1 in
    alloc) want=4 ;;
    thread) want='3 4' ;;
    *) want=3 ;;
  esac
  case " 0 $want " in *" $code "*) ;; *) echo "exit code $code"; return 1 ;; esac
  grep -a '^wabun: ' err | grep -av '^wabun: warning' >messages
  errors=$(wc -l <messages)
  [ $errors -eq $((code > 0)) ] || { echo "$errors messages, exit code $code"; return 1; }
  ! grep -q 'failed: \|broken invariant' messages || { echo "a message that says nothing"; return 1; }
  case $1,$title,$code in alloc,*" ranks,"[1-9]*) grep -q "rank $rank: " messages || { echo "not the rank that failed"; return 1; } ;; esac
  ! grep -a -q 'Sanitizer\|runtime error' err || { echo "a sanitizer"; return 1; }
  [ ! -s leaked ] || { cat leaked; return 1; }
  [ $code -ne 0 ] || [ -z "$stable" ] || cmp -s out good.out || { echo "another output, exit code 0"; return 1; }
  $intact
}

# where: the callers of the call that failed
where () {
  set -- $(sed -n 1p hit)
  [ $# -gt 4 ] || return
  shift 4
  addr2line -f -s -e "$F" "$@" 2>/dev/null | paste - - | awk '{ printf "%s (%s) < ", $1, $2 }' | cut -c 1-600
}

# ---- a command ------------------------------------------------------------------------------------------------------

# The numbers of calls of a kind that are to fail: all, the first of each stack, or some of those
points () {
  awk -v kind="$1" -v form=$form -v every=$every -v seed=$WALK_SEED '$1 == kind && (form == "all" || !seen[$3]++) {
    if (form != "every" || (++n + seed) % every == 0 || n == 1) print $2 }' calls
}
# few KIND: in the short form, one of these, for every third kind that the command has; which, changes from command to command
few () {
  points "$1" >numbers
  [ $form = short ] && [ -s numbers ] || return 0
  kinds=$((kinds + 1))
  if [ $(((kinds + walked + WALK_SEED) % 3)) -eq 0 ]; then
    sed -n "$(((walked * 7 + WALK_SEED) % $(wc -l <numbers) + 1))p" numbers >one
  else
    : >one
  fi
  mv one numbers
}

# walk TITLE RANK COMMAND: COMMAND is run by a shell in a copy of `start`; $F is the program
walk () {
  title=$1 rank=$2 command=$3
  echo "$title" | grep -q -e "$only" || return 0
  case $form,$title in short,*" ranks") return 0 ;; esac
  export F
  limit=240 began=$(date +%s)
  # What two runs without faults do not agree on says nothing.
  stable=yes free=
  run_it @9
  grep '^leak' hit >held 2>/dev/null # what is held at the end without faults too
  [ ! -s held ] || echo "# $title: without faults: $(cat held)"
  if grep -q 'this wabun was built without' err; then
    echo "# $title: not built, and not walked"
    return
  fi
  [ $code -eq 0 ] || { cat out err; ok "$title: exit code $code without faults" false; return; }
  rm -rf whole && cp -R w whole && cp out good.out
  run_it "@$rank"
  mv hit calls
  cmp -s out good.out || stable=
  [ -z "$any_output" ] || stable=
  diff -r -q --no-dereference whole w | sed -n 's/^Files .* and \(.*\) differ$/\1/p' >differ
  for file in $(cat differ); do free="$free -x ${file##*/}"; done
  [ -z "$free" ] || echo "# $title: not compared: $free"
  wrongs=0 leaks=0 tried=0 line='' kinds=0 walked=$((walked + 1))
  : >codes
  : >wrong
  for kind in alloc open read write sync name thread agree; do
    all=$(grep -c "^$kind " calls)
    few $kind
    line="$line $(wc -l <numbers)/$all"
    while read -r n; do
      run_it "$kind:$n@$rank"
      failed=$(awk 'NR == 1 { print $4 }' hit 2>/dev/null)
      tried=$((tried + 1))
      if judge $kind >verdict 2>&1; then
        if [ $code -ne 0 ]; then echo error; elif grep -a -q '^wabun: warning' err; then echo warning; else echo nothing; fi >>codes
      else
        wrongs=$((wrongs + 1))
        {
          echo "$title: WABUN_FAULT=$kind:$n@$rank ($failed): $(head -n 5 verdict | tr '\n' ';')"
          echo "  $(where)"
          grep -a 'wabun: \|Sanitizer\|    #[0-9] \|runtime error' err | head -n 16 | cut -c 1-300 | sed 's/^/  > /'
        } >>wrong
      fi
    done <numbers
  done
  echo "$title, rank $rank|$line|$leaks|$wrongs|$(($(date +%s) - began))" >>table
  cat wrong >>all.wrong
  [ -z "${WALK_KEEP-}" ] || cp all.wrong table "$WALK_KEEP"
  ok "$title, rank $rank: $tried calls fail, $(grep -c error codes) end it, $(grep -c warning codes) are warnings, $(grep -c nothing codes) nothing" test $wrongs -eq 0
  sed 's/^/# /' wrong
}

# ---- what they work on ----------------------------------------------------------------------------------------------

: >all.wrong
: >table
mkdir -p in start
cd in || exit 99
T_STEPS=2 T_LAYERS=1
corpus 5 >text
corpus 6 >other
{
  "$WABUN" encode --tokenizer byte -o tokens text && "$top_builddir/tests/cli/make_model" model || exit 99
  for format in gguf llmc tf; do "$WABUN" export model --to $format -o model.$format || exit 99; done
  for format in llmc npz; do "$WABUN" export tokens --to $format -o tokens.$format || exit 99; done
  "$WABUN" export model --to hf -o model.hf || exit 99
} >log 2>&1
printf 'abc\nxyz\n' >lines
echo '{"text": "abc"}' >texts.jsonl
echo '{"ids": [97, 98, 99]}' >ids.jsonl
printf 'abcdefgh\n吾輩は猫である。名前はまだ無い。\n' >novel.txt
echo '{"context": "abc", "choices": ["d", "e"], "answer": 0}' >choices.jsonl
{ echo 'run = "run";'; config | sed 's/"tokens"/"..\/in\/tokens"/; s/global_batch = 12/global_batch = 2/'; } >cfg
i=0
mkdir plain
while [ $i -lt 20 ]; do
  i=$((i + 1))
  echo "今日は日曜日で天気がよいので、公園を散歩する。カタカナ$i回目の言葉と日本語の文章である。" >plain/$i.txt
  echo "{\"genre\": \"novel\", \"text\": \"吾輩は猫である。名前はまだ無い。$i匹の猫が東京の公園を見ている。\"}" >>lines.jsonl
done
cat >corpus.cfg <<'END'
corpus = "out"; threads = 1;
sources = ( { path = "../in/plain"; genre = "plain"; }, { path = "../in/lines.jsonl"; genre = "novel"; } );
validation = 0.1; filters = { min_chars = 10; };
END
# A run whose tokenizer can clean.
config | sed 's/"byte"/"ja"/; s/"tokens"/"ja-tokens"/; s/global_batch = 12/global_batch = 2/; 1i run = "ja-run";' >ja.cfg
{
  "$WABUN" vocab train --kind ja-bpe --no-words --size 512 -o ja plain lines.jsonl &&
    sed -i -e '/"emoji": {/,/^  },/{20,${/^    /d;}}' -e '19s/,$//' ja/emoji.json && # a few: thousands take their time
    "$WABUN" encode --tokenizer ja -o ja-tokens plain/*.txt &&
    "$WABUN" train ja.cfg --set train.steps=1
} >log 2>&1 || { cat log; exit 99; }
cd ..

# fresh [COMMAND]: `start` with what that command makes in it
fresh () {
  rm -rf start && mkdir start
  [ -z "${1-}" ] || (cd start && sh -c "$1" >../log 2>&1 </dev/null) || { cat log; exit 99; }
}
mpi="$MPIRUN ${MPIRUN_FLAGS-} -np 2"
export WABUN
intact=as_before_or_after any_output='' walked=0

# ---- the commands ---------------------------------------------------------------------------------------------------

fresh
walk "encode --jsonl" 0 '$F encode --tokenizer byte --jsonl <../in/texts.jsonl'
walk "decode" 0 '$F decode --tokenizer byte --jsonl <../in/ids.jsonl'
walk "score" 0 '$F score --model ../in/model --tokens ../in/lines'
walk "transform" 0 '$F transform --model ../in/model --context abc'
walk "inspect, a model" 0 '$F inspect --json ../in/model'
walk "inspect, tokens" 0 '$F inspect ../in/tokens'
walk "verify" 0 '$F verify ../in/model'
walk "plan" 0 '$F plan ../in/cfg --ranks 2 --gflops 100'
walk "eval" 0 '$F eval ../in/model --text ../in/novel.txt --choices ../in/choices.jsonl'
for weights in int8 bf16; do
  walk "score, $weights" 0 "\$F score --model ../in/model --weights $weights --cache bf16 --tokens ../in/lines"
done
any_output=yes
walk "bench" 0 '$F bench gemm --layers 1 --width 32 --heads 2 --context 16 --vocab 257 --threads 1 --steps 1'
any_output=''
walk "bench threads" 0 '$F bench threads --preset tiny --threads 4 --batch 2 --json'
for to in hf gguf llmc tf; do
  walk "export --to $to" 0 "\$F export ../in/model --to $to -o out"
done
walk "export --to hf --clean" 0 '$F export ../in/ja-run/latest --to hf --clean -o out'
for to in llmc npz; do
  walk "export --to $to, tokens" 0 "\$F export ../in/tokens --to $to -o out"
done
for from in model.hf model.gguf model.llmc model.tf; do
  walk "import $from" 0 "\$F import ../in/$from -o out"
done
for from in tokens.llmc tokens.npz; do
  walk "import $from" 0 "\$F import ../in/$from --tokenizer byte -o out"
done
intact=whole_files # the note of the command that made them comes last
walk "vocab train, ja-bpe" 0 '$F vocab train --kind ja-bpe --no-words --size 512 -o out ../in/plain ../in/lines.jsonl'
walk "vocab train, unigram" 0 '$F vocab train --kind unigram --size 320 -o out ../in/plain ../in/lines.jsonl'
intact=as_before_or_after
walk "vocab compare" 0 '$F vocab compare -t byte -t byte -o page.html ../in/plain ../in/lines.jsonl'
intact=goes_on
walk "corpus build" 0 '$F corpus build ../in/corpus.cfg'

fresh 'echo old >text.out; echo old >story'
intact=a_beginning
walk "generate" 0 '$F generate --model ../in/model --seed 1 --context abc --max-length 8 --num-generate 2 --output-file text.out'
for weights in int8 bf16; do
  walk "generate, $weights" 0 \
    "\$F generate --model ../in/model --weights $weights --seed 1 --context abc --max-length 8 --num-generate 2 --output-file text.out"
done
intact=as_before_or_after
walk "write" 0 'printf "abc\n\n:s\n:q\n" | $F write --model ../in/model --seed 1 --max-length 4 --file story'

fresh '"$WABUN" encode --tokenizer byte -o t ../in/text'
walk "encode" 0 '$F encode --force --tokenizer byte -o t ../in/other'
walk "encode, 2 ranks" 0 "$mpi \$F encode --force --tokenizer byte -o t ../in/other"
walk "encode, 2 ranks" 1 "$mpi \$F encode --force --tokenizer byte -o t ../in/other"

fresh '"$WABUN" corpus build ../in/corpus.cfg'
walk "corpus report" 0 '$F corpus report out'
intact=goes_on
walk "corpus build, again" 0 '$F corpus build ../in/corpus.cfg --set filters.min_chars=20 --force'
walk "corpus build, 2 ranks" 0 "$mpi \$F corpus build ../in/corpus.cfg --set filters.min_chars=20 --force"
walk "corpus build, 2 ranks" 1 "$mpi \$F corpus build ../in/corpus.cfg --set filters.min_chars=20 --force"

train='$F train ../in/cfg --set checkpoint.every=1 --set checkpoint.failures=0'
intact=checkpoints_whole any_output=yes
fresh
walk "train" 0 "$train"
walk "train, 2 ranks" 0 "$mpi $train"
walk "train, 2 ranks" 1 "$mpi $train"
muon="$train --set train.optimizer=muon"
walk "train, Muon" 0 "$muon"
walk "train, Muon, 2 ranks" 0 "$mpi $muon"
walk "train, Muon, 2 ranks" 1 "$mpi $muon"
walk "train, bf16" 0 "$train --set train.precision=bf16-anywhere"
walk "train, products not measured" 0 "$train --set train.measure_products=false"
fresh '"$WABUN" train ../in/cfg --set checkpoint.every=1'
walk "train, resumed" 0 "$train --set train.steps=4"
walk "train, resumed, 2 ranks" 1 "$mpi $train --set train.steps=4"
intact=as_before_or_after any_output=''
walk "status" 0 '$F status run --json'
walk "verify, a run" 0 '$F verify run'
(cd start && "$WABUN" report run -o page.html >../log 2>&1) || exit 99
undated start/page.html
walk "report" 0 '$F report run -o page.html'

# A few requests, one of them for nothing that there is, and the signal that ends it.
fresh
cat >serve <<'END'
"$F" serve --model ../in/model ${more-} --port 0 >address &
server=$!
trap 'kill $server 2>/dev/null' EXIT
i=0
while [ $i -lt 200 ] && [ ! -s address ] && kill -0 $server 2>/dev/null; do
  i=$((i + 1))
  sleep 0.05
done
if [ -s address ]; then
  url=$(cat address)
  curl -q -s -m 20 -d '{"prompt":"abc","max_tokens":5,"seed":1}' "$url/v1/completions"
  curl -q -s -m 20 -d '{"prompt":"abc","max_tokens":3,"stream":true}' "$url/v1/completions"
  curl -q -s -m 20 "$url/" "$url/v1/models" "$url/nothing" >page
  curl -q -s -m 20 -d '{"prompt":5}' "$url/nothing"
fi
rm -f address page
kill -TERM $server 2>/dev/null
wait $server
END
if command -v curl >/dev/null; then
  any_output=yes
  walk "serve" 0 '. ../serve'
  for weights in int8 bf16; do
    walk "serve, $weights" 0 "more='--weights $weights'; . ../serve"
  done
fi

# ---- in all ---------------------------------------------------------------------------------------------------------

{
  echo "command|alloc|open|read|write|sync|name|thread|agree|leaks|wrong|seconds"
  awk -F '|' '{ gsub (/^ /, "", $2); gsub (/ /, "|", $2); print $1 "|" $2 "|" $3 "|" $4 "|" $5 }' table
} | awk -F '|' '{ printf "# %-26s", $1; for (i = 2; i <= NF; i++) printf " %9s", $i; print "" }
  NR > 1 { for (i = 2; i < NF - 2; i++) { split ($i, p, "/"); tried += p[1]; all += p[2] } leaks += $(NF - 2); wrong += $(NF - 1) }
  END { printf "# %d of %d calls failed, %d ends with leaks, %d wrong ends\n", tried, all, leaks, wrong }'
done_testing
