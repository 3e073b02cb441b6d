#!/bin/sh
# Every set of kernels (WABUN_ISA) and every library of products (WABUN_GEMM) trains and scores alike, in each precision
# and with weights of each type.  Of what this processor or build does not have, the next best is taken.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"
prepare

# within FILE OTHER MOST: as many numbers, none further off than a part of MOST
within () {
  paste "$1" "$2" | awk -v most="$3" '
    { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > worst) worst = d; if (NF != 2) bad = 1 }
    END { printf "apart by a part of %.1e at most\n", worst; exit !(NR > 0 && !bad && worst <= most) }'
}

# ---- training: losses of fp32 differ by its rounding; those of bf16 by values that are rounded the other way -----------
steps () { # PRECISION: of a run with what is set in the environment
  rm -rf forced
  "$WABUN" train cfg --set run=forced --set train.steps=6 --set "train.precision=\"$1\"" >log 2>&1 </dev/null || { cat log; return 1; }
  sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' forced/metrics.jsonl
}
steps fp32 >usual.fp32
steps bf16-anywhere >usual.bf16
ok "six steps in bf16" test "$(wc -l <usual.bf16)" -eq 6
ok "they are near those of fp32" within usual.fp32 usual.bf16 2e-3
ok "and not the same" sh -c '! cmp -s usual.fp32 usual.bf16'
for isa in portable avx2 avx512; do
  for library in blas onednn; do
    WABUN_ISA=$isa WABUN_GEMM=$library
    export WABUN_ISA WABUN_GEMM
    steps fp32 >now
    ok "$isa, $library: fp32" within usual.fp32 now 1e-5
    steps bf16-anywhere >now
    ok "$isa, $library: bf16" within usual.bf16 now 1e-3
    unset WABUN_ISA WABUN_GEMM
  done
done

# ---- scores ------------------------------------------------------------------------------------------------------------
"$WABUN" train cfg --set train.steps=6 >log 2>&1 </dev/null || exit 99
sed -n '1,12p' text | cut -c1-8 >lines
for type in fp32 bf16 int8; do
  for isa in avx512 avx2 portable; do
    WABUN_ISA=$isa "$WABUN" score --digits 9 --weights $type --model run/latest lines 2>log </dev/null | cut -f 2 >"$type.$isa"
  done
  ok "$type: avx2 scores as avx512 does" within $type.avx512 $type.avx2 1e-4
  ok "$type: so do the portable kernels" within $type.avx512 $type.portable 1e-4
  ok "$type: as fp32, nearly" within fp32.avx512 $type.portable 5e-3
done

done_testing
