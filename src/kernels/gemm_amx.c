/* The product of brain floats by AMX.  Compiled with AMX-TILE, AMX-BF16 and AVX-512.
 *
 * A tile is 16 rows of 64 bytes: of A 16 rows and 32 numbers of k, of B 16 pairs of k and 16 columns.  A 32 x 32 block
 * of C is four tiles; a step of 32 numbers of k loads two tiles of A and two of B for four products, which is as much
 * as the second-level cache delivers while they run.  So operands are copied into strips of 32 rows or columns, tile
 * after tile: B by all threads for all, A by each thread for its own rows, as many as stay in its second-level cache.
 * Sums of an element are taken in the order of k, whatever the number of threads: results have the same bits.
 *
 * Not here: whether the processor has AMX and the system gives it (amx.c). */
#include "config.h"

#include <omp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/amx.h"
#include "kernels/cut.h"
#include "kernels/vec.h"

enum {
    SIDE = 32,                     /* rows or columns of a strip; numbers of k in a step */
    STEP = SIDE * SIDE,            /* brain floats of a strip in a step: two tiles */
    DEEP = 1536,                   /* numbers of k that are packed at once */
    CHUNK = 384,                   /* and multiplied at once: a strip of B stays in first-level cache */
    OWN = 512 * DEEP,              /* brain floats of A that a thread keeps packed */
    KEPT = 256 * DEEP,             /* brain floats of B that stay in second-level cache */
    WIDE = 4096,                   /* columns of B that are packed at once */
    LINE = 64 / sizeof (uint16_t), /* brain floats of a row of a tile */
    HUGE_PAGE = 2 << 20
};

typedef struct job {
    float *C;
    const uint16_t *A, *B;
    int64_t m, n, k, ldc, lda, ldb;
    bool ta, tb;
    float beta;
    uint16_t *packed;     /* B [strips][steps][STEP], then OWN for each thread */
    int64_t down, across; /* threads over rows, over columns */
} job_t;

/* ---- operands to strips ------------------------------------------------------------------------------------------ */

/* Numbers 0 .. 31 of a row, `some` of them, zeros behind them. */
INLINE __m512i load_some (const uint16_t *from, int64_t some) {
    return _mm512_maskz_loadu_epi16 (some >= SIDE ? ~0u : some > 0 ? (1u << some) - 1 : 0, from);
}

/* Rows 2 q and 2 q + 1 of a matrix with k outside, columns 0 .. 31: of each column the two beside each other, columns
 * 0 .. 15 and 16 .. 31. */
INLINE void pair (__m512i *lo, __m512i *hi, const uint16_t *from, int64_t ld, int64_t some, int64_t deep) {
    const __m512i a = load_some (from, deep > 0 ? some : 0),
                  b = load_some (from + (deep > 1 ? ld : 0), deep > 1 ? some : 0);
    const __m512i first = _mm512_set_epi16 (47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                            37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    *lo = _mm512_permutex2var_epi16 (a, first, b);
    *hi = _mm512_permutex2var_epi16 (a, _mm512_add_epi16 (first, _mm512_set1_epi16 (16)), b);
}

/* A step of a strip of A, or of B: `side` rows or columns, `deep` numbers of k.  k_inside: these lie beside each other.
 * Tiles of A have a row for each row, those of B a row for each pair of k. */
INLINE void pack_step (uint16_t *out, const uint16_t *from, int64_t ld, int64_t side, int64_t deep, bool k_inside,
                       bool of_b) {
    vf t[2][W];
    if (k_inside) {
        for (int64_t i = 0; i < SIDE; i++)
            t[i / W][i % W] = (vf) (i < side ? load_some (from + i * ld, deep) : _mm512_setzero_si512 ());
    } else {
        for (int64_t q = 0; q < W; q++)
            pair ((__m512i *) &t[0][q], (__m512i *) &t[1][q], from + 2 * q * ld, ld, side, deep - 2 * q);
    }
    for (int half = 0; half < 2; half++) {
        if (k_inside == of_b) transpose (t[half]);
        for (int64_t i = 0; i < W; i++) vstore ((float *) (void *) (out + (half * W + i) * LINE), t[half][i]);
    }
}

/* out [strips][steps][STEP] = rows of A or columns of B, `sides` of them, `deep` numbers of k; memory is read along its
 * rows. */
static void pack (uint16_t *out, const uint16_t *from, int64_t ld, int64_t sides, int64_t deep, bool k_inside,
                  bool of_b) {
    const int64_t steps = wb_cut_up (deep, SIDE);
    if (k_inside) {
        for (int64_t i = 0; i < sides; i += SIDE, from += SIDE * ld)
            for (int64_t p = 0; p < deep; p += SIDE, out += STEP)
                pack_step (out, from + p, ld, sides - i, deep - p, true, of_b);
    } else {
        for (int64_t p = 0; p < deep; p += SIDE, from += SIDE * ld, out += STEP)
            for (int64_t i = 0; i < sides; i += SIDE)
                pack_step (out + i / SIDE * steps * STEP, from + i, ld, sides - i, deep - p, false, of_b);
    }
}

/* ---- a block of C ------------------------------------------------------------------------------------------------ */

/* C [32, 32] = or += the strips at a and b over `steps` steps. */
INLINE void block (float *C, int64_t ldc, const uint16_t *a, const uint16_t *b, int64_t steps, bool add) {
    wb_tiles_block (C, ldc, (wb_tiles_operand_t){a, LINE, STEP / 2, STEP},
                    (wb_tiles_operand_t){b, LINE, STEP / 2, STEP}, steps, add);
}

/* The same at an edge: only rows x columns of C are there. */
static void edge (float *C, int64_t ldc, int64_t rows, int64_t columns, const uint16_t *a, const uint16_t *b,
                  int64_t steps, bool add) {
    float t[SIDE * SIDE] __attribute__ ((aligned (64)));
    if (add)
        for (int64_t i = 0; i < rows; i++) memcpy (t + i * SIDE, C + i * ldc, (size_t) columns * sizeof *t);
    block (t, SIDE, a, b, steps, add);
    for (int64_t i = 0; i < rows; i++) memcpy (C + i * ldc, t + i * SIDE, (size_t) columns * sizeof *t);
}

/* ---- the work of a thread ---------------------------------------------------------------------------------------- */

/* Rows i0 .. i1 - 1 and columns j0 .. j1 - 1, whose strips are at a and b, `steps` steps each: b stays in second-level
 * cache, a chunk of a strip of a in first-level cache, and C is written along its rows. */
static void multiply (const job_t *t, const uint16_t *a, const uint16_t *b, int64_t i0, int64_t i1, int64_t j0,
                      int64_t j1, int64_t steps, bool add) {
    for (int64_t i = i0; i < i1; i += SIDE)
        for (int64_t s = 0; s < steps; s += CHUNK / SIDE) {
            const int64_t some = min64 (CHUNK / SIDE, steps - s);
            const uint16_t *own = a + ((i - i0) / SIDE * steps + s) * STEP;
            for (int64_t j = j0; j < j1; j += SIDE) {
                float *C = t->C + i * t->ldc + j;
                const uint16_t *strip = b + ((j - j0) / SIDE * steps + s) * STEP;
                if (i + SIDE <= i1 && j + SIDE <= j1)
                    block (C, t->ldc, own, strip, some, add || s > 0);
                else
                    edge (C, t->ldc, min64 (SIDE, i1 - i), min64 (SIDE, j1 - j), own, strip, some, add || s > 0);
            }
        }
}

/* C *= beta, which the tiles do not. */
static void scale (const job_t *t, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++) t->C[i * t->ldc + j] *= t->beta;
}

/* Where part p of `parts` begins: parts are whole strips. */
static int64_t share (int64_t count, int64_t p, int64_t parts) {
    return min64 (wb_cut_up (count, SIDE) * p / parts * SIDE, count);
}

/* Columns n0 .. n1 - 1, numbers k0 .. k0 + deep - 1 of k, whose B is packed.  add: to sums of numbers of k before
 * these, or to what was in C. */
static void own_part (const job_t *t, int64_t me, int64_t n0, int64_t n1, int64_t k0, int64_t deep, bool add) {
    const int64_t row = me / t->across, column = me % t->across, steps = wb_cut_up (deep, SIDE);
    const int64_t i0 = share (t->m, row, t->down), i1 = share (t->m, row + 1, t->down);
    const int64_t j0 = n0 + share (n1 - n0, column, t->across), j1 = n0 + share (n1 - n0, column + 1, t->across);
    const int64_t rows = OWN / (steps * SIDE) / SIDE * SIDE, columns = KEPT / (steps * SIDE) / SIDE * SIDE;
    uint16_t *own = t->packed + (int64_t) WIDE * DEEP + me * OWN;
    if (j0 == j1) return;
    if (k0 == 0 && add && t->beta != 1.0f) scale (t, i0, i1, j0, j1);
    for (int64_t i = i0; i < i1; i += rows) {
        const int64_t end = min64 (i + rows, i1);
        pack (own, t->A + (t->ta ? k0 * t->lda + i : i * t->lda + k0), t->lda, end - i, deep, !t->ta, false);
        for (int64_t j = j0; j < j1; j += columns)
            multiply (t, own, t->packed + (j - n0) / SIDE * steps * STEP, i, end, j, min64 (j + columns, j1), steps,
                      add);
    }
}

static void pack_b (const job_t *t, int64_t me, int64_t team, int64_t n0, int64_t n1, int64_t k0, int64_t deep) {
    const int64_t j0 = n0 + share (n1 - n0, me, team), j1 = n0 + share (n1 - n0, me + 1, team);
    pack (t->packed + (j0 - n0) / SIDE * wb_cut_up (deep, SIDE) * STEP,
          t->B + (t->tb ? j0 * t->ldb + k0 : k0 * t->ldb + j0), t->ldb, j1 - j0, deep, t->tb, true);
}

/* Threads over rows and columns, of the team that there is, which may be smaller than was asked for: the largest part
 * as small as can be, and rows packed by as few as can be. */
static void cut (job_t *t, int64_t threads) {
    int64_t best = INT64_MAX;
    for (int64_t across = 1; across <= threads; across++) {
        if (threads % across != 0) continue;
        const int64_t down = threads / across, rows = wb_cut_up (wb_cut_up (t->m, SIDE), down);
        const int64_t most =
            rows * (8 * wb_cut_up (wb_cut_up (min64 (t->n, WIDE), SIDE), across) + 3); /* packing: a guess */
        if (most < best) best = most, t->down = down, t->across = across;
    }
}

/* Every thread has its own job, cut alike. */
static void work (job_t job, int64_t me, int64_t team) {
    const job_t *t = &job;
    cut (&job, team);
    wb_tiles_begin ();
    for (int64_t n0 = 0; n0 < t->n; n0 += WIDE) {
        const int64_t n1 = min64 (n0 + WIDE, t->n), pieces = wb_cut_up (t->k, DEEP);
        for (int64_t p = 0; p < pieces; p++) {
            const int64_t k0 = share (t->k, p, pieces), deep = share (t->k, p + 1, pieces) - k0;
#pragma omp barrier
            pack_b (t, me, team, n0, n1, k0, deep);
#pragma omp barrier
            own_part (t, me, n0, n1, k0, deep, p > 0 || t->beta != 0.0f);
        }
    }
    _tile_release ();
}

/* ---- from outside ------------------------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Work space, kept from call to call: new pages would cost more than a small product.  Only what is used takes memory.
 */
static uint16_t *kept;
static int64_t kept_for;

static bool keep (int64_t threads) {
    static char *base;
    static size_t size;
    if (kept_for >= threads) return true;
    if (kept_for > 0) munmap (base, size);
    kept_for = 0;
    size = (size_t) ((int64_t) WIDE * DEEP + threads * OWN) * sizeof *kept + HUGE_PAGE;
    base = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return false;
    kept = (uint16_t *) (void *) (base + (HUGE_PAGE - (uintptr_t) base % HUGE_PAGE) % HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    (void) madvise (kept, size - HUGE_PAGE, MADV_HUGEPAGE);
#endif
    kept_for = threads;
    return true;
}

double wb_peak_amx (int64_t rounds, float *sink) {
    static const uint16_t numbers[STEP] = {0};
    float sums[W * W];
    wb_tiles_begin ();
    _tile_loadd (4, numbers, 64);
    _tile_loadd (5, numbers, 64);
    _tile_zero (0);
    _tile_zero (1);
    _tile_zero (2);
    _tile_zero (3);
    for (int64_t i = 0; i < rounds; i++) {
        _tile_dpbf16ps (0, 4, 5);
        _tile_dpbf16ps (1, 4, 5);
        _tile_dpbf16ps (2, 4, 5);
        _tile_dpbf16ps (3, 4, 5);
    }
    _tile_stored (0, sums, 64);
    _tile_release ();
    *sink += sums[0];
    return (double) rounds * 4 * W * W * SIDE * 2;
}

bool wb_amx_gemm (float *C, const uint16_t *A, const uint16_t *B, int64_t m, int64_t n, int64_t k, int64_t ldc,
                  int64_t lda, int64_t ldb, bool ta, bool tb, float beta) {
    job_t t = {C, A, B, m, n, k, ldc, lda, ldb, ta, tb, beta, NULL, 0, 0};
    const int64_t threads = wb_kern_threads ();
    bool done = false;
    pthread_mutex_lock (&lock);
    if (keep (threads)) {
        t.packed = kept;
#pragma omp parallel num_threads((int) threads)
        work (t, omp_get_thread_num (), omp_get_num_threads ());
        done = true;
    }
    pthread_mutex_unlock (&lock);
    return done;
}
