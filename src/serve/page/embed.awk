# embed.awk - files as C strings, one array each: the page in the program.  LC_ALL=C awk -f embed.awk FILE...
FNR == 1 {
  if (NR > 1) print ";"
  name = FILENAME
  sub (/.*\//, "", name)
  gsub (/[^A-Za-z0-9]/, "_", name)
  print "static const char page_" name "[] ="
}
{
  gsub (/[\\"?]/, "\\\\&")
  print "    \"" $0 "\\n\""
}
END { print ";" }
