#!/bin/sh
# timeout: 600 - scripts of jobs/: smoke test, text out of pages, quickstart on a small corpus.  Writes TAP.
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}"
jobs=$top_srcdir/jobs
LC_ALL=C.UTF-8
export LC_ALL WABUN
point=0

ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$T_TMP/ok" 2>&1; then
    echo "ok $point - $what"
  else
    tail -n 30 "$T_TMP/ok" | sed 's/^/# /'
    echo "not ok $point - $what"
  fi
}
code () { # CODE PATTERN COMMAND...: exit code, and PATTERN in what it prints
  wanted=$1 pattern=$2
  shift 2
  "$@" >"$T_TMP/said" 2>&1 </dev/null
  got=$?
  cat "$T_TMP/said"
  [ $got -eq "$wanted" ] && grep -q -e "$pattern" "$T_TMP/said"
}

# Where a command's output goes to a file, signs of life must not go with it.
# shellcheck disable=SC2016 # awk
ok "signs of life reach the user" awk '
  /\\$/ { line = line substr ($0, 1, length ($0) - 1); next }
  { line = line $0
    if (line ~ /^[^#]*with_progress [a-z]/ && line ~ /[^0-9&]>>?[^&]/ && line !~ /3>&1/) { print FILENAME ": " line; bad = 1 }
    line = "" }
  END { exit bad }' "$jobs"/*.sh
if command -v shellcheck >/dev/null 2>&1; then
  ok "shellcheck" shellcheck -x -P "$top_srcdir" "$jobs"/*.sh "$jobs"/*.sbatch "$top_srcdir"/tests/slurm/*.sh "$top_srcdir"/tests/fault/*.sh
fi
progress () { # prints while its command runs, hands on the exit code, and leaves nobody behind
  # shellcheck disable=SC2016 # expanded by the inner shell
  code 7 'still here' env PROGRESS_SECONDS=1 sh -c '. "$1/progress.sh"
    tell () { echo "still here"; }
    work () { sleep 3; return 7; }
    with_progress tell work' sh "$jobs"
}
ok "a line now and then while a command runs" progress
ok "train.sbatch outside of Slurm" code 2 sbatch env -u SLURM_JOB_ID bash "$jobs/train.sbatch" tiny.cfg
ok "smoke test" "$jobs/smoke.sh" "$WABUN"
made () { # CFG: each token file that it reads is made by a command at its top
  names=$(grep -v '^#' "$1" | grep -o '"tok/[^"]*"' | tr -d '"')
  [ -n "$names" ] || return 1
  for name in $names; do
    grep -q -e "^#.* wabun encode .*-o ${name%-valid} " "$1" || { echo "$name: no command makes it"; return 1; }
  done
}
for cfg in tiny small medium large xl finetune; do ok "$cfg.cfg tells how its tokens are made" made "$jobs/$cfg.cfg"; done

command -v perl >/dev/null 2>&1 || { echo "1..$point"; exit 0; }

# Pages.
mkdir -p "$T_TMP/text"
cat >"$T_TMP/page.html" <<'END'
<html><head><title>題名</title><script>var 日本語 = "日本語の文字列";</script></head><body>
<nav><ul><li>目次へ戻ります、目次へ戻ります</li></ul></nav>
<div class="navheader"><div>前のページと次のページへ</div><br></div>
<h1>は<b>じ</b>めに<a class="headerlink" href="#">¶</a></h1>
<p>これは試しの文章で、
   行が変わっても &quot;wabun&quot; という
   words are separated、文は続きます&#x3002;</p>
<pre>printf ("日本語の文字列を書きます");</pre>
<h2>空の節</h2>
<p>Only English here, which is left out.</p>
<h2>次</h2>
<p>同じ段落は一度だけ残ります。</p><p>同じ段落は一度だけ残ります。</p>
END
i=0
while [ $i -lt 20 ]; do
  echo "<p>長さを足すための段落、その番号は $i 番です。</p>" >>"$T_TMP/page.html"
  i=$((i + 1))
done
printf 'html\tpage\t%s\n' "$T_TMP/page.html" >"$T_TMP/list"
ok "text out of a page" code 0 '^1 documents' sh -c "perl '$jobs/corpus-debian.pl' '$T_TMP/text' <'$T_TMP/list'"
cat >"$T_TMP/wanted" <<'END'
はじめに
これは試しの文章で、行が変わっても "wabun" という words are separated、文は続きます。

次
同じ段落は一度だけ残ります。
END
head -n 5 "$T_TMP/text/page.txt" >"$T_TMP/got"
ok "only what is worth keeping" diff "$T_TMP/wanted" "$T_TMP/got"

# Quickstart, with a configuration that is there already: the time is not measured, the training short.
sed 's/<[^>]*>//g' "$top_srcdir/README.ja.md" >"$T_TMP/own.txt"
mkdir -p "$T_TMP/kept"
cat >"$T_TMP/kept/train.cfg" <<'END'
run = "run";
model = { layers = 1; width = 32; heads = 2; context = 32; };
tokenizer = "vocab";
data = { train = "tok/train"; validation = "tok/train-valid"; };
train = { global_batch = 4; steps = 6; lr = 3e-3; warmup = 2; };
validation = { every = 3; samples = 4; };
END
quick () { OMP_NUM_THREADS=1 "$jobs/quickstart.sh" --corpus "$T_TMP/own.txt" --work "$T_TMP/kept" "$@"; }
ok "quickstart" code 0 'bits per byte.*after step 6' quick
ok "quickstart again" code 0 'run is done: 6 of 6' quick
printf '\223\372\226\173\214\352\n' >"$T_TMP/garbled.txt"
garbled () { "$jobs/quickstart.sh" --corpus "$T_TMP/garbled.txt" --work "$T_TMP/work2"; }
ok "what is wrong with the text is said of the user's file" code 5 'garbled.txt: not UTF-8' garbled
ok "quickstart, other text" code 2 'choose another --work' quick --corpus "$T_TMP/text"

echo "1..$point"
