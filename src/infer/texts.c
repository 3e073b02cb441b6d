/* Texts from the ids of a generation.
 *
 * Texts of a batch end at different times.  Whole texts are handed on in their order: a finished one waits for those
 * before it.  A stream hands on every text piece by piece as it is drawn, each piece ending between two characters.
 *
 * Not here: where the texts go, and what stands between them. */
#include "config.h"

#include "wabun/infer.h"

struct wb_texts {
    const wb_tokenizer_t *t;
    int64_t samples, next; /* next: the first text not handed on yet */
    wb_piece_fn put;
    void *ctx;
    wb_ids_t *ids;         /* [samples] whole texts: what is drawn of those that wait */
    bool *done;            /* [samples] */
    wb_stream_t **streams; /* [samples] of texts that are being drawn; NULL: whole texts */
    wb_buf_t buf;
};

wb_status wb_texts_new (wb_texts_t **out, const wb_tokenizer_t *t, int64_t samples, bool stream, wb_piece_fn put,
                        void *ctx) {
    wb_texts_t *w = *out = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("texts");
    *w = (wb_texts_t){.t = t, .samples = samples, .put = put, .ctx = ctx};
    w->done = wb_calloc ((size_t) samples, sizeof *w->done);
    if (stream)
        w->streams = wb_calloc ((size_t) samples, sizeof *w->streams);
    else
        w->ids = wb_calloc ((size_t) samples, sizeof *w->ids);
    if (w->done != NULL && (w->streams != NULL || w->ids != NULL)) return WB_OK;
    wb_texts_destroy (w);
    *out = NULL;
    return WB_NOMEM ("%lld texts", (long long) samples);
}

void wb_texts_destroy (wb_texts_t *w) {
    if (w == NULL) return;
    for (int64_t i = 0; i < w->samples; i++) {
        if (w->ids != NULL) wb_ids_fini (&w->ids[i]);
        if (w->streams != NULL) wb_stream_destroy (w->streams[i]);
    }
    wb_free (w->ids);
    wb_free (w->done);
    wb_free (w->streams);
    wb_buf_fini (&w->buf);
    wb_free (w);
}

/* One more id of a stream, or its end (id < 0). */
static wb_status put_piece (wb_texts_t *w, int64_t sample, int32_t id) {
    wb_stream_t **s = &w->streams[sample];
    wb_buf_clear (&w->buf);
    if (*s == NULL) WB_TRY (wb_stream_new (s, w->t));
    WB_TRY (wb_stream_put (*s, &w->buf, id, id < 0));
    if (id < 0) {
        wb_stream_destroy (*s);
        *s = NULL;
        w->done[sample] = true;
    }
    return id < 0 || w->buf.len > 0 ? w->put (w->ctx, sample, w->buf.data, w->buf.len, id < 0) : WB_OK;
}

static wb_status put_next (wb_texts_t *w) {
    const int64_t sample = w->next++;
    wb_ids_t *ids = &w->ids[sample];
    wb_buf_clear (&w->buf);
    WB_TRY (wb_tokenizer_decode (w->t, &w->buf, ids->data, ids->len));
    wb_ids_fini (ids);
    return w->put (w->ctx, sample, w->buf.data, w->buf.len, true);
}

wb_status wb_texts_put (wb_texts_t *w, int64_t sample, int32_t id) {
    if (w->streams != NULL) return put_piece (w, sample, id);
    if (id >= 0) return wb_ids_put (&w->ids[sample], id);
    w->done[sample] = true;
    while (w->next < w->samples && w->done[w->next]) WB_TRY (put_next (w));
    return WB_OK;
}

wb_status wb_texts_finish (wb_texts_t *w) {
    if (w->streams != NULL) {
        for (int64_t i = 0; i < w->samples; i++)
            if (w->streams[i] != NULL) WB_TRY (put_piece (w, i, -1));
        return WB_OK;
    }
    int64_t last = w->samples - 1;
    while (last >= w->next && w->ids[last].len == 0) last--;
    while (w->next <= last) WB_TRY (put_next (w));
    return WB_OK;
}
