/* Intervals: how far a number could be another one if the documents were others of their kind.
 *
 * Not here: what is measured. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "infer/eval.h"

enum { MIN_THINGS = 2 };

static int compare (const void *a, const void *b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* The share of resamples to leave out at either end, of n things: 2.5 % of many.  Of few, resamples vary too little,
 * and one goes as far out as Student's t with n - 1 degrees of freedom would (Hesterberg, The American Statistician 69,
 * 2015, the expanded percentile interval).  The quantile of t is the expansion by Fisher and Cornish, 1960. */
static double tail_of (int64_t n) {
    const double z = 1.959963984540054, f = (double) (n - 1);
    const double t = z + (pow (z, 3) + z) / (4 * f) + (5 * pow (z, 5) + 16 * pow (z, 3) + 3 * z) / (96 * f * f);
    return erfc (t * sqrt ((double) n / f) / sqrt (2.0)) / 2;
}

/* The quantiles `tail` and 1 - tail of v [n], which is sorted; between two values by their distance. */
static wb_interval_t middle (double *v, int n, double tail) {
    double end[2];
    qsort (v, (size_t) n, sizeof *v, compare);
    for (int i = 0; i < 2; i++) {
        const double at = (i == 0 ? tail : 1 - tail) * (n - 1);
        const int k = (int) at;
        end[i] = k + 1 < n ? v[k] + (at - k) * (v[k + 1] - v[k]) : v[k];
    }
    return (wb_interval_t){end[0], end[1]};
}

/* Ratios of one resample, value [m], stored with a stride. */
static void resample (double *value, int64_t stride, const double *x, const double *y, int64_t n, int m, uint64_t seed,
                      int r) {
    double below = 0.0;
    for (int j = 0; j < m; j++) value[j * stride] = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = (int64_t) (wb_rng_u64 (seed, (uint64_t) r, (uint64_t) i) % (uint64_t) n);
        below += y[k];
        for (int j = 0; j < m; j++) value[j * stride] += x[j * n + k];
    }
    for (int j = 0; j < m; j++) value[j * stride] = below > 0.0 ? value[j * stride] / below : 0.0;
}

wb_status wb_bootstrap (wb_interval_t *ratio, wb_interval_t *difference, const double *x, const double *y, int64_t n,
                        int m, int resamples, uint64_t seed) {
    const wb_interval_t none = {NAN, NAN};
    for (int j = 0; j < m; j++) ratio[j] = difference[j] = none;
    if (n < MIN_THINGS || resamples < 1) return WB_OK;
    const double tail = tail_of (n);
    const size_t one = (size_t) resamples * sizeof (double);
    double *value = wb_malloc ((size_t) m * one), *minus = wb_malloc (one);
    const bool good = value != NULL && minus != NULL;
    if (good) {
#pragma omp parallel for schedule(static)
        for (int r = 0; r < resamples; r++) resample (value + r, resamples, x, y, n, m, seed, r);
        for (int j = 1; j < m; j++) {
            for (int r = 0; r < resamples; r++) minus[r] = value[(int64_t) j * resamples + r] - value[r];
            difference[j] = middle (minus, resamples, tail);
        }
        for (int j = 0; j < m; j++) ratio[j] = middle (value + (int64_t) j * resamples, resamples, tail);
    }
    wb_free (minus);
    wb_free (value);
    return good ? WB_OK : WB_NOMEM ("%d resamples", resamples);
}

wb_interval_t wb_wilson (int64_t good, int64_t n) {
    if (n == 0) return (wb_interval_t){NAN, NAN};
    const double z = 1.959963984540054, N = (double) n, p = (double) good / N;
    const double center = (p + z * z / (2 * N)) / (1 + z * z / N);
    const double half = z / (1 + z * z / N) * sqrt (p * (1 - p) / N + z * z / (4 * N * N));
    return (wb_interval_t){fmax (0.0, center - half), fmin (1.0, center + half)};
}
