/* infer: what the files of evaluation share. */
#ifndef WABUN_INFER_EVAL_H
#define WABUN_INFER_EVAL_H

#include <jansson.h>

#include "infer/infer_priv.h"

/* ---- intervals (bootstrap.c) ------------------------------------------------------------------------------------- */

typedef struct wb_interval {
    double low, high; /**< both NaN: there are too few things to tell */
} wb_interval_t;
/** Intervals of 95 % for m ratios of sums over the same n things, sum (x[j]) / sum (y), and for their differences from
 * the first: n things are drawn from the n with replacement, `resamples` times, and the ends are quantiles of what
 * comes of these (the percentile bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 13.3; of
 * few things further out: Hesterberg, The American Statistician 69, 2015).  The
 * things are the same for all ratios, so that differences are paired. x [m][n], y [n] >= 0; ratio [m], difference [m]
 * ([0] is not set).  Cost O(resamples n m), shared among threads. Errors: WB_ENOMEM. */
wb_status wb_bootstrap (wb_interval_t *ratio, wb_interval_t *difference, const double *x, const double *y, int64_t n,
                        int m, int resamples, uint64_t seed) WB_NODISCARD;
/** The 95 % interval of a share of `good` in n (Wilson, JASA 22, 1927). */
wb_interval_t wb_wilson (int64_t good, int64_t n);

/* ---- calibration (calibration.c) --------------------------------------------------------------------------------- */

enum { WB_EVAL_BINS = 15 };
/** Sums of the predictions of a bin; in a result means. */
typedef struct wb_calibration_bin {
    double n, confidence, right;
} wb_calibration_bin_t;
/** Zero-initialised there are none.  Two are added by adding all numbers of their bins. */
typedef struct wb_calibration {
    wb_calibration_bin_t bins[WB_EVAL_BINS];
} wb_calibration_t;
enum { WB_CALIBRATION_NUMBERS = sizeof (wb_calibration_t) / sizeof (double) };
/** What the model finds the most likely has the probability `confidence`, and is right or not. */
void wb_calibration_add (wb_calibration_t *c, double confidence, bool right);
typedef struct wb_calibration_result {
    double error, confidence, accuracy;     /**< the expected calibration error; means.  NaN: no predictions */
    wb_calibration_bin_t bin[WB_EVAL_BINS]; /**< their number, and means (NaN: none) */
} wb_calibration_result_t;
wb_calibration_result_t wb_calibration_tell (const wb_calibration_t *c);

/* ---- texts (eval_text.c) ----------------------------------------------------------------------------------------- */

typedef struct wb_text_counts {
    int64_t bytes, chars; /**< characters: code points */
    int64_t words; /**< runs of kanji, of hiragana, of katakana, or of letters and digits; any other character that is
                      no blank is one by itself */
} wb_text_counts_t;
void wb_text_count (wb_text_counts_t *out, const char *s, size_t n);

/* ---- documents (eval_documents.c) -------------------------------------------------------------------------------- */

/** All documents, known to every rank; texts of the own ones only. */
typedef struct wb_eval_document {
    wb_text_counts_t counts;
    int genre;
    char *text; /**< NULL: another rank's */
    char *name;
} wb_eval_document_t;
typedef struct wb_eval_documents {
    wb_eval_document_t *list;
    int64_t n, cap;
    char **genre; /**< [genres] */
    int64_t genres, genres_cap;
} wb_eval_documents_t;

/** What one model says of all documents; the same on every rank. */
typedef struct wb_eval_scores {
    double *nats;                  /**< [n] of the tokens */
    double *tokens;                /**< [n] how many */
    wb_calibration_t *calibration; /**< [genres] of these */
} wb_eval_scores_t;

/** Read e's texts.  Collective over world.  Errors, agreed: those of wb_dataset_documents(), WB_EDATA no text. */
wb_status wb_eval_documents_read (wb_eval_documents_t *d, wb_comm_t *world, const wb_eval_t *e) WB_NODISCARD;
void wb_eval_documents_fini (wb_eval_documents_t *d);
/** Score the own documents by m; the rest of *s is not touched.  *lossy: how many do not come back from their tokens as
 * they were; tell: the name under which the progress is told, NULL: it is not.  Not collective.  Errors: those of
 * wb_scorer_put(). */
wb_status wb_eval_score (wb_eval_scores_t *s, double *lossy, const wb_eval_documents_t *d, const wb_model_t *m,
                         const wb_eval_t *e, const char *tell) WB_NODISCARD;

/* ---- answers (choices.c) ----------------------------------------------------------------------------------------- */

/** Whether a model's choice was right, for each question: 1 or 0; the same on every rank. */
typedef struct wb_eval_answers {
    double *right, *right_by_byte;   /**< [questions] */
    wb_calibration_t calibration[2]; /**< of the softmax of a question's sums, and of its sums a byte */
} wb_eval_answers_t;
/** Ask m the questions rank, rank + ranks, ...; the rest of *a is not touched (choices.c).  Not collective.  Errors:
 * those of wb_scorer_put(). */
wb_status wb_eval_ask (wb_eval_answers_t *a, const wb_questions_t *q, const wb_model_t *m, int64_t stride, int rank,
                       int ranks) WB_NODISCARD;

/* ---- results (eval_report.c, eval_print.c) ----------------------------------------------------------------------- */

/** The shares of right answers of one model, by sum and by sum a byte. */
typedef struct wb_eval_choices {
    double share[2];
    wb_interval_t interval[2], difference[2]; /**< difference: from the first model's */
    wb_calibration_result_t calibration[2];
} wb_eval_choices_t;

/** Sums and results of one model over the documents of a genre (or all). */
typedef struct wb_eval_row {
    double nats, tokens;
    double bits_per_byte, bits_per_char, token_perplexity, word_perplexity;
    wb_interval_t interval; /**< of bits_per_byte */
    double difference;      /**< of it from the first model's */
    wb_interval_t difference_interval;
    wb_calibration_result_t calibration;
} wb_eval_row_t;
/** A genre, or all of them. */
typedef struct wb_eval_table {
    const char *genre;
    int64_t documents;
    wb_text_counts_t counts;
    wb_eval_row_t *rows; /**< [models] */
} wb_eval_table_t;

/** All that is printed. */
typedef struct wb_eval_report {
    wb_eval_table_t *tables; /**< [ntables] */
    int64_t ntables;
    wb_eval_choices_t *choices; /**< [models] */
    int64_t questions;          /**< 0: none were asked */
} wb_eval_report_t;
/** Make the report of all models and print it.  scores, answers [models].  Not collective.  Errors: those of
 * wb_eval_print(). */
wb_status wb_eval_tell (const wb_eval_t *e, const wb_eval_documents_t *d, const wb_eval_scores_t *scores,
                        int64_t questions, const wb_eval_answers_t *answers) WB_NODISCARD;
/** As columns or as one object of JSON (eval_print.c).  Errors: WB_EIO, WB_ENOMEM. */
wb_status wb_eval_print (const wb_eval_t *e, const wb_eval_report_t *r) WB_NODISCARD;

#endif
