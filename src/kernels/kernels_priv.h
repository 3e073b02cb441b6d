/* What simd.c gives to kern.c and to the tests, once an instruction set.  Not installed. */
#ifndef WB_KERN_PRIV_H
#define WB_KERN_PRIV_H

#include "wabun/kernels.h"

#define WB_ATT_Q 64   /* queries in a block of attention: the lanes of its matrix products */
#define WB_ATT_K 64   /* keys in a block */
#define WB_ATT_PAD 16 /* head width and positions in work memory are rounded up to this: the widest vector */
#define WB_RSTD_EPS 1e-5f

#define WB_KERN_DECLARE(isa)                                                                                        \
    extern const wb_kern_t wb_kern_table_##isa;                                                                     \
    /* `rounds` of independent multiply-adds; *sink keeps the compiler honest; flop done */                         \
    double wb_simd_fma_##isa (int64_t rounds, float *sink);                                                         \
    /* out [n] = exp (x), as the kernels compute it: for the test of its error */                                   \
    void wb_simd_exp_##isa (float *out, const float *x, int64_t n);                                                 \
    /* out [n] = 2^(c x), c > 0 */                                                                                  \
    void wb_simd_exp2_##isa (float *out, const float *x, float c, int64_t n);                                       \
    void wb_panel_linear_##isa (float *y, const float *x, const float *A, const float *b, float *packed, int64_t m, \
                                int64_t n, int64_t k, bool add);                                                    \
    /* sum of p [n]: reads it, and hardly does more */                                                              \
    float wb_panel_read_##isa (const float *p, int64_t n)

WB_KERN_DECLARE (portable);
WB_KERN_DECLARE (avx2);
WB_KERN_DECLARE (avx512);

/* What a query gets from a block of the cache (see share_t in simd.c). */
static inline int64_t wb_att_share_floats (int64_t D) { return (D + 2 + WB_ATT_PAD - 1) / WB_ATT_PAD * WB_ATT_PAD; }

/* Floats one thread needs (see backward_begin in simd.c). */
static inline int64_t wb_att_pad (int64_t n) { return (n + WB_ATT_PAD - 1) / WB_ATT_PAD * WB_ATT_PAD; }
static inline int64_t wb_att_thread_floats (int64_t T, int64_t D) {
    const int64_t Dp = wb_att_pad (D), Tp = wb_att_pad (T);
    return 3 * Dp * WB_ATT_Q + 2 * WB_ATT_K * WB_ATT_Q + 2 * WB_ATT_Q * Dp + 4 * Tp * Dp;
}

#endif
