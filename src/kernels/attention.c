/* Causal self-attention, forward: scores stay in the cache (Dao et al., arXiv:2205.14135).  Compiled once an
 * instruction set.
 *
 * A block of queries goes over the blocks of keys with a running maximum and a running sum; older sums are rescaled
 * where the maximum grows. */
#include "config.h"

#include <omp.h>

#include "kernels/attention.h"
#include "kernels/cut.h"
#include "kernels/ranges.h"

/* Keys and values [nk, D] from position k0 on, which begins a block; work [2 BK D], for brain floats. */
static void keys_of (const att_keys_t *keys, int64_t k0, int64_t nk, int64_t D, float *work, const float **k,
                     const float **v) {
    const float *block = keys->blocks != NULL ? keys->blocks[k0 / BK] + keys->at : NULL;
    if (keys->half) {
        const uint16_t *half = (const uint16_t *) (const void *) block + keys->head;
        bf16_unpack_row (work, half, nk * D);
        bf16_unpack_row (work + BK * D, half + keys->values, nk * D);
        *k = work, *v = work + BK * D;
    } else if (block != NULL) {
        *k = block + keys->head, *v = *k + keys->values;
    } else {
        *k = keys->k + k0 * D, *v = keys->v + k0 * D;
    }
}

void att_block (float *out, int64_t ldo, float *lse, const float *q, int64_t ldq, const att_keys_t *keys, int64_t q0,
                int64_t nq, int64_t D, float *work) {
    float *qt = work, *ot = qt + D * BQ, *s = ot + D * BQ;
    float mx[BQ], sum[BQ], fade[BQ];
    const float c = softmax_factor (D);
    att_pack_lanes (qt, q, ldq, nq, D);
    for (int i = 0; i < BQ; i++) {
        mx[i] = -INFINITY;
        sum[i] = 0.0f;
    }
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BK) {
        const int64_t nk = min64 (BK, q0 + nq - k0);
        const float *k, *v;
        keys_of (keys, k0, nk, D, s + BK * BQ, &k, &v);
        att_scores (s, k, D, qt, q0, k0, nk, D);
        for (int i = 0; i < BQ; i += W)
            softmax_lanes (s + i, mx + i, sum + i, fade + i, keys_of_lane (q0, k0, nk, i), c);
        att_sum_keys (ot, v, D, s, q0, k0, nk, D, k0 > 0, k0 > 0 ? fade : NULL);
    }
    for (int i = 0; i < BQ; i++) fade[i] = 1.0f / sum[i];
    att_unpack_lanes (out, ldo, ot, fade, nq, D);
    if (lse != NULL)
        for (int64_t i = 0; i < nq; i++) lse[i] = (float) ((double) mx[i] / sqrt ((double) D) + (double) logf (sum[i]));
}

/* A task is every `groups`-th block of queries of one head, from the last one down, so that tasks are of similar
 * length.  Blocks are independent: the number of groups, chosen to feed all threads, does not change the result. */
void KERNEL (attention_forward) (float *out, float *lse, const float *qkv, float *work, int64_t B, int64_t T, int64_t H,
                                 int64_t D) {
    const int64_t ld = 3 * H * D, blocks = (T + BQ - 1) / BQ, per_thread = wb_att_thread_floats (T, D);
    const int64_t groups = wb_cut_queries (B * H, blocks, omp_get_max_threads ());
#pragma omp parallel for schedule(dynamic) if (B * H * groups > 1)
    for (int64_t task = 0; task < B * H * groups; task++) {
        const int64_t bh = task % (B * H), b = bh / H, h = bh % H, last = blocks - 1 - task / (B * H);
        const float *q = qkv + b * T * ld + h * D;
        float *k = work + omp_get_thread_num () * per_thread, *v = k + T * D, *w = v + T * D;
        att_pack_keys (k, v, q + H * D, ld, H * D, min64 (T, (last + 1) * BQ), D);
        const att_keys_t keys = {.k = k, .v = v};
        for (int64_t block = last; block >= 0; block -= groups) {
            const int64_t q0 = block * BQ;
            att_block (out + ((b * T + q0) * H + h) * D, H * D, lse + bh * T + q0, q + q0 * ld, ld, &keys, q0,
                       min64 (BQ, T - q0), D, w);
        }
    }
}
