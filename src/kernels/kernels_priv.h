/* kernels, inside: the list of kernels, what an instruction set offers, sizes of attention.  Not installed. */
#ifndef WABUN_KERNELS_PRIV_H
#define WABUN_KERNELS_PRIV_H

#include <string.h>

#include "wabun/kernels.h"

/* The entries of wb_kern_t.  Tables are filled by these names, never by position. */
#define WB_KERNELS(X)      \
    X (embed_forward)      \
    X (embed_backward)     \
    X (layernorm_forward)  \
    X (layernorm_backward) \
    X (bias_add)           \
    X (bias_backward)      \
    X (bias_gelu_forward)  \
    X (gelu_forward)       \
    X (gelu_backward)      \
    X (bias_add_half)      \
    X (bias_gelu_half)     \
    X (gelu_half)          \
    X (gelu_backward_half) \
    X (bias_residual)      \
    X (residual_layernorm) \
    X (attention_forward)  \
    X (attention_backward) \
    X (attention_cached)   \
    X (xent_max)           \
    X (xent_sum)           \
    X (xent_backward)      \
    X (add)                \
    X (scale)              \
    X (sumsq)              \
    X (bf16_pack)          \
    X (bf16_unpack)        \
    X (bf16_add)           \
    X (bf16_round)         \
    X (adam)               \
    X (adagrad)            \
    X (sgd)                \
    X (momentum)           \
    X (panel_linear)

#define WB_KERNELS_COUNT(entry) +1
_Static_assert(sizeof (wb_kern_t) == sizeof (char *) + (WB_KERNELS (WB_KERNELS_COUNT)) * sizeof (void (*) (void)),
               "WB_KERNELS names every entry of wb_kern_t");

/* What the sources that are compiled once an instruction set give to the others. */
typedef struct wb_isa_kernels {
    wb_kern_t table;
    /* `rounds` of independent multiply-adds; returns the flop done; *sink keeps the compiler from leaving them out */
    double (*fma) (int64_t rounds, float *sink);
    /* the same of brain floats with fp32 sums; NULL: there are no such instructions */
    double (*bf16) (int64_t rounds, float *sink);
    double (*int8) (int64_t rounds, float *sink); /* of bytes with integer sums, likewise */
    /* panel_linear without the instructions that only some processors of the set have: for tests */
    __typeof__ (((wb_kern_t *) 0)->panel_linear) panel_linear_plain;
    /* sum of p [n], as fast as memory can be read */
    float (*read) (const float *p, int64_t n);
    /* out [n] = exp (x) and 2^(c x), c > 0, as the kernels compute them: for the test of their error */
    void (*exp) (float *out, const float *x, int64_t n);
    void (*exp2) (float *out, const float *x, float c, int64_t n);
} wb_isa_kernels_t;
extern const wb_isa_kernels_t wb_isa_kernels_portable, wb_isa_kernels_avx2, wb_isa_kernels_avx512;
/* Those of an instruction set; the portable ones where this build has no others. */
const wb_isa_kernels_t *wb_isa_kernels (wb_isa isa);

/* Brain floats: the upper half of a float. */
static inline uint32_t float_bits (float f) {
    uint32_t u;
    memcpy (&u, &f, sizeof u);
    return u;
}
static inline float bits_float (uint32_t u) {
    float f;
    memcpy (&f, &u, sizeof f);
    return f;
}
/* Nearest, ties to even; a NaN stays one. */
static inline uint16_t half_of (float f) {
    const uint32_t u = float_bits (f), even = u + 0x7fff + (u >> 16 & 1);
    return (uint16_t) (((u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : even) >> 16);
}

/* Bytes of a block of a row of x that is packed for int8: numbers, their scale, -128 times their sum. */
#define WB_INT8_PACKED (WB_INT8_BLOCK + 8)

/* A [k, n]: row r, column j (pack.c). */
float wb_panels_number (wb_matrix_t A, int64_t r, int64_t j, int64_t k, int64_t n);

#define WB_RSTD_EPS 1e-5f

#define WB_ATT_Q 64   /* queries in a block of attention: the lanes of its matrix products */
#define WB_ATT_K 64   /* keys in a block */
#define WB_ATT_PAD 16 /* head width and positions in work memory are rounded up to this: the widest vector */

static inline int64_t wb_att_pad (int64_t n) { return (n + WB_ATT_PAD - 1) / WB_ATT_PAD * WB_ATT_PAD; }
/* Floats of the partial result of a query over one block of the cache (partial_t in attention_cached.c). */
static inline int64_t wb_att_partial_floats (int64_t D) { return wb_att_pad (D + 2); }
/* Floats of work space of one thread (backward_begin in attention_back.c needs the most). */
static inline int64_t wb_att_thread_floats (int64_t T, int64_t D) {
    const int64_t Dp = wb_att_pad (D), Tp = wb_att_pad (T);
    return 3 * Dp * WB_ATT_Q + 2 * WB_ATT_K * WB_ATT_Q + 2 * WB_ATT_Q * Dp + 4 * Tp * Dp;
}

#endif
