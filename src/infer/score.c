/* Scores: log-probabilities of texts, many at a time.
 *
 * A text is scored as the model was trained: <|endoftext|>, the text, <|endoftext|>; every token but the first is a
 * target.  A text longer than the model's positions is scored by windows that overlap, by half unless a stride is
 * given: a later window scores what follows the overlap.  Texts are copied and wait until enough of them are there, or
 * the caller wants the results.
 *
 * Not here: reading and printing (print_scores.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/infer_priv.h"

enum { TEXTS = 128, SEQS = 32 };

/* A text that waits. */
typedef struct waiting {
    const char *source;
    int64_t line;
    size_t text, bytes; /* in scorer.text */
    int64_t ids, n;     /* in scorer.ids */
} waiting_t;

/* A piece of a text that goes through the model at once: `count` inputs from ids[first]; of their targets (one place
 * later) all but the first `skip` are scored. */
typedef struct window {
    int64_t first, count, skip;
} window_t;

struct wb_scorer {
    const wb_model_t *m;
    bool end;       /* <|endoftext|> after the text is a target */
    int64_t stride; /* targets of a window that is not the first */
    wb_scored_fn emit;
    void *ctx;
    wb_batch_t batch;
    window_t windows[SEQS]; /* of batch */
    waiting_t texts[TEXTS];
    int n;
    wb_buf_t text;
    wb_ids_t ids;
    float *logprob; /* [logprobs] of ids[i], given those before it */
    float *most;    /* [mosts] of the most likely ids in their places */
    int64_t logprobs, mosts;
    const char *what;                  /* what is told of how far it is; NULL: nothing */
    int64_t all, emitted, scored, run; /* bytes to come and had; targets, in all and of the texts that wait */
    double begun, told;
};

wb_status wb_scorer_new (wb_scorer_t **out, const wb_model_t *m, bool end, wb_scored_fn emit, void *ctx) {
    wb_scorer_t *s = *out = wb_calloc (1, sizeof *s);
    if (s == NULL) return WB_NOMEM ("scores");
    s->m = m;
    s->end = end;
    s->stride = m->size.T - m->size.T / 2;
    s->emit = emit;
    s->ctx = ctx;
    wb_batch_init (&s->batch, m, SEQS);
    return WB_OK;
}

wb_status wb_scorer_stride (wb_scorer_t *s, int64_t stride) {
    const int64_t T = s->m->size.T;
    if (stride < 1 || stride > T)
        return WB_FAIL (WB_EUSAGE, "--stride %lld: the model has %lld positions, so it is 1 to %lld",
                        (long long) stride, (long long) T, (long long) T);
    s->stride = stride;
    return WB_OK;
}

void wb_scorer_tell (wb_scorer_t *s, const char *what, int64_t bytes) {
    s->what = what;
    s->all = bytes;
    s->begun = s->told = wb_now ();
}

/* A line every five seconds, or one on a terminal that replaces itself. */
static void tell (wb_scorer_t *s, int64_t scored) {
    const double now = wb_now ();
    char size[32], left[32];
    s->scored += scored, s->run += scored;
    if (s->what == NULL || now - s->told < (wb_log_is_tty () ? 0.25 : 5.0)) return;
    s->told = now;
    const double done = (double) s->emitted + (double) s->text.len * (double) s->run / (double) s->ids.len;
    const double share = s->all > 0 && done < (double) s->all ? done / (double) s->all : 1.0, took = now - s->begun;
    (wb_log_is_tty () ? wb_log_progress : wb_info) (
        "%s: %.0f %% of %s, %.0f tokens/s, %s left", s->what, 100 * share, wb_format_bytes (size, (double) s->all),
        (double) s->scored / took, wb_format_seconds (left, took * (1 - share) / (share > 0 ? share : 1)));
}

void wb_scorer_destroy (wb_scorer_t *s) {
    if (s == NULL) return;
    wb_batch_fini (&s->batch);
    wb_buf_fini (&s->text);
    wb_ids_fini (&s->ids);
    wb_free (s->logprob);
    wb_free (s->most);
    wb_free (s);
}

/* Score the windows of the batch together. */
static void run_windows (wb_scorer_t *s) {
    wb_batch_t *b = &s->batch;
    const int64_t C = s->m->size.C;
    int64_t row = 0, scored = 0;
    if (b->n == 0) return;
    wb_batch_push (b);
    for (int i = 0; i < b->n; i++) { /* only the rows that are scored go to the output layer */
        const window_t *w = &s->windows[i];
        const int64_t some = w->count - w->skip;
        memmove (b->hidden + scored * C, b->hidden + (row + w->skip) * C, (size_t) (some * C) * sizeof (float));
        memcpy (b->ids + scored, s->ids.data + w->first + w->skip + 1, (size_t) some * sizeof (int32_t));
        row += w->count;
        scored += some;
    }
    float *most = b->values + b->max_rows;
    wb_infer_logprobs (b->inf, b->values, most, b->hidden, b->ids, scored);
    scored = 0;
    for (int i = 0; i < b->n; i++) {
        const window_t *w = &s->windows[i];
        const int64_t some = w->count - w->skip;
        memcpy (s->logprob + w->first + w->skip + 1, b->values + scored, (size_t) some * sizeof (float));
        memcpy (s->most + w->first + w->skip + 1, most + scored, (size_t) some * sizeof (float));
        scored += some;
    }
    wb_batch_clear (b);
    tell (s, scored);
}

/* Room for the results, and for sequences as long as the longest text's windows. */
static wb_status make_room (wb_scorer_t *s) {
    int64_t longest = 1;
    if (!WB_GROW (s->logprob, s->logprobs, s->ids.len) || !WB_GROW (s->most, s->mosts, s->ids.len))
        return WB_NOMEM ("%lld tokens", (long long) s->ids.len);
    for (int i = 0; i < s->n; i++)
        if (s->texts[i].n - 1 > longest) longest = s->texts[i].n - 1;
    return wb_batch_room (&s->batch, longest < s->m->size.T ? longest : s->m->size.T);
}

/* Cut a text into windows and run them whenever the batch is full. */
static void score_text (wb_scorer_t *s, const waiting_t *t) {
    const int64_t T = s->m->size.T, inputs = t->n - 1;
    for (int64_t done = 0; done < inputs;) {
        const int64_t overlap = done > 0 ? T - s->stride : 0, begin = done - overlap;
        const int64_t count = inputs - begin < T ? inputs - begin : T;
        if (!wb_batch_fits (&s->batch, count)) run_windows (s);
        s->windows[s->batch.n] = (window_t){.first = t->ids + begin, .count = count, .skip = overlap};
        wb_batch_add (&s->batch, s->ids.data + t->ids + begin, count);
        done = begin + count;
    }
}

static wb_status emit (wb_scorer_t *s, const waiting_t *t) {
    char place[256];
    wb_scored_t r = {.text = {s->text.data + t->text, t->bytes, t->source, t->line},
                     .ids = s->ids.data + t->ids,
                     .logprob = s->logprob + t->ids,
                     .most = s->most + t->ids,
                     .n = t->n};
    for (int64_t i = 1; i < t->n; i++) r.total += (double) r.logprob[i];
    if (!isfinite (r.total))
        return WB_FAIL (WB_ENUMERIC, "%s: the log-probability is NaN or infinite: the weights are damaged",
                        wb_text_place (place, &r.text));
    return s->emit (s->ctx, &r);
}

wb_status wb_scorer_run (wb_scorer_t *s) {
    wb_status status = WB_OK;
    if (s->n == 0) return WB_OK;
    WB_TRY (make_room (s));
    for (int i = 0; i < s->n; i++) score_text (s, &s->texts[i]);
    run_windows (s);
    for (int i = 0; i < s->n && status == WB_OK; i++) status = emit (s, &s->texts[i]);
    s->n = 0;
    s->run = 0;
    s->emitted += (int64_t) s->text.len;
    wb_buf_clear (&s->text);
    wb_ids_clear (&s->ids);
    return status;
}

/* ids: NULL: those of the text. */
static wb_status put (wb_scorer_t *s, const wb_text_t *text, const int32_t *ids, int64_t n) {
    const int32_t eot = wb_tokenizer_eot (s->m->tokenizer);
    waiting_t *t = &s->texts[s->n];
    *t = (waiting_t){text->source, text->line, .text = s->text.len, .bytes = text->n, .ids = s->ids.len};
    WB_TRY (wb_buf_put (&s->text, text->bytes, text->n));
    WB_TRY (wb_ids_put (&s->ids, eot));
    if (ids == NULL) WB_TRY (wb_tokenizer_encode (s->m->tokenizer, &s->ids, text->bytes, text->n, false));
    for (int64_t i = 0; i < n; i++) WB_TRY (wb_ids_put (&s->ids, ids[i]));
    if (s->end) WB_TRY (wb_ids_put (&s->ids, eot));
    t->n = s->ids.len - t->ids;
    s->n++;
    return s->n == TEXTS || s->ids.len >= 4 * s->m->size.T + 4096 ? wb_scorer_run (s) : WB_OK;
}

wb_status wb_scorer_put (wb_scorer_t *s, const wb_text_t *text) { return put (s, text, NULL, 0); }

wb_status wb_scorer_put_ids (wb_scorer_t *s, const wb_text_t *text, const int32_t *ids, int64_t n) {
    return put (s, text, ids, n);
}
