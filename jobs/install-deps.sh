#!/bin/sh
# install-deps.sh [--dev] [--help] - installs what building and testing wabun needs.
set -u

usage () {
  cat <<'EOF'
usage: jobs/install-deps.sh [--dev]

Installs the packages that building and testing wabun needs and that are missing, by apt-get, on Debian and Ubuntu
(as root or through sudo).  Elsewhere it prints what to install.
  --dev    also the tools of developers: clang, clang-format, shellcheck, gdb
Exit code: 0 all is there, 2 something must be installed by hand, 3 the installation failed.
EOF
}

dev=
for arg in "$@"; do
  case $arg in
    --dev) dev=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

# Debian's names.  The OpenMP build of OpenBLAS: the pthread one starts its own threads beside ours.
packages="gcc libc6-dev make autoconf automake libtool pkg-config
  openmpi-bin libopenmpi-dev libopenblas-openmp-dev libscalapack-openmpi-dev
  libconfig-dev libjansson-dev libpcre2-dev libxxhash-dev libarchive-dev zlib1g-dev libzstd-dev libxml2-dev libutf8proc-dev"
# Makes it faster, names encodings, serves, plots; a system that does not have them goes without.
optional="libdnnl-dev libuchardet-dev libsentencepiece-dev g++ libmicrohttpd-dev libjs-dygraphs"
[ -n "$dev" ] && packages="$packages clang clang-format shellcheck gdb"

is_installed () {
  # pkg-config is a virtual package where pkgconf has taken its place.
  [ "$1" = pkg-config ] && command -v pkg-config >/dev/null 2>&1 && return 0
  dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then
  missing=
  for package in $packages; do
    is_installed "$package" || missing="$missing $package"
  done
  faster=
  for package in $optional; do
    is_installed "$package" || faster="$faster $package"
  done
  if [ -z "$missing$faster" ]; then
    echo "install-deps: nothing is missing"
    exit 0
  fi
  if [ "$(id -u)" = 0 ]; then
    sudo=
  elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
  elif [ -z "$missing" ]; then
    echo "install-deps: nothing is missing; faster with$faster (as root: apt-get install --no-install-recommends$faster)"
    exit 0
  else
    echo "install-deps: run as root: apt-get install --no-install-recommends$missing$faster" >&2
    exit 2
  fi
  echo "install-deps: installing$missing$faster"
  log=$(mktemp) || exit 3
  trap 'rm -f "$log"' EXIT
  # shellcheck source=jobs/progress.sh
  . "$(dirname "$0")/progress.sh"
  # shellcheck disable=SC2317 # called by with_progress
  installing () { echo "install-deps: $(last_line "$log")" >&3; }
  # shellcheck disable=SC2086 # lists of words
  apt () { with_progress installing $sudo env DEBIAN_FRONTEND=noninteractive apt-get "$@" 3>&1 >>"$log" 2>&1; }
  install () { apt install -q -y --no-install-recommends "$@"; }
  # shellcheck disable=SC2086
  if apt update -q && { [ -z "$missing" ] || install $missing; }; then
    [ -z "$faster" ] || install $faster || echo "install-deps: without$faster, which could not be installed: slower"
    exit 0
  fi
  if [ -z "$missing" ]; then # no network, perhaps: all that is needed is there
    echo "install-deps: nothing is missing; without$faster, which could not be installed: slower"
    exit 0
  fi
  tail -n 20 "$log" >&2
  echo "install-deps: apt-get failed" >&2
  exit 3
fi

# Another system: all right when everything is there already (a site's modules, Spack).
lacking=
for tool in cc make autoconf automake libtoolize pkg-config mpicc mpirun; do
  command -v "$tool" >/dev/null 2>&1 || lacking="$lacking $tool"
done
for module in openblas libconfig jansson libpcre2-8 libxxhash; do
  pkg-config --exists "$module" 2>/dev/null || lacking="$lacking $module"
done
if [ -z "$lacking" ]; then
  echo "install-deps: nothing is missing"
  exit 0
fi
cat >&2 <<EOF
install-deps: not Debian or Ubuntu; missing:$lacking
  Fedora, RHEL:  dnf install gcc make autoconf automake libtool pkgconf-pkg-config openmpi-devel openblas-devel \\
                   scalapack-openmpi-devel libconfig-devel jansson-devel pcre2-devel xxhash-devel
                 (faster, where there is one: onednn-devel; names encodings: uchardet-devel; serves: libmicrohttpd-devel; plots of wabun report: the files of npm pack dygraphs, configure --with-dygraphs=DIR; then: module load mpi/openmpi-x86_64; configure takes openblaso, the OpenMP build)
  Spack:         spack install gcc autoconf automake libtool pkgconf openmpi openblas threads=openmp \\
                   netlib-scalapack libconfig jansson pcre2 xxhash onednn uchardet
EOF
exit 2
