/* Figures and reports of the benches: medians, JSON, what tables begin with. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "bench/bench_priv.h"

static int by_size (const void *a, const void *b) {
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

wb_spread_t wb_bench_spread (double *x, int64_t n) {
    qsort (x, (size_t) n, sizeof *x, by_size);
    return (wb_spread_t){.median = n % 2 != 0 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2, .min = x[0], .max = x[n - 1]};
}

double wb_bench_median (double *x, int64_t n) { return wb_bench_spread (x, n).median; }

wb_spread_t wb_bench_rate (double work, wb_spread_t seconds) {
    return (wb_spread_t){.median = work / seconds.median, .min = work / seconds.max, .max = work / seconds.min};
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* A value that could not be made is NULL: it makes the whole object so, which wb_bench_print_json() reports. */
void wb_bench_put (json_t **object, const char *name, json_t *value) {
    if (json_object_set_new (*object, name, value) == 0) return;
    json_decref (*object);
    *object = NULL;
}

void wb_bench_append (json_t **list, json_t *row) {
    if (json_array_append_new (*list, row) == 0) return;
    json_decref (*list);
    *list = NULL;
}

void wb_bench_put_text (json_t **object, const char *name, const char *text) {
    wb_bench_put (object, name, text != NULL ? json_string (text) : json_null ());
}

void wb_bench_put_count (json_t **object, const char *name, int64_t n) {
    wb_bench_put (object, name, json_integer ((json_int_t) n));
}

void wb_bench_put_number (json_t **object, const char *name, double x) {
    wb_bench_put (object, name, isfinite (x) ? json_real (x) : json_null ());
}

void wb_bench_put_spread (json_t **object, const char *name, wb_spread_t s) {
    char full[48];
    wb_bench_put_number (object, name, s.median);
    snprintf (full, sizeof full, "%s_min", name);
    wb_bench_put_number (object, full, s.min);
    snprintf (full, sizeof full, "%s_max", name);
    wb_bench_put_number (object, full, s.max);
}

wb_status wb_bench_print_json (json_t *object) {
    char *text = object != NULL ? json_dumps (object, JSON_REAL_PRECISION (7) | JSON_COMPACT) : NULL;
    json_decref (object);
    if (text == NULL) return WB_NOMEM ("the report");
    puts (text);
    wb_free_foreign (text);
    return WB_OK;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

void wb_bench_print_model (const wb_size_t *s, const char *preset, int64_t params) {
    char count[32];
    printf ("model       %s: %s parameters, %lld layers x %lld x %lld heads, context %lld, vocabulary %lld\n", preset,
            wb_format_count (count, params), (long long) s->L, (long long) s->C, (long long) s->H, (long long) s->T,
            (long long) s->V);
}
