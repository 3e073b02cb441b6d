#!/bin/sh
# timeout: 900 - every command of README.md and README.ja.md runs as it stands there; every jobs/*.cfg is planned.  Writes TAP.
#
# A command is a line of a block that is indented by four blanks, or `code` in a sentence that begins with wabun, mpirun or
# ./jobs/ and names nothing that the reader must fill in (CFG, DIR, ...).  They run one after the other, in one directory
# that holds what the page has told the reader to make: text/train, text/valid, author, lines.txt, and mine.cfg and author.cfg
# from the page itself.
#
# What takes long is shortened, by these rules only:
#   ./jobs/quickstart.sh and ./tests/run.sh       become --help
#   ./autogen.sh ... make install                 `make installcheck` and tests/run.sh are that; here the commands must exist
#   mpirun -n N                                   at most 2 ranks; --map-by and -x OMP_NUM_THREADS=16 go (16 cores)
#   the Debian packages                           tests/package.sh makes and installs them; here their files must exist
#   wabun train                                   3 steps of a model with one narrow layer, validated on 2 windows
#   wabun bench step                              --preset tiny for small, 1 step
#   `wabun NAME`, `wabun bench|corpus|vocab NAME` in a sentence   are names: their help is asked for
#   sbatch                                        the script is checked by bash -n, its configuration by wabun plan
# A Python block runs where torch and transformers are installed.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
case $top_srcdir in /*) top=$top_srcdir ;; *) top=$OLDPWD/$top_srcdir ;; esac
REAL_MPIRUN=$(command -v "$MPIRUN") || REAL_MPIRUN=mpirun-is-missing
export top REAL_WABUN="$WABUN" REAL_MPIRUN MPIRUN_FLAGS="${MPIRUN_FLAGS-}"

# ---- shortened programs, first in the PATH
mkdir bin
cat >bin/wabun <<'END'
#!/bin/sh
case $1 in
  train)
    case "$*" in *mine.cfg* | *jobs/*.cfg*) set -- "$@" --set train.steps=3 --set model.layers=1 --set model.width=32 \
      --set model.heads=2 --set model.context=64 --set train.global_batch=4 --set validation.samples=2 \
      --set sample.length=4 --set sample.every=3 --set train.warmup=1 ;;
      *author.cfg*) set -- "$@" --set train.steps=3 --set train.global_batch=4 --set validation.samples=2 --set train.warmup=1 ;; esac ;;
  bench)
    short=
    for a; do case $a in small) a=tiny ;; esac; short="$short $a"; done
    # shellcheck disable=SC2086 # words without blanks
    set -- $short
    case $2 in step) set -- "$@" --steps 1 ;; esac ;;
esac
exec "$REAL_WABUN" "$@"
END
cat >bin/mpirun <<'END'
#!/bin/sh
n=1
while [ $# -gt 0 ]; do
  case $1 in
    -n) n=$2; [ "$n" -le 2 ] || n=2; shift 2 ;;
    --map-by) shift 2 ;;
    -x) case $2 in OMP_NUM_THREADS=*) ;; *) export "${2?}" ;; esac; shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
# shellcheck disable=SC2086 # a list of words
exec "$REAL_MPIRUN" $MPIRUN_FLAGS -n "$n" "$@" </dev/null
END
cat >bin/sbatch <<'END'
#!/bin/sh
while [ $# -gt 0 ]; do case $1 in -*) shift ;; *) break ;; esac; done
bash -n "$1" && [ -f "$2" ] && exec "$REAL_WABUN" plan "$2"
END
chmod +x bin/*
PATH=$PWD/bin:$PATH
export PATH

# ---- what the reader has
lines () { # what the page says goes before the commands
  mkdir -p "$1" && cd "$1" || exit 99
  ln -s "$top/jobs" jobs && ln -s "$top/tests" tests && ln -s "$top/doc" doc
  ln -s "$top/autogen.sh" "$top/README.md" "$top/README.ja.md" .
  mkdir -p text/train text/valid author
  corpus 300 >text/train/a.txt
  corpus 120 >text/valid/b.txt
  corpus 3 >lines.txt
  corpus 100 >author/c.txt
}

# The page as a list of commands, one a line: BLOCK-NUMBER<TAB>LINE; and of code in sentences: 0<TAB>CODE.
commands () {
  awk '
    /^    / { if (!inside) { inside = 1; n++ } print n "\t" substr ($0, 5); next }
    { inside = 0; rest = $0
      while (match (rest, /`[^`]+`/)) {
        code = substr (rest, RSTART + 1, RLENGTH - 2); rest = substr (rest, RSTART + RLENGTH)
        if (code ~ /^(wabun|mpirun|\.\/jobs\/) ?[^ ]*/ && code ~ /^(wabun |mpirun |\.\/jobs\/)/ && code !~ /…|[A-Z][A-Z]|NAME|名前|コマンド|--mca|--oversub/)
          print "0\t" code
      } }' "$1"
}

run_line () { # a command of the page, in its directory
  line=$1
  case $line in
    './jobs/quickstart.sh'* | './tests/run.sh'*) line="${line%%#*} --help" ;;
    './autogen.sh' | 'mkdir -p build && cd build' | '../configure'* | 'make -j'* | 'export PATH='*)
      [ -x "$top/autogen.sh" ]
      return ;;
    'ln -s jobs/install/debian debian'* | 'sudo apt-get install'*)
      [ -f "$top/jobs/install/debian/control" ]
      return ;;
  esac
  sh -c "set -e; $line" </dev/null
}

page () { # FILE: all of its commands
  name=$(basename "$1" .md)
  home=$PWD
  lines "$home/$name"
  commands "$top/$1" >../"$name.list"
  blocks=$(cut -f 1 ../"$name.list" | sort -nu)
  for b in $blocks; do
    [ "$b" -ne 0 ] || continue
    awk -F '\t' -v b="$b" '$1 == b { sub (/^[0-9]+\t/, ""); print }' ../"$name.list" >../block
    first=$(sed 1q ../block)
    case $first in
      'run = '*)
        cfg=$(printf '%s' "$first" | sed 's/.*runs\/\(.*\)".*/\1/').cfg
        cp ../block "$cfg"
        ok "$name: $cfg can be planned" wabun plan "$cfg"
        continue ;;
      '{'*) # the text of a file
        ok "$name: $(printf '%.20s' "$first")... is JSON" perl -MJSON::PP -0777 -ne 'decode_json ($_)' ../block
        continue ;;
      'import '*)
        if python3 -c 'import torch, transformers' 2>/dev/null; then
          cp ../block page.py
          ok "$name: Python" python3 page.py
        else
          ok "$name: Python (torch and transformers are not here: its wabun lines only)" sh -c \
            'echo "{\"text\": \"昔々\"}" | wabun encode --tokenizer runs/mine/latest --jsonl | grep -q "{\"ids\":" &&
             echo "{\"ids\": [230, 152, 148]}" | wabun decode --tokenizer runs/mine/latest --jsonl | grep -q text'
        fi
        continue ;;
      'runs/mine/latest -> '*)
        for f in config.json model.safetensors wabun-tokenizer.json optimizer.safetensors state.json checksums.json; do
          ok "$name: the page names $f, a checkpoint has it" sh -c "grep -q '$f' ../block && [ -s runs/mine/latest/$f ]"
        done
        continue ;;
    esac
    while IFS= read -r line; do
      [ -n "$line" ] || continue
      rm -rf tok/a.* tok/b.*
      cp tok/train.bin tok/a.bin 2>/dev/null && cp tok/train.idx tok/a.idx && cp tok/train.bin tok/b.bin && cp tok/train.idx tok/b.idx
      ok "$name: $(printf '%s' "$line" | tr '#' ' ')" run_line "$line"
    done <../block
  done
  sed -n 's/^0\t//p' ../"$name.list" | sort -u | sed 's/^wabun \([a-z]*\)$/wabun help \1/; s/^wabun \(bench\|corpus\|vocab\) [a-z]*$/wabun help \1/' >../block
  while IFS= read -r line; do
    ok "$name: $(printf '%s' "$line" | tr '#' ' ')" run_line "$line"
  done <../block
  cd "$home" || exit 99
}
page README.md
page README.ja.md

# ---- both pages have the same blocks and commands
same_commands () {
  for f in README README.ja; do
    sed 's/#.*//; s/[[:space:]]*$//' $f.list | grep -v 'CFG\|checksums.json\|safetensors\|wabun-tokenizer' | cut -f 2- | sort -u >$f.sorted
  done
  diff README.sorted README.ja.sorted
}
ok "the Japanese page has the commands of the English one" same_commands

for cfg in "$top"/jobs/*.cfg; do
  case $cfg in */corpus.cfg) continue ;; esac # of a corpus: tests/cli/corpus.sh
  base=
  case $cfg in */finetune.cfg) base='--set model.base="" --set model.preset=small --set model.vocab_size=20573' ;; esac
  ok "wabun plan $(basename "$cfg")" sh -c "cd '$top' && wabun plan 'jobs/$(basename "$cfg")' $base"
done
done_testing
