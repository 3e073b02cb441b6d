/* How texts go on after their contexts: repetition, variety, what the model thinks of them, how near they stay.
 *
 * Not here: where texts are from (grid.c). */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/grid.h"

const char *const wb_grid_metric_names[WB_GRID_METRICS] = {"repeated", "distinct", "bits_per_byte", "closeness",
                                                           "divergence"};

/* ---- n-grams ----------------------------------------------------------------------------------------------------- */

/* The open table holds places of first n-grams, 0: none, else the place + 1. */
wb_status wb_ngrams_repeated (double *out, const int32_t *ids, int64_t len, int n) {
    const int64_t all = len - n + 1;
    const size_t bytes = (size_t) n * sizeof *ids;
    int64_t size = 1, again = 0;
    *out = 0.0;
    if (all < 1) return WB_OK;
    while (size < 2 * all) size *= 2;
    int32_t *table = wb_calloc ((size_t) size, sizeof *table);
    if (table == NULL) return WB_NOMEM ("n-grams");
    for (int64_t i = 0; i < all; i++) {
        int64_t at = (int64_t) (wb_hash64 (ids + i, bytes) & (uint64_t) (size - 1));
        while (table[at] != 0 && memcmp (ids + table[at] - 1, ids + i, bytes) != 0) at = (at + 1) & (size - 1);
        again += table[at] != 0;
        if (table[at] == 0) table[at] = (int32_t) i + 1;
    }
    wb_free (table);
    *out = (double) again / (double) all;
    return WB_OK;
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

typedef struct reading {
    const wb_model_t *m;
    const wb_grid_texts_t *t;
    double *value;
    int64_t next;
} reading_t;

static wb_status keep_bits (void *ctx, const wb_scored_t *r) {
    reading_t *q = ctx;
    double bits = 0.0, bytes = 0.0;
    for (int64_t i = r->n - q->t->length; i < r->n; i++) {
        bits -= (double) r->logprob[i] / log (2.0);
        bytes += wb_tokenizer_id_bytes (q->m->tokenizer, r->ids[i]);
    }
    q->value[q->next++ * WB_GRID_METRICS + WB_GRID_BITS] = bytes > 0.0 ? bits / bytes : 0.0;
    return WB_OK;
}

static wb_status read_bits (double *value, const wb_model_t *m, const wb_grid_texts_t *t) {
    const int64_t n = t->ncontext + t->length;
    reading_t q = {m, t, value, 0};
    wb_scorer_t *scorer;
    int32_t *ids = wb_malloc ((size_t) n * sizeof *ids);
    if (ids == NULL) return WB_NOMEM ("a text");
    wb_status status = wb_scorer_new (&scorer, m, false, keep_bits, &q);
    for (int64_t i = 0; i < t->n && status == WB_OK; i++) {
        memcpy (ids, t->contexts[i], (size_t) t->ncontext * sizeof *ids);
        memcpy (ids + t->ncontext, t->texts[i], (size_t) t->length * sizeof *ids);
        status = wb_scorer_put_ids (scorer, &(wb_text_t){"", 0, "a text of the grid", 0}, ids, n);
    }
    if (status == WB_OK) status = wb_scorer_run (scorer);
    wb_scorer_destroy (scorer);
    wb_free (ids);
    return status;
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

/* Context and text take turns: the second of two is compared with the first. */
typedef struct pairing {
    int64_t C, next;
    float *first; /* [C] */
    bool none;    /* it is empty */
    double *value, *vectors;
} pairing_t;

static wb_status keep_vector (void *ctx, const float *x) {
    pairing_t *p = ctx;
    if (p->next % 2 == 0) {
        p->none = x == NULL;
        if (x != NULL) memcpy (p->first, x, (size_t) p->C * sizeof *x);
    } else {
        double xy = 0.0, xx = 0.0, yy = 0.0;
        for (int64_t i = 0; i < p->C && x != NULL && !p->none; i++) {
            xy += (double) p->first[i] * (double) x[i];
            xx += (double) p->first[i] * (double) p->first[i];
            yy += (double) x[i] * (double) x[i];
        }
        for (int64_t i = 0; i < p->C; i++) p->vectors[p->next / 2 * p->C + i] = x != NULL ? (double) x[i] : 0.0;
        p->value[p->next / 2 * WB_GRID_METRICS + WB_GRID_CLOSENESS] = xx > 0.0 && yy > 0.0 ? xy / sqrt (xx * yy) : 0.0;
    }
    p->next++;
    return WB_OK;
}

static wb_status put_vector (wb_vectors_t *v, wb_buf_t *text, const wb_model_t *m, const int32_t *ids, int64_t n) {
    wb_buf_clear (text);
    WB_TRY (wb_tokenizer_decode (m->tokenizer, text, ids, n));
    return wb_vectors_put (v, &(wb_text_t){text->data, text->len, "a text of the grid", 0});
}

static wb_status read_vectors (double *value, double *vectors, const wb_model_t *m, const wb_grid_texts_t *t) {
    pairing_t p = {
        .C = m->size.C, .value = value, .vectors = vectors, .first = wb_malloc ((size_t) m->size.C * sizeof (float))};
    wb_vectors_t *v;
    wb_buf_t text = {0};
    if (p.first == NULL) return WB_NOMEM ("a vector");
    wb_status status = wb_vectors_new (&v, m, keep_vector, &p);
    for (int64_t i = 0; i < t->n && status == WB_OK; i++) {
        status = put_vector (v, &text, m, t->contexts[i], t->ncontext);
        if (status == WB_OK) status = put_vector (v, &text, m, t->texts[i], t->length);
    }
    if (status == WB_OK) status = wb_vectors_run (v);
    wb_vectors_destroy (v);
    wb_buf_fini (&text);
    wb_free (p.first);
    return status;
}

wb_status wb_grid_measure (double *value, double *vectors, const wb_model_t *m, const wb_grid_texts_t *t) {
    for (int64_t i = 0; i < t->n; i++) {
        double *one = value + i * WB_GRID_METRICS;
        WB_TRY (wb_ngrams_repeated (&one[WB_GRID_REPEATED], t->texts[i], t->length, 4));
        WB_TRY (wb_ngrams_repeated (&one[WB_GRID_DISTINCT], t->texts[i], t->length, 2));
        one[WB_GRID_DISTINCT] = 1.0 - one[WB_GRID_DISTINCT];
    }
    WB_TRY (read_bits (value, m, t));
    return read_vectors (value, vectors, m, t);
}
