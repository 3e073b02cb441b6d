/* How elementwise work is cut for threads: into ranges of a fixed size, so that no result depends on their number. */
#ifndef WABUN_KERNELS_RANGES_H
#define WABUN_KERNELS_RANGES_H

#include <omp.h>
#include <string.h>

#include "kernels/cut.h"
#include "kernels/vec.h"

#define PARALLEL_MIN WB_PARALLEL_MIN

/* Run `call` for ranges lo .. hi - 1 that cover 0 .. n - 1, with threads from `least` elements on; the cut depends on n
 * only. */
#define IN_RANGES(n, call) IN_RANGES_FROM (PARALLEL_MIN, n, call)
#define IN_RANGES_FROM(least, n, call)                                                            \
    do {                                                                                          \
        const int64_t n_ = (n), range_ = wb_cut_range (n_), ranges_ = (n_ + range_ - 1) / range_; \
        const bool many_ = n_ >= (least);                                                         \
        _Pragma ("omp parallel for schedule(static) if (many_)") /* one range, one thread */      \
            for (int64_t r_ = 0; r_ < ranges_; r_++) {                                            \
            const int64_t lo = r_ * range_, hi = min64 (n_, lo + range_);                         \
            call;                                                                                 \
        }                                                                                         \
    } while (0)

/* y += x. */
INLINE void add_row (float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

/* A group of rows i0 .. i1 - 1: s [k] = their sums in columns c .. c + k - 1; a vector beyond k may be written.  With
 * two kinds of sums the second one's lie `second` floats later. */
typedef void group_fn (const void *job, float *s, int64_t second, int64_t i0, int64_t i1, int64_t c, int64_t k);

/* to [kind][m] += sums over n rows; to [kind] may be NULL. */
INLINE void sum_rows (float *const *to, int64_t kinds, group_fn *group, const void *job, int64_t n, int64_t m) {
    float part[WB_SUM_FLOATS] __attribute__ ((aligned (64)));
    const bool parallel = n * m >= PARALLEL_MIN;
    const int64_t groups = (n + WB_SUM_ROWS - 1) / WB_SUM_ROWS;
    for (int64_t c0 = 0; c0 < m; c0 += WB_SUM_COLUMNS) {
        const int64_t here = min64 (WB_SUM_COLUMNS, m - c0), ld = (here + 15) / 16 * 16;
        const wb_cut_sums_t cut = wb_cut_sums (n, here, kinds, parallel ? omp_get_max_threads () : 1);
        const int64_t slices = (here + cut.width - 1) / cut.width;
        for (int64_t g0 = 0; g0 < groups; g0 += cut.groups) {
            const int64_t g1 = min64 (groups, g0 + cut.groups);
#pragma omp parallel if (parallel)
            {
#pragma omp for schedule(static)
                for (int64_t task = 0; task < (g1 - g0) * slices; task++) {
                    const int64_t g = task / slices, c = task % slices * cut.width, i = (g0 + g) * WB_SUM_ROWS;
                    group (job, part + g * kinds * ld + c, ld, i, min64 (n, i + WB_SUM_ROWS), c0 + c,
                           min64 (cut.width, here - c));
                }
#pragma omp for schedule(static)
                for (int64_t c = 0; c < here; c += 64)
                    for (int64_t kind = 0; kind < kinds; kind++)
                        for (int64_t g = 0; to[kind] != NULL && g < g1 - g0; g++)
                            add_row (to[kind] + c0 + c, part + (g * kinds + kind) * ld + c, min64 (64, here - c));
            }
        }
    }
}

/* ---- brain floats ------------------------------------------------------------------------------------------------ */

INLINE void bf16_pack_row (uint16_t *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = half_of (x[i]);
}
INLINE void bf16_unpack_row (float *restrict out, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bits_float ((uint32_t) x[i] << 16);
}
#endif
