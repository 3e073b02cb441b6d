#!/bin/sh
# every script that people start knows --help, and refuses an option it does not know.  Writes TAP.
: "${top_srcdir:=.}" "${T_TMP:=$(mktemp -d)}"
cd "$top_srcdir" || exit 99
point=0
ok () { # WHAT CODE COMMAND...
  what=$1 wanted=$2
  shift 2
  point=$((point + 1))
  "$@" >"$T_TMP/out" 2>"$T_TMP/err" </dev/null
  got=$?
  # Help goes to the standard output, complaints to the standard error.
  case $wanted in 0) said=$T_TMP/out ;; *) said=$T_TMP/err ;; esac
  if [ $got -eq "$wanted" ] && [ -s "$said" ] && { [ "$wanted" -ne 0 ] || grep -q -i usage "$said"; }; then
    echo "ok $point - $what"
  else
    echo "# exit code $got, expected $wanted"
    head -n 5 "$T_TMP/out" "$T_TMP/err" | sed 's/^/# /'
    echo "not ok $point - $what"
  fi
}
# Not those that are sourced, and not the tests, which make check starts.
find autogen.sh jobs tests \( -name '*.sh' -o -name '*.pl' -o -name '*.py' -o -name '*.sbatch' \) \
  ! -path 'tests/tmp/*' ! -path 'tests/cli/*' ! -path 'tests/fault/*' \
  ! -name run-tap.sh ! -name random_model.sh ! -name local-mpi.sh ! -name progress.sh ! -name cluster.sh ! -path 'tests/web/server.sh' ! -path 'tests/web/aborts.*' ! -path 'tests/web/bad_requests.*' \
  ! -name '*_peer.py' ! -name package.py | sort >"$T_TMP/scripts"
while read -r script; do
  case $script in
    *.py) with=python3 ;;
    *.pl) with=perl ;;
    *) with=bash ;;
  esac
  command -v $with >/dev/null 2>&1 || continue
  ok "$script --help" 0 $with "$script" --help
  ok "$script --no-such-option" 2 $with "$script" --no-such-option
done <"$T_TMP/scripts"
ok "train.sbatch without a configuration" 2 bash jobs/train.sbatch
echo "1..$point"
