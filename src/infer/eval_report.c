/* From bits and answers to what is told of them: sums by genre, ratios, intervals.
 *
 * Not here: printing (eval_print.c). */
#include "config.h"

#include <math.h>

#include "infer/eval.h"

static void finish (wb_eval_row_t *row, const wb_text_counts_t *c) {
    const double bits = row->nats / log (2.0);
    row->bits_per_byte = bits / (double) c->bytes;
    row->bits_per_char = bits / (double) c->chars;
    row->token_perplexity = exp (row->nats / row->tokens);
    row->word_perplexity = c->words > 0 ? exp (row->nats / (double) c->words) : NAN;
}

/* Table of a genre; genre < 0: all.  x [models][n], y [n]: work. */
static wb_status make_table (wb_eval_table_t *t, const wb_eval_t *e, const wb_eval_documents_t *d,
                             const wb_eval_scores_t *scores, int genre, double *x, double *y) {
    int64_t n = 0;
    t->genre = genre < 0 ? "all" : d->genre[genre];
    const int first = genre < 0 ? 0 : genre, last = genre < 0 ? (int) d->genres - 1 : genre;
    t->rows = wb_calloc ((size_t) e->nmodels, sizeof *t->rows);
    wb_interval_t *intervals = wb_malloc (2 * (size_t) e->nmodels * sizeof *intervals);
    wb_status status = t->rows != NULL && intervals != NULL ? WB_OK : WB_NOMEM ("results");
    for (int64_t i = 0; i < d->n; i++) t->documents += genre < 0 || d->list[i].genre == genre;
    for (int64_t i = 0; i < d->n && status == WB_OK; i++) {
        const wb_text_counts_t *c = &d->list[i].counts;
        if (genre >= 0 && d->list[i].genre != genre) continue;
        t->counts.bytes += c->bytes, t->counts.chars += c->chars, t->counts.words += c->words;
        for (int m = 0; m < e->nmodels; m++) {
            t->rows[m].nats += scores[m].nats[i];
            t->rows[m].tokens += scores[m].tokens[i];
            x[m * t->documents + n] = scores[m].nats[i] / log (2.0);
        }
        y[n++] = (double) c->bytes;
    }
    if (status == WB_OK)
        status = wb_bootstrap (intervals, intervals + e->nmodels, x, y, n, e->nmodels, WB_EVAL_RESAMPLES, e->seed);
    for (int m = 0; m < e->nmodels && status == WB_OK; m++) {
        wb_eval_row_t *row = &t->rows[m];
        finish (row, &t->counts);
        row->interval = intervals[m];
        row->difference = row->bits_per_byte - t->rows[0].bits_per_byte;
        row->difference_interval = intervals[e->nmodels + m];
        wb_calibration_t sum = {0};
        for (int g = first; g <= last; g++)
            for (int i = 0; i < WB_CALIBRATION_NUMBERS; i++)
                ((double *) &sum)[i] += ((const double *) &scores[m].calibration[g])[i];
        row->calibration = wb_calibration_tell (&sum);
    }
    wb_free (intervals);
    return status;
}

/* Shares of right answers.  x [models][n], y [n]: work. */
static wb_status make_choices (wb_eval_choices_t *c, const wb_eval_t *e, const wb_eval_answers_t *answers, int64_t n,
                               double *x, double *y) {
    wb_interval_t *intervals = wb_malloc (2 * (size_t) e->nmodels * sizeof *intervals);
    wb_status status = intervals != NULL ? WB_OK : WB_NOMEM ("results");
    for (int64_t i = 0; i < n; i++) y[i] = 1.0;
    for (int by = 0; by < 2 && status == WB_OK; by++) {
        for (int m = 0; m < e->nmodels; m++) {
            double right = 0.0;
            for (int64_t i = 0; i < n; i++) {
                x[m * n + i] = by == 0 ? answers[m].right[i] : answers[m].right_by_byte[i];
                right += x[m * n + i];
            }
            c[m].share[by] = right / (double) n;
            c[m].interval[by] = wb_wilson ((int64_t) right, n);
            c[m].calibration[by] = wb_calibration_tell (&answers[m].calibration[by]);
        }
        status = wb_bootstrap (intervals, intervals + e->nmodels, x, y, n, e->nmodels, WB_EVAL_RESAMPLES, e->seed);
        for (int m = 0; m < e->nmodels; m++) c[m].difference[by] = intervals[e->nmodels + m];
    }
    wb_free (intervals);
    return status;
}

wb_status wb_eval_tell (const wb_eval_t *e, const wb_eval_documents_t *d, const wb_eval_scores_t *scores,
                        int64_t questions, const wb_eval_answers_t *answers) {
    const int64_t most = d->n > questions ? d->n : questions;
    wb_eval_report_t r = {.ntables = d->genres > 1 ? d->genres + 1 : d->genres, .questions = questions};
    double *x = wb_malloc ((size_t) e->nmodels * (size_t) most * sizeof *x), *y = wb_malloc ((size_t) most * sizeof *y);
    r.tables = wb_calloc ((size_t) r.ntables + 1, sizeof *r.tables);
    r.choices = wb_calloc ((size_t) e->nmodels, sizeof *r.choices);
    wb_status status = r.tables != NULL && r.choices != NULL && x != NULL && y != NULL ? WB_OK : WB_NOMEM ("results");
    for (int64_t g = 0; g < r.ntables && status == WB_OK; g++)
        status = make_table (&r.tables[g], e, d, scores, g < d->genres ? (int) g : -1, x, y);
    if (status == WB_OK && questions > 0) status = make_choices (r.choices, e, answers, questions, x, y);
    if (status == WB_OK) status = wb_eval_print (e, &r);
    for (int64_t g = 0; g < r.ntables && r.tables != NULL; g++) wb_free (r.tables[g].rows);
    wb_free (r.tables);
    wb_free (r.choices);
    wb_free (y);
    wb_free (x);
    return status;
}
