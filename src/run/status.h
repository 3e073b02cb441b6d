/* What wabun status knows of a run (status.c), and prints (status_print.c). */
#ifndef WABUN_RUN_STATUS_H
#define WABUN_RUN_STATUS_H

#include <jansson.h>
#include <time.h>

#include "run/run_priv.h"

typedef struct wb_report {
    const char *run;
    json_t *starts;           /* the lines of starts, each with its end in it; this and the following are owned */
    json_t *record;           /* of metrics, the last with a loss; NULL: none */
    json_t *valid;            /* the last of a validation; NULL: none */
    json_t *skipped, *spikes; /* the last line of each step that was skipped, or was a spike, by its number */
    json_t *rollbacks;        /* lines */
    double written;           /* when metrics were, seconds since 1970; 0: never */
    int64_t checkpoint;       /* step, -1: none */
    int aside;                /* checkpoints that were set aside as damaged */
    const char *state, *why;
    int64_t step, steps; /* steps 0: not known */
    double left;         /* seconds; -1: not known */
} wb_report_t;

/* On the standard output.  Errors: WB_ENOMEM. */
wb_status wb_report_print_json (const wb_report_t *r) WB_NODISCARD;
void wb_report_print (const wb_report_t *r);

/* ---- a line of JSON ---------------------------------------------------------------------------------------------- */

static inline bool wb_line_has (const json_t *j, const char *key) { return json_object_get (j, key) != NULL; }
static inline int64_t wb_line_integer (const json_t *j, const char *key) {
    return (int64_t) json_integer_value (json_object_get (j, key));
}
static inline double wb_line_number (const json_t *j, const char *key) {
    return json_number_value (json_object_get (j, key));
}
static inline const char *wb_line_text (const json_t *j, const char *key) {
    const char *s = json_string_value (json_object_get (j, key));
    return s != NULL ? s : "";
}

#endif
