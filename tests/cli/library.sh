#!/bin/sh
# timeout: 600 - the library of tokenizers as it is built: the names it exports, the libraries it needs, what it cannot do
# (print, end the process), eight threads, no memory, the Python module.  Writes TAP.
: "${top_srcdir:=.}" "${top_builddir:=.}" "${T_TMP:=$(mktemp -d)}"
point=0
ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$T_TMP/log" 2>&1 </dev/null; then
    echo "ok $point - $what"
  else
    tail -n 20 "$T_TMP/log" | sed 's/^/# /'
    echo "not ok $point - $what"
  fi
}
skip () { point=$((point + 1)); echo "ok $point - $1 # SKIP $2"; }

case $top_builddir in /*) ;; *) top_builddir=$PWD/$top_builddir ;; esac
so=$top_builddir/.libs/libwabun-tokenizer.so
header=$top_srcdir/include/wabun/tokenizer.h
sed -n 's/.*[ *]\(wabun_[a-z_]*\) (.*/\1/p' "$header" | grep -v '^wabun_status$' | sort -u >"$T_TMP/declared"
instrumented=no
grep -qE '^WB_LDFLAGS = .*(sanitize|coverage)' "$top_builddir/Makefile" && instrumented=yes

if ! [ -e "$so" ]; then
  skip "names that are exported" "no shared library is built"
elif ! command -v nm >/dev/null 2>&1; then
  skip "names that are exported" "there is no nm"
else
  exported () {
    nm -D --defined-only "$so" | awk '{ print $NF }' | sort -u | diff "$T_TMP/declared" -
  }
  ok "exports what the header declares, and nothing else" exported
  silent () { # functions and streams by which a library would print or end the process
    ! nm -D --undefined-only "$so" | awk '{ sub (/@.*/, "", $NF); print $NF }' |
      grep -xE 'exit|_exit|_Exit|abort|quick_exit|stdout|stderr|printf|fprintf|vfprintf|puts|putchar|fputs|fputc|fwrite|perror|syslog|signal|sigaction|pthread_create|fork|setlocale'
  }
  if [ $instrumented = no ]; then ok "calls nothing that prints or ends the process" silent; else skip "calls nothing that prints" "built for tests of its own"; fi
fi
if ! [ -e "$so" ] || ! command -v readelf >/dev/null 2>&1; then
  skip "libraries it needs" "no shared library, or no readelf"
else
  needs () { ! readelf -d "$so" | grep NEEDED | grep -vE 'lib(jansson|sentencepiece|stdc\+\+|c\+\+|gcc_s|c|m|pthread)\.so|ld-linux|linux-vdso'; }
  if [ $instrumented = no ]; then ok "needs jansson, SentencePiece and the C and C++ libraries only" needs; else skip "libraries it needs" "built for tests of its own"; fi
  soname () { readelf -d "$so" | grep 'SONAME.*libwabun-tokenizer\.so\.[0-9]'; }
  ok "has a soname" soname
fi
alone () { # the header needs nothing else and warns of nothing, in C and in C++
  printf '#include <wabun/tokenizer.h>\nint main (void) { return wabun_version () == NULL; }\n' >"$T_TMP/alone.c"
  cp "$header" "$T_TMP/tokenizer.h" && mkdir -p "$T_TMP/wabun" && mv "$T_TMP/tokenizer.h" "$T_TMP/wabun/"
  cc -std=c99 -Wall -Wextra -pedantic -Werror -I"$T_TMP" -c "$T_TMP/alone.c" -o "$T_TMP/alone.o" || return 1
  cp "$T_TMP/alone.c" "$T_TMP/alone.cc"
  ! command -v c++ >/dev/null 2>&1 || c++ -Wall -Wextra -pedantic -Werror -I"$T_TMP" -c "$T_TMP/alone.cc" -o "$T_TMP/alone.o"
}
if command -v cc >/dev/null 2>&1; then ok "the header stands alone" alone; else skip "the header stands alone" "no cc"; fi

# ---- programs that use it: tests/library, with a tokenizer of each kind
case $top_srcdir in /*) ;; *) top_srcdir=$PWD/$top_srcdir ;; esac
: "${WABUN:=$top_builddir/wabun}"
cd "$T_TMP" || exit 99
mkdir swe
{ printf '%s\n' 山の,やまの 道 回 '、' '<' '<SP>' '<BR>' '<TAB>' '<BLOCK>' '<KIGOU>' '<U2000U2BFF>'
  b=0
  while [ $b -lt 255 ]; do printf '<|byte%d|>\n' $b; b=$((b + 1)); done
  printf '<|endoftext|>'; } >swe/ja-swe.txt
echo '{"emoji": {}, "emoji_inv": {}}' >swe/emoji.json
plain="byte $top_srcdir/tests/golden/bpe swe" models=
i=0
while [ $i -lt 200 ]; do i=$((i + 1)); echo "山の道を$i回歩いた。雨の日も the wind $((i * 7)) also."; done >text.txt
"$WABUN" vocab train --kind unigram --size 300 -o uni text.txt >log 2>&1 && models=uni

build () { # PROGRAM FLAG...
  program=$1
  shift
  cc -g -O1 -I"$top_srcdir/include" "$top_srcdir/tests/library/$program.c" -o "$program" "$@" -pthread
}
shared () { build "$1" -L"$top_builddir/.libs" -lwabun-tokenizer -Wl,-rpath,"$top_builddir/.libs"; }
if ! [ -e "$so" ] || [ $instrumented = yes ] || ! command -v cc >/dev/null 2>&1; then
  skip "programs that use it" "no shared library, no cc, or built for tests of its own"
else
  ok "threads.c builds by cc" shared threads
  # shellcheck disable=SC2086 # lists of words
  ok "eight threads on one tokenizer" ./threads $plain $models
  if shared no_memory >log 2>&1 && ./no_memory byte >log 2>&1; then
    # shellcheck disable=SC2086
    ok "each allocation in turn fails" ./no_memory $plain
  else
    skip "each allocation in turn fails" "not glibc"
  fi
  quiet () { [ "$(./threads nowhere 2>&1)" = "$(./threads nowhere 2>&1 | grep '^tokenizer nowhere: no such file')" ]; }
  ok "what goes wrong is a message for the program, once" quiet
fi

# ThreadSanitizer: the library's own sources, built for it.
cat >tsan.c <<'END'
int main (void) { return 0; }
END
if cc -fsanitize=thread tsan.c -o tsan >log 2>&1 && ./tsan >log 2>&1; then
  sources=$(sed -n 's/^libwabun_tokenizer_la_SOURCES *+*= *//p' "$top_srcdir/src/tokenizer/Makefile.inc" | tr ' ' '\n' |
    sed -n "s|%D%|src/tokenizer|; s|.*\\.c\$|$top_srcdir/&|p")
  sanitized () { # without SentencePiece, whose library is not built for it
    sed '/HAVE_SENTENCEPIECE/d' "$top_builddir/config.h" >config.h
    # shellcheck disable=SC2086
    build threads -fsanitize=thread -D_GNU_SOURCE -I. -I"$top_srcdir/src" $sources $(pkg-config --cflags --libs jansson)
  }
  ok "ThreadSanitizer: it builds" sanitized
  # shellcheck disable=SC2086
  ok "ThreadSanitizer: eight threads on one tokenizer" env TSAN_OPTIONS=halt_on_error=1 ./threads $plain
else
  skip "ThreadSanitizer" "cc does not have it, or it does not run here"
fi

# ---- Python
if ! [ -e "$so" ] || [ $instrumented = yes ]; then
  skip "the Python module" "no shared library, or built for tests of its own"
elif ! python3 -c 'import ctypes, concurrent.futures' >/dev/null 2>&1; then
  skip "the Python module" "python3 with ctypes does not run"
else
  # shellcheck disable=SC2086
  ok "the Python module" env PYTHONPATH="$top_srcdir/src/tokenizer" PYTHONDONTWRITEBYTECODE=1 WABUN_TOKENIZER_LIBRARY="$so" \
    python3 "$top_srcdir/tests/library/use.py" $plain $models
fi
echo "1..$point"
