/* Causal self-attention, backward.  Compiled once an instruction set.
 *
 * Probabilities are recomputed from the logarithms of sums that the forward pass kept (Dao et al., arXiv:2205.14135,
 * appendix B.4). */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cut.h"

/* to [nq, Dp] = a from [nq, D], columns from D on are 0. */
static void pack_rows (float *restrict to, int64_t Dp, const float *restrict from, int64_t ld, int64_t nq, int64_t D,
                       float a) {
    for (int64_t i = 0; i < nq; i++) {
        for (int64_t d = 0; d < D; d++) to[i * Dp + d] = a * from[i * ld + d];
        for (int64_t d = D; d < Dp; d++) to[i * Dp + d] = 0.0f;
    }
}

/* What one thread holds for the backward pass of a block of queries and a block of keys. */
typedef struct backward {
    float *qt, *gt, *dqt; /* [D, BQ] queries, dO and dQ as lanes */
    float *qr, *gr;       /* [BQ, Dp] queries (scaled) and dO as rows */
    float *p, *ds;        /* [BK, BQ] */
    float *more;          /* the rest of the work memory: 4 T Dp floats */
    float *lse, *delta;   /* [BQ], lse times sqrt D: in the unit of the scores */
    int64_t D, Dp, ld, ldo;
} backward_t;

static void backward_begin (backward_t *w, float *work, float *lanes, int64_t H, int64_t D) {
    const int64_t Dp = wb_att_pad (D);
    *w = (backward_t){.qt = work, .D = D, .Dp = Dp, .ld = 3 * H * D, .ldo = H * D, .lse = lanes, .delta = lanes + BQ};
    w->gt = w->qt + Dp * BQ;
    w->dqt = w->gt + Dp * BQ;
    w->p = w->dqt + Dp * BQ;
    w->ds = w->p + BK * BQ;
    w->qr = w->ds + BK * BQ;
    w->gr = w->qr + BQ * Dp;
    w->more = w->gr + BQ * Dp;
}

/* Pack the queries q [nq, D] and their dO; delta = rowsum (dO O).  rows: as rows, too, for dK and dV. */
static void backward_queries (backward_t *w, const float *q, const float *g, const float *o, const float *lse,
                              int64_t nq, bool rows) {
    const int64_t D = w->D, ldo = w->ldo;
    const float scale = 1.0f / sqrtf ((float) D);
    att_pack_lanes (w->qt, q, w->ld, nq, D);
    att_pack_lanes (w->gt, g, ldo, nq, D);
    if (rows) {
        pack_rows (w->qr, w->Dp, q, w->ld, nq, D, scale);
        pack_rows (w->gr, w->Dp, g, ldo, nq, D, 1.0f);
    }
    for (int64_t i = 0; i < BQ; i++) {
        vf sum = {0};
        for (int64_t d = 0; i < nq && d < D; d += W)
            sum += vload_some (g + i * ldo + d, D - d, 0.0f) * vload_some (o + i * ldo + d, D - d, 0.0f);
        w->delta[i] = vsum (sum);
        w->lse[i] = i < nq ? (float) ((double) lse[i] * sqrt ((double) D)) : 0.0f;
    }
}

/* P = exp (S / sqrt D - lse) and dS = P (dP - delta), S = Q K^T, dP = dO V^T, of one block of keys k, v [nk, D]. */
static void backward_scores (backward_t *w, const float *k, const float *v, int64_t q0, int64_t k0, int64_t nk) {
    const float c = softmax_factor (w->D);
    att_scores (w->p, k, w->D, w->qt, q0, k0, nk, w->D);
    att_dots (w->ds, v, w->D, w->gt, q0, k0, nk, w->D);
    for (int i = 0; i < BQ; i += W) {
        const vf l = vload (w->lse + i), dl = vload (w->delta + i);
        const int64_t n = on_diagonal (q0, k0, nk) ? keys_of_lane (q0, k0, nk, i) : nk;
        float *pi = w->p + i, *di = w->ds + i;
        int64_t r = 0;
        for (; r + 2 <= n; r += 2) {
            const vf p0 = vexp2 (vload (pi + r * BQ) - l, c), p1 = vexp2 (vload (pi + (r + 1) * BQ) - l, c);
            vstore (pi + r * BQ, p0);
            vstore (pi + (r + 1) * BQ, p1);
            vstore (di + r * BQ, p0 * (vload (di + r * BQ) - dl));
            vstore (di + (r + 1) * BQ, p1 * (vload (di + (r + 1) * BQ) - dl));
        }
        if (r < n) {
            const vf p0 = vexp2 (vload (pi + r * BQ) - l, c);
            vstore (pi + r * BQ, p0);
            vstore (di + r * BQ, p0 * (vload (di + r * BQ) - dl));
        }
    }
}

static void backward_dq (const backward_t *w, float *dq, int64_t nq) {
    float back[BQ];
    for (int i = 0; i < BQ; i++) back[i] = 1.0f / sqrtf ((float) w->D);
    att_unpack_lanes (dq, w->ld, w->dqt, back, nq, w->D);
}

static void copy_rows (float *to, int64_t ldt, const float *from, int64_t ldf, int64_t n, int64_t D) {
    for (int64_t i = 0; i < n; i++) memcpy (to + i * ldt, from + i * ldf, (size_t) D * sizeof (float));
}

/* One head: for each block of queries, P is recomputed from lse; then with S = Q K^T, O = P V, delta = rowsum (dO O)
 *   dV += P^T dO,  dP = dO V^T,  dS = P (dP - delta),  dQ = dS K,  dK += dS^T Q   (Dao et al., appendix B.4). */
static void backward_head (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                           float *work, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t Dp = w.Dp, Tp = wb_att_pad (T);
    float *dk = w.more, *dv = dk + Tp * Dp, *k = dv + Tp * Dp, *v = k + Tp * Dp;
    att_pack_keys (k, v, q + H * D, w.ld, H * D, T, D);
    memset (dk, 0, (size_t) (2 * Tp * Dp) * sizeof (float));
    for (int64_t q0 = 0; q0 < T; q0 += BQ) {
        const int64_t nq = min64 (BQ, T - q0);
        backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, true);
        for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
            const int64_t nk = min64 (BK, q0 + nq - k0);
            backward_scores (&w, k + k0 * D, v + k0 * D, q0, k0, nk);
            att_sum_keys (w.dqt, k + k0 * D, D, w.ds, q0, k0, nk, D, k0 > 0, NULL);
            att_sum_queries (dv + k0 * Dp, w.p, w.gr, q0, nq, k0, nk, Dp);
            att_sum_queries (dk + k0 * Dp, w.ds, w.qr, q0, nq, k0, nk, Dp);
        }
        backward_dq (&w, dq + q0 * w.ld, nq);
    }
    copy_rows (dq + H * D, w.ld, dk, Dp, T, D);
    copy_rows (dq + 2 * H * D, w.ld, dv, Dp, T, D);
}

/* The same in smaller tasks: dQ of one block of queries, dK and dV of one block of keys.  S and dP are computed twice,
 * 7 products instead of 5; the sums run in the same order and give the same bits. */
static void backward_query_block (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                                  float *work, int64_t q0, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t nq = min64 (BQ, T - q0);
    float *k = w.more, *v = k + BK * D;
    backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, false);
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
        const int64_t nk = min64 (BK, q0 + nq - k0);
        att_pack_keys (k, v, q + k0 * w.ld + H * D, w.ld, H * D, nk, D);
        backward_scores (&w, k, v, q0, k0, nk);
        att_sum_keys (w.dqt, k, D, w.ds, q0, k0, nk, D, k0 > 0, NULL);
    }
    backward_dq (&w, dq + q0 * w.ld, nq);
}
static void backward_key_block (float *dq, const float *dout, const float *out, const float *lse, const float *q,
                                float *work, int64_t k0, int64_t T, int64_t H, int64_t D) {
    float lanes[2 * BQ];
    backward_t w;
    backward_begin (&w, work, lanes, H, D);
    const int64_t n = min64 (BK, T - k0), Dp = w.Dp;
    float *dk = w.more, *dv = dk + n * Dp, *k = dv + n * Dp, *v = k + n * D;
    att_pack_keys (k, v, q + k0 * w.ld + H * D, w.ld, H * D, n, D);
    memset (dk, 0, (size_t) (2 * n * Dp) * sizeof (float));
    for (int64_t q0 = k0; q0 < T; q0 += BQ) { /* blocks of queries and of keys begin at the same positions */
        const int64_t nq = min64 (BQ, T - q0), nk = min64 (BK, q0 + nq - k0);
        backward_queries (&w, q + q0 * w.ld, dout + q0 * w.ldo, out + q0 * w.ldo, lse + q0, nq, true);
        backward_scores (&w, k, v, q0, k0, nk);
        att_sum_queries (dv, w.p, w.gr, q0, nq, k0, nk, Dp);
        att_sum_queries (dk, w.ds, w.qr, q0, nq, k0, nk, Dp);
    }
    copy_rows (dq + k0 * w.ld + H * D, w.ld, dk, Dp, n, D);
    copy_rows (dq + k0 * w.ld + 2 * H * D, w.ld, dv, Dp, n, D);
}

/* A task is a head, or a block of one where whole heads would leave too many threads idle.  The same bits either way.
 */
void KERNEL (attention_backward) (float *dqkv, const float *dout, const float *out, const float *lse, const float *qkv,
                                  float *work, int64_t B, int64_t T, int64_t H, int64_t D) {
    const int64_t per_thread = wb_att_thread_floats (T, D), ld = 3 * H * D, heads = B * H;
    const int64_t blocks = (T + BQ - 1) / BQ, whole = wb_cut_whole_heads (heads, blocks, omp_get_max_threads ());
    const int64_t tasks = whole + 2 * blocks * (heads - whole);
#pragma omp parallel for schedule(dynamic) if (tasks > 1)
    for (int64_t task = 0; task < tasks; task++) { /* the longest first */
        const bool cut = task >= whole;
        const int64_t left = cut ? heads - whole : 1, part = cut ? (task - whole) / left : 0, block = part / 2;
        const int64_t bh = cut ? whole + (task - whole) % left : task, b = bh / H, h = bh % H;
        const int64_t at = b * T * ld + h * D, ato = b * T * H * D + h * D;
        float *dq = dqkv + at, *mine = work + omp_get_thread_num () * per_thread;
        const float *g = dout + ato, *o = out + ato, *l = lse + bh * T, *q = qkv + at;
        if (!cut)
            backward_head (dq, g, o, l, q, mine, T, H, D);
        else if (part % 2 == 0)
            backward_key_block (dq, g, o, l, q, mine, block * BK, T, H, D);
        else
            backward_query_block (dq, g, o, l, q, mine, (blocks - 1 - block) * BQ, T, H, D);
    }
}
