/* wabun - report: what a run tells people.
 *
 * metrics: records of named values, to every sink (metrics.jsonl, samples.txt; a new format is one file and one row).
 * progress: the line on the terminal or in the log, seconds left.  Knows neither ranks nor the trainer: it is handed
 * plain numbers.
 */
#ifndef WABUN_REPORT_H
#define WABUN_REPORT_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- metrics (metrics.c) ----------------------------------------------------------------------------------------- */

/** One column of a record: a number, a list of up to three, or a text. */
typedef struct wb_value {
    const char *name; /**< "loss"; "seconds.data" is `data` of the group `seconds`, whose members stand together */
    int digits;       /**< significant digits; 0: a whole number */
    double x[3];      /**< a value that is NaN or infinite is written as 0 */
    int n;            /**< numbers of a list; 0: one number, not a list */
    const char *text; /**< not NULL: a text, not a number; borrowed */
    bool largest;     /**< of the ranks: for the caller, who has reduced it before the record is written */
} wb_value_t;

/** What happened at a step. */
typedef enum wb_record_kind {
    WB_RECORD_STEP,
    WB_RECORD_MUON,       /**< singular values of an update */
    WB_RECORD_VALIDATION, /**< loss on text that is not trained on */
    WB_RECORD_SAMPLE      /**< "text": what the model writes */
} wb_record_kind;
typedef struct wb_record {
    wb_record_kind kind;
    int64_t step;
    const wb_value_t *values; /**< [n], the step among them where it is to be written; borrowed */
    int n;
} wb_record_t;

/** All sinks of a run. */
typedef struct wb_metrics wb_metrics_t;
/** Open every sink in directory `run`, appending; what later steps than `step` have left there is removed, and
 * everything where `step` is 0.  A sink that cannot be opened is a warning, and is tried again with each record.
 * Not collective: one rank has them.  Errors: WB_ENOMEM. */
wb_status wb_metrics_open (wb_metrics_t **out, const char *run, int64_t step) WB_NODISCARD;
/** Hand a record to every sink.  What cannot be written is left out whole, with one warning when it begins and one
 * message when it works again: records are never worth ending a run for.  m NULL: nothing happens. */
void wb_metrics_write (wb_metrics_t *m, const wb_record_t *record);
void wb_metrics_close (wb_metrics_t *m); /**< NULL is fine */

/* ---- progress (progress.c) --------------------------------------------------------------------------------------- */

/** How a run goes; the caller fills in the numbers. */
typedef struct wb_progress {
    int64_t step, steps;
    double loss, lr, grad_norm, tokens_per_s, mfu;
    double seconds; /**< of a step, of late: wb_progress_add() */
    double shown;   /**< wb_now () when the terminal was last updated */
} wb_progress_t;
/** A step took so long.  `seconds` is an exponential moving average: a plain average over the time since the start
 * would include validations and checkpoints. */
void wb_progress_add (wb_progress_t *p, double seconds);
/** The line that replaces itself on a terminal, at most ten times a second. */
void wb_progress_show (wb_progress_t *p);
/** A line of its own where there is no terminal. */
void wb_progress_line (const wb_progress_t *p);

#ifdef __cplusplus
}
#endif
#endif
