#!/usr/bin/perl
# bad_requests.pl PORT [COUNT [SEED]] - requests that are not right, each sent to wabun serve on this machine, which must
# refuse it with the right status and be there for the next one.  Part of bad_requests.sh.
#
# COUNT of them, drawn by SEED, are tried (default: all); the slow ones come last, all at once, so the server should give
# clients 2 seconds.  Meanwhile a good client asks for one text over and over, as a stream: it must be the same each
# time.  Prints a line for each request that went wrong, and at the end how many there were.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Select;
use Time::HiRes qw(time sleep);

my ($port, $count, $seed) = @ARGV;
die "usage: bad_requests.pl PORT [COUNT [SEED]]\n" unless defined $port;
srand ($seed // 1);
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { };
$| = 1;

# ---- cases: [name, status that is wanted (a regular expression; 'cut': none), bytes, ...]; more bytes follow singly
my (@cases, @slow);
sub add { push @cases, [@_] }
sub post { # PATH BODY [HEADER...]
    my ($path, $body, @headers) = @_;
    return join ("\r\n", "POST $path HTTP/1.1", 'Host: x', 'Content-Length: ' . length $body, 'Connection: close', @headers, '', $body);
}
sub get { my ($path, @headers) = @_; return join ("\r\n", "GET $path HTTP/1.1", 'Host: x', 'Connection: close', @headers, '', '') }

# Bodies that are no JSON, or not the JSON of a request.
my $c = '/v1/completions';
my %good = ($c => '"prompt":"a","max_tokens":1', '/v1/embeddings' => '"input":"a"', '/score' => '"text":"a"', '/tokenize' => '"text":"a"',
    '/detokenize' => '"tokens":[1]', '/v1/chat/completions' => '"messages":[{"role":"user","content":"a"}]');
my @broken = (['empty', ''], ['blank', " \n"], ['half', '{'], ['list', '[]'], ['text', '"x"'], ['null', 'null'], ['number', '1'],
    ['no value', '{"a":}'], ['two', '{}{}'], ['rubbish after it', '{%}x'], ['NUL in it', "{%,\"x\":\"\0\"}"], ['NUL after it', "{%}\0"],
    ['escaped NUL', '{%,"x":"\u0000"}'], ['escaped NUL name', '{%,"\u0000":1}'], ['lone high surrogate', '{%,"x":"\ud800"}'],
    ['lone low surrogate', '{%,"x":"\udc00"}'], ['surrogates reversed', '{%,"x":"\udc00\ud800"}'], ['surrogate in UTF-8', "{%,\"x\":\"\xed\xa0\x80\"}"],
    ['overlong', "{%,\"x\":\"\xc0\x80\"}"], ['beyond Unicode', "{%,\"x\":\"\xf4\x90\x80\x80\"}"], ['cut UTF-8', "{%,\"x\":\"\xe3\x81\"}"],
    ['0xff', "{%,\"x\":\"\xff\"}"], ['UTF-16', join ('', map { "$_\0" } split //, '{"prompt":"a"}')], ['twice', '{%,%}'], ['deep', '{%,"x":' . '[' x 100 . ']' x 100 . '}'],
    ['deeper', '[' x 1000000], ['deepest', '{"a":' x 100000], ['many lists', '{%,"x":[' . '[],' x 30000 . '0]}'], ['many values', '{%,"x":[' . '0,' x 600000 . '0]}'],
    ['comment', '{%/* */}'], ['quotes', q({'a':1})], ['NaN', '{%,"x":NaN}'], ['Infinity', '{%,"x":-Infinity}'], ['1e999', '{%,"x":1e999}'], ['leading zero', '{%,"x":01}'],
    ['too many digits', '{%,"x":' . '9' x 30 . '}'], ['hexadecimal', '{%,"x":0x10}'], ['control character', "{%,\"x\":\"\n\"}"], ['comma', '{%,}'], ['escape', '{%,"x":"\q"}']);
for my $path (sort keys %good) {
    for my $b (@broken) {
        (my $body = $b->[1]) =~ s/%/$good{$path}/g;
        add ("$path: $b->[0]", '400', post ($path, $body));
    }
}

# Fields of a completion that are not what they should be.
my %numbers = (temperature => [-1, 101], top_p => [-0.1, 1.1], min_p => [-0.1, 1.1], typical_p => [-1, 2], repetition_penalty => [0, 1000], frequency_penalty => [-101, 101],
    presence_penalty => [-101, 101], top_k => [-2, '4294967296'], n => [0, 129], max_tokens => [-1, 16385], min_tokens => [-1, 16385], logprobs => [-1, 21],
    seed => [1.5, '1e30'], best_of => [-1, 2], beams => [-1, 65], length_penalty => [-11, 11],
    penalty_alpha => [-0.1, 1.1], candidates => [0, 65], no_repeat_ngram => [-1, '4294967296']);
for my $name (sort keys %numbers) {
    for my $x (@{$numbers{$name}}, '"1"', '[]', '{}', 'true', '1e400', 'NaN', '99999999999999999999') {
        (my $rest = $good{$c}) =~ s/"max_tokens":1/"x":1/ if $name eq 'max_tokens';
        add ("$name $x", '400', post ($c, '{' . ($rest // $good{$c}) . ",\"$name\":$x}"));
    }
}
for my $x ('[-1]', '[257]', '[2147483648]', '[9223372036854775807]', '[1.5]', '[1,"a"]', '["a",1]', '[[1],"a",[[1]]]', '[null]', '[true]', '{}', 'true', '1', '[[]' . ',[]' x 300 . ']',
    '[[257]]', '[[1],[-1]]', '[' . '1,' x 40 . '1]', '"' . 'a' x 40 . '"', '["a",{}]', '[{}]') {
    add ("prompt " . substr ($x, 0, 20), '400', post ($c, "{\"prompt\":$x}"));
    add ("text " . substr ($x, 0, 20), '400', post ('/score', "{\"text\":$x}"));
    add ("input " . substr ($x, 0, 20), '400', post ('/v1/embeddings', "{\"input\":$x}"));
}
add ("$_->[0]", '400', post ($c, "{$good{$c},$_->[1]}"))
  for ['stop 1', '"stop":1'], ['stop empty', '"stop":""'], ['stop list', '"stop":["a",""]'], ['stop many', '"stop":[' . join (',', ('"a"') x 17) . ']'], ['stream 1', '"stream":1'],
  ['stream options', '"stream":true,"stream_options":[]'], ['usage', '"stream_options":{"include_usage":1}'], ['echo', '"echo":"yes"'], ['suffix', '"suffix":"x"'], ['bias list', '"logit_bias":[1]'],
  ['bias id', '"logit_bias":{"257":1}'], ['bias name', '"logit_bias":{"a":1}'], ['bias value', '"logit_bias":{"1":"1"}'], ['bias 1e30', '"logit_bias":{"1":1e30}'],
  ['bias -1', '"logit_bias":{"-1":1}'], ['bias many', '"logit_bias":{' . join (',', map { "\"$_\":1" } 0 .. 1023) . '}'], ['model 1', '"model":1'];
add ('too many tokens', '400', post ($c, '{"prompt":"a","max_tokens":16000,"n":100}'));
add ("detokenize $_", '400', post ('/detokenize', "{\"tokens\":$_}")) for '[257]', '[-1]', '["a"]', '"a"', '[[1]]', '{}', 'null', '[1e3]', '[9223372036854775808]';

# Paths, methods, lines and headers.
add ("path $_", '4..', get ($_))
  for '/../../etc/passwd', '/..%2f..%2fetc%2fpasswd', '/%2e%2e/%2e%2e/etc/passwd', '//etc/passwd', '/style.css/../../../etc/passwd', '/.', '/v1/models/', '/v1/models%00', '/v1//models',
  '/V1/MODELS', '/v1/models/model.safetensors', '/chat.json', '/config.json', '/\\..\\..\\x', '/%', '/%zz', '/' . 'a' x 5000, '/?../../etc/passwd/x/../' . '..', '/~root', '/%c0%ae%c0%ae/', 'file:///etc/passwd';
$cases[-4][1] = '200'; # a query changes nothing
add ("method $_", '4..|501|cut', "$_ /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for 'PUT', 'DELETE', 'TRACE', 'CONNECT', 'PATCH', 'post', 'GET', 'G' x 5000, "P\0ST", '';
add ("line $_->[0]", '4..|505|cut', $_->[1])
  for ['rubbish', "rubbish\r\n\r\n"], ['zeros', "\0" x 100 . "\r\n\r\n"], ['no version', "GET /\r\n\r\n"], ['HTTP/9.9', "GET / HTTP/9.9\r\nHost: x\r\n\r\n"], ['TLS', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . 'x' x 500 . "\r\n\r\n"],
  ['HTTP/2', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ['long', 'GET /' . 'a' x 1000000 . " HTTP/1.1\r\n\r\n"], ['no host', "GET /v1/models HTTP/1.1\r\n\r\n"], ['spaces', ' ' x 100000 . "\r\n\r\n"];
add ('a million headers', '4..|cut', "GET /v1/models HTTP/1.1\r\nHost: x\r\n" . join ('', map { "a$_: b\r\n" } 1 .. 1000000) . "\r\n");
add ('a long header', '4..|cut', get ('/v1/models', 'X: ' . 'a' x 1000000));
add ('a long name', '4..|cut', get ('/v1/models', 'a' x 100000 . ': x'));
add ('another origin', '403', get ('/v1/models', 'Origin: http://evil.example'));
add ('origin null', '403', get ('/v1/models', 'Origin: null'));
add ('origin without a host', '403', get ('/v1/models', 'Origin: http://'));
my $body = '{"prompt":"a","max_tokens":1}';
sub raw { my ($head, $b) = @_; return "POST $c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$head\r\n\r\n$b" }
add ("length $_->[0]", $_->[1], raw ("Content-Length: $_->[2]", $body))
  for ['a gigabyte', '413', '1073741824'], ['too large by one', '413', 4194305], ['2^63', '413', '9223372036854775807'], ['2^64', '4..|cut', '18446744073709551616'], ['negative', '4..|cut', '-1'], ['no number', '4..|cut', 'abc'],
  ['1e9', '4..|cut', '1e9'], ['too short', '400', 5], ['none', '400', 0];
add ('two lengths', '4..|cut', raw ("Content-Length: 5\r\nContent-Length: 29", $body));
add ('no length', '400|411', "POST $c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
add ('expect a gigabyte', '413', raw ("Content-Length: 1073741824\r\nExpect: 100-continue", ''));
add ("chunks $_->[0]", $_->[1], raw ('Transfer-Encoding: chunked', $_->[2]))
  for ['no size', '4..|cut', "\r\n$body\r\n0\r\n\r\n"], ['no number', '4..|cut', "zz\r\n$body\r\n0\r\n\r\n"], ['2^64', '4..|cut', "ffffffffffffffffff\r\n$body\r\n0\r\n\r\n"], ['negative', '4..|cut', "-5\r\n$body\r\n0\r\n\r\n"],
  ['none', '400', "0\r\n\r\n"], ['broken', '400', "5\r\n{\"pro\r\n0\r\n\r\n"], ['5 MB', '413', ("10000\r\n" . 'a' x 65536 . "\r\n") x 80 . "0\r\n\r\n"], ['40 MB', '4..|cut', ("10000\r\n" . 'a' x 65536 . "\r\n") x 640 . "0\r\n\r\n"];
add ('another encoding', '4..|501|cut', raw ("Transfer-Encoding: gzip\r\nContent-Length: 5", 'abcde'));
add ('a body of 5 MB', '413', post ($c, 'a' x 5000000));
# Several on one connection: each has its own answer, and a bad one does not spoil the good ones.
(my $open = post ('/tokenize', '{"text":"a"}')) =~ s/Connection: close\r\n//;
(my $bad = post ('/tokenize', '{"text":')) =~ s/Connection: close\r\n//;
add ('one after the other, one bad', '200 400 200 404', $open . $bad . $open . get ('/x'));
add ('100 at once', join (' ', ('200', '400') x 50, '404'), ($open . $bad) x 50 . get ('/x'));
add ('rubbish after a good one', '200( 4..)?', $open . "\0\1\2rubbish\r\n\r\n");
add ('a second request in the body', '400', post ($c, get ('/metrics')));

# Clients that are slow, or stop in the middle.
my $stream = post ($c, '{"prompt":"a","stream":true,"max_tokens":16000,"min_tokens":16000,"n":4,"logprobs":20}');
push @slow, ['silent', '', ''],
  ['slow headers', "GET /v1/models HTTP/1.1\r\nHost: x\r\n", 'a: b'], ['slow line', 'GET /', 'a'], ['slow body', raw ('Content-Length: 1000', ''), ' '],
  ['slow chunks', raw ('Transfer-Encoding: chunked', ''), "1\r\na\r\n"], ['stops in the body', raw ('Content-Length: 1000', $body), ''], ['stops in a chunk', raw ('Transfer-Encoding: chunked', "ff\r\n$body"), ''],
  ['does not read a stream', $stream, ''], ['silent after an answer', $open, ''];

# ---- one request
sub connect_to { return IO::Socket::INET->new (PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp', Timeout => 10) }

# Send bytes while reading what comes back; the answer, up to the end of the connection or $wait seconds of silence.
sub talk {
    my ($bytes, $wait) = @_;
    my ($s, $at, $got) = (connect_to (), 0, '');
    return undef unless $s;
    $s->blocking (0);
    my $r = IO::Select->new ($s);
    while (1) {
        $! = 0;
        my $w = $at < length $bytes ? $r : undef;
        my ($can_read, $can_write) = IO::Select::select ($r, $w, undef, $wait);
        next if !$can_read && $!{EINTR};
        last unless $can_read;
        if (@$can_write) {
            my $n = syswrite $s, $bytes, 1 << 16, $at;
            $at = defined $n ? $at + $n : $!{EAGAIN} ? $at : length $bytes;
        }
        next unless @$can_read;
        my $n = sysread $s, $got, 1 << 16, length $got;
        last if defined $n ? $n == 0 : !$!{EAGAIN};
    }
    return $got;
}
sub statuses { my $x = join ' ', $_[0] =~ m{HTTP/1\.[01] (?!100)(\d\d\d) }g; return $x eq '' ? 'cut' : $x }

# ---- a good client beside them
my $want_text = post ($c, '{"prompt":"ab","seed":3,"max_tokens":400,"min_tokens":400,"stream":true,"logprobs":1}');
sub text_of { my ($answer) = @_; return join '', $answer =~ /"text":"((?:[^"\\]|\\.)*)"|"token_logprobs":(\[[^\]]*\])/g }
sub stream_text { # events come in pieces that depend on the time: text and log-probabilities one after the other
    my $answer = talk ($want_text, 30) // '';
    my (@text, @logprobs);
    while ($answer =~ /"text":"((?:[^"\\]|\\.)*)","logprobs":\{.*?"token_logprobs":\[([^\]]*)\]/g) { push @text, $1; push @logprobs, $2 if $2 ne '' }
    return $answer =~ /data: \[DONE\]/ ? join ('', @text) . ' ' . join (',', @logprobs) : 'it has no end';
}
my $alone = stream_text ();
die "the good client gets no text: $alone\n" unless length $alone > 3000;
pipe (my $tell, my $told) or die;
my $parent = $$;
my $child = fork // die;
if ($child == 0) {
    my ($n, $stop) = (0, 0);
    $SIG{TERM} = sub { $stop = 1 };
    until ($stop || getppid != $parent) {
        my $text = stream_text ();
        if ($text ne $alone) { syswrite $told, "another text: " . substr ($text, 0, 60) . "\n"; exit 1 }
        $n++;
    }
    syswrite $told, "$n\n";
    exit 0;
}
close $told;

# ---- all of them
my @which = 0 .. $#cases;
if (defined $count && $count < @cases) {
    for my $i (0 .. $count - 1) { my $j = $i + int rand (@which - $i); @which[$i, $j] = @which[$j, $i] }
    $#which = $count - 1;
}
my ($wrong, $longest) = (0, 0);
sub wrong { my ($name, $text) = @_; $wrong++; print "$name: $text\n" }
for my $i (@which) {
    my ($name, $want, $bytes) = @{$cases[$i]};
    my $began = time;
    my $got = talk ($bytes, 20);
    if (!defined $got) { wrong ($name, 'nobody listens'); last }
    my $status = statuses ($got);
    $status =~ s/^(4\d\d) \1$/$1/ if $got !~ /"error"/; # libmicrohttpd 0.9.75 sends the head of its own errors twice
    wrong ($name, "status $status, not $want") unless $status =~ /^(?:$want)$/;
    wrong ($name, 'no message: ' . substr ($got, -80)) if $status =~ /^4/ && $got =~ /application\/json/ && $got !~ /"error":\{"message":"./;
    $longest = time - $began if time - $began > $longest;
}
# The slow ones: each sends another byte every fifth of a second, and has to be cut.
my @open = map { { name => $_->[0], more => $_->[2], socket => connect_to (), first => $_->[1] } } @slow;
for my $o (@open) {
    if (!$o->{socket}) { wrong ($o->{name}, 'nobody listens'); next }
    setsockopt $o->{socket}, SOL_SOCKET, SO_RCVBUF, pack ('i', 4096);
    syswrite $o->{socket}, $o->{first};
}
my $began = time;
while (time - $began < 15) {
    last unless grep { !defined $_->{cut} && $_->{name} !~ /does not read/ } @open;
    for my $o (grep { !defined $_->{cut} && $_->{socket} } @open) {
        $o->{socket}->blocking (0);
        my $gone = $o->{more} ne '' && !defined syswrite ($o->{socket}, $o->{more}) && !$!{EAGAIN};
        my $n = $o->{name} =~ /does not read/ ? 1 : sysread $o->{socket}, my $buf, 1 << 16;
        $gone ||= defined $n ? $n == 0 : !$!{EAGAIN};
        $o->{cut} = time - $began if $gone;
    }
    sleep 0.2;
}
# What does not read finds the beginning of its stream, and that it was cut: not before its request is gone, as a slow
# server takes long to fill what the system keeps for the client.  (One request may be the good client's.)
sub requests_open { return (talk (get ('/metrics'), 10) // '') =~ /^wabun_requests_open (\d+)/m ? $1 : -1 }
sleep 8 - (time - $began) if time - $began < 8;
sleep 0.5 while requests_open () > 1 && time - $began < 60;
for my $o (grep { $_->{name} =~ /does not read/ && $_->{socket} } @open) {
    my $got = '';
    $o->{socket}->blocking (1);
    alarm 20;
    1 while sysread $o->{socket}, $got, 1 << 16, length $got;
    alarm 0;
    $o->{cut} = 1 if $got !~ /\[DONE\]/ && $got !~ /0\r\n\r\n\z/;
}
wrong ($_->{name}, 'not cut') for grep { !defined $_->{cut} } @open;

kill 'TERM', $child;
my $said = <$tell> // "nothing\n";
waitpid $child, 0;
chomp $said;
if ($said !~ /^[1-9][0-9]*$/) { wrong ('the good client', $said) }
my $health = statuses (talk (get ('/health'), 10) // '');
wrong ('the server', "answers $health at the end") unless $health eq '200';
printf "%d bad requests, %d slow ones: %d wrong; the longest answer took %.1f s; %s texts beside them\n", scalar @which, scalar @slow, $wrong, $longest, $said;
exit ($wrong > 0);
