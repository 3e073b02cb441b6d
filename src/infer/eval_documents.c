/* Documents that are evaluated, and the bits a model needs for them.
 *
 * Every rank reads all files and keeps the texts of its share of the documents, by bytes.  A document's bits do not
 * depend on what it is scored with, so they are the same on any number of ranks.
 *
 * Not here: the scores of tokens (score.c), what is made of the bits (eval_report.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/eval.h"

/* ---- documents --------------------------------------------------------------------------------------------------- */

typedef struct reading {
    wb_eval_documents_t *d;
    int rank, ranks;
    int64_t *load; /* [ranks] bytes each has */
} reading_t;

static wb_status genre_of (int *out, wb_eval_documents_t *d, const char *name, size_t n) {
    for (int64_t g = 0; g < d->genres; g++)
        if (strlen (d->genre[g]) == n && memcmp (d->genre[g], name, n) == 0) {
            *out = (int) g;
            return WB_OK;
        }
    if (!WB_GROW (d->genre, d->genres_cap, d->genres + 1)) return WB_NOMEM ("genres");
    char *copy = wb_strndup (name, n);
    if (copy == NULL) return WB_NOMEM ("genres");
    *out = (int) d->genres;
    d->genre[d->genres++] = copy;
    return WB_OK;
}

/* The document goes to the rank that has the least so far: every rank finds the same one. */
static wb_status take (void *ctx, const wb_dataset_document_t *in) {
    reading_t *r = ctx;
    wb_eval_documents_t *d = r->d;
    int to = 0;
    if (!WB_GROW (d->list, d->cap, d->n + 1)) return WB_NOMEM ("documents");
    wb_eval_document_t *one = &d->list[d->n];
    *one = (wb_eval_document_t){0};
    WB_TRY (genre_of (&one->genre, d, in->genre, in->genre_bytes));
    wb_text_count (&one->counts, in->text, in->n);
    for (int i = 1; i < r->ranks; i++)
        if (r->load[i] < r->load[to]) to = i;
    r->load[to] += (int64_t) in->n;
    d->n++;
    if (to != r->rank) return WB_OK;
    one->text = wb_strndup (in->text, in->n);
    one->name = wb_strdup (in->name);
    return one->text != NULL && one->name != NULL ? WB_OK : WB_NOMEM ("documents");
}

void wb_eval_documents_fini (wb_eval_documents_t *d) {
    for (int64_t i = 0; i < d->n; i++) {
        wb_free (d->list[i].text);
        wb_free (d->list[i].name);
    }
    for (int64_t g = 0; g < d->genres; g++) wb_free (d->genre[g]);
    wb_free (d->list);
    wb_free (d->genre);
}

wb_status wb_eval_documents_read (wb_eval_documents_t *d, wb_comm_t *world, const wb_eval_t *e) {
    reading_t r = {.d = d, .rank = wb_comm_rank (world), .ranks = wb_comm_size (world)};
    r.load = wb_calloc ((size_t) r.ranks, sizeof *r.load);
    wb_status status = r.load != NULL ? wb_dataset_documents (e->texts, e->ntexts, take, &r) : WB_NOMEM ("documents");
    wb_free (r.load);
    if (status == WB_OK && d->n == 0) status = WB_FAIL (WB_EDATA, "%s: there is no text in it", e->texts[0]);
    WB_TRY (wb_agree (world, status));
    return wb_same (world, &d->n, sizeof d->n, "the number of documents");
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

typedef struct scoring {
    const wb_eval_documents_t *d;
    const wb_tokenizer_t *t;
    wb_eval_scores_t *s;
    int64_t next; /* the document whose result comes next is the own one at or after this */
    bool end;     /* <|endoftext|> is the last id */
    double lossy; /* documents that do not come back from their tokens as they were */
    wb_buf_t text;
} scoring_t;

static wb_status keep (void *ctx, const wb_scored_t *r) {
    scoring_t *q = ctx;
    while (q->d->list[q->next].text == NULL) q->next++;
    wb_calibration_t *c = &q->s->calibration[q->d->list[q->next].genre];
    for (int64_t i = 1; i < r->n; i++) wb_calibration_add (c, exp ((double) r->most[i]), r->logprob[i] == r->most[i]);
    q->s->nats[q->next] = -r->total;
    q->s->tokens[q->next++] = (double) (r->n - 1);
    wb_buf_clear (&q->text);
    WB_TRY (wb_tokenizer_decode (q->t, &q->text, r->ids + 1, r->n - 1 - q->end));
    q->lossy += q->text.len != r->text.n || memcmp (q->text.data, r->text.bytes, r->text.n) != 0;
    return WB_OK;
}

static wb_status score_own (scoring_t *q, const wb_model_t *m, const wb_eval_t *e, const char *tell) {
    wb_scorer_t *scorer;
    int64_t own = 0;
    WB_TRY (wb_scorer_new (&scorer, m, !e->exclude_end, keep, q));
    wb_status status = e->stride > 0 ? wb_scorer_stride (scorer, e->stride) : WB_OK;
    for (int64_t i = 0; i < q->d->n; i++) own += q->d->list[i].text != NULL ? q->d->list[i].counts.bytes : 0;
    wb_scorer_tell (scorer, tell, own);
    for (int64_t i = 0; i < q->d->n && status == WB_OK; i++) {
        const wb_eval_document_t *one = &q->d->list[i];
        if (one->text == NULL) continue;
        status = wb_scorer_put (scorer, &(wb_text_t){one->text, (size_t) one->counts.bytes, one->name, 0});
    }
    if (status == WB_OK) status = wb_scorer_run (scorer);
    wb_log_progress ("%s", "");
    wb_scorer_destroy (scorer);
    return status;
}

wb_status wb_eval_score (wb_eval_scores_t *s, double *lossy, const wb_eval_documents_t *d, const wb_model_t *m,
                         const wb_eval_t *e, const char *tell) {
    scoring_t q = {.d = d, .s = s, .t = m->tokenizer, .end = !e->exclude_end};
    const wb_status status = score_own (&q, m, e, tell);
    *lossy = q.lossy;
    wb_buf_fini (&q.text);
    return status;
}
