# events.pl FILE... - what event files of TensorBoard hold, a line each: "version TEXT", "start STEP",
# "STEP TAG VALUE" for numbers and "STEP TAG text BYTES" for texts.  Written from the formats' descriptions, sharing nothing
# with the writer: a record is its length, the masked CRC32C of that, its bytes, theirs.  Dies of anything else.
use strict;
use warnings;

my @table = map { my $x = $_; $x = $x & 1 ? $x >> 1 ^ 0x82f63b78 : $x >> 1 for 1 .. 8; $x } 0 .. 255;

sub masked {
  my $crc = 0xffffffff;
  $crc = $crc >> 8 ^ $table[($crc ^ $_) & 255] for unpack "C*", $_[0];
  $crc ^= 0xffffffff;
  return (($crc >> 15 | $crc << 17) + 0xa282ead8) & 0xffffffff;
}

# Fields of a message: [number, value], a value of four bytes as they are.
sub fields {
  my ($m) = @_;
  my $varint = sub {
    my ($x, $shift) = (0, 0);
    while (1) {
      die "a number that is cut off" if $m eq "";
      my $c = ord substr $m, 0, 1, "";
      $x |= ($c & 127) << $shift;
      return $x if $c < 128;
      $shift += 7;
    }
  };
  my $take = sub { die "a field that is cut off" if length $m < $_[0]; substr $m, 0, $_[0], "" };
  my @found;
  while ($m ne "") {
    my $key = $varint->();
    my $kind = $key & 7;
    die "kind $kind" unless $kind == 0 || $kind == 1 || $kind == 2 || $kind == 5;
    push @found, [$key >> 3, $kind == 0 ? $varint->() : $take->($kind == 1 ? 8 : $kind == 5 ? 4 : $varint->())];
  }
  return @found;
}
sub field { my ($number, @of) = @_; my ($x) = grep { $_->[0] == $number } @of; return $x ? $x->[1] : undef }

for my $file (@ARGV) {
  open my $in, "<:raw", $file or die "$file: $!";
  local $/;
  my $all = <$in>;
  for (my $at = 0; $at < length $all;) {
    my ($length, $sum) = unpack "Q<L<", substr $all, $at, 12;
    die "$file, byte $at: the length's checksum" if $sum != masked (substr $all, $at, 8);
    my $event = substr $all, $at + 12, $length;
    die "$file, byte $at: the checksum" if unpack ("L<", substr $all, $at + 12 + $length, 4) != masked ($event);
    $at += 16 + $length;
    my @event = fields ($event);
    my $step = field (2, @event) // 0;
    die "no time" unless unpack ("d<", field (1, @event)) > 1.7e9;
    print "version ", field (3, @event), "\n" if defined field (3, @event);
    print "start $step\n" if (field (7, @event) // "") eq "\x08\x01";
    for (fields (field (5, @event) // "")) {
      my @value = fields ($_->[1]);
      my $tag = field (1, @value);
      if (defined field (2, @value)) {
        printf "%d %s %.9g\n", $step, $tag, unpack "f<", field (2, @value);
      } else {
        my @tensor = fields (field (8, @value));
        die "no string of one" unless field (1, @tensor) == 7 && field (1, fields (field (2, fields (field (2, @tensor))))) == 1;
        my @metadata = fields (field (9, @value));
        die "no text" unless field (1, fields (field (1, @metadata))) eq "text" && field (4, @metadata) == 2;
        printf "%d %s text %d\n", $step, $tag, length field (8, @tensor);
      }
    }
  }
}
