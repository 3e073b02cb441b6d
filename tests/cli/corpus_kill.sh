#!/bin/sh
# timeout: 600 - wabun corpus build ended by signals in each phase, going on from there on other numbers of ranks.  Writes TAP.
# shellcheck disable=SC2016 # what verdict evaluates
: "${WABUN:=./wabun}" "${top_builddir:=.}" "${T_TMP:=$(mktemp -d)}" "${MPIRUN:=mpirun}"
case $top_builddir in /*) ;; *) top_builddir=$PWD/$top_builddir ;; esac
cd "$T_TMP" || exit 99
shim=$top_builddir/tests/cli/kill_at.so
[ -s "$shim" ] || { echo "1..0 # SKIP no shared library could be built"; exit 0; }
LD_PRELOAD=$shim "$WABUN" --version >/dev/null 2>&1 || { echo "1..0 # SKIP it cannot be loaded (a sanitizer?)"; exit 0; }
point=0
verdict () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >>log 2>&1; then echo "ok $point - $what"; else
    sed 's/^/# /' err
    echo "not ok $point - $what"
  fi
}
# build RANKS [VARIABLE=VALUE]...
build () {
  n=$1
  shift
  # shellcheck disable=SC2086 # flags are words
  $MPIRUN $MPIRUN_FLAGS -n "$n" env "$@" "$WABUN" corpus build cfg </dev/null >stdout 2>err
}
same () { for f in want/*.zst; do cmp "$f" "out/${f#*/}" || return 1; done && [ ! -e out/.work ]; }

mkdir -p texts
"$top_builddir/tests/cli/make_corpus" texts 4400 || exit 99
split -l 1100 texts/base.jsonl texts/part- || exit 99
cat >cfg <<'END'
corpus = "out"; memory = 65536; validation = 0.1; shard_bytes = 1000000; filters = { min_hiragana = 0.1; };
sources = ( { path = "texts/part-aa"; }, { path = "texts/part-ab"; }, { path = "texts/part-a[cd]"; }, { path = "texts/near.jsonl"; } );
END
verdict "on one rank" build 1
mv out want
verdict "there are shards" test -s want/general-00003.jsonl.zst

# cut WHAT FILE NTH SIGNAL RANKS AFTER: ended on RANKS when one opens its NTH such file, then again on AFTER
cut () {
  rm -rf out
  build "$5" LD_PRELOAD="$shim" KILL_AT="$2" KILL_NTH="$3" KILL_SIGNAL="$4"
  code=$?
  verdict "$1: ended by signal $4 on $5 ranks" eval "[ $code -ne 0 ] && [ -d out/.work ] && [ ! -e out/manifest.json ]"
  parts=$(find out/.work -name '*.part' | wc -l)
  echo "# $parts parts are done; there are also: $(find out -type f ! -name '*.part' | tr '\n' ' ')"
  verdict "$1: again on $6 ranks" build "$6"
  [ "$parts" -eq 0 ] || verdict "$1: it goes on from $parts parts" grep -q "$parts of 4 parts are there" err
  verdict "$1: the same bytes" same
}
cut "the first part" .part 1 9 1 2
cut "reading" .part 2 9 1 3
cut "reading, asked to end" .part 2 15 2 1
cut "sorting the exact duplicates on disk" band-0.runs 1 9 1 2
cut "sorting signatures on disk" .runs 3 9 2 3
cut "sorting signatures, asked to end" .runs 4 15 1 1
cut "the first shard" .jsonl.zst 1 9 2 1
cut "writing" .jsonl.zst 3 15 1 3
cut "the last shard" .jsonl.zst 5 9 1 2
cut "the manifest" manifest.json 1 9 3 1
rm -rf out
build 1 LD_PRELOAD="$shim" KILL_AT=manifest.json
verdict "ended, with more shards than will be wanted" test -e out/general-00014.jsonl.zst
sed -i 's/shard_bytes = 1000000/shard_bytes = 100000000/' cfg
verdict "again, with larger shards" build 1
verdict "none of the others is left" eval '[ "$(ls out/*.zst | wc -l)" -eq 2 ]'
echo "1..$point"
