/* Causal self-attention of brain floats by AMX, forward and backward.  Compiled with AMX, AVX-512 and AVX-512 BF16.
 *
 * The blocks and the order of attention.c and attention_back.c: queries are the lanes of softmax, and scores lie as
 * [keys, queries].  Every product is one of tiles: A as rows of brain floats, B as pairs of rows, C in fp32.  Queries,
 * keys and values are brain floats already (wb_kern_t.bias_add_half), so scores are exact but for their sums;
 * probabilities, the gradient of the output and that of the scores are rounded.
 *
 * Not here: whether AMX is used (amx.c, gemm.c), the block of tiles that every product is made of (amx.h). */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/amx.h"
#include "kernels/attention.h"
#include "kernels/cut.h"

_Static_assert(BQ == 64 && BK == 64 && W == 16, "a block of scores is four tiles by four");

/* Floats in which `n` brain floats fit. */
#define HALVES(n) ((n) / 2)

/* ---- operands ---------------------------------------------------------------------------------------------------- */

/* to [rows / 2][columns][2] = pairs of rows of `from`, ld apart; rows from `some` on are 0.  rows even, columns a
 * multiple of 16. */
static void pack_pairs (uint16_t *to, const float *from, int64_t ld, int64_t rows, int64_t some, int64_t columns) {
    const __m512i turn = _mm512_set_epi16 (31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t r = 0; r < rows; r += 2)
        for (int64_t j = 0; j < columns; j += W, to += 2 * W) {
            const vf a = r < some ? vload (from + r * ld + j) : (vf){0};
            const vf b = r + 1 < some ? vload (from + (r + 1) * ld + j) : (vf){0};
            const __m512i both = (__m512i) _mm512_cvtne2ps_pbh ((__m512) b, (__m512) a);
            _mm512_storeu_si512 (to, _mm512_permutexvar_epi16 (turn, both));
        }
}

/* to [rows, columns] = from, rows ld apart; rows from `some` on are 0.  columns a multiple of 32. */
static void pack_rows (uint16_t *to, const float *from, int64_t ld, int64_t rows, int64_t some, int64_t columns) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < columns; j += 2 * W, to += 2 * W) {
            const vf a = r < some ? vload (from + r * ld + j) : (vf){0};
            const vf b = r < some ? vload (from + r * ld + j + W) : (vf){0};
            _mm512_storeu_si512 (to, (__m512i) _mm512_cvtne2ps_pbh ((__m512) b, (__m512) a));
        }
}

/* C [m, n] = (add ? C : 0) + A [m, k] B: A's rows lda brain floats apart, B [k / 2][n][2].  m, n, k multiples of 32. */
static void product (float *C, const uint16_t *A, int64_t lda, const uint16_t *B, int64_t m, int64_t n, int64_t k,
                     bool add) {
    for (int64_t i = 0; i < m; i += 32)
        for (int64_t j = 0; j < n; j += 32)
            wb_tiles_block (C + i * n + j, n, (wb_tiles_operand_t){A + i * lda, lda, 16 * lda, 32},
                            (wb_tiles_operand_t){B + 2 * j, 2 * n, 32, 32 * n}, k / 32, add);
}

/* ---- a head's keys and values, a block's queries ----------------------------------------------------------------- */

/* What a thread works in. */
typedef struct head {
    float *s, *ds;     /* [BK, BQ] */
    float *lanes;      /* [D, BQ] */
    uint16_t *p, *dp;  /* [BK, BQ], or pairs of it: probabilities, gradient of the scores */
    uint16_t *q, *g;   /* [D / 2][BQ][2] queries and dO */
    uint16_t *qr, *gr; /* [BQ / 2][D][2] the same as pairs of queries */
    uint16_t *k, *v;   /* [blocks][BK, D] keys; values, or forward [blocks][D, BK] */
    uint16_t *kt;      /* [blocks][D, BK] backward: keys */
    float *dk, *dv;    /* [blocks][BK, D] backward */
    int64_t D, ld;     /* ld: floats between positions in qkv */
} head_t;

static int64_t blocks_of (int64_t T) { return (T + BK - 1) / BK; }

/* Floats that a thread needs. */
static int64_t head_floats (int64_t T, int64_t D) {
    return 2 * BK * BQ + D * BQ + HALVES (2 * BK * BQ + 4 * D * BQ + 3 * blocks_of (T) * BK * D) +
           2 * blocks_of (T) * BK * D;
}

static void head_begin (head_t *w, float *work, int64_t T, int64_t H, int64_t D) {
    const int64_t all = blocks_of (T) * BK * D;
    *w = (head_t){.s = work, .D = D, .ld = 3 * H * D};
    w->ds = w->s + BK * BQ;
    w->lanes = w->ds + BK * BQ;
    w->dk = w->lanes + D * BQ;
    w->dv = w->dk + all;
    w->p = (uint16_t *) (void *) (w->dv + all);
    w->dp = w->p + BK * BQ;
    w->q = w->dp + BK * BQ;
    w->g = w->q + D * BQ;
    w->qr = w->g + D * BQ;
    w->gr = w->qr + D * BQ;
    w->k = w->gr + D * BQ;
    w->v = w->k + all;
    w->kt = w->v + all;
}

/* The transposed of a block [some, D] at `from`: [D, BK]. */
static void pack_turned (const head_t *w, uint16_t *to, const float *from, int64_t some) {
    att_pack_lanes (w->lanes, from, w->ld, some, w->D);
    pack_rows (to, w->lanes, BK, w->D, w->D, BK);
}

/* Queries, or their gradients, rows ld apart, as pairs of their D numbers. */
static void pack_lanes_pairs (const head_t *w, uint16_t *to, const float *from, int64_t ld, int64_t nq) {
    att_pack_lanes (w->lanes, from, ld, nq, w->D);
    pack_pairs (to, w->lanes, BQ, w->D, w->D, BQ);
}

/* S = K Q^T of a block of keys, minus infinity where the key comes after the query. */
static void scores (const head_t *w, int64_t q0, int64_t k0) {
    product (w->s, w->k + k0 * w->D, w->D, w->q, BK, BQ, w->D, false);
    for (int64_t r = 0; k0 == q0 && r < BK; r++)
        for (int64_t i = 0; i < r; i++) w->s[r * BQ + i] = -INFINITY;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static void forward_block (const head_t *w, float *out, int64_t ldo, float *lse, const float *q, int64_t q0,
                           int64_t nq) {
    const int64_t D = w->D;
    float mx[BQ], sum[BQ], fade[BQ], *ot = w->dk; /* [D, BQ]; forward has no other use for it */
    const float c = softmax_factor (D);
    pack_lanes_pairs (w, w->q, q, w->ld, nq);
    for (int i = 0; i < BQ; i++) mx[i] = -INFINITY, sum[i] = 0.0f;
    for (int64_t k0 = 0; k0 <= q0; k0 += BK) {
        scores (w, q0, k0);
        for (int i = 0; i < BQ; i += W) softmax_lanes (w->s + i, mx + i, sum + i, fade + i, BK, c);
        pack_pairs (w->p, w->s, BQ, BK, BK, BQ);
        for (int64_t d = 0; k0 > 0 && d < D; d++)
            for (int i = 0; i < BQ; i += W) vstore (ot + d * BQ + i, vload (ot + d * BQ + i) * vload (fade + i));
        product (ot, w->v + k0 * D, BK, w->p, D, BQ, BK, k0 > 0);
    }
    for (int i = 0; i < BQ; i++) fade[i] = 1.0f / sum[i];
    att_unpack_lanes (out, ldo, ot, fade, nq, D);
    for (int64_t i = 0; i < nq; i++) lse[i] = (float) ((double) mx[i] / sqrt ((double) D) + (double) logf (sum[i]));
}

/* A task is every `groups`-th block of queries of a head, as in attention.c. */
void wb_amx_attention_forward (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                               int64_t D) {
    const int64_t blocks = blocks_of (T), groups = wb_cut_queries (B * H, blocks, omp_get_max_threads ());
#pragma omp parallel if (B * H * groups > 1)
    {
        head_t w;
        wb_tiles_begin ();
        head_begin (&w, work + omp_get_thread_num () * wb_att_thread_floats (T, D), T, H, D);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < B * H * groups; task++) {
            const int64_t bh = task % (B * H), b = bh / H, h = bh % H, last = blocks - 1 - task / (B * H);
            const float *q = qkv + b * T * w.ld + h * D, *k = q + H * D, *v = k + H * D;
            for (int64_t j = 0; j <= last; j++) {
                const int64_t at = j * BK, some = T - at < BK ? T - at : BK;
                pack_rows (w.k + at * D, k + at * w.ld, w.ld, BK, some, D);
                pack_turned (&w, w.v + at * D, v + at * w.ld, some);
            }
            for (int64_t block = last; block >= 0; block -= groups) {
                const int64_t q0 = block * BQ, nq = T - q0 < BQ ? T - q0 : BQ;
                forward_block (&w, out + ((b * T + q0) * H + h) * D, H * D, lse + bh * T + q0, q + q0 * w.ld, q0, nq);
            }
        }
        _tile_release ();
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* P = exp (S / sqrt D - lse) and dS = P (dP - delta), rounded: p and dp as rows and, for dQ, dS as pairs. */
static void backward_scores (const head_t *w, const float *lse, const float *delta, uint16_t *pairs, int64_t q0,
                             int64_t k0) {
    const float c = softmax_factor (w->D);
    scores (w, q0, k0);
    product (w->ds, w->v + k0 * w->D, w->D, w->g, BK, BQ, w->D, false);
    for (int64_t r = 0; r < BK; r++)
        for (int i = 0; i < BQ; i += W) {
            float *s = w->s + r * BQ + i, *ds = w->ds + r * BQ + i;
            const vf p = vexp2 (vload (s) - vload (lse + i), c);
            vstore (s, p);
            vstore (ds, p * (vload (ds) - vload (delta + i)));
        }
    pack_rows (w->p, w->s, BQ, BK, BK, BQ);
    pack_rows (w->dp, w->ds, BQ, BK, BK, BQ);
    pack_pairs (pairs, w->ds, BQ, BK, BK, BQ);
}

/* The queries of a block, their dO, lse in the unit of the scores, and delta = rowsum (dO O). */
static void backward_queries (const head_t *w, float *lse, float *delta, const float *q, const float *g, const float *o,
                              const float *l, int64_t ldo, int64_t nq) {
    const int64_t D = w->D;
    pack_lanes_pairs (w, w->q, q, w->ld, nq);
    pack_lanes_pairs (w, w->g, g, ldo, nq);
    pack_pairs (w->qr, q, w->ld, BQ, nq, D);
    pack_pairs (w->gr, g, ldo, BQ, nq, D);
    for (int64_t i = 0; i < BQ; i++) {
        vf sum = {0};
        for (int64_t d = 0; i < nq && d < D; d += W) sum += vload (g + i * ldo + d) * vload (o + i * ldo + d);
        delta[i] = vsum (sum);
        lse[i] = i < nq ? (float) ((double) l[i] * sqrt ((double) D)) : 0.0f;
    }
}

/* One head: attention_back.c has the formulas. */
static void backward_head (const head_t *w, float *dq, const float *dout, const float *out, const float *lse,
                           const float *q, int64_t T, int64_t H) {
    const int64_t D = w->D, ldo = H * D, blocks = blocks_of (T);
    const float *k = q + H * D, *v = k + H * D, scale = 1.0f / sqrtf ((float) D);
    float own[BQ], delta[BQ], back[BQ], dqt[BQ * 256];
    uint16_t pairs[BK * BQ];
    for (int i = 0; i < BQ; i++) back[i] = scale;
    for (int64_t at = 0; at < blocks * BK; at += BK) {
        const int64_t some = T - at < BK ? T - at : BK;
        pack_rows (w->k + at * D, k + at * w->ld, w->ld, BK, some, D);
        pack_rows (w->v + at * D, v + at * w->ld, w->ld, BK, some, D);
        pack_turned (w, w->kt + at * D, k + at * w->ld, some);
    }
    for (int64_t q0 = 0; q0 < T; q0 += BQ) {
        const int64_t nq = T - q0 < BQ ? T - q0 : BQ;
        backward_queries (w, own, delta, q + q0 * w->ld, dout + q0 * ldo, out + q0 * ldo, lse + q0, ldo, nq);
        for (int64_t k0 = 0; k0 <= q0; k0 += BK) {
            backward_scores (w, own, delta, pairs, q0, k0);
            product (dqt, w->kt + k0 * D, BK, pairs, D, BQ, BK, k0 > 0);
            product (w->dv + k0 * D, w->p, BQ, w->gr, BK, D, BQ, k0 < q0);
            product (w->dk + k0 * D, w->dp, BQ, w->qr, BK, D, BQ, k0 < q0);
        }
        att_unpack_lanes (dq + q0 * w->ld, w->ld, dqt, back, nq, D);
    }
    for (int64_t t = 0; t < T; t++)
        for (int64_t d = 0; d < D; d += W) {
            vstore (dq + t * w->ld + H * D + d, scale * vload (w->dk + t * D + d));
            vstore (dq + t * w->ld + 2 * H * D + d, vload (w->dv + t * D + d));
        }
}

/* A task is a head. */
void wb_amx_attention_backward (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                float *work, int64_t B, int64_t T, int64_t H, int64_t D) {
#pragma omp parallel if (B * H > 1)
    {
        head_t w;
        wb_tiles_begin ();
        head_begin (&w, work + omp_get_thread_num () * wb_att_thread_floats (T, D), T, H, D);
#pragma omp for schedule(dynamic)
        for (int64_t bh = 0; bh < B * H; bh++) {
            const int64_t b = bh / H, h = bh % H, at = b * T * w.ld + h * D, ato = b * T * H * D + h * D;
            backward_head (&w, dqkv + at, dout + ato, out + ato, lse + bh * T, qkv + at, T, H);
        }
        _tile_release ();
    }
}

bool wb_amx_attention_fits (int64_t T, int64_t D) {
    return D % 32 == 0 && D <= 256 && head_floats (T, D) <= wb_att_thread_floats (T, D);
}
