#!/bin/sh
# timeout: 120 - the page on polite crawling: its wget command against a server on loopback, its WARC through wabun corpus.  Writes TAP.
# shellcheck disable=SC2016 # what ok evaluates
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}"
unset http_proxy HTTP_PROXY
cd "$T_TMP" || exit 99
for tool in wget python3 iconv zstd; do
  command -v $tool >/dev/null 2>&1 || { echo "1..0 # SKIP there is no $tool"; exit 0; }
done
wget --help 2>/dev/null | grep -q warc-file || { echo "1..0 # SKIP this wget writes no WARC"; exit 0; }
point=0
ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >>log 2>&1; then echo "ok $point - $what"; else
    sed 's/^/# /' err
    echo "not ok $point - $what"
  fi
}

# A site: UTF-8, Shift_JIS that only its meta tag tells, a link that leads nowhere, a folder that robots.txt keeps to itself.
mkdir -p site/sub site/private
page () { # FILE CHARSET LINKS WORD
  { printf '<!DOCTYPE html><html><head><meta charset="%s"><title>頁</title></head><body><ul class="menu">' "$2"
    for link in $3; do printf '<li><a href="%s">項目</a></li>' "$link"; done
    printf '</ul><article>\n'
    for place in 山 川 海 空; do
      printf '<p>%sの%sについて書かれた長い文章です。それを読む人は、昔のことを思い出しながら、静かに歩いて家に帰りました。' "$4" $place
      printf '%sのほとりには花が咲いていて、春になると遠くから多くの人が見に来るのだそうです。</p>\n' $place
    done
    printf '</article></body></html>\n'; } | iconv -f UTF-8 -t "$2" >"site/$1"
}
page index.html UTF-8 "sub/a.html none.html private/b.html sub/ p.png" 東
page sub/a.html SHIFT_JIS "../index.html" 西
page sub/index.html UTF-8 "/index.html" 南
page private/b.html UTF-8 "../index.html" 北
printf 'User-agent: *\nDisallow: /private/\n' >site/robots.txt
printf '\211PNG' >site/p.png

python3 -u -m http.server --bind 127.0.0.1 --directory site 0 >port 2>requests &
server=$!
trap 'kill $server 2>/dev/null' EXIT
i=0
while [ $i -lt 100 ] && ! grep -q port port; do i=$((i + 1)); sleep 0.1; done
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' port)
[ -n "$port" ] || { echo "1..0 # SKIP no server on loopback"; exit 0; }

# The command as the page has it, but to here, and without waiting.
sed -n '/^ *wget --recursive/,/https:/p' "$top_srcdir/doc/corpus.md" >page
sed "s|https://www.example.org/|http://127.0.0.1:$port/|; s/--wait=1 --random-wait/--wait=0/" page >crawl.sh
ok "the page has the command" grep -q -e --warc-file=site crawl.sh
ok "... which has been changed" grep -q "127.0.0.1:$port" crawl.sh
sh ./crawl.sh >err 2>&1
ok "a WARC" eval 'ls site-0*.warc.gz && ls site*.cdx'
ok "robots.txt is obeyed" eval 'grep -q robots.txt requests && ! grep -q private requests'
ok "pictures are left" eval '! grep -q p.png requests'
ok "no page is left behind" eval '[ -z "$(find . -name "*.html*" -not -path "./site/*")" ]'
printf 'corpus = "out"; sources = ( { path = "site-*.warc.gz"; genre = "general"; licence = "CC BY 4.0"; } ); validation = 0; filters = { min_chars = 100; max_repeated_ngrams = 1; max_top_ngram = 1; };\nduplicates = { near = false; };\n' >cfg
ok "a corpus of it" eval '"$WABUN" corpus build cfg 2>err'
zstd -dcq out/general-00000.jsonl.zst >documents
ok "the page that is there twice is taken once" grep -q '"exact duplicate": 1' out/manifest.json
ok "three pages" test "$(wc -l <documents)" -eq 3
for word in 東の山 西の山 南の山; do ok "the text: $word" grep -q "\"text\": *\"$word" documents; done
ok "without menus" eval '! grep -q 項目 documents'
ok "with address and licence" eval "grep '\"id\": *\"http://127.0.0.1:$port/sub/a.html\"' documents | grep -q 'CC BY 4.0'"
ok "what the server had not is counted" grep -q '"not 200": 1' out/manifest.json
echo "1..$point"
