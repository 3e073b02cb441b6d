#!/bin/sh
# train.measure_products: which library multiplies is measured, remembered, and can be forced.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/model.sh"
i=0
while [ $i -lt 400 ]; do echo "line $i of a text that is long enough for a batch"; i=$((i + 1)); done >"$T_TMP/text"
"$WABUN" encode --tokenizer byte -o "$T_TMP/tok" "$T_TMP/text" >/dev/null 2>&1 || exit 99
json=$T_TMP/run/products.json
# trains STEPS [KEY = VALUE;]: what it says of products
trains () {
  cat >"$T_TMP/cfg" <<END
run = "$T_TMP/run"; seed = 1; tokenizer = "byte"; data = { train = "$T_TMP/tok"; };
model = { layers = 1; width = 512; heads = 8; context = 128; };
train = { global_batch = 8; steps = $1; warmup = 1; ${2-} }; parallel = { micro_batch = 8; }; checkpoint = { every = 1; };
END
  "$WABUN" train "$T_TMP/cfg" >"$T_TMP/out" 2>"$T_TMP/err" </dev/null || cat "$T_TMP/err"
  grep '^  products' "$T_TMP/err" "$T_TMP/out" | sed 's/^[^:]*://'
}
WABUN_GEMM=blas trains 1 >"$T_TMP/line"
ok "a library that is named multiplies all" grep -q 'products    BLAS$' "$T_TMP/line"
ok "and nothing is measured" test ! -e "$json"
trains 2 'measure_products = false;' >"$T_TMP/line"
ok "nor where the configuration says so" test ! -e "$json"
trains 3 >"$T_TMP/line"
if ! grep -q oneDNN "$T_TMP/line"; then
  echo "# oneDNN is not used on this processor"
  ok "without oneDNN there is nothing to choose" test ! -e "$json"
  done_testing
  exit 0
fi
ok "it is measured" grep -q ', measured$' "$T_TMP/line"
ok "and remembered" test "$(grep -c '"library"' "$json")" -eq 15
cp "$json" "$T_TMP/first"
trains 4 >"$T_TMP/line"
ok "a run that goes on does as before" grep -q 'as in products.json' "$T_TMP/line"
ok "and measures nothing" cmp "$json" "$T_TMP/first"
sed '/"product": "fc dx"/,/library/s/"onednn"\|"blas"/"blas"/' "$T_TMP/first" >"$json"
trains 5 >"$T_TMP/line"
ok "what the file says is done" grep -q 'BLAS for .*fc dx' "$T_TMP/line"
sed 's/"threads": /"threads": 7/' "$T_TMP/first" >"$json"
trains 6 >"$T_TMP/line"
ok "a file for other threads does not count" grep -q ', measured$' "$T_TMP/line"
echo '{' >"$json"
trains 7 >"$T_TMP/line"
ok "nor does a damaged one" grep -q ', measured$' "$T_TMP/line"
rm "$json"
mkdir "$json"
trains 8 >"$T_TMP/line"
ok "where it cannot be written the run goes on" grep -q ', measured$' "$T_TMP/line"
ok "with a warning" grep -q 'measured again' "$T_TMP/err"

done_testing
