/* The limits that everything is measured against: multiply-adds and bandwidths of this process, all threads at once.
 *
 * Not here: the loops that are timed (peak.c). */
#include "config.h"

#include <math.h>
#include <omp.h>

#include "kernels/amx.h"
#include "kernels/kernels_priv.h"

#ifdef WB_X86
#define WB_HAS(feature) __builtin_cpu_supports (feature)
#else
#define WB_HAS(feature) false
#endif

/* One trial: all threads start together; returns the flop of all, *seconds is the time of the slowest.  Each reads its
 * own clock: when other processes use the cores too, a barrier may take longer than the arithmetic. */
static double fma_trial (double (*fma) (int64_t rounds, float *sink), int threads, int64_t rounds, double *seconds) {
    double flop = 0, slowest = 0;
    volatile float keep = 0;
#pragma omp parallel num_threads(threads) reduction(+ : flop) reduction(max : slowest)
    {
        float sink = 0;
#pragma omp barrier
        const double begin = wb_now ();
        flop += fma (rounds, &sink);
        slowest = wb_now () - begin;
#pragma omp master
        keep = sink;
    }
    (void) keep;
    *seconds = slowest;
    return flop;
}

static double peak_of (double (*fma) (int64_t rounds, float *sink), int threads, double seconds) {
    const double start = wb_now ();
    int64_t rounds = 1024;
    double best = 0, t = 0;
    if (threads < 1) threads = 1;
    /* Trials of about 5 ms: long enough for the clock, short enough to fit between two interruptions. */
    do {
        const double flop = fma_trial (fma, threads, rounds, &t);
        if (t < 0.004) {
            rounds *= 2;
        } else if (flop / t > best) {
            best = flop / t;
        }
    } while (best <= 0 || wb_now () - start < seconds);
    return best * 1e-9;
}

double wb_kern_fma_peak (int threads, double seconds) {
    return peak_of (wb_isa_kernels (wb_cpu_isa ())->fma, threads, seconds);
}

double wb_kern_bf16_peak (int threads, double seconds) {
    const wb_isa_kernels_t *kernels = wb_isa_kernels (wb_cpu_isa ());
#ifdef WB_AMX
    if (wb_amx_get ()) return peak_of (wb_peak_amx, threads, seconds);
#endif
    return kernels->bf16 != NULL && WB_HAS ("avx512bf16") ? peak_of (kernels->bf16, threads, seconds) : 0;
}

double wb_kern_int8_peak (int threads, double seconds) {
    const wb_isa_kernels_t *kernels = wb_isa_kernels (wb_cpu_isa ());
    return kernels->int8 != NULL && WB_HAS ("avx512vnni") ? peak_of (kernels->int8, threads, seconds) : 0;
}

double wb_kern_read_bandwidth (const float *p, int64_t n, int threads, double seconds) {
    const wb_isa_kernels_t *kernels = wb_isa_kernels (wb_cpu_isa ());
    const double start = wb_now ();
    /* Passes in a trial: that of a small array must be long enough for the clock. */
    const int64_t times = n > 0 ? 1 + (1 << 22) / n : 1;
    double best = 0;
    volatile float keep = 0;
    if (threads < 1) threads = 1;
    do {
        float sum = 0;
        double begin = INFINITY, end = 0; /* of the first thread to begin and the last to end, each by its own clock */
#pragma omp parallel num_threads(threads) reduction(+ : sum) reduction(min : begin) reduction(max : end)
        {
            const int team = omp_get_num_threads (), i = omp_get_thread_num ();
            const int64_t lo = n * i / team, hi = n * (i + 1) / team;
#pragma omp barrier
            begin = wb_now ();
            for (int64_t t = 0; t < times; t++) sum += kernels->read (p + lo, hi - lo);
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
