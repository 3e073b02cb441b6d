#!/bin/sh
# The library of tokenizers as it is built: the names it exports, the libraries it needs, what it cannot do (print, end
# the process).  Writes TAP.
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
echo "1..$point"
