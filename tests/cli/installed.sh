#!/bin/sh
# timeout: 900, alone: it uses the build directory - what `make install` installs: links of the documentation, jobs/ and its scripts from there.  Writes TAP.
: "${top_srcdir:=.}" "${top_builddir:=.}" "${T_TMP:=$(mktemp -d)}" "${MAKE:=make}"
point=0
ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$T_TMP/ok" 2>&1 </dev/null; then
    echo "ok $point - $what"
  else
    tail -n 30 "$T_TMP/ok" | sed 's/^/# /'
    echo "not ok $point - $what"
  fi
}

unset WABUN
case $T_TMP in /*) ;; *) T_TMP=$PWD/$T_TMP ;; esac
root=$T_TMP/root
install () { # the usual folders below a scratch directory, whatever configure was told
  (cd "$top_builddir" && "$MAKE" "${1:-install}" DESTDIR="$root" prefix=/opt/wabun exec_prefix=/opt/wabun bindir=/opt/wabun/bin \
    datarootdir=/opt/wabun/share datadir=/opt/wabun/share docdir=/opt/wabun/share/doc/wabun mandir=/opt/wabun/share/man \
    includedir=/opt/wabun/include libdir=/opt/wabun/lib)
}
ok "make install" install
prefix=$root/opt/wabun doc=$root/opt/wabun/share/doc/wabun jobs=$root/opt/wabun/share/wabun/jobs

ok "make installcheck" install installcheck

version=$("$prefix/bin/wabun" --version | sed -n 's/^wabun \([0-9.]*\).*/\1/p')
ok "the Debian package is of its version" sh -c 'test "$(sed -n "1s/^wabun (\([^)]*\)).*/\1/p" "$1")" = "$2"' sh \
  "$top_srcdir/jobs/install/debian/changelog" "$version"

# ---- documentation
for file in README.md README.ja.md LICENSE CHANGELOG.md doc/formats.md doc/img/learning.csv jobs/small.cfg; do
  ok "$file beside the README" test -s "$doc/$file"
done
if command -v perl >/dev/null 2>&1; then
  ok "every link of the installed documentation" perl "$top_srcdir/tests/cli/links.pl" "$doc"
fi

# ---- manual pages and completion
"$prefix/bin/wabun" help --names >"$T_TMP/names"
while read -r name; do
  page=$prefix/share/man/man1/wabun-$name.1
  ok "wabun-$name(1)" sh -c "'$prefix/bin/wabun' help --man $name | cmp - '$page'"
  ok "wabun(1) names wabun-$name(1)" grep -q "^.BR wabun..$name (1)" "$prefix/share/man/man1/wabun.1"
  if command -v mandoc >/dev/null 2>&1; then ok "wabun-$name(1) is well-formed" mandoc -T lint -W error "$page"; fi
done <"$T_TMP/names"
# completes WORD... -> WANTED: the last of the words is the one that is being typed.
completes () { # WANTED WORD...
  bash -c '. "$1"; wanted=$2; shift 2
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _wabun
    echo "${COMPREPLY[*]}"; [ "${COMPREPLY[*]}" = "$wanted" ]' \
    bash "$prefix/share/bash-completion/completions/wabun" "$@"
}
# zsh_completes WORD... -> what is added, of which kind: zsh's own functions print it.
zsh_completes () { # WANTED WORD...
  zsh -fc 'compadd () { print -r -- "$*" }
    _files () { print -r -- "files $*" }
    file=$1 wanted=$2; shift 2
    words=("$@") CURRENT=$#; got=$(source $file); print -r -- $got; [[ $got == $~wanted ]]' \
    zsh "$prefix/share/zsh/site-functions/_wabun" "$@"
}
if command -v zsh >/dev/null 2>&1; then
  ok "zsh: subcommands" zsh_completes "-- train * help version --help --version" wabun tr
  ok "zsh: options" zsh_completes "-- --set --resume --accept --dry-run --help" wabun train mine.cfg -
  ok "zsh: keys" zsh_completes "-S = -- run seed * train.global_batch *" wabun train mine.cfg --set t
  ok "zsh: directories" zsh_completes "files -/" wabun generate --model m
  ok "zsh: a bench" zsh_completes "-- step gemm *" wabun bench s
fi
if command -v bash >/dev/null 2>&1; then
  (cd "$T_TMP" && mkdir -p c/models c/"m y" && touch c/mine.cfg)
  cd "$T_TMP/c" || exit 99
  ok "completion: a subcommand" completes "generate" wabun gen
  ok "completion: all of them" completes "$(paste -sd' ' "$T_TMP/names") help version --help --version" wabun ""
  ok "completion: options" completes "--set --resume --accept --dry-run --help" wabun train mine.cfg -
  ok "completion: an option with one dash" completes "-o" wabun encode -o
  ok "completion: options named inside a row" completes "--tokens --tokenizer" wabun bench generate --to
  ok "completion: no option twice" completes "--model --min-length --max-length --min-p" wabun generate --m
  ok "completion: a key" completes "train.global_batch=" wabun plan mine.cfg --set train.gl
  ok "completion: a key without a dot" completes "seed=" wabun train mine.cfg --set seed
  ok "completion: a directory" completes "models" wabun generate --model mo
  ok "completion: a name with a blank" completes "m y" wabun generate --model "m "
  ok "completion: a file" completes "mine.cfg" wabun train mi
  ok "completion: nothing for a number" completes "" wabun generate --seed mi
  ok "completion: a bench" completes "ring" wabun bench ri
  ok "completion: help of a subcommand" completes "train transform" wabun help tra
  cd "$T_TMP" || exit 99
fi

# ---- modules: program, manual page, pkg-config, and nothing left after unload
# modules INIT FOLDER: in a shell whose paths hold nothing of ours
modules () {
  env -i HOME="$T_TMP" PATH=/usr/bin:/bin PKG_CONFIG_PATH= bash --norc --noprofile -c '
    . "$1"; module use "$2"; module load wabun || exit 1
    [ "$(command -v wabun)" = "$3/bin/wabun" ] || { command -v wabun; exit 2; }
    [ -z "$(command -v man)" ] || [ "$(man -w wabun-train)" = "$3/share/man/man1/wabun-train.1" ] || { man -w wabun-train; exit 3; }
    [ -z "$(command -v man)" ] || man -w sh || exit 4
    [ "$(pkg-config --variable=libdir wabun-tokenizer)" != "" ] || exit 5
    [ "$LD_LIBRARY_PATH" = "$3/lib" ] || { echo "$LD_LIBRARY_PATH"; exit 6; }
    module unload wabun; command -v wabun && exit 7
    [ "$LD_LIBRARY_PATH$PKG_CONFIG_PATH" = "" ] || exit 8' bash "$1" "$2" "$prefix"
}
for init in /usr/share/modules/init/bash /usr/share/lmod/*/init/bash; do
  [ -r $init ] || continue
  command -v pkg-config >/dev/null 2>&1 || continue
  ok "module load, ${init%/init/bash}, Tcl" modules $init "$prefix/share/modulefiles"
  case $init in */lmod/*) ok "Lua" modules $init "$prefix/share/lmod" ;; esac
done

# ---- scripts
wanted () { (cd "$top_srcdir/jobs" && find . -type f ! -name Makefile.inc ! -name '*~' ! -path '*/__pycache__/*') | sort; }
there () { (cd "$jobs" && find . -type f) | sort; }
wanted >"$T_TMP/wanted"
there >"$T_TMP/there"
ok "all of jobs/" diff "$T_TMP/wanted" "$T_TMP/there"
for script in "$jobs"/*.sh "$jobs"/*.pl "$jobs"/*.sbatch; do
  case $script in */local-mpi.sh | */progress.sh) continue ;; esac # only sourced
  ok "${script##*/} is executable" test -x "$script"
done
cd "$T_TMP" || exit 99
said () { # PATTERN COMMAND...
  pattern=$1
  shift
  "$@" >"$T_TMP/said" 2>&1
  code=$?
  cat "$T_TMP/said"
  [ $code -eq 0 ] && grep -q -e "$pattern" "$T_TMP/said"
}
if command -v mpirun >/dev/null 2>&1; then
  ok "smoke.sh from there, with the installed wabun" said "$prefix/bin/wabun" "$jobs/smoke.sh"
  mkdir -p kept
  cat >kept/train.cfg <<'CFG'
run = "run";
model = { layers = 1; width = 32; heads = 2; context = 32; };
tokenizer = "byte";
data = { train = "tok/train"; validation = "tok/train-valid"; };
train = { global_batch = 4; steps = 4; lr = 3e-3; warmup = 2; };
validation = { every = 2; samples = 4; };
CFG
  "$prefix/bin/wabun" help --man >own.txt
  ok "quickstart.sh beside the README, with the installed wabun" said "taking $prefix/bin/wabun" \
    "$doc/jobs/quickstart.sh" --corpus own.txt --tokenizer byte --work kept
fi

# ---- and away again
ok "make uninstall" install uninstall
ok "leaves no file" sh -c "left=\$(find '$root' ! -type d); [ -z \"\$left\" ] || { echo \"\$left\"; exit 1; }"
echo "1..$point"
