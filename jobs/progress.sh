# shellcheck shell=sh
# progress.sh - sourced by scripts whose commands take long without a word.
#
# with_progress TELL COMMAND...   runs COMMAND; as long as it runs, TELL (a function) prints a line every 10 seconds.
: "${PROGRESS_SECONDS:=10}"
with_progress () {
  tell=$1
  shift
  # The shell may be killed, and children in the background do not get Ctrl-C: they look whether it is still there.  The
  # sleep must not keep a pipe open when all is over.
  (while sleep "$PROGRESS_SECONDS" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do "$tell" || :; done) &
  telling=$!
  code=0
  "$@" || code=$?
  kill $telling 2>/dev/null || :
  wait $telling 2>/dev/null || :
  return $code
}
last_line () { tail -n 1 "$1" 2>/dev/null | cut -c 1-100; } # FILE
