/* evaluation: counts of texts; intervals that hold what they should as often as they say */
#include "config.h"

#include <string.h>

#include "infer/grid.h"
#include "t.h"

static void test_counts (void) {
    static const struct {
        const char *text;
        int chars, words;
    } cases[] = {{"", 0, 0},
                 {"漢字かな交じり文", 8, 5},
                 {"ラーメン、 abc123!", 13, 4},
                 {"すーぱーマーケット", 9, 2},
                 {"人々は　時々。\n\n「二〇二〇年」", 16, 7},
                 {"ｶﾞｷﾞｸﾞ ﾃﾞｰﾀ", 11, 2},
                 {"𠮟る😀😀", 4, 4},
                 {"Café Ｗａｂｕｎ 한국어", 14, 3},
                 {" \t\r\n", 4, 0},
                 {"a.b", 3, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_text_counts_t c;
        wb_text_count (&c, cases[i].text, strlen (cases[i].text));
        T_OK (c.bytes == (int64_t) strlen (cases[i].text) && c.chars == cases[i].chars && c.words == cases[i].words,
              "%s: %d characters, %d words", cases[i].text, (int) c.chars, (int) c.words);
    }
}

/* Values from the formula's own paper form, worked out by hand in other software. */
static void test_wilson (void) {
    static const double want[][4] = {{8, 10, 0.490162, 0.943318},
                                     {0, 10, 0, 0.277533},
                                     {10, 10, 0.722467, 1},
                                     {50, 100, 0.403832, 0.596168},
                                     {1, 3, 0.061492, 0.792340}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const wb_interval_t x = wb_wilson ((int64_t) want[i][0], (int64_t) want[i][1]);
        const double got[2] = {x.low, x.high};
        T_NEAR (got, want[i] + 2, 2, 0, 2e-6);
    }
    T_OK (isnan (wb_wilson (0, 0).low), "of nothing");
    /* As often as it says: all numbers of right answers by their probability. */
    for (int n = 20; n <= 80; n += 20)
        for (double p = 0.25; p < 0.8; p += 0.25) {
            double inside = 0;
            for (int k = 0; k <= n; k++) {
                const wb_interval_t x = wb_wilson (k, n);
                if (x.low <= p && p <= x.high)
                    inside += exp (lgamma (n + 1) - lgamma (k + 1) - lgamma (n - k + 1) + k * log (p) +
                                   (n - k) * log (1 - p));
            }
            T_OK (inside > 0.92 && inside < 0.99, "Wilson: %d, %g: %g", n, p, inside);
        }
}

/* Documents of lengths far apart, two models whose bits go together: does the interval hold the true ratio, and the
 * true difference, 95 times in 100? */
static void test_bootstrap (int N) {
    enum { SETS = 300, MANY = 60, RESAMPLES = 300 };
    static double x[2 * MANY], y[MANY];
    int ratio_in = 0, difference_in = 0;
    double width = 0, narrow = 0;
    wb_interval_t ratio[2], difference[2];
    for (int set = 0; set < SETS; set++) {
        for (int i = 0; i < N; i++) {
            const uint64_t k = (uint64_t) (set * N + i);
            y[i] = floor (1000 * exp (wb_rng_normal (31, 0, k)));
            x[i] = y[i] * (2 + 0.3 * wb_rng_normal (31, 1, k));
            x[N + i] = x[i] + y[i] * (-0.05 + 0.02 * wb_rng_normal (31, 2, k));
        }
        T_STATUS (wb_bootstrap (ratio, difference, x, y, N, 2, RESAMPLES, 7), WB_OK);
        ratio_in += ratio[0].low <= 2 && 2 <= ratio[0].high;
        difference_in += difference[1].low <= -0.05 && -0.05 <= difference[1].high;
        width += ratio[1].high - ratio[1].low;
        narrow += difference[1].high - difference[1].low;
    }
    printf ("# %d documents: the interval holds %.1f %% of ratios, %.1f %% of differences\n", N,
            100.0 * ratio_in / SETS, 100.0 * difference_in / SETS);
    T_OK (ratio_in > 0.89 * SETS && ratio_in < 0.98 * SETS, "ratios: %d of %d", ratio_in, SETS);
    T_OK (difference_in > 0.89 * SETS && difference_in < 0.98 * SETS, "differences: %d of %d", difference_in, SETS);
    T_OK (narrow < width / 5, "differences are paired: %g against %g", narrow, width);

    wb_interval_t again[2], other[2];
    T_STATUS (wb_bootstrap (again, difference, x, y, N, 2, RESAMPLES, 7), WB_OK);
    T_OK (memcmp (ratio, again, sizeof again) == 0, "the same seed");
    T_STATUS (wb_bootstrap (other, difference, x, y, N, 2, RESAMPLES, 8), WB_OK);
    T_OK (memcmp (ratio, other, sizeof other) != 0, "another seed");
    for (int i = 0; i < N; i++) x[i] = 3 * y[i];
    T_STATUS (wb_bootstrap (ratio, difference, x, y, N, 1, RESAMPLES, 7), WB_OK);
    T_OK (fabs (ratio[0].low - 3) < 1e-12 && fabs (ratio[0].high - 3) < 1e-12, "nothing varies");
    T_STATUS (wb_bootstrap (ratio, difference, x, y, 1, 1, RESAMPLES, 7), WB_OK);
    T_OK (isnan (ratio[0].low) && isnan (ratio[0].high), "one document");
}

/* The expected calibration error against a computation of its own, bin by bin; and of a model that is as right as it
 * says, or always less by a tenth. */
static void test_calibration (void) {
    enum { N = 3000 };
    static double p[N];
    static bool right[N];
    for (int round = 0; round < 40; round++) {
        const int n = round == 0 ? 1 : 1 + (int) (wb_rng_u64 (51, 0, (uint64_t) round) % N);
        wb_calibration_t c = {0}, part[2] = {0};
        double want = 0, all = 0, good = 0;
        for (int i = 0; i < n; i++) {
            p[i] = (float) wb_rng_uniform (52, (uint64_t) round, (uint64_t) i);
            if (i % 9 == 0) p[i] = (double) (i % 16) / 15; /* the bounds of bins */
            right[i] = wb_rng_uniform (53, (uint64_t) round, (uint64_t) i) < p[i] * p[i];
            wb_calibration_add (&c, p[i], right[i]);
            wb_calibration_add (&part[i % 2], p[i], right[i]);
        }
        const wb_calibration_result_t r = wb_calibration_tell (&c);
        for (int m = 1; m <= 15; m++) {
            double in = 0, sum = 0, hits = 0;
            for (int i = 0; i < n; i++) {
                if (!(p[i] * 15 > m - 1 || (m == 1 && p[i] <= 0)) || p[i] * 15 > m) continue;
                in++, sum += p[i], hits += right[i];
            }
            if (in > 0) want += in / n * fabs (hits / in - sum / in);
            T_OK (r.bin[m - 1].n == in, "round %d: %g in bin %d, not %g", round, r.bin[m - 1].n, m, in);
            if (in > 0)
                T_OK (fabs (r.bin[m - 1].confidence - sum / in) < 1e-6 && fabs (r.bin[m - 1].right - hits / in) < 1e-9,
                      "round %d: means of bin %d", round, m);
            all += sum, good += hits;
        }
        T_OK (fabs (r.error - want) < 1e-6 && fabs (r.confidence - all / n) < 1e-6 &&
                  fabs (r.accuracy - good / n) < 1e-9,
              "round %d: %g, not %g", round, r.error, want);
        for (int i = 0; i < WB_CALIBRATION_NUMBERS; i++) ((double *) &part[0])[i] += ((double *) &part[1])[i];
        T_OK (memcmp (&part[0], &c, sizeof c) == 0, "the order of the sum changes nothing");
    }
    T_OK (isnan (wb_calibration_tell (&(wb_calibration_t){0}).error), "of nothing");
    for (int off = 0; off < 2; off++) {
        wb_calibration_t c = {0};
        for (int i = 0; i < 200000; i++) {
            const double sure = 0.2 + 0.8 * wb_rng_uniform (54, 0, (uint64_t) i);
            wb_calibration_add (&c, sure, wb_rng_uniform (55, 0, (uint64_t) i) < sure - 0.1 * off);
        }
        const double error = wb_calibration_tell (&c).error;
        T_OK (fabs (error - 0.1 * off) < 0.005, "off by %g: %g", 0.1 * off, error);
    }
}

/* Sets of vectors of one distribution, and of two whose energy distance a large set tells: the mean of the values is
 * near it, and their interval holds it as often as it says. */
static void test_divergence (void) {
    enum { C = 4, LARGE = 1200, N = 50, SETS = 300 };
    static double x[LARGE * C], y[LARGE * C], value[LARGE], ones[LARGE];
    for (int i = 0; i < LARGE; i++) ones[i] = 1.0;
    for (int shift = 0; shift < 2; shift++) {
        double want = 0, mean = 0;
        int inside = 0;
        for (int set = -1; set < SETS; set++) {
            const int n = set < 0 ? LARGE : N;
            double all = 0;
            for (int k = 0; k < n * C; k++) {
                x[k] = wb_rng_normal (61, (uint64_t) (2 * set + 2), (uint64_t) k);
                y[k] = 0.5 * x[k] + wb_rng_normal (61, (uint64_t) (2 * set + 3), (uint64_t) k) * sqrt (0.75);
                if (shift) y[k] += k % C == 0 ? 0.8 : 0;
            }
            wb_grid_divergence (value, x, y, n, C);
            for (int i = 0; i < n; i++) all += value[i] / n;
            if (set < 0) {
                want = shift ? all : 0;
                T_OK (fabs (all - want) < 0.01, "a large set of one distribution: %g", all);
                continue;
            }
            wb_interval_t range, unused;
            T_STATUS (wb_bootstrap (&range, &unused, value, ones, n, 1, 300, 7), WB_OK);
            inside += range.low <= want && want <= range.high;
            mean += all / SETS;
        }
        printf ("# divergence %.4f: mean of the estimates %.4f, in %.1f %% of the intervals\n", want, mean,
                100.0 * inside / SETS);
        T_OK (fabs (mean - want) < 0.01, "estimates of %g have the mean %g", want, mean);
        if (shift) T_OK (inside > 0.89 * SETS && inside < 0.98 * SETS, "%d of %d intervals", inside, SETS);
    }
    wb_grid_divergence (value, x, x, N, C);
    for (int i = 0; i < N; i++) T_OK (value[i] == 0, "a set from itself");
}

/* Against a look at all pairs. */
static void test_ngrams (void) {
    for (int round = 0; round < 300; round++) {
        int32_t ids[64];
        const int len = round % 65, n = 1 + round % 5, kinds = 1 + round % 7;
        int again = 0;
        for (int i = 0; i < len; i++)
            ids[i] = (int32_t) (wb_rng_u64 (41, (uint64_t) round, (uint64_t) i) % (uint64_t) kinds);
        for (int i = 0; i + n <= len; i++) {
            bool seen = false;
            for (int j = 0; j < i; j++) seen = seen || memcmp (ids + i, ids + j, (size_t) n * sizeof *ids) == 0;
            again += seen;
        }
        const double want = len >= n ? (double) again / (len - n + 1) : 0;
        double got;
        T_STATUS (wb_ngrams_repeated (&got, ids, len, n), WB_OK);
        T_OK (fabs (got - want) < 1e-12, "%d ids, n-grams of %d: %g, not %g", len, n, got, want);
    }
}

int main (void) {
    test_ngrams ();
    test_counts ();
    test_wilson ();
    test_calibration ();
    test_divergence ();
    test_bootstrap (60);
    test_bootstrap (12);
    return T_DONE ();
}
