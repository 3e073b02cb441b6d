#!/usr/bin/perl
# headers.pl WABUN DIR [COUNT [SEED]] - files with bad headers, each given to wabun, which must refuse it.  Part of headers.sh.
#
# Of every format that wabun import, export and inspect read there is one small good file, which must be taken, and a
# list of what is wrong with its copies.  COUNT of them, drawn by SEED, are tried (default: all).  Each must end with its
# exit code (5), one line of error and nothing on the standard output, and leave nothing.  Prints a line for each that
# does not, and at the end how many there were and the largest time and memory of a process.
use strict;
use warnings;

my ($wabun, $dir, $count, $seed) = @ARGV;
die "usage: headers.pl WABUN DIR [COUNT [SEED]]\n" unless defined $dir && -d $dir;
srand ($seed // 0);

# ---- cases: [name, verb, path that is named, exit code, {file => content}]
my @cases;
sub add { push @cases, [@_] }

my $HUGE = 1 << 60;
sub u16 { pack 'v', $_[0] }
sub u32 { pack 'V', $_[0] }
sub u64 { pack 'Q<', $_[0] }
sub with { my ($text, $at, $new) = @_; substr ($text, $at, length $new) = $new; return $text } # bytes written over
sub json { # sorted keys; a scalar as it is
    my ($x) = @_;
    return '{' . join (',', map { "\"$_\":" . json ($x->{$_}) } sort keys %$x) . '}' if ref $x eq 'HASH';
    return '[' . join (',', map { json ($_) } @$x) . ']' if ref $x eq 'ARRAY';
    return $x;
}
my @not_json = ('', ' ', '{', '[]', 'null', '1', '"x"', '{"a":1}}', "{\"a\":\0}", "{\"\xff\":1}", '[' x 100000, '{"a":' x 5000,
    "\xff\xfe{}", '{"a":1e999}', '{"a":tru}');

# ---- the model of all of them: one layer of width 4, 8 positions, 300 ids
my %size = (n_layer => 1, n_embd => 4, n_head => 1, n_positions => 8, vocab_size => 300);
my @params = (['wte.weight', 300, 4], ['wpe.weight', 8, 4], (map { ["h.0.$_->[0]", @$_[1 .. $#$_]] } ['ln_1.weight', 4],
    ['ln_1.bias', 4], ['attn.c_attn.weight', 4, 12], ['attn.c_attn.bias', 12], ['attn.c_proj.weight', 4, 4],
    ['attn.c_proj.bias', 4], ['ln_2.weight', 4], ['ln_2.bias', 4], ['mlp.c_fc.weight', 4, 16], ['mlp.c_fc.bias', 16],
    ['mlp.c_proj.weight', 16, 4], ['mlp.c_proj.bias', 4]), ['ln_f.weight', 4], ['ln_f.bias', 4]);
sub product { my $n = 1; $n *= $_ for @_; return $n }
my $body = "\0" x (4 * eval { my $n = 0; $n += product (@$_[1 .. $#$_]) for @params; $n });
my $config = json {%size, model_type => '"gpt2"'};

# ---- safetensors
sub st_entries {
    my ($at, %e) = (0);
    for (@params) {
        my ($name, @shape) = @$_;
        my $n = 4 * product (@shape);
        $e{$name} = {dtype => '"F32"', shape => [@shape], data_offsets => [$at, $at + $n]};
        $at += $n;
    }
    return \%e;
}
sub st_text { my ($header, $n) = @_; return u64 ($n // length $header) . $header . $body }
sub st { my ($what, $file, $code) = @_; add ("safetensors $what", 'import', '', $code // 5, {'config.json' => $config, 'model.safetensors' => $file}) }
st ('good', st_text (json st_entries ()), 0);
my $header = json st_entries ();
st ("of $_ bytes", substr st_text ($header), 0, $_) for 0, 1, 7, 8, 9, 100, length ($header) + 7, length ($header) + 9;
st ("header of $_ bytes", st_text ($header, $_)) for 0, 1, length ($header) - 1, length ($header) + 1, length ($body) + length ($header), 1 << 31, 1 << 40,
    $HUGE, 1 << 62, 1 << 63, ~0, ~0 - 7;
st ('header ' . substr ($_, 0, 12), st_text ($_)) for @not_json, '{}', '{"__metadata__":{}}', substr ($header, 0, -1) . ',"wte.weight":1}';
for my $name ('wte.weight', 'h.0.attn.c_attn.weight', 'ln_f.bias') {
    my $change = sub { my ($what, $edit) = @_; my $e = st_entries (); $edit->($e, $e->{$name}); st ("$name: $what", st_text (json $e)) };
    $change->('missing', sub { delete $_[0]{$name} });
    for my $key ('dtype', 'shape', 'data_offsets') {
        $change->("no $key", sub { delete $_[1]{$key} });
        $change->("$key $_->[0]", sub { $_[1]{$key} = $_->[1] }) for ['null', 'null'], ['1', 1], ['text', '"x"'], ['object', {}];
    }
    $change->("entry $_", sub { $_[0]{$name} = $_ }) for 'null', '1', '"x"', '[]', 'true';
    $change->("dtype $_", sub { $_[1]{dtype} = "\"$_\"" }) for '', 'F64', 'I64', 'F128', 'x' x 5000;
    $change->('shape ' . json ($_), sub { $_[1]{shape} = $_ }) for [], [-4], [1.5], ['"4"'], [1 << 40, 1 << 40], ['4611686018427387904', 4],
        ['9223372036854775808'], [0], [1, 1, 1, 1, 1, 1, 1, 1, 1], [[4]];
    $change->('offsets ' . json ($_), sub { $_[1]{data_offsets} = $_ }) for [], [0], [0, 1, 2], [-16, 0], [16, 0], [0, 1 << 62],
        ['9223372036854775807', '9223372036854775807'], ['18446744073709551615', 0], [0.5, 16], [0, 20], [1 << 40, (1 << 40) + 16];
}

# ---- config.json
sub conf { my ($what, $text, $code) = @_; add ("config $what", 'import', '', $code // 5, {'config.json' => $text, 'model.safetensors' => st_text ($header)}) }
conf (substr ($_, 0, 12), $_) for @not_json;
for my $key (sort keys %size) {
    my %less = %size;
    delete $less{$key};
    conf ("no $key", json {%less});
    conf ("$key $_", json {%size, $key => $_}) for 0, -1, '1.5', '"4"', 'null', '[]', '{}', 1 << 40, '9223372036854775807', '1e300', '99999999999999999999';
}
conf ("model_type $_", json {%size, model_type => $_}) for '"llama"', '1', '"' . 'x' x 5000 . '"';
conf ("$_->[0] $_->[1]", json {%size, $_->[0] => $_->[1]}) for ['n_inner', 17], ['n_inner', -1], ['layer_norm_epsilon', 1], ['activation_function', '"relu"'],
    ['tie_word_embeddings', 'false'], ['scale_attn_by_inverse_layer_idx', 'true'], ['n_head', 3], ['n_layer', 2], ['vocab_size', 299], ['n_positions', 9];

# ---- index files
for my $kind (['safetensors', 'model.safetensors.index.json', 'model-1.safetensors', st_text ($header)], ['torch', 'pytorch_model.bin.index.json', 'model-1.bin', 'PK']) {
    my ($format, $index, $part, $content) = @$kind;
    my %map = map { ($_->[0] => "\"$part\"") } @params;
    my $put = sub { my ($what, $text, $code) = @_; add ("$format index $what", 'import', '', $code // 5, {'config.json' => $config, $index => $text, $part => $content}) };
    $put->('good', json ({weight_map => \%map}), 0) if $format eq 'safetensors';
    $put->(substr ($_, 0, 12), $_) for @not_json;
    $put->('weight_map ' . json ($_), json {weight_map => $_}) for 'null', '1', '"x"', [], {};
    $put->("a file $_", json {weight_map => {%map, 'wpe.weight' => $_}}) for 'null', '1', '[]', '"../x"', '"/etc/passwd"', '"a/b"', '"x\\u0000y"';
    $put->('a file that is not there', json ({weight_map => {%map, 'wpe.weight' => '"model-2"'}}), 3) if $format eq 'safetensors';
}

# ---- GGUF: values as [type, bytes]
sub gs { u64 (length $_[0]) . $_[0] }
my %meta = ('general.architecture' => [8, gs 'gpt2'], 'gpt2.context_length' => [4, u32 8], 'gpt2.embedding_length' => [4, u32 4], 'gpt2.block_count' => [4, u32 1],
    'gpt2.attention.head_count' => [4, u32 1], 'gpt2.feed_forward_length' => [4, u32 16]);
my %gguf_name = ('wte.weight' => 'token_embd.weight', 'wpe.weight' => 'position_embd.weight', 'ln_f.weight' => 'output_norm.weight', 'ln_f.bias' => 'output_norm.bias');
my %inner = ('ln_1' => 'attn_norm', 'attn.c_attn' => 'attn_qkv', 'attn.c_proj' => 'attn_output', 'ln_2' => 'ffn_norm', 'mlp.c_fc' => 'ffn_up', 'mlp.c_proj' => 'ffn_down');
sub gguf_tensors {
    my ($at, @t) = (0);
    for (@params) {
        my ($name, @shape) = @$_;
        my $theirs = $gguf_name{$name} // do { my ($mid, $end) = $name =~ /^h\.0\.(.*)\.(\w+)$/; "blk.0.$inner{$mid}.$end" };
        @shape = reverse @shape unless $name =~ /^h\.0\.(attn|mlp)/;
        push @t, {name => gs ($theirs), ndim => scalar @shape, shape => [@shape], type => 0, at => $at};
        $at += (4 * product (@shape) + 31) & ~31;
    }
    return @t;
}
sub gguf {
    my ($meta, $tensors, %o) = @_;
    my $text = 'GGUF' . u32 ($o{version} // 3) . u64 ($o{tensors} // scalar @$tensors) . u64 ($o{keys} // scalar keys %$meta);
    $text .= gs ($_) . u32 ($meta->{$_}[0]) . $meta->{$_}[1] for sort keys %$meta;
    $text .= ($o{more} // '');
    $text .= $_->{name} . u32 ($_->{ndim}) . join ('', map { u64 ($_) } @{$_->{shape}}) . u32 ($_->{type}) . u64 ($_->{at}) for @$tensors;
    return $text . "\0" x (-length ($text) & 31) . "\0" x ($tensors->[-1]{at} < 1 << 20 ? $tensors->[-1]{at} + 64 : 64);
}
sub gg { my ($what, $text, $code) = @_; add ("gguf $what", 'import', 'x.gguf', $code // 5, {'x.gguf' => $text}) }
my @tensors = gguf_tensors ();
my $gguf = gguf (\%meta, \@tensors);
gg ('good', $gguf, 0);
gg ("of $_ bytes", substr $gguf, 0, $_) for 4, 7, 8, 12, 16, 20, 24, 28, 40, 44, 48, 60, map { 64 + int rand (length ($gguf) - 200) } 1 .. 20;
gg ("version $_", gguf (\%meta, \@tensors, version => $_)) for 0, 1, 4, 1 << 24, (1 << 32) - 1;
for my $what ('tensors', 'keys') {
    gg ("$what $_", gguf (\%meta, \@tensors, $what => $_)) for 0, 1, 17, 100, 1 << 31, 1 << 40, $HUGE, 1 << 63, ~0;
}
for my $key (grep { $_ ne 'general.architecture' } sort keys %meta) {
    my %less = %meta;
    delete $less{$key};
    gg ("no $key", gguf (\%less, \@tensors));
    gg ("$key: $_->[0]", gguf ({%meta, $key => [@$_[1, 2]]}, \@tensors)) for ['0', 4, u32 0], ['-1', 5, u32 0xffffffff], ['2^31', 4, u32 1 << 31], ['2^60', 10, u64 $HUGE],
        ['2^63', 10, u64 1 << 63], ['text', 8, gs '4'], ['real', 6, pack ('f<', 4)], ['yes', 7, "\1"];
}
gg ("architecture $_->[0]", gguf ({%meta, 'general.architecture' => [@$_[1, 2]]}, \@tensors)) for ['llama', 8, gs 'llama'], ['nothing', 8, gs ''], ['1', 4, u32 1], ['long', 8, gs 'x' x 10000];
gg ("a value: $_->[0]", gguf ({%meta, 'a' => [@$_[1, 2]]}, \@tensors)) for ['type 13', 13, u32 0], ['type 2^32-1', 0xffffffff, u32 0], ['text of 2^60', 8, u64 $HUGE], ['text of 2^64-1', 8, u64 ~0],
    ['array of arrays', 9, u32 (9) . u64 1], ['array of type 99', 9, u32 (99) . u64 1], ['array of 2^60', 9, u32 (4) . u64 $HUGE], ['array of 2^64-1', 9, u32 (0) . u64 ~0],
    ['array of 2^60 texts', 9, u32 (8) . u64 $HUGE], ['array of a text of 2^60', 9, u32 (8) . u64 (1) . u64 $HUGE];
gg ("a key of $_ bytes", gguf (\%meta, \@tensors, keys => 7, more => u64 ($_) . 'x' x 64)) for 1 << 31, $HUGE, ~0;
gg ('a key that is not UTF-8', gguf (\%meta, \@tensors, keys => 7, more => gs ("\xff\xfe") . u32 (4) . u32 0));
gg ("alignment $_->[0]", gguf ({%meta, 'general.alignment' => [@$_[1, 2]]}, \@tensors)) for ['0', 4, u32 0], ['3', 4, u32 3], ['-32', 5, u32 -32 & 0xffffffff], ['2^31', 4, u32 1 << 31], ['2^60', 10, u64 $HUGE], ['text', 8, gs '32'];
gg ('epsilon', gguf ({%meta, 'gpt2.attention.layer_norm_epsilon' => [6, pack 'f<', 1]}, \@tensors));
for my $i (0, 4, $#tensors) {
    my $change = sub { my ($what, %new) = @_; my @t = map { {%$_} } gguf_tensors (); %{$t[$i]} = (%{$t[$i]}, %new); gg ("tensor $i: $what", gguf (\%meta, \@t)) };
    $change->("ndim $_", ndim => $_) for 0, 5, (1 << 32) - 1;
    $change->('shape ' . json ($_), ndim => scalar @$_, shape => $_) for [0], [1], [1 << 63], [1 << 40, 1 << 40], [~0, ~0, ~0, ~0], [4, 4, 4], [1 << 31, 2];
    $change->("type $_", type => $_) for 2, 12, 28, 99, (1 << 32) - 1;
    $change->("offset $_", at => $_) for 1, 16, 1 << 40, $HUGE, 1 << 63, ~0, ~0 - 31;
    $change->('another name', name => gs 'x');
    $change->("a name of $_ bytes", name => u64 $_) for $HUGE, ~0;
}

# ---- zip files, stored
sub crc { # of zip, or with 0x82f63b78 CRC32C
    my ($text, $poly, $crc) = ($_[0], $_[1] // 0xedb88320, 0xffffffff);
    for (unpack 'C*', $text) { $crc ^= $_; $crc = $crc & 1 ? $crc >> 1 ^ $poly : $crc >> 1 for 1 .. 8 }
    return $crc ^ 0xffffffff;
}
sub zip { # of [name, content, changes]; options of the end
    my ($entries, %o) = @_;
    my ($file, $central) = ('', '');
    for (@$entries) {
        my ($name, $text, %c) = @$_;
        my $same = join '', u16 ($c{flags} // 0), u16 ($c{method} // 0), u32 (0), u32 ($c{crc} // crc ($text)), u32 ($c{packed} // length $text), u32 ($c{bytes} // length $text);
        $central .= ($c{sign} // "PK\1\2") . u16 (20) . u16 (20) . $same . u16 ($c{name} // length $name) . u16 (length ($c{extra} // '')) . u16 (0) . u16 (0) . u16 (0) . u32 (0) .
            u32 ($c{local} // length $file) . $name . ($c{extra} // '');
        $file .= ($c{local_sign} // "PK\3\4") . u16 (20) . $same . u16 ($c{local_name} // length $name) . u16 (0) . $name . $text;
    }
    my $at = length $file;
    return $file . $central . ($o{before} // '') . ($o{sign} // "PK\5\6") . u32 (0) . u16 ($o{entries} // scalar @$entries) . u16 ($o{entries} // scalar @$entries) .
        u32 ($o{bytes} // length $central) . u32 ($o{at} // $at) . u16 ($o{comment} // 0);
}
my @bad_entry = ([method => 8], [method => 99], [flags => 1], [crc => 1], [packed => 1], [bytes => 1], [packed => 0xfffffffe, bytes => 0xfffffffe], [packed => 0xffffffff, bytes => 0xffffffff],
    [local => 0x7fffffff], [local => 5], [local_sign => 'PKxx'], [local_name => 0xffff], [sign => 'PKxx'], [name => 0xffff], [name => 600],
    [bytes => 0xffffffff, packed => 0xffffffff, extra => u16 (1) . u16 (16) . u64 ($HUGE) . u64 $HUGE], [local => 0xffffffff, extra => u16 (1) . u16 (8) . u64 1 << 62],
    [bytes => 0xffffffff, extra => u16 (1) . u16 (8) . u64 ~0], [bytes => 0xffffffff, extra => u16 (1) . u16 (2) . 'xx']);
my @bad_end = ([entries => 0xffff], [bytes => 0xffffffff], [at => 0xffffffff], [at => 1], [sign => 'PKxx'], [comment => 99], [before => "PK\6\6" . "\0" x 52 . "PK\6\7" . u32 (0) . u64 ($HUGE) . u32 1],
    [before => "PK\6\6" . u64 (44) . "\0" x 12 . u64 (~0) x 4 . "PK\6\7" . u32 (0) . u64 (0) . u32 1]);
sub words { join ' ', map { ref $_ ? 'text' : length $_ > 20 ? 'text' : $_ =~ /^[\w.-]*$/ ? $_ : 'text' } @_ }

# ---- npz
sub npy { my ($dict, $data, $head, $n) = @_; return ($head // "\x93NUMPY\1\0") . u16 ($n // length $dict) . $dict . $data }
sub nz { my ($what, $text, $code) = @_; add ("npz $what", 'import', 'x.npz', $code // 5, {'x.npz' => $text}) }
my ($dict, $ids) = ("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }\n", pack 'V3', 1, 2, 3);
my $npz = zip ([['arr_0.npy', npy ($dict, $ids)]]);
nz ('good', $npz, 0);
nz ("of $_ bytes", substr $npz, 0, $_) for 4, 30, 45, 60, 100, length ($npz) - 30, length ($npz) - 22, length ($npz) - 1;
nz ('entry ' . words (@$_), zip ([['arr_0.npy', npy ($dict, $ids), @$_]])) for @bad_entry;
nz ('end ' . words (@$_), zip ([['arr_0.npy', npy ($dict, $ids)]], @$_)) for @bad_end;
nz ('head ' . unpack ('H*', $_), zip ([['arr_0.npy', npy ($dict, $ids, $_)]])) for "\x93NUMPX\1\0", "\x93NUMPY\0\0", "\x93NUMPY\4\0", "\x93NUMPY\2\0", '';
nz ("header of $_", zip ([['arr_0.npy', npy ($dict, $ids, undef, $_)]])) for 0, 5, 0x3fff, 0x4000, 0xffff;
for my $edit (["'<i4'", "'<f4'"], ["'<i4'", "'|O'"], ["'<i4'", "'<i3'"], ["'<i4'", "'|S10'"], ["'<i4'", "4"], ["'<i4'", "'<i8'"], ["'<i4'", "''"], ['descr', 'desc'], ['False', 'True'],
    ['fortran_order', 'order'], ['shape', 'shap'], ['(3,)', '(4,)'], ['(3,)', '(2,)'], ['(3,)', '3'], ['(3,)', '(3'], ['(3,)', '(-3,)'], ['(3,)', '(1.5,)'], ['(3,)', '(x,)'],
    ['(3,)', '(' . 2**62 . ',)'], ['(3,)', '(1099511627776, 1099511627776)'], ['(3,)', '(' . '9' x 40 . ',)'], ['(3,)', '(' . '9,' x 4000 . '3)']) {
    (my $d = $dict) =~ s/\Q$edit->[0]\E/$edit->[1]/;
    nz (substr ("$edit->[0] as $edit->[1]", 0, 40), zip ([['arr_0.npy', npy ($d, $ids)]]));
}
nz ('an id of -1', zip ([['arr_0.npy', npy ($dict, pack 'V3', 1, 0xffffffff, 3)]]));
(my $wide = $dict) =~ s/<i4/<u8/;
nz ('an id of 2^40', zip ([['arr_0.npy', npy ($wide, pack 'Q<3', 1, 1 << 40, 3)]]));

# ---- PyTorch
sub text { 'X' . u32 (length $_[0]) . $_[0] }
sub int4 { 'J' . pack 'l<', $_[0] }
my $ordered = "ccollections\nOrderedDict\n)R";
sub tensor {
    my ($i, %o) = @_;
    my ($name, @shape) = @{$params[$i]};
    my @stride = @{$o{stride} // [@shape == 2 ? ($shape[1], 1) : 1]};
    return text ($o{name} // $name) . "ctorch._utils\n_rebuild_tensor_v2\n((" . text ('storage') . ($o{kind} // "ctorch\nFloatStorage\n") . text ($o{key} // $i) . text ('cpu') .
        ($o{numbers} // int4 product (@shape)) . 'tQ' . ($o{at} // "K\0") . '(' . join ('', map { int4 ($_) } @{$o{shape} // \@shape}) . 't(' . join ('', map { int4 ($_) } @stride) . "t\x89${ordered}tR";
}
sub pickle { my ($change, %o) = @_; return "\x80\2${ordered}q\0(" . join ('', map { tensor ($_, $_ == ($change // -1) ? %o : ()) } 0 .. $#params) . 'u.' }
my @numbers = map { my ($name, @shape) = @{$params[$_]}; ["archive/data/$_", "\0" x (4 * product (@shape))] } 0 .. $#params;
sub to { my ($what, $text, $code) = @_; add ("torch $what", 'import', '', $code // 5, {'config.json' => $config, 'pytorch_model.bin' => $text}) }
sub to_pickle { my ($what, $text, $code) = @_; to ("pickle $what", zip ([['archive/data.pkl', $text], @numbers]), $code) }
to_pickle ('good', pickle (), 0);
my $good = pickle ();
to_pickle ("of $_ bytes", substr $good, 0, $_) for 0, 1, 2, 10, 40, map { 41 + int rand (length ($good) - 60) } 1 .. 8;
to_pickle ('byte ' . ($_ % 400) . ' another', with ($good, $_ % 400, "\xee")) for 3, 34, 36, 60, 61;
to_pickle ($_->[0], "\x80\2$_->[1]") for ['os.system', "cos\nsystem\n" . text ('true') . "\x85R."], ['eval', "cbuiltins\neval\n)R."], ['exec by name', text ('os') . text ('system') . "\x93)R."],
    ['torch.load', "ctorch\nload\n)R."], ['a class by i', "(iposix\nsystem\n."], ['a name without end', '(c'], ['a text of 2^31', "X\xff\xff\xff\x7f"], ['memo 2^32', "j\xff\xff\xff\xff"],
    ['memo put 2^32', "Nr\xff\xff\xff\xff"], ['marks missing', 'tttt'], ['an empty stack', "\x87"], ['a call of nothing', 'NNR'], ['no dict', 'K\1.'], ['nothing', '.'], ['two', '}}.'],
    ['a number of 9 bytes', "\x8a\x09" . '1' x 9], ['a number of 2^31 bytes', "\x8b\xff\xff\xff\x7f"], ['a million marks', '(' x 1000000], ['nested tuples', 'N' . "\x85" x 1000000 . '.'],
    ['a build', "${ordered}}b"], ['unknown', 'i'], ['ext', "\x82\1."], ['persistent by line', "Pabc\n."];
to_pickle ("protocol $_", with ($good, 1, chr $_)) for 0, 1, 4, 5, 255;
for my $i (0, 4, $#params) {
    to_pickle ("tensor $i: $_->[0]", pickle ($i, @$_[1, 2])) for ['shape of -4', shape => [-4, 4]], ['no shape', shape => []], ['a large shape', shape => [0x7fffffff, 0x7fffffff]],
        ['stride -1', stride => [-1, 1]], ['a large stride', stride => [0x7fffffff, 0x7fffffff]], ['numbers -1', numbers => int4 -1], ['numbers 2^62', numbers => "\x8a\x08" . u64 1 << 62],
        ['numbers a text', numbers => text 'x'], ['begins at 2^62', at => "\x8a\x08" . u64 1 << 62], ['begins at -1', at => int4 -1], ['another storage', key => 'x'], ['a long key', key => 'x' x 3000],
        ['of integers', kind => "ctorch\nLongStorage\n"], ['of a class', kind => "cos\nsystem\n"], ['another name', name => 'x'];
    my @less = grep { $_->[0] ne "archive/data/$i" } @numbers;
    to ("without data/$i", zip ([['archive/data.pkl', $good], @less]));
    to ("data/$i cut", zip ([['archive/data.pkl', $good], @less, ["archive/data/$i", 'xy']]));
}
to ('entry ' . words (@$_), zip ([['archive/data.pkl', $good, @$_], @numbers])) for grep { $_->[0] ne 'local_name' } @bad_entry;
to ('end ' . words (@$_), zip ([['archive/data.pkl', $good], @numbers], @$_)) for @bad_end;
to ('no data.pkl', zip (\@numbers));
to ('big-endian', zip ([['archive/byteorder', 'big'], ['archive/data.pkl', $good], @numbers]));
to ('not a zip file', $_) for '', "\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", 'PK', "PK\5\6" . "\0" x 18;

# ---- TensorFlow
sub varint { my ($x) = @_; my $out = ''; while ($x > 127) { $out .= chr ($x & 127 | 128); $x >>= 7 } return $out . chr $x }
sub field { my ($n, $x) = @_; return varint ($n << 3) . varint ($x) }
sub bytes { my ($n, $x) = @_; return varint ($n << 3 | 2) . varint (length $x) . $x }
sub mask { my ($crc) = @_; return (($crc >> 15 | $crc << 17 & 0xffffffff) + 0xa282ead8) & 0xffffffff }
sub block { my ($text, $kind, $crc) = @_; $kind = chr ($kind // 0); return $text . $kind . u32 ($crc // mask crc ($text . $kind, 0x82f63b78)) }
sub entries { return join ('', map { varint (0) . varint (length $_->[0]) . varint (length $_->[1]) . $_->[0] . $_->[1] } @_) . u32 (0) . u32 1 }
sub table { # of entries, or the text of the one block of them
    my ($data, %o) = @_;
    my $text = ref $data ? entries (@$data) : $data;
    my $first = block ($text, $o{kind}, $o{crc});
    my $last = block ($o{index} // entries (['z', $o{handle} // varint (0) . varint (length $text)]));
    my $footer = varint (0) . varint (0) . ($o{place} // varint (length $first) . varint (length ($last) - 5));
    return $first . $last . $footer . "\0" x (40 - length $footer) . ($o{magic} // "\x57\xfb\x80\x8b\x24\x75\x47\xdb");
}
my %tf_name = ('ln_1.weight' => 'ln_1/g', 'ln_1.bias' => 'ln_1/b', 'attn.c_attn.weight' => 'attn/c_attn/w', 'attn.c_attn.bias' => 'attn/c_attn/b', 'attn.c_proj.weight' => 'attn/c_proj/w',
    'attn.c_proj.bias' => 'attn/c_proj/b', 'ln_2.weight' => 'ln_2/g', 'ln_2.bias' => 'ln_2/b', 'mlp.c_fc.weight' => 'mlp/c_fc/w', 'mlp.c_fc.bias' => 'mlp/c_fc/b', 'mlp.c_proj.weight' => 'mlp/c_proj/w',
    'mlp.c_proj.bias' => 'mlp/c_proj/b', 'wte.weight' => 'wte', 'wpe.weight' => 'wpe', 'ln_f.weight' => 'ln_f/g', 'ln_f.bias' => 'ln_f/b');
my $tf_at = 0;
my %tf = map {
    my ($name, @shape) = @$_;
    my ($layer, $inner) = $name =~ /^(h\.0\.)?(.*)/;
    my $n = 4 * product (@shape);
    my %e = (1 => 1, 2 => join ('', map { bytes (2, field (1, $_)) } @shape), 4 => $tf_at, 5 => $n, 6 => mask crc ("\0" x $n, 0x82f63b78));
    $tf_at += $n;
    ('model/' . ($layer ? 'h0/' : '') . $tf_name{$inner} => \%e);
} @params;
sub tf_value { my ($e) = @_; return join '', map { $_ == 2 || $_ == 7 ? bytes ($_, $e->{$_}) : $_ == 6 ? varint (6 << 3 | 5) . u32 $e->{6} : field ($_, $e->{$_}) } sort keys %$e }
sub tf_entries { my ($change, %new) = @_; return (['', field (1, 1) . bytes (3, field (1, 1))], map { [$_, tf_value {%{$tf{$_}}, $_ eq ($change // '') ? %new : ()}] } sort keys %tf) }
my $hparams = json {n_vocab => 300, n_ctx => 8, n_embd => 4, n_head => 1, n_layer => 1};
sub tf { my ($what, $index, $code, %o) = @_; add ("tf $what", 'import', '', $code // 5, {'hparams.json' => $o{hparams} // $hparams, 'm.index' => $index, 'm.data-00000-of-00001' => $o{data} // $body}) }
my $table = table ([tf_entries ()]);
tf ('good', $table, 0);
tf ("of $_ bytes", substr $table, 0, $_) for 0, 1, 47, 48, 100, length ($table) - 48, length ($table) - 8, length ($table) - 1;
tf ("$_->[0]", table ([tf_entries ()], @$_[1, 2])) for ['block of kind 9', kind => 9], ['block said to be snappy', kind => 1], ['a wrong checksum', crc => 1], ['a wrong magic', magic => 'x' x 8],
    ['index outside', place => varint ($HUGE) . varint 10], ['index of 2^60', place => varint (0) . varint $HUGE], ['an endless number', place => "\xff" x 20], ['block outside', handle => varint ($HUGE) . varint 10],
    ['block of 2^60', handle => varint (0) . varint $HUGE], ['half a place', handle => "\xff"], ['an empty index', index => ''], ['an index of restarts', index => u32 (1 << 31)],
    ['two blocks at one place', index => entries (map { [$_, varint (0) . varint (length entries (tf_entries ()))] } 'a', 'b')];
tf ("block $_->[0]", table ($_->[1], kind => $_->[2])) for ['of nothing', '', 0], ['of 2^32 restarts', u32 (0) . u32 ((1 << 32) - 1), 0], ['shared 9', varint (9) . varint (1) . varint (0) . 'x' . u32 (0) . u32 (1), 0],
    ['key of 2^60', varint (0) . varint ($HUGE) . varint (0) . 'x' . u32 (0) . u32 (1), 0], ['value of 2^60', varint (0) . varint (1) . varint ($HUGE) . 'x' . u32 (0) . u32 (1), 0], ['half a key', "\xff" . u32 (0) . u32 (1), 0],
    ['snappy of 2^60', varint ($HUGE) . 'x', 1], ['snappy of 2^20 in 3 bytes', varint (1 << 20) . "\0x", 1], ['snappy that copies from before', varint (8) . "\1\x05", 1], ['snappy cut off', varint (8) . "\xf0", 1];
tf ('without a header', table ([grep { $_->[0] ne '' } tf_entries ()]));
tf ("header $_->[0]", table ([['', $_->[1]], grep { $_->[0] ne '' } tf_entries ()])) for ['of no shards', field (1, 0)], ['of 2^60 shards', field (1, $HUGE)], ['big-endian', field (1, 1) . field (2, 1)], ['cut off', "\x08"], ['of a group', "\x0b"];
tf ('not in order', table ([reverse tf_entries ()]));
tf ('a name twice', table ([map { ($_, $_) } tf_entries ()]));
tf ('a name of 300 bytes', table ([tf_entries (), ['x' x 300, field (1, 1)]]));
tf ('without model/wte', table ([grep { $_->[0] ne 'model/wte' } tf_entries ()]));
tf ('a layer more', table ([sort { $a->[0] cmp $b->[0] } tf_entries (), ['model/h7/x', tf_value $tf{'model/ln_f/b'}]]));
for my $name ('model/wte', 'model/h0/attn/c_attn/w', 'model/ln_f/b') {
    tf ("$name: $_->[0]", table ([tf_entries ($name, @$_[1, 2])])) for ['dtype 0', 1 => 0], ['dtype 3', 1 => 3], ['dtype 2^60', 1 => $HUGE], ['no shape', 2 => ''], ['shape of 2^60', 2 => bytes (2, field (1, $HUGE)) x 2],
        ['shape of -1', 2 => bytes (2, field (1, ~0))], ['nine dimensions', 2 => bytes (2, field (1, 1)) x 9], ['shape cut off', 2 => "\x12\x7f"], ['shard 7', 3 => 7], ['shard 2^60', 3 => $HUGE], ['offset 2^62', 4 => 1 << 62],
        ['offset 2^63', 4 => 1 << 63], ['offset past the end', 4 => length ($body)], ['size 2^62', 5 => 1 << 62], ['size 2^63', 5 => 1 << 63], ['size 3', 5 => 3], ['a wrong checksum', 6 => 1], ['slices', 7 => ''];
    tf ("$name missing", table ([grep { $_->[0] ne $name } tf_entries ()]));
}
tf ("data of $_ bytes", $table, 5, data => substr $body, 0, $_) for 0, 1, 100, length ($body) - 1;
tf ('hparams ' . substr ($_, 0, 12), $table, 5, hparams => $_) for @not_json;
for my $key ('n_ctx', 'n_embd', 'n_head', 'n_layer') {
    my %h = (n_vocab => 300, n_ctx => 8, n_embd => 4, n_head => 1, n_layer => 1);
    tf ("$key $_", $table, 5, hparams => json {%h, $key => $_}) for 0, -1, '1.5', '"4"', 'null', 1 << 40, '9223372036854775807', 7;
}

# ---- llm.c
my %padded = (0 => 384);
my $llmc_body = "\0" x (length ($body) + 84 * 16);
sub lm { my ($what, $words, $text, $code) = @_; my @w = (20240326, 3, 8, 300, 1, 1, 4, 384, (0) x 248); @w[keys %$words] = values %$words; add ("llmc $what", 'import', 'x.bin', $code // 5, {'x.bin' => pack ('l<256', @w) . $text}) }
lm ('good', {}, $llmc_body, 0);
lm ("version $_", {1 => $_}, $llmc_body) for 0, 1, 4, 5, 6, 0x7fffffff, -1;
for my $field ([2, 'positions'], [3, 'vocabulary'], [4, 'layers'], [5, 'heads'], [6, 'width'], [7, 'rows']) {
    lm ("$field->[1] $_", {$field->[0] => $_}, $llmc_body) for 0, -1, 1 << 20, 0x7fffffff, -0x80000000, $field->[0] == 3 ? 385 : 3;
}
lm ("of $_ bytes", {}, substr $llmc_body, 0, $_) for 0, 1, 1000, length ($llmc_body) - 1;
lm ('a byte more', {}, $llmc_body . 'x');
sub lk { my ($what, $words, $text, $code) = @_; my @w = (20240520, 1, 3, (0) x 253); @w[keys %$words] = values %$words; add ("llmc tokens $what", 'import', 'x.bin', $code // 5, {'x.bin' => pack ('l<256', @w) . $text}) }
lk ('good', {}, pack ('v3', 1, 2, 3), 0);
lk ("version $_", {1 => $_}, pack 'v3', 1, 2, 3) for 0, 2, 7, -1;
lk ("of $_ ids", {2 => $_}, pack 'v3', 1, 2, 3) for 0, 2, 4, -1, 0x7fffffff, -0x80000000;
lk ('an id of -1', {0 => 20240801, 1 => 7}, pack 'V3', 1, 0xffffffff, 3);
lk ('an id of 2^31-1', {0 => 20240801, 1 => 7}, pack 'V3', 1, 0x7fffffff, 3);
add ("llmc of $_->[1] bytes", 'import', 'x.bin', 5, {'x.bin' => substr pack ('l<256', $_->[0], 1, 3, (0) x 253), 0, $_->[1]}) for [20240326, 8], [20240326, 1023], [20240520, 8], [20240520, 1000];

# ---- token files
sub idx { my ($lengths, $pointers, $documents, %o) = @_; return ($o{magic} // "MMIDIDX\0\0") . u64 ($o{version} // 1) . chr ($o{dtype} // 8) . u64 ($o{n} // scalar @$lengths) . u64 ($o{d} // scalar @$documents) .
    pack ('l<*', @$lengths) . pack ('q<*', @$pointers) . pack ('q<*', @$documents) }
sub mm { my ($what, $idx, $code, $bin) = @_; add ("tokens $what", 'export', 't', $code // 5, {'t.idx' => $idx, 't.bin' => $bin // pack 'v5', 1 .. 5}) }
my @good = ([2, 3], [0, 4], [0, 1, 2]);
mm ('good', idx (@good), 0);
mm ("of $_ bytes", substr idx (@good), 0, $_) for 9, 16, 17, 33, 34, 40, 50, 60;
mm ("version $_", idx (@good, version => $_)) for 0, 2, ~0;
mm ("type $_", idx (@good, dtype => $_)) for 0, 6, 7, 9, 255;
mm ("$_->[0] $_->[1]", idx (@good, @$_)) for map { my $x = $_; map { [$x, $_] } 0, 1, 9, 1 << 31, $HUGE, 1 << 63, ~0 } 'n', 'd';
mm ("lengths @$_", idx ($_, @good[1, 2])) for [-1, 3], [2, 4], [0x7fffffff, 0x7fffffff];
mm ("pointers @$_", idx ($good[0], $_, $good[2])) for [0, -4], [0, 5], [0, 1 << 40], [1, 4], ['9223372036854775807', 0];
mm ("documents @$_", idx (@good[0, 1], $_)) for [0, 1, 3], [0, 2, 1], [1, 1, 2], [0, -1, 2], [0, 1, 1 << 60];
mm ("ids of $_ bytes", idx (@good), 5, "\1\0" x 5 x 1 && substr pack ('v5', 1 .. 5), 0, $_) for 0, 4, 9;

# ---- SentencePiece, in a model; where wabun has it
sub piece { my ($text, $type, $score) = @_; return bytes (1, bytes (1, $text) . varint (2 << 3 | 5) . pack ('f<', $score // 0) . ($type ? field (3, $type) : '')) }
my $pieces = piece ('<unk>', 2) . piece ('<s>', 3) . piece ('</s>', 3) . join '', map { piece ($_, 0, -ord $_) } 'a' .. 'z';
sub sp { my ($what, $text, $code) = @_; add ("spiece $what", 'import', '', $code // 5, {'config.json' => $config, 'model.safetensors' => st_text ($header), 'spiece.model' => $text}) }
sp ('good', $pieces, 0);
sp ("of $_ bytes", substr $pieces, 0, $_) for 0, 1, 5, 20, 60, length ($pieces) - 1;
sp ($_->[0], $_->[1]) for ['no unknown piece', piece ('</s>', 3) . piece ('a')], ['two unknown pieces', $pieces . piece ('<u>', 2)], ['a piece twice', $pieces . piece ('a')], ['an empty piece', $pieces . piece ('')],
    ['no end', piece ('<unk>', 2) . piece ('a')], ['a piece of 2^60 bytes', "\x0a" . varint ($HUGE) . 'x'], ['a byte without a number', $pieces . piece ('<0xZZ>', 6)], ['text', 'this is a text and no model'],
    ['zeros', "\0" x 100], ['a group', "\x0b" x 100], ['301 pieces', $pieces . join '', map { piece ("p$_") } 1 .. 280], ['a charsmap of rubbish', $pieces . bytes (3, bytes (2, "\xff" x 40))],
    ['a charsmap of 2^31', $pieces . bytes (3, bytes (2, u32 (1 << 31) . 'x' x 8))];

# ---- vocabularies of gpt2-japanese, in a model
my @words = ('a', 'b', (map { "<|byte$_|>" } 0 .. 255), '<SP>', '<BR>', '<TAB>', '<|emoji1|>', '<|endoftext|>');
my $emoji = json {emoji => {X => '"<|emoji1|>"'}, emoji_inv => {'<|emoji1|>' => '"X"'}};
sub ja { my ($what, $words, $emoji, $code) = @_; add ("ja-bpe $what", 'import', '', $code // 5, {'config.json' => $config, 'model.safetensors' => st_text ($header), 'ja-bpe.txt' => $words, 'emoji.json' => $emoji}) }
ja ('good', join ("\n", @words), $emoji, 0);
ja ('emoji ' . substr ($_, 0, 12), join ("\n", @words), $_) for @not_json, '{"emoji":1,"emoji_inv":{}}', '{"emoji":{},"emoji_inv":[]}', '{"emoji":{"X":1},"emoji_inv":{}}', '{}';
ja ('of nothing', '', $emoji);
ja ('without an end', join ("\n", @words[0 .. $#words - 1]), $emoji);
ja ('of 301 words', join ("\n", @words, map { "w$_" } 1 .. 60), $emoji);

# ---- run
my @drawn = @cases;
if (defined $count) { # of each kind some, the good ones always
    my @bad = grep { $_->[3] != 0 } @cases;
    for my $i (reverse 1 .. $#bad) { my $k = int rand ($i + 1); @bad[$i, $k] = @bad[$k, $i] }
    @drawn = ((grep { $_->[3] == 0 } @cases), @bad[0 .. ($count < @bad ? $count : scalar @bad) - 1]);
}
my $getrusage = {x86_64 => 98, aarch64 => 165, ppc64le => 77, riscv64 => 165}->{(split ' ', `uname -m`)[0]};
sub peak { my $b = "\0" x 256; return 0 unless defined $getrusage && syscall ($getrusage, -1, $b) == 0; return (unpack 'q<*', $b)[4] } # KB, of the largest child
sub spent { my @t = times; return $t[2] + $t[3] }
sub content { open my $f, '<:raw', $_[0] or return ''; local $/; my $x = <$f>; return $x // '' }
my ($bad, $refused, $slow, $slowest) = (0, 0, 0, '');
my $spiece = 1;
for (@drawn) {
    my ($name, $verb, $path, $want, $files) = @$_;
    next if $name =~ /^spiece / && !$spiece;
    my ($in, $out) = ("$dir/in", "$dir/out");
    system ('rm', '-rf', $in, glob "$out*");
    mkdir $in or die "$in: $!\n";
    for my $file (keys %$files) { open my $f, '>:raw', "$in/$file" or die "$file: $!\n"; print $f $files->{$file}; close $f }
    my $before = spent ();
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>', "$dir/stderr";
        alarm 120;
        exec $wabun, $verb, $path eq '' ? $in : "$in/$path", $verb eq 'export' ? ('--to', 'npz') : (), '-o', $out or exit 99;
    }
    waitpid $pid, 0;
    my ($code, $time, $told) = ($? & 127 ? 128 + ($? & 127) : $? >> 8, spent () - $before, content ("$dir/stderr"));
    if ($name eq 'spiece good' && $code == 2) { $spiece = 0; next }
    my @lines = split /\n/, $told;
    my $left = join ' ', map { s/.*\///r } glob "$out* $dir/in/*.tmp";
    my @wrong;
    die "$wabun cannot be run\n" if $code == 99;
    push @wrong, "exit code $code" if $code != $want;
    push @wrong, scalar (@lines) . ' lines' if $want != 0 && @lines != 1;
    push @wrong, 'a line of ' . length ($told) . ' bytes' if $want != 0 && length $told > 2000;
    push @wrong, 'no name of a file in it' if $want != 0 && @lines && $lines[0] !~ /\bin\b/;
    push @wrong, "left: $left" if $want != 0 && $left ne '';
    push @wrong, 'something on the standard output' if $want != 0 && -s "$dir/stdout";
    if (@wrong) { $bad++; print substr ($name, 0, 80), ': ', join (', ', @wrong), "\n", map { "    $_\n" } @lines[0 .. ($#lines < 4 ? $#lines : 4)] }
    $refused++ if $want != 0;
    ($slow, $slowest) = ($time, $name) if $time > $slow;
}
printf "%d refused, %d wrong; at most %.2f s of a processor (%s), %d MB of memory\n", $refused, $bad, $slow, $slowest, peak () / 1024;
exit ($bad > 0 ? 1 : 0);
