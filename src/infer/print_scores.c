/* Scores, printed: a line for each text, or for each of its tokens.
 *
 * Not here: the scores (score.c). */
#include "config.h"

#include <string.h>

#include "infer/infer_priv.h"

typedef struct printer {
    const wb_model_t *m;
    wb_scorer_t *scorer;
    bool tokens;
    int digits;
    wb_stream_t *stream;
    wb_buf_t piece, out;
} printer_t;

static wb_status put_number (printer_t *p, double x) {
    char number[32];
    return wb_buf_put (&p->out, number, (size_t) snprintf (number, sizeof number, "\t%.*g\n", p->digits, x));
}

/* One line for each target: the text the token completes (none while a character is unfinished), tab, log-probability.
 */
static wb_status put_tokens (printer_t *p, const wb_scored_t *r) {
    const int32_t eot = wb_tokenizer_eot (p->m->tokenizer);
    for (int64_t i = 1; i < r->n; i++) {
        wb_buf_clear (&p->piece);
        WB_TRY (wb_stream_put (p->stream, &p->piece, r->ids[i], i + 1 == r->n || r->ids[i + 1] == eot));
        for (size_t k = 0; k < p->piece.len; k++) {
            const char *c = &p->piece.data[k];
            WB_TRY (wb_buf_put (&p->out,
                                *c == '\n'   ? "\\n"
                                : *c == '\t' ? "\\t"
                                             : c,
                                *c == '\n' || *c == '\t' ? 2 : 1));
        }
        WB_TRY (put_number (p, (double) r->logprob[i]));
    }
    return WB_OK;
}

static wb_status print (void *ctx, const wb_scored_t *r) {
    printer_t *p = ctx;
    wb_buf_clear (&p->out);
    if (p->tokens) WB_TRY (put_tokens (p, r));
    WB_TRY (wb_buf_put (&p->out, r->text.bytes, r->text.n));
    WB_TRY (put_number (p, r->total));
    return wb_write (stdout, "standard output", p->out.data, p->out.len);
}

static wb_status put_line (void *ctx, const wb_text_t *text) {
    return wb_scorer_put (((printer_t *) ctx)->scorer, text);
}
static wb_status run_lines (void *ctx) {
    WB_TRY (wb_scorer_run (((printer_t *) ctx)->scorer));
    return wb_flush (stdout, "standard output");
}

wb_status wb_print_scores (const char *file, const wb_model_args_t *model, bool tokens, bool end, int digits) {
    wb_model_t *m;
    WB_TRY (wb_model_open (&m, model, "score"));
    printer_t printer = {.m = m, .tokens = tokens, .digits = digits};
    wb_status status = wb_scorer_new (&printer.scorer, m, end, print, &printer);
    if (status == WB_OK) status = wb_stream_new (&printer.stream, m->tokenizer);
    if (status == WB_OK) status = wb_lines_each (file, &model->text, put_line, run_lines, &printer);
    wb_scorer_destroy (printer.scorer);
    wb_stream_destroy (printer.stream);
    wb_buf_fini (&printer.piece);
    wb_buf_fini (&printer.out);
    wb_model_destroy (m);
    return status;
}
