# shellcheck shell=sh
# Sourced by benches that need a model and not what it says: random_model PRESET makes $work/run/latest, of one step, with a
# vocabulary of 20,573 words.  They have set WABUN and work.
here=$(cd "$(dirname "$0")" && pwd)
run () { "$WABUN" "$@" >"$work/out" 2>"$work/err" </dev/null || { cat "$work/err" >&2; exit 99; }; }
number () { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$2" | awk '{ printf "%.1f", $1 }'; }

random_model () {
  mkdir "$work/vocab"
  perl -CSD -e 'for (0 .. 20311) { print chr (0x4e00 + $_ % 20000), $_ < 20000 ? "" : chr 0x4e01, "\n" }
    print "$_\n" for "<SP>", "<BR>", "<TAB>", "<|emoji1|>", (map { "<|byte$_|>" } 0 .. 255), "<|endoftext|>"' >"$work/vocab/ja-bpe.txt"
  echo '{"emoji": {"😀": "<|emoji1|>"}, "emoji_inv": {"<|emoji1|>": "😀"}}' >"$work/vocab/emoji.json"
  run encode --tokenizer "$work/vocab" -o "$work/tok" "$here/../../README.ja.md"
  cat >"$work/cfg" <<END
run = "$work/run"; seed = 1; tokenizer = "$work/vocab"; data = { train = "$work/tok"; }; model = { preset = "$1"; };
train = { global_batch = 1; steps = 1; warmup = 1; }; checkpoint = { every = 1; };
END
  run train "$work/cfg"
}
