/* Microbench of the kernels: each at the sizes of one GPT-2 small layer, against the peak of multiply-adds.
 *
 * usage: bench_kernels [THREADS [T [B]]]   (WABUN_ISA=portable|avx2|avx512 as everywhere).  Best of several runs; GB/s
 * counts what the formula must read and write once.  Prints, judges nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wabun/kernels.h"

static double best_of (double t, double *best) {
    if (*best <= 0 || t < *best) *best = t;
    return *best;
}

static double peak;
static void report (const char *name, double t, double flop, double bytes) {
    printf ("%-22s %9.3f ms", name, t * 1e3);
    if (flop > 0) printf ("  %7.1f GFLOP/s  %5.1f %% of peak", flop / t * 1e-9, 100 * flop / t * 1e-9 / peak);
    if (bytes > 0) printf ("  %7.1f GB/s", bytes / t * 1e-9);
    printf ("\n");
    fflush (stdout);
}

#define RUN(name, flop, bytes, call)                                    \
    do {                                                                \
        double best_ = 0, spent_ = 0;                                   \
        for (int i_ = 0; i_ < 3 || (spent_ < 0.25 && i_ < 200); i_++) { \
            const double t_ = wb_now ();                                \
            call;                                                       \
            const double d_ = wb_now () - t_;                           \
            spent_ += d_;                                               \
            (void) best_of (d_, &best_);                                \
        }                                                               \
        report (name, best_, flop, bytes);                              \
    } while (0)

static float *floats (int64_t n, uint64_t stream, double std) {
    float *p = wb_malloc ((size_t) n * sizeof (float));
    if (p == NULL) exit (4);
    for (int64_t i = 0; i < n; i++) p[i] = (float) (std * (wb_rng_uniform (1, stream, (uint64_t) i) * 2 - 1));
    return p;
}

static void *rounded (wb_weights_type type, const float *A, wb_panels form, int64_t depth, int64_t n) {
    void *p = wb_malloc (wb_panels_bytes (type, depth, n));
    if (p == NULL) exit (4);
    if (type == WB_WEIGHTS_FP32)
        memcpy (p, A, wb_panels_bytes (type, depth, n)); /* the numbers do not matter */
    else
        wb_panels_round (p, type, A, form, depth, n);
    return p;
}

/* Products of inference, each call with another matrix, so that it is in no cache.  For comparison the speed at which
 * as many threads read them, and for many rows the library's product. */
static void panels (const wb_kern_t *k, wb_weights_type type, int64_t C, int64_t V, int threads) {
    enum { MATRICES = 24, MAX_ROWS = 512 };
    const int64_t size = 4 * C * C;
    const size_t each = wb_panels_bytes (type, C, 4 * C), last = wb_panels_bytes (type, C, V);
    float *A = floats (size, 31, 0.02), *E = floats (V * C, 32, 0.02), *x = floats (MAX_ROWS * 4 * C, 33, 1.0);
    float *y = floats (MAX_ROWS * V, 34, 0.0);
    void *packed = wb_malloc (wb_panels_packed_bytes (type, MAX_ROWS, 4 * C)),
         *one = rounded (type, A, WB_PANELS_OF_ROWS, C, 4 * C);
    char *all = wb_malloc (MATRICES * each);
    const wb_matrix_t wte = {rounded (type, E, WB_PANELS_OF_COLUMNS, C, V), type};
    if (packed == NULL || all == NULL) exit (4);
    for (int i = 0; i < MATRICES; i++) memcpy (all + i * each, one, each);
    printf ("%-22s %43.1f GB/s\n", "read",
            wb_kern_read_bandwidth ((const float *) (void *) all, (int64_t) (MATRICES * each / 4), threads, 1.0));
    size_t turn = 0;
    for (int64_t rows = 1; rows <= MAX_ROWS; rows *= rows < 32 ? 2 : 4) {
        const double flop = 2.0 * (double) (rows * size), bytes = rows <= 32 ? (double) each : 0;
        char name[32];
#define NEXT ((wb_matrix_t){all + turn++ % MATRICES * each, type})
        snprintf (name, sizeof name, "%s fc %d", wb_weights_names[type], (int) rows);
        RUN (name, flop, bytes, k->panel_linear (y, x, NEXT, NULL, packed, rows, 4 * C, C, false));
        if (rows > 8)
            RUN ("  library", flop, 0, wb_gemm (y, x, A, rows, 4 * C, C, 4 * C, C, 4 * C, false, false, 1, 0));
        snprintf (name, sizeof name, "%s fc2 %d", wb_weights_names[type], (int) rows);
        RUN (name, flop, bytes, k->panel_linear (y, x, NEXT, NULL, packed, rows, C, 4 * C, false));
        snprintf (name, sizeof name, "%s output %d", wb_weights_names[type], (int) rows);
        const double tied = 2.0 * (double) (rows * V * C);
        RUN (name, tied, rows <= 32 ? (double) last : 0, k->panel_linear (y, x, wte, NULL, packed, rows, V, C, false));
        if (rows > 8) RUN ("  library", tied, 0, wb_gemm (y, x, E, rows, V, C, V, C, C, false, true, 1, 0));
    }
    wb_free (A), wb_free (E), wb_free (x), wb_free (y), wb_free (packed), wb_free (one), wb_free (all);
    wb_free ((void *) (uintptr_t) wte.panels);
}

static void attend (const wb_kern_t *k, wb_cached_t *seqs, int texts, wb_cached_t of, float *work, int64_t blocks,
                    int64_t H, int64_t D) {
    for (int i = 0; i < texts; i++) {
        seqs[i] = of;
        seqs[i].blocks += i * blocks;
    }
    k->attention_cached (seqs, work, texts, H, D);
}

/* Attention to the caches of 12 layers, with enough texts that they exceed the processor's cache. */
static void cached (const wb_kern_t *k, int64_t T, int64_t H, int64_t D, int threads) {
    enum { LAYERS = 12, MAX_TEXTS = 64 };
    const int64_t one = wb_cache_floats (T, H, D), C = H * D;
    const int texts = (int) fmin (MAX_TEXTS, 1 + (double) (1 << 26) / (double) (LAYERS * one));
    float *cache = floats (LAYERS * texts * one, 41, 1.0), *qkv = floats (T * 3 * C, 42, 1.0),
          *out = floats (T * C, 43, 0);
    float *work = floats (wb_cached_work_floats (T, H, D, texts, threads), 44, 0.0);
    wb_cached_t seqs[MAX_TEXTS];
    /* As in inference: a block of all layers, of one text after the other. */
    const int64_t layer_floats = wb_cache_floats (WB_CACHE_BLOCK, H, D), blocks = one / layer_floats;
    float **table = wb_calloc ((size_t) (texts * blocks), sizeof *table);
    WB_ASSERT (table != NULL);
    for (int64_t i = 0; i < texts * blocks; i++) table[i] = cache + i * LAYERS * layer_floats;
    for (int64_t n = 1; n <= T; n += T - 1) {
        const double kv = 2.0 * (double) (T * C), flop = n == 1 ? 2 * kv : kv * (double) (T + 1);
        const int at_once = n == 1 ? texts : 1;
        char name[32];
        int64_t layer = 0;
        snprintf (name, sizeof name, "attention_cached %d", (int) n);
        RUN (name, at_once * flop, n == 1 ? 4 * at_once * kv : 0,
             attend (k, seqs, at_once, (wb_cached_t){out, qkv, table, layer++ % LAYERS * layer_floats, n, T, false},
                     work, blocks, H, D));
        if (T == 1) break;
    }
    wb_free (table), wb_free (cache), wb_free (qkv), wb_free (out), wb_free (work);
}

int main (int argc, char **argv) {
    const int threads = argc > 1 ? atoi (argv[1]) : 1;
    const int64_t T = argc > 2 ? atoi (argv[2]) : 1024, B = argc > 3 ? atoi (argv[3]) : 1;
    const int64_t H = 12, D = 64, C = H * D, V = 20573, n = B * T;
    const wb_kern_t *k = wb_kern_get (wb_cpu_isa ());
    wb_blas_info_t blas;
    wb_kern_threads_set (threads);
    wb_blas_threads_set (threads);
    wb_blas_info (&blas);
    peak = wb_kern_fma_peak (threads, 0.2);
    printf ("kernels %s, %d threads, B %lld, T %lld; BLAS %s, core %s%s%s; FMA peak %.1f GFLOP/s\n", k->name, threads,
            (long long) B, (long long) T, blas.config, blas.core, blas.want != NULL ? ", should be " : "",
            blas.want != NULL ? blas.want : "", peak);

    float *qkv = floats (n * 3 * C, 1, 1.0), *dqkv = floats (n * 3 * C, 2, 1.0), *x = floats (n * C, 3, 1.0);
    float *y = floats (n * C, 4, 1.0), *dy = floats (n * C, 5, 1.0), *lse = floats (B * H * T, 6, 1.0);
    float *z = floats (n * 4 * C, 7, 1.0), *a = floats (n * 4 * C, 8, 1.0), *g = floats (4 * C, 9, 1.0);
    float *db = floats (4 * C, 10, 1.0), *dg = floats (4 * C, 11, 1.0), *w = floats (4 * C * C, 12, 0.02);
    float *m = floats (4 * C * C, 13, 0.01), *v = floats (4 * C * C, 14, 0.0), *dw = floats (4 * C * C, 15, 0.1);
    float *mean = floats (n, 16, 1.0), *rstd = floats (n, 17, 1.0), *mx = floats (n, 18, 1.0),
          *sum = floats (n, 19, 1.0);
    float *logits = floats (n * V, 20, 3.0), *wte = floats (V * C, 21, 0.02), *wpe = floats (T * C, 22, 0.02);
    float *work = floats (wb_attention_work_floats (T, D, threads), 23, 0.0);
    uint16_t *half = wb_calloc ((size_t) (4 * C * C), sizeof (uint16_t));
    int32_t *tokens = wb_calloc ((size_t) n, sizeof (int32_t));
    if (half == NULL || tokens == NULL) return 4;
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t) wb_rng_permute (i % V, V, 1, 24);

    const double N = (double) n, Cd = (double) C, f = 4.0;
    const double att =
        2.0 * (double) (B * H) * (double) T * (double) (T + 1) * (double) D; /* two products, half masked */
    double t0 = wb_now ();
    RUN ("gemm qkv", 2 * N * 3 * Cd * Cd, 0, wb_gemm (dqkv, x, w, n, 3 * C, C, 3 * C, C, 3 * C, false, false, 1, 0));
    RUN ("gemm fc", 2 * N * 4 * Cd * Cd, 0, wb_gemm (a, x, w, n, 4 * C, C, 4 * C, C, 4 * C, false, false, 1, 0));
    RUN ("gemm dw", 2 * N * 4 * Cd * Cd, 0, wb_gemm (dw, x, a, C, 4 * C, n, 4 * C, C, 4 * C, true, false, 1, 0));
    RUN ("gemm dx", 2 * N * 4 * Cd * Cd, 0, wb_gemm (dy, a, w, n, C, 4 * C, C, 4 * C, 4 * C, false, true, 1, 0));
    RUN ("attention_forward", att, 0, k->attention_forward (y, lse, qkv, work, B, T, H, D));
    RUN ("attention_backward", 2.5 * att, 0, k->attention_backward (dqkv, dy, y, lse, qkv, work, B, T, H, D));
    cached (k, T, H, D, threads);
    for (int type = WB_WEIGHTS_FP32; type <= WB_WEIGHTS_INT8; type++) panels (k, (wb_weights_type) type, C, V, threads);
    RUN ("embed_forward", 0, 3 * f * N * Cd, k->embed_forward (y, tokens, wte, wpe, n, T, C, 0, V, 0));
    RUN ("embed_backward", 0, 5 * f * N * Cd, k->embed_backward (wte, wpe, dy, tokens, n, T, C, 0, V));
    RUN ("layernorm_forward", 0, 2 * f * N * Cd, k->layernorm_forward (y, mean, rstd, x, g, db, n, C));
    memset (y, 0, (size_t) (n * C) * sizeof (float));
    RUN ("layernorm_backward", 0, 4 * f * N * Cd, k->layernorm_backward (y, dg, db, dy, x, mean, rstd, g, n, C));
    RUN ("bias_add 4C", 0, 2 * f * N * 4 * Cd, k->bias_add (a, g, n, 4 * C));
    RUN ("bias_backward 4C", 0, f * N * 4 * Cd, k->bias_backward (db, a, n, 4 * C));
    RUN ("bias_gelu_forward 4C", 0, 3 * f * N * 4 * Cd, k->bias_gelu_forward (a, z, g, n, 4 * C));
    RUN ("gelu_backward 4C", 0, 3 * f * N * 4 * Cd, k->gelu_backward (a, db, a, z, n, 4 * C));
    RUN ("bias_residual", 0, 3 * f * N * Cd, k->bias_residual (y, x, dy, g, n, C));
    RUN ("residual_layernorm", 0, 4 * f * N * Cd, k->residual_layernorm (dqkv, mean, rstd, y, x, dy, g, g, db, n, C));
    RUN ("xent_max", 0, f * N * (double) V, k->xent_max (mx, logits, n, V, V));
    RUN ("xent_sum", 0, f * N * (double) V, k->xent_sum (sum, rstd, logits, mx, tokens, n, V, V, 0));
    RUN ("xent_backward", 0, 2 * f * N * (double) V, k->xent_backward (logits, mx, sum, tokens, n, V, V, 0, 1e-3f));
    const double P = 4 * Cd * Cd;
    RUN ("add", 0, 3 * f * P, k->add (dw, w, 4 * C * C));
    volatile double keep = 0;
    RUN ("sumsq", 0, f * P, keep = k->sumsq (dw, 4 * C * C));
    (void) keep;
    RUN ("bf16_pack", 0, 6 * P, k->bf16_pack (half, w, 4 * C * C));
    RUN ("bf16_add", 0, 10 * P, k->bf16_add (w, half, 4 * C * C));
    RUN ("adam", 0, 7 * f * P, k->adam (w, m, v, dw, 4 * C * C, 1e-4f, 0.9f, 0.95f, 1e-8f, 0.0f, 1.0f));
    printf ("all: %.1f s\n", wb_now () - t0);
    void *all[] = {qkv, dqkv, x,    y,    dy, lse, z,      a,   g,   db,   dg,   w,     m,
                   v,   dw,   mean, rstd, mx, sum, logits, wte, wpe, work, half, tokens};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) wb_free (all[i]);
    return 0;
}
