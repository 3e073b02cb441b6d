#!/bin/sh
# installcheck.sh WABUN - does the installed program work?  Help, text to tokens, two steps of training, generated text,
# without mpirun and with two ranks if there is an mpirun; and do programs build with the installed library of tokenizers?
# In a folder of its own below $PWD.  For `make installcheck`.
set -u
case ${1-} in -h | --help) echo "usage: tests/installcheck.sh WABUN"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
if [ $# -ne 1 ] || ! [ -x "$1" ]; then echo "usage: tests/installcheck.sh WABUN" >&2; exit 2; fi
wabun=$1
work=$(mktemp -d "$PWD/installcheck-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cd "$work" || exit 2
# Open MPI: as root (in a container), and more ranks than cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMP_NUM_THREADS=1

failed=0
check () { # WHAT COMMAND...
  what=$1
  shift
  if "$@" >log 2>&1 </dev/null; then
    echo "PASS  $what"
  else
    echo "FAIL  $what (exit code $?)"
    sed 's/^/      /' log | tail -n 12
    failed=$((failed + 1))
  fi
}
version () { "$wabun" --version | grep '^wabun [0-9]'; }
help () { "$wabun" help | grep '^  train ' && "$wabun" help train | grep train.steps; }
writes () { "$wabun" generate --model "$1/latest" --context '和文' --max-length 20 --seed 1 >written && [ -s written ]; }

cat >check.cfg <<'CFG'
model = { layers = 1; width = 32; heads = 2; context = 32; };
tokenizer = "byte";
data = { train = "tok"; validation = "tok"; };
train = { global_batch = 2; steps = 2; lr = 1e-3; };
validation = { every = 2; samples = 2; };
CFG
"$wabun" help --man >text.txt
check "version" version
check "help" help
check "text to tokens" "$wabun" encode --tokenizer byte -o tok text.txt
check "2 steps of training" "$wabun" train check.cfg --set 'run="one"'
check "generated text" writes one
mpirun=${MPIRUN:-mpirun}
if command -v "$mpirun" >/dev/null 2>&1; then
  # shellcheck disable=SC2086 # MPIRUN_FLAGS is a list of words
  check "2 steps of training on 2 ranks" timeout 300 "$mpirun" ${MPIRUN_FLAGS-} -n 2 "$wabun" train check.cfg --set 'run="two"'
  check "generated text" writes two
else
  echo "SKIP  ranks: there is no $mpirun"
fi

# ---- the library of tokenizers, by plain compilers: $libdir below $DESTDIR has it, $CC and $CXX compile
if [ -n "${libdir-}" ] && [ -n "${CC-}" ]; then
  : "${top_srcdir:=$OLDPWD}" "${DESTDIR=}" "${PKG_CONFIG:=pkg-config}" "${CXX:=c++}" "${WB_SAN=}"
  case $top_srcdir in /*) ;; *) top_srcdir=$OLDPWD/$top_srcdir ;; esac
  libs=$DESTDIR$libdir examples=$top_srcdir/doc/examples
  export PKG_CONFIG_PATH="$libs/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$DESTDIR"
  export LD_LIBRARY_PATH="$libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  build () { # COMPILER SOURCE PROGRAM OPTION-OF-PKG-CONFIG...
    compiler=$1 source=$2 program=$3
    shift 3
    flags=$("$PKG_CONFIG" --cflags --libs "$@" wabun-tokenizer) || return 1
    case " $* " in *' --static '*) flags=$(echo " $flags " | sed "s| -lwabun-tokenizer | $libs/libwabun-tokenizer.a |") ;; esac
    # shellcheck disable=SC2086 # lists of words
    $compiler $WB_SAN "$source" $flags -o "$program"
  }
  ids () { "$@" | sed -n 1p | grep '^230 150 135 32 97$' && "$@" | sed -n 2p | grep '^文 a$'; }
  plain () { ! ldd "$1" | grep -E 'libmpi|libopen-|blas|libgomp|libomp'; }
  for kind in shared static; do
    case $kind in
      shared) [ -e "$libs/libwabun-tokenizer.so" ] || continue; options= ;;
      static) [ -e "$libs/libwabun-tokenizer.a" ] || continue; options=--static ;;
    esac
    # shellcheck disable=SC2086
    check "the example in C, $kind library" build "$CC" "$examples/tokenize.c" ./c-$kind $options
    check "its ids and text" ids ./c-$kind byte '文 a'
    if $CXX --version >/dev/null 2>&1; then
      # shellcheck disable=SC2086
      check "the example in C++, $kind library" build "$CXX" "$examples/tokenize.cc" ./cc-$kind $options
      check "its ids and text" ids ./cc-$kind byte '文 a'
    else
      echo "SKIP  the example in C++: $CXX does not run"
    fi
    if command -v ldd >/dev/null 2>&1; then check "neither MPI, BLAS nor OpenMP" plain ./c-$kind; fi
  done
  program='from wabun_tokenizer import Tokenizer
with Tokenizer ("byte") as t:
    ids = t.encode ("文 a")
    print (*ids)
    print (t.decode (ids))'
  if ! [ -e "$libs/libwabun-tokenizer.so" ]; then
    echo "SKIP  the Python module: there is no shared library"
  elif ! python3 -c 'import ctypes' 2>/dev/null; then
    echo "SKIP  the Python module: python3 with ctypes does not run"
  elif ldd "$libs/libwabun-tokenizer.so" 2>/dev/null | grep -q 'lib[a-z]*san'; then
    echo "SKIP  the Python module: the library is built with a sanitizer"
  else
    PYTHONPATH=$DESTDIR${pythondir-} PYTHONDONTWRITEBYTECODE=1
    export PYTHONPATH PYTHONDONTWRITEBYTECODE
    check "the Python module" ids python3 -c "$program"
  fi
fi
[ $failed -eq 0 ] || { echo "installcheck: $failed failed"; exit 1; }
echo "installcheck: $wabun works"
