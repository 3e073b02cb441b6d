#!/bin/sh
# corpus-debian.sh DIR - 13 MB of Japanese text from packages of Debian or Ubuntu, a document a file.
# shellcheck disable=SC2086,SC2094 # $apt_options is a list of words; lists are written before they are read
set -eu
LC_ALL=C.UTF-8
export LC_ALL

usage () {
  cat <<'END'
usage: jobs/corpus-debian.sh DIR

Fetches packages (34 MB) with Japanese manuals and stories into DIR, unpacks them there and writes their text:
  DIR/text/manuals/*.txt   manual pages and handbooks, 13 MB
  DIR/text/stories/*.txt   stories and dialogue of a game's campaigns, 0.2 MB
Nothing is installed and no rights are needed. A second call finds the text and does nothing. The texts have the
licences of their packages (DIR/text/licences).
Exit code: 0 done, 2 usage or not Debian, 3 fetching failed.
END
}

case ${1-} in
  -h | --help) usage; exit 0 ;;
  '' | -*) usage >&2; exit 2 ;;
esac
[ $# -eq 1 ] || { usage >&2; exit 2; }

say () { echo "corpus: $*"; }
fail () { echo "corpus: $2" >&2; exit "$1"; }

jobs=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=jobs/progress.sh
. "$jobs/progress.sh"
mkdir -p "$1"
cd "$1"
dir=$PWD
[ -e text/done ] && { say "$dir/text is there: $(cat text/done)"; exit 0; }
for tool in apt-get apt-cache dpkg-deb perl; do
  command -v "$tool" >/dev/null 2>&1 ||
    fail 2 "$tool is not here: this takes text from packages of Debian or Ubuntu. With text of your own: --corpus DIR"
done

apt () { with_progress fetching apt-get $apt_options "$@" 3>&1 >"$dir/apt/log" 2>&1; }
unpacking () { say "still unpacking $package"; }
taking () { say "still taking the text out, $(find text -type f | wc -l) texts" >&3; }
fetching () { say "still fetching, $(du -sk "$dir/apt/state" "$dir/packages" | awk '{ n += $1 } END { print n }') KB ($dir/apt/log)" >&3; }

# Apt's own lists, or, where there are none (a fresh container), lists fetched into DIR: this needs no rights either.
manuals="manpages-ja manpages-ja-dev debian-reference-ja groonga-doc libreoffice-help-ja developers-reference-ja
  aptitude-doc-ja"
apt_options="-q -o APT::Sandbox::User=$(id -un) -o Dir::Cache=$dir/apt/cache -o Dir::Cache::archives=$dir/apt/cache/archives"
mkdir -p apt/cache/archives/partial apt/state/lists/partial packages unpacked
known () { [ -n "$(apt-cache $apt_options show "$1" 2>/dev/null | head -n 1)" ]; }
if ! known manpages-ja; then
  say "fetching the lists of packages"
  eval "$(apt-config shell installed Dir::State::status/f)"
  # shellcheck disable=SC2154 # assigned by eval
  apt_options="$apt_options -o Dir::State=$dir/apt/state -o Dir::State::status=$installed"
  apt update || { tail -n 5 apt/log >&2; fail 3 "apt-get update failed"; }
  known manpages-ja || fail 3 "apt knows no package manpages-ja: with text of your own: --corpus DIR"
fi

# The campaigns' packages carry their version in their name.
stories=
for campaign in did dm l; do
  stories="$stories $(apt-cache $apt_options pkgnames wesnoth-1. | grep -E "^wesnoth-[0-9.]+-$campaign\$" | sort -V | tail -n 1)"
done
# mandoc reads manual pages; the package is unpacked, not installed.
for package in mandoc $manuals $stories; do
  [ -e "unpacked/$package/done" ] && continue
  known "$package" || { say "there is no package $package here, going on without it"; continue; }
  say "fetching $package"
  rm -rf packages/* "unpacked/$package"
  (cd packages && apt download "$package") ||
    { tail -n 5 apt/log >&2; fail 3 "apt-get download $package failed; call again to go on"; }
  with_progress unpacking dpkg-deb -x packages/*.deb "unpacked/$package" ||
    fail 3 "$package cannot be unpacked into $dir/unpacked; call again to go on"
  touch "unpacked/$package/done"
done
[ -e unpacked/mandoc/done ] || fail 3 "the package mandoc is missing"
MANDOC=$dir/unpacked/mandoc/usr/bin/mandoc
export MANDOC

say "taking the text out of the packages: about half a minute"
rm -rf text
mkdir -p text/manuals text/stories text/licences
tab=$(printf '\t')
# KIND, NAME, FILE; the name is the path with - for /.
list () { # KIND ROOT FIND-ARGUMENT...
  kind=$1 root=$2
  shift 2
  (cd "$root" && find . -type f "$@") | sort | sed -n "s,^\./,,p" | awk -v kind="$kind" -v root="$root" '{
    name = $0
    gsub (/^usr\/share\/|\.gz$|\.html$|\.cfg$/, "", name)
    gsub (/[^A-Za-z0-9._+-]/, "-", name)
    printf "%s\t%s\t%s/%s\n", kind, name, root, $0 }'
}
for package in $manuals; do
  [ -e "unpacked/$package/done" ] || continue
  list man "unpacked/$package" -path '*/man/ja/man*' -name '*.gz'
  list html "unpacked/$package" \( -path '*/ja/*' -o -name '*.ja.html' \) -name '*.html'
done | sed 's,\.gz$,,' >list
# mandoc reads many pages in one go, but not if they are compressed.
with_progress taking find unpacked -path '*/man/ja/man*' -type f -name '*.gz' -exec gzip -df {} + 3>&1
with_progress taking perl "$jobs/corpus-debian.pl" text/manuals 3>&1 <list >log
printf 'manuals: %s' "$(cat log)" >text/found
for package in $stories; do
  [ -e "unpacked/$package/done" ] || continue
  catalogue=$(find "unpacked/$package" -path '*/ja/*' -name '*.mo' | head -n 1)
  [ -z "$catalogue" ] || list scenario "unpacked/$package" -path '*/scenarios/*.cfg' | sed "s,\$,$tab$catalogue,"
done >list
with_progress taking perl "$jobs/corpus-debian.pl" text/stories 3>&1 <list >log
printf '; stories: %s\n' "$(cat log)" >>text/found
for package in $manuals $stories; do
  file=unpacked/$package/usr/share/doc/$package/copyright
  [ ! -f "$file" ] || cp "$file" "text/licences/$package"
done
mv text/found text/done
rm -rf packages unpacked apt list log
say "$(cat text/done)"
