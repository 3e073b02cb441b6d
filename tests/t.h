/* wabun - tests: checks that count and go on.
 *
 * A test is a program: checks in any order, `return T_DONE ();` at the end.  A failed check prints where and goes on,
 * so a run shows everything that is wrong.  T_DONE() also fails when memory is still held: each test is a leak test.
 * The first line of a test's source may say how it runs:
 *     ranks: 1 2 3 4      under mpirun, once for each count (use tmpi.h then); without it once, directly
 *     timeout: 600        seconds, instead of 300
 *     expect: 3           wanted exit code, instead of 0
 * all in one comment.  A test that cannot run here says why and returns T_SKIP.
 *
 * The harness gives a scratch directory of its own in $T_TMP, and $top_srcdir for data that is only read. */
#ifndef WABUN_T_H
#define WABUN_T_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wabun/base.h"

#define T_SKIP 77

static int64_t t_checks, t_failures;

/* Whether the verdict is this process's own or (tmpi.h) that of a group of ranks. */
#ifndef T_AGREE
#define T_AGREE(ok) (ok)
#define T_RANK 0
#endif

__attribute__ ((format (printf, 4, 5), unused)) static bool t_check (bool ok, const char *file, int line,
                                                                     const char *fmt, ...) {
    bool all = T_AGREE (ok);
    t_checks++;
    if (!ok || (!all && T_RANK == 0)) {
        va_list ap;
        fprintf (stderr, "%s:%d: rank %d: %s: ", file, line, T_RANK, ok ? "failed on another rank" : "failed");
        va_start (ap, fmt);
        vfprintf (stderr, fmt, ap);
        va_end (ap);
        fputc ('\n', stderr);
    }
    if (!all) t_failures++;
    return all;
}

/* |a - b| <= atol + rtol |b| for all n; NaN is never near, equal infinities are. */
#define T_NEAR_BODY(type)                                                                                 \
    int64_t worst = -1;                                                                                   \
    double most = 0.0;                                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                                     \
        double x = (double) a[i], y = (double) b[i], d = x == y ? 0.0 : fabs (x - y);                     \
        double over = d - (atol + rtol * fabs (y));                                                       \
        if (x != y && (!(over <= 0.0)) && (worst < 0 || !(over <= most))) worst = i, most = over;         \
    }                                                                                                     \
    if (worst < 0) return t_check (true, file, line, "%s", what);                                         \
    return t_check (false, file, line, "%s: [%lld of %lld] %.9g, not near %.9g (rtol %g, atol %g)", what, \
                    (long long) worst, (long long) n, (double) a[worst], (double) b[worst], rtol, atol)
__attribute__ ((unused)) static bool t_near_f32 (const float *a, const float *b, int64_t n, double rtol, double atol,
                                                 const char *what, const char *file, int line) {
    T_NEAR_BODY (float);
}
__attribute__ ((unused)) static bool t_near_f64 (const double *a, const double *b, int64_t n, double rtol, double atol,
                                                 const char *what, const char *file, int line) {
    T_NEAR_BODY (double);
}

__attribute__ ((unused)) static bool t_status (wb_status got, wb_status want, const char *what, const char *file,
                                               int line) {
    const wb_error_t *e = wb_error_get ();
    bool ok = t_check (got == want, file, line, "%s: status %d (%s), expected %d%s%s", what, (int) got,
                       wb_status_name (got), (int) want, e->status != WB_OK ? "; " : "", e->text);
    wb_error_clear ();
    return ok;
}

static inline int t_done (void) {
    t_check (wb_mem_balance () == 0, "leak", 0, "%lld blocks, %zu bytes were not freed", (long long) wb_mem_balance (),
             wb_mem_now ());
    if (T_RANK == 0) printf ("%lld checks, %lld failed\n", (long long) t_checks, (long long) t_failures);
    return t_failures == 0 ? 0 : 1;
}

/** T_OK (n == 3, "n is %d", n): true when it holds. */
#define T_OK(cond, ...) t_check ((cond), __FILE__, __LINE__, __VA_ARGS__)
/** Two arrays of n floats or doubles; says which element is furthest off. */
#define T_NEAR(a, b, n, rtol, atol) \
    _Generic ((a) + 0, float *: t_near_f32, const float *: t_near_f32, double *: t_near_f64,                           \
              const double *: t_near_f64) ((a), (b), (n), (rtol), (atol), #a " ~ " #b, __FILE__, __LINE__)
/** The call gives this status; prints the error record when not, and empties it. */
#define T_STATUS(expr, want) t_status ((expr), (want), #expr, __FILE__, __LINE__)
#define T_DONE() t_done ()

/** Path of a scratch file or directory of this test (one for all its ranks); static, valid until eight calls later. */
__attribute__ ((unused)) static const char *t_tmp (const char *name) {
    static char path[8][1024];
    static unsigned turn;
    const char *dir = getenv ("T_TMP");
    char *p = path[turn++ % 8];
    snprintf (p, sizeof path[0], "%s/%s", dir != NULL ? dir : "/tmp", name);
    return p;
}
/** Path of a file of the source tree: t_src ("tests/golden/x.json"). */
__attribute__ ((unused)) static const char *t_src (const char *name) {
    static char path[8][1024];
    static unsigned turn;
    const char *dir = getenv ("top_srcdir");
    char *p = path[turn++ % 8];
    snprintf (p, sizeof path[0], "%s/%s", dir != NULL ? dir : ".", name);
    return p;
}

#endif
