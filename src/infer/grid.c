/* Sampling grids: texts drawn in every way of a grid, measured beside what people wrote in their place.
 *
 * Every document that is long enough gives one passage: its first tokens are context, as many as the longest context of
 * the grid, and what follows is the text people wrote.  A shorter context is the end of that, so that all go on at the
 * same place.  Drawn texts have the same length (<|endoftext|> is not drawn), and text i of a passage is drawn by the
 * same random numbers in every cell, so that cells can be compared in pairs.
 *
 * Not here: the measures (grid_measure.c). */
#include "config.h"

#include <string.h>

#include "infer/grid.h"

typedef struct job {
    wb_comm_t *world;
    const wb_eval_t *e;
    wb_grid_t grid;
    const wb_model_t *m;
    int64_t longest, passage;      /* tokens of the longest context; of that and the text */
    wb_ids_t ids, one;             /* [n][passage]; one: a document */
    int64_t n;                     /* passages */
    int64_t first, own;            /* those of this rank */
    wb_ids_t drawn;                /* [own][samples][length] */
    double *values;                /* [metrics][n] of the passages in one row, means over samples */
    double *vectors, *own_vectors; /* [n][C] of the (first) texts of one row, and of the first */
} job_t;

/* ---- passages ---------------------------------------------------------------------------------------------------- */

static wb_status take (void *ctx, const wb_dataset_document_t *d) {
    job_t *j = ctx;
    if (j->n == j->grid.documents) return WB_OK;
    wb_ids_clear (&j->one);
    WB_TRY (wb_tokenizer_encode (j->m->tokenizer, &j->one, d->text, d->n, false));
    if (j->one.len < j->passage) return WB_OK;
    WB_TRY (wb_ids_reserve (&j->ids, j->passage));
    memcpy (j->ids.data + j->ids.len, j->one.data, (size_t) j->passage * sizeof *j->ids.data);
    j->ids.len += j->passage;
    j->n++;
    return WB_OK;
}

static wb_status read_passages (job_t *j) {
    const wb_grid_t *g = &j->grid;
    for (int i = 0; i < g->ncontext; i++)
        if ((int64_t) g->context[i] > j->longest) j->longest = (int64_t) g->context[i];
    j->passage = j->longest + g->length;
    WB_TRY (wb_dataset_documents (g->texts, g->ntexts, take, j));
    if (j->n < 2)
        return WB_FAIL (WB_EDATA,
                        "%s: %lld document%s of %lld tokens and more, which context_length and length ask for: "
                        "at least 2 are wanted",
                        g->texts[0], (long long) j->n, wb_plural (j->n), (long long) j->passage);
    const int ranks = wb_comm_size (j->world), rank = wb_comm_rank (j->world);
    j->first = wb_split_first (j->n, ranks, rank);
    j->own = wb_split_count (j->n, ranks, rank);
    j->values = wb_calloc ((size_t) (j->n * WB_GRID_METRICS), sizeof *j->values);
    const size_t floats = (size_t) (j->n * j->m->size.C);
    j->vectors = wb_calloc (floats, sizeof *j->vectors);
    j->own_vectors = wb_malloc (floats * sizeof *j->own_vectors);
    return j->values != NULL && j->vectors != NULL && j->own_vectors != NULL ? WB_OK : WB_NOMEM ("results");
}

static const int32_t *passage (const job_t *j, int64_t i) { return j->ids.data + i * j->passage; }

/* ---- one row ----------------------------------------------------------------------------------------------------- */

typedef struct drawing {
    int32_t *at; /* [samples][length] */
    int64_t length, *filled;
} drawing_t;

static wb_status write_down (void *ctx, int64_t sample, int32_t id) {
    drawing_t *d = ctx;
    if (id >= 0) d->at[sample * d->length + d->filled[sample]++] = id;
    return WB_OK;
}

/* Texts of all own passages. */
static wb_status draw (job_t *j, const wb_grid_row_t *row) {
    const wb_grid_t *g = &j->grid;
    const int64_t each = g->samples * g->length;
    j->drawn.len = 0;
    if (j->own == 0) return WB_OK;
    WB_TRY (wb_ids_reserve (&j->drawn, j->own * each));
    int64_t *filled = wb_calloc ((size_t) (j->own * g->samples), sizeof *filled);
    drawing_t *d = wb_malloc ((size_t) j->own * sizeof *d);
    wb_generation_t *list = wb_malloc ((size_t) j->own * sizeof *list);
    const bool room = filled != NULL && d != NULL && list != NULL;
    for (int64_t i = 0; i < j->own && room; i++) {
        d[i] = (drawing_t){.at = j->drawn.data + i * each, .length = g->length, .filled = filled + i * g->samples};
        list[i] = (wb_generation_t){.sampling = g->ways,
                                    .context = passage (j, j->first + i) + j->longest - (int64_t) row->context,
                                    .ncontext = (int64_t) row->context,
                                    .min_length = g->length,
                                    .max_length = g->length,
                                    .samples = g->samples,
                                    .emit = write_down,
                                    .ctx = &d[i]};
        wb_sampling_t *s = &list[i].sampling;
        s->temperature = row->temperature, s->top_k = (int64_t) row->top_k, s->top_p = row->top_p;
        s->seed = wb_rng_u64 ((uint64_t) g->seed, wb_rng_stream ("grid"), (uint64_t) (j->first + i));
    }
    const wb_status status = room ? wb_generate_all (j->m, list, j->own) : WB_NOMEM ("texts");
    wb_free (filled);
    wb_free (d);
    wb_free (list);
    return status;
}

/* Measure what a row has for the own passages into j->values. */
static wb_status measure (job_t *j, const wb_grid_row_t *row) {
    const wb_grid_t *g = &j->grid;
    const bool drawn = strcmp (row->what, "drawn") == 0;
    const int64_t samples = drawn ? g->samples : 1, n = j->own * samples;
    const int32_t **list = wb_calloc (2 * (size_t) n + 1, sizeof *list);
    const int64_t C = j->m->size.C;
    double *value = wb_calloc ((size_t) (n * WB_GRID_METRICS) + 1, sizeof *value);
    double *vectors = wb_calloc ((size_t) (n * C) + 1, sizeof *vectors);
    wb_status status = list != NULL && value != NULL && vectors != NULL ? WB_OK : WB_NOMEM ("results");
    if (status == WB_OK && drawn) status = draw (j, row);
    for (int64_t i = 0; i < n && status == WB_OK; i++) {
        const int64_t p = j->first + i / samples, from = strcmp (row->what, "other") == 0 ? (p + 1) % j->n : p;
        list[i] = passage (j, p) + j->longest - (int64_t) row->context;
        list[n + i] = drawn ? j->drawn.data + i * g->length : passage (j, from) + j->longest;
    }
    const wb_grid_texts_t t = {list, (int64_t) row->context, list + n, g->length, n};
    if (status == WB_OK) status = wb_grid_measure (value, vectors, j->m, &t);
    memset (j->values, 0, (size_t) (j->n * WB_GRID_METRICS) * sizeof *j->values);
    memset (j->vectors, 0, (size_t) (j->n * C) * sizeof *j->vectors);
    for (int64_t i = 0; i < j->own && status == WB_OK; i++)
        memcpy (j->vectors + (j->first + i) * C, vectors + i * samples * C, (size_t) C * sizeof *vectors);
    for (int64_t i = 0; i < n && status == WB_OK; i++)
        for (int k = 0; k < WB_GRID_METRICS; k++)
            j->values[k * j->n + j->first + i / samples] += value[i * WB_GRID_METRICS + k] / (double) samples;
    wb_free (vectors);
    wb_free (value);
    wb_free (list);
    return status;
}

/* ---- all rows ---------------------------------------------------------------------------------------------------- */

/* Rows of one length of context: people's own words, other people's, and every cell. */
static int list_rows (wb_grid_row_t *rows, const wb_grid_t *g, double context) {
    int n = 0;
    if (rows != NULL) rows[0] = (wb_grid_row_t){.what = "own", .context = context};
    if (rows != NULL) rows[1] = (wb_grid_row_t){.what = "other", .context = context};
    n = 2;
    for (int t = 0; t < g->ntemperature; t++)
        for (int k = 0; k < g->ntop_k; k++)
            for (int p = 0; p < g->ntop_p; p++, n++)
                if (rows != NULL)
                    rows[n] = (wb_grid_row_t){.what = "drawn",
                                              .context = context,
                                              .top_k = g->top_k[k],
                                              .top_p = g->top_p[p],
                                              .temperature = g->temperature[t]};
    return n;
}

/* x [metrics][rows][n]: means and intervals of all rows of a group. */
static wb_status conclude (wb_grid_row_t *rows, const job_t *j, int nrows, const double *x, const double *ones) {
    wb_interval_t *intervals = wb_malloc (2 * (size_t) nrows * sizeof *intervals);
    wb_status status = intervals != NULL ? WB_OK : WB_NOMEM ("results");
    for (int k = 0; k < WB_GRID_METRICS && status == WB_OK; k++) {
        const double *of = x + (int64_t) k * nrows * j->n;
        status = wb_bootstrap (intervals, intervals + nrows, of, ones, j->n, nrows, WB_EVAL_RESAMPLES, j->e->seed);
        for (int r = 0; r < nrows; r++) {
            for (int64_t i = 0; i < j->n; i++) rows[r].mean[k] += of[r * j->n + i] / (double) j->n;
            rows[r].interval[k] = intervals[r];
            rows[r].difference[k] = intervals[nrows + r];
        }
    }
    wb_free (intervals);
    return status;
}

/* Collective. */
static wb_status run_group (job_t *j, wb_grid_row_t *rows, int nrows) {
    double *x = wb_malloc ((size_t) (WB_GRID_METRICS * nrows * j->n) * sizeof *x);
    double *ones = wb_malloc ((size_t) j->n * sizeof *ones);
    wb_status status = wb_agree (j->world, x != NULL && ones != NULL ? WB_OK : WB_NOMEM ("results"));
    for (int64_t i = 0; i < j->n && status == WB_OK; i++) ones[i] = 1.0;
    for (int r = 0; r < nrows && status == WB_OK; r++) {
        wb_log_progress ("context %g: %d of %d ways", rows[r].context, r, nrows);
        status = wb_agree (j->world, measure (j, &rows[r]));
        if (status != WB_OK) break;
        wb_comm_sum_f64 (j->world, j->values, wb_int (j->n * WB_GRID_METRICS));
        wb_comm_sum_f64 (j->world, j->vectors, wb_int (j->n * j->m->size.C)); /* 0 where it is another rank's */
        if (r == 0) memcpy (j->own_vectors, j->vectors, (size_t) (j->n * j->m->size.C) * sizeof *j->vectors);
        wb_grid_divergence (j->values + WB_GRID_DIVERGENCE * j->n, j->vectors, j->own_vectors, j->n, j->m->size.C);
        for (int k = 0; k < WB_GRID_METRICS; k++)
            memcpy (x + ((int64_t) k * nrows + r) * j->n, j->values + k * j->n, (size_t) j->n * sizeof *x);
    }
    wb_log_progress ("%s", "");
    if (status == WB_OK) status = conclude (rows, j, nrows, x, ones);
    wb_free (ones);
    wb_free (x);
    return wb_agree (j->world, status);
}

static wb_status run_all (job_t *j) {
    const wb_grid_t *g = &j->grid;
    const int each = list_rows (NULL, g, 0);
    wb_grid_row_t *rows = wb_calloc ((size_t) (each * g->ncontext), sizeof *rows);
    wb_status status = wb_agree (j->world, rows != NULL ? read_passages (j) : WB_NOMEM ("results"));
    for (int c = 0; c < g->ncontext && status == WB_OK; c++) {
        (void) list_rows (rows + c * each, g, g->context[c]);
        status = run_group (j, rows + c * each, each);
    }
    if (status == WB_OK)
        status = wb_agree (j->world, wb_comm_rank (j->world) == 0
                                         ? wb_grid_print (j->e, g, rows, (int64_t) each * g->ncontext, j->n)
                                         : WB_OK);
    wb_free (rows);
    return status;
}

wb_status wb_grid_run (wb_comm_t *world, const wb_eval_t *e, int threads) {
    job_t j = {.world = world, .e = e};
    wb_model_t *m = NULL;
    const wb_model_args_t a = {.model = e->models[0],
                               .tokenizer = e->tokenizer,
                               .threads = threads,
                               .weights = e->weights,
                               .half_cache = e->half_cache,
                               .no_verify = e->no_verify};
    wb_status status = wb_agree (world, wb_grid_read (&j.grid, e->grid));
    if (status == WB_OK) status = wb_agree (world, wb_model_open (&m, &a, "eval"));
    j.m = m;
    if (status == WB_OK) status = run_all (&j);
    wb_free (j.values);
    wb_free (j.vectors);
    wb_free (j.own_vectors);
    wb_ids_fini (&j.ids);
    wb_ids_fini (&j.one);
    wb_ids_fini (&j.drawn);
    wb_model_destroy (m);
    wb_grid_fini (&j.grid);
    return status;
}
