/* What the files of attention share: products of one block of queries with one block of keys.
 *
 * Queries are the lanes: a block of them, their gradients and their outputs lie transposed as [D, BQ], scores and
 * probabilities as [keys, BQ].  So maxima and sums over keys run down the lanes, and keys and values are read where
 * they are, a scalar at a time.
 *
 * q0, nq: first position and number of the queries of a block; k0, nk: of its keys.  On the diagonal of the causal
 * mask a block is worked on in steps of STEP keys, and only in the lanes from the first one that sees any of them. */
#ifndef WABUN_KERNELS_ATTENTION_H
#define WABUN_KERNELS_ATTENTION_H

#include <math.h>

#include "kernels/vmath.h"

#define BQ WB_ATT_Q
#define BK WB_ATT_K
#define STEP WB_ATT_PAD
_Static_assert(BK == WB_CACHE_BLOCK, "a block of keys is a block of the cache");

/* The first lane that computes anything for key k0 + r. */
INLINE int64_t first_lane (int64_t q0, int64_t k0, int64_t r) {
    const int64_t i = k0 + r - q0;
    return r > 0 && i > 0 ? i / STEP * STEP : 0; /* the first step is done in all lanes */
}
/* How many keys of the block lane i has scores for. */
INLINE int64_t keys_of_lane (int64_t q0, int64_t k0, int64_t nk, int64_t i) {
    const int64_t r = q0 - k0 + i / STEP * STEP + STEP;
    return min64 (nk, r > STEP ? (r + STEP - 1) / STEP * STEP : STEP);
}
/* Is any key hidden from any query? */
INLINE bool on_diagonal (int64_t q0, int64_t k0, int64_t nk) { return k0 + nk - 1 > q0; }

/* Scores are S = Q K^T, without the scale: in exp ((S - m) / sqrt D), rounding before the difference costs
 * 2^-24 |S| / sqrt D of every probability, rounding after it only 2^-24 of the difference.  The factor for vexp2: */
INLINE float softmax_factor (int64_t D) { return (float) (1.44269504088896341 / sqrt ((double) D)); }

/* P = 2^(c (S - m)) in place, over n keys of W lanes; updates the running maximum m and the running sum.  fade: the
 * factor by which older sums shrink. */
INLINE void softmax_lanes (float *s, float *mx, float *sum, float *fade, int64_t n, float c) {
    const vf old = vload (mx);
    vf m0 = old, m1 = old, m2 = old, m3 = old, sum0 = {0}, sum1 = {0};
    int64_t r = 0;
    for (; r + 4 <= n; r += 4) {
        m0 = vmax (vload (s + r * BQ), m0);
        m1 = vmax (vload (s + (r + 1) * BQ), m1);
        m2 = vmax (vload (s + (r + 2) * BQ), m2);
        m3 = vmax (vload (s + (r + 3) * BQ), m3);
    }
    for (; r < n; r++) m0 = vmax (vload (s + r * BQ), m0);
    m0 = vmax (vmax (m0, m1), vmax (m2, m3));
    for (r = 0; r + 2 <= n; r += 2) {
        const vf p0 = vexp2 (vload (s + r * BQ) - m0, c), p1 = vexp2 (vload (s + (r + 1) * BQ) - m0, c);
        vstore (s + r * BQ, p0);
        vstore (s + (r + 1) * BQ, p1);
        sum0 += p0;
        sum1 += p1;
    }
    if (r < n) {
        const vf p0 = vexp2 (vload (s + r * BQ) - m0, c);
        vstore (s + r * BQ, p0);
        sum0 += p0;
    }
    const vf a = vexp2 (old - m0, c);
    vstore (fade, a);
    vstore (mx, m0);
    vstore (sum, vload (sum) * a + (sum0 + sum1));
}

#define att_pack_lanes ISA_NAME (wb_att_pack_lanes_)
#define att_unpack_lanes ISA_NAME (wb_att_unpack_lanes_)
#define att_pack_keys ISA_NAME (wb_att_pack_keys_)
#define att_dots ISA_NAME (wb_att_dots_)
#define att_scores ISA_NAME (wb_att_scores_)
#define att_sum_keys ISA_NAME (wb_att_sum_keys_)
#define att_sum_queries ISA_NAME (wb_att_sum_queries_)
#define att_block ISA_NAME (wb_att_block_)

/* attention_blocks.c */

/* to [D, BQ] = (from [nq, D])^T, rows of `from` ld apart; lanes from nq on are 0. */
void att_pack_lanes (float *restrict to, const float *restrict from, int64_t ld, int64_t nq, int64_t D);
/* to [nq, D], rows ld apart = (from [D, BQ])^T, row i times a [i]. */
void att_unpack_lanes (float *restrict to, int64_t ld, const float *restrict from, const float *restrict a, int64_t nq,
                       int64_t D);
/* k, v [T, D] = keys and values of a head: keys at `from`, rows ld apart, values `step` floats after the keys. */
void att_pack_keys (float *restrict k, float *restrict v, const float *restrict from, int64_t ld, int64_t step,
                    int64_t T, int64_t D);
/* S [nk, BQ] = A Q^T: A [nk, D] are keys (or values), rows lda apart; qt [D, BQ] the queries (or their gradients). */
void att_dots (float *s, const float *a, int64_t lda, const float *qt, int64_t q0, int64_t k0, int64_t nk, int64_t D);
/* The same, and minus infinity where the key comes after the query. */
void att_scores (float *s, const float *k, int64_t ldk, const float *qt, int64_t q0, int64_t k0, int64_t nk, int64_t D);
/* O [D, BQ] = (add ? O fade : 0) + A^T P: A [nk, D], P [nk, BQ] as att_scores leaves it; fade [BQ], NULL: 1. */
void att_sum_keys (float *o, const float *a, int64_t lda, const float *p, int64_t q0, int64_t k0, int64_t nk, int64_t D,
                   bool add, const float *fade);
/* dA [nk, Dp] += P G: P [nk, BQ] as att_scores leaves it, G [nq, Dp]. */
void att_sum_queries (float *da, const float *p, const float *g, int64_t q0, int64_t nq, int64_t k0, int64_t nk,
                      int64_t Dp);

/* attention.c */

/* Where keys and values lie, rows D apart: one after the other, or in the blocks of a cache. */
typedef struct att_keys {
    const float *k, *v;   /* of position 0 */
    float *const *blocks; /* not NULL: of BK positions each; in them ... */
    int64_t at;           /* ... the layer begins, ... */
    int64_t head, values; /* ... and in it the head's keys, and the values so much later */
    bool half;            /* brain floats */
} att_keys_t;

/* One block of queries against all the keys it sees: out [nq, D], rows ldo apart; lse [nq], may be NULL.
 * work: (4 D + BK) BQ floats. */
void att_block (float *out, int64_t ldo, float *lse, const float *q, int64_t ldq, const att_keys_t *keys, int64_t q0,
                int64_t nq, int64_t D, float *work);

#endif
