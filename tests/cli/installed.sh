#!/bin/sh
# timeout: 900 - what `make install` installs: links of the documentation, jobs/ and its scripts from there.  Writes TAP.
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

case $T_TMP in /*) ;; *) T_TMP=$PWD/$T_TMP ;; esac
root=$T_TMP/root
install () { # the usual folders below a scratch directory, whatever configure was told
  (cd "$top_builddir" && "$MAKE" "${1:-install}" DESTDIR="$root" prefix=/opt/wabun exec_prefix=/opt/wabun bindir=/opt/wabun/bin \
    datarootdir=/opt/wabun/share datadir=/opt/wabun/share docdir=/opt/wabun/share/doc/wabun mandir=/opt/wabun/share/man \
    includedir=/opt/wabun/include libdir=/opt/wabun/lib)
}
ok "make install" install
prefix=$root/opt/wabun doc=$root/opt/wabun/share/doc/wabun jobs=$root/opt/wabun/share/wabun/jobs

# ---- documentation
for file in README.md README.ja.md LICENSE NEWS.md doc/formats.md doc/img/learning.csv jobs/small.cfg; do
  ok "$file beside the README" test -s "$doc/$file"
done
if command -v perl >/dev/null 2>&1; then
  ok "every link of the installed documentation" perl "$top_srcdir/tests/cli/links.pl" "$doc"
fi

# ---- scripts
wanted () { (cd "$top_srcdir/jobs" && find . -type f ! -name Makefile.inc ! -name '*~' ! -path '*/__pycache__/*') | sort; }
there () { (cd "$jobs" && find . -type f) | sort; }
wanted >"$T_TMP/wanted"
there >"$T_TMP/there"
ok "all of jobs/" diff "$T_TMP/wanted" "$T_TMP/there"
for script in "$jobs"/*.sh "$jobs"/*.pl "$jobs"/*.sbatch; do
  case $script in */local-mpi.sh) continue ;; esac # only sourced
  ok "${script##*/} is executable" test -x "$script"
done
unset WABUN
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
data = { train = "tok/train"; validation = "tok/valid"; };
train = { global_batch = 4; steps = 4; lr = 3e-3; warmup = 2; };
validation = { every = 2; samples = 4; };
CFG
  "$prefix/bin/wabun" help --man >own.txt
  ok "quickstart.sh beside the README, with the installed wabun" said "taking $prefix/bin/wabun" \
    "$doc/jobs/quickstart.sh" --corpus own.txt --work kept
fi

# ---- and away again
ok "make uninstall" install uninstall
ok "leaves no file" sh -c "left=\$(find '$root' ! -type d); [ -z \"\$left\" ] || { echo \"\$left\"; exit 1; }"
echo "1..$point"
