/* infer: what the files of sampling grids share. */
#ifndef WABUN_INFER_GRID_H
#define WABUN_INFER_GRID_H

#include "infer/eval.h"

/* ---- configuration (grid_config.c) ------------------------------------------------------------------------------- */

enum { WB_GRID_VALUES = 32 };
/** Every list has at least one value. */
typedef struct wb_grid {
    char **texts; /**< [ntexts] where contexts and what follows them are from */
    int ntexts;
    double context[WB_GRID_VALUES], top_k[WB_GRID_VALUES], top_p[WB_GRID_VALUES], temperature[WB_GRID_VALUES];
    int ncontext, ntop_k, ntop_p, ntemperature;
    int64_t documents, samples, length, seed; /**< documents: at most; samples: texts for each; length: of these */
    wb_sampling_t ways;                       /**< what is the same in all rows */
} wb_grid_t;
/** Read a file of libconfig.  Errors: WB_EIO; WB_EUSAGE, naming file and line; WB_ENOMEM. */
wb_status wb_grid_read (wb_grid_t *g, const char *path) WB_NODISCARD;
void wb_grid_fini (wb_grid_t *g);

/* ---- what is measured (grid_measure.c) --------------------------------------------------------------------------- */

typedef enum wb_grid_metric {
    WB_GRID_REPEATED,   /**< share of 4-grams of ids that the text has had before (Welleck et al., arXiv:1908.04319) */
    WB_GRID_DISTINCT,   /**< different 2-grams of ids by all 2-grams (Li et al., arXiv:1510.03055) */
    WB_GRID_BITS,       /**< bits per byte of the text after its context, by the model itself */
    WB_GRID_CLOSENESS,  /**< cosine of the vectors of context and text (wb_vectors_t) */
    WB_GRID_DIVERGENCE, /**< energy distance of the vectors of the texts and of people's (divergence.c) */
    WB_GRID_METRICS
} wb_grid_metric;
extern const char *const wb_grid_metric_names[WB_GRID_METRICS];
/** Share of the n-grams of ids [len], len <= 1 << 20, that are not the first of their kind; 0 where there are none.
 * Errors: WB_ENOMEM. */
wb_status wb_ngrams_repeated (double *out, const int32_t *ids, int64_t len, int n) WB_NODISCARD;
/** Texts of the same length after their contexts. */
typedef struct wb_grid_texts {
    const int32_t *const *contexts; /**< [n], each [ncontext] */
    int64_t ncontext;
    const int32_t *const *texts; /**< [n], each [length] */
    int64_t length, n;
} wb_grid_texts_t;
/** value [n][WB_GRID_METRICS] of each but its divergence, and vectors [n][C] of the texts (0: an empty one has none).
 * Errors: WB_ENOMEM, WB_ENUMERIC, WB_EDATA. */
wb_status wb_grid_measure (double *value, double *vectors, const wb_model_t *m, const wb_grid_texts_t *t) WB_NODISCARD;
/** value [n]: their mean is the energy distance of x [n][C] and y [n][C], n >= 2, and their spread that of its
 * estimate. Cost O(n^2 C). */
void wb_grid_divergence (double *value, const double *x, const double *y, int64_t n, int64_t C);

/* ---- results (grid_print.c) -------------------------------------------------------------------------------------- */

typedef struct wb_grid_row {
    const char *what; /**< "own": what follows the context in the text; "other": in another text; else "drawn" */
    double context, top_k, top_p, temperature;
    double mean[WB_GRID_METRICS];
    wb_interval_t interval[WB_GRID_METRICS], difference[WB_GRID_METRICS]; /**< difference: from "own" */
} wb_grid_row_t;
/** Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_grid_print (const wb_eval_t *e, const wb_grid_t *g, const wb_grid_row_t *rows, int64_t n,
                         int64_t documents) WB_NODISCARD;

/** Generate, measure and print by e->grid.  Collective over world.  Errors, agreed: those of wb_grid_read() and
 * wb_generate(); WB_EDATA: fewer than two documents are long enough. */
wb_status wb_grid_run (wb_comm_t *world, const wb_eval_t *e, int threads) WB_NODISCARD;

#endif
