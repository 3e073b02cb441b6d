/* Which table serves which instruction set, threads, and the peak that everything is measured against.
 *
 * Holds no arithmetic and no state: the number of threads is OpenMP's own.
 */
#include "config.h"

#include <math.h>
#include <omp.h>

#include "kernels/kernels_priv.h"

const wb_kern_t *wb_kern_get (wb_isa isa) {
    switch (isa) {
#ifdef WB_X86
    case WB_ISA_AVX512: return &wb_kern_table_avx512;
    case WB_ISA_AVX2: return &wb_kern_table_avx2;
#else
    case WB_ISA_AVX512:
    case WB_ISA_AVX2:
#endif
    case WB_ISA_PORTABLE: break;
    }
    return &wb_kern_table_portable;
}

int wb_kern_threads (void) { return omp_get_max_threads (); }

void wb_kern_threads_set (int threads) { omp_set_num_threads (threads < 1 ? 1 : threads); }

int64_t wb_attention_work_floats (int64_t T, int64_t D, int threads) {
    return wb_att_thread_floats (T, D) * (threads < 1 ? 1 : threads);
}

int64_t wb_cache_floats (int64_t T, int64_t H, int64_t D) {
    return (T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK * WB_CACHE_BLOCK * 2 * H * D;
}

int64_t wb_cached_work_floats (int64_t T, int64_t H, int64_t D, int nseq, int threads) {
    const int64_t blocks = (T + WB_CACHE_BLOCK - 1) / WB_CACHE_BLOCK;
    return wb_attention_work_floats (0, D, threads) + nseq * blocks * H * wb_att_share_floats (D);
}

static double fma_rounds (wb_isa isa, int64_t rounds, float *sink) {
    switch (isa) {
#ifdef WB_X86
    case WB_ISA_AVX512: return wb_simd_fma_avx512 (rounds, sink);
    case WB_ISA_AVX2: return wb_simd_fma_avx2 (rounds, sink);
#else
    case WB_ISA_AVX512:
    case WB_ISA_AVX2:
#endif
    case WB_ISA_PORTABLE: break;
    }
    return wb_simd_fma_portable (rounds, sink);
}

/* One trial: all threads start together; flop of all over the time of the slowest.  Each reads its own clock: where
 * others want the cores too, a barrier may take longer than the arithmetic. */
static double fma_trial (wb_isa isa, int threads, int64_t rounds, double *seconds) {
    double flop = 0, slowest = 0;
    volatile float keep = 0;
#pragma omp parallel num_threads(threads) reduction(+ : flop) reduction(max : slowest)
    {
        float sink = 0;
#pragma omp barrier
        const double begin = wb_now ();
        flop += fma_rounds (isa, rounds, &sink);
        slowest = wb_now () - begin;
#pragma omp master
        keep = sink;
    }
    (void) keep;
    *seconds = slowest;
    return flop;
}

double wb_kern_fma_peak (int threads, double seconds) {
    const wb_isa isa = wb_cpu_isa ();
    const double start = wb_now ();
    int64_t rounds = 1024;
    double best = 0, t = 0;
    if (threads < 1) threads = 1;
    /* Trials of about 5 ms: long enough for the clock, short enough to fit between two interruptions. */
    do {
        const double flop = fma_trial (isa, threads, rounds, &t);
        if (t < 0.004) {
            rounds *= 2;
        } else if (flop / t > best) {
            best = flop / t;
        }
    } while (best <= 0 || wb_now () - start < seconds);
    return best * 1e-9;
}

static float read_all (wb_isa isa, const float *p, int64_t n) {
    switch (isa) {
#ifdef WB_X86
    case WB_ISA_AVX512: return wb_panel_read_avx512 (p, n);
    case WB_ISA_AVX2: return wb_panel_read_avx2 (p, n);
#else
    case WB_ISA_AVX512:
    case WB_ISA_AVX2:
#endif
    case WB_ISA_PORTABLE: break;
    }
    return wb_panel_read_portable (p, n);
}

double wb_kern_read_bandwidth (const float *p, int64_t n, int threads, double seconds) {
    const wb_isa isa = wb_cpu_isa ();
    const double start = wb_now ();
    /* Times over the same floats in a trial: a trial of a small array must be long enough for the clock. */
    const int64_t times = n > 0 ? 1 + (1 << 22) / n : 1;
    double best = 0;
    volatile float keep = 0;
    if (threads < 1) threads = 1;
    do {
        float sum = 0;
        double begin = INFINITY, end = 0; /* of the first and of the last thread, each by its own clock */
#pragma omp parallel num_threads(threads) reduction(+ : sum) reduction(min : begin) reduction(max : end)
        {
            const int team = omp_get_num_threads (), i = omp_get_thread_num ();
            const int64_t lo = n * i / team, hi = n * (i + 1) / team;
#pragma omp barrier
            begin = wb_now ();
            for (int64_t t = 0; t < times; t++) sum += read_all (isa, p + lo, hi - lo);
            end = wb_now ();
        }
        keep = keep + sum;
        const double rate = (double) (times * n) * sizeof (float) / (end - begin);
        if (end > begin && rate > best) best = rate;
    } while (wb_now () - start < seconds);
    return best * 1e-9;
}

/* y += a x, cut evenly. */
static void axpy (float *restrict y, const float *restrict x, int64_t n, int threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n; i++) y[i] += 0.5f * x[i];
}

double wb_kern_bandwidth (float *buf, int64_t floats, int threads, double seconds) {
    const int64_t n = floats / 2;
    const double start = wb_now ();
    double best = 0;
    if (threads < 1) threads = 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < 2 * n; i++) buf[i] = 1.0f;
    do {
        const double begin = wb_now ();
        axpy (buf, buf + n, n, threads);
        const double rate = 12.0 * (double) n / (wb_now () - begin);
        if (rate > best) best = rate;
    } while (wb_now () - start < seconds);
    return best * 1e-9;
}
