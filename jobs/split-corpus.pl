#!/usr/bin/perl
# split-corpus.pl TRAIN VALID FILE-OR-DIRECTORY... - documents into two .jsonl files for `wabun encode`.
#
# Documents: each .txt file, each line of a .jsonl file ({"text": ...}); directories are searched.  Every 50th
# document goes to VALID, at least one.  Fewer than 10 .txt files are cut inside: of each one the last 50th, from the
# beginning of a line on, goes to VALID.  The same input gives the same split.  Only what perl-base has is used.
use strict;
use warnings;

my $usage = "usage: split-corpus.pl TRAIN VALID FILE-OR-DIRECTORY...; documents into two .jsonl files\n";
if (@ARGV == 1 && $ARGV[0] =~ /^(?:-h|--help)$/) { print $usage; exit 0 }
if (@ARGV < 3 || $ARGV[0] =~ /^-/) { print STDERR $usage; exit 2 }
my ($train, $valid, @inputs) = @ARGV;

my @files;
my $walk;
$walk = sub {
    my ($path) = @_;
    if (-d $path) {
        opendir my $d, $path or die "$path: $!\n";
        $walk->("$path/$_") for sort grep { !/^\./ } readdir $d;
    } else {
        push @files, $path if $path =~ /\.(?:txt|jsonl)$/;
    }
};
for (@inputs) {
    die "$_: no such file or directory\n" if !-e $_;
    if (-d $_) { $walk->($_) } else { push @files, $_ }
}
die "no .txt and no .jsonl file in @inputs\n" if !@files;

# A document as a line of JSON.  The bytes stay as they are.
sub json {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/\n/\\n/g;
    $text =~ s/\t/\\t/g;
    $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return "{\"text\": \"$text\"}\n";
}

# Call f (line of JSON or undef, text or undef) for each document.
sub documents {
    my ($f) = @_;
    for my $path (@files) {
        open my $in, '<:raw', $path or die "$path: $!\n";
        if ($path =~ /\.jsonl$/) {
            while (<$in>) { $f->(/\n$/ ? $_ : "$_\n", undef) if /\S/ }
        } else {
            my $text = do { local $/; <$in> } // '';
            $f->(undef, $text) if $text =~ /\S/;
        }
    }
}

my $n = 0;
documents (sub { $n++ });
die "no document in @inputs\n" if $n == 0;

open my $to_train, '>:raw', $train or die "$train: $!\n";
open my $to_valid, '>:raw', $valid or die "$valid: $!\n";
my ($i, $every) = (0, $n < 50 ? $n : 50);
my $whole = $n >= 10 || grep { /\.jsonl$/ } @files;
documents (sub {
    my ($line, $text) = @_;
    if ($whole) {
        my $to = ++$i % $every == 0 ? $to_valid : $to_train;
        print $to $line // json ($text) or die "$train: $!\n";
        return;
    }
    my $at = index $text, "\n", int (length ($text) * 0.98);
    $at = -1 if $at == length ($text) - 1;
    print $to_train json ($at < 0 ? $text : substr ($text, 0, $at + 1)) or die "$train: $!\n";
    print $to_valid json (substr $text, $at + 1) if $at >= 0;
});
close $to_train or die "$train: $!\n";
close $to_valid or die "$valid: $!\n";
die "nothing was left for validation: give more documents, or text in lines\n" if !-s $valid;
printf "%d documents\n", $n;
