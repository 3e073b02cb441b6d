/* Generated texts, printed: where they go and what a person at a terminal sees.
 *
 * One text on a terminal is shown while it is drawn; several are separated by a line, and a progress line says how far
 * they are.  After a first Ctrl-C what there is is printed.
 *
 * Not here: drawing (generate.c), text from ids (texts.c). */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "infer/infer_priv.h"

typedef struct output {
    FILE *to;
    const char *name;
    wb_texts_t *texts;
    bool stream, lines;      /* texts are on a terminal, piece by piece; are lines of JSON */
    int64_t tokens, printed; /* so far; printed: texts */
    int64_t samples;         /* all of them */
    double shown;            /* when progress was shown last */
} output_t;

static wb_status print (void *ctx, int64_t sample, const char *text, size_t n, bool end) {
    output_t *o = ctx;
    if (end) wb_log_progress ("%s", "");
    if (sample > 0 && !o->lines) WB_TRY (wb_write (o->to, o->name, "========\n", 9));
    WB_TRY (wb_write (o->to, o->name, text, n));
    if (end) fputc ('\n', o->to), o->printed++;
    return wb_flush (o->to, o->name);
}

static wb_status emit (void *ctx, int64_t sample, int32_t id) {
    output_t *o = ctx;
    (void) sample;
    o->tokens += id >= 0;
    if (!o->stream && wb_now () - o->shown >= 0.25) { /* texts appear when all of a batch are nearly done */
        o->shown = wb_now ();
        wb_log_progress ("%lld of %lld text%s, %lld token%s", (long long) o->printed, (long long) o->samples,
                         wb_plural (o->samples), (long long) o->tokens, wb_plural (o->tokens));
    }
    return wb_interrupted () ? WB_ESTOP : WB_OK;
}

static wb_status output_open (output_t *o, const wb_print_texts_t *p, const wb_tokenizer_t *t) {
    *o = (output_t){
        .to = stdout, .name = "standard output", .samples = p->generation.samples, .lines = p->generation.logprobs};
    if (p->output != NULL) {
        o->name = p->output;
        o->to = fopen (p->output, "w");
        if (o->to == NULL) return WB_FAIL (WB_EIO, "%s: cannot write: %s", p->output, strerror (errno));
    }
    o->stream = p->output == NULL && o->samples == 1 && isatty (STDOUT_FILENO) && !o->lines;
    return wb_texts_new (&o->texts, t, &p->generation, o->stream, print, o);
}

static wb_status output_close (output_t *o, wb_status status) {
    wb_texts_destroy (o->texts);
    if (o->to != NULL && o->to != stdout && fclose (o->to) != 0 && status == WB_OK)
        status = WB_FAIL (WB_EIO, "%s: cannot write: %s", o->name, strerror (errno));
    return status;
}

static wb_status generate (const wb_print_texts_t *p, const wb_model_t *m, const wb_text_options_t *read) {
    wb_generation_t g = p->generation;
    wb_ids_t context = {0};
    output_t o = {0};
    wb_status status = wb_context_read (&context, m->tokenizer, p->context, p->context_file, read);
    if (status == WB_OK) status = output_open (&o, p, m->tokenizer);
    if (status == WB_OK) {
        wb_sampling_seed (&g.sampling, p->seed);
        g.context = context.data, g.ncontext = context.len;
        g.texts = o.texts, g.emit = emit, g.ctx = &o;
        status = wb_generate (m, &g);
        wb_log_progress ("%s", "");
        if (status == WB_ESTOP) status = wb_texts_finish (o.texts);
    }
    wb_ids_fini (&context);
    return output_close (&o, status);
}

wb_status wb_print_texts (const wb_print_texts_t *p, const wb_model_args_t *model) {
    wb_model_t *m;
    WB_TRY (wb_model_open (&m, model, "generate"));
    wb_interrupt_begin ();
    const wb_status status = generate (p, m, &model->text);
    wb_model_destroy (m);
    wb_interrupt_end (status);
    return status;
}
