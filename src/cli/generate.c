/* wabun generate: writes Japanese.
 *
 * Here are the options, where the texts go and what a person at a terminal sees: one text on a terminal is shown while
 * it is drawn.  After a first Ctrl-C what there is is printed. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "wabun/infer.h"

typedef struct options {
    wb_model_args_t model;
    wb_generation_t g;
    const char *context, *context_file, *output;
    int64_t seed;
} options_t;

typedef struct output {
    FILE *to;
    const char *name;
    wb_texts_t *texts;
    bool stream, lines;      /* texts are on a terminal, piece by piece; are lines of JSON */
    int64_t tokens, printed; /* so far; printed: texts */
    int64_t samples;         /* all of them */
    double shown;            /* when progress was shown last */
} output_t;

static wb_status read_options (options_t *p, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_status status;
    *p = (options_t){.g = {.sampling = {.temperature = 1.0, .top_k = 40}, .samples = 1, .max_length = 500}, .seed = -1};
    while (wb_model_args_next (&p->model, &o, &status)) {
        if (wb_generation_option (&p->g, &o, &status))
            WB_TRY (status);
        else if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &p->context));
        else if (wb_opts_is (&o, "--context-file"))
            WB_TRY (wb_opts_text (&o, &p->context_file));
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &p->seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--output-file"))
            WB_TRY (wb_opts_text (&o, &p->output));
        else
            return wb_model_args_unknown (&p->model, &o, "the beginning of the text by --context TEXT");
    }
    WB_TRY (status);
    WB_TRY (wb_generation_check (&p->g));
    if (p->context != NULL && p->context_file != NULL)
        return WB_FAIL (WB_EUSAGE, "--context and --context-file cannot both be given");
    return WB_OK;
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

static wb_status print (void *ctx, int64_t sample, const char *text, size_t n, bool end) {
    output_t *o = ctx;
    if (end) wb_log_progress ("%s", "");
    if (sample > 0 && !o->lines) fputs ("========\n", o->to);
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

static wb_status output_open (output_t *o, const options_t *p, const wb_tokenizer_t *t) {
    *o = (output_t){.to = stdout, .name = "standard output", .samples = p->g.samples, .lines = p->g.logprobs};
    if (p->output != NULL) {
        o->name = p->output;
        o->to = fopen (p->output, "w");
        if (o->to == NULL) return WB_FAIL (WB_EIO, "%s: cannot write: %s", p->output, strerror (errno));
    }
    o->stream = p->output == NULL && o->samples == 1 && isatty (STDOUT_FILENO) && !o->lines;
    return wb_texts_new (&o->texts, t, &p->g, o->stream, print, o);
}

static wb_status output_close (output_t *o, wb_status status) {
    wb_texts_destroy (o->texts);
    if (o->to != NULL && o->to != stdout && fclose (o->to) != 0 && status == WB_OK)
        status = WB_FAIL (WB_EIO, "%s: cannot write: %s", o->name, strerror (errno));
    return status;
}

static wb_status generate (options_t *p, const wb_model_t *m) {
    wb_ids_t context = {0};
    output_t o = {0};
    wb_status status = wb_context_read (&context, m->tokenizer, p->context, p->context_file);
    if (status == WB_OK) status = output_open (&o, p, m->tokenizer);
    if (status == WB_OK) {
        wb_sampling_seed (&p->g.sampling, p->seed);
        p->g.context = context.data, p->g.ncontext = context.len;
        p->g.texts = o.texts, p->g.emit = emit, p->g.ctx = &o;
        status = wb_generate (m, &p->g);
        wb_log_progress ("%s", "");
        if (status == WB_ESTOP) status = wb_texts_finish (o.texts);
    }
    wb_ids_fini (&context);
    return output_close (&o, status);
}

static wb_status run (int argc, char **argv) {
    options_t p;
    wb_model_t *m;
    WB_TRY (read_options (&p, argc, argv));
    WB_TRY (wb_model_open (&m, &p.model, argv[0]));
    wb_interrupt_begin ();
    const wb_status status = generate (&p, m);
    wb_model_destroy (m);
    wb_interrupt_end (status);
    return status;
}

const wb_cmd_t wb_cmd_generate = {
    .name = "generate",
    .usage = "--model DIR [--context TEXT] [OPTION]...",
    .line = "write Japanese",
    .run = run,
    .flags = WB_CMD_COMPUTES,
    .text = "  --model DIR          a checkpoint or any Hugging Face GPT-2 directory\n"
            "  --tokenizer T        instead of the model's own\n"
            "  --context TEXT       what the text begins with (it is not printed again)\n"
            "  --context-file F     the same from a file; - is the standard input\n" WB_GENERATION_HELP
            "  --seed S             the same seed gives the same texts (default: another one each time)\n"
            "  --output-file F      write there instead of to the standard output\n"
            "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
            "  --no-verify          do not compare the model with its checksums.json (0.1 s for 400 MB in memory)\n"
            "\n"
            "Lengths are tokens of the continuation.  A text longer than the model's context goes on with its second\n"
            "half as context.  The ways of drawing are applied in this order: bias, penalties, repeats, temperature,\n"
            "top-k, typical, top-p, min-p; each narrows what the one before left.\n",
};
