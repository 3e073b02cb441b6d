/* Products with few rows, and how fast memory is read: what generation is made of.  Compiled once an instruction set.
 *
 * With a row or some of them, a product is as fast as its matrix comes from memory, and memory is fast only where it is
 * read from end to end: processors fetch ahead of a thread that walks through consecutive lines, and not of one that
 * jumps from row to row.  So a thread takes whole rows of A where it can, asks for lines AHEAD of those it works on in
 * the order in which they lie, and does the arithmetic a few rows of A at a time from the second cache, in the order
 * that suits the registers.
 *
 * A linear, A [k, n], is cut into PARTS along k, of which a thread takes some, summed as the leaves of a tree that is
 * the same for any number of threads; the tied output, A [n, k], is dot products of whole rows.  An element of the
 * result is computed in one order, whatever the number of rows in x, of threads, and wherever its column lies: what a
 * sequence gets does not depend on what else is in its batch.
 *
 * Not here: products with many rows (gemm.c), which should read a copy of the matrix packed for the cache. */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "vec.h"

/* vectors of sums that fit in the registers beside what they are made from */
#if W == 16
#define SUMS 24
#else
#define SUMS 12
#endif
#define RUN 8                          /* rows of A that add to the sums before these go back to the cache */
#define ACROSS 8                       /* vectors of a row taken one behind the other, at most */
#define PARTS WB_FEW_PARTS             /* of the rows of A, with sums of their own */
#define AHEAD ((int64_t) 16384)        /* floats of A between what is asked for and what is worked on */
#define STRAIGHT ((int64_t) 4096)      /* sums of one row of x that stay in the first cache */
#define BLOCK 16                       /* rows of A [n, k] that stay in the cache for all rows of x */
#define LINE 16                        /* floats in a cache line: threads share none */
#define PARALLEL_MIN ((int64_t) 65536) /* floats of A that make threads worth starting */

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

/* Part `i` of `parts` of 0 .. n - 1, in whole cache lines. */
static void part_of (int64_t *lo, int64_t *hi, int64_t n, int i, int parts) {
    const int64_t lines = (n + LINE - 1) / LINE;
    *lo = min64 (n, lines * i / parts * LINE);
    *hi = min64 (n, lines * (i + 1) / parts * LINE);
}

/* ---- both forms -------------------------------------------------------------------------------------------------- */

typedef struct job {
    float *y, *work;
    const float *x, *A, *b;
    int64_t m, n, k;
    bool add;
} job_t;

/* What is asked for ahead: `rows` rows of `width` floats, ld apart, in the order in which they lie; the last one again
 * when there are no more. */
typedef struct ahead {
    const float *at, *row;
    int64_t left, rows, width, ld;
} ahead_t;

INLINE void ask (ahead_t *f, const int64_t floats) {
    for (int64_t i = 0; i < floats; i += LINE) __builtin_prefetch (f->at + i, 0, 2); /* into the second cache */
    f->at += floats;
    f->left -= floats;
    if (f->left > 0) return;
    if (f->rows > 1) {
        f->rows--;
        f->row += f->ld;
    }
    f->at = f->row;
    f->left = f->width;
}

/* Rows of x are worked on in groups of up to WB_FEW_ROWS; each asks for its share, in every 1st, 2nd, 4th .. step. */
static int64_t groups_of (int64_t m) { return (m + WB_FEW_ROWS - 1) / WB_FEW_ROWS; }
static int steps_between (int64_t groups) {
    int every = 1;
    while (2 * every <= groups && 2 * every <= RUN) every *= 2;
    return every;
}

/* A case for each number of rows, so that their sums are registers. */
#define BY_ROWS(M, call)                                                    \
    do {                                                                    \
        _Static_assert(WB_FEW_ROWS == 8, "a case for each number of rows"); \
        switch (M) {                                                        \
        case 1: call (1); break;                                            \
        case 2: call (2); break;                                            \
        case 3: call (3); break;                                            \
        case 4: call (4); break;                                            \
        case 5: call (5); break;                                            \
        case 6: call (6); break;                                            \
        case 7: call (7); break;                                            \
        default: call (8); break;                                           \
        }                                                                   \
    } while (0)

/* ---- A [k, n] ---------------------------------------------------------------------------------------------------- */

/* Up to RUN rows of A, `cols` of their columns, and what they add to: s [M, cols] (fresh: =) += x [M, run] a. */
typedef struct run {
    float *s;
    const float *a, *x;
    int64_t ld, ldx, cols; /* rows of s and of a are ld apart */
    int rows, every;
    bool fresh;
} run_t;

INLINE void add_vectors (const run_t *t, int64_t j, ahead_t *f, const int M, const int across) {
    ahead_t next = f != NULL ? *f : (ahead_t){0};
    vf s[SUMS];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 8
        for (int v = 0; v < across; v++) s[i * across + v] = t->fresh ? (vf){0} : vload (t->s + i * t->ld + j + v * W);
#pragma GCC unroll 1
    for (int q = 0; q < t->rows; q++) {
        vf w[ACROSS];
#pragma GCC unroll 8
        for (int v = 0; v < across; v++) w[v] = vload (t->a + q * t->ld + j + v * W);
        if (f != NULL && (q & (t->every - 1)) == 0) ask (&next, across * W);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            const vf x = t->x[i * t->ldx + q] - (vf){0};
#pragma GCC unroll 8
            for (int v = 0; v < across; v++) s[i * across + v] += x * w[v];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 8
        for (int v = 0; v < across; v++) vstore (t->s + i * t->ld + j + v * W, s[i * across + v]);
    if (f != NULL) *f = next;
}

/* Columns that do not fill a vector. */
static void add_rest (const run_t *t, int64_t j, int M) {
    const int64_t rest = t->cols - j;
    for (int i = 0; i < M; i++) {
        float *to = t->s + i * t->ld + j;
        vf s = t->fresh ? (vf){0} : vload_part (to, rest);
        for (int q = 0; q < t->rows; q++) s += t->x[i * t->ldx + q] * vload_part (t->a + q * t->ld + j, rest);
        for (int64_t l = 0; l < rest; l++) to[l] = s[l];
    }
}

INLINE void add_rows (const run_t *t, ahead_t *f, const int M) {
    const int across = SUMS / M < 1 ? 1 : SUMS / M < ACROSS ? SUMS / M : ACROSS;
    int64_t j = 0;
    for (; j + across * W <= t->cols; j += across * W) add_vectors (t, j, f, M, across);
    for (; j + W <= t->cols; j += W) add_vectors (t, j, f, M, 1);
    if (j < t->cols) add_rest (t, j, M);
}

/* One row of x, whose sums stay in the first cache: straight on through rows of A; processors fetch ahead by
 * themselves. */
static void linear_straight (const job_t *t, float *s, int64_t lo, int64_t hi, int64_t from, int64_t to) {
    const int64_t cols = hi - lo;
    const int pieces = (int) ((cols + STRAIGHT - 1) / STRAIGHT);
    for (int p = 0; p < pieces; p++) {
        int64_t j, end;
        part_of (&j, &end, cols, p, pieces);
        for (int64_t r = from; r < to; r++) {
            const run_t run = {.s = s + lo + j,
                               .a = t->A + r * t->n + lo + j,
                               .x = t->x + r,
                               .ld = t->n,
                               .ldx = t->k,
                               .cols = end - j,
                               .rows = 1,
                               .every = 1,
                               .fresh = r == from};
            add_rows (&run, NULL, 1);
        }
    }
}

/* s [m, n], its columns lo .. hi - 1, = x A over rows from .. to - 1 of A; rows before `end` may be asked for. */
static void linear_part (const job_t *t, float *s, int64_t lo, int64_t hi, int64_t from, int64_t to, int64_t end) {
    const int64_t groups = groups_of (t->m), cols = hi - lo, ahead = (AHEAD / cols + RUN) / RUN * RUN;
    const int every = steps_between (groups);
    if (from == to)
        for (int64_t i = 0; i < t->m; i++) memset (s + i * t->n + lo, 0, (size_t) cols * sizeof (float));
    if (t->m == 1) {
        linear_straight (t, s, lo, hi, from, to);
        return;
    }
    for (int64_t r = from; r < to; r += RUN) {
        const int64_t next = min64 (r + ahead, end - 1);
        const float *row = t->A + next * t->n + lo;
        ahead_t f = {row, row, cols, min64 (RUN, end - next), cols, t->n};
        for (int64_t g = 0; g < groups; g++) {
            const int64_t i = t->m * g / groups, M = t->m * (g + 1) / groups - i;
            const run_t run = {.s = s + i * t->n + lo,
                               .a = t->A + r * t->n + lo,
                               .x = t->x + i * t->k + r,
                               .ld = t->n,
                               .ldx = t->k,
                               .cols = cols,
                               .rows = (int) min64 (RUN, to - r),
                               .every = every,
                               .fresh = r == from};
#define ADD(rows) add_rows (&run, &f, rows)
            BY_ROWS (M, ADD);
        }
    }
}

/* The sums of the parts are leaves of a binary tree.  Of `threads` threads, P share the parts, a subtree each, and as
 * many as are left over share the columns. */
static int sharers (int threads) {
    int P = 1;
    while (2 * P <= PARTS && threads % (2 * P) == 0) P *= 2;
    return P;
}

/* y's own columns lo .. hi - 1 from the P sums, `apart` floats apart. */
static void linear_finish (const job_t *t, int P, int64_t apart, int64_t lo, int64_t hi) {
    for (int64_t i = 0; i < t->m; i++) {
        float *y = t->y + i * t->n;
        for (int half = P / 2; half > 0; half /= 2) /* neighbours in pairs, then these: PARTS / P .. 1 */
            for (int p = 0; p < half; p++) {
                float *s = t->work + i * t->n + (P / half) * p * apart;
                const float *with = s + P / half / 2 * apart;
                for (int64_t j = lo; j < hi; j++) s[j] += with[j];
            }
        const float *s = t->work + i * t->n;
        for (int64_t j = lo; j < hi; j++) y[j] = (t->add ? y[j] : 0.0f) + (t->b != NULL ? t->b[j] : 0.0f) + s[j];
    }
}

static void linear_thread (const job_t *t, int me, int threads) {
    const int P = sharers (threads), own = PARTS / P, p = me % P;
    const int64_t size = t->m * t->n;
    float *top = t->work + p * own * size; /* the stack of subtrees that wait for their neighbours */
    int64_t lo, hi;
    part_of (&lo, &hi, t->n, me / P, threads / P);
    for (int q = 0; q < own && lo < hi; q++, top += size) {
        const int64_t part = p * own + q;
        linear_part (t, top, lo, hi, t->k * part / PARTS, t->k * (part + 1) / PARTS, t->k * (p + 1) * own / PARTS);
        for (int c = q + 1; c % 2 == 0; c /= 2) {
            top -= size;
            for (int64_t i = 0; i < t->m; i++)
                for (int64_t j = lo; j < hi; j++) top[i * t->n + j] += top[size + i * t->n + j];
        }
    }
#pragma omp barrier
    part_of (&lo, &hi, t->n, me, threads);
    linear_finish (t, P, own * size, lo, hi);
}

void ISA_NAME (wb_few_linear_) (float *y, const float *x, const float *A, const float *b, float *work, int64_t m,
                                int64_t n, int64_t k, bool add) {
    const job_t t = {y, work, x, A, b, m, n, k, add};
#pragma omp parallel if (n * k >= PARALLEL_MIN)
    linear_thread (&t, omp_get_thread_num (), omp_get_num_threads ());
}

/* ---- A [n, k] ---------------------------------------------------------------------------------------------------- */

/* y of rows i0 .. i0 + M - 1 of x and rows r .. r + R - 1 of A; M R sums fill a vector, at most. */
INLINE void dots (const job_t *t, int64_t r, int64_t i0, ahead_t *f, int every, const int M, const int R) {
    const float *a = t->A + r * t->k, *x = t->x + i0 * t->k;
    ahead_t next = *f;
    vf s[W];
    int64_t j = 0;
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) s[i] = (vf){0};
#pragma GCC unroll 1
    for (int step = 0; j + W <= t->k; j += W, step++) {
        vf w[W];
#pragma GCC unroll 16
        for (int q = 0; q < R; q++) w[q] = vload (a + q * t->k + j);
        if ((step & (every - 1)) == 0) ask (&next, R * W);
#pragma GCC unroll 16
        for (int i = 0; i < M; i++) {
            const vf xi = vload (x + i * t->k + j);
#pragma GCC unroll 16
            for (int q = 0; q < R; q++) s[i * R + q] += xi * w[q];
        }
    }
    if (j < t->k)
        for (int i = 0; i < M; i++)
            for (int q = 0; q < R; q++)
                s[i * R + q] += vload_part (x + i * t->k + j, t->k - j) * vload_part (a + q * t->k + j, t->k - j);
    *f = next;
    const vf sums = vsums (s);
    for (int i = 0; i < M; i++)
        for (int q = 0; q < R; q++) t->y[(i0 + i) * t->n + r + q] = sums[i * R + q];
}

/* One row of x: W rows of A one behind the other. */
INLINE void dots_one (const job_t *t, int64_t r, int64_t i) {
    const float *x = t->x + i * t->k;
    vf s[W];
#pragma GCC unroll 1
    for (int q = 0; q < W; q++) {
        const float *a = t->A + (r + q) * t->k;
        int64_t j = 0;
        s[q] = (vf){0};
#pragma GCC unroll 4
        for (; j + W <= t->k; j += W) s[q] += vload (x + j) * vload (a + j);
        if (j < t->k) s[q] += vload_part (x + j, t->k - j) * vload_part (a + j, t->k - j);
    }
    vstore (t->y + i * t->n + r, vsums (s));
}

/* Rows r .. end - 1 of A.  With more rows of x than sums in a vector these are split. */
INLINE void dots_rows (const job_t *t, int64_t r, int64_t end, int64_t i, ahead_t *f, int every, const int M) {
    const int R = W / M;
    if (M == 1)
        for (; r + W <= end; r += W) dots_one (t, r, i);
    else
        for (; r + R <= end; r += R) dots (t, r, i, f, every, M, R);
    for (; r < end; r++) dots (t, r, i, f, every, M, 1);
}

static void dots_thread (const job_t *t, int64_t lo, int64_t hi) {
    const int64_t most = W < WB_FEW_ROWS ? W : WB_FEW_ROWS, groups = (t->m + most - 1) / most;
    const int every = steps_between (groups);
    for (int64_t r = lo; r < hi; r += BLOCK) {
        const int64_t next = min64 (r + (AHEAD / t->k + BLOCK) / BLOCK * BLOCK, hi - 1);
        const float *row = t->A + next * t->k;
        ahead_t f = {row, row, t->k, min64 (BLOCK, hi - next), t->k, t->k};
        for (int64_t g = 0; g < groups; g++) {
            const int64_t i = t->m * g / groups, M = t->m * (g + 1) / groups - i, end = min64 (r + BLOCK, hi);
#define DOTS(rows) dots_rows (t, r, end, i, &f, every, (rows) < W ? (rows) : W)
            BY_ROWS (M, DOTS);
        }
    }
}

void ISA_NAME (wb_few_dots_) (float *y, const float *x, const float *A, int64_t m, int64_t n, int64_t k) {
    const job_t t = {.y = y, .x = x, .A = A, .m = m, .n = n, .k = k};
#pragma omp parallel if (n * k >= PARALLEL_MIN)
    {
        int64_t lo, hi;
        part_of (&lo, &hi, n, omp_get_thread_num (), omp_get_num_threads ());
        dots_thread (&t, lo, hi);
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
