#!/bin/sh
# timeout: 600 - wabun corpus: the same bytes on 1, 2 and 3 ranks, interruptions, bad input, duplicates.  Writes TAP.
# shellcheck disable=SC2016 # what ok evaluates
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${top_builddir:=.}" "${T_TMP:=$(mktemp -d)}" "${MPIRUN:=mpirun}"
cd "$T_TMP" || exit 99
point=0
ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >>"$T_TMP/log" 2>&1; then echo "ok $point - $what"; else
    sed 's/^/# /' "$T_TMP/err"
    echo "not ok $point - $what"
  fi
}
# build CODE ARGUMENT...: stderr stays in err
build () {
  want=$1
  shift
  "$WABUN" corpus build "$@" >"$T_TMP/stdout" 2>"$T_TMP/err"
  code=$?
  [ $code -eq "$want" ] && { [ "$want" -eq 0 ] || [ "$(grep -c '^wabun: ' "$T_TMP/err")" -eq 1 ]; }
}
says () { grep -q -e "$1" "$T_TMP/err"; }
lacks () { ! grep -q -e "$1" "$2"; }
ranks () { # shellcheck disable=SC2086 # flags are words
  $MPIRUN $MPIRUN_FLAGS -n "$1" "$WABUN" corpus build "$2" </dev/null >"$T_TMP/stdout" 2>"$T_TMP/err"; }

mkdir -p texts bad empty
"$top_builddir/tests/cli/make_corpus" texts 400 || exit 99
head -n 30 texts/base.jsonl | sed 's/.*"text": "\([^"]*\)".*/\1/; s/\\n/\n/g' >texts/plain.txt
cat >cfg <<'END'
corpus = "out";
sources = ( { path = "texts/base.jsonl"; genre = "general"; licence = "CC0"; }, { path = "texts/near.jsonl"; genre = "general"; },
  { path = "texts/far.jsonl"; genre = "far"; weight = 2.0; }, { path = "texts/same.jsonl"; genre = "far"; },
  { path = "texts/pl*.txt"; genre = "novel"; } );
validation = 0.1; shard_bytes = 200000; filters = { min_hiragana = 0.1; };
END
sed 's/, { path = "texts\/same.jsonl"; genre = "far"; }//' cfg >cfg.most

# ---- ranks
for n in 1 2 3; do
  rm -rf out
  if [ $n -eq 1 ]; then ok "one rank" build 0 cfg.most; else ok "$n ranks" ranks $n cfg.most; fi
  mv out out.$n
done
cp err err.print
ok "shards, some of them for validation" eval '[ -s out.1/general-00001.jsonl.zst ] && [ -s out.1/general-valid-00000.jsonl.zst ] && [ -s out.1/novel-00000.jsonl.zst ]'
for n in 2 3; do ok "the same bytes on 1 and $n ranks" diff -r out.1 out.$n; done
ok "the work is removed" test ! -e out.1/.work
cp err.print err
ok "an example for training" says 'tokens = "tok/far"; weight = 2'
ok "its tokens are made so" says "encode --tokenizer T -o tok/far "
cp -r out.1 out
ok "done: nothing to do" build 0 cfg.most
ok "... and it says so" says "nothing has changed"
touch -t 203001010000 texts/plain.txt
ok "a file has changed" build 0 cfg.most
ok "... and it says so" says "files of its sources have changed"
ok "another configuration is refused" eval 'build 2 cfg.most --set filters.min_chars=100 && says "out is there already, made with another configuration (first change: min_chars = 100"'
ok "... what changes nothing of the corpus is not" build 0 cfg.most --set threads=1
ok "... but where it is meant" eval 'build 0 cfg.most --force --set filters.min_chars=100 && says "the configuration has changed"'

# ---- what is for validation, and a file that two sources name
ok "a folder's tokens are without its validation" eval '"$WABUN" encode --tokenizer byte -o folder out.1 2>err && "$WABUN" encode --tokenizer byte -o shards out.1/[a-z]*-[0-9][0-9]*[0-9].jsonl.zst 2>err2'
ok "... which is said" grep -q "^left out: [0-9]* shards for validation" err
ok "... and warned of where it is named with others" grep -q "^wabun: warning: [0-9]* of the [0-9]* files are shards for validation" err2
"$WABUN" encode --tokenizer byte -o valid out.1/*-valid-*.zst 2>err3
tokens () { sed -n "s/.* documents\{0,1\}, \([0-9,]*\) tokens.*/\1/p" "$1" | tr -d ,; }
ok "... and makes up the rest" eval '[ "$(tokens err)" -gt 0 ] && [ "$(tokens err3)" -gt 0 ] && [ $(($(tokens err) + $(tokens err3))) -eq "$(tokens err2)" ]'
mkdir two && cp texts/base.jsonl two/a.jsonl && cp texts/far.jsonl two/b.jsonl
ok "a file of two sources" build 0 cfg --set corpus=two.out --set 'sources=({path="two/b.jsonl"; genre="far";}, {path="./two"; genre="rest";})'
ok "... is the first one's" eval '[ "$(grep -c "\"path\": \".*two/[ab].jsonl\"" two.out/manifest.json)" -ge 2 ] && grep -q "in 2 files" "$T_TMP/err" && lacks "exact duplicate" "$T_TMP/err"'
ok "... and a source of nothing else is an error" eval 'build 5 cfg --set corpus=two.out2 --set "sources=({path=\"two\";}, {path=\"two/b.jsonl\";})" && says "source 2, two/b.jsonl: all of its files are those of earlier sources"'

# ---- duplicates
pair () { # FILE: near duplicates of base that are found
  rm -rf pair
  build 0 cfg --set corpus=pair --set "sources=({path=\"texts/base.jsonl\";}, {path=\"texts/$1.jsonl\";})" --set validation=0 &&
    for kind in exact near; do
      sed -n "s/.* kept, .*$kind duplicate \([0-9]*\).*/\1/p;\$s/.*/0/p" "$T_TMP/err" | head -n 1
    done | tr '\n' ' ' | sed 's/ $//'
}
near=$(pair near) far=$(pair far) same=$(pair same)
echo "# of 20 each: near ${near#* }, far ${far#* }, same ${same% *}"
ok "near duplicates are found" test "${near#* }" -ge 19
ok "what is not alike stays" test "${far#* }" -eq 0
ok "the same text with other blanks goes" test "${same% *}" -eq 20
ok "none of it when it is not wanted" eval 'build 0 cfg --force --set corpus=pair --set duplicates.near=false --set duplicates.exact=false --set duplicates.lines=0 && ! grep " duplicate " "$T_TMP/err"'

# ---- lines that a site repeats
sed 's|"id": "base-\([0-9]*\)", "text": "|"id": "https://a.example/\1", "text": "この行はどのページにもあります。\\n|' texts/base.jsonl >texts/site.jsonl
ok "lines of a site" eval 'build 0 cfg --set corpus=site.out --set "sources=({path=\"texts/site.jsonl\";})" && grep -q "\"lines_gone\": 400," site.out/manifest.json'
ok "... are left alone when that is wanted" eval 'build 0 cfg --force --set corpus=site.out --set "sources=({path=\"texts/site.jsonl\";})" --set duplicates.lines=0 && grep -q "\"lines_gone\": 0," site.out/manifest.json'
for i in $(seq 20); do head -n 1 texts/base.jsonl | sed "s|\"id\": \"base-[0-9]*\"|\"id\": \"https://a.example/?page=$i\"|"; done >texts/again.jsonl
ok "... of a page that was fetched 20 times stay" eval 'build 0 cfg --force --set corpus=site.out --set "sources=({path=\"texts/again.jsonl\";})" && grep -q "\"lines_gone\": 0," site.out/manifest.json && says "1 document"'
ok "... and where there is no site" eval 'build 0 cfg --force --set corpus=site.out --set "sources=({path=\"texts/base.jsonl\";})" --set duplicates.lines=1 && grep -q "\"lines_gone\": 0," site.out/manifest.json'

# ---- interrupted
ok "a source of which nothing stays" eval 'build 5 cfg --set corpus=cut --set "sources=({path=\"texts/base.jsonl\"; genre=\"general\"; licence=\"CC0\";}, {path=\"texts/near.jsonl\"; genre=\"general\";}, {path=\"cfg\";})"'
ok "... is named" says "source 3, cfg: .*too short"
ok "what was done is kept" eval '[ "$(ls cut/.work/*.part | wc -l)" -eq 3 ] && [ ! -e cut/manifest.json ]'
ok "... and is taken from there" eval 'build 0 cfg.most --set corpus=cut && says "2 of 4 parts are there"'
for f in out.1/*.zst; do ok "the same: ${f#*/}" cmp "$f" "cut/${f#*/}"; done
rm -rf killed
"$WABUN" corpus build cfg.most --set corpus=killed >stdout 2>err &
pid=$!
i=0
while [ $i -lt 200 ] && ! ls killed/.work/*.part >/dev/null 2>&1 && kill -0 $pid 2>/dev/null; do i=$((i + 1)); sleep 0.01; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
ok "killed, and started again" build 0 cfg.most --set corpus=killed
ok "the same shards" eval 'for f in out.1/*.zst; do cmp "$f" "killed/${f#*/}" || exit 1; done'

# ---- bad input
head -c 3000 /dev/zero >bad/zeros.txt
gzip -c texts/base.jsonl | head -c 20000 >bad/short.jsonl.gz
printf '\377\330\377\340picture' >bad/picture.txt
printf '{"text": "<script>alert(1)</script>&"}\n{"text": \n' >bad/line.jsonl
: >bad/none.txt
cp texts/plain.txt bad/good.txt
ok "bad files are left out" build 0 cfg --set corpus=bad.out --set 'sources=({path="bad";})' --set filters.min_chars=1 --set filters.min_japanese=0 --set filters.min_hiragana=0 --set filters.min_ends=0 --set filters.max_short_lines=1 --set filters.max_brackets=1
for word in zeros.txt short.jsonl.gz picture.txt line.jsonl; do ok "... and listed: $word" grep -q "$word" bad.out/manifest.json; done
ok "a page" "$WABUN" corpus report bad.out --lang ja
ok "... escaped, without scripts and links" eval 'grep -q "&lt;script&gt;" bad.out/report.html && lacks "<script\|href=\|src=\|@import\|url(" bad.out/report.html'
ok "... in Japanese" grep -q 読み込んだ文書 bad.out/report.html

# ---- markup in lines of JSON
printf '%s\n' '{"text": "== 歴史 ==\n[[日本]]の[[首都]]である{{lang|ja|東京}}は、とうきょうと読む。これは、ある百科事典の項目の文章です。"}' >texts/wiki1
for i in 1 2 3 4 5 6 7 8 9 10; do cat texts/wiki1; done >texts/wiki.jsonl
loose='--set filters.min_chars=1 --set filters.max_repeated_lines=1 --set filters.max_repeated_chars=1 --set filters.max_repeated_ngrams=1 --set filters.min_ends=0 --set filters.max_brackets=1 --set filters.max_short_lines=1 --set duplicates.near=false --set duplicates.exact=false'
ok "wikitext is told" eval 'build 0 cfg $loose --set corpus=wiki.out --set "sources=({path=\"texts/wiki.jsonl\";}, {path=\"texts/base.jsonl\";})" && says "warning: source 1, texts/wiki.jsonl: 10 of 10 texts (such as texts/wiki.jsonl:1) have MediaWiki.s markup, .*format = \"wiki\"" && [ "$(grep -c warning err)" -eq 1 ]'
ok "... and taken out when that is said" eval 'build 0 cfg $loose --set corpus=wiki.less --set validation=0 --set "sources=({path=\"texts/wiki.jsonl\"; format=\"wiki\";})" && ! says warning'

# ---- words, licences, mistakes
sed -n 's/.*"text": "\(............\).*/\1/p' texts/near.jsonl | head -n 1 >words
ok "a word list" eval 'build 0 cfg --set corpus=words.out --set filters.words=words && grep -q "\"word list\": " words.out/manifest.json'
ok "licences" eval 'build 5 cfg --set corpus=l.out --set "filters.licences=CC*" && says "licence"'
ok "no corpus" eval 'build 3 nothing.cfg'
printf 'corpus = "o"; sources = ( { path = "texts"; genr = "a"; } );\n' >cfg.bad
ok "a key that is misspelt" eval 'build 2 cfg.bad && says "cfg.bad:1: .*did you mean .genre"'
ok "a filter that is misspelt" eval 'build 2 cfg --set filters.min_char=3 && says "did you mean .filters.min_chars"'
ok "no such file" eval 'build 3 cfg --set "sources=({path=\"nowhere\";})" && says "nowhere: cannot open"'
ok "an empty directory" eval 'build 5 cfg --set "sources=({path=\"empty\";})" && says "there is no file"'
ok "two weights of a genre" eval 'build 2 cfg --set "sources=({path=\"texts\"; weight=1;}, {path=\"texts\"; weight=2;})" && says "sources 1 and 2: .weight. is that of genre general as a whole"'
ok "a genre that is no name" eval 'build 2 cfg --set "sources=({path=\"texts\"; genre=\"a/b\";})" && says "genre"'
ok "no manifest" eval '"$WABUN" corpus report empty 2>err; [ $? -eq 3 ]'
ok "no such thing to do" eval '"$WABUN" corpus biuld cfg 2>err; [ $? -eq 2 ] && says "did you mean build"'
mkdir -p text
cp texts/plain.txt text/
ok "jobs/corpus.cfg" build 0 "$top_srcdir/jobs/corpus.cfg"
ok "... makes a corpus" test -s corpus/general-00000.jsonl.zst
ok "a bench" eval '"$WABUN" bench corpus --repeats 1 --json texts/base.jsonl | grep -q "filters, MinHash"'
echo "1..$point"
