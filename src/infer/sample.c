/* Sampling: from logits to an id, and from a context to texts.
 *
 * An id is a pure function of (logits, seed, text, place): no generator has a state, so the same seed gives the same
 * texts however they are put into batches.  Candidates come out of a heap, most likely first, which costs O(V) for the
 * heap and log V for each id that is kept (of the k ids only, with top-k); with neither top-k nor top-p the ids are
 * taken in their own order.
 *
 * Texts of a batch share one push of the context and then one push for each place; a text at its end leaves the batch.
 *
 * Not here: text (except for the training report), files, signals. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "wabun/infer.h"

/* ---- one id ---------------------------------------------------------------------------------------------------- */

typedef struct candidate {
    float logit;
    int32_t id;
} candidate_t;

size_t wb_sample_work_bytes (int64_t V) { return (size_t) V * sizeof (candidate_t); }

static inline bool before (candidate_t a, candidate_t b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Place i of a heap whose top is the most likely, or with `least` the least likely. */
static inline void sift (candidate_t *heap, int64_t n, int64_t i, bool least) {
    const candidate_t c = heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before (heap[child + 1], heap[child]) != least) child++;
        if (before (heap[child], c) == least) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = c;
}

/* The most likely of the heap's n goes to its end, place n - 1. */
static void pop (candidate_t *heap, int64_t n) {
    const candidate_t top = heap[0];
    heap[0] = heap[n - 1];
    sift (heap, n - 1, 0, false);
    heap[n - 1] = top;
}

/* The k < n most likely of n to the front, in no order. */
static void narrow (candidate_t *c, int64_t n, int64_t k) {
    for (int64_t i = k / 2; i-- > 0;) sift (c, k, i, true);
    for (int64_t i = k; i < n; i++)
        if (before (c[i], c[0])) {
            c[0] = c[i];
            sift (c, k, 0, true);
        }
}

/* Ids that can be drawn; -1: not numbers. */
static int64_t collect (candidate_t *c, const float *logits, int64_t V, int32_t forbid) {
    int64_t n = 0;
    for (int64_t i = 0; i < V; i++) {
        if (isnan (logits[i]) || logits[i] == INFINITY) return -1;
        if (i != forbid && logits[i] != -INFINITY) c[n++] = (candidate_t){logits[i], (int32_t) i};
    }
    return n;
}

static double odds (candidate_t c, float most, double temperature) {
    return exp (((double) c.logit - (double) most) / temperature);
}

int32_t wb_sample_id (const float *logits, int64_t V, const wb_sampling_t *s, int32_t forbid, uint64_t stream,
                      uint64_t index, void *work) {
    candidate_t *c = work;
    int64_t n = collect (c, logits, V, forbid);
    if (n <= 0) return -1;
    candidate_t best = c[0];
    for (int64_t i = 1; i < n; i++)
        if (before (c[i], best)) best = c[i];
    if (!(s->temperature > 0.0)) return best.id;

    const bool top_k = s->top_k > 0 && s->top_k<n, top_p = s->top_p> 0.0 && s->top_p < 1.0;
    if (top_k) narrow (c, n, s->top_k), n = s->top_k;
    double sum = 0.0;
    /* Candidates to choose among: c[first], c[first + step], ..., `kept` of them. */
    int64_t first = 0, step = 1, kept = n;
    if (top_k || top_p) {
        double total = 0.0;
        first = n - 1, step = -1, kept = 0;
        for (int64_t i = n / 2; i-- > 0;) sift (c, n, i, false);
        if (top_k) {
            for (; kept < n; kept++) {
                pop (c, n - kept);
                total += odds (c[n - 1 - kept], best.logit, s->temperature);
            }
        } else {
            for (int64_t i = 0; i < n; i++) total += odds (c[i], best.logit, s->temperature);
        }
        if (top_p) {
            const int64_t popped = kept;
            kept = 0;
            while (kept < n && (kept == 0 || sum < s->top_p * total)) {
                if (kept >= popped) pop (c, n - kept);
                sum += odds (c[n - 1 - kept], best.logit, s->temperature);
                kept++;
            }
        } else {
            sum = total;
        }
    } else {
        for (int64_t i = 0; i < n; i++) sum += odds (c[i], best.logit, s->temperature);
    }

    const double at = wb_rng_uniform (s->seed, stream, index) * sum;
    double passed = 0.0;
    for (int64_t i = 0; i < kept; i++) {
        passed += odds (c[first + step * i], best.logit, s->temperature);
        if (passed > at) return c[first + step * i].id;
    }
    return best.id; /* rounding only */
}

void wb_sample_ids (wb_draw_t *draws, int n, int64_t V, const wb_sampling_t *s, void *work) {
    const size_t bytes = wb_sample_work_bytes (V);
#pragma omp parallel for schedule(static) if (n > 1)
    for (int i = 0; i < n; i++) {
        wb_draw_t *d = &draws[i];
        d->id = wb_sample_id (d->logits, V, s, d->forbid, d->stream, d->index, (char *) work + (size_t) i * bytes);
    }
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

enum { BATCH = 32, PUSH_ROWS = 512 };
#define MOST_BYTES ((size_t) 2 << 30) /* of keys, values and activations: fewer texts at a time rather than more */

/* A text being written. */
typedef struct text {
    int64_t sample, length;
    int seq;         /* of the inference object */
    int32_t *window; /* [T] ids the sequence holds, and behind them the one to be pushed next */
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
    bool stopped;
} generator_t;

/* Push ids to the end of one sequence, in pieces. */
static void push_long (generator_t *q, int seq, float *logits, const int32_t *ids, int64_t n) {
    for (int64_t i = 0, some; i < n; i += some) {
        some = n - i < q->rows ? n - i : q->rows;
        wb_infer_push (q->inf, NULL, i + some == n ? logits : NULL, ids + i, &seq, &some, 1);
    }
}

/* Begin the texts first .. first + n - 1: the context is pushed once. */
static void begin (generator_t *q, int64_t first, int n) {
    const wb_generation_t *g = q->g;
    const int64_t T = q->size.T, most = g->ncontext < T ? g->ncontext : T;
    const int32_t *ids = most > 0 ? g->context + g->ncontext - most : &q->eot;
    const int64_t nids = most > 0 ? most : 1;
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
}

/* The next id of every text that may become longer. */
static void draw (generator_t *q, wb_draw_t *draws) {
    for (int i = 0; i < q->n; i++) {
        const text_t *t = &q->texts[i];
        draws[i] = (wb_draw_t){.logits = q->logits + i * q->size.V,
                               .forbid = t->length < q->g->min_length ? q->eot : -1,
                               .stream = (uint64_t) t->sample,
                               .index = (uint64_t) t->length};
    }
    if (q->g->max_length > 0) wb_sample_ids (draws, q->n, q->V, &q->g->sampling, q->work);
}

/* Text t gets `id`.  *more: it goes on with it. */
static wb_status take (generator_t *q, bool *more, text_t *t, int32_t id) {
    const wb_generation_t *g = q->g;
    *more = false;
    if (t->length < g->max_length) {
        if (id < 0)
            return WB_FAIL (WB_ENUMERIC,
                            "text %lld, token %lld: the logits are no numbers: the weights of the model are damaged",
                            (long long) t->sample + 1, (long long) t->length + 1);
        if (id != q->eot) {
            if (!g->emit (g->ctx, t->sample, id)) q->stopped = true;
            *more = ++t->length < g->max_length;
        }
    }
    if (!*more && !q->stopped && !g->emit (g->ctx, t->sample, -1)) q->stopped = true;
    return WB_OK;
}

/* Room for one more position: a full window keeps its later half. */
static void slide (generator_t *q, text_t *t) {
    const int64_t T = q->size.T, keep = T / 2;
    if (wb_infer_length (q->inf, t->seq) < T) return;
    memmove (t->window, t->window + T - keep, (size_t) keep * sizeof *t->window);
    wb_infer_rewind (q->inf, t->seq, 0);
    push_long (q, t->seq, NULL, t->window, keep);
}

/* One more id for every text; texts at their end leave. */
static wb_status advance (generator_t *q) {
    wb_draw_t draws[BATCH];
    int32_t ids[BATCH];
    int seqs[BATCH], left = 0;
    int64_t counts[BATCH];
    draw (q, draws);
    for (int i = 0; i < q->n; i++) {
        bool more;
        text_t t = q->texts[i];
        WB_TRY (take (q, &more, &t, draws[i].id));
        if (q->stopped) return WB_OK;
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
    const int64_t nids = g->ncontext > 0 ? g->ncontext : 1;
    int batch = g->batch > 0 && g->batch < BATCH ? g->batch : BATCH;
    if (g->samples < batch) batch = (int) g->samples;
    if (batch < 1) return WB_OK;
    if (nids < q.size.T && g->max_length < q.size.T - nids) q.size.T = nids + (g->max_length > 0 ? g->max_length : 1);
    if (g->ncontext > m->size.T)
        wb_warn ("the context has %lld tokens, the model %lld positions: the last %lld are used",
                 (long long) g->ncontext, (long long) m->size.T, (long long) m->size.T);
    q.V = wb_tokenizer_size (m->tokenizer) < q.size.V ? wb_tokenizer_size (m->tokenizer) : q.size.V;
    q.rows = q.size.T < PUSH_ROWS ? q.size.T : PUSH_ROWS;
    if (q.rows < batch) q.rows = batch;
    while (batch > 1 && wb_infer_bytes (&q.size, batch, q.rows) > MOST_BYTES) batch--;

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
    for (int64_t first = 0; status == WB_OK && !q.stopped && first < g->samples; first += batch) {
        begin (&q, first, g->samples - first < batch ? (int) (g->samples - first) : batch);
        while (status == WB_OK && !q.stopped && q.n > 0) status = advance (&q);
    }
    wb_free (q.work);
    wb_free (q.logits);
    wb_free (q.windows);
    wb_infer_destroy (q.inf);
    return status;
}

/* ---- for the training report ----------------------------------------------------------------------------------- */

typedef struct collected {
    wb_ids_t ids;
    wb_status status;
} collected_t;

static bool keep_id (void *ctx, int64_t sample, int32_t id) {
    collected_t *c = ctx;
    (void) sample;
    if (id >= 0) c->status = wb_ids_put (&c->ids, id);
    return c->status == WB_OK;
}

wb_status wb_sample_text (wb_buf_t *out, const wb_model_t *m, const char *context, int64_t tokens,
                          const wb_sampling_t *s) {
    wb_ids_t ids = {0};
    collected_t c = {.status = WB_OK};
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
                                   .ctx = &c};
        status = wb_generate (m, &g);
    }
    if (status == WB_OK) status = c.status;
    if (status == WB_OK) status = wb_tokenizer_decode (m->tokenizer, out, c.ids.data, c.ids.len);
    wb_ids_fini (&c.ids);
    wb_ids_fini (&ids);
    return status;
}
