/* A sampling grid as columns, and as JSON. */
#include "config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "infer/grid.h"

static void print_row (const wb_grid_row_t *r) {
    char way[64];
    if (strcmp (r->what, "drawn") != 0)
        snprintf (way, sizeof way, "%-20s", strcmp (r->what, "own") == 0 ? "the text goes on" : "another text");
    else
        snprintf (way, sizeof way, "%6g %6g %6g", r->top_k, r->top_p, r->temperature);
    printf ("%8g  %s", r->context, way);
    for (int k = 0; k < WB_GRID_METRICS; k++) {
        const double half = (r->interval[k].high - r->interval[k].low) / 2;
        printf ("  %8.4f ±%.4f", r->mean[k], half);
    }
    printf ("\n");
}

static void print_columns (const wb_eval_t *e, const wb_grid_t *g, const wb_grid_row_t *rows, int64_t n,
                           int64_t documents) {
    printf ("%s: %lld documents, %lld text%s of %lld tokens each\n", e->models[0], (long long) documents,
            (long long) g->samples, wb_plural (g->samples), (long long) g->length);
    printf ("%8s  %6s %6s %6s", "context", "top-k", "top-p", "temp.");
    for (int k = 0; k < WB_GRID_METRICS; k++) printf ("  %16s", wb_grid_metric_names[k]);
    printf ("\n");
    for (int64_t i = 0; i < n; i++) print_row (&rows[i]);
}

static json_t *measures (const wb_grid_row_t *r) {
    json_t *o = json_object ();
    for (int k = 0; k < WB_GRID_METRICS && o != NULL; k++) {
        json_t *x =
            json_pack ("{s:f, s:[f, f]}", "mean", r->mean[k], "interval", r->interval[k].low, r->interval[k].high);
        if (strcmp (r->what, "own") != 0 && x != NULL)
            (void) json_object_set_new (x, "difference_from_own",
                                        json_pack ("[f, f]", r->difference[k].low, r->difference[k].high));
        if (json_object_set_new (o, wb_grid_metric_names[k], x) != 0) {
            json_decref (o);
            o = NULL;
        }
    }
    return o;
}

static wb_status print_json (const wb_eval_t *e, const wb_grid_t *g, const wb_grid_row_t *rows, int64_t n,
                             int64_t documents) {
    json_t *list = json_array ();
    bool good = list != NULL;
    for (int64_t i = 0; i < n && good; i++) {
        const wb_grid_row_t *r = &rows[i];
        json_t *o = json_pack ("{s:s, s:I}", "what", r->what, "context_length", (json_int_t) r->context);
        if (o != NULL && strcmp (r->what, "drawn") == 0) {
            (void) json_object_set_new (o, "top_k", json_integer ((json_int_t) r->top_k));
            (void) json_object_set_new (o, "top_p", json_real (r->top_p));
            (void) json_object_set_new (o, "temperature", json_real (r->temperature));
        }
        json_t *m = measures (r);
        good = m != NULL && json_object_update (o, m) == 0;
        json_decref (m);
        good = json_array_append_new (list, o) == 0 && good;
    }
    json_t *all = json_pack ("{s:s, s:I, s:I, s:I, s:I, s:o}", "model", e->models[0], "documents",
                             (json_int_t) documents, "samples", (json_int_t) g->samples, "length",
                             (json_int_t) g->length, "seed", (json_int_t) g->seed, "rows", list);
    char *text = good && all != NULL ? json_dumps (all, JSON_INDENT (1) | JSON_REAL_PRECISION (10)) : NULL;
    if (text != NULL) printf ("%s\n", text);
    good = text != NULL;
    wb_free_foreign (text);
    json_decref (all);
    return good ? WB_OK : WB_NOMEM ("results");
}

wb_status wb_grid_print (const wb_eval_t *e, const wb_grid_t *g, const wb_grid_row_t *rows, int64_t n,
                         int64_t documents) {
    if (e->json)
        WB_TRY (print_json (e, g, rows, n, documents));
    else
        print_columns (e, g, rows, n, documents);
    return wb_flush (stdout, "standard output");
}
