/* wabun generate: writes Japanese.
 *
 * Sampling and batches are in sample.c; here are options, the order of texts and what a person at a terminal sees.
 * Texts of a batch end at different times and are printed in their order.  One text on a terminal is shown while it is
 * written. The first Ctrl-C ends the writing, keeps what there is, and then ends the program as an interrupted one
 * ends. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "wabun/infer.h"

typedef struct options {
    wb_using_t using;
    const char *context, *context_file, *output;
    int64_t num, top_k, min_length, max_length, seed;
    double top_p, temperature;
} options_t;

typedef struct writer {
    const wb_tokenizer_t *t;
    FILE *to;
    const char *name;
    double shown; /* when progress was shown last */
    int64_t tokens;
    wb_stream_t *stream; /* one text on a terminal; else NULL */
    wb_ids_t *ids;       /* [num] texts not yet printed */
    bool *done;          /* [num] */
    int64_t num, next;   /* the first text not yet printed */
    wb_buf_t buf;
    wb_status status;
} writer_t;

static volatile sig_atomic_t interrupted;
static void on_interrupt (int sig) {
    /* timeout(1) sends its signal twice; whoever sends a third one does not want to wait for the text. */
    if (++interrupted < 3) return;
    signal (sig, SIG_DFL);
    raise (sig);
}

static wb_status read_options (options_t *p, int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    *p = (options_t){.num = 1, .top_k = 40, .max_length = 500, .seed = -1, .temperature = 1.0};
    while (wb_opts_next (&o)) {
        bool taken;
        WB_TRY (wb_using_option (&p->using, &o, &taken));
        if (taken) continue;
        if (wb_opts_is (&o, "--context"))
            WB_TRY (wb_opts_text (&o, &p->context));
        else if (wb_opts_is (&o, "--context-file"))
            WB_TRY (wb_opts_text (&o, &p->context_file));
        else if (wb_opts_is (&o, "--num-generate"))
            WB_TRY (wb_opts_int (&o, &p->num, 1, 1000000));
        else if (wb_opts_is (&o, "--top-k"))
            WB_TRY (wb_opts_int (&o, &p->top_k, 0, INT32_MAX));
        else if (wb_opts_is (&o, "--top-p"))
            WB_TRY (wb_opts_float (&o, &p->top_p, 0.0, 1.0));
        else if (wb_opts_is (&o, "--temperature"))
            WB_TRY (wb_opts_float (&o, &p->temperature, 0.0, 1000.0));
        else if (wb_opts_is (&o, "--min-length"))
            WB_TRY (wb_opts_int (&o, &p->min_length, 0, INT32_MAX));
        else if (wb_opts_is (&o, "--max-length"))
            WB_TRY (wb_opts_int (&o, &p->max_length, 1, INT32_MAX));
        else if (wb_opts_is (&o, "--seed"))
            WB_TRY (wb_opts_int (&o, &p->seed, 0, INT64_MAX));
        else if (wb_opts_is (&o, "--output-file"))
            WB_TRY (wb_opts_text (&o, &p->output));
        else
            return wb_opts_unknown (&o);
    }
    if (p->min_length > p->max_length)
        return WB_FAIL (WB_EUSAGE, "--min-length %lld is more than --max-length %lld", (long long) p->min_length,
                        (long long) p->max_length);
    if (p->context != NULL && p->context_file != NULL)
        return WB_FAIL (WB_EUSAGE, "--context and --context-file cannot both be given");
    return WB_OK;
}

static wb_status read_context (wb_ids_t *ids, const options_t *p, const wb_tokenizer_t *t) {
    if (p->context != NULL) {
        wb_text_warn ("--context", p->context, strlen (p->context), NULL);
        return wb_tokenizer_encode (t, ids, p->context, strlen (p->context), false);
    }
    if (p->context_file == NULL) return WB_OK;
    const bool stdin_is_it = strcmp (p->context_file, "-") == 0;
    const char *name = stdin_is_it ? "standard input" : p->context_file;
    char *text;
    size_t n;
    WB_TRY (wb_file_read (&text, &n, stdin_is_it ? "/dev/stdin" : p->context_file));
    wb_text_warn (name, text, n, NULL);
    if (n > 0 && text[n - 1] == '\n') n--; /* the one that editors put there */
    if (n > 0 && text[n - 1] == '\r') n--;
    const wb_status status = wb_tokenizer_encode (t, ids, text, n, false);
    wb_free (text);
    return status;
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

static wb_status print_text (writer_t *w, const wb_ids_t *ids) {
    wb_log_progress ("%s", "");
    if (w->next > 0) fputs ("========\n", w->to);
    w->next++;
    if (w->stream != NULL) { /* it stands there already */
        wb_buf_clear (&w->buf);
        WB_TRY (wb_stream_put (w->stream, &w->buf, -1, true));
    } else {
        wb_buf_clear (&w->buf);
        WB_TRY (wb_tokenizer_decode (w->t, &w->buf, ids->data, ids->len));
    }
    fwrite (w->buf.data, 1, w->buf.len, w->to);
    fputc ('\n', w->to);
    return wb_flush (w->to, w->name);
}

/* For who waits at a terminal; texts appear when all of a batch are nearly done. */
static void show_progress (writer_t *w) {
    w->tokens++;
    if (wb_now () - w->shown < 0.25) return;
    w->shown = wb_now ();
    wb_log_progress ("%lld of %lld %s, %lld tokens", (long long) w->next, (long long) w->num,
                     w->num == 1 ? "text" : "texts", (long long) w->tokens);
}

static wb_status take_id (writer_t *w, int64_t sample, int32_t id) {
    if (id >= 0 && w->stream != NULL) {
        wb_buf_clear (&w->buf);
        WB_TRY (wb_stream_put (w->stream, &w->buf, id, false));
        fwrite (w->buf.data, 1, w->buf.len, w->to);
        return wb_flush (w->to, w->name);
    }
    if (id >= 0) {
        show_progress (w);
        return wb_ids_put (&w->ids[sample], id);
    }
    w->done[sample] = true;
    while (w->next < w->num && w->done[w->next]) {
        wb_ids_t *ids = &w->ids[w->next];
        WB_TRY (print_text (w, ids));
        wb_ids_fini (ids);
    }
    return WB_OK;
}

static bool emit (void *ctx, int64_t sample, int32_t id) {
    writer_t *w = ctx;
    w->status = take_id (w, sample, id);
    return w->status == WB_OK && !interrupted;
}

/* After an interruption: the texts that were begun, as far as they came. */
static wb_status print_rest (writer_t *w) {
    int64_t last = w->num - 1;
    if (w->stream != NULL) return w->next == 0 ? print_text (w, &w->ids[0]) : WB_OK;
    while (last >= w->next && w->ids[last].len == 0) last--;
    while (w->next <= last) WB_TRY (print_text (w, &w->ids[w->next]));
    return WB_OK;
}

static wb_status writer_open (writer_t *w, const options_t *p, const wb_tokenizer_t *t) {
    *w = (writer_t){.t = t, .to = stdout, .name = "standard output", .num = p->num};
    w->ids = wb_calloc ((size_t) p->num, sizeof *w->ids);
    w->done = wb_calloc ((size_t) p->num, sizeof *w->done);
    if (w->ids == NULL || w->done == NULL) return WB_NOMEM ("%lld texts", (long long) p->num);
    if (p->output != NULL) {
        w->name = p->output;
        w->to = fopen (p->output, "w");
        if (w->to == NULL) return WB_FAIL (WB_EIO, "%s: cannot write: %s", p->output, strerror (errno));
    } else if (p->num == 1 && isatty (STDOUT_FILENO)) {
        return wb_stream_new (&w->stream, t);
    }
    return WB_OK;
}

static wb_status writer_close (writer_t *w, wb_status status) {
    if (w->to != NULL && w->to != stdout) {
        errno = 0;
        if (fclose (w->to) != 0 && status == WB_OK)
            status = WB_FAIL (WB_EIO, "%s: cannot write: %s", w->name, strerror (errno));
    }
    for (int64_t i = 0; w->ids != NULL && i < w->num; i++) wb_ids_fini (&w->ids[i]);
    wb_free (w->ids);
    wb_free (w->done);
    wb_stream_destroy (w->stream);
    wb_buf_fini (&w->buf);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static uint64_t clock_seed (void) {
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    const uint64_t x = (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
    return wb_rng_u64 (x, (uint64_t) getpid (), 0) % 1000000000u; /* short enough to be typed again */
}

static wb_status generate (const wb_model_t *m, const options_t *p) {
    wb_ids_t context = {0};
    wb_generation_t g = {.sampling = {.temperature = p->temperature, .top_k = p->top_k, .top_p = p->top_p},
                         .min_length = p->min_length,
                         .max_length = p->max_length,
                         .samples = p->num,
                         .emit = emit};
    writer_t w = {0};
    wb_status status = read_context (&context, p, m->tokenizer);
    if (status == WB_OK) status = writer_open (&w, p, m->tokenizer);
    if (status == WB_OK) {
        g.sampling.seed = p->seed >= 0 ? (uint64_t) p->seed : clock_seed ();
        if (p->seed < 0 && p->temperature > 0.0)
            wb_info ("seed %llu: --seed %llu writes the same again", (unsigned long long) g.sampling.seed,
                     (unsigned long long) g.sampling.seed);
        g.context = context.data;
        g.ncontext = context.len;
        g.ctx = &w;
        status = wb_generate (m, &g);
        wb_log_progress ("%s", "");
        if (status == WB_OK) status = w.status;
        if (status == WB_OK && interrupted) status = print_rest (&w);
    }
    wb_ids_fini (&context);
    return writer_close (&w, status);
}

static wb_status run (int argc, char **argv) {
    options_t p;
    wb_model_t *m;
    WB_TRY (read_options (&p, argc, argv));
    WB_TRY (wb_using_open (&m, &p.using, argv[0]));
    struct sigaction catch = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
    sigemptyset (&catch.sa_mask);
    sigaction (SIGINT, NULL, &before);
    if (before.sa_handler != SIG_IGN) sigaction (SIGINT, &catch, NULL); /* background jobs of a script ignore it */
    const wb_status status = generate (m, &p);
    wb_model_destroy (m);
    sigaction (SIGINT, &before, NULL);
    if (interrupted && status == WB_OK) {
        signal (SIGINT, SIG_DFL);
        raise (SIGINT);
    }
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
            "  --context-file F     the same from a file; - is the standard input\n"
            "  --num-generate N     texts to write (default 1)\n"
            "  --top-k K            draw from the K most likely tokens; 0: from all (default 40)\n"
            "  --top-p P            draw from the most likely tokens that make up P; 0: off (default 0)\n"
            "  --temperature X      below 1 safer, above 1 wilder, 0: always the most likely (default 1)\n"
            "  --min-length N       tokens before the text may end (default 0)\n"
            "  --max-length N       tokens at most (default 500)\n"
            "  --seed S             the same seed gives the same texts (default: another one each time)\n"
            "  --output-file F      write there instead of to the standard output\n"
            "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
            "\n"
            "Lengths are tokens of the continuation.  A text longer than the model's context goes on with its second\n"
            "half as context.\n",
};
