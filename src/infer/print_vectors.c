/* Vectors, printed: a JSON list for each text.
 *
 * Not here: the vectors (vector.c). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

typedef struct printer {
    int64_t C, empty; /* empty: texts without a vector */
    wb_vectors_t *vectors;
    wb_buf_t line;
} printer_t;

static wb_status print (void *ctx, const float *x) {
    printer_t *p = ctx;
    char number[32];
    if (x == NULL) return wb_write (stdout, "standard output", "null\n", 5);
    wb_buf_clear (&p->line);
    for (int64_t i = 0; i < p->C; i++) {
        const int n = snprintf (number, sizeof number, "%s%.9g", i == 0 ? "[" : ", ", (double) x[i]);
        WB_TRY (wb_buf_put (&p->line, number, (size_t) n));
    }
    WB_TRY (wb_buf_put (&p->line, "]\n", 2));
    return wb_write (stdout, "standard output", p->line.data, p->line.len);
}

static wb_status put_line (void *ctx, const wb_text_t *text) {
    printer_t *p = ctx;
    if (text->n == 0 && p->empty++ == 0)
        wb_warn ("%s:%lld: an empty line has no vector: null is printed, here and for all others", text->source,
                 (long long) text->line);
    return wb_vectors_put (p->vectors, text);
}

static wb_status run_lines (void *ctx) {
    WB_TRY (wb_vectors_run (((printer_t *) ctx)->vectors));
    return wb_flush (stdout, "standard output");
}

wb_status wb_print_vectors (const char *text, const char *file, const wb_model_args_t *model) {
    wb_model_t *m;
    WB_TRY (wb_model_open (&m, model, "transform"));
    printer_t printer = {.C = m->size.C};
    wb_status status = wb_vectors_new (&printer.vectors, m, print, &printer);
    if (status == WB_OK && file != NULL) {
        status = wb_lines_each (file, &model->text, put_line, run_lines, &printer);
    } else if (status == WB_OK) {
        wb_buf_t utf8 = {0};
        status = wb_text_read (&utf8, "--context", text, strlen (text), &model->text);
        if (status == WB_OK)
            status = wb_vectors_put (printer.vectors, &(wb_text_t){utf8.data, utf8.len, "--context", 0});
        if (status == WB_OK) status = run_lines (&printer);
        wb_buf_fini (&utf8);
    }
    wb_vectors_destroy (printer.vectors);
    wb_buf_fini (&printer.line);
    wb_model_destroy (m);
    return status;
}
