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

static wb_status read_setting (wb_grid_t *g, const config_setting_t *s, const char *path) {
    static const char *const known[] = {"text",      "context_length", "top_k",  "top_p", "temperature",
                                        "documents", "samples",        "length", "seed"};
    const char *name = config_setting_name (s);
    int at = 0;
    while (at < 9 && strcmp (known[at], name) != 0) at++;
    switch (at) {
    case 0: return read_texts (g, s, path);
    case 1: return read_numbers (g->context, &g->ncontext, s, path, 1, 1 << 20, true);
    case 2: return read_numbers (g->top_k, &g->ntop_k, s, path, 0, INT32_MAX, true);
    case 3: return read_numbers (g->top_p, &g->ntop_p, s, path, 0, 1, false);
    case 4: return read_numbers (g->temperature, &g->ntemperature, s, path, 0, 1000, false);
    case 5: return read_number (&g->documents, s, path, 2, 1e6);
    case 6: return read_number (&g->samples, s, path, 1, 1000);
    case 7: return read_number (&g->length, s, path, 8, 1 << 20);
    case 8: return read_number (&g->seed, s, path, 0, 9e15);
    default: break;
    }
    const char *near = wb_nearest (name, known, 9);
    return WB_FAIL (WB_EUSAGE, "%s:%d: unknown option %s%s%s", path, (int) config_setting_source_line (s), name,
                    near != NULL ? "; did you mean "
                                 : ": text, context_length, top_k, top_p, temperature, documents, "
                                   "samples, length, seed",
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
                     .seed = 1};
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
    config_destroy (&c);
    wb_free (text);
    return status;
}

void wb_grid_fini (wb_grid_t *g) {
    for (int i = 0; i < g->ntexts; i++) wb_free (g->texts[i]);
    wb_free (g->texts);
    *g = (wb_grid_t){0};
}
