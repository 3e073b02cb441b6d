/* The configuration of a sampling grid: a few numbers, lists of numbers and names of files.
 *
 * It has no rows in the table of options, since these have no lists of numbers. */
#include "config.h"

#include <libconfig.h>
#include <math.h>
#include <string.h>

#include "infer/grid.h"

static wb_status wrong (const config_setting_t *s, const char *path, const char *what) {
    return WB_FAIL (WB_EUSAGE, "%s:%d: %s %s", path, (int) config_setting_source_line (s), config_setting_name (s),
                    what);
}

/* A number, or a list of them. */
static wb_status read_numbers (double *out, int *n, const config_setting_t *s, const char *path, double min, double max,
                               bool whole) {
    const int length = config_setting_is_aggregate (s) ? config_setting_length (s) : 1;
    if (length < 1 || length > WB_GRID_VALUES) return wrong (s, path, "wants 1 to 32 numbers");
    for (int i = 0; i < length; i++) {
        const config_setting_t *one = config_setting_is_aggregate (s) ? config_setting_get_elem (s, (unsigned) i) : s;
        if (!config_setting_is_number (one)) return wrong (s, path, "wants a number, or a list of numbers: [1, 2]");
        const double x = config_setting_type (one) == CONFIG_TYPE_FLOAT ? config_setting_get_float (one)
                                                                        : (double) config_setting_get_int64 (one);
        if (!(x >= min && x <= max) || (whole && x != floor (x))) {
            char what[96];
            snprintf (what, sizeof what, "wants %s between %g and %g", whole ? "whole numbers" : "numbers", min, max);
            return wrong (s, path, what);
        }
        out[i] = x;
    }
    *n = length;
    return WB_OK;
}

static wb_status read_number (int64_t *out, const config_setting_t *s, const char *path, double min, double max) {
    double x[WB_GRID_VALUES];
    int n;
    if (config_setting_is_aggregate (s)) return wrong (s, path, "wants one number");
    WB_TRY (read_numbers (x, &n, s, path, min, max, true));
    *out = (int64_t) x[0];
    return WB_OK;
}

static wb_status read_texts (wb_grid_t *g, const config_setting_t *s, const char *path) {
    const int n = config_setting_is_aggregate (s) ? config_setting_length (s) : 1;
    g->texts = wb_calloc ((size_t) n + 1, sizeof *g->texts);
    if (g->texts == NULL) return WB_NOMEM ("the grid");
    for (int i = 0; i < n; i++) {
        const config_setting_t *one = config_setting_is_aggregate (s) ? config_setting_get_elem (s, (unsigned) i) : s;
        const char *name = config_setting_get_string (one);
        if (name == NULL || name[0] == 0) return wrong (s, path, "wants a file, or a list of files");
        g->texts[g->ntexts] = wb_strdup (name);
        if (g->texts[g->ntexts++] == NULL) return WB_NOMEM ("the grid");
    }
    return n > 0 ? WB_OK : wrong (s, path, "wants a file, or a list of files");
}

/* A list of numbers, or one: a whole one or any. */
typedef struct key {
    const char *name;
    double *list;
    int *n;
    int64_t *whole;
    double *any;
    double min, max;
} key_t_;

static wb_status read_key (const key_t_ *k, const config_setting_t *s, const char *path) {
    double x[WB_GRID_VALUES];
    int n;
    if (k->list != NULL) return read_numbers (k->list, k->n, s, path, k->min, k->max, k->whole != NULL);
    if (k->whole != NULL) return read_number (k->whole, s, path, k->min, k->max);
    if (config_setting_is_aggregate (s)) return wrong (s, path, "wants one number");
    WB_TRY (read_numbers (x, &n, s, path, k->min, k->max, false));
    *k->any = x[0];
    return WB_OK;
}

static wb_status read_setting (wb_grid_t *g, const config_setting_t *s, const char *path) {
    static int64_t whole; /* of a list */
    wb_sampling_t *w = &g->ways;
    const key_t_ keys[] = {{"context_length", g->context, &g->ncontext, &whole, NULL, 1, 1 << 20},
                           {"top_k", g->top_k, &g->ntop_k, &whole, NULL, 0, INT32_MAX},
                           {"top_p", g->top_p, &g->ntop_p, NULL, NULL, 0, 1},
                           {"temperature", g->temperature, &g->ntemperature, NULL, NULL, 0, 1000},
                           {"documents", NULL, NULL, &g->documents, NULL, 2, 1e6},
                           {"samples", NULL, NULL, &g->samples, NULL, 1, 1000},
                           {"length", NULL, NULL, &g->length, NULL, 8, 1 << 20},
                           {"seed", NULL, NULL, &g->seed, NULL, 0, 9e15},
                           {"min_p", NULL, NULL, NULL, &w->min_p, 0, 1},
                           {"typical_p", NULL, NULL, NULL, &w->typical_p, 0, 1},
                           {"repetition_penalty", NULL, NULL, NULL, &w->repetition_penalty, 0.01, 100},
                           {"frequency_penalty", NULL, NULL, NULL, &w->frequency_penalty, -100, 100},
                           {"presence_penalty", NULL, NULL, NULL, &w->presence_penalty, -100, 100},
                           {"no_repeat_ngram", NULL, NULL, &w->no_repeat_ngram, NULL, 0, INT32_MAX},
                           {"beams", NULL, NULL, &w->search.beams, NULL, 0, WB_SEARCH_MAX},
                           {"length_penalty", NULL, NULL, NULL, &w->search.length_penalty, -10, 10},
                           {"penalty_alpha", NULL, NULL, NULL, &w->search.penalty_alpha, 0, 1},
                           {"candidates", NULL, NULL, &w->search.candidates, NULL, 1, WB_SEARCH_MAX}};
    enum { KEYS = sizeof keys / sizeof *keys };
    const char *name = config_setting_name (s), *known[KEYS + 1] = {"text"};
    if (strcmp (name, "text") == 0) return read_texts (g, s, path);
    for (int i = 0; i < KEYS; i++) {
        if (strcmp (keys[i].name, name) == 0) return read_key (&keys[i], s, path);
        known[i + 1] = keys[i].name;
    }
    const char *near = wb_nearest (name, known, KEYS + 1);
    return WB_FAIL (WB_EUSAGE, "%s:%d: unknown option %s%s%s", path, (int) config_setting_source_line (s), name,
                    near != NULL ? "; did you mean "
                                 : ": text, context_length, top_k, top_p, temperature, documents, "
                                   "samples, length, seed, and names of other ways to draw",
                    near != NULL ? near : "");
}

wb_status wb_grid_read (wb_grid_t *g, const char *path) {
    char *text;
    size_t bytes;
    *g = (wb_grid_t){.context = {128},
                     .top_k = {40},
                     .top_p = {0},
                     .temperature = {1},
                     .ncontext = 1,
                     .ntop_k = 1,
                     .ntop_p = 1,
                     .ntemperature = 1,
                     .documents = 100,
                     .samples = 1,
                     .length = 128,
                     .seed = 1,
                     .ways.search = {.length_penalty = 1, .candidates = 4}};
    WB_TRY (wb_file_read (&text, &bytes, path));
    config_t c;
    config_init (&c);
    wb_status status = WB_OK;
    if (config_read_string (&c, text) == CONFIG_FALSE)
        status = WB_FAIL (WB_EUSAGE, "%s:%d: %s", path, config_error_line (&c), config_error_text (&c));
    const config_setting_t *root = config_root_setting (&c);
    const int n = status == WB_OK ? config_setting_length (root) : 0;
    for (int i = 0; i < n && status == WB_OK; i++)
        status = read_setting (g, config_setting_get_elem (root, (unsigned) i), path);
    if (status == WB_OK && g->ntexts == 0)
        status =
            WB_FAIL (WB_EUSAGE, "%s: `text` is missing: text = \"FILE\";, which the model was not trained on", path);
    const char *why = wb_search_refusal (&g->ways.search, g->samples);
    if (status == WB_OK && why != NULL) status = WB_FAIL (WB_EUSAGE, "%s: %s", path, why);
    config_destroy (&c);
    wb_free (text);
    return status;
}

void wb_grid_fini (wb_grid_t *g) {
    for (int i = 0; i < g->ntexts; i++) wb_free (g->texts[i]);
    wb_free (g->texts);
    *g = (wb_grid_t){0};
}
