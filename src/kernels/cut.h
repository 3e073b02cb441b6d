/* How kernels cut their work over threads, as numbers: the kernels cut by these, and `wabun bench threads` counts by
 * them what threads that there need not be would do.
 *
 * Not here: what is worth threads at all (PARALLEL_MIN in ranges.h and panel.c). */
#ifndef WABUN_KERNELS_CUT_H
#define WABUN_KERNELS_CUT_H

#include <stdint.h>

#include "wabun/panels.h"

/* Elements in a range, and the number of elements from which starting threads pays. */
#define WB_RANGE ((int64_t) 1024)
#define WB_PARALLEL_MIN ((int64_t) 32768)
/* The latter where an element costs much: LayerNorm and GELU of inference's few rows. */
#define WB_PARALLEL_MIN_DEAR ((int64_t) 8192)
/* Elements whose squares one thread adds. */
#define WB_SUM_BLOCK ((int64_t) 8192)
/* From so many multiply-adds starting threads pays in products by panels. */
#define WB_PANEL_PARALLEL_MIN ((int64_t) 65536)
/* Rows of x from which another thread pays there. */
#define WB_PANEL_ROWS ((int64_t) 48)

static inline int64_t wb_cut_min (int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t wb_cut_up (int64_t a, int64_t b) { return (a + b - 1) / b; }
/* Elements of a range of n: a multiple of WB_RANGE, larger where there are some hundreds of them anyhow. */
static inline int64_t wb_cut_range (int64_t n) {
    const int64_t times = wb_cut_min (n / (256 * WB_RANGE), 16);
    return times > 1 ? times * WB_RANGE : WB_RANGE;
}

/* Columns of a slice, one thread each: the result is the same for any multiple of 16. */
#define WB_SLICE_MAX 1024
static inline int64_t wb_cut_slice (int64_t m, int64_t threads) {
    return wb_cut_min (wb_cut_up (m, threads * 16) * 16, WB_SLICE_MAX);
}

/* Sums over rows: rows are summed in groups, the sums of groups added in order; that keeps the rounding error small,
 * and groups and slices of columns are tasks of any number of threads. */
#define WB_SUM_ROWS ((int64_t) 128)     /* rows of a group */
#define WB_SUM_COLUMNS ((int64_t) 8192) /* columns at once */
#define WB_SUM_FLOATS ((int64_t) 65536) /* sums kept at once */
typedef struct wb_cut_sums {
    int64_t groups, width; /* at once, and columns of a task: the result is the same for any multiple of 64 */
} wb_cut_sums_t;
/* n rows, m columns at once, `kinds` sums of each. */
static inline wb_cut_sums_t wb_cut_sums (int64_t n, int64_t m, int64_t kinds, int64_t threads) {
    const int64_t all = wb_cut_up (n, WB_SUM_ROWS), fit = WB_SUM_FLOATS / (kinds * wb_cut_up (m, 16) * 16);
    const int64_t groups = all > 0 ? wb_cut_up (all, wb_cut_up (all, fit)) : 1;
    int64_t best = INT64_MAX, width = WB_SLICE_MAX;
    for (int64_t w = 64; w <= WB_SLICE_MAX; w += 64)
        best = wb_cut_min (best, wb_cut_up (groups * wb_cut_up (m, w), threads) * wb_cut_min (w, m));
    /* of the nearly best the widest, which reads memory in the longest runs */
    while (width > 64 && 8 * wb_cut_up (groups * wb_cut_up (m, width), threads) * wb_cut_min (width, m) > 9 * best)
        width -= 64;
    return (wb_cut_sums_t){groups, width};
}

/* Attention, forward: a task is every so many-th of the blocks of queries of a head. */
static inline int64_t wb_cut_queries (int64_t heads, int64_t blocks, int64_t threads) {
    return wb_cut_min (threads > 1 ? wb_cut_up (4 * threads, heads) : 1, blocks);
}

/* Attention, backward: so many heads are a task each.  The others, too few for all threads, are cut into 2 tasks a
 * block if that pays: it needs 7 products instead of 5. */
static inline int64_t wb_cut_whole_heads (int64_t heads, int64_t blocks, int64_t threads) {
    const int64_t left = heads % threads;
    return blocks > 1 && 7 * left < 5 * threads ? heads - left : heads;
}

/* Attention to a cache, one position each: into how many tasks the heads of a block are cut. */
static inline int64_t wb_cut_cache_heads (int64_t H, int64_t blocks, int64_t threads) {
    return blocks > 0 ? wb_cut_min (H, wb_cut_up (4 * threads, blocks)) : 1;
}

/* Products by panels: into how many parts the m rows of x are cut. */
static inline int64_t wb_cut_panel_rows (int64_t m, int64_t panels, int64_t threads) {
    const int64_t parts = panels < 8 * threads ? wb_cut_min (threads, m / WB_PANEL_ROWS) : 1;
    return parts < 1 ? 1 : parts;
}

/* Floats of the sums of chunks that a thread keeps, and threads that may. */
#define WB_PANEL_SUMS ((int64_t) 32768)
#define WB_PANEL_SUMS_THREADS 1024
/* Are panels cut into their chunks, too?  Where few panels would leave many threads idle, and the sums fit. */
static inline bool wb_cut_panel_chunks (int64_t m, int64_t panels, int64_t chunks, int64_t threads) {
    const int64_t most = wb_cut_up (panels * chunks, threads);
    return threads <= WB_PANEL_SUMS_THREADS && most * m * WB_PANEL <= WB_PANEL_SUMS &&
           8 * most < 7 * wb_cut_up (panels, threads) * chunks && wb_cut_panel_rows (m, panels, threads) == 1;
}
#endif
