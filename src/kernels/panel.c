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
 * Threads share the panels, and where these are too few for all threads, their chunks.
 *
 * An element of the result is the sum of its chunks' sums, each in the order of k, for any number of rows and threads
 * and any place of the column: the result of a sequence does not depend on what else is in its batch, nor on how many
 * of its positions are pushed at once.
 *
 * Not here: the layout (pack.c); rows of 16 and 8 bits (panel_bf16.c, panel_int8.c); training's products (gemm.c),
 * whose matrices change at every step. */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/amx.h"
#include "kernels/cut.h"
#include "kernels/panel.h"

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
/* How many vectors of a row of a panel are worked on at once with so many rows of x. */
#define VECS(rows) ((rows) *ALL <= SUMS ? ALL : (rows) *ALL / 2 <= SUMS ? ALL / 2 : ALL / 4)
#define BLOCK_ROWS ((int64_t) 96) /* rows of x in a block */
#define BLOCK ((int64_t) 393216)  /* bytes of x in a block */
#define BY_ITSELF 5               /* rows of x up to which memory is the limit and prefetching does not help */

_Static_assert(ROWS *VECS (ROWS) <= SUMS, "the sums fit in the registers");

/* ---- fp32 -------------------------------------------------------------------------------------------------------- */

static void pack (const job_t *t, int64_t from, int64_t to) {
    for (int64_t g = 0; g < t->groups; g++) {
        const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0;
        const float *in = t->x + i0 * t->k;
        float *out = (float *) (void *) t->packed + i0 * t->k;
        int64_t q = from;
        for (; q + W <= to && rows <= W; q += W) {
            vf m[W];
#pragma GCC unroll 16
            for (int i = 0; i < W; i++) m[i] = i < rows ? vload (in + i * t->k + q) : (vf){0};
            put_columns (out, m, q, to, rows);
        }
        for (; q < to; q++)
            for (int64_t i = 0; i < rows; i++) out[q * rows + i] = in[i * t->k + q];
    }
}

/* `rows` rows, `vecs` vectors of columns from column j on. */
INLINE void tile (const piece_t *p, const int j, const int rows, const int vecs) {
    vf s[SUMS];
    const float *a = (const float *) (const void *) p->a + j, *x = (const float *) (const void *) p->x;
    const char *ask = j == 0 ? p->ask : NULL;
#pragma GCC unroll 24
    for (int i = 0; i < rows * vecs; i++) s[i] = (vf){0};
#pragma GCC unroll 1
    for (int64_t q = 0; q < p->units; q++, a += WB_PANEL, x += rows) {
        vf w[ALL];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) w[v] = vload (a + v * W);
        prefetch (&ask, q, p->between, WB_PANEL * sizeof (float));
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vf xi = x[i] - (vf){0};
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) s[i * vecs + v] += xi * w[v];
        }
    }
    settle (p, s, j, rows, vecs);
}

INLINE void tiles (const piece_t *p, const int rows) {
    const int vecs = VECS (rows);
#pragma GCC unroll 1
    for (int j = 0; j < WB_PANEL; j += vecs * W) tile (p, j, rows, vecs);
}

static void wide (const piece_t *p, int64_t rows) {
    switch (rows) {
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
    const float *a = (const float *) (const void *) p->a, *x = (const float *) (const void *) p->x;
    for (int64_t i = 0; i < rows; i++) {
        float s[WB_PANEL] = {0};
        for (int64_t q = 0; q < p->units; q++)
            for (int64_t j = 0; j < width; j++) s[j] += x[q * rows + i] * a[q * width + j];
        for (int64_t j = 0; j < width; j++) {
            float *y = p->y + i * p->ld + j, sum = s[j];
            if (p->first && p->b != NULL) sum += p->b[j];
            *y = !p->first || p->add ? sum + *y : sum;
        }
    }
}

static const form_t fp32 = {.rows = ROWS,
                            .chunk = CHUNK,
                            .a_bytes = WB_PANEL * sizeof (float),
                            .x_bytes = sizeof (float),
                            .pack = pack,
                            .wide = wide};

/* ---- any type ---------------------------------------------------------------------------------------------------- */

/* The `width` first columns of a panel that is filled with zeros. */
static void part (const job_t *t, const piece_t *p, int64_t rows, int64_t width) {
    float y[32 * WB_PANEL] = {0}, b[WB_PANEL] = {0};
    piece_t whole = *p;
    WB_ASSERT (rows <= 32);
    for (int64_t i = 0; i < rows; i++) memcpy (y + i * WB_PANEL, p->y + i * p->ld, (size_t) width * sizeof *y);
    if (p->b != NULL) memcpy (b, p->b, (size_t) width * sizeof *b), whole.b = b;
    whole.y = y, whole.ld = WB_PANEL;
    t->form->wide (&whole, rows);
    for (int64_t i = 0; i < rows; i++) memcpy (p->y + i * p->ld, y + i * WB_PANEL, (size_t) width * sizeof *y);
}

/* Units from .. to - 1 of A's panel p, for groups g0 .. g1 - 1, which prefetch the next chunk in turn.  alone
 * [m, WB_PANEL]: the sums, of one chunk, go there; NULL: to y. */
static void panel (const job_t *t, int64_t p, int64_t from, int64_t to, int64_t g0, int64_t g1, float *alone) {
    const form_t *f = t->form;
    const int64_t j = p * WB_PANEL, width = min64 (WB_PANEL, t->n - j);
    const int64_t a_bytes = f->padded ? f->a_bytes : f->a_bytes / WB_PANEL * width;
    const char *a = t->A + p * t->units * f->a_bytes;
    int64_t every = 1;
    while (2 * every <= g1 - g0 && 2 * every <= f->chunk) every *= 2;
    for (int64_t q = from; q < to; q += f->chunk) {
        const int64_t chunk = min64 (f->chunk, to - q);
        for (int64_t g = g0; g < g1; g++) {
            const int64_t i0 = row_of (t, g), rows = row_of (t, g + 1) - i0, asked = (g - g0) * f->chunk / every;
            const bool ask = t->m > BY_ITSELF && g - g0 < every;
            const piece_t piece = {.y = alone != NULL ? alone + i0 * WB_PANEL : t->y + i0 * t->n + j,
                                   .x = t->packed + (i0 * t->units + q * rows) * f->x_bytes,
                                   .a = a + q * a_bytes,
                                   .b = t->b != NULL && alone == NULL ? t->b + j : NULL,
                                   .ld = alone != NULL ? WB_PANEL : t->n,
                                   .units = chunk,
                                   .first = q == 0 || alone != NULL,
                                   .add = t->add && alone == NULL,
                                   .ask = ask ? a + (q + chunk + asked) * a_bytes : NULL,
                                   .between = every - 1};
            if (width == WB_PANEL)
                f->wide (&piece, rows);
            else if (f->padded)
                part (t, &piece, rows, width);
            else
                narrow (&piece, rows, width);
        }
    }
}

/* Panels p0 .. p1 - 1 for groups g0 .. g1 - 1, as many of these at a time as stay in the second-level cache. */
static void panels (const job_t *t, int64_t p0, int64_t p1, int64_t g0, int64_t g1) {
    const form_t *f = t->form;
    const int64_t at_once = BLOCK_ROWS / f->rows;
    for (int64_t g = g0; g < g1; g += at_once) {
        const int64_t end = min64 (g1, g + at_once), rows = row_of (t, end) - row_of (t, g);
        const int64_t fit = BLOCK / f->x_bytes / rows, deep = fit < f->chunk ? f->chunk : fit / f->chunk * f->chunk;
        for (int64_t from = 0; from < t->units; from += deep)
            for (int64_t p = p0; p < p1; p++) panel (t, p, from, min64 (t->units, from + deep), g, end, NULL);
    }
}

/* Where threads have the sums of their chunks. */
typedef struct shared {
    const float *of[WB_PANEL_SUMS_THREADS];
} shared_t;

/* Of y's columns of panel p, with the sums of its chunks in their order: the same bits as from one thread. */
static void settle_panel (const job_t *t, const shared_t *shared, int64_t p, int64_t chunks, int64_t items,
                          int threads) {
    const int64_t j = p * WB_PANEL, width = min64 (WB_PANEL, t->n - j);
    for (int64_t c = 0; c < chunks; c++) {
        const int64_t item = p * chunks + c, owner = ((item + 1) * threads - 1) / items;
        const float *sums = shared->of[owner] + (item - items * owner / threads) * t->m * WB_PANEL;
        for (int64_t i = 0; i < t->m; i++, sums += WB_PANEL) {
            float *restrict y = t->y + i * t->n + j;
            for (int64_t k = 0; k < width; k++) {
                float sum = sums[k];
                if (c == 0 && t->b != NULL) sum += t->b[j + k];
                y[k] = c > 0 || t->add ? sum + y[k] : sum;
            }
        }
    }
}

/* Threads share the chunks of the panels, one after the other as they lie in memory, and keep their sums. */
static void work_by_chunks (const job_t *t, shared_t *shared, int me, int threads) {
    float sums[WB_PANEL_SUMS] __attribute__ ((aligned (64)));
    const int64_t count = units_of (t->n, WB_PANEL), chunks = units_of (t->units, t->form->chunk);
    const int64_t items = count * chunks, lo = items * me / threads, hi = items * (me + 1) / threads;
    shared->of[me] = sums;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t from = i % chunks * t->form->chunk, to = min64 (t->units, from + t->form->chunk);
        panel (t, i / chunks, from, to, 0, t->groups, sums + (i - lo) * t->m * WB_PANEL);
    }
#pragma omp barrier
    for (int64_t p = count * me / threads; p < count * (me + 1) / threads; p++)
        settle_panel (t, shared, p, chunks, items, threads);
#pragma omp barrier /* nobody leaves while others read its sums */
}

/* Threads share the panels; if there are too few to be even, rows of x too. */
static void work (const job_t *t, int me, int threads) {
    const int64_t count = (t->n + WB_PANEL - 1) / WB_PANEL;
    const int64_t parts = wb_cut_panel_rows (t->m, count, threads);
    const int64_t lo = parts * count * me / threads, hi = parts * count * (me + 1) / threads;
    for (int64_t i = lo; i < hi;) {
        const int64_t part = i / count, p0 = i % count, p1 = min64 (count, p0 + hi - i);
        panels (t, p0, p1, t->groups * part / parts, t->groups * (part + 1) / parts);
        i += p1 - p0;
    }
}

static void run (const job_t *t) {
    const bool packs = t->packed != (const char *) t->x;
    const int64_t count = units_of (t->n, WB_PANEL), chunks = units_of (t->units, t->form->chunk);
    shared_t shared;
#pragma omp parallel if (t->m * t->n * t->k >= WB_PANEL_PARALLEL_MIN)
    {
        const int me = omp_get_thread_num (), threads = omp_get_num_threads ();
        if (packs) {
            t->form->pack (t, t->units * me / threads, t->units * (me + 1) / threads);
#pragma omp barrier
        }
        if (wb_cut_panel_chunks (t->m, count, chunks, threads))
            work_by_chunks (t, &shared, me, threads);
        else
            work (t, me, threads);
    }
}

/* The form depends on k, but on no other size: a row has the same bits whatever is multiplied with it. */
static const form_t *form_of (wb_weights_type type, int64_t k, bool plain) {
    if (type == WB_WEIGHTS_FP32) return &fp32;
#if defined(__AVX512F__) && defined(WB_AMX)
    if (type == WB_WEIGHTS_BF16 && !plain && k % 32 == 0 && wb_amx_get ()) return &wb_panel_bf16_amx;
#endif
#if defined(__AVX512F__) && defined(WB_AVX512_UNITS)
    if (type == WB_WEIGHTS_BF16 && !plain && __builtin_cpu_supports ("avx512bf16")) return &wb_panel_bf16_avx512_units;
    if (type == WB_WEIGHTS_INT8 && !plain && __builtin_cpu_supports ("avx512vnni")) return &wb_panel_int8_avx512_units;
#endif
    (void) plain, (void) k;
    return type == WB_WEIGHTS_BF16 ? &ISA_NAME (wb_panel_bf16_) : &ISA_NAME (wb_panel_int8_);
}

static void linear (float *y, const float *x, wb_matrix_t A, const float *b, void *packed, int64_t m, int64_t n,
                    int64_t k, bool add, bool plain) {
    const form_t *f = form_of (A.type, k, plain);
    const int64_t unit = A.type == WB_WEIGHTS_FP32 ? 1 : A.type == WB_WEIGHTS_BF16 ? 2 : WB_INT8_BLOCK;
    const job_t t = {.y = y,
                     .x = x,
                     .A = A.panels,
                     .b = b,
                     .packed = m > 1 || f != &fp32 ? packed : (char *) (uintptr_t) x,
                     .m = m,
                     .n = n,
                     .k = k,
                     .units = units_of (k, unit),
                     .groups = units_of (m, f->rows),
                     .add = add,
                     .form = f};
    run (&t);
}

void KERNEL (panel_linear) (float *y, const float *x, wb_matrix_t A, const float *b, void *packed, int64_t m, int64_t n,
                            int64_t k, bool add) {
    linear (y, x, A, b, packed, m, n, k, add, false);
}

void ISA_NAME (wb_panel_linear_plain_) (float *y, const float *x, wb_matrix_t A, const float *b, void *packed,
                                        int64_t m, int64_t n, int64_t k, bool add) {
    linear (y, x, A, b, packed, m, n, k, add, true);
}
