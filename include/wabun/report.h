/* wabun - report: what a run tells people.
 *
 * metrics: records of named values, to every sink (metrics.jsonl, samples.txt, event files of TensorBoard, OpenMetrics;
 * a new format is one file and one row). progress: the line on the terminal or in the log, seconds left.  slow_rank:
 * whether one rank stays slow.  page: runs as one page of HTML.  Knows neither ranks nor the trainer: it is handed
 * plain numbers, or reads the files of a run.
 */
#ifndef WABUN_REPORT_H
#define WABUN_REPORT_H

#include <wabun/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- metrics (sinks.c) ----------------------------------------------------------------------------------------- */

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
typedef enum wb_metrics_kind {
    WB_METRICS_STEP,
    WB_METRICS_MUON,       /**< singular values of an update */
    WB_METRICS_HEALTH,     /**< a spike, or a step whose numbers were bad */
    WB_METRICS_SAVE,       /**< how long a checkpoint took */
    WB_METRICS_VALIDATION, /**< loss on text that is not trained on */
    WB_METRICS_SAMPLE      /**< "text": what the model writes */
} wb_metrics_kind;
typedef struct wb_metrics_row {
    wb_metrics_kind kind;
    int64_t step;
    const wb_value_t *values; /**< [n], the step among them where it is to be written; borrowed */
    int n;
} wb_metrics_row_t;

/** Where records go. */
typedef struct wb_metrics_to {
    const char *run;         /**< directory; this and the following are borrowed until the sinks are closed */
    int64_t step;            /**< that the run begins at */
    bool tensorboard;        /**< event files too */
    const char *openmetrics; /**< a file for a collector of node exporter; NULL or "": none */
} wb_metrics_to_t;
/** All sinks of a run. */
typedef struct wb_metrics wb_metrics_t;
/** Open every sink, appending; what later steps than to->step have left in the run is removed (event files tell their
 * readers to), and everything where it is 0.  A sink that cannot be opened is a warning, and is tried again with each
 * record. Not collective: one rank has them.  Errors: WB_ENOMEM. */
wb_status wb_metrics_open (wb_metrics_t **out, const wb_metrics_to_t *to) WB_NODISCARD;
/** Hand a record to every sink.  What cannot be written is left out whole, with one warning when it begins and one
 * message when it works again: records are never worth ending a run for.  m NULL: nothing happens. */
void wb_metrics_write (wb_metrics_t *m, const wb_metrics_row_t *record);
void wb_metrics_close (wb_metrics_t *m); /**< NULL is fine */

/* ---- progress (progress.c) --------------------------------------------------------------------------------------- */

/** How a run goes; the caller fills in the numbers. */
typedef struct wb_progress {
    int64_t step, steps;
    double loss, lr, grad_norm, tokens_per_s, mfu;
    double seconds;  /**< of a step, of late: wb_progress_add() */
    double first[5]; /**< [n] the first ones, in the order of their length */
    int n;
    double beside; /**< seconds that are left for what is no step: validations, saves */
    double shown;  /**< wb_now () when the terminal was last updated */
} wb_progress_t;
/** A step took so long.  `seconds` is the median of the first five, of which the very first is slow and another may be
 * disturbed, and goes on from there as an exponential moving average: a plain average over the time since the start
 * would include validations and checkpoints. */
void wb_progress_add (wb_progress_t *p, double seconds);
/** The line that replaces itself on a terminal, at most ten times a second. */
void wb_progress_show (wb_progress_t *p);
/** A line of its own where there is no terminal. */
void wb_progress_line (const wb_progress_t *p);

/* ---- a page of runs (page.c) ------------------------------------------------------------------------------------- */

/** What a page is about; all borrowed. */
typedef struct wb_page_what {
    const char *const *runs; /**< [nruns] directories */
    const bool *running;     /**< [nruns] the run goes on; NULL: none does */
    int nruns;
    const char *const *evaluations; /**< [nevaluations] files that have what `wabun eval --json` printed */
    int nevaluations;
    bool japanese; /**< the language that is seen first */
} wb_page_what_t;
/** Write one page of HTML about runs: charts that compare them, what befell them, evaluations, samples, numbers, and
 * their configurations.  It opens by itself and asks for nothing.  Runs may go on meanwhile; lines that cannot be read
 * are counted on the page.  Memory does not grow with the length of a run.  Not collective.  Errors: WB_EUSAGE a
 * directory is no run, or `path` is there and no such page; WB_EDATA a file is no evaluation; WB_EIO, WB_ENOMEM. */
wb_status wb_page_write (const char *path, const wb_page_what_t *what) WB_NODISCARD;

/* ---- a rank that stays slow (slow_rank.c) ------------------------------------------------------------------------ */

/** A logged step. */
typedef struct wb_slow_look {
    int rank;       /**< the one that computed longest */
    double seconds; /**< it computed */
    double typical; /**< the median rank computed; of two ranks the other one */
    double step;    /**< the step took */
} wb_slow_look_t;
#define WB_SLOW_LOOKS 10
typedef enum wb_slow_news {
    WB_SLOW_NOTHING,
    WB_SLOW_RANK, /**< `rank` has been slow in `looks` of the last WB_SLOW_LOOKS looks */
    WB_SLOW_OVER  /**< `rank`, which was reported, is slow no more */
} wb_slow_news;
/** What the news are about. */
typedef struct wb_slow_summary {
    int rank, looks;
    double seconds, typical; /**< mean over those looks */
    double cost, share;      /**< seconds a step that the others wait for it, and as a share of the step */
} wb_slow_summary_t;
/** Zero-initialised is none. */
typedef struct wb_slow_rank {
    wb_slow_look_t last[WB_SLOW_LOOKS];
    int64_t taken;
    double when; /**< the last look */
    int told;    /**< 1 + the rank that was reported, 0: none */
    wb_slow_summary_t news;
} wb_slow_rank_t;
/** Look at a logged step at time `now` (wb_now()).  Not collective; a pure function of its arguments. */
wb_slow_news wb_slow_rank_add (wb_slow_rank_t *s, double now, const wb_slow_look_t *look);

#ifdef __cplusplus
}
#endif
#endif
