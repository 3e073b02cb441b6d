/* Which kernels serve which instruction set, threads, and sizes of work space.
 *
 * Holds no arithmetic and no state: the number of threads is OpenMP's own.
 */
#include "config.h"

#include <omp.h>
#include <string.h>

#include "kernels/cut.h"
#include "kernels/kernels_priv.h"

const wb_isa_kernels_t *wb_isa_kernels (wb_isa isa) {
    switch (isa) {
#ifdef WB_X86
    case WB_ISA_AVX512: return &wb_isa_kernels_avx512;
    case WB_ISA_AVX2: return &wb_isa_kernels_avx2;
#else
    case WB_ISA_AVX512:
    case WB_ISA_AVX2:
#endif
    case WB_ISA_PORTABLE: break;
    }
    return &wb_isa_kernels_portable;
}

const wb_kern_t *wb_kern_get (wb_isa isa) { return &wb_isa_kernels (isa)->table; }

int wb_kern_threads (void) { return omp_get_max_threads (); }

void wb_kern_threads_set (int threads) { omp_set_num_threads (threads < 1 ? 1 : threads); }

void wb_floats_clear (float *x, int64_t n) {
    const int64_t range = wb_cut_range (n);
#pragma omp parallel for schedule(static) if (n >= WB_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i += range) memset (x + i, 0, (size_t) wb_cut_min (range, n - i) * sizeof *x);
}

void wb_floats_copy (float *to, const float *from, int64_t n) {
    const int64_t range = wb_cut_range (n);
#pragma omp parallel for schedule(static) if (n >= WB_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i += range) memcpy (to + i, from + i, (size_t) wb_cut_min (range, n - i) * sizeof *to);
}

int64_t wb_attention_work_floats (int64_t T, int64_t D, int threads) {
    return wb_att_thread_floats (T, D) * (threads < 1 ? 1 : threads);
}

int64_t wb_cache_floats (int64_t T, int64_t H, int64_t D) {
    return (T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK * WB_CACHE_BLOCK * 2 * H * D;
}

int64_t wb_cached_work_floats (int64_t T, int64_t H, int64_t D, int nseq, int threads) {
    const int64_t blocks = (T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK;
    return wb_attention_work_floats (0, D, threads) + nseq * blocks * H * wb_att_partial_floats (D);
}
