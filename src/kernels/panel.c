/* Products of inference, from matrices in panels.  Compiled once an instruction set.
 *
 * With one row of x, a product is as fast as its matrix comes from memory, and a thread reads fastest when it goes
 * through consecutive cache lines and does hardly anything else: going through two rows at a time halves the speed,
 * reading and writing sums in between costs another third (doc/performance.md).  So inference keeps its matrices in
 * panels (pack.c): a thread reads a panel from its first line to its last, and the sums of its columns stay in
 * registers.
 *
 * With many rows the arithmetic is the limit.  CHUNK rows of a panel stay in the first-level cache for all groups of up
 * to ROWS rows of x; the groups, packed so that each is read from end to end too, stay in the second; larger x is cut
 * into blocks.  While the processor multiplies, it prefetches the next chunk into the second-level cache.
 *
 * An element of the result is the sum of its chunks' sums, each in the order of k, for any number of rows and threads
 * and any place of the column: the result of a sequence does not depend on what else is in its batch, nor on how many
 * of its positions are pushed at once.
 *
 * Not here: the layout (pack.c); training's products (gemm.c), whose matrices change at every step. */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/vec.h"

/* Vectors of sums that fit in the registers beside their operands, for at most ROWS rows of x. */
#if W == 16
#define SUMS 24
#define ROWS 12
#define CHUNK 256 /* rows of A: 32 KiB of a panel */
#else
#define SUMS 12
#define ROWS 6
#define CHUNK 128
#endif
/* Vectors in a row of a panel, and how many of them are worked on at once with so many rows of x. */
#define ALL (WB_PANEL / W)
#define VECS(rows) ((rows) *ALL <= SUMS ? ALL : (rows) *ALL / 2 <= SUMS ? ALL / 2 : ALL / 4)
#define BLOCK_ROWS ((int64_t) 96)      /* rows of x in a block */
#define BLOCK ((int64_t) 98304)        /* floats of x in a block: 384 KiB */
#define LINE 16                        /* floats in a cache line */
#define BY_ITSELF 5                    /* rows of x up to which memory is the limit and prefetching does not help */
#define PART_ROWS ((int64_t) 48)       /* rows of x from which another thread pays */
#define PARALLEL_MIN ((int64_t) 65536) /* multiply-adds from which starting threads pays */

_Static_assert(ROWS *VECS (ROWS) <= SUMS, "the sums fit in the registers");

typedef struct job {
    float *y;
    const float *x, *A, *b;
    const float *packed; /* groups of rows of x, each [k][rows of the group]; x itself if it has one row */
    int64_t m, n, k, groups;
    bool add;
} job_t;

/* First row of group g. */
static int64_t row_of (const job_t *t, int64_t g) { return t->m * g / t->groups; }

/* Columns from .. to - 1 of x, a cache line of a row at a time. */
static void pack_rows (const job_t *t, float *packed, int64_t from, int64_t to) {
    for (int64_t g = 0; g < t->groups; g++) {
        const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0;
        for (int64_t q0 = from; q0 < to; q0 += LINE)
            for (int64_t i = 0; i < rows; i++) {
                const float *in = t->x + (i0 + i) * t->k;
                float *out = packed + i0 * t->k + i;
                for (int64_t q = q0; q < min64 (to, q0 + LINE); q++) out[q * rows] = in[q];
            }
    }
}

/* A chunk of a panel, and the rows and columns of y that it adds to. */
typedef struct piece {
    float *y;
    const float *x, *a, *b; /* x [chunk][rows]; b of these columns, NULL: none */
    int64_t ld, chunk;
    bool first, add;  /* the first chunk sets y, or adds to what was there before the product */
    const float *ask; /* row of A to prefetch next, then the rows after it; NULL: none */
    int64_t between;  /* steps between two of these, less one: 2^i - 1 */
} piece_t;

/* `rows` rows, `vecs` vectors of columns. */
INLINE void tile (const piece_t *p, const int rows, const int vecs) {
    vf s[SUMS];
    const float *a = p->a, *x = p->x, *ask = p->ask;
#pragma GCC unroll 24
    for (int i = 0; i < rows * vecs; i++) s[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t q = 0; q < p->chunk; q++, a += WB_PANEL, x += rows) {
        vf w[ALL];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) w[v] = vload (a + v * W);
        if (ask != NULL && (q & p->between) == 0) {
            for (int v = 0; v < WB_PANEL; v += 16) __builtin_prefetch (ask + v, 0, 2); /* into the second-level cache */
            ask += WB_PANEL;
        }
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vf xi = x[i] - (vf){0};
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) s[i * vecs + v] += xi * w[v];
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            float *y = p->y + i * p->ld + v * W;
            vf sum = s[i * vecs + v];
            if (p->first && p->b != NULL) sum += vload (p->b + v * W);
            if (!p->first || p->add) sum += vload (y);
            vstore (y, sum);
        }
}

INLINE void tiles (piece_t p, const int rows) {
    const int vecs = VECS (rows);
#pragma GCC unroll 1
    for (int j = 0; j < WB_PANEL; j += vecs * W) {
        tile (&p, rows, vecs);
        p.y += vecs * W, p.a += vecs * W, p.ask = NULL;
        if (p.b != NULL) p.b += vecs * W;
    }
}

/* A case for each number of rows, so that their sums are registers. */
static void wide (const piece_t *p, int64_t rows) {
    switch (rows) {
#define ROWS_ARE(n) \
    case n: tiles (*p, n); break
        ROWS_ARE (1);
        ROWS_ARE (2);
        ROWS_ARE (3);
        ROWS_ARE (4);
        ROWS_ARE (5);
        ROWS_ARE (6);
#if ROWS == 12
        ROWS_ARE (7);
        ROWS_ARE (8);
        ROWS_ARE (9);
        ROWS_ARE (10);
        ROWS_ARE (11);
        ROWS_ARE (12);
#endif
    default: WB_ASSERT (false);
    }
}

/* `rows` rows, the `width` columns of a narrow panel. */
static void narrow (const piece_t *p, int64_t rows, int64_t width) {
    for (int64_t i = 0; i < rows; i++) {
        float s[WB_PANEL] = {0};
        for (int64_t q = 0; q < p->chunk; q++)
            for (int64_t j = 0; j < width; j++) s[j] += p->x[q * rows + i] * p->a[q * width + j];
        for (int64_t j = 0; j < width; j++) {
            float *y = p->y + i * p->ld + j, sum = s[j];
            if (p->first && p->b != NULL) sum += p->b[j];
            *y = !p->first || p->add ? sum + *y : sum;
        }
    }
}

/* Rows from .. to - 1 of A's panel p, for groups g0 .. g1 - 1, which prefetch the next chunk in turn. */
static void panel (const job_t *t, int64_t p, int64_t from, int64_t to, int64_t g0, int64_t g1) {
    const int64_t j = p * WB_PANEL, width = min64 (WB_PANEL, t->n - j);
    const float *a = t->A + j * t->k;
    int64_t every = 1;
    while (2 * every <= g1 - g0 && 2 * every <= CHUNK) every *= 2;
    for (int64_t q = from; q < to; q += CHUNK) {
        const int64_t chunk = min64 (CHUNK, to - q);
        for (int64_t g = g0; g < g1; g++) {
            const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0, asked = (g - g0) * CHUNK / every;
            const piece_t piece = {.y = t->y + i0 * t->n + j,
                                   .x = t->packed + i0 * t->k + q * rows,
                                   .a = a + q * width,
                                   .b = t->b != NULL ? t->b + j : NULL,
                                   .ld = t->n,
                                   .chunk = chunk,
                                   .first = q == 0,
                                   .add = t->add,
                                   .ask = t->m > BY_ITSELF && g - g0 < every ? a + (q + chunk + asked) * width : NULL,
                                   .between = every - 1};
            if (width == WB_PANEL)
                wide (&piece, rows);
            else
                narrow (&piece, rows, width);
        }
    }
}

/* Panels p0 .. p1 - 1 for groups g0 .. g1 - 1, as many of these at a time as stay in the second-level cache. */
static void panels (const job_t *t, int64_t p0, int64_t p1, int64_t g0, int64_t g1) {
    const int64_t at_once = BLOCK_ROWS / ROWS;
    for (int64_t g = g0; g < g1; g += at_once) {
        const int64_t end = min64 (g1, g + at_once), rows = row_of (t, end) - row_of (t, g);
        const int64_t deep = BLOCK / rows < CHUNK ? CHUNK : BLOCK / rows / CHUNK * CHUNK;
        for (int64_t from = 0; from < t->k; from += deep)
            for (int64_t p = p0; p < p1; p++) panel (t, p, from, min64 (t->k, from + deep), g, end);
    }
}

/* Threads share the panels; if there are too few to be even, rows of x too. */
static void work (const job_t *t, int me, int threads) {
    const int64_t count = (t->n + WB_PANEL - 1) / WB_PANEL;
    int64_t parts = 1;
    if (count < 8 * threads) parts = min64 (threads, t->m / PART_ROWS);
    if (parts < 1) parts = 1;
    const int64_t lo = parts * count * me / threads, hi = parts * count * (me + 1) / threads;
    for (int64_t i = lo; i < hi;) {
        const int64_t part = i / count, p0 = i % count, p1 = min64 (count, p0 + hi - i);
        panels (t, p0, p1, t->groups * part / parts, t->groups * (part + 1) / parts);
        i += p1 - p0;
    }
}

void KERNEL (panel_linear) (float *y, const float *x, const float *A, const float *b, float *packed, int64_t m,
                            int64_t n, int64_t k, bool add) {
    const job_t t = {y, x, A, b, m > 1 ? packed : x, m, n, k, (m + ROWS - 1) / ROWS, add};
#pragma omp parallel if (m * n * k >= PARALLEL_MIN)
    {
        const int me = omp_get_thread_num (), threads = omp_get_num_threads ();
        if (m > 1) {
            pack_rows (&t, packed, k * me / threads, k * (me + 1) / threads);
#pragma omp barrier
        }
        work (&t, me, threads);
    }
}
