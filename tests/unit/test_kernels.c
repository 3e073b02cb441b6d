/* Every kernel of every instruction set this machine has against the plain-C twin, at odd sizes; the twins' backward
 * passes against finite differences; accuracy of exp and gelu; same bits for any number of threads; the BLAS wrapper.
 */
#include <string.h>

#include "t.h"

#include "config.h"
#include "kernels/kernels_priv.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static uint64_t stream;

/* n floats, uniform in -range .. range, new ones at each call; NaN before and after, to notice a wrong read. */
#define GUARD 16
static float *floats (int64_t n, double range) {
    float *p = wb_malloc ((size_t) (n + 2 * GUARD) * sizeof (float));
    if (p == NULL) exit (4);
    stream++;
    for (int64_t i = 0; i < n; i++) p[GUARD + i] = (float) (range * (2 * wb_rng_uniform (7, stream, (uint64_t) i) - 1));
    for (int i = 0; i < GUARD; i++) p[i] = p[GUARD + n + i] = NAN;
    return p + GUARD;
}
static float *copy (const float *x, int64_t n) {
    float *p = floats (n, 0);
    memcpy (p, x, (size_t) n * sizeof (float));
    return p;
}
/* Checks that nothing was written beyond the n floats. */
static void drop (float *p, int64_t n) {
    bool clean = true;
    for (int i = 1; i <= GUARD; i++) clean = clean && isnan (p[-i]) && isnan (p[n - 1 + i]);
    T_OK (clean, "written outside an array of %lld floats", (long long) n);
    wb_free (p - GUARD);
}
static bool same (const float *a, const float *b, int64_t n) { return memcmp (a, b, (size_t) n * sizeof (float)) == 0; }

static int isas (void) { return (int) wb_cpu_isa () + 1; }

/* ---- one kernel after the other against the twin ----------------------------------------------------------------- */

static void check_embed (const wb_kern_t *k, int64_t B, int64_t T, int64_t C) {
    const wb_kern_t *ref = wb_kern_ref ();
    const int64_t n = B * T, v0 = 5, v1 = 12;
    float *wte = floats ((v1 - v0) * C, 1), *wpe = floats ((T + 3) * C, 1), *a = floats (n * C, 1),
          *b = floats (n * C, 1);
    int32_t tokens[512];
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t) (wb_rng_u64 (1, 2, (uint64_t) i) % 20);
    for (int with = 0; with < 2; with++) {
        k->embed_forward (a, tokens, wte, with ? wpe : NULL, n, T, C, v0, v1, 3);
        ref->embed_forward (b, tokens, wte, with ? wpe : NULL, n, T, C, v0, v1, 3);
        T_OK (same (a, b, n * C), "%s: embed_forward", k->name);
    }
    float *d0 = floats ((v1 - v0) * C, 1), *d1 = copy (d0, (v1 - v0) * C), *p0 = floats (T * C, 1),
          *p1 = copy (p0, T * C);
    k->embed_backward (d0, p0, a, tokens, n, T, C, v0, v1);
    ref->embed_backward (d1, p1, a, tokens, n, T, C, v0, v1);
    k->embed_backward (d0, NULL, a, tokens, n, T, C, v0, v1);
    ref->embed_backward (d1, NULL, a, tokens, n, T, C, v0, v1);
    T_NEAR (d0, d1, (v1 - v0) * C, 1e-5, 1e-5);
    T_NEAR (p0, p1, T * C, 1e-5, 1e-5);
    drop (wte, (v1 - v0) * C), drop (wpe, (T + 3) * C), drop (a, n * C), drop (b, n * C);
    drop (d0, (v1 - v0) * C), drop (d1, (v1 - v0) * C), drop (p0, T * C), drop (p1, T * C);
}

static void check_layernorm (const wb_kern_t *k, int64_t n, int64_t C) {
    const wb_kern_t *ref = wb_kern_ref ();
    float *x = floats (n * C, 2), *g = floats (C, 1), *b = floats (C, 1), *o0 = floats (n * C, 0),
          *o1 = floats (n * C, 0);
    float *m0 = floats (n, 0), *m1 = floats (n, 0), *r0 = floats (n, 0), *r1 = floats (n, 0);
    for (int64_t i = 0; i < n * C; i++) x[i] += 3.0f; /* a mean that must be subtracted */
    k->layernorm_forward (o0, m0, r0, x, g, b, n, C);
    ref->layernorm_forward (o1, m1, r1, x, g, b, n, C);
    T_NEAR (o0, o1, n * C, 1e-5, C > 1 ? 1e-5 : 1e-3);
    T_NEAR (m0, m1, n, 1e-6, 1e-6);
    T_NEAR (r0, r1, n, 1e-5, 1e-5);
    k->layernorm_forward (o0, NULL, NULL, x, g, b, n, C);
    T_NEAR (o0, o1, n * C, 1e-5, C > 1 ? 1e-5 : 1e-3);
    float *y = floats (n * C, 2), *s0 = floats (n * C, 0), *s1 = floats (n * C, 0);
    for (int with = 0; with < 2; with++) {
        k->residual_layernorm (o0, m0, r0, s0, x, y, with ? b : NULL, g, b, n, C);
        k->bias_residual (s1, x, y, with ? b : NULL, n, C);
        k->layernorm_forward (o1, m1, r1, s1, g, b, n, C);
        T_OK (same (o0, o1, n * C) && same (s0, s1, n * C) && same (m0, m1, n) && same (r0, r1, n),
              "%s: residual_layernorm is the two one after the other", k->name);
        ref->residual_layernorm (o1, m1, r1, s1, x, y, with ? b : NULL, g, b, n, C);
        T_NEAR (o0, o1, n * C, 1e-5, C > 1 ? 1e-5 : 1e-3);
        T_OK (same (s0, s1, n * C), "%s: residual_layernorm's sum", k->name);
    }
    drop (y, n * C), drop (s0, n * C), drop (s1, n * C);
    ref->layernorm_forward (o1, m1, r1, x, g, b, n, C);
    float *dy = floats (n * C, 1), *dx0 = floats (n * C, 1), *dx1 = copy (dx0, n * C);
    float *dg0 = floats (C, 1), *dg1 = copy (dg0, C), *db0 = floats (C, 1), *db1 = copy (db0, C);
    k->layernorm_backward (dx0, dg0, db0, dy, x, m1, r1, g, n, C);
    ref->layernorm_backward (dx1, dg1, db1, dy, x, m1, r1, g, n, C);
    T_NEAR (dx0, dx1, n * C, 1e-5, C > 1 ? 1e-5 : 1e-3);
    T_NEAR (dg0, dg1, C, 1e-5, 5e-5);
    T_NEAR (db0, db1, C, 1e-5, 5e-5);
    drop (x, n * C), drop (g, C), drop (b, C), drop (o0, n * C), drop (o1, n * C), drop (m0, n), drop (m1, n);
    drop (r0, n), drop (r1, n), drop (dy, n * C), drop (dx0, n * C), drop (dx1, n * C), drop (dg0, C), drop (dg1, C);
    drop (db0, C), drop (db1, C);
}

static void check_rows (const wb_kern_t *k, int64_t n, int64_t m) {
    const wb_kern_t *ref = wb_kern_ref ();
    float *x = floats (n * m, 4), *y = floats (n * m, 4), *b = floats (m, 1), *o0 = floats (n * m, 0),
          *o1 = floats (n * m, 0);
    float *z0 = copy (x, n * m), *z1 = copy (x, n * m), *d0 = floats (m, 1), *d1 = copy (d0, m);
    k->bias_add (z0, b, n, m);
    ref->bias_add (z1, b, n, m);
    T_OK (same (z0, z1, n * m), "%s: bias_add", k->name);
    k->bias_backward (d0, x, n, m);
    ref->bias_backward (d1, x, n, m);
    T_NEAR (d0, d1, m, 1e-5, 2e-4);
    k->bias_gelu_forward (o0, z0, b, n, m);
    ref->bias_gelu_forward (o1, z1, b, n, m);
    T_OK (same (z0, z1, n * m), "%s: bias_gelu_forward keeps z", k->name);
    T_NEAR (o0, o1, n * m, 1e-5, 1e-7);
    memset (o0, 0, (size_t) (n * m) * sizeof (float));
    k->gelu_forward (o0, z0, n * m);
    T_NEAR (o0, o1, n * m, 1e-5, 1e-7);
    k->gelu_backward (o0, d0, y, z0, n, m);
    ref->gelu_backward (o1, d1, y, z1, n, m);
    T_NEAR (d0, d1, m, 1e-5, 3e-4);
    T_NEAR (o0, o1, n * m, 1e-5, 5e-6);
    memcpy (o0, y, (size_t) (n * m) * sizeof (float));
    k->gelu_backward (o0, d0, o0, z0, n, m);
    T_NEAR (o0, o1, n * m, 1e-5, 5e-6);
    for (int with = 0; with < 2; with++) {
        k->bias_residual (o0, x, y, with ? b : NULL, n, m);
        ref->bias_residual (o1, x, y, with ? b : NULL, n, m);
        T_OK (same (o0, o1, n * m), "%s: bias_residual", k->name);
    }
    memcpy (z0, x, (size_t) (n * m) * sizeof (float));
    k->bias_residual (z0, z0, y, b, n, m);
    T_OK (same (z0, o1, n * m), "%s: bias_residual, out is x", k->name);
    memcpy (z0, y, (size_t) (n * m) * sizeof (float));
    k->bias_residual (z0, x, z0, b, n, m);
    T_OK (same (z0, o1, n * m), "%s: bias_residual, out is y", k->name);
    drop (x, n * m), drop (y, n * m), drop (b, m), drop (o0, n * m), drop (o1, n * m), drop (z0, n * m),
        drop (z1, n * m);
    drop (d0, m), drop (d1, m);
}

/* Rows of brain floats: the bits of the same kernels of fp32 with conversions between them. */
static void check_halves (const wb_kern_t *k, int64_t n, int64_t m) {
    const int64_t all = n * m;
    const size_t bytes = (size_t) all * sizeof (uint16_t);
    float *x = floats (all, 4), *b = floats (m, 1), *y = copy (x, all), *z = copy (x, all), *dout = floats (all, 4);
    float *d0 = floats (m, 1), *d1 = copy (d0, m), *g = floats (all, 0), *dz = copy (dout, all);
    uint16_t *h = wb_malloc (3 * bytes), *want = h + all, *o = want + all;
    k->bias_add (z, b, n, m);
    k->bf16_pack (want, z, all);
    k->bf16_unpack (z, want, all);
    k->bias_add_half (y, h, b, n, m);
    T_OK (same (y, z, all) && memcmp (h, want, bytes) == 0, "%s: bias_add_half of %lld x %lld", k->name, (long long) n,
          (long long) m);
    k->gelu_forward (g, z, all);
    k->bf16_pack (want, g, all);
    memset (h, 0, bytes);
    k->bias_gelu_half (o, h, x, b, n, m);
    T_OK (memcmp (o, want, bytes) == 0, "%s: bias_gelu_half of %lld x %lld", k->name, (long long) n, (long long) m);
    memset (o, 0, bytes);
    k->gelu_half (o, h, all);
    T_OK (memcmp (o, want, bytes) == 0, "%s: gelu_half of z that bias_gelu_half kept", k->name);
    k->gelu_backward (g, d0, dout, z, n, m);
    k->bf16_pack (want, g, all);
    k->gelu_backward_half (dz, o, d1, dz, h, n, m);
    T_OK (same (dz, g, all) && same (d0, d1, m) && memcmp (o, want, bytes) == 0, "%s: gelu_backward_half", k->name);
    memset (o, 0, bytes);
    k->gelu_backward_half (NULL, o, NULL, dout, h, n, m);
    T_OK (memcmp (o, want, bytes) == 0, "%s: gelu_backward_half, brain floats only", k->name);
    drop (x, all), drop (b, m), drop (y, all), drop (z, all), drop (dout, all), drop (d0, m), drop (d1, m);
    drop (g, all), drop (dz, all);
    wb_free (h);
}

/* The backward pass uses the results of its own forward pass, as in training: with the log-sum-exp of other scores than
 * its own the probabilities of a row would not add up to 1.  In fp32 a score S has an error of 2^-24 |S| or a few times
 * that, which is the relative error of its probability: 1e-5 to 3e-5 where scores are hundreds.  A gradient changes by
 * that times |dP - delta| |k| / sqrt D, about 10 for range 12: the bound for `big`. */
static void check_attention (const wb_kern_t *k, int64_t B, int64_t T, int64_t H, int64_t D, double range) {
    const wb_kern_t *ref = wb_kern_ref ();
    const int64_t nq = B * T * 3 * H * D, no = B * T * H * D, nl = B * H * T;
    const int64_t nw = wb_attention_work_floats (T, D, wb_kern_threads ());
    float *qkv = floats (nq, range), *o0 = floats (no, 0), *o1 = floats (no, 0), *l0 = floats (nl, 0),
          *l1 = floats (nl, 0);
    float *work = floats (nw, 0), *dy = floats (no, 1), *d0 = floats (nq, 9), *d1 = floats (nq, 9);
    for (int64_t i = 0; i < nw; i++) work[i] = NAN; /* its contents must not matter */
    const double big = range > 2 ? 20 : 1;          /* saturated scores: errors of the scores show in the result */
    k->attention_forward (o0, l0, qkv, work, B, T, H, D);
    ref->attention_forward (o1, l1, qkv, NULL, B, T, H, D);
    bool ok = T_NEAR (o0, o1, no, 1e-5 * big, 1e-5 * big);
    ok = T_NEAR (l0, l1, nl, 1e-6, 1e-5) && ok;
    for (int64_t i = 0; i < nw; i++) work[i] = NAN;
    k->attention_backward (d0, dy, o0, l0, qkv, work, B, T, H, D);
    ref->attention_backward (d1, dy, o1, l1, qkv, NULL, B, T, H, D);
    ok = T_NEAR (d0, d1, nq, 2e-5 * big, 2e-5 * big) && ok;
    T_OK (ok, "%s: attention B %lld T %lld H %lld D %lld", k->name, (long long) B, (long long) T, (long long) H,
          (long long) D);
    drop (qkv, nq), drop (o0, no), drop (o1, no), drop (l0, nl), drop (l1, nl), drop (work, nw), drop (dy, no);
    drop (d0, nq), drop (d1, nq);
}

/* Relative error of got [rows][count of a part of ld], in the mean of squares. */
static double off_by (const float *got, const float *want, int64_t rows, int64_t ld, int64_t count) {
    double error = 0, all = 1e-30;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < count; j++) {
            const double d = (double) got[i * ld + j] - (double) want[i * ld + j];
            error += d * d, all += (double) want[i * ld + j] * (double) want[i * ld + j];
        }
    return sqrt (error / all);
}

/* Attention of brain floats.  A rounded operand is off by 2^-9 / sqrt 3 of itself in the mean, 0.0011; a result has two
 * to four such errors, which are independent: at most 2^-7. */
static void check_attention_bf16 (int64_t B, int64_t T, int64_t H, int64_t D) {
    const wb_kern_t *ref = wb_kern_ref ();
    const int64_t nq = B * T * 3 * H * D, no = B * T * H * D, nl = B * H * T, C = H * D;
    const int64_t nw = wb_attention_work_floats (T, D, wb_kern_threads ());
    float *qkv = floats (nq, 1), *o0 = floats (no, 0), *o1 = floats (no, 0), *l0 = floats (nl, 0), *l1 = floats (nl, 0);
    float *work = floats (nw, 0), *dy = floats (no, 1), *d0 = floats (nq, 9), *d1 = floats (nq, 9);
    uint16_t *half = wb_malloc ((size_t) nq * sizeof *half);
    ref->bf16_pack (half, qkv, nq), ref->bf16_unpack (qkv, half, nq);
    for (int64_t i = 0; i < nw; i++) work[i] = NAN;
    const bool forward = wb_attention_forward_bf16 (o0, l0, qkv, work, B, T, H, D);
    ref->attention_forward (o1, l1, qkv, NULL, B, T, H, D);
    for (int64_t i = 0; i < nw; i++) work[i] = NAN;
    const bool backward = wb_attention_backward_bf16 (d0, dy, forward ? o0 : o1, l1, qkv, work, B, T, H, D);
    ref->attention_backward (d1, dy, o1, l1, qkv, NULL, B, T, H, D);
    T_OK (forward == backward, "attention of brain floats takes T %d D %d either way", (int) T, (int) D);
    if (forward && backward) {
        double off[4] = {off_by (o0, o1, 1, no, no)};
        for (int i = 0; i < 3; i++) off[1 + i] = off_by (d0 + i * C, d1 + i * C, B * T, 3 * C, C);
        T_OK (T_NEAR (l0, l1, nl, 1e-6, 1e-5), "and has the same sums");
        for (int i = 0; i < 4; i++)
            T_OK (off[i] > 0 && off[i] <= ldexp (1, -7), "T %d H %d D %d, %s: off by %.2g", (int) T, (int) H, (int) D,
                  &"out\0dq\0 dk\0 dv"[4 * i], off[i]);
    }
    wb_free (half);
    drop (qkv, nq), drop (o0, no), drop (o1, no), drop (l0, nl), drop (l1, nl), drop (work, nw), drop (dy, no);
    drop (d0, nq), drop (d1, nq);
}

/* Three sequences at once: n new positions after len - n, then fewer after fewer.  half: a cache of brain floats. */
static void check_cached_as (const wb_kern_t *k, int64_t n, int64_t len, int64_t H, int64_t D, bool half) {
    enum { SEQS = 3 };
    const wb_kern_t *ref = wb_kern_ref ();
    const int threads = wb_kern_threads ();
    const int64_t ldq = 3 * H * D, ldo = H * D, cache = wb_cache_floats (len + 3, H, D),
                  nw = wb_cached_work_floats (len + 3, H, D, SEQS, 3);
    float *qkv = floats (SEQS * n * ldq, 2), *work = floats (nw, 0), *o[3], *caches[3];
    const int64_t block = wb_cache_floats (WB_CACHE_BLOCK, H, D), blocks = cache / block;
    float *table[3][SEQS][8]; /* its blocks lie in the order of the positions, or the other way round */
    wb_cached_t seqs[3][SEQS];
    WB_ASSERT (blocks <= 8);
    caches[0] = floats (SEQS * cache, 2);
    for (int i = 0; i < SEQS; i++) /* what lies after the end of the cache is not read */
        for (int64_t t = (i == 0 || len == n ? len : len - i) - (i == 0 || n < 2 ? n : n - 1); t < len + 3; t++)
            for (int64_t h = 0; h < 2 * H * D; h++) {
                const int64_t b = i == 1 ? blocks - 1 - t / WB_CACHE_BLOCK : t / WB_CACHE_BLOCK;
                const int64_t row = (b * 2 * H + h / D) * WB_CACHE_BLOCK + t % WB_CACHE_BLOCK;
                caches[0][i * cache + row * D + h % D] = NAN;
            }
    if (half) { /* in place: the numbers keep their places, in half the memory */
        float *all = copy (caches[0], SEQS * cache);
        memset (caches[0], 0, (size_t) (SEQS * cache) * sizeof (float));
        for (int64_t b = 0; b < SEQS * blocks; b++)
            ref->bf16_pack ((uint16_t *) (void *) (caches[0] + b * block), all + b * block, block);
        drop (all, SEQS * cache);
    }
    for (int j = 0; j < 3; j++) {
        if (j > 0) caches[j] = copy (caches[0], SEQS * cache);
        o[j] = floats (SEQS * n * ldo, 0);
        memset (o[j], 0, (size_t) (SEQS * n * ldo) * sizeof (float));
        for (int i = 0; i < SEQS; i++)
            for (int64_t b = 0; b < blocks; b++)
                table[j][i][b] = caches[j] + i * cache + (i == 1 ? blocks - 1 - b : b) * block;
        for (int i = 0; i < SEQS; i++)
            seqs[j][i] = (wb_cached_t){.out = o[j] + i * n * ldo,
                                       .qkv = qkv + i * n * ldq,
                                       .blocks = table[j][i],
                                       .n = i == 0 || n < 2 ? n : n - 1,
                                       .len = i == 0 || len == n ? len : len - i,
                                       .half = half};
    }
    wb_kern_threads_set (3);
    k->attention_cached (seqs[0], work, SEQS, H, D);
    ref->attention_cached (seqs[1], NULL, SEQS, H, D);
    for (int i = 0; i < SEQS; i++) {
        wb_kern_threads_set (1 + i);
        k->attention_cached (&seqs[2][i], work, 1, H, D);
    }
    wb_kern_threads_set (threads);
    T_OK (T_NEAR (o[0], o[1], SEQS * n * ldo, 1e-5, 2e-5), "%s: attention_cached n %lld len %lld H %lld D %lld",
          k->name, (long long) n, (long long) len, (long long) H, (long long) D);
    T_OK (same (o[0], o[2], SEQS * n * ldo), "%s: attention_cached: a sequence of three is not the sequence alone",
          k->name);
    T_OK (memcmp (caches[0], caches[1], (size_t) (SEQS * cache) * sizeof (float)) == 0,
          "%s: attention_cached: what the cache holds then", k->name);
    drop (qkv, SEQS * n * ldq), drop (work, nw);
    for (int j = 0; j < 3; j++) drop (o[j], SEQS * n * ldo), drop (caches[j], SEQS * cache);
}

static void check_cached (const wb_kern_t *k, int64_t n, int64_t len, int64_t H, int64_t D) {
    check_cached_as (k, n, len, H, D, false);
    check_cached_as (k, n, len, H, D, true);
}

static void check_xent (const wb_kern_t *k, int64_t n, int64_t V) {
    const wb_kern_t *ref = wb_kern_ref ();
    const int64_t ld = V + 5, cut = V / 3;
    float *x = floats (n * ld, 8), *x0 = copy (x, n * ld), *x1 = copy (x, n * ld), *m0 = floats (n, 0),
          *m1 = floats (n, 0);
    float *s0 = floats (n, 0), *s1 = floats (n, 0), *h0 = floats (n, 0), *h1 = floats (n, 0);
    int32_t t[64];
    for (int64_t i = 0; i < n; i++) t[i] = i % 4 == 1 ? -1 : (int32_t) (wb_rng_u64 (3, 4, (uint64_t) i) % (uint64_t) V);
    k->xent_max (m0, x, n, V, ld);
    ref->xent_max (m1, x, n, V, ld);
    T_OK (same (m0, m1, n), "%s: xent_max", k->name);
    k->xent_sum (s0, h0, x, m0, t, n, V, ld, 0);
    ref->xent_sum (s1, h1, x, m1, t, n, V, ld, 0);
    T_NEAR (s0, s1, n, 2e-6, 0.0);
    T_OK (same (h0, h1, n), "%s: hit", k->name);
    k->xent_backward (x0, m0, s1, t, n, V, ld, 0, 0.25f);
    ref->xent_backward (x1, m1, s1, t, n, V, ld, 0, 0.25f);
    T_NEAR (x0, x1, n * ld, 5e-6, 1e-7);
    bool zero = true;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < V; j++) zero = zero && (t[i] >= 0 || x0[i * ld + j] == 0.0f);
    T_OK (zero, "%s: rows that do not count have no gradient", k->name);
    if (cut > 0) { /* two shards of the vocabulary */
        float *ma = floats (n, 0), *mb = floats (n, 0), *sa = floats (n, 0), *sb = floats (n, 0), *ha = floats (n, 0);
        float *hb = floats (n, 0), *xs = copy (x, n * ld);
        k->xent_max (ma, x, n, cut, ld);
        k->xent_max (mb, x + cut, n, V - cut, ld);
        for (int64_t i = 0; i < n; i++) ma[i] = ma[i] > mb[i] ? ma[i] : mb[i];
        T_OK (same (ma, m0, n), "%s: maxima of two shards", k->name);
        k->xent_sum (sa, ha, x, ma, t, n, cut, ld, 0);
        k->xent_sum (sb, hb, x + cut, ma, t, n, V - cut, ld, cut);
        for (int64_t i = 0; i < n; i++) sa[i] += sb[i], ha[i] += hb[i];
        T_NEAR (sa, s0, n, 2e-6, 0.0);
        T_OK (same (ha, h0, n), "%s: hits of two shards", k->name);
        k->xent_backward (xs, ma, s1, t, n, cut, ld, 0, 0.25f);
        k->xent_backward (xs + cut, ma, s1, t, n, V - cut, ld, cut, 0.25f);
        T_NEAR (xs, x0, n * ld, 5e-6, 1e-7);
        drop (ma, n), drop (mb, n), drop (sa, n), drop (sb, n), drop (ha, n), drop (hb, n), drop (xs, n * ld);
    }
    drop (x, n * ld), drop (x0, n * ld), drop (x1, n * ld), drop (m0, n), drop (m1, n), drop (s0, n), drop (s1, n);
    drop (h0, n), drop (h1, n);
}

static void check_elementwise (const wb_kern_t *k, int64_t n) {
    const wb_kern_t *ref = wb_kern_ref ();
    float *x = floats (n, 3), *a = floats (n, 3), *b = copy (a, n), *m0 = floats (n, 1), *m1 = copy (m0, n);
    float *v0 = floats (n, 1), *v1;
    uint16_t *p0 = wb_calloc ((size_t) n, 2), *p1 = wb_calloc ((size_t) n, 2);
    if (p0 == NULL || p1 == NULL) exit (4);
    for (int64_t i = 0; i < n; i++) v0[i] = fabsf (v0[i]);
    v1 = copy (v0, n);
    k->add (a, x, n), ref->add (b, x, n);
    T_OK (same (a, b, n), "%s: add", k->name);
    k->scale (a, 1.7f, n), ref->scale (b, 1.7f, n);
    T_OK (same (a, b, n), "%s: scale", k->name);
    const double s = k->sumsq (x, n), sr = ref->sumsq (x, n);
    T_OK (fabs (s - sr) <= 1e-12 * sr, "%s: sumsq %.17g, not %.17g", k->name, s, sr);
    if (n > 3) {
        const uint32_t special[] = {0x7f800000, 0xff800000, 0x7f800001, 0xffffffff, 0x7f7fffff, 0x00000001,
                                    0x3f808000, 0x3f818000, 0x3f808001, 0x80000000, 0x7fc00000};
        float *y = copy (x, n);
        for (int64_t i = 0; i < n && i < 11; i++) memcpy (y + i, special + i, 4);
        k->bf16_pack (p0, y, n), ref->bf16_pack (p1, y, n);
        T_OK (memcmp (p0, p1, (size_t) n * 2) == 0, "%s: bf16_pack of special values", k->name);
        k->bf16_round (a, y, n), ref->bf16_unpack (b, p1, n);
        T_OK (memcmp (a, b, (size_t) n * 4) == 0, "%s: bf16_round of special values", k->name);
        if (n >= 11)
            T_OK (p0[0] == 0x7f80 && p0[1] == 0xff80 && (p0[2] & 0x7fff) > 0x7f80 && (p0[3] & 0x7fff) > 0x7f80 &&
                      p0[4] == 0x7f80 && p0[6] == 0x3f80 && p0[7] == 0x3f82 && p0[8] == 0x3f81 && p0[9] == 0x8000,
                  "%s: bf16 rounds to nearest even, NaN stays NaN", k->name);
        drop (y, n);
    }
    k->bf16_pack (p0, x, n), ref->bf16_pack (p1, x, n);
    T_OK (memcmp (p0, p1, (size_t) n * 2) == 0, "%s: bf16_pack", k->name);
    k->bf16_add (a, p0, n), ref->bf16_add (b, p0, n);
    T_OK (same (a, b, n), "%s: bf16_add", k->name);
    k->bf16_unpack (a, p0, n), ref->bf16_unpack (b, p0, n);
    T_OK (same (a, b, n), "%s: bf16_unpack", k->name);
    k->bf16_round (a, x, n), ref->bf16_round (b, x, n);
    T_OK (same (a, b, n), "%s: bf16_round", k->name);
    k->adam (a, m0, v0, x, n, 0.01f, 0.9f, 0.95f, 1e-8f, 0.001f, 0.5f);
    ref->adam (b, m1, v1, x, n, 0.01f, 0.9f, 0.95f, 1e-8f, 0.001f, 0.5f);
    T_NEAR (m0, m1, n, 1e-6, 1e-7);
    T_NEAR (v0, v1, n, 1e-6, 1e-7);
    T_NEAR (a, b, n, 1e-6, 1e-6);
    k->adagrad (a, v0, x, n, 0.01f, 1e-8f, 0.001f, 0.5f);
    ref->adagrad (b, v1, x, n, 0.01f, 1e-8f, 0.001f, 0.5f);
    T_NEAR (v0, v1, n, 1e-6, 1e-7);
    T_NEAR (a, b, n, 1e-6, 1e-6);
    k->sgd (a, x, n, 0.01f, 0.001f, 0.5f);
    ref->sgd (b, x, n, 0.01f, 0.001f, 0.5f);
    T_NEAR (a, b, n, 1e-6, 1e-6);
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        k->momentum (a, m0, a, n, 0.9f, 0.5f, nesterov != 0); /* the update in place of the gradient */
        ref->momentum (b, m1, b, n, 0.9f, 0.5f, nesterov != 0);
        T_NEAR (m0, m1, n, 1e-5, 1e-6);
        T_NEAR (a, b, n, 1e-5, 1e-6);
    }
    if (n > 0) {
        x[n / 2] = NAN;
        T_OK (isnan (k->sumsq (x, n)), "%s: sumsq lets NaN through", k->name);
        x[n / 2] = -INFINITY;
        T_OK (isinf (k->sumsq (x, n)), "%s: sumsq lets infinity through", k->name);
    }
    drop (x, n), drop (a, n), drop (b, n), drop (m0, n), drop (m1, n), drop (v0, n), drop (v1, n);
    wb_free (p0), wb_free (p1);
}

/* ---- accuracy of the exponential --------------------------------------------------------------------------------- */

/* 2^(c x), which attention uses on differences of scores.  Without multiply-add c x is rounded to 24 bits first, an
 * error of at most |c x| ln 2 units in the last place of the result. */
static void check_exp2 (wb_isa isa) {
    enum { N = 100003 };
    static float x[N], y[N];
    const float cs[] = {1.0f, 0.18033688f};
    for (int j = 0; j < 2; j++) {
        const double c = (double) cs[j];
        double ulp = 0;
        for (int i = 0; i < N; i++) x[i] = (float) ((-126 + (double) i / N * 253.4) / c);
        wb_isa_kernels (isa)->exp2 (y, x, cs[j], N);
        for (int i = 0; i < N; i++) {
            const double cx = c * (double) x[i], e = exp2 (cx);
            const float near = (float) e;
            const double off = fabs ((double) y[i] - e) / (double) (nextafterf (near, INFINITY) - near);
            ulp = fmax (ulp, off - (j > 0 ? fabs (cx) * log (2.0) : 0.0));
        }
        printf ("%s: exp2 (%g x) %.2f ulp\n", wb_isa_name (isa), c, ulp);
        T_OK (ulp <= 2, "%s: exp2 (%g x) is off by %.2f ulp", wb_isa_name (isa), c, ulp);
        float special[] = {0.0f, 1.0f, -1.0f, -127.5f, -1e30f, -INFINITY, 128.5f, INFINITY, NAN};
        for (int i = 0; i < 9; i++) special[i] /= cs[j];
        wb_isa_kernels (isa)->exp2 (y, special, cs[j], 9);
        T_OK (y[0] == 1.0f && (j > 0 || (y[1] == 2.0f && y[2] == 0.5f)), "%s: exp2 of 0, 1, -1", wb_isa_name (isa));
        T_OK (y[3] == 0.0f && y[4] == 0.0f && y[5] == 0.0f, "%s: exp2 of very negative numbers is 0",
              wb_isa_name (isa));
        T_OK (isinf (y[6]) && isinf (y[7]) && isnan (y[8]), "%s: exp2 of large numbers, of NaN", wb_isa_name (isa));
    }
}

static void check_exp (wb_isa isa) {
    enum { N = 4099 };
    static float x[N], y[N], g[N], sums[N];
    const wb_kern_t *k = wb_kern_get (isa);
    double ulp = 0, ge = 0, de = 0;
    for (int part = 0; part < 64; part++) {
        for (int i = 0; i < N; i++) {
            const double at = (part + (double) i / N) / 64; /* 0 .. 1 */
            x[i] = (float) (-87.33 + at * (88.37 + 87.33));
        }
        wb_isa_kernels (isa)->exp (y, x, N);
        for (int i = 0; i < N; i++) {
            const double e = exp ((double) x[i]);
            const float near = (float) e;
            const double u = (double) (nextafterf (near, INFINITY) - near);
            ulp = fmax (ulp, fabs ((double) y[i] - e) / u);
            x[i] = (float) (-12 + 24 * (part + (double) i / N) / 64);
        }
        k->gelu_forward (y, x, N);
        for (int i = 0; i < N; i++) g[i] = 1.0f;
        k->gelu_backward (g, sums, g, x, 1, N);
        for (int i = 0; i < N; i++) {
            const double z = (double) x[i], a = 0.7978845608028654, t = tanh (a * (z + 0.044715 * z * z * z));
            const double d = 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * a * (1 + 3 * 0.044715 * z * z);
            ge = fmax (ge, fabs ((double) y[i] - 0.5 * z * (1 + t)) / fmax (1, fabs (z)));
            de = fmax (de, fabs ((double) g[i] - d));
        }
    }
    printf ("%s: exp %.2f ulp, gelu %.2g (of max (1, |z|)), gelu' %.2g\n", k->name, ulp, ge, de);
    T_OK (ulp <= 2, "%s: exp is off by %.2f ulp", k->name, ulp);
    T_OK (ge <= 2e-7 && de <= 5e-7, "%s: gelu %g, derivative %g", k->name, ge, de);

    const float special[] = {0.0f, -0.0f, -88.5f, -1e30f, -INFINITY, 89.5f, 1e30f, INFINITY, NAN};
    wb_isa_kernels (isa)->exp (y, special, 9);
    T_OK (y[0] == 1.0f && y[1] == 1.0f, "%s: exp (0) = %.9g", k->name, (double) y[0]);
    T_OK (y[2] == 0.0f && y[3] == 0.0f && y[4] == 0.0f, "%s: exp of very negative numbers is 0", k->name);
    T_OK (isinf (y[5]) && isinf (y[6]) && isinf (y[7]), "%s: exp of large numbers is infinite", k->name);
    T_OK (isnan (y[8]), "%s: exp (NaN) is NaN", k->name);
    const float edge[] = {-50.0f, 50.0f, -1e18f, NAN, 0.0f};
    k->gelu_forward (y, edge, 5);
    for (int i = 0; i < 5; i++) g[i] = 1.0f;
    k->gelu_backward (g, sums, g, edge, 1, 5);
    T_OK (fabsf (y[0]) == 0.0f && y[1] == 50.0f && fabsf (y[2]) == 0.0f && isnan (y[3]) && y[4] == 0.0f,
          "%s: gelu saturates: %g %g %g %g %g", k->name, (double) y[0], (double) y[1], (double) y[2], (double) y[3],
          (double) y[4]);
    T_OK (fabsf (g[0]) == 0.0f && g[1] == 1.0f && isnan (g[3]) && g[4] == 0.5f, "%s: gelu' saturates: %g %g %g %g",
          k->name, (double) g[0], (double) g[1], (double) g[3], (double) g[4]);
}

/* ---- the twins' derivatives by finite differences ---------------------------------------------------------------- */

/* sum (out w), with the kernel run on x: the scalar whose gradient is taken. */
typedef double (*scalar_fn) (const float *x);

/* gradient [n] of f at x by central differences, against g. */
static void differences (scalar_fn f, float *x, const float *g, int64_t n, double tol, const char *what) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const float old = x[i], h = 1e-2f;
        x[i] = old + h;
        const float up = x[i];
        const double fu = f (x);
        x[i] = old - h;
        const double fd = f (x), d = (fu - fd) / ((double) up - (double) x[i]);
        x[i] = old;
        worst = fmax (worst, fabs (d - (double) g[i]));
    }
    T_OK (worst <= tol, "%s against differences: %g", what, worst);
}

enum { FN = 3, FC = 10, FB = 2, FT = 5, FH = 2, FD = 3, FA = FB * FT * 3 * FH * FD, FO = FB * FT * FH * FD };
static float fw[FA], fg[FC], fb[FC], fo[FA], fl[FB * FH * FT];

static double sum_layernorm (const float *x) {
    double s = 0;
    wb_kern_ref ()->layernorm_forward (fo, NULL, NULL, x, fg, fb, FN, FC);
    for (int i = 0; i < FN * FC; i++) s += (double) fo[i] * (double) fw[i];
    return s;
}
static double sum_gelu (const float *x) {
    double s = 0;
    wb_kern_ref ()->gelu_forward (fo, x, FC);
    for (int i = 0; i < FC; i++) s += (double) fo[i] * (double) fw[i];
    return s;
}
static double sum_attention (const float *x) {
    double s = 0;
    wb_kern_ref ()->attention_forward (fo, fl, x, NULL, FB, FT, FH, FD);
    for (int i = 0; i < FO; i++) s += (double) fo[i] * (double) fw[i];
    return s;
}
static const int32_t ft[FN] = {2, -1, 7};
static double loss_xent (const float *x) {
    float m[FN], s[FN], h[FN];
    double loss = 0;
    wb_kern_ref ()->xent_max (m, x, FN, FC, FC);
    wb_kern_ref ()->xent_sum (s, h, x, m, ft, FN, FC, FC, 0);
    for (int i = 0; i < FN; i++)
        if (ft[i] >= 0) loss += log ((double) s[i]) + (double) m[i] - (double) h[i];
    return 0.5 * loss;
}

static void check_differences (void) {
    const wb_kern_t *ref = wb_kern_ref ();
    float *x = floats (FA, 1), *r = floats (FA, 1), *d = floats (FA, 0), m[FN], s[FN], h[FN], dg[FC] = {0},
          db[FC] = {0};
    memcpy (fw, r, sizeof fw);
    for (int i = 0; i < FC; i++) fg[i] = 0.5f + (float) i / FC, fb[i] = 0.1f * (float) i;
    ref->layernorm_forward (fo, m, s, x, fg, fb, FN, FC);
    ref->layernorm_backward (d, dg, db, fw, x, m, s, fg, FN, FC);
    differences (sum_layernorm, x, d, FN * FC, 2e-3, "layernorm dx");
    for (int j = 0; j < FC; j++) {
        double g = 0, b = 0;
        for (int i = 0; i < FN; i++) {
            g += (double) fw[i * FC + j] * ((double) x[i * FC + j] - (double) m[i]) * (double) s[i];
            b += (double) fw[i * FC + j];
        }
        T_OK (fabs (g - (double) dg[j]) < 1e-6 && fabs (b - (double) db[j]) < 1e-6, "layernorm dg, db");
    }
    ref->gelu_backward (d, db, fw, x, 1, FC);
    differences (sum_gelu, x, d, FC, 1e-3, "gelu");
    float o[FO], l[FB * FH * FT];
    ref->attention_forward (o, l, x, NULL, FB, FT, FH, FD);
    ref->attention_backward (d, fw, o, l, x, NULL, FB, FT, FH, FD);
    differences (sum_attention, x, d, FA, 1e-3, "attention");
    memcpy (d, x, FN * FC * sizeof (float));
    ref->xent_max (m, d, FN, FC, FC);
    ref->xent_sum (s, h, d, m, ft, FN, FC, FC, 0);
    ref->xent_backward (d, m, s, ft, FN, FC, FC, 0, 0.5f);
    differences (loss_xent, x, d, FN * FC, 1e-3, "cross entropy");
    drop (x, FA), drop (r, FA), drop (d, FA);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Everything that sums, at a size worth threads: all results one after the other in `out`. */
enum { SN = 150, SC = 516, SB = 2, ST = 150, SH = 3, SD = 25 };
static int64_t run_all (const wb_kern_t *k, float *out) {
    enum { QKV = SB * ST * 3 * SH * SD, O = SB * ST * SH * SD };
    const int64_t nw = wb_attention_work_floats (ST, SD, wb_kern_threads ()), big = 300001;
    int32_t tokens[SN];
    stream = 1000; /* the same numbers at each call */
    float *x = floats (SN * SC, 1), *dy = floats (SN * SC, 1), *g = floats (SC, 1), *qkv = floats (QKV, 1);
    float *work = floats (nw, 1), *l = floats (big, 1), *b = floats (SC, 1);
    float *p = out, *start = out;
    for (int i = 0; i < SN; i++) tokens[i] = i % 7 == 0 ? -1 : i * 31 % 97;
    memset (out, 0, sizeof (float) * 2000000);
    k->layernorm_forward (p, p + SN * SC, p + SN * SC + SN, x, g, b, SN, SC);
    float *mean = p + SN * SC, *rstd = mean + SN;
    p = rstd + SN;
    k->layernorm_backward (p, p + SN * SC, p + SN * SC + SC, dy, x, mean, rstd, g, SN, SC), p += SN * SC + 2 * SC;
    k->bias_backward (p, dy, SN, SC), p += SC;
    k->embed_backward (p, p + 90 * SC, dy, tokens, SN, SN / 2, SC, 3, 93), p += 90 * SC + SN / 2 * SC;
    k->bias_gelu_forward (p, x, b, SN, SC), p += SN * SC;
    k->gelu_backward (p, p + SN * SC, dy, x, SN, SC), p += SN * SC + SC;
    k->attention_forward (p, p + O, qkv, work, SB, ST, SH, SD);
    k->attention_backward (p + O + SB * SH * ST, dy, p, p + O, qkv, work, SB, ST, SH, SD), p += O + SB * SH * ST + QKV;
    /* one head: cut in blocks as soon as there are two threads */
    k->attention_forward (p, p + ST * SD, qkv, work, 1, ST, 1, SD);
    k->attention_backward (p + ST * SD + ST, dy, p, p + ST * SD, qkv, work, 1, ST, 1, SD), p += 4 * ST * SD + ST;
    const int64_t nc = wb_cache_floats (130, SH, SD), ncw = wb_cached_work_floats (130, SH, SD, 3, wb_kern_threads ());
    float *cache = floats (3 * nc, 1), *cached_work = floats (ncw, 1);
    float *table[3][3];
    for (int i = 0; i < 9; i++) table[i / 3][i % 3] = cache + i / 3 * nc + i % 3 * (nc / 3);
    const wb_cached_t seqs[] = {{p, x, table[0], 0, 100, 130, false},
                                {p + 100 * SH * SD, x, table[1], 0, 3, 130, false},
                                {p + 103 * SH * SD, x, table[2], 0, 1, 130, false}};
    k->attention_cached (seqs, cached_work, 3, SH, SD), p += 104 * SH * SD;
    drop (cache, 3 * nc), drop (cached_work, ncw);
    k->xent_max (p, x, SN, SC, SC);
    k->xent_sum (p + SN, p + 2 * SN, x, p, tokens, SN, SC, SC, 0);
    k->xent_backward (x, p, p + SN, tokens, SN, SC, SC, 0, 1), p += 3 * SN;
    memcpy (p, x, SN * SC * sizeof (float)), p += SN * SC;
    const double s = k->sumsq (l, big);
    memcpy (p, &s, sizeof s), p += 2;
    k->gelu_forward (p, l, big), p += big;
    k->adam (p, p + big, p + 2 * big, l, big, 0.1f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.5f), p += 3 * big;
    drop (x, SN * SC), drop (dy, SN * SC), drop (g, SC), drop (qkv, QKV), drop (work, nw), drop (l, big), drop (b, SC);
    return p - start;
}

/* More columns than are summed at once, more groups of rows than there is room for: as the twin, and the same bits from
 * any number of threads. */
static void check_sums (const wb_kern_t *k) {
    enum { ROWS = 1200, COLUMNS = 8200 };
    const int before = wb_kern_threads ();
    float *dy = floats ((int64_t) ROWS * COLUMNS, 1), *db = floats (COLUMNS, 1), *want = floats (COLUMNS, 1),
          *one = floats (COLUMNS, 1);
    memcpy (want, db, COLUMNS * sizeof *db), memcpy (one, db, COLUMNS * sizeof *db);
    wb_kern_ref ()->bias_backward (want, dy, ROWS, COLUMNS);
    wb_kern_threads_set (1);
    k->bias_backward (one, dy, ROWS, COLUMNS);
    T_NEAR (one, want, COLUMNS, 1e-4, 1e-4);
    for (int threads = 3; threads <= 48; threads *= 4) {
        float *more = floats (COLUMNS, 1);
        memcpy (more, db, COLUMNS * sizeof *db);
        wb_kern_threads_set (threads);
        k->bias_backward (more, dy, ROWS, COLUMNS);
        T_OK (memcmp (more, one, COLUMNS * sizeof *one) == 0, "%s: %d threads sum otherwise", k->name, threads);
        drop (more, COLUMNS);
    }
    wb_kern_threads_set (before);
    drop (dy, (int64_t) ROWS * COLUMNS), drop (db, COLUMNS), drop (want, COLUMNS), drop (one, COLUMNS);
}

static void check_threads (const wb_kern_t *k) {
    float *one = wb_calloc (2000000, sizeof (float)), *more = wb_calloc (2000000, sizeof (float));
    const int before = wb_kern_threads ();
    if (one == NULL || more == NULL) exit (4);
    wb_kern_threads_set (1);
    const int64_t n = run_all (k, one);
    T_OK (n <= 2000000, "the test's buffer holds %lld floats", (long long) n);
    static const int teams[] = {2, 3, 4, 5, 16, 40, 64};
    for (size_t team = 0; team < sizeof teams / sizeof *teams; team++) {
        const int threads = teams[team];
        wb_kern_threads_set (threads);
        T_OK (wb_kern_threads () == threads, "threads are set");
        (void) run_all (k, more);
        int64_t first = -1;
        for (int64_t i = 0; i < n && first < 0; i++)
            if (memcmp (one + i, more + i, 4) != 0) first = i;
        T_OK (first < 0, "%s: %d threads give other bits than one, at %lld", k->name, threads, (long long) first);
    }
    wb_kern_threads_set (before);
    wb_free (one), wb_free (more);
}

/* ---- the matrix product ------------------------------------------------------------------------------------------ */

static void check_gemm (int64_t m, int64_t n, int64_t k) {
    for (int form = 0; form < 4; form++) {
        const bool ta = form & 1, tb = form & 2;
        const int64_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
        float *A = floats ((ta ? k : m) * lda, 1), *B = floats ((tb ? n : k) * ldb, 1), *C = floats (m * ldc, 1);
        float *D = copy (C, m * ldc);
        wb_gemm (C, A, B, m, n, k, ldc, lda, ldb, ta, tb, 0.5f, 2.0f);
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++) {
                double s = 0;
                for (int64_t l = 0; l < k; l++)
                    s += (double) A[ta ? l * lda + i : i * lda + l] * (double) B[tb ? j * ldb + l : l * ldb + j];
                D[i * ldc + j] = (float) (0.5 * s + 2.0 * (double) D[i * ldc + j]);
            }
        }
        T_NEAR (C, D, m * ldc, 1e-5, 1e-5);
        drop (A, (ta ? k : m) * lda), drop (B, (tb ? n : k) * ldb), drop (C, m * ldc), drop (D, m * ldc);
    }
}

/* Brain floats: products are exact, so against the sums of the rounded values there is only the rounding of fp32 sums,
 * k 2^-24 of the sum of absolute values; against those of the values before, also 2^-8 for each operand. */
static void check_gemm_bf16 (int64_t m, int64_t n, int64_t k) {
    const wb_kern_t *ref = wb_kern_ref ();
    static const float betas[] = {0.0f, 1.0f, -2.5f};
    for (int form = 0; form < 12; form++) {
        const bool ta = form & 1, tb = form & 2;
        const float beta = betas[form / 4];
        const int64_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
        const int64_t na = (ta ? k : m) * lda, nb = (tb ? n : k) * ldb;
        float *A = floats (na, 1), *B = floats (nb, 1), *C = floats (m * ldc, 1), *before = copy (C, m * ldc);
        uint16_t *a = wb_malloc ((size_t) na * sizeof *a), *b = wb_malloc ((size_t) nb * sizeof *b);
        ref->bf16_pack (a, A, na), ref->bf16_pack (b, B, nb);
        wb_gemm_bf16 (C, a, b, m, n, k, ldc, lda, ldb, ta, tb, beta);
        double worst = 0, off = 0;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < ldc; j++) {
                const double was = (double) before[i * ldc + j], got = (double) C[i * ldc + j];
                if (j >= n) worst = fmax (worst, got == was ? 0 : INFINITY); /* between the rows */
                if (j >= n) continue;
                double exact = beta * was, rounded = exact, sum = fabs (exact) + 1e-30;
                for (int64_t l = 0; l < k; l++) {
                    const int64_t p = ta ? l * lda + i : i * lda + l, q = tb ? j * ldb + l : l * ldb + j;
                    float x, y;
                    ref->bf16_unpack (&x, a + p, 1), ref->bf16_unpack (&y, b + q, 1);
                    exact += (double) A[p] * (double) B[q], rounded += (double) x * (double) y;
                    sum += fabs ((double) A[p] * (double) B[q]);
                }
                worst = fmax (worst, fabs (got - rounded) / sum), off = fmax (off, fabs (got - exact) / sum);
            }
        const double fp32 = ldexp ((double) k + 2, -24), each = ldexp (1, -8);
        T_OK (worst <= 1.01 * fp32, "%d x %d x %d, form %d: %.2g off the rounded sums, not %.2g", (int) m, (int) n,
              (int) k, form, worst, fp32);
        T_OK (off <= 1.01 * (2 * each + each * each + fp32) && off > 0, "%d x %d x %d, form %d: %.2g off", (int) m,
              (int) n, (int) k, form, off);
        wb_free (a), wb_free (b);
        drop (A, na), drop (B, nb), drop (C, m * ldc), drop (before, m * ldc);
    }
}

/* The bits of a product of brain floats do not depend on the number of threads. */
static void check_bf16_threads (void) {
    enum { M = 130, N = 100, K = 1600 };
    const int threads = wb_kern_threads ();
    float *A = floats (M * K, 1), *C = floats (M * N, 1), *D = floats (M * N, 1);
    uint16_t *a = wb_malloc (M * K * sizeof *a);
    wb_kern_ref ()->bf16_pack (a, A, M * K);
    for (int n = 1; n <= 8; n++) {
        wb_kern_threads_set (n);
        wb_gemm_bf16 (n == 1 ? C : D, a, a, M, N, K, N, K, K, false, true, 0);
        if (n > 1) T_OK (same (C, D, M * N), "a product of brain floats by %d threads", n);
    }
    /* OpenMP may give fewer threads than were asked for: here one, as the region around has them all */
    memset (D, 0, M * N * sizeof *D);
#pragma omp parallel num_threads(2)
#pragma omp single
    wb_gemm_bf16 (D, a, a, M, N, K, N, K, K, false, true, 0);
    T_OK (same (C, D, M * N), "a product of brain floats with fewer threads than asked for");
    wb_kern_threads_set (threads);
    wb_free (a);
    drop (A, M * K), drop (C, M * N), drop (D, M * N);
}

/* A shape that is chosen for BLAS has BLAS's bits, other shapes have not. */
static void check_choice (void) {
    enum { M = 65, N = 70, K = 333 };
    const wb_gemm_library was = wb_gemm_library_get ();
    const wb_gemm_shape_t shape = {M, N, K, false, true};
    if (!wb_gemm_library_set (WB_GEMM_ONEDNN)) return;
    float *A = floats (M * K, 1), *B = floats (K * N, 1), *C[4];
    for (int i = 0; i < 4; i++) {
        C[i] = floats (M * N, 1);
        wb_gemm_library_set (i == 0 ? WB_GEMM_BLAS : WB_GEMM_ONEDNN);
        if (i == 2) wb_gemm_choose (&shape, WB_GEMM_BLAS);
        wb_gemm (C[i], A, B, M, N, K, N, K, K, false, true, 1, 0);
        if (i == 2) wb_gemm_choose_none ();
    }
    T_OK (same (C[2], C[0], M * N), "a chosen library multiplies the shape");
    T_OK (same (C[3], C[1], M * N), "and no longer once that is forgotten");
    T_OK (wb_gemm_seconds (WB_GEMM_BLAS, &shape, C[0], A, B) > 0, "seconds of a product");
    for (int i = 0; i < 4; i++) drop (C[i], M * N);
    drop (A, M * K), drop (B, K * N);
    wb_gemm_library_set (was);
}

int main (void) {
    static const int64_t sizes[] = {1, 7, 16, 33, 100};
    wb_blas_info_t blas;
    check_differences ();
    check_halves (wb_kern_ref (), 9, 37);
    for (int isa = 0; isa < isas (); isa++) {
        const wb_kern_t *k = wb_kern_get ((wb_isa) isa);
        T_OK (strcmp (k->name, wb_isa_name ((wb_isa) isa)) == 0, "table %s for %s", k->name,
              wb_isa_name ((wb_isa) isa));
        check_exp ((wb_isa) isa), check_exp2 ((wb_isa) isa);
        check_embed (k, 2, 7, 33), check_embed (k, 3, 50, 300), check_embed (k, 1, 1, 1);
        for (int i = 0; i < 5; i++) {
            check_layernorm (k, sizes[4 - i], sizes[i]);
            check_rows (k, sizes[4 - i], sizes[i]);
            check_halves (k, sizes[4 - i], sizes[i]);
        }
        check_layernorm (k, 300, 259), check_rows (k, 260, 1111), check_halves (k, 260, 1111),
            check_layernorm (k, 3, 2500);
        static const int64_t Ts[] = {1, 7, 33, 64, 100, 257}, Ds[] = {8, 12, 25, 64};
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 4; j++) check_attention (k, i < 4 ? 2 : 1, Ts[i], 3, Ds[j], 1.0);
        check_attention (k, 1, 130, 1, 256, 1.0), check_attention (k, 1, 70, 2, 1, 1.0),
            check_attention (k, 1, 90, 1, 201, 1.0);
        for (int i = 0; i < 4; i++) /* scores of hundreds; a scale that is a power of two, and one that is not */
            check_attention (k, 1, 130, 2, 16, 12.0), check_attention (k, 1, 130, 2, 25, 12.0);
        for (int i = 0; i < 4; i++) {
            check_cached (k, 1, 1, 2, Ds[i]), check_cached (k, 1, 77, 2, Ds[i]), check_cached (k, 3, 130, 3, Ds[i]);
            check_cached (k, 70, 70, 2, Ds[i]), check_cached (k, 9, 200, 2, Ds[i]), check_cached (k, 66, 131, 1, Ds[i]);
        }
        check_xent (k, 7, 1), check_xent (k, 9, 33), check_xent (k, 64, 2049), check_xent (k, 5, 20573);
        check_elementwise (k, 1), check_elementwise (k, 37), check_elementwise (k, 16384), check_elementwise (k, 70001);
        check_threads (k);
        check_sums (k);
    }
    /* by what nobody named: AMX where there is one, over several blocks and pieces of each side */
    check_gemm_bf16 (1, 1, 1), check_gemm_bf16 (7, 5, 3), check_gemm_bf16 (33, 65, 17), check_gemm_bf16 (70, 40, 1700);
    check_gemm_bf16 (3, 4200, 31), check_gemm_bf16 (1100, 33, 20), check_gemm_bf16 (96, 64, 384);
    printf ("bf16 by %s\n", wb_bf16_unit_name (wb_bf16_unit_get ()));
    check_bf16_threads ();
    check_attention_bf16 (2, 128, 3, 64), check_attention_bf16 (1, 257, 2, 64), check_attention_bf16 (1, 100, 5, 32);
    check_attention_bf16 (1, 200, 1, 96), check_attention_bf16 (1, 64, 2, 128), check_attention_bf16 (3, 7, 2, 64);
    check_choice ();
    for (int i = WB_GEMM_BLAS; i <= WB_GEMM_ONEDNN; i++) {
        if (!wb_gemm_library_set ((wb_gemm_library) i)) continue;
        T_OK (wb_gemm_library_get () == (wb_gemm_library) i, "products by %s",
              wb_gemm_library_name ((wb_gemm_library) i));
        check_gemm (1, 1, 1), check_gemm (7, 5, 3), check_gemm (33, 65, 17), check_gemm (64, 1, 40);
        check_gemm (300, 129, 257);
        check_gemm_bf16 (1, 1, 1), check_gemm_bf16 (7, 5, 3), check_gemm_bf16 (33, 65, 17), check_gemm_bf16 (1, 40, 64);
        check_gemm_bf16 (140, 129, 257);
        T_OK (i != WB_GEMM_BLAS || wb_bf16_unit_get () == WB_BF16_PLAIN, "BLAS has no instructions for bf16");
        printf ("bf16 by %s\n", wb_bf16_unit_name (wb_bf16_unit_get ()));
    }
    wb_gemm (NULL, NULL, NULL, 0, 4, 4, 4, 4, 4, false, false, 1, 0);
    wb_blas_threads_set (2);
    wb_blas_info (&blas);
    printf ("%s; core %s, want %s; %s, %d threads\n", blas.config, blas.core,
            blas.want != NULL ? blas.want : "no other", blas.threading, blas.threads);
    T_OK (blas.config != NULL && blas.core != NULL && blas.threading != NULL && blas.threads >= 1, "wb_blas_info");
    const double peak = wb_kern_fma_peak (1, 0.05);
    printf ("peak of one thread: %.1f GFLOP/s\n", peak);
    T_OK (peak > 0.5 && peak < 2000, "peak %g", peak);
    const double bf16 = wb_kern_bf16_peak (1, 0.05);
    printf ("of bf16: %.1f GFLOP/s\n", bf16);
    T_OK ((bf16 > 0 || wb_bf16_unit_get () == WB_BF16_PLAIN || wb_cpu_isa () != WB_ISA_AVX512) && bf16 < 8000,
          "peak of bf16 %g", bf16);
    T_OK (wb_kern_int8_peak (1, 0.05) < 16000, "peak of int8");
    float *p = floats (200003, 1);
    const double rate = wb_kern_read_bandwidth (p, 200003, 2, 0.02);
    printf ("two threads read %.1f GB/s\n", rate);
    T_OK (rate > 0.05 && rate < 5000, "bandwidth %g", rate);
    T_OK (wb_kern_read_bandwidth (p, 3, 2, 0) > 0, "three floats for two threads");
    drop (p, 200003);
    return T_DONE ();
}
