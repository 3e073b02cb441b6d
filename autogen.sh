#!/bin/sh
# Makes configure and the Makefile.in from their sources; not needed from a release tarball.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf --install --warnings=all "$@"
