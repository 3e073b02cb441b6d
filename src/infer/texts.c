/* Texts from the ids of a generation.
 *
 * Texts of a batch end at different times.  Whole texts are handed on in their order: a finished one waits for those
 * before it.  A stream hands on every text piece by piece as it is drawn, each piece ending between two characters.  A
 * text ends before a stop string.  With log-probabilities a whole text is a line of JSON.
 *
 * Not here: where the texts go, and what stands between them. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "wabun/infer.h"

/* A text that is being drawn, or waits. */
typedef struct text {
    wb_stream_t *stream;
    wb_stop_t stop;
    wb_buf_t whole; /* not of a stream */
    json_t *tokens; /* NULL: no log-probabilities */
    bool done;
} text_t;

struct wb_texts {
    const wb_tokenizer_t *t;
    const wb_generation_t *g;
    int64_t next; /* the first text not handed on yet */
    bool stream;
    wb_piece_fn put;
    void *ctx;
    text_t **texts;      /* [g->samples] NULL: not begun, or handed on */
    wb_buf_t buf, piece; /* of the last id: its text, and what of it is handed on */
};

wb_status wb_texts_new (wb_texts_t **out, const wb_tokenizer_t *t, const wb_generation_t *g, bool stream,
                        wb_piece_fn put, void *ctx) {
    wb_texts_t *w = *out = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("texts");
    *w = (wb_texts_t){.t = t, .g = g, .stream = stream && !g->logprobs, .put = put, .ctx = ctx};
    w->texts = wb_calloc ((size_t) g->samples, sizeof *w->texts);
    if (w->texts != NULL) return WB_OK;
    wb_free (w);
    *out = NULL;
    return WB_NOMEM ("%lld texts", (long long) g->samples);
}

static void forget (text_t **x) {
    if (*x == NULL) return;
    wb_stream_destroy ((*x)->stream);
    wb_stop_fini (&(*x)->stop);
    wb_buf_fini (&(*x)->whole);
    json_decref ((*x)->tokens);
    wb_free (*x);
    *x = NULL;
}

void wb_texts_destroy (wb_texts_t *w) {
    if (w == NULL) return;
    for (int64_t i = 0; i < w->g->samples; i++) forget (&w->texts[i]);
    wb_free (w->texts);
    wb_buf_fini (&w->buf);
    wb_buf_fini (&w->piece);
    wb_free (w);
}

static wb_status begin (wb_texts_t *w, text_t **x) {
    *x = wb_calloc (1, sizeof **x);
    if (*x == NULL) return WB_NOMEM ("a text");
    (*x)->stop = (wb_stop_t){.strings = w->g->stop, .n = w->g->nstop};
    if (w->g->logprobs && ((*x)->tokens = json_array ()) == NULL) return WB_NOMEM ("a text");
    return wb_stream_new (&(*x)->stream, w->t);
}

/* ---- log-probabilities ------------------------------------------------------------------------------------------- */

static json_t *token (const wb_likely_t *l, const char *text, size_t n) {
    json_t *word = json_stringn (n > 0 ? text : "", n);
    return json_pack ("{s:i, s:o, s:f}", "id", (int) l->id, "text", word, "logprob", (double) l->logprob);
}

/* The id drawn, with the text it completes, and the most likely ones, each as it is read alone. */
static wb_status tell (wb_texts_t *w, text_t *x, const wb_likely_t *likely) {
    json_t *top = json_array (), *one = token (likely, w->buf.data, w->buf.len);
    bool good = one != NULL && top != NULL;
    wb_status status = WB_OK;
    for (int64_t i = 1; i <= w->g->top_logprobs && likely[i].id >= 0 && good; i++) {
        wb_buf_clear (&w->buf);
        status = wb_tokenizer_decode (w->t, &w->buf, &likely[i].id, 1);
        good = status == WB_OK && json_array_append_new (top, token (&likely[i], w->buf.data, w->buf.len)) == 0;
    }
    if (w->g->top_logprobs > 0) good = good && json_object_set (one, "top", top) == 0;
    good = good && json_array_append (x->tokens, one) == 0;
    json_decref (top);
    json_decref (one);
    return status != WB_OK || good ? status : WB_NOMEM ("log-probabilities");
}

/* Its line instead of the text. */
static wb_status make_line (text_t *x) {
    json_t *line = json_pack ("{s:o, s:O}", "text", json_stringn (x->whole.len > 0 ? x->whole.data : "", x->whole.len),
                              "tokens", x->tokens);
    char *s = line != NULL ? json_dumps (line, JSON_COMPACT | JSON_REAL_PRECISION (7)) : NULL;
    wb_buf_clear (&x->whole);
    wb_status status = s != NULL ? wb_buf_put (&x->whole, s, strlen (s)) : WB_NOMEM ("log-probabilities");
    wb_free_foreign (s);
    json_decref (line);
    return status;
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

/* Hand on the text that is next. */
static wb_status put_next (wb_texts_t *w) {
    const int64_t sample = w->next++;
    text_t *x = w->texts[sample];
    if (x != NULL && x->tokens != NULL) WB_TRY (make_line (x));
    const wb_status status =
        w->put (w->ctx, sample, x != NULL ? x->whole.data : NULL, x != NULL ? x->whole.len : 0, true);
    forget (&w->texts[sample]);
    return status;
}

wb_status wb_texts_put (wb_texts_t *w, int64_t sample, int32_t id, const wb_likely_t *likely) {
    text_t **at = &w->texts[sample], *x;
    const bool end = id < 0;
    wb_buf_clear (&w->buf);
    wb_buf_clear (&w->piece);
    if (*at == NULL) WB_TRY (begin (w, at));
    x = *at;
    WB_TRY (wb_stream_put (x->stream, &w->buf, id, end));
    WB_TRY (wb_stop_put (&x->stop, w->stream ? &w->piece : &x->whole, w->buf.data, w->buf.len, end));
    if (x->tokens != NULL && !end) WB_TRY (tell (w, x, likely));
    if (w->stream) {
        if (end) forget (at);
        return end || w->piece.len > 0 ? w->put (w->ctx, sample, w->piece.data, w->piece.len, end) : WB_OK;
    }
    x->done = end;
    while (w->next < w->g->samples && w->texts[w->next] != NULL && w->texts[w->next]->done) WB_TRY (put_next (w));
    return WB_OK;
}

bool wb_texts_ended (const wb_texts_t *w, int64_t sample) {
    return w->texts[sample] != NULL && w->texts[sample]->stop.hit;
}

wb_status wb_texts_finish (wb_texts_t *w) {
    int64_t last = w->g->samples - 1;
    while (last >= 0 && w->texts[last] == NULL) last--;
    for (int64_t i = w->stream ? 0 : w->next; i <= last; i++)
        if (w->texts[i] != NULL && !w->texts[i]->done) WB_TRY (wb_texts_put (w, i, -1, NULL));
    while (!w->stream && w->next <= last) WB_TRY (put_next (w));
    return WB_OK;
}
