/* The products of one block of queries and one block of keys.  Compiled once an instruction set.
 *
 * No BLAS here: the blocks are smaller than what a library is made for, and are multiplied inside parallel regions.
 *
 * Not here: softmax, and who takes which block (attention.c, attention_back.c, attention_cached.c). */
#include "config.h"

#include <string.h>

#include "kernels/attention.h"

#if W == 16
#define NR 4 /* vectors across the register block of the matrix product */
#else
#define NR 2
#endif
#define MR 6 /* rows of the register block: MR NR sums + NR + 1 vectors fit in the registers */

/* ---- the matrix product ------------------------------------------------------------------------------------------ */

/* The register block: C [rows, vecs W] = (add ? C fade : 0) + A B over k; A's element (r, j) is a [r ars + j acs], B's
 * row j is contiguous, fade [vecs W] is a factor of each column (NULL: 1).  rows and vecs are constants where it is
 * called. */
INLINE void block_product (float *restrict c, int64_t ldc, const float *restrict a, int64_t ars, int64_t acs,
                           const float *restrict b, int64_t ldb, int64_t k, bool add, const float *fade, const int rows,
                           const int vecs) {
    vf s[MR][NR];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) s[r][v] = (vf){0};
    for (int64_t j = 0; j < k; j++) {
        vf bv[NR];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) bv[v] = vload (b + j * ldb + v * W);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vf ar = vset (a[r * ars + j * acs]);
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) s[r][v] += ar * bv[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            float *p = c + r * ldc + v * W;
            if (fade != NULL)
                vstore (p, vload (p) * vload (fade + v * W) + s[r][v]);
            else
                vstore (p, add ? vload (p) + s[r][v] : s[r][v]);
        }
}

/* All rows of a panel `vecs` vectors wide. */
INLINE void panel_product (float *c, int64_t ldc, const float *a, int64_t ars, int64_t acs, const float *b, int64_t ldb,
                           int64_t m, int64_t k, bool add, const float *fade, const int vecs) {
    int64_t i = 0;
    for (; i + MR <= m; i += MR)
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, MR, vecs);
    if (i + 4 <= m) {
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 4, vecs);
        i += 4;
    }
    if (i + 2 <= m) {
        block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 2, vecs);
        i += 2;
    }
    if (i < m) block_product (c + i * ldc, ldc, a + i * ars, ars, acs, b, ldb, k, add, fade, 1, vecs);
}

/* C [m, n] = (add ? C fade : 0) + A [m, k] B [k, n], n a multiple of W; A with any strides; fade [n] or NULL. */
static __attribute__ ((noinline)) void product (float *c, int64_t ldc, const float *a, int64_t ars, int64_t acs,
                                                const float *b, int64_t ldb, int64_t m, int64_t n, int64_t k, bool add,
                                                const float *fade) {
    int64_t j = 0;
#define PANEL(vecs)                                                                                             \
    do {                                                                                                        \
        panel_product (c + j, ldc, a, ars, acs, b + j, ldb, m, k, add, fade != NULL ? fade + j : NULL, (vecs)); \
        j += (vecs) *W;                                                                                         \
    } while (0)
    while (j + NR * W <= n) PANEL (NR);
#if NR == 4
    if (j + 3 * W <= n) PANEL (3);
    if (j + 2 * W <= n) PANEL (2);
#endif
    while (j < n) PANEL (1);
#undef PANEL
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void att_pack_lanes (float *restrict to, const float *restrict from, int64_t ld, int64_t nq, int64_t D) {
    if (nq < BQ) memset (to, 0, (size_t) (D * BQ) * sizeof (float));
    int64_t i = 0;
    for (; i + W <= nq; i += W) {
        int64_t d = 0;
        for (; d + W <= D; d += W) {
            vf m[W];
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) m[j] = vload (from + (i + j) * ld + d);
            transpose (m);
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) vstore (to + (d + j) * BQ + i, m[j]);
        }
        for (; d < D; d++)
            for (int j = 0; j < W; j++) to[d * BQ + i + j] = from[(i + j) * ld + d];
    }
    for (; i < nq; i++)
        for (int64_t d = 0; d < D; d++) to[d * BQ + i] = from[i * ld + d];
}

void att_unpack_lanes (float *restrict to, int64_t ld, const float *restrict from, const float *restrict a, int64_t nq,
                       int64_t D) {
    int64_t i = 0;
    for (; i + W <= nq; i += W) {
        const vf s = vload (a + i);
        int64_t d = 0;
        for (; d + W <= D; d += W) {
            vf m[W];
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) m[j] = s * vload (from + (d + j) * BQ + i);
            transpose (m);
#pragma GCC unroll 16
            for (int j = 0; j < W; j++) vstore (to + (i + j) * ld + d, m[j]);
        }
        for (; d < D; d++)
            for (int j = 0; j < W; j++) to[(i + j) * ld + d] = from[d * BQ + i + j] * a[i + j];
    }
    for (; i < nq; i++)
        for (int64_t d = 0; d < D; d++) to[i * ld + d] = from[d * BQ + i] * a[i];
}

/* ---- a block of queries and a block of keys ---------------------------------------------------------------------- */

void att_dots (float *s, const float *a, int64_t lda, const float *qt, int64_t q0, int64_t k0, int64_t nk, int64_t D) {
    if (!on_diagonal (q0, k0, nk)) {
        product (s, BQ, a, lda, 1, qt, BQ, nk, BQ, D, false, NULL);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) {
        const int64_t i = first_lane (q0, k0, r);
        product (s + r * BQ + i, BQ, a + r * lda, lda, 1, qt + i, BQ, min64 (STEP, nk - r), BQ - i, D, false, NULL);
    }
}

void att_scores (float *s, const float *k, int64_t ldk, const float *qt, int64_t q0, int64_t k0, int64_t nk,
                 int64_t D) {
    att_dots (s, k, ldk, qt, q0, k0, nk, D);
    for (int64_t r = q0 > k0 ? q0 - k0 : 0; r < nk; r++)
        for (int64_t i = first_lane (q0, k0, r / STEP * STEP); i < k0 + r - q0; i++) s[r * BQ + i] = -INFINITY;
}

void att_sum_keys (float *o, const float *a, int64_t lda, const float *p, int64_t q0, int64_t k0, int64_t nk, int64_t D,
                   bool add, const float *fade) {
    if (!on_diagonal (q0, k0, nk)) {
        product (o, BQ, a, 1, lda, p, BQ, D, BQ, nk, add, fade);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) { /* the first step fades or clears all lanes */
        const int64_t i = first_lane (q0, k0, r);
        product (o + i, BQ, a + r * lda, 1, lda, p + r * BQ + i, BQ, D, BQ - i, min64 (STEP, nk - r), add || r > 0,
                 r == 0 ? fade : NULL);
    }
}

void att_sum_queries (float *da, const float *p, const float *g, int64_t q0, int64_t nq, int64_t k0, int64_t nk,
                      int64_t Dp) {
    if (!on_diagonal (q0, k0, nk)) {
        product (da, Dp, p, BQ, 1, g, Dp, nk, Dp, nq, true, NULL);
        return;
    }
    for (int64_t r = 0; r < nk; r += STEP) {
        const int64_t i = first_lane (q0, k0, r);
        product (da + r * Dp, Dp, p + r * BQ + i, BQ, 1, g + i * Dp, Dp, min64 (STEP, nk - r), Dp, nq - i, true, NULL);
    }
}

/* In qkv the rows of a head lie a multiple of 1 KiB apart, so that they share a few sets of the cache; a copy costs
 * 1/64 of the work of one block of queries. */
void att_pack_keys (float *restrict k, float *restrict v, const float *restrict from, int64_t ld, int64_t step,
                    int64_t T, int64_t D) {
    for (int64_t t = 0; t < T; t++) {
        for (int64_t d = 0; d < D; d += 16) {
            __builtin_prefetch (from + (t + 16) * ld + d);
            __builtin_prefetch (from + (t + 16) * ld + step + d);
        }
        memcpy (k + t * D, from + t * ld, (size_t) D * sizeof (float));
        memcpy (v + t * D, from + t * ld + step, (size_t) D * sizeof (float));
    }
}
