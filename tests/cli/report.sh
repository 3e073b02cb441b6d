#!/bin/sh
# wabun report: a page of a run that was killed and goes on, of damaged files, of several runs.  Its charts in a browser:
# tests/web/report.mjs.  The same numbers in event files of TensorBoard, and for node exporter.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare
command -v perl >/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }

# report CODE ARGUMENT...
report () {
  want=$1
  shift
  "$WABUN" report "$@" >out 2>err
  got=$?
  cat out err
  [ $got -eq "$want" ]
}
err_says () { cat err && grep -q -e "$1" err; }
# The data of a page: `data EXPRESSION FILE` with $d, what its script reads.
data () {
  perl -MJSON::PP -CSD -e '
    my ($expression, $file) = @ARGV;
    open my $f, "<", $file or die; local $/; my $page = <$f>;
    my ($json) = $page =~ m{<script type="application/json" id="data">(.*?)</script>}s or die "no data";
    our $d = JSON::PP->new->decode ($json);
    my $is = eval $expression; die $@ if $@;
    print "$expression: ", $is // "undef", "\n"; exit !$is;' "$1" "$2"
}
page_has () { grep -qF -e "$1" "$2"; }

ok "a run" trained 1 a --set 'data.validation="tokens"' --set validation.every=5 --set sample.every=10 \
  --set report.tensorboard=true --set 'report.openmetrics="a.prom"'
ok "a page" report 0 a -o a.html
ok "is named" err_says '^a.html$'
ok "steps" data '@{$d->{runs}[0]{tables}[0]{step}} == 20 && $d->{runs}[0]{tables}[0]{step}[19] == 20' a.html
sed -n 's/.*"step": 20, .*"loss": \([0-9.]*\),.*/\1/p' a/metrics.jsonl >loss
ok "the loss of the last one, to its last digit" data "\$d->{runs}[0]{curves}{loss}[0]{mid}[19] eq '$(cat loss)'" a.html
ok "and in the table" page_has "<td class=\"n\">$(cat loss)</td>" a.html
ok "validations" data '@{$d->{runs}[0]{curves}{loss}[1]{mid}} == 5 && $d->{runs}[0]{curves}{bpb}[0]{mid}[4] > 0' a.html
ok "ranks: lowest, median, highest" data '$d->{runs}[0]{curves}{ranks}[0]{low}[3] <= $d->{runs}[0]{curves}{ranks}[0]{high}[3]' a.html
ok "samples" test "$(grep -c '<blockquote' a.html)" -eq 2
sed -n 's/.*"step": 20, .*"backward": \([0-9.e-]*\),.*/\1/p' a/metrics.jsonl >backward
ok "phases in a table" sh -c 'sed -n "/Time of a step by phase, seconds/,/<\/table>/p" a.html | tail -n 2 | grep -q ">20</td>"'
ok "their numbers" data "\$d->{runs}[0]{curves}{phases}[2]{mid}[19] == $(cat backward)" a.html
ok "ranks and saves in tables" sh -c 'grep -q "Ranks compared: fastest" a.html && grep -q "Checkpoints, seconds" a.html'
ok "its configuration" page_has 'optimizer = &quot;adamw&quot;;' a.html
ok "asks for nothing" sh -c '! sed "s/<!-- The plots.*//" a.html | grep -nE "(src|href)=\"[^d]|url\\(|@import"'
ok "both languages" page_has '<span lang="en">Learning rate</span><span lang="ja">学習率</span>' a.html
ok "English first" page_has '<html lang="en">' a.html
ok "Japanese first" sh -c 'LC_ALL= LANG=ja_JP.UTF-8 "$1" report a -o ja.html && grep -q "<html lang=\"ja\">" ja.html' sh "$WABUN"
ok "made again" report 0 a -o a.html --lang ja
ok "not over other files" report 2 a -o cfg
ok "which stay" grep -q '^run = "run"' cfg

# ---- evaluations
printf 'abc\nthe quick brown fox\n' >held.txt
printf '{"context": "a", "choices": ["b", "c"], "answer": 0}\n' >held.jsonl
ok "an evaluation" sh -c '"$1" eval a/latest --text held.txt --choices held.jsonl --json >"<b>.json"' sh "$WABUN"
ok "on the page" report 0 a -o eval.html --eval '<b>.json'
bits=$(grep -o '"bits_per_byte": [0-9.]*' '<b>.json' | head -n 1 | awk '{ printf "%.4f", $2 }')
ok "bits per byte" page_has "<td class=\"n\">$bits</td>" eval.html
ok "choices" page_has '選択問題 1 問' eval.html
ok "names are text" sh -c 'grep -qF "<h3>&lt;b&gt;.json</h3>" eval.html && ! grep -qF "<h3><b>" eval.html'
printf 'text = "held.txt"; context_length = 2; length = 8; documents = 2;\n' >grid.cfg
printf 'abcdefghijklmnop\n<|endoftext|>\nqrstuvwxyzabcdef\n' >held.txt
ok "a sampling grid" sh -c '"$1" eval a/latest --sampling-grid grid.cfg --json >grid.json' sh "$WABUN"
ok "on the page" report 0 a -o eval.html --eval '<b>.json' --eval grid.json
ok "three rows" test "$(sed -n '/grid.json/,/<\/table>/p' eval.html | grep -c '<th scope="row">')" -eq 3
ok "what is none" report 5 a -o eval.html --eval held.txt
ok "is named" err_says 'held.txt is not what wabun eval --json prints'

# ---- the same numbers elsewhere
events () { perl "$top_srcdir/tests/cli/events.pl" "$1"/events.out.tfevents.*; }
# same RUN: every number of metrics.jsonl is in the event files, to the four bytes it has there, and none besides
same () {
  events "$1" >events && perl -MJSON::PP -e '
    my ($records, $events) = @ARGV;
    my (%want, $walk);
    $walk = sub { my ($name, $x) = @_;
      if (ref $x eq "HASH") { $walk->($name eq "" ? $_ : "$name/$_", $x->{$_}) for grep { $name ne "" || $_ ne "step" } keys %$x }
      elsif (ref $x eq "ARRAY") { $walk->("$name/$_", $x->[$_]) for 0 .. $#$x }
      elsif ($x =~ /^[-0-9.e+]+$/) { $want{$_[2] // our $step}{$name} = $x } };
    open my $f, "<", $records or die;
    while (<$f>) { my $r = decode_json ($_); our $step = $r->{step}; $walk->("", $r) }
    open $f, "<", $events or die;
    my $n = 0;
    while (<$f>) {
      my ($step, $tag, $y) = /^(\d+) (\S+) ([-0-9.e+]+)$/ or next;
      my $x = $want{$step}{$tag} // die "step $step: $tag is not in metrics.jsonl";
      my $digits = $tag =~ /loss|lr|norm|tokens$/ ? 1e-7 : 1e-3; # of metrics.jsonl, or of four bytes
      die "step $step: $tag $y, in metrics.jsonl $x" if abs ($y - $x) > $digits * abs $x;
      $n++; $seen{"$step $tag"} = 1;
    }
    for my $s (keys %want) { for (keys %{$want{$s}}) { die "step $s: no $_" unless $seen{"$s $_"} } }
    print "$n numbers\n"; exit ($n < 400 ? 1 : 0)' "$1/metrics.jsonl" events
}
ok "event files" same a
ok "their version, and where they begin" sh -c '[ "$(head -n 2 events)" = "version brain.Event:2
start 1" ]'
ok "texts" test "$(grep -c '^[12]0 sample text [1-9]' events)" -eq 2
ok "for node exporter" grep -q "^wabun_train_loss{run=\"a\"} $(cut -c 1-7 loss)" a.prom
ok "it has ended" grep -q '^wabun_train_running{run="a"} 0$' a.prom
ok "well formed" sh -c '! grep -vE "^# (HELP|TYPE) wabun_|^# EOF$|^wabun_train_[a-z_]+\{run=\"a\"(,phase=\"[a-z]+\")?\} [0-9.e+-]+$" a.prom && [ "$(tail -n 1 a.prom)" = "# EOF" ] && [ ! -e a.prom.tmp ]'
cp -r a t
ok "a new start" trained 1 t --set 'data.validation="tokens"' --set validation.every=5 --set train.steps=22 --set report.tensorboard=true
ok "has a file of its own" sh -c '[ $(ls t/events.* | wc -l) -eq 2 ] && perl "$1" t/events.* | grep -qx "start 21"' sh "$top_srcdir/tests/cli/events.pl"
rm -rf t/step-* t/latest
ok "from the beginning" trained 1 t --set 'data.validation="tokens"' --set validation.every=5 --set report.tensorboard=true --set sample.every=10
ok "the old ones go" test "$(ls t/events.* | wc -l)" -eq 1
ok "a file that cannot be written is a warning" trained 1 w --set 'report.openmetrics="nowhere/w.prom"'
ok "which says so" grep -q 'warning: nowhere/w.prom: cannot write' w.log
ok "none unless asked for" sh -c '! ls w/events.* 2>/dev/null'

# ---- killed, gone on, and damaged
"$WABUN" train cfg --set 'run="k"' --set train.steps=100000 --set checkpoint.every=4 >k.log 2>&1 </dev/null &
pid=$!
at_step () { [ "$(losses k 2>/dev/null | wc -l)" -ge 8 ]; }
within 100 at_step
ok "while it runs" report 0 k -o k.html
ok "it is told by its lock" page_has '<span lang="en">running</span><span lang="ja">実行中</span>' k.html
kill -9 $pid
wait $pid 2>/dev/null
ok "killed" report 0 k -o k.html
ok "is running no more, however new its files are" sh -c '! grep -q "実行中" k.html && grep -q "終了の記録なし" k.html'
ok "it goes on" trained 1 k --set train.steps=$(($(losses k | tail -n 1 | cut -d ' ' -f 1) + 20)) --set checkpoint.every=4
ok "and has ended" report 0 k -o k.html
ok "one restart" data '@{$d->{runs}[0]{marks}} == 1 && $d->{runs}[0]{marks}[0]{kind} eq "restart" && $d->{runs}[0]{marks}[0]{step} % 4 == 0' k.html
ok "saves" data '@{$d->{runs}[0]{tables}[2]{step}} > 5' k.html
cp -r a d
{
  sed -n 1,3p a/metrics.jsonl
  printf '{"step": 3, "loss": 1.\n\000\377\n[]\n\n'
  sed -n '4,$p' a/metrics.jsonl
  printf '{"step": 21, "tokens": 99, "lo'
} >d/metrics.jsonl
{ cat a/history.jsonl; printf '{"event":"spike","step":7,"skipped":true,"named":"</script><b>loud"}\n{"event":"rollback","step":9,"to":5,"why":"x"}\n{"ev'; } >d/history.jsonl
printf '</script><script>alert (1)</script>' >>d/samples.txt
ok "damaged lines" report 0 d -o d.html
ok "are counted, and the one that is being written is not" page_has ': 4 lines of metrics.jsonl could not be read and are left out' d.html
ok "the others are there" data '@{$d->{runs}[0]{tables}[0]{step}} == 20' d.html
ok "a skipped step, a rollback" data 'join (" ", map {"$_->{kind} $_->{step}"} @{$d->{runs}[0]{marks}}) eq "skipped 7 rollback 9"' d.html
ok "texts are only texts" sh -c '! grep -qF -e "<b>loud" -e "<script>alert" d.html'

# ---- several
ok "another run" trained 1 b --set train.lr=1e-3
ok "compared" report 0 a b ./k/ -o all.html
ok "their names" data 'join (" ", map {$_->{name}} @{$d->{runs}}) eq "a b k"' all.html
ok "a chart of phases for each" sh -c '[ $(grep -c "<figure class=\"chart\" id=\"phases-[012]\" data-chart=\"phases\" data-run=" all.html) -eq 3 ] && ! grep -q "id=\"phases\"" all.html'
ok "and one of losses for all" test "$(grep -c 'data-chart="loss"' all.html)" -eq 1
ok "what differs" sh -c 'grep -q "<th scope=\"row\">train.lr</th><td>0.003</td><td>0.001</td><td>0.003</td>" all.html && ! grep -q "<th scope=\"row\">train.beta1" all.html'
mkdir x && cp -r b x/a
ok "of one name" report 0 a x/a -o all.html
ok "the whole path" data '$d->{runs}[1]{name} eq "x/a"' all.html

# ---- many records: rows of several, whose extremes stay
mkdir long
perl -e 'for my $s (1 .. 5000) { printf "{\"step\": %d, \"tokens\": %d, \"loss\": %s}\n", $s, 10 * $s, $s == 4321 ? 99 : $s == 1234 ? 0.5 : 2 + $s / 1e4 }' >long/metrics.jsonl
ok "five thousand steps" report 0 long -o long.html
ok "rows" data '@{$d->{runs}[0]{tables}[0]{step}} <= 2048 && $d->{runs}[0]{tables}[0]{step}[-1] == 5000' long.html
ok "the highest" data '(sort {$b <=> $a} @{$d->{runs}[0]{curves}{loss}[0]{high}})[0] == 99' long.html
ok "the lowest" data '(sort {$a <=> $b} @{$d->{runs}[0]{curves}{loss}[0]{low}})[0] == 0.5' long.html
ok "the first ones whole" data '$d->{runs}[0]{tables}[0]{step}[255] == 256' long.html

# ---- mistakes
ok "no run" report 2
ok "no file" report 2 a
ok "says which" err_says '-o FILE.html'
ok "no directory" report 3 nowhere -o n.html
ok "no run there" report 2 x -o n.html
ok "nothing is left" test ! -e n.html
ok "another language" report 2 a -o a.html --lang fr
done_testing
