/* Attention of inference: new positions of some sequences against their caches.  Compiled once an instruction set.
 *
 * A sequence with many new positions is handled by blocks of queries, as in training.  One with a single position is
 * bound by the speed at which its cache is read: its blocks are shared between threads, each gives a partial result,
 * and these are merged in order.  Nothing depends on the number of threads or on the other sequences. */
#include "config.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/ranges.h"

#define CACHED_VALUES(D) (WB_CACHE_BLOCK * (D))
/* The keys of head h in the block that holds position t, fp32 or brain floats; its values begin CACHED_VALUES numbers
 * later. */
static void *keys_of (const wb_cached_t *c, int64_t t, int64_t h, int64_t D) {
    float *layer = c->blocks[t / WB_CACHE_BLOCK] + c->at;
    const int64_t head = h * 2 * CACHED_VALUES (D);
    return c->half ? (void *) ((uint16_t *) (void *) layer + head) : layer + head;
}

/* Row i of keys or values is x [D]. */
static void store_row (void *rows, bool half, int64_t i, const float *x, int64_t D) {
    if (half)
        bf16_pack_row ((uint16_t *) rows + i * D, x, D);
    else
        memcpy ((float *) rows + i * D, x, (size_t) D * sizeof (float));
}

/* Store new keys and values in the cache; threads take positions in turn, and for a single text turn by turn its
 * blocks, whose memory is placed near the thread that writes first. */
static void store_keys (const wb_cached_t *seqs, int nseq, int64_t H, int64_t D, int me, int threads) {
    int64_t row = 0;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++)
        for (int64_t i = 0; i < c->n; i++, row++) {
            const int64_t t = c->len - c->n + i;
            if ((row + wb_spread (t / WB_CACHE_BLOCK, threads)) % threads != me) continue;
            for (int64_t h = 0; h < H; h++) {
                const float *k = c->qkv + i * 3 * H * D + (H + h) * D, *v = k + H * D;
                void *to = keys_of (c, t, h, D);
                store_row (to, c->half, t % WB_CACHE_BLOCK, k, D);
                store_row (to, c->half, WB_CACHE_BLOCK + t % WB_CACHE_BLOCK, v, D);
            }
        }
}

/* W numbers from number i on. */
INLINE vf numbers (const void *p, int64_t i, const bool half) {
    return half ? vload_half ((const uint16_t *) p + i) : vload ((const float *) p + i);
}
/* The first n < W of them, 0 in the other lanes. */
INLINE vf numbers_part (const void *p, int64_t i, int64_t n, const bool half) {
    float x[W] = {0};
    if (half)
        bf16_unpack_row (x, (const uint16_t *) p + i, n);
    else
        memcpy (x, (const float *) p + i, (size_t) n * sizeof *x);
    return vload (x);
}

/* Sums of row r of k times q, by lanes: vecs vectors, or D floats where vecs is 0. */
INLINE vf key_sums (const float *q, const void *k, int64_t r, int64_t D, const int vecs, const bool half) {
    vf t = {0};
    int64_t d = 0;
#pragma GCC unroll 8
    for (; d < vecs * W; d += W) t += vload (q + d) * numbers (k, r * D + d, half);
    for (; d + W <= D; d += W) t += vload (q + d) * numbers (k, r * D + d, half);
    if (vecs == 0 && d < D) t += vload_part (q + d, D - d, 0.0f) * numbers_part (k, r * D + d, D - d, half);
    return t;
}

/* s [n rounded up to W] = k q, k [n, D], -infinity from n on; returns their maximum.  Reads rows in the order in which
 * they lie, without prefetches: these would only displace what the processor fetches by itself. */
INLINE float key_scores (float *s, const float *q, const void *k, int64_t n, int64_t D, const int vecs,
                         const bool half) {
    vf max = vset (-INFINITY), t[W];
    for (int64_t r = 0; r < n; r += W) {
#pragma GCC unroll 1
        for (int64_t i = 0; i < W; i++) t[i] = r + i < n ? key_sums (q, k, r + i, D, vecs, half) : vset (-INFINITY);
        const vf sums = vsums (t);
        vstore (s + r, sums);
        max = vmax (sums, max);
    }
    return vmax_lanes (max);
}

/* o [vecs W] = p v over rows of v [n, D], from column d on. */
INLINE void add_values (float *o, const float *p, const void *v, int64_t n, int64_t D, int64_t d, const int vecs,
                        const bool half) {
    vf a[8];
#pragma GCC unroll 8
    for (int i = 0; i < vecs; i++) a[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t r = 0; r < n; r++) {
        const vf pr = vset (p[r]);
#pragma GCC unroll 8
        for (int i = 0; i < vecs; i++) a[i] += pr * numbers (v, r * D + d + i * W, half);
    }
#pragma GCC unroll 8
    for (int i = 0; i < vecs; i++) vstore (o + i * W, a[i]);
}

/* The partial result of a query over the keys of one block: their maximum score, the sum of their weights relative to
 * it, and the weighted sum of values [D]. */
typedef struct partial {
    float max, sum, *values;
} partial_t;

static partial_t partial_at (float *work, int64_t i, int64_t D) {
    float *p = work + i * wb_att_partial_floats (D);
    return (partial_t){.max = p[D], .sum = p[D + 1], .values = p};
}

/* One query over n keys of a block; the lanes run along D. */
INLINE void attend_block (float *partial, const float *q, const void *k, int64_t n, int64_t D, const bool half) {
    const void *v = half ? (const void *) ((const uint16_t *) k + CACHED_VALUES (D))
                         : (const void *) ((const float *) k + CACHED_VALUES (D));
    const float c = softmax_factor (D);
    float s[WB_CACHE_BLOCK];
    const float max = D == 4 * W   ? key_scores (s, q, k, n, D, 4, half)
                      : D == 8 * W ? key_scores (s, q, k, n, D, 8, half)
                                   : key_scores (s, q, k, n, D, 0, half);
    vf sum = {0};
    for (int64_t r = 0; r < n; r += W) {
        const vf p = vexp2 (vload (s + r) - max, c);
        vstore (s + r, p);
        sum += p;
    }
    int64_t d = 0;
    for (; d + 8 * W <= D; d += 8 * W) add_values (partial + d, s, v, n, D, d, 8, half);
    for (; d + 4 * W <= D; d += 4 * W) add_values (partial + d, s, v, n, D, d, 4, half);
    for (; d + W <= D; d += W) add_values (partial + d, s, v, n, D, d, 1, half);
    if (d < D) {
        vf a = {0};
        for (int64_t r = 0; r < n; r++) a += s[r] * numbers_part (v, r * D + d, D - d, half);
        vstore_some (partial + d, a, D - d);
    }
    partial[D] = max;
    partial[D + 1] = vsum (sum);
}

static void attend_single (float *partial, const float *q, const void *k, int64_t n, int64_t D, bool half) {
    if (half)
        attend_block (partial, q, k, n, D, true);
    else
        attend_block (partial, q, k, n, D, false);
}

/* out [D] from the partial results of a query, in the order of the blocks; they lie `stride` partials apart. */
static void merge_partials (float *restrict out, float *work, int64_t blocks, int64_t stride, int64_t D) {
    const float c = softmax_factor (D);
    float max = partial_at (work, 0, D).max, sum = 0.0f;
    for (int64_t b = 1; b < blocks; b++) max = fmaxf (max, partial_at (work, b * stride, D).max);
    for (int64_t b = 0; b < blocks; b++) {
        const partial_t s = partial_at (work, b * stride, D);
        const float a = vexp2 (vset (s.max - max), c)[0];
        sum += a * s.sum;
        for (int64_t d = 0; d < D; d++) out[d] = (b > 0 ? out[d] : 0.0f) + a * s.values[d];
    }
    for (int64_t d = 0; d < D; d++) out[d] /= sum;
}

static int64_t blocks_of (const wb_cached_t *c) { return (c->len + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK; }

/* Sequences with one new position, block by block: a thread takes consecutive pieces. */
static void attend_singles (const wb_cached_t *seqs, float *partials, int nseq, int64_t H, int64_t D, int me,
                            int threads) {
    int64_t blocks = 0, at = 0;
    for (int i = 0; i < nseq; i++) blocks += seqs[i].n == 1 ? blocks_of (&seqs[i]) : 0;
    const int64_t cuts = wb_cut_cache_heads (H, blocks, threads);
    const int64_t lo = blocks * cuts * me / threads, hi = blocks * cuts * (me + 1) / threads;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
        if (c->n != 1) continue;
        for (int64_t b = 0; b < blocks_of (c); b++, at++) {
            const int64_t t = b * WB_CACHE_BLOCK, n = min64 (WB_CACHE_BLOCK, c->len - t);
            for (int64_t cut = 0; cut < cuts; cut++) {
                if (at * cuts + cut < lo || at * cuts + cut >= hi) continue;
                for (int64_t h = H * cut / cuts; h < H * (cut + 1) / cuts; h++)
                    attend_single (partials + (at * H + h) * wb_att_partial_floats (D), c->qkv + h * D,
                                   keys_of (c, t, h, D), n, D, c->half);
            }
        }
    }
}

static void finish_singles (const wb_cached_t *seqs, float *partials, int nseq, int64_t H, int64_t D, int me,
                            int threads) {
    int64_t at = 0, task = 0;
    for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
        if (c->n != 1) continue;
        for (int64_t h = 0; h < H; h++, task++)
            if (task % threads == me)
                merge_partials (c->out + h * D, partials + (at * H + h) * wb_att_partial_floats (D), blocks_of (c), H,
                                D);
        at += blocks_of (c);
    }
}

void KERNEL (attention_cached) (const wb_cached_t *seqs, float *work, int nseq, int64_t H, int64_t D) {
    const int64_t per_thread = wb_att_thread_floats (0, D);
    float *partials = work + omp_get_max_threads () * per_thread;
    int64_t scores = 0;
    bool singles = false;
    for (int i = 0; i < nseq; i++) {
        scores += seqs[i].n * seqs[i].len;
        singles = singles || seqs[i].n == 1;
    }
#pragma omp parallel if (scores * H * D >= PARALLEL_MIN)
    {
        const int me = omp_get_thread_num (), threads = omp_get_num_threads ();
        store_keys (seqs, nseq, H, D, me, threads);
#pragma omp barrier
        attend_singles (seqs, partials, nseq, H, D, me, threads);
        for (const wb_cached_t *c = seqs; c < seqs + nseq; c++) {
            const int64_t blocks = c->n > 1 ? (c->n + BQ - 1) / BQ : 0;
#pragma omp for schedule(dynamic) nowait
            for (int64_t task = 0; task < H * blocks; task++) { /* the longest first */
                const int64_t h = task % H, i = (blocks - 1 - task / H) * BQ;
                const att_keys_t keys = {.blocks = c->blocks,
                                         .at = c->at,
                                         .head = h * 2 * CACHED_VALUES (D),
                                         .values = CACHED_VALUES (D),
                                         .half = c->half};
                att_block (c->out + (i * H + h) * D, H * D, NULL, c->qkv + (i * 3 * H + h) * D, 3 * H * D, &keys,
                           c->len - c->n + i, min64 (BQ, c->n - i), D, work + me * per_thread);
            }
        }
        if (singles) {
#pragma omp barrier
            finish_singles (seqs, partials, nseq, H, D, me, threads);
        }
    }
}
