/* The table of an instruction set.  Compiled once an instruction set. */
#include "config.h"

#include "kernels/vmath.h"

#define STR_(a) #a
#define STR(a) STR_ (a)

static void exp_all (float *out, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += W) vstore_some (out + i, vexp (vload_some (x + i, n - i, 0.0f)), n - i);
}

static void exp2_all (float *out, const float *x, float c, int64_t n) {
    for (int64_t i = 0; i < n; i += W) vstore_some (out + i, vexp2 (vload_some (x + i, n - i, 0.0f), c), n - i);
}

#define ENTRY(entry) .entry = KERNEL (entry),
const wb_isa_kernels_t ISA_NAME (wb_isa_kernels_) = {
    .table = {.name = STR (WB_KERN_ISA), WB_KERNELS (ENTRY)},
    .fma = ISA_NAME (wb_peak_fma_),
#if defined(__AVX512F__) && defined(WB_AVX512_UNITS)
    .bf16 = wb_peak_bf16_avx512_units,
    .int8 = wb_peak_int8_avx512_units,
#endif
    .panel_linear_plain = ISA_NAME (wb_panel_linear_plain_),
    .read = ISA_NAME (wb_peak_read_),
    .exp = exp_all,
    .exp2 = exp2_all,
};
