/* A sink: where records go.  A new format is one file with these functions, and one row of the table in sinks.c. */
#ifndef WABUN_REPORT_SINK_H
#define WABUN_REPORT_SINK_H

#include "wabun/report.h"

typedef struct wb_sink {
    const char *name;                           /* what it writes, for messages */
    unsigned kinds;                             /* records it takes, a set of 1 << wb_metrics_kind */
    bool (*wanted) (const wb_metrics_to_t *to); /* NULL: always */
    /* Append to the files in to->run, without what is there of steps after to->step (0: all).  *sink must be closed
     * also after an error, with which it may be opened again.  Errors: WB_EIO, WB_ENOMEM. */
    wb_status (*open) (void **sink, const wb_metrics_to_t *to);
    /* The whole record, or nothing of it; after an error the next one is appended to the last whole one.  Errors:
     * WB_EIO, WB_ENOMEM. */
    wb_status (*write) (void *sink, const wb_metrics_row_t *record);
    wb_status (*close) (void *sink); /* NULL is fine.  Errors: WB_EIO */
} wb_sink_t;

extern const wb_sink_t wb_sink_jsonl, wb_sink_samples, wb_sink_tensorboard, wb_sink_openmetrics;

/* The value of this name; NULL: none. */
const wb_value_t *wb_metrics_find (const wb_metrics_row_t *record, const char *name);

#endif
