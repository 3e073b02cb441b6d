#!/usr/bin/perl
# links.pl DIR - every link of the .md files below DIR: the file exists, below DIR or a link of it, and has the heading
# that a #anchor names.  A broken one is printed; the exit code is 1.  Links with a scheme (https:) are not followed.
use strict;
use warnings;
use utf8;
use File::Basename;
use File::Find;
binmode STDOUT, ':utf8';

my $root = shift // die "usage: links.pl DIR\n";

# The lines of a page outside of code.
sub text {
    my ($file) = @_;
    open my $f, '<:utf8', $file or die "$file: $!\n";
    my ($fence, @lines) = (0);
    while (<$f>) {
        if (/^\s*```/) { $fence = !$fence; next }
        next if $fence || /^    /;
        push @lines, $_;
    }
    return @lines;
}

# The anchors as GitHub makes them: small letters, no punctuation, - for a blank, -1 ... for a repeated heading.
sub anchors {
    my ($file) = @_;
    my (%anchor, %n);
    for (text ($file)) {
        $anchor{$1} = 1 while /<a (?:id|name)="([^"]+)"/g;
        my ($name) = /^#+\s+(.*?)\s*#*$/ or next;
        $name =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
        $name = lc $name;
        $name =~ s/[^\w\- ]//g;
        $name =~ s/ /-/g;
        $anchor{$n{$name}++ ? "$name-" . ($n{$name} - 1) : $name} = 1;
    }
    return \%anchor;
}

my @pages;
find ({wanted => sub { push @pages, $File::Find::name if /\.md$/ }, follow => 1, follow_skip => 2}, $root);
my ($links, $bad) = (0, 0);
for my $page (sort @pages) {
    my $text = join '', text ($page);
    $text =~ s/`[^`\n]*`//g;
    while ($text =~ /\]\(\s*<?([^)\s>]+)>?[^)]*\)|\b(?:src|href)="([^"]+)"/g) {
        my $link = $1 // $2;
        next if $link =~ /^[a-z][a-z0-9+.-]*:/i;
        $links++;
        my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
        my $file = $path eq '' ? $page : dirname ($page) . "/$path";
        my $why = !-e $file ? 'no such file' : defined $anchor && $file =~ /\.md$/ && !anchors ($file)->{$anchor} ? 'no such heading' : next;
        print "$page: $link: $why\n";
        $bad++;
    }
}
printf "%d pages, %d links, %d of them broken\n", scalar @pages, $links, $bad;
exit ($bad > 0 || $links == 0);
