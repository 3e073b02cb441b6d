/* Generation: from a context to the ids of texts.
 *
 * Texts of a batch share one push of the context and then one push for each place; a finished text leaves the batch.
 * Each id is drawn by (seed, text, place), so batches change no text.
 *
 * Not here: drawing an id (sample.c), text from ids (texts.c; but for the training report), files, signals. */
#include "config.h"

#include <string.h>

#include "wabun/infer.h"

enum { BATCH = 32, PUSH_ROWS = 512 };
#define MAX_BYTES ((size_t) 2 << 30) /* of keys, values and activations: fewer texts at a time rather than more */

/* A text being drawn. */
typedef struct text {
    int64_t sample, length;
    int seq;         /* of the inference object */
    int32_t *window; /* [T] ids the sequence holds, then the one to be pushed next */
} text_t;

typedef struct generator {
    const wb_model_t *m;
    const wb_generation_t *g;
    wb_size_t size; /* the model's, with no more positions than the texts can need */
    int32_t eot;
    int64_t V; /* ids that can be decoded */
    int64_t rows;
    wb_infer_t *inf;
    int32_t *windows;    /* [batch][T] */
    float *logits;       /* [batch][size.V] */
    void *work;          /* [batch] of sampling */
    text_t texts[BATCH]; /* those not at their end come first */
    int n;
    bool looks_back;
    wb_likely_t likely[BATCH][1 + WB_LIKELY_MAX];
    wb_ids_t history[BATCH]; /* of a sequence: context and text, where sampling looks back */
} generator_t;

/* Push ids to the end of one sequence, in pieces. */
static void push_long (generator_t *q, int seq, float *logits, const int32_t *ids, int64_t n) {
    for (int64_t i = 0, some; i < n; i += some) {
        some = n - i < q->rows ? n - i : q->rows;
        wb_infer_push (q->inf, NULL, i + some == n ? logits : NULL, ids + i, &seq, &some, 1);
    }
}

/* Begin the texts first .. first + n - 1: the context is pushed once. */
static wb_status begin (generator_t *q, int64_t first, int n) {
    const wb_generation_t *g = q->g;
    const int64_t T = q->size.T, used = g->ncontext < T ? g->ncontext : T;
    const int32_t *ids = used > 0 ? g->context + g->ncontext - used : &q->eot;
    const int64_t nids = used > 0 ? used : 1;
    wb_infer_rewind (q->inf, 0, 0);
    push_long (q, 0, q->logits, ids, nids);
    for (int i = 0; i < n; i++) {
        q->texts[i] = (text_t){.sample = first + i, .seq = i, .window = q->windows + i * T};
        memcpy (q->texts[i].window, ids, (size_t) nids * sizeof *ids);
        if (i == 0) continue;
        wb_infer_copy (q->inf, i, 0);
        memcpy (q->logits + i * q->size.V, q->logits, (size_t) q->size.V * sizeof (float));
    }
    q->n = n;
    for (int i = 0; i < n && q->looks_back; i++) {
        wb_ids_t *h = &q->history[i];
        WB_TRY (wb_ids_reserve (h, g->ncontext));
        if (g->ncontext > 0) memcpy (h->data, g->context, (size_t) g->ncontext * sizeof *h->data);
        h->len = g->ncontext;
    }
    return WB_OK;
}

/* Draw the next id of every text. */
static void draw (generator_t *q, wb_draw_t *draws) {
    for (int i = 0; i < q->n; i++) {
        const text_t *t = &q->texts[i];
        draws[i] = (wb_draw_t){.how = &q->g->sampling,
                               .logits = q->logits + i * q->size.V,
                               .history = q->history[t->seq].data,
                               .nhistory = q->history[t->seq].len,
                               .written = q->looks_back ? t->length : 0,
                               .forbid = t->length < q->g->min_length ? q->eot : -1,
                               .likely = q->g->logprobs ? q->likely[i] : NULL,
                               .nlikely = (int) q->g->top_logprobs,
                               .stream = (uint64_t) t->sample,
                               .index = (uint64_t) t->length};
    }
    if (q->g->max_length > 0) wb_sample_ids (draws, q->n, q->V, q->work);
}

/* Hand on an id, -1: the end of its text. */
static wb_status emit (const wb_generation_t *g, int64_t sample, int32_t id, const wb_likely_t *likely) {
    if (g->texts != NULL) WB_TRY (wb_texts_put (g->texts, sample, id, likely));
    return g->emit != NULL ? g->emit (g->ctx, sample, id) : WB_OK;
}

/* Append what was drawn to text t, or end it.  *more: the id is to be pushed. */
static wb_status take (generator_t *q, bool *more, text_t *t, const wb_draw_t *d) {
    const wb_generation_t *g = q->g;
    const int32_t id = d->id;
    *more = false;
    if (t->length < g->max_length) {
        if (id == -1)
            return WB_FAIL (WB_ENUMERIC,
                            "text %lld, token %lld: a logit is NaN or infinite: the weights of the model are damaged",
                            (long long) t->sample + 1, (long long) t->length + 1);
        if (id != q->eot && id >= 0) { /* < 0: every id is forbidden, so the text can go no further */
            WB_TRY (emit (g, t->sample, id, d->likely));
            if (q->looks_back) WB_TRY (wb_ids_put (&q->history[t->seq], id));
            *more = ++t->length < g->max_length && !(g->texts != NULL && wb_texts_ended (g->texts, t->sample));
        }
    }
    return *more ? WB_OK : emit (g, t->sample, -1, NULL);
}

/* Make room for one more position: of a full window the later half stays. */
static void slide (generator_t *q, text_t *t) {
    const int64_t T = q->size.T, keep = T / 2;
    if (wb_infer_length (q->inf, t->seq) < T) return;
    memmove (t->window, t->window + T - keep, (size_t) keep * sizeof *t->window);
    wb_infer_rewind (q->inf, t->seq, 0);
    push_long (q, t->seq, NULL, t->window, keep);
}

/* One more id for every text; finished texts leave the batch. */
static wb_status advance (generator_t *q) {
    wb_draw_t draws[BATCH];
    int32_t ids[BATCH];
    int seqs[BATCH], left = 0;
    int64_t counts[BATCH];
    draw (q, draws);
    for (int i = 0; i < q->n; i++) {
        bool more;
        text_t t = q->texts[i];
        WB_TRY (take (q, &more, &t, &draws[i]));
        if (!more) continue;
        q->texts[left] = t;
        ids[left++] = draws[i].id;
    }
    q->n = left;
    for (int i = 0; i < left; i++) {
        text_t *t = &q->texts[i];
        slide (q, t);
        t->window[wb_infer_length (q->inf, t->seq)] = ids[i];
        seqs[i] = t->seq;
        counts[i] = 1;
    }
    wb_infer_push (q->inf, NULL, q->logits, ids, seqs, counts, left);
    return WB_OK;
}

wb_status wb_generate (const wb_model_t *m, const wb_generation_t *g) {
    WB_ASSERT (m->tokenizer != NULL);
    generator_t q = {.m = m, .g = g, .size = m->size, .eot = wb_tokenizer_eot (m->tokenizer)};
    q.looks_back = wb_sampling_looks_back (&g->sampling);
    q.V = wb_tokenizer_size (m->tokenizer) < q.size.V ? wb_tokenizer_size (m->tokenizer) : q.size.V;
    WB_TRY (wb_sampling_check (&g->sampling, q.V));
    const int64_t nids = g->ncontext > 0 ? g->ncontext : 1;
    int batch = g->batch > 0 && g->batch < BATCH ? g->batch : BATCH;
    if (g->samples < batch) batch = (int) g->samples;
    if (batch < 1) return WB_OK;
    if (nids < q.size.T && g->max_length < q.size.T - nids) q.size.T = nids + (g->max_length > 0 ? g->max_length : 1);
    if (g->ncontext > m->size.T)
        wb_warn ("the context has %lld tokens, the model %lld positions: the last %lld are used",
                 (long long) g->ncontext, (long long) m->size.T, (long long) m->size.T);
    q.rows = q.size.T < PUSH_ROWS ? q.size.T : PUSH_ROWS;
    if (q.rows < batch) q.rows = batch;
    while (batch > 1 && wb_infer_bytes (&q.size, batch, q.rows) > MAX_BYTES) batch--;

    wb_status status = wb_infer_new (&q.inf, &q.size, m->params, m->weights, m->kern, batch, q.rows);
    while (status == WB_ENOMEM && batch > 1) { /* fewer texts at a time, rather than none */
        batch /= 2;
        wb_error_clear ();
        status = wb_infer_new (&q.inf, &q.size, m->params, m->weights, m->kern, batch, q.rows);
    }
    if (status == WB_OK) {
        q.windows = wb_malloc ((size_t) (batch * q.size.T) * sizeof *q.windows);
        q.logits = wb_malloc ((size_t) (batch * q.size.V) * sizeof *q.logits);
        q.work = wb_malloc ((size_t) batch * wb_sample_work_bytes (q.V));
        if (q.windows == NULL || q.logits == NULL || q.work == NULL) status = WB_NOMEM ("%d texts at a time", batch);
    }
    for (int64_t first = 0; status == WB_OK && first < g->samples; first += batch) {
        status = begin (&q, first, g->samples - first < batch ? (int) (g->samples - first) : batch);
        while (status == WB_OK && q.n > 0) status = advance (&q);
    }
    for (int i = 0; i < BATCH; i++) wb_ids_fini (&q.history[i]);
    wb_free (q.work);
    wb_free (q.logits);
    wb_free (q.windows);
    wb_infer_destroy (q.inf);
    return status;
}

/* ---- for the training report ----------------------------------------------------------------------------------- */

static wb_status keep_id (void *ctx, int64_t sample, int32_t id) {
    (void) sample;
    return id >= 0 ? wb_ids_put (ctx, id) : WB_OK;
}

wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) {
    wb_ids_t ids = {0}, drawn = {0};
    wb_status status =
        context != NULL ? wb_tokenizer_encode (m->tokenizer, &ids, context, strlen (context), false) : WB_OK;
    if (status == WB_OK) {
        const int64_t used = ids.len < m->size.T ? ids.len : m->size.T;
        const wb_generation_t g = {.sampling = *s,
                                   .context = ids.data + (ids.len - used),
                                   .ncontext = used,
                                   .max_length = tokens,
                                   .samples = 1,
                                   .emit = keep_id,
                                   .ctx = &drawn};
        status = wb_generate (m, &g);
    }
    if (status == WB_OK) status = wb_tokenizer_decode (m->tokenizer, out, drawn.data, drawn.len);
    wb_ids_fini (&drawn);
    wb_ids_fini (&ids);
    return status;
}
