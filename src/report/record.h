/* A line of metrics.jsonl as numbers with names: {"seconds": {"data": 1}} is seconds.data, {"ranks": {"compute": [1,
 * 2]}} ranks.compute.0 and ranks.compute.1.  What is no number has no place in it. */
#ifndef WABUN_REPORT_RECORD_H
#define WABUN_REPORT_RECORD_H

#include "wabun/report.h"

enum { WB_RECORD_VALUES = 128, WB_RECORD_NAME = 128 };

typedef struct wb_record {
    int n;
    struct wb_record_value {
        char name[WB_RECORD_NAME]; /* longer ones are cut */
        double x;
    } values[WB_RECORD_VALUES]; /* in the order of the line; what is beyond is left out */
} wb_record_t;

/* Read a line, which need not end in a NUL; false: it is no object of JSON. */
bool wb_record_read (wb_record_t *r, const char *line, size_t n);
/* The same by a library alone, for a test. */
bool wb_record_read_any (wb_record_t *r, const char *line, size_t n);
/* The value of this name, or `none`. */
double wb_record_get (const wb_record_t *r, const char *name, double none);

#endif
