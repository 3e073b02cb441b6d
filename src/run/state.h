/* state.json of a checkpoint: where the training stood, and with which settings and data. */
#ifndef WABUN_RUN_STATE_H
#define WABUN_RUN_STATE_H

#include <jansson.h>

#include "run/run_priv.h"

typedef struct wb_state {
    int64_t step;
    double tokens;
    wb_spikes_t spikes;
    int64_t bad_steps;
    wb_rollbacks_t rollbacks;
    wb_run_best_t best;
    int64_t global_batch;  /* 0: not known */
    const char *optimizer; /* borrowed from json */
    json_t *json;          /* owned: all of it */
    char *text;            /* owned: the file */
} wb_state_t;

/* All of rank 0. */

/* The text of state.json for the run as it is now; of a run that has not trained any further, that of the checkpoint it
 * was resumed from.  NULL when out of memory.  Freed with wb_free(). */
char *wb_state_text (const wb_run_t *r) WB_NODISCARD;
/* Read dir/state.json.  Errors: WB_EIO, WB_EDATA, WB_ENOMEM; WB_EUSAGE when `dir` is a model, but not a checkpoint. */
wb_status wb_state_read (wb_state_t *out, const char *dir) WB_NODISCARD;
void wb_state_fini (wb_state_t *s);
/* May this run go on from there?  chosen: the user named the checkpoint.  Errors: WB_EUSAGE another optimizer; unless
 * r->accept, token files of the same name that have changed, and, unless chosen, other token files or another base. */
wb_status wb_state_check (const wb_run_t *r, const wb_state_t *s, const char *dir, bool chosen) WB_NODISCARD;
/* Say what is different now, one line each: a warning where the order of the data changes. */
void wb_state_compare (const wb_run_t *r, const wb_state_t *s, const char *dir);
/* The model the training began with; out->path is the caller's, NULL: none.  Errors: WB_ENOMEM. */
wb_status wb_state_base (wb_run_base_t *out, const wb_state_t *s) WB_NODISCARD;
/* Keep for later checkpoints: the text, which *s loses, and the base that the training began with, if it is known.
 * Errors: WB_ENOMEM. */
wb_status wb_state_keep (wb_run_t *r, wb_state_t *s) WB_NODISCARD;

/* Parts of it: what is known of the numbers so far (state_health.c). */
json_t *wb_state_spikes (const wb_run_t *r);
json_t *wb_state_rollbacks (const wb_rollbacks_t *b);
/* Validations (best.c); of other data than now: none. */
json_t *wb_state_best (const wb_run_t *r);
void wb_state_read_best (wb_run_best_t *b, const json_t *state, const wb_run_t *r);
void wb_state_read_health (wb_state_t *s); /* from s->json; what is not there, or makes no sense, is nothing */

#endif
