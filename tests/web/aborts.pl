#!/usr/bin/perl
# aborts.pl PORT PID COUNT [SEED] - requests to wabun serve (process PID on this machine), most of which are given up at
# some moment: before the request is whole, while it waits, in the middle of a stream, with a reset or without.  Part of
# aborts.sh.
#
# Sixteen at a time.  Prints memory after each tenth of them and at the end, when all is quiet again.
use strict;
use warnings;
use Errno qw(EAGAIN);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my ($port, $pid, $count, $seed) = @ARGV;
die "usage: aborts.pl PORT PID COUNT [SEED]\n" unless defined $count;
srand ($seed // 1);
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub post { my ($path, $body) = @_; return join "\r\n", "POST $path HTTP/1.1", 'Host: x', 'Connection: close', 'Content-Length: ' . length $body, '', $body }
sub field { open my $f, '<', "/proc/$pid/status" or return -1; while (<$f>) { return $1 if /^$_[0]:\s+(\d+)/ } return -1 }
sub descriptors { opendir my $d, "/proc/$pid/fd" or return -1; return scalar (grep { /^\d/ } readdir $d) }
sub connect_to { return IO::Socket::INET->new (PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 20) }
sub ask { # the whole answer
    my $s = connect_to () or return '';
    print $s $_[0];
    local $/;
    return scalar <$s> // '';
}
sub quiet { # wait until nothing is under way
    for (1 .. 300) {
        my $m = ask ("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        return 1 if $m =~ /^wabun_requests_open 0$/m && $m =~ /^wabun_texts_running 0$/m && $m =~ /^wabun_blocks_used 0$/m && field ('Threads') <= 8;
        sleep 0.1;
    }
    return 0;
}

# A request at random: [bytes, how many are sent, bytes of the answer to wait for, seconds to wait at most, reset?]
sub draw {
    my $n = 1 + int rand 16;
    my $length = rand () < 0.7 ? 4000 : 1 + int rand 30;
    my $prompt = join ',', map { int rand 256 } 1 .. 1 + int rand 30; # some are the same as others'
    $prompt = '97,98,99,97,98,99,97,98,99,97,98,99,97,98,99,97,98,99' if rand () < 0.3;
    my $stream = rand () < 0.6 ? ',"stream":true' : '';
    my $logprobs = rand () < 0.3 ? ',"logprobs":3,"echo":true' : '';
    my $bytes = rand () < 0.05 ? post ('/v1/embeddings', '{"input":["abc","de"]}')
      : post ('/v1/completions', "{\"prompt\":[$prompt],\"n\":$n,\"max_tokens\":$length,\"min_tokens\":$length$stream$logprobs}");
    my $kind = rand ();
    return [$bytes, int rand length $bytes, 0, 0, rand () < 0.5] if $kind < 0.15;
    return [$bytes, length $bytes, 1 << 30, 20, 0] if $length < 100 && $kind < 0.6;
    return [$bytes, length $bytes, int rand 20000, rand () * 0.2, rand () < 0.5];
}

my $want = ask (post ('/v1/completions', '{"prompt":"abc","seed":9,"max_tokens":50}'));
my ($text) = $want =~ /"text":"([^"]*)"/;
die "no text: $want\n" unless defined $text;
my ($done, $begun, %open, @before) = (0, 0);
while ($done < $count) {
    while (keys %open < 16 && $begun < $count) {
        my $s = connect_to () or die "nobody listens after $begun requests\n";
        my $r = draw ();
        $begun++;
        syswrite $s, substr ($r->[0], 0, $r->[1]);
        $s->blocking (0);
        $open{fileno $s} = {socket => $s, left => $r->[2], until => time + $r->[3], reset => $r->[4]};
    }
    my %ready = map { (fileno ($_) => 1) } IO::Select->new (map { $_->{socket} } values %open)->can_read (0.005);
    for my $id (keys %open) {
        my $o = $open{$id};
        if ($ready{$id}) {
            my $n = sysread $o->{socket}, my $buf, 1 << 14;
            $o->{left} = defined $n ? $n > 0 ? $o->{left} - $n : 0 : $! == EAGAIN ? $o->{left} : 0;
        }
        next if $o->{left} > 0 && time < $o->{until};
        setsockopt $o->{socket}, SOL_SOCKET, SO_LINGER, pack ('ii', 1, 0) if $o->{reset};
        close $o->{socket};
        delete $open{$id};
        $done++;
        push @before, field ('VmRSS') if $done % int ($count / 10) == 0;
    }
}
quiet () or die "not quiet at the end\n";
push @before, field ('VmRSS');
my ($again) = ask (post ('/v1/completions', '{"prompt":"abc","seed":9,"max_tokens":50}')) =~ /"text":"([^"]*)"/;
print "$count requests: memory after each tenth of them, and when all is quiet: @before kB; descriptors ", descriptors (), "\n";
print "the text of a seed is another one: $text, then ", $again // 'none', "\n" and exit 1 if ($again // '') ne $text;
