/* How elementwise work is cut for threads: into ranges of a fixed size, so that no result depends on their number. */
#ifndef WABUN_KERNELS_RANGES_H
#define WABUN_KERNELS_RANGES_H

#include "kernels/vec.h"

/* Elements in a range, and the number of elements from which starting threads pays. */
#define RANGE ((int64_t) 16384)
#define PARALLEL_MIN ((int64_t) 32768)

/* Run `call` for ranges lo .. hi - 1 that cover 0 .. n - 1; the cut depends on n only. */
#define IN_RANGES(n, call)                                                                                \
    do {                                                                                                  \
        const int64_t n_ = (n), ranges_ = (n_ + RANGE - 1) / RANGE;                                       \
        _Pragma ("omp parallel for schedule(static) if (n_ >= PARALLEL_MIN)") /* one range, one thread */ \
            for (int64_t r_ = 0; r_ < ranges_; r_++) {                                                    \
            const int64_t lo = r_ * RANGE, hi = min64 (n_, lo + RANGE);                                   \
            call;                                                                                         \
        }                                                                                                 \
    } while (0)

/* y += x. */
INLINE void add_row (float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

#endif
