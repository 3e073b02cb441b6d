#!/usr/bin/perl
# damage.pl SEED OLDER NEWER - do one of many kinds of damage to the checkpoint NEWER, and say which; OLDER is another one.
# Part of damage.sh.
use strict;
use warnings;

my ($seed, $older, $newer) = @ARGV;
die "usage: damage.pl SEED OLDER NEWER\n" unless defined $newer && -d $older && -d $newer;
srand ($seed * 7919 + 1);

sub content {
    my ($path) = @_;
    open my $f, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$f>;
}
sub put {
    my ($path, $text) = @_;
    open my $f, '>:raw', $path or die "$path: $!\n";
    print $f $text;
    close $f or die "$path: $!\n";
}

opendir my $d, $newer or die "$newer: $!\n";
my @files = sort grep { !/^\./ } readdir $d;
closedir $d;
my $name = $files[int rand @files];
my $path = "$newer/$name";
my $text = content ($path);
my $n = length $text;
my $kind = $seed % 10;

if ($kind == 0) {
    my $to = int rand $n;
    put ($path, substr $text, 0, $to);
    print "$name of $n bytes cut off at $to\n";
} elsif ($kind == 1 || $kind == 2) {
    my ($at, $bit) = (int rand $n, int rand 8);
    substr ($text, $at, 1) = chr (ord (substr $text, $at, 1) ^ (1 << $bit));
    put ($path, $text);
    print "bit $bit of byte $at of $name flipped\n";
} elsif ($kind == 3) {
    unlink $path or die "$path: $!\n";
    print "$name missing\n";
} elsif ($kind == 4) {
    my @differ = grep { -f "$older/$_" && content ("$older/$_") ne content ("$newer/$_") } @files;
    $name = $differ[int rand @differ];
    put ("$newer/$name", content ("$older/$name"));
    print "$name is that of the older checkpoint\n";
} elsif ($kind == 5) {
    my $other = (grep { $_ ne $name } @files)[int rand (@files - 1)];
    my $theirs = content ("$newer/$other");
    put ($path, $theirs);
    put ("$newer/$other", $text);
    print "$name and $other exchanged\n";
} elsif ($kind == 6) {
    put ("$newer/$_", content ("$older/$_")) for @files;
    print "all files are those of the older checkpoint\n";
} elsif ($kind == 7) {
    my $len = 1 + int rand ($n < 4096 ? $n : 4096);
    my $at = int rand ($n - $len + 1);
    my $part = substr $text, $at, $len;
    my $new = $part =~ /[^\0]/ ? "\0" x $len : "\1" x $len;
    substr ($text, $at, $len) = $new;
    put ($path, $text);
    print "$len bytes from $at of $name overwritten\n";
} elsif ($kind == 8) {
    unlink $path or die "$path: $!\n";
    if (rand () < 0.5) { symlink 'nowhere', $path or die; print "$name is a link that leads nowhere\n" }
    else { mkdir $path or die; print "$name is a directory\n" }
} else {
    $path = "$newer/checksums.json";
    $text = content ($path);
    my @named = $text =~ /"([^"]+)": \{\s*"bytes"/g;
    my $lost = $named[int rand @named];
    $text =~ s/,?\s*"\Q$lost\E": \{.*?\n  \}//s;
    $text =~ s/("files": \{),/$1/;
    put ($path, $text);
    print "the entry of $lost is gone from checksums.json\n";
}
