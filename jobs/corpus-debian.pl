#!/usr/bin/perl
# corpus-debian.pl OUT < LIST - Japanese text out of manual pages, HTML pages and game scenarios, a document a file.
#
# A line of LIST is KIND<TAB>NAME<TAB>FILE[<TAB>FILE2]; the text goes to OUT/NAME.txt:
#   man       a manual page (mandoc makes HTML of it; the variable MANDOC names the program)
#   html      an HTML page
#   scenario  a scenario of Battle for Wesnoth (.cfg), FILE2 is the catalogue of its translation (.mo)
#
# Kept are paragraphs that are mostly Japanese, and headings above them.  Left out are navigation, code, tables, and
# paragraphs that have been seen before (licences, forms of words): a small model would learn those by heart first.
# A line break inside a paragraph is a blank between words of Latin letters, and nothing between Japanese ones.
# Only what perl-base has is used.
use strict;
use warnings;
use utf8;

my $usage = "usage: corpus-debian.pl OUT < LIST; a line of LIST: KIND<TAB>NAME<TAB>FILE[<TAB>FILE2]\n";
if (@ARGV == 1 && $ARGV[0] =~ /^(?:-h|--help)$/) { print $usage; exit 0 }
if (@ARGV != 1 || $ARGV[0] =~ /^-/) { print STDERR $usage; exit 2 }
my $out = shift;
my $mandoc = $ENV{MANDOC} // 'mandoc';
my $least = 200;    # Japanese letters that make a document

my $wide   = qr/[\p{Han}\p{Hiragana}\p{Katakana}\x{3000}-\x{303F}\x{30FC}\x{FF00}-\x{FF65}…―]/;
my %seen;

# ---- paragraphs -----------------------------------------------------------------------------------------------------

# One paragraph on one line.
sub tidy {
    my ($text) = @_;
    $text =~ s/[\s\x{00A0}\x{200B}\x{FEFF}]+/ /g;
    $text =~ s/(?<=$wide) (?=$wide)//g;
    $text =~ s/ (?=[、。，．）」』】])//g;
    $text =~ s/(?<=[（「『【]) //g;
    $text =~ s/ ?¶//g;
    $text =~ s/\x{2010}/-/g;
    $text =~ s/^ | $//g;
    return $text;
}

# The number of Japanese letters: what is left without all others, which is faster than counting matches.
sub letters { return length ($_[0] =~ s/[^\p{Han}\p{Hiragana}\p{Katakana}ー]+//gr); }

# Is this text worth keeping?
sub japanese {
    my ($text) = @_;
    my $n = letters ($text);
    return $n >= 8 && $n >= 0.4 * length ($text =~ s/\s+//gr);
}

# [heading?, text]... -> lines.  A heading stays when a paragraph of its own follows.
sub lines {
    my @lines;
    my $heading;
    for (@_) {
        my ($is_heading, $text) = @$_;
        if ($is_heading) { $heading = $text; next }
        next if !japanese ($text) || $seen{$text}++;
        push @lines, '', $heading if defined $heading && letters ($heading) > 0;
        undef $heading;
        push @lines, $text;
    }
    shift @lines if @lines && $lines[0] eq '';
    return @lines;
}

# ---- HTML -----------------------------------------------------------------------------------------------------------

my %void = map { $_ => 1 } qw(area base br col embed hr img input link meta source track wbr);
my %block = map { $_ => 1 } qw(address article blockquote body dd div dl dt fieldset figure h1 h2 h3 h4 h5 h6 hr
  html li main ol p section table td th tr ul br caption);
my %skip = map { $_ => 1 } qw(aside button footer form head header nav noscript pre script select style svg table
  textarea);
my $skip_class = qr/\b(?:navheader|navfooter|related|sphinxsidebar|footer|toc|toctree-wrapper|headerlink|highlight\w*
  |programlisting|screen|bd-sidebar|bd-toc|prev-next-\w+|foot|head|howtoget|relatedtopics|index|bd-header\w*)\b/x;
my %named = (amp => '&', lt => '<', gt => '>', quot => '"', apos => "'", nbsp => ' ', copy => '©', hellip => '…',
  mdash => '—', ndash => '–', laquo => '«', raquo => '»', lsquo => '‘', rsquo => '’', ldquo => '“', rdquo => '”');

sub entity {
    my ($name) = @_;
    my $code = $name =~ /^#[xX]([0-9a-fA-F]{1,6})$/ ? hex $1 : $name =~ /^#([0-9]{1,7})$/ ? $1 : undef;
    return $named{$name} // " " if !defined $code;
    return $code >= 32 && $code <= 0x10FFFF && ($code < 0xD800 || $code > 0xDFFF) ? chr $code : ' ';
}

sub html {
    my ($page) = @_;
    my (@parts, @inside);    # @inside: the elements that are open in one that is skipped
    my ($text, $heading) = ('', 0);
    my $flush = sub {
        my $line = tidy ($text);
        push @parts, [$heading, $line] if $line ne '';
        $text = '';
    };
    $page =~ s/<!--.*?-->//gs;
    while ($page =~ /\G([^<]+)|\G<(\/?)([a-zA-Z][\w:-]*)([^>]*)>|\G<[^>]*>?/gc) {
        my ($run, $end, $tag, $attributes) = ($1, $2, $3, $4);
        if (defined $run) {
            next if @inside;
            $run =~ s/&(#?\w+);/entity ($1)/ge;
            $text .= $run;
            next;
        }
        next if !defined $tag;
        $tag = lc $tag;
        if (@inside) {
            if ($end) {
                my ($at) = grep { $inside[$_] eq $tag } reverse 0 .. $#inside;
                splice @inside, $at if defined $at;
            } elsif (!$void{$tag} && $attributes !~ /\/$/) {
                push @inside, $tag;
            }
            next;
        }
        my ($class) = $attributes =~ /\bclass\s*=\s*["']([^"']*)/;
        $flush->() if $block{$tag};
        if (!$end && !$void{$tag} && $attributes !~ /\/$/ && ($skip{$tag} || ($class // '') =~ $skip_class)) {
            $flush->() if $tag ne 'a' && $tag ne 'span';
            push @inside, $tag;
            next;
        }
        $heading = !$end if $tag =~ /^h[1-6]$/;
    }
    $flush->();
    return lines (@parts);
}

# ---- manual pages ---------------------------------------------------------------------------------------------------

# Sections that say who wrote the page.
my $about = qr/^(?:著者|作者|著作権|コピーライト|ライセンス|翻訳|訳者|謝辞|関連項目|バグの?報告|この文書について
  |報告|AUTHORS?|COPYRIGHT|SEE|REPORTING|COLOPHON)/x;

# The HTML of pages, by file.  mandoc takes longer to start than to write a page, so it gets many at once, or one by one if
# their heads do not tell them apart.  Of several compressed files it would unpack the first only.
my %fragment;
sub mandoc {
    if (@_ > 1 && grep { /\.gz$/ } @_) { mandoc ($_) for @_; return }
    open my $pipe, '-|', $mandoc, '-K', 'utf-8', '-T', 'html', '-O', 'fragment', @_ or die "$mandoc: $!\n";
    binmode $pipe, ':utf8';
    my $pages = do { local $/; <$pipe> } // '';
    close $pipe;
    $pages =~ s/&#x([0-9a-fA-F]+);/chr hex $1/ge;
    my @pages = @_ == 1 ? $pages : split /(?=^<table class="head">$)/m, $pages;
    if (@pages == @_) { @fragment{@_} = @pages }
    else { mandoc ($_) for @_ }
}

sub man {
    my ($file) = @_;
    my $page = delete $fragment{$file};
    return html (join '', grep { !/<h1[^>]*>(?:<a[^>]*>)?\s*$about/ } split /(?=<section class="Sh">)/, $page);
}

# ---- scenarios ------------------------------------------------------------------------------------------------------

my %catalogues;

# A GNU gettext catalogue: number of strings and places of the two tables of (length, offset) at bytes 8, 12, 16.
sub catalogue {
    my ($file) = @_;
    return $catalogues{$file} //= do {
        open my $f, '<:raw', $file or die "$file: $!\n";
        my $mo = do { local $/; <$f> };
        my $u32 = unpack ('V', $mo) == 0x950412de ? 'V' : 'N';
        my ($n, $from, $to) = unpack "x8 ${u32}3", $mo;
        my %text;
        for my $i (0 .. $n - 1) {
            my ($id, $string) = map {
                my ($length, $offset) = unpack 'x' . ($_ + 8 * $i) . "${u32}2", $mo;
                my $s = substr $mo, $offset, $length;
                utf8::decode ($s);
                $s
            } ($from, $to);
            $text{$id} = $string;
        }
        \%text;
    };
}

sub scenario {
    my ($page, $mo) = @_;
    my $text = catalogue ($mo);
    my @parts;
    while ($page =~ /(\w+)\s*=\s*_\s*"((?:[^"]|"")*)"/g) {
        my ($key, $id) = ($1, $2);
        $id =~ s/""/"/g;
        my $string = $text->{$id} // next;
        $string =~ s/<[^<>]*>//g;
        my @lines = grep { $_ ne '' } map { tidy ($_) } split /\n/, $string;
        next if !@lines;
        if ($key eq 'message' && $lines[0] !~ /^[「『（]/) {    # what somebody says
            $lines[0] = "「$lines[0]";
            $lines[-1] =~ s/。?$/」/;
        }
        push @parts, map { [0, $_] } @lines;
    }
    return lines (@parts);
}

# ---- all ------------------------------------------------------------------------------------------------------------

sub slurp {
    my ($file) = @_;
    open my $f, '<:utf8', $file or die "$file: $!\n";
    my $page = do { local $/; <$f> } // '';
    return $page;
}

my ($documents, $bytes) = (0, 0);
binmode STDIN, ':utf8';
my @list = map { chomp; [split /\t/] } <STDIN>;
my $told = time;
for my $i (0 .. $#list) {
    if (time - $told >= 10) {
        printf STDERR "corpus: %d of %d pages, %d documents\n", $i, scalar @list, $documents;
        $told = time;
    }
    my ($kind, $name, $file, $more) = @{$list[$i]};
    if ($kind eq 'man' && !defined $fragment{$file}) {
        my @next = map { $_->[2] } grep { $_->[0] eq 'man' } @list[$i .. ($i + 99 < $#list ? $i + 99 : $#list)];
        mandoc (@next);
    }
    my @lines =
        $kind eq 'man'      ? man ($file)
      : $kind eq 'html'     ? html (slurp ($file))
      : $kind eq 'scenario' ? scenario (slurp ($file), $more)
      :                       die "corpus-debian.pl: line @{[$i + 1]} names an unknown kind: $kind\n";
    my $text = join '', map { "$_\n" } @lines;
    next if letters ($text) < $least;
    utf8::encode ($text);
    open my $f, '>:raw', "$out/$name.txt" or die "$out/$name.txt: $!\n";
    print $f $text or die "$out/$name.txt: $!\n";
    close $f or die "$out/$name.txt: $!\n";
    $documents++;
    $bytes += length $text;
}
printf "%d documents, %.1f MB\n", $documents, $bytes / 1e6;
