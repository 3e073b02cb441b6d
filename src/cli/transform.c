/* wabun transform: prints the vectors of texts. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/infer.h"

typedef struct options {
    wb_model_args_t model;
    const char *context, *input;
} options_t;

typedef struct printer {
    int64_t C, empty; /* empty: texts without a vector */
    wb_vectors_t *vectors;
    wb_buf_t line;
} printer_t;

static wb_status read_options (options_t *p, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    *p = (options_t){0};
    while (wb_model_args_next (&p->model, &o, &status)) {
        if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &p->context));
        else if (wb_opts_is (&o, "--input"))
            WB_TRY (wb_opts_text (&o, &p->input));
        else
            return wb_model_args_unknown (&p->model, &o, "a text by --context TEXT, a file of them by --input FILE");
    }
    WB_TRY (status);
    if ((p->context == NULL) == (p->input == NULL))
        return WB_FAIL (WB_EUSAGE, "transform wants --context TEXT, or --input FILE with a text on each line (- is the "
                                   "standard input)");
    if (p->context != NULL && p->context[0] == 0)
        return WB_FAIL (WB_EUSAGE, "--context is empty: a text without tokens has no vector");
    return WB_OK;
}

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

static wb_status run (int argc, char **argv) {
    options_t p;
    wb_model_t *m;
    WB_TRY (read_options (&p, argc, argv));
    WB_TRY (wb_model_open (&m, &p.model, argv[0]));
    printer_t printer = {.C = m->size.C};
    wb_status status = wb_vectors_new (&printer.vectors, m, print, &printer);
    if (status == WB_OK && p.input != NULL) {
        status = wb_lines_each (p.input, put_line, run_lines, &printer);
    } else if (status == WB_OK) {
        status = wb_vectors_put (printer.vectors, &(wb_text_t){p.context, strlen (p.context), "--context", 0});
        if (status == WB_OK) status = run_lines (&printer);
    }
    wb_vectors_destroy (printer.vectors);
    wb_buf_fini (&printer.line);
    wb_model_destroy (m);
    return status;
}

const wb_cmd_t wb_cmd_transform = {
    .name = "transform",
    .usage = "--model DIR --context TEXT | --input FILE",
    .line = "give the vectors of texts",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text =
        "  --model DIR       as in wabun generate; also --tokenizer, --threads, --no-verify\n"
        "  --context TEXT    the text\n"
        "  --input FILE      one text a line; - is the standard input\n"
        "\n"
        "Prints, for each text, the state after the final LayerNorm at its last position as a JSON list; for an empty\n"
        "line null.\n",
};
