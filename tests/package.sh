#!/bin/sh
# package.sh - the Debian package: built, looked at by lintian, and in a bare system installed, used and removed again.
# Not part of make check: as root, ten minutes, a GB in TMPDIR, and Debian's archive by /etc/apt.
#     tests/package.sh [--container]
#   --container    instead of the package: the sections of jobs/install/wabun.def, run in a bare system in their order as
#                  Apptainer would run them
#   JOBS=N         jobs of make for the package (default: the number of cores)
#   PACKAGES=DIR   leaves the packages there
# What it needs: debhelper dh-python lintian debootstrap, and what building needs; it installs them.
# The bare system is debootstrap's smallest.  There the libraries and MPI are installed first, then the list of all files
# is taken, then wabun: as a user who is not root it trains on two ranks, goes on on three, writes, and makes a page; its
# manual page, completion, and the library by pkg-config, a compiler and Python are tried.  Once removed, the lists of
# files must be the same.
# Writes TAP.
container=
case ${1-} in
  '') ;;
  --container) container=yes ;;
  -h | --help) echo "usage: tests/package.sh [--container]"; sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
  *) echo "package.sh: unknown argument $1; tests/package.sh --help" >&2; exit 2 ;;
esac
skip () { echo "1..0 # SKIP $1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "only root makes a bare system"
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || skip "no Debian"
top=$(cd "$(dirname "$0")/.." && pwd)
LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export LC_ALL DEBIAN_FRONTEND
work=$(mktemp -d) || exit 99
bare=$work/bare
leave () {
  for mount in proc dev/pts dev/shm; do ! mountpoint -q "$bare/$mount" || umount "$bare/$mount"; done
  rm -rf --one-file-system "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

point=0 bad=0
ok () { # WHAT COMMAND...
  what=$1
  shift
  point=$((point + 1))
  if "$@" >"$work/ok" 2>&1 </dev/null; then
    echo "ok $point - $what"
  else
    tail -n 30 "$work/ok" | sed 's/^/# /'
    echo "not ok $point - $what"
    bad=1
  fi
}
must () { # WHAT COMMAND...; nothing after it makes sense without it
  before=$bad bad=0
  ok "$@"
  [ $bad -eq 0 ] || { echo "1..$point"; exit 1; }
  bad=$before
}

# ---- the tree, and a run
version=$(sed -n '1s/^wabun (\(.*\)) .*/\1/p' "$top/jobs/install/debian/changelog")
must "of the version that configure has" grep -qF "AC_INIT([wabun], [$version]" "$top/configure.ac"
tree=$work/wabun-$version
copy () {
  mkdir "$tree" && cd "$top" && { git ls-files -z -co --exclude-standard 2>/dev/null || find . -type f -print0; } |
    tar c --null -T - | tar x -C "$tree" && ln -s jobs/install/debian "$tree/debian"
}
cat >"$work/mine.cfg" <<'CFG'
run = "runs/mine";
model = { layers = 2; width = 64; heads = 4; context = 64; };
tokenizer = "byte";
data = { train = "tok/train"; validation = "tok/valid"; };
train = { global_batch = 6; steps = 6; lr = 1e-3; warmup = 2; };
checkpoint = { every = 3; keep = 3; };
validation = { every = 3; samples = 4; };
CFG
mpi='mpirun --oversubscribe --bind-to none'

# ---- a bare system
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(sed -n -e 's/^URIs: *//p' -e 's/^deb \(\[.*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list \
  2>/dev/null | head -n 1)
bare_system () { debootstrap --variant=minbase "$suite" "$bare" "$mirror"; }
in_bare () { chroot "$bare" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
as_user () { chroot --userspec=tester:tester "$bare" env -i PATH=/usr/bin:/bin HOME=/home/tester LC_ALL=C.UTF-8 OMP_NUM_THREADS=1 sh -ec "cd; $1"; }
enter () {
  mount -t proc proc "$bare/proc" && mount -t devpts devpts "$bare/dev/pts" && mkdir -p "$bare/dev/shm" && mount -t tmpfs tmpfs "$bare/dev/shm" &&
    cp /etc/resolv.conf "$bare/etc" && in_bare apt-get update -q && in_bare useradd -m tester
}
# All files but lists, caches and logs of the package manager, and what ldconfig and others write anew.
files () {
  (cd "$bare" && find . -xdev \( -path ./proc -o -path ./packages -o -path ./var/lib/apt -o -path ./var/cache -o -path ./var/log \
    -o -path ./tmp -o -path ./home/tester \) -prune -o -print) | LC_ALL=C sort >"$work/$1"
}

# ---- the container: %files, %post, %test, %runscript
section () { sed -n "/^%$1\$/,/^%/{/^%/d;s/^    //p;}" "$top/jobs/install/wabun.def"; }
if [ -n "$container" ]; then
  must "debootstrap" sh -c 'command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -q -y debootstrap; }'
  must "a bare system" bare_system
  must "it is entered" enter
  must "the tree" copy
  rm "$tree/debian"
  must "%files" sh -c 'test "$1" = ". /opt/src/wabun" && mkdir -p "$3/opt/src" && mv "$2" "$3/opt/src/wabun"' sh "$(section files)" "$tree" "$bare"
  section post >"$bare/opt/post"
  must "%post" in_bare sh -ex /opt/post
  environment=$(section environment)
  section test >"$bare/opt/test"
  ok "%test" as_user "$environment; sh -e /opt/test"
  section runscript >"$bare/opt/run"
  ok "%runscript" as_user "$environment; sh /opt/run help | grep '^  train '"
  cp "$work/mine.cfg" "$bare/home/tester"
  ok "text to tokens" as_user "$environment; wabun encode --tokenizer byte -o tok/train /opt/wabun/share/doc/wabun/README.ja.md &&
    wabun encode --tokenizer byte -o tok/valid /opt/wabun/share/doc/wabun/doc/finetuning.ja.md"
  ok "mpirun -n 2 wabun train" as_user "$environment; timeout 300 $mpi -n 2 wabun train mine.cfg 2>&1 | tee log; grep -q '^done: 6 steps' log"
  ok "a page, with its plots" as_user "$environment; wabun report runs/mine -o mine.html; grep -q Dygraph mine.html"
  ok "its source is gone" test ! -e "$bare/opt/src/wabun"
  echo "1..$point"
  exit $bad
fi

# ---- build
needed=$(sed -n '/^Build-Depends:/,/^[A-Z]/s/^ \([^,]*\),$/\1,/p' "$top/jobs/install/debian/control")
tools () {
  apt-get update -q && apt-get -o DPkg::Lock::Timeout=300 satisfy -q -y --no-install-recommends "$needed dpkg-dev, fakeroot, lintian, debootstrap"
}
must "what building needs" tools
build () {
  cd "$tree" && PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin DEB_BUILD_OPTIONS="parallel=${JOBS:-$(nproc)}" \
    dpkg-buildpackage -us -uc -b
}
must "the tree" copy
must "dpkg-buildpackage -us -uc -b" build
[ -z "${PACKAGES-}" ] || { mkdir -p "$PACKAGES" && cp "$work"/*.deb "$PACKAGES"; }
ok "lintian finds nothing" sh -c 'cd "$1" && lintian --allow-root --tag-display-limit 0 --fail-on error,warning wabun_*.changes' sh "$work"

# ---- in the bare system
must "debootstrap" bare_system
must "it is entered" enter
mkdir "$bare/packages" && cp "$work"/*.deb "$bare/packages" && rm -f "$bare"/packages/*-dbgsym_*
depends () { # of the packages, but for each other
  for package in "$bare"/packages/*.deb; do dpkg-deb -f "$package" Depends; done | tr ',' '\n' | sed 's/^ *//' |
    grep -v '^\(lib\)\{0,1\}wabun' | sort -u | paste -sd, | sed 's/,/, /g'
}
must "libraries and MPI" in_bare apt-get satisfy -q -y --no-install-recommends "$(depends), gcc, libc6-dev, pkg-config, man-db"
files before

# ---- installed
must "apt-get install" in_bare sh -c 'apt-get install -q -y --no-install-recommends /packages/*.deb'
sed -n 's/^Setting up \([^ :]*\).*/\1/p' "$work/ok" | sort >"$work/set-up"
printf '%s\n' libwabun-tokenizer-dev libwabun-tokenizer0 python3-wabun-tokenizer wabun >"$work/ours"
ok "nothing else comes with it" diff "$work/ours" "$work/set-up"
ok "the program" as_user "wabun --version | grep '^wabun $version'"
cp "$work/mine.cfg" "$bare/home/tester"
ok "text to tokens" as_user 'wabun encode --tokenizer byte -o tok/train /usr/share/doc/wabun/README.ja.md &&
  wabun encode --tokenizer byte -o tok/valid /usr/share/doc/wabun/doc/finetuning.ja.md'
ok "a plan" as_user 'wabun plan mine.cfg --ranks 2 --gflops 10'
ok "mpirun -n 2 wabun train" as_user "timeout 300 $mpi -n 2 wabun train mine.cfg 2>&1 | tee log; grep -q '^done: 6 steps' log"
ok "goes on on 3 ranks" as_user "timeout 300 $mpi -n 3 wabun train mine.cfg --set train.steps=9 2>&1 | tee log; grep -q '^step 9/9 ' log"
ok "generate" as_user 'wabun generate --model runs/mine/latest --context 和文 --max-length 20 --seed 1 | grep .'
ok "a page, with its plots" as_user 'wabun report runs/mine -o mine.html; grep -q Dygraph mine.html'
ok "the manual pages" as_user 'man -w wabun && man wabun-train | grep -q train.steps'
ok "completion" as_user 'test -s /usr/share/bash-completion/completions/wabun && test -s /usr/share/zsh/vendor-completions/_wabun'
ok "every link of its documentation" perl "$top/tests/cli/links.pl" "$bare/usr/share/doc/wabun"
ok "a program with the library" as_user "cc /usr/share/doc/wabun/doc/examples/tokenize.c \$(pkg-config --cflags --libs wabun-tokenizer) -o t && ./t byte '文 a' | grep '^230 150 135 32 97\$'"
ok "the Python module" as_user "python3 -c 'from wabun_tokenizer import Tokenizer; print (*Tokenizer (\"byte\").encode (\"文 a\"))' | grep '^230 150 135 32 97\$'"
ok "installed again" in_bare sh -c 'dpkg -i /packages/*.deb'

# ---- and away again
ok "apt-get purge" in_bare apt-get purge -q -y wabun libwabun-tokenizer0 libwabun-tokenizer-dev python3-wabun-tokenizer
files after
ok "leaves no file and no folder" diff "$work/before" "$work/after"
ok "and no trace in dpkg" sh -c '! grep wabun "$1/var/lib/dpkg/status"' sh "$bare"
echo "1..$point"
exit $bad
