/* What a page of runs is made of: what was read of a run (run_files.c, run_config.c), and the parts that print it. */
#ifndef WABUN_REPORT_PAGE_H
#define WABUN_REPORT_PAGE_H

#include "report/html.h"
#include "report/thin.h"

/* ---- a run ------------------------------------------------------------------------------------------------------- */

/* What a table holds: records of a step, validations, saves, updates of Muon. */
typedef enum wb_page_table { WB_PAGE_STEP, WB_PAGE_VALID, WB_PAGE_SAVE, WB_PAGE_MUON, WB_PAGE_TABLES } wb_page_table;

/* A start of the run, and how it ended. */
typedef struct wb_page_start {
    double time, end_time;         /* seconds since 1970; 0: not recorded */
    int64_t step, end_step, ranks; /* -1: not recorded */
    int64_t code;                  /* of its end, -1: none is recorded */
    char *host, *job, *why;        /* owned; NULL: not recorded */
} wb_page_start_t;

/* Something that befell the run. */
typedef struct wb_page_event {
    int64_t step, to; /* to: of a rollback */
    char *kind, *why; /* "skipped", "spike", "rollback"; owned; why may be NULL */
} wb_page_event_t;

typedef struct wb_page_sample {
    int64_t step;
    const char *text; /* in the run's `samples` */
    size_t n;
} wb_page_sample_t;

/* A key of the configuration, "train.lr", and its value as text. */
typedef struct wb_page_key {
    char *key, *value; /* owned */
} wb_page_key_t;

typedef struct wb_page_run {
    const char *dir; /* borrowed */
    char *name;      /* owned */
    wb_thin_t tables[WB_PAGE_TABLES];
    double valid_low; /* the lowest validation loss, and its step; -1: none */
    int64_t valid_low_step;
    int64_t damaged; /* lines of metrics.jsonl that could not be read */
    bool unfinished; /* its last line is being written */
    bool running;    /* a process trains in it */
    wb_page_start_t *starts;
    int64_t nstarts, starts_cap;
    wb_page_event_t *events;
    int64_t nevents, events_cap;
    char *samples_file; /* samples.txt, owned */
    wb_page_sample_t *samples;
    int64_t nsamples, samples_cap;
    char *config; /* config.cfg, owned; NULL: there is none */
    wb_page_key_t *keys;
    int64_t nkeys, keys_cap;
} wb_page_run_t;

/* Read what a run directory holds; *r starts zeroed and must be closed also after an error.  Errors: WB_EUSAGE it is no
 * run, WB_EIO, WB_ENOMEM. */
wb_status wb_page_run_read (wb_page_run_t *r, const char *dir) WB_NODISCARD;
void wb_page_run_fini (wb_page_run_t *r);
/* r->keys of r->config.  A file that libconfig does not take has none.  Errors: WB_ENOMEM. */
wb_status wb_page_run_keys (wb_page_run_t *r) WB_NODISCARD;
/* The value of a key; NULL: none. */
const char *wb_page_run_value (const wb_page_run_t *r, const char *key);

/* ---- the page ---------------------------------------------------------------------------------------------------- */

typedef struct wb_page {
    wb_html_t html;
    wb_page_run_t *runs; /* [n], owned */
    int n;
} wb_page_t;

/* A curve of a chart, of every run that has its columns. */
typedef struct wb_page_curve {
    wb_page_table table;
    const char *columns[3]; /* one, plotted as mean, minimum and maximum of a row; or the columns of these three */
    const char *label[2];   /* English, Japanese */
} wb_page_curve_t;
#define WB_PAGE_CURVES 6
/* THE table of charts has one for each (page_charts.c). */
typedef struct wb_page_chart {
    const char *id;
    const char *title[2], *note[2]; /* note NULL: none */
    bool stacked;                   /* its curves add up; each run has a chart of its own */
    bool positive;                  /* may have a logarithmic axis */
    wb_page_curve_t curves[WB_PAGE_CURVES];
} wb_page_chart_t;

/* A curve of one run, column by column; false: the run does not have it. */
typedef struct wb_page_line {
    const wb_thin_t *table;
    const wb_thin_column_t *low, *mid, *high; /* the same one, if the curve has one column */
} wb_page_line_t;
bool wb_page_line (wb_page_line_t *out, const wb_page_run_t *r, const wb_page_curve_t *c);
double wb_page_line_low (const wb_page_line_t *l, int row);
double wb_page_line_high (const wb_page_line_t *l, int row);

/* Figures with a drawing each that needs no script, and the data for the script. */
void wb_page_charts (wb_page_t *p);
void wb_page_data (wb_page_t *p);
/* page_svg.c: a plain drawing of a chart, of all runs or, if `only` is not negative, of one. */
void wb_page_svg (wb_page_t *p, const wb_page_chart_t *c, int only);
/* page_parts.c */
void wb_page_summary (wb_page_t *p);
void wb_page_history (wb_page_t *p);
void wb_page_samples (wb_page_t *p);
void wb_page_configuration (wb_page_t *p);
void wb_page_section (wb_html_t *h, const char *id, const char *en, const char *ja); /* it begins; the caller ends it */
void wb_page_head_cell (wb_page_t *p, int i); /* a row's: the run, in its colour */
/* Of one run its content, of several a fold that is named by the run. */
void wb_page_open_run (wb_page_t *p, int i);
void wb_page_close_run (wb_page_t *p);
/* page_numbers.c */
void wb_page_numbers (wb_page_t *p);
/* page_eval.c: what `wabun eval --json` has printed into files.  Errors: WB_EIO, WB_EDATA it is something else. */
wb_status wb_page_evaluations (wb_page_t *p, const char *const *files, int n) WB_NODISCARD;

#endif
