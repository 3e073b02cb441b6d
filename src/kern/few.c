/* Products with few rows, and how fast memory is read: what generation is made of.  Compiled once an instruction set.
 *
 * With a row or some of them, a product is as fast as its matrix comes from memory, so the one aim is that every float
 * of it is read once, in long runs, while sums and inputs stay in the first cache.  A linear, A [k, n], takes RUN rows
 * of A at a time and adds their share to the own columns of all outputs; the tied output, A [n, k], is dot products.
 *
 * An element of the result is computed in one order, whatever the number of rows in x, of threads, and wherever its
 * column lies: what a sequence gets does not depend on what else is in its batch.
 *
 * Not here: products with many rows (gemm.c), which should read a copy of the matrix packed for the cache. */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kern_priv.h"

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_ (a, b)
#define ISA_NAME(stem) CAT (stem, WB_KERN_ISA)

#if defined(__AVX512F__)
#define W 16    /* floats in a vector */
#define SUMS 24 /* vectors of sums that fit in the registers beside what they are made from */
#elif defined(__AVX2__)
#define W 8
#define SUMS 12
#else
#define W 4
#define SUMS 12
#endif
#define RUN 8                          /* rows of A that add to the sums before these go back to the cache */
#define ACROSS 8                       /* vectors of a row taken one behind the other, at most */
#define LINE 16                        /* floats in a cache line: threads share none */
#define PARALLEL_MIN ((int64_t) 65536) /* floats of A that make threads worth starting */

#define INLINE static inline __attribute__ ((always_inline))

typedef float vf __attribute__ ((vector_size (W * 4)));
typedef float vfu __attribute__ ((vector_size (W * 4), aligned (4), may_alias)); /* in memory, anywhere */

INLINE vf vload (const float *p) { return *(const vfu *) p; }
INLINE void vstore (float *p, vf v) { *(vfu *) p = v; }
INLINE vf vload_part (const float *p, int64_t k) {
    vf v = {0};
    for (int64_t i = 0; i < k && i < W; i++) v[i] = p[i];
    return v;
}
INLINE float vsum (vf v) {
    float a[W];
    vstore (a, v);
    for (int h = W / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) a[i] += a[i + h];
    return a[0];
}
INLINE int64_t min64 (int64_t a, int64_t b) { return a < b ? a : b; }

/* Part `i` of `parts` of 0 .. n - 1, in whole cache lines. */
static void part_of (int64_t *lo, int64_t *hi, int64_t n, int i, int parts) {
    const int64_t lines = (n + LINE - 1) / LINE;
    *lo = min64 (n, lines * i / parts * LINE);
    *hi = min64 (n, lines * (i + 1) / parts * LINE);
}

/* ---- A [k, n] ---------------------------------------------------------------------------------------------------- */

typedef struct job {
    float *y;
    const float *x, *A;
    int64_t n, k;
} job_t;

/* y [M rows] of `across` vectors from column j on += rows r .. r + run - 1 of A. */
INLINE void add_run (const job_t *t, int64_t r, int run, int64_t j, const int M, const int across) {
    vf s[SUMS];
    for (int i = 0; i < M; i++)
        for (int v = 0; v < across; v++) s[i * across + v] = vload (t->y + i * t->n + j + v * W);
    for (int q = 0; q < run; q++) {
        const float *a = t->A + (r + q) * t->n + j;
        vf w[ACROSS];
        for (int v = 0; v < across; v++) {
            w[v] = vload (a + v * W);
            if (M > 1) __builtin_prefetch (a + v * W + RUN * t->n); /* while the arithmetic takes longer than reading */
        }
        for (int i = 0; i < M; i++) {
            const float x = t->x[i * t->k + r + q];
            for (int v = 0; v < across; v++) s[i * across + v] += x * w[v];
        }
    }
    for (int i = 0; i < M; i++)
        for (int v = 0; v < across; v++) vstore (t->y + i * t->n + j + v * W, s[i * across + v]);
}

/* Columns that do not fill a vector. */
static void add_rest (const job_t *t, int64_t r, int run, int64_t j, int64_t rest, int M) {
    for (int i = 0; i < M; i++) {
        vf s = vload_part (t->y + i * t->n + j, rest);
        for (int q = 0; q < run; q++) s += t->x[i * t->k + r + q] * vload_part (t->A + (r + q) * t->n + j, rest);
        for (int64_t l = 0; l < rest; l++) t->y[i * t->n + j + l] = s[l];
    }
}

/* The own columns lo .. hi - 1 of M rows. */
INLINE void linear_part (const job_t *t, int64_t lo, int64_t hi, const int M) {
    const int across = SUMS / M < 1 ? 1 : SUMS / M < ACROSS ? SUMS / M : ACROSS;
    for (int64_t r = 0; r < t->k; r += RUN) {
        int64_t j = lo;
        if (r + RUN <= t->k) {
            for (; j + across * W <= hi; j += across * W) add_run (t, r, RUN, j, M, across);
            for (; j + W <= hi; j += W) add_run (t, r, RUN, j, M, 1);
        } else {
            for (; j + W <= hi; j += W) add_run (t, r, (int) (t->k - r), j, M, 1);
        }
        if (j < hi) add_rest (t, r, (int) min64 (RUN, t->k - r), j, hi - j, M);
    }
}

static void linear_rows (const job_t *t, int64_t lo, int64_t hi, int64_t m) {
    _Static_assert(WB_FEW_ROWS == 8, "a case for each number of rows");
    switch (m) {
    case 1: linear_part (t, lo, hi, 1); break;
    case 2: linear_part (t, lo, hi, 2); break;
    case 3: linear_part (t, lo, hi, 3); break;
    case 4: linear_part (t, lo, hi, 4); break;
    case 5: linear_part (t, lo, hi, 5); break;
    case 6: linear_part (t, lo, hi, 6); break;
    case 7: linear_part (t, lo, hi, 7); break;
    default: linear_part (t, lo, hi, 8); break;
    }
}

void ISA_NAME (wb_few_linear_) (float *y, const float *x, const float *A, const float *b, int64_t m, int64_t n,
                                int64_t k, bool add) {
#pragma omp parallel if (n * k >= PARALLEL_MIN)
    {
        int64_t lo, hi;
        part_of (&lo, &hi, n, omp_get_thread_num (), omp_get_num_threads ());
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = lo; j < hi; j++) y[i * n + j] = (add ? y[i * n + j] : 0.0f) + (b != NULL ? b[j] : 0.0f);
        for (int64_t i = 0; i < m; i += WB_FEW_ROWS) {
            const job_t t = {y + i * n, x + i * k, A, n, k};
            linear_rows (&t, lo, hi, min64 (WB_FEW_ROWS, m - i));
        }
    }
}

/* ---- A [n, k] ---------------------------------------------------------------------------------------------------- */

/* y [M rows] of columns r .. r + R - 1: rows of A. */
INLINE void dots (const job_t *t, int64_t r, const int M, const int R) {
    vf s[SUMS];
    const float *a = t->A + r * t->k;
    for (int i = 0; i < M * R; i++) s[i] = (vf){0};
    int64_t j = 0;
    for (; j + W <= t->k; j += W) {
        vf w[ACROSS];
        for (int q = 0; q < R; q++) {
            w[q] = vload (a + q * t->k + j);
            if (M > 1) __builtin_prefetch (a + (q + R) * t->k + j);
        }
        for (int i = 0; i < M; i++) {
            const vf x = vload (t->x + i * t->k + j);
            for (int q = 0; q < R; q++) s[i * R + q] += x * w[q];
        }
    }
    if (j < t->k)
        for (int i = 0; i < M; i++)
            for (int q = 0; q < R; q++)
                s[i * R + q] += vload_part (t->x + i * t->k + j, t->k - j) * vload_part (a + q * t->k + j, t->k - j);
    for (int i = 0; i < M; i++)
        for (int q = 0; q < R; q++) t->y[i * t->n + r + q] = vsum (s[i * R + q]);
}

INLINE void dots_part (const job_t *t, int64_t lo, int64_t hi, const int M) {
    const int R = SUMS / M < 1 ? 1 : SUMS / M < 4 ? SUMS / M : 4;
    int64_t r = lo;
    for (; r + R <= hi; r += R) dots (t, r, M, R);
    for (; r < hi; r++) dots (t, r, M, 1);
}

static void dots_rows (const job_t *t, int64_t lo, int64_t hi, int64_t m) {
    switch (m) {
    case 1: dots_part (t, lo, hi, 1); break;
    case 2: dots_part (t, lo, hi, 2); break;
    case 3: dots_part (t, lo, hi, 3); break;
    case 4: dots_part (t, lo, hi, 4); break;
    case 5: dots_part (t, lo, hi, 5); break;
    case 6: dots_part (t, lo, hi, 6); break;
    case 7: dots_part (t, lo, hi, 7); break;
    default: dots_part (t, lo, hi, 8); break;
    }
}

void ISA_NAME (wb_few_dots_) (float *y, const float *x, const float *A, int64_t m, int64_t n, int64_t k) {
#pragma omp parallel if (n * k >= PARALLEL_MIN)
    {
        int64_t lo, hi;
        part_of (&lo, &hi, n, omp_get_thread_num (), omp_get_num_threads ());
        for (int64_t i = 0; i < m; i += WB_FEW_ROWS) {
            const job_t t = {y + i * n, x + i * k, A, n, k};
            dots_rows (&t, lo, hi, min64 (WB_FEW_ROWS, m - i));
        }
    }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Sums, so that nothing can be left out; eight of them, so that memory is waited for and not an addition. */
float ISA_NAME (wb_few_read_) (const float *p, int64_t n) {
    vf s[8] = {{0}};
    int64_t i = 0;
    for (; i + 8 * W <= n; i += 8 * W)
        for (int v = 0; v < 8; v++) s[v] += vload (p + i + v * W);
    for (; i < n; i += W) s[0] += vload_part (p + i, n - i);
    return vsum (((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])));
}
