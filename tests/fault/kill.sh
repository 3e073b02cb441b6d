#!/bin/sh
# timeout: 600 - a few kills of random ranks, a third of them while saving: nothing is lost, the same bits at the end.
# More of them: perl tests/fault/kill.pl --seed 7 --count 200 --wabun build/wabun
: "${WABUN:=./wabun}" "${top_srcdir:=.}" "${T_TMP:=/tmp}"
perl -MTime::HiRes -MDigest::MD5 -e 1 2>/dev/null || { echo "perl with Time::HiRes and Digest::MD5 is not here"; exit 77; }
[ -d /proc/self ] || { echo "no /proc here"; exit 77; }
exec perl "$top_srcdir/tests/fault/kill.pl" --count 6 --steps 60 --dir "$T_TMP/kill"
