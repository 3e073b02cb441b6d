/* Records thinned to a table of at most WB_THIN_ROWS rows, whatever their number: what a page of a run plots. */
#ifndef WABUN_REPORT_THIN_H
#define WABUN_REPORT_THIN_H

#include "wabun/report.h"

#define WB_THIN_ROWS 2048
#define WB_THIN_HEAD 256 /* the first rows stay one record each: a logarithmic axis shows them widely */

/* The values of a column in a row: exact extremes and sum of all its records. */
typedef struct wb_thin_cell {
    double min, max, sum, last;
    int64_t n; /* 0: none */
} wb_thin_cell_t;
typedef struct wb_thin_column {
    char *name;            /* owned */
    wb_thin_cell_t *cells; /* [WB_THIN_ROWS], owned */
} wb_thin_column_t;
typedef struct wb_thin {
    struct wb_thin_row {
        int64_t first, last; /* steps */
        double tokens;       /* of the last one */
        int64_t records;
    } rows[WB_THIN_ROWS];
    wb_thin_column_t *columns; /* [ncolumns], in the order in which they came */
    int64_t ncolumns, cap;
    int64_t next;    /* the column that is asked for next, if records are alike */
    int64_t width;   /* records of a row after the first WB_THIN_HEAD; 0 is 1 */
    int64_t records; /* of all rows */
    int nrows;
} wb_thin_t;

/* Begin a record of this step; false: it is not after the last one, and nothing may be put. */
bool wb_thin_add (wb_thin_t *t, int64_t step, double tokens);
/* A value of the record that was begun last.  Errors: WB_ENOMEM. */
wb_status wb_thin_put (wb_thin_t *t, const char *name, double x) WB_NODISCARD;
/* The column of this name; NULL: there is none. */
const wb_thin_column_t *wb_thin_find (const wb_thin_t *t, const char *name);
void wb_thin_fini (wb_thin_t *t);

static inline double wb_thin_mean (const wb_thin_cell_t *c) { return c->n == 1 ? c->last : c->sum / (double) c->n; }

#endif
