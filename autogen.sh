#!/bin/sh
# Makes configure and the Makefile.in from their sources; not needed from a release tarball.
# usage: ./autogen.sh [OPTION OF autoreconf]...
set -e
for option; do
  case $option in
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    -[vdfims] | --verbose | --debug | --force | --install | --make | --symlink | --warnings=* | --include=*) ;;
    *) echo "autogen.sh: unknown argument $option; ./autogen.sh --help" >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --warnings=all "$@"
