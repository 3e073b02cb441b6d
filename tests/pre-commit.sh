#!/bin/sh
# pre-commit.sh - format and lint of what is staged, as it is staged; a few seconds.  As a hook of git, from the top:
#
#   ln -s ../../tests/pre-commit.sh .git/hooks/pre-commit
#
# In another work tree of the repository the hooks are the same.  Exit code: 0 nothing is wrong, 1 something is.
# `git commit --no-verify` goes round it.
set -u
case ${1-} in
  '') ;;
  -h | --help) echo "usage: tests/pre-commit.sh"; sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p;}' "$0"; exit 0 ;;
  *) echo "pre-commit.sh: unknown argument $1; tests/pre-commit.sh --help" >&2; exit 2 ;;
esac
cd "$(git rev-parse --show-toplevel)" || exit 1
code=$(git diff --cached --name-only --diff-filter=ACMR -- '*.c' '*.h')
scripts=$(git diff --cached --name-only --diff-filter=ACMR -- '*.sh')
staged=$(mktemp -d) || exit 1
trap 'rm -rf "$staged"' EXIT
trap 'exit 1' HUP INT TERM
git checkout-index --all --prefix="$staged/" || exit 1
cd "$staged" || exit 1
bad=0
if [ -n "$code" ]; then
  # shellcheck disable=SC2086 # names without blanks
  sh tests/lint.sh --only $code >lint.out || bad=1
  grep -v -E '^(ok|1\.\.)' lint.out
fi
for script in $scripts; do
  case $(head -n 1 "$script") in
    *bash*) bash -n "$script" || bad=1 ;;
    *) sh -n "$script" || bad=1 ;;
  esac
done
if ! git --git-dir="$(cd "$OLDPWD" && git rev-parse --absolute-git-dir)" diff --cached --check; then bad=1; fi
[ $bad -eq 0 ] || echo "pre-commit: tests/lint.sh --fix FILE... puts the format right; git commit --no-verify leaves it as it is"
exit $bad
