/* How elementwise work is cut for threads: into ranges of a fixed size, so that no result depends on their number. */
#ifndef WABUN_KERNELS_RANGES_H
#define WABUN_KERNELS_RANGES_H

#include <omp.h>
#include <string.h>

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

/* Sums over rows are cut into slices of columns, one thread each.  Columns of a slice: the result is the same for any
 * multiple of 64. */
#define SLICE_MAX 1024
INLINE int64_t slice_width (int64_t m) {
    const int64_t threads = omp_get_max_threads (), w = (m + threads * 64 - 1) / (threads * 64) * 64;
    return min64 (w, SLICE_MAX);
}

/* Rows are summed in groups of this size before they are added to the total: keeps the rounding error small. */
#define ROWS 128

/* ---- brain floats ------------------------------------------------------------------------------------------------ */

INLINE uint32_t float_bits (float f) {
    uint32_t u;
    memcpy (&u, &f, sizeof u);
    return u;
}
INLINE float bits_float (uint32_t u) {
    float f;
    memcpy (&f, &u, sizeof f);
    return f;
}

INLINE void bf16_pack_row (uint16_t *restrict out, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = float_bits (x[i]), even = u + 0x7fff + (u >> 16 & 1);
        out[i] = (uint16_t) (((u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : even) >> 16);
    }
}
INLINE void bf16_unpack_row (float *restrict out, const uint16_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = bits_float ((uint32_t) x[i] << 16);
}
#endif
