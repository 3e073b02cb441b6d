#!/bin/sh
# timeout: 600 - bad requests to wabun serve: the right status, others undisturbed, nothing lost.  Writes TAP.
#
#   tests/web/bad_requests.sh [COUNT [SEED]]     60 of them, drawn by SEED (0); all (over 500): tests/web/bad_requests.sh all
#
# Broken JSON, fields out of range, paths, headers, lengths, chunks, pipelining, slow clients: bad_requests.pl.
case ${1-} in
  -h | --help) sed -n '4,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}"
. "$top_srcdir/tests/web/server.sh"
count=${1:-60}
[ "$count" != all ] || count=100000
begin --client-seconds 2 --max-seconds 50 # no text here may take so long
perl "$top_srcdir/tests/web/bad_requests.pl" "$port" "$count" "${2:-0}" >"$T_TMP/report" 2>&1
ok "every bad request is refused" test $? -eq 0
sed 's/^/# /' "$T_TMP/report"
finish
