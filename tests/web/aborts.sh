#!/bin/sh
# timeout: 900 - requests to wabun serve that are given up: memory and descriptors stay, no block is lost.  Writes TAP.
#
#   tests/web/aborts.sh [COUNT [SEED]]     200 of them, drawn by SEED (0); the whole thing has 10000
#
# When and how they are given up: aborts.pl.
case ${1-} in
  -h | --help) sed -n '4,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
: "${top_srcdir:=$(dirname "$0")/../..}"
. "$top_srcdir/tests/web/server.sh"
count=${1:-200}
begin --texts 256 --cache-mib 1 # few blocks, so that texts have to wait
fds () { find "/proc/$server/fd" -type l | wc -l; }
number blocks_used >/dev/null
idle=$(fds)
perl "$top_srcdir/tests/web/aborts.pl" "$port" $server "$count" "${2:-0}" >"$T_TMP/report" 2>&1
ok "requests that are given up" test $? -eq 0
sed 's/^/# /' "$T_TMP/report"
echo "# pauses $(number pauses_total), cancelled $(number cancelled_total), shared $(number prompt_tokens_shared_total), tokens $(number tokens_total)"
ok "some were taken back" test "$(number cancelled_total)" -ge $((count / 4))
ok "no descriptor is lost" test "$(fds)" -le "$((idle + 1))" # the last connection may still be closing
if [ -z "${ASAN_OPTIONS-}" ]; then # which keeps what is freed
  # Connections have threads, whose memory malloc() keeps in pools: it grows at first.
  grew=$(sed -n 's/.*quiet: \(.*\) kB;.*/\1/p' "$T_TMP/report" | awk '{ print $NF - $4 }')
  ok "memory stays" test "${grew:-100000}" -lt 6000
fi
finish
